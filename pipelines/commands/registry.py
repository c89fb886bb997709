"""`saiki models`, `promote`, `rollback`, `release`, `report`, `gc`: looking at a registry and acting on it by hand."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from components._shared import storage
from components._shared.errors import InputError, NotFoundError, ServingError
from components._shared.garbage import Garbage, find_garbage, remove_garbage
from components._shared.known_registries import known_registries
from components._shared.records import Attempt, Champion
from components._shared.registry import Registry
from components._shared.windows import parse_span
from components.push.deployment import deploy as deployed
from components.push.deployment import follow_champion, samples_of, server_of
from components.push.server import Overtaken
from pipelines.cluster.settings import settings_of_a_cluster
from pipelines.commands.ledger import proposed_now
from pipelines.commands.registry_options import CLUSTER, JSON, is_default, registry_of, registry_options
from pipelines.commands.tables import plain, print_json, print_table

Command = TypeVar("Command", bound=Callable[..., Any])

_LATEST = 10
_SHORTEST_GRACE_DAYS = 1


_WHY = click.option("--why", required=True, help="The reason, for the record.")


def _page(registry: Registry, name: str, attempt: Attempt) -> bytes:
    """The recorded page of an attempt; written anew where it is known by now what happened afterwards."""
    recorded = storage.read(registry.file_of(attempt, "report.html"))
    settlements = registry.settlements(name)
    if not settlements:
        return recorded
    from components._shared.facts import Facts
    from components.judge.report.page import render

    uri = registry.file_of(attempt, "evidence.json")
    try:
        facts = Facts.from_json(storage.read(uri), where=uri)
    except (InputError, NotFoundError) as cause:
        click.echo(f"What happened afterwards is not on this page, but in saiki ledger: {cause.what}", err=True)
        return recorded
    champion, _ = registry.champion()
    return render(facts, tuple(proposed_now(each, champion, registry) for each in settlements)).encode()


def _serving_options(command: Command) -> Command:
    for option in (
        click.option("--serving", default="", help="The server, [namespace/]name.  [default: serving-TASK]"),
        click.option(
            "--deploy",
            type=click.Choice(["none", "tf-serving"]),
            default="none",
            show_default=True,
            help="Serve the version and check its answers first.",
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Champion, versions, attempts and moves of a task.")
@registry_options
@JSON
def models(registry: str, task_name: str, settings: Path | None, as_json: bool) -> None:
    """Lists champion, versions, attempts and moves of a task.

    \b
    Examples:
      saiki models
      saiki models --cluster manifests/overlays/gke/settings.yaml
      saiki models --registry gs://bucket/registry --task-name flights --json
    """
    found, _ = registry_of(registry, task_name, settings)
    champion, _ = found.champion()
    versions = found.versions()
    attempts = found.tries()
    moves = found.moves()
    if as_json:
        print_json(
            {
                "task": found.task,
                "champion": plain(champion),
                "versions": [{"version": each.number, "uri": each.uri, **plain(each.lineage)} for each in versions],
                "attempts": {name: plain(attempt) for name, attempt in attempts.items()},
                "moves": [plain(move) for move in moves],
            }
        )
        return
    click.echo(f"{found.task}: {_describe(champion)}\n")
    print_table(
        ["version", "as of", "made", ""],
        [
            [str(each.number), f"{each.lineage.windows.as_of:%Y-%m-%d}", f"{each.lineage.created:%Y-%m-%d %H:%M}",
             _role(each.number, champion)]
            for each in reversed(versions)
        ],
    )  # fmt: skip
    latest = list(attempts.values())[-_LATEST:]
    print_table(
        [f"attempt ({len(latest)} of {len(attempts)})", "as of", "made", "result"],
        [
            [each.judgement[:12], f"{each.windows.as_of:%Y-%m-%d}", f"{each.created:%Y-%m-%d %H:%M}",
             each.result.replace("_", " ")]
            for each in reversed(latest)
        ],
        notes=[each.reason for each in reversed(latest)],
    )  # fmt: skip
    # What an attempt says already is not said again.
    said = {(each.judgement, each.reason) for each in attempts.values()}
    print_table(
        ["move", "", "to", "when", "who", "why"],
        [
            [str(each.number), each.action, f"version {each.version}", f"{each.when:%Y-%m-%d %H:%M}", each.who,
             "" if (each.judgement, each.why) in said else each.why]
            for each in moves[:_LATEST]
        ],
    )  # fmt: skip


@click.command(short_help="Make a version the champion by hand.")
@click.argument("version", type=int)
@registry_options
@_serving_options
@_WHY
@click.option("--pin", is_flag=True, help="Also make it the reference that quality must hold against from now on.")
@click.option("--repair", is_flag=True, help="Write a champion pointer that cannot be read anew.")
@JSON
def promote(
    version: int,
    registry: str,
    task_name: str,
    settings: Path | None,
    deploy: str,
    serving: str,
    why: str,
    pin: bool,
    repair: bool,
    as_json: bool,
) -> None:
    """Makes VERSION the champion, by hand. A hold stays until it is released.

    \b
    Examples:
      saiki promote 3 --why "version 4 is slow on old phones"
      saiki promote 3 --deploy tf-serving --cluster manifests/overlays/gke/settings.yaml --why "..."
    """
    if repair and deploy != "none":
        raise InputError(
            "A pointer is repaired without a server", where="--repair", fix="leave --deploy out, then promote again"
        )
    found, cluster = registry_of(registry, task_name, settings)
    if repair:
        champion = found.repair(version, who=_who(), why=why)
    else:
        _, generation = found.champion()
        with _served(found, version, deploy, serving, cluster.namespace if settings else ""):
            champion = found.promote(version, generation=generation, who=_who(), why=why)
    if pin:
        champion = found.pin(version, who=_who(), why=why)
    _print_champion(found, champion, as_json)


@click.command(short_help="Return to an earlier champion and hold it.")
@registry_options
@_serving_options
@click.option("--to", type=int, help="The version.  [default: the champion before this one]")
@_WHY
@JSON
def rollback(
    registry: str,
    task_name: str,
    settings: Path | None,
    deploy: str,
    serving: str,
    to: int | None,
    why: str,
    as_json: bool,
) -> None:
    """Makes an earlier version the champion, and holds it: runs promote nothing until `saiki release`.

    \b
    Examples:
      saiki rollback --why "complaints about late departures"
      saiki rollback --deploy tf-serving --cluster manifests/overlays/gke/settings.yaml --why "..."
    """
    found, cluster = registry_of(registry, task_name, settings)
    version = found.champion_before() if to is None else to
    with _served(found, version, deploy, serving, cluster.namespace if settings else ""):
        champion = found.rollback(who=_who(), why=why, to=version)
    _print_champion(found, champion, as_json)


@click.command(short_help="Lift the hold of a rollback.")
@registry_options
@_WHY
@JSON
def release(registry: str, task_name: str, settings: Path | None, why: str, as_json: bool) -> None:
    """Lifts the hold of a rollback: runs may promote again.

    \b
    Example:
      saiki release --why "the sensor was repaired"
    """
    found, _ = registry_of(registry, task_name, settings)
    _print_champion(found, found.release(who=_who(), why=why), as_json)


@click.command(short_help="Copy a recorded report here.")
@registry_options
@click.option("--version", type=int, help="The report of this version.")
@click.option("--judgement", default="", help="The report of this judgement: its digest, or the start of it.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: named after it]"
)
@JSON
def report(
    registry: str,
    task_name: str,
    settings: Path | None,
    version: int | None,
    judgement: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Copies a recorded report here and prints its path; without a choice, the latest one.

    Once later rows have settled the decision, the page also says what happened afterwards.

    \b
    Examples:
      saiki report
      saiki report --version 3 --out why-three.html
    """
    found, _ = registry_of(registry, task_name, settings)
    name, attempt = _chosen(found, version, judgement)
    path = out or Path(f"{found.task}-{name.split('.')[0][:12]}.html")
    try:
        page = _page(found, name, attempt)
    except NotFoundError as cause:
        raise InputError("This attempt has no report", where=found.file_of(attempt, "report.html")) from cause
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page)
    if as_json:
        print_json({"path": str(path), "attempt": plain(attempt)})
    else:
        click.echo(str(path))


@click.command(short_help="Remove rows that nothing needs any more.")
@click.option("--data-root", default=".saiki/data", show_default=True, help="Where rows are kept.")
@click.option(
    "--registry",
    "registries",
    multiple=True,
    help="A registry whose models were made from this data root, besides those that it knows (repeatable).  "
    "[default: .saiki/registry, where it knows none]",
)
@click.option("--grace", default="7d", show_default=True, help="Keep what is younger: longer than the longest run.")
@click.option("--delete", is_flag=True, help="Remove it; without this, only say what would be removed.")
@CLUSTER
@JSON
def gc(
    data_root: str, registries: tuple[str, ...], grace: str, delete: bool, settings: Path | None, as_json: bool
) -> None:
    """Removes rows that no version, no recorded attempt and no recent run needs, and what killed runs left.

    The model of a rejected candidate goes as well, once nothing can settle its promise any more: its record stays.

    The data root knows the registries that it was used with: all of them are looked into.

    \b
    Examples:
      saiki gc
      saiki gc --data-root gs://bucket/data --grace 14d --delete
    """
    older_than = _older_than(grace)
    cluster = settings_of_a_cluster(settings)
    if cluster.data_root and is_default("data_root"):
        data_root = cluster.data_root
    named = registries or (() if known_registries(data_root) else (cluster.registry or ".saiki/registry",))
    # As the runs name it.
    named = tuple(root if "://" in root else str(Path(root).expanduser().resolve()) for root in named)
    garbage = find_garbage(data_root, named, older_than=older_than - storage.REFRESH_AFTER)
    removed = remove_garbage(data_root, garbage) if delete else 0
    if as_json:
        print_json({**_counts(garbage), "removed": removed, "deleted": delete})
        return
    click.echo(
        f"{data_root}: {len(garbage.shards)} shards, {len(garbage.manifests)} manifests, "
        f"{len(garbage.checkpoints)} files of checkpoints, {len(garbage.versions)} of unfinished versions, "
        f"{len(garbage.losers)} of rejected models whose book is closed, {len(garbage.unrecorded)} of attempts without "
        f"a record and {len(garbage.strays)} temporary files "
        f"({garbage.bytes / 1e6:,.1f} MB) are older than {grace} and needed by nothing; "
        f"{garbage.kept_shards} shards stay."
    )
    if garbage.elsewhere:
        click.echo(f"{garbage.elsewhere} recorded datasets are not under this data root: is it the right one?")
    if delete:
        click.echo(f"Removed {removed} objects.")
    elif garbage.objects:
        click.echo("Nothing was removed: add --delete.")


@contextmanager
def _served(registry: Registry, version: int, deploy: str, serving: str, namespace: str) -> Iterator[None]:
    """Makes the server serve a version before the pointer is moved in the context, and follow the pointer after it.

    Leaves the command with exit code 1, and the pointer where it is, if the version is not served as it should be.
    """
    server = server_of(deploy, serving, registry.task, namespace=namespace)
    if server is None:
        yield
        return
    holder = f"{_who()} by hand"
    samples = samples_of(registry, version)
    server.check()
    try:
        checks = deployed(server, version, samples, holder=holder, force=True)
        for check in checks:
            click.echo(check.reason, err=True)
        if any(check.outcome != "passed" for check in checks):
            click.echo("The champion stays as it is; the server is put back.", err=True)
            sys.exit(1)
        yield
    except Overtaken as cause:
        raise ServingError(
            f"Somebody else deployed at the same moment: {cause}", where=server.where, fix="look at it, then try again"
        ) from cause
    finally:
        follow_champion(server, registry, holder=holder, force=True)


def _chosen(registry: Registry, version: int | None, judgement: str) -> tuple[str, Attempt]:
    tries = registry.tries()
    if version is not None:
        wanted = next((each.lineage.judgement for each in registry.versions() if each.number == version), None)
        tries = {name: attempt for name, attempt in tries.items() if attempt.judgement == wanted}
    if judgement:
        tries = {name: attempt for name, attempt in tries.items() if attempt.judgement.startswith(judgement)}
    if not tries:
        raise InputError("There is no such report", where=registry.root, fix="saiki models lists what there is")
    if judgement and len({attempt.judgement for attempt in tries.values()}) > 1:
        raise InputError(f"Several judgements start with '{judgement}'", where="--judgement", fix="give more of it")
    return list(tries.items())[-1]


def _older_than(grace: str) -> datetime:
    now = datetime.now(UTC)
    try:
        found = parse_span(grace).before(now, "UTC")
    except ValueError as cause:
        raise InputError(str(cause), where="--grace") from cause
    if (now - found).days < _SHORTEST_GRACE_DAYS:
        raise InputError(
            f"A grace period of {grace} could take rows from a run that is under way",
            where="--grace",
            fix="give 1d or more",
        )
    return found


def _counts(garbage: Garbage) -> dict[str, Any]:
    return {
        "shards": [info.uri for info in garbage.shards],
        "manifests": [info.uri for info in garbage.manifests],
        "temporary_files": [info.uri for info in garbage.strays],
        "checkpoints": [info.uri for info in garbage.checkpoints],
        "unfinished_versions": [info.uri for info in garbage.versions],
        "rejected_models": [info.uri for info in garbage.losers],
        "unrecorded_attempts": [info.uri for info in garbage.unrecorded],
        "registries": list(garbage.registries),
        "bytes": garbage.bytes,
        "kept_shards": garbage.kept_shards,
        "kept_manifests": garbage.kept_manifests,
        "datasets_elsewhere": garbage.elsewhere,
    }


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container whose user has no name.
        return f"user {os.getuid()}"


def _role(version: int, champion: Champion | None) -> str:
    if champion is None:
        return ""
    roles = ["champion"] * (version == champion.version) + ["reference"] * (version == champion.reference)
    return ", ".join(roles)


def _describe(champion: Champion | None) -> str:
    if champion is None:
        return "no champion yet"
    held = f", held: {champion.hold}" if champion.hold else ""
    return f"champion is version {champion.version}, reference is version {champion.reference}{held}"


def _print_champion(registry: Registry, champion: Champion, as_json: bool) -> None:
    if as_json:
        print_json({"task": registry.task, "champion": plain(champion)})
    else:
        click.echo(f"{registry.task}: {_describe(champion)}")
