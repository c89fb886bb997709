"""`saiki schedule`: recurring runs as a file says them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import click

from components._shared.errors import InputError
from pipelines.cluster.compiled import CompiledPipeline, compile_training
from pipelines.cluster.cron import parse_cron
from pipelines.cluster.options import Cluster, cluster_options
from pipelines.cluster.recurring_runs import LastRun, RecurringRuns
from pipelines.cluster.schedules import Kept, Schedule, Settled, Step, Wanted, iso, read_schedules, settle, steps_to
from pipelines.cluster.settings import ClusterSettings
from pipelines.cluster.task_upload import ClusterTask, cluster_task
from pipelines.commands.upload import ensure_uploaded
from pipelines.run_parameters import check_run_parameters, cluster_parameters

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
_PRUNE = click.option("--prune", is_flag=True, help="Also delete schedules of Saiki's that the file does not name.")
_FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
_NAME = click.argument("name")

_NOT_FOR_A_SCHEDULE = {
    "as_of": "every run would look at the world as of the same moment, and judge nothing new: leave it out",
    "override": "every run would promote, whatever its verdict: give it to a single run, by saiki submit",
}

_DONE = {
    "create": "created",
    "replace": "replaced",
    "pause": "paused",
    "resume": "resumed",
    "tidy": "tidied up",
    "delete": "deleted",
    "unchanged": "unchanged",
}


@click.group(short_help="Run a pipeline again and again on a cluster.")
def schedule() -> None:
    """Keeps recurring runs on a cluster as a file of schedules says.

    \b
    Examples:
      saiki schedule diff schedules.yaml --cluster manifests/overlays/gke/settings.yaml
      saiki schedule apply schedules.yaml --cluster manifests/overlays/gke/settings.yaml
      saiki schedule list --cluster manifests/overlays/gke/settings.yaml
    """


@schedule.command(short_help="Make the cluster's recurring runs those of a file.")
@_FILE
@_PRUNE
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@_JSON
@cluster_options
def apply(file: Path, prune: bool, dry_run: bool, as_json: bool, cluster: Cluster) -> None:
    """Makes the recurring runs those of FILE; a second time changes nothing. Runs under way are left alone.

    \b
    Examples:
      saiki schedule apply schedules.yaml
      saiki schedule apply schedules.yaml --prune --dry-run
    """
    plan = _Plan(file, cluster)
    steps = plan.steps(prune=prune)
    for step in steps:
        if not dry_run:
            plan.take(step)
        if not as_json:
            _show(step, "would be " if dry_run else "")
    if as_json:
        _print_json({"schedules": [_step(step) for step in steps], "changed": _changes(steps), "applied": not dry_run})


@schedule.command(short_help="Show what apply would change.")
@_FILE
@_PRUNE
@_JSON
@cluster_options
def diff(file: Path, prune: bool, as_json: bool, cluster: Cluster) -> None:
    """Shows what `apply` would change, field by field. Exit code 1 if there is anything, 0 if not.

    \b
    Example:
      saiki schedule diff schedules.yaml
    """
    steps = _Plan(file, cluster).steps(prune=prune)
    if as_json:
        _print_json({"schedules": [_step(step) for step in steps], "changed": _changes(steps)})
    else:
        for step in steps:
            _show(step, "would be ")
    sys.exit(1 if _changes(steps) else 0)


@schedule.command(name="list", short_help="Schedules on the cluster, their next and last runs.")
@_JSON
@cluster_options
def list_schedules(as_json: bool, cluster: Cluster) -> None:
    """Lists the schedules that `apply` has made, with their next and last runs.

    \b
    Example:
      saiki schedule list --json
    """
    connection = cluster.connect()
    recurring = RecurringRuns(connection)
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for kept in recurring.kept():
        last = recurring.last_run(kept.id)
        following = _next(kept, last, cluster.settings, now)
        rows.append(
            {
                "name": kept.settled.name,
                "state": "paused" if kept.paused else "enabled",
                "when": kept.settled.cron or f"every {timedelta(seconds=kept.settled.every)}",
                "next": iso(following) if following else "",
                "last_run": iso(last.created) if last else "",
                "last_state": last.state if last else "",
                "last_link": connection.link("runs", last.id) if last else "",
                "pipeline_version": kept.settled.version,
                "experiment": kept.settled.experiment,
                "parameters": kept.settled.parameters,
                "id": kept.id,
                "link": connection.link("recurringrun", kept.id),
            }
        )
    if as_json:
        _print_json({"timezone": cluster.settings.cron_timezone, "schedules": rows})
        return
    if not rows:
        click.echo("There are no schedules: saiki schedule apply FILE makes them.")
    for row in rows:
        click.secho(f"{row['name']}  {row['state']}", bold=True)
        click.echo(f"  when      {row['when']} ({cluster.settings.cron_timezone})")
        click.echo(f"  next      {row['next'] or 'never'}")
        click.echo(f"  last      {row['last_run'] or 'none yet'}  {row['last_state'].lower()}".rstrip())
        click.echo(f"  pipeline  version {row['pipeline_version']}, experiment {row['experiment']}")
        click.echo(f"  link      {row['link']}")


@schedule.command(short_help="Start no more runs until resume.")
@_NAME
@_JSON
@cluster_options
def pause(name: str, as_json: bool, cluster: Cluster) -> None:
    """Pauses the schedule NAME. `apply` leaves it paused, unless the file says `paused: false`.

    \b
    Example:
      saiki schedule pause flights-nightly
    """
    _change(name, cluster, as_json, "paused", lambda recurring, kept: recurring.set_paused(kept.id, True))


@schedule.command(short_help="Start runs again.")
@_NAME
@_JSON
@cluster_options
def resume(name: str, as_json: bool, cluster: Cluster) -> None:
    """Resumes the schedule NAME.

    \b
    Example:
      saiki schedule resume flights-nightly
    """
    _change(name, cluster, as_json, "enabled", lambda recurring, kept: recurring.set_paused(kept.id, False))


@schedule.command(short_help="Remove a schedule; its runs stay.")
@_NAME
@_JSON
@cluster_options
def delete(name: str, as_json: bool, cluster: Cluster) -> None:
    """Deletes the schedule NAME from the cluster. Its runs stay, and one that is under way goes on.

    \b
    Example:
      saiki schedule delete flights-nightly
    """
    _change(name, cluster, as_json, "deleted", lambda recurring, kept: recurring.remove(kept.id))


class _Plan:
    """A file of schedules, beside what the cluster has."""

    def __init__(self, file: Path, cluster: Cluster) -> None:
        given = read_schedules(file)
        self._settings = cluster.settings
        if given.timezone != self._settings.cron_timezone:
            raise InputError(
                f"The schedules are meant in {given.timezone}, but this cluster's scheduler counts in "
                f"{self._settings.cron_timezone}, and KFP knows no other for a single schedule",
                where=f"timezone in {file}",
                fix=f"write the crons in {self._settings.cron_timezone}; or, where the scheduler was set up otherwise "
                "(CRON_SCHEDULE_TIMEZONE), correct cron_timezone in the settings given as --cluster",
            )
        self._compiled: dict[str, CompiledPipeline] = {}
        self._tasks: dict[str, ClusterTask] = {}
        self._schedules = given.schedules
        self._wanted = [Wanted(self._settle(each, given.timezone, file), each.paused) for each in given.schedules]
        self._connection = cluster.connect()
        self._recurring = RecurringRuns(self._connection)

    def steps(self, *, prune: bool) -> list[Step]:
        return steps_to(self._wanted, self._recurring.kept(), prune=prune)

    def take(self, step: Step) -> None:
        pipeline_id = version_id = ""
        if step.wanted is not None:
            uploaded = ensure_uploaded(self._connection, self._compiled[step.name])
            pipeline_id, version_id = uploaded.pipeline_id, uploaded.version_id
            self._tasks[step.name].upload()
        self._recurring.take(step, pipeline_id=pipeline_id, version_id=version_id)

    def _settle(self, each: Schedule, timezone: str, file: Path) -> Settled:
        compiled = self._compile(each, file)
        self._compiled[each.name] = compiled
        task, parameters = self._parameters(each, compiled, file)
        self._tasks[each.name] = task
        return settle(
            each,
            parameters,
            timezone=timezone,
            version=compiled.digest,
            experiment=each.experiment or task.name or PurePosixPath(task.uri).parent.name or "saiki",
            pipeline_root=self._settings.pipeline_root,
            service_account=self._settings.service_account,
        )

    def _compile(self, each: Schedule, file: Path) -> CompiledPipeline:
        for other in self._schedules:
            if other.name in self._compiled and (other.profile, other.images) == (each.profile, each.images):
                return self._compiled[other.name]
        try:
            return compile_training(self._settings, each.profile, each.images)
        except InputError as cause:
            raise InputError(cause.what, where=f"{each.name} in {file}", fix=cause.fix) from cause

    def _parameters(self, each: Schedule, compiled: CompiledPipeline, file: Path) -> tuple[ClusterTask, dict[str, Any]]:
        where = f"parameters of {each.name} in {file}"
        for name in each.parameters:
            if name in _NOT_FOR_A_SCHEDULE:
                raise InputError(f"'{name}' is not for a schedule", where=where, fix=_NOT_FOR_A_SCHEDULE[name])
        known = {name: parameter.type for name, parameter in compiled.parameters.items()}
        given = check_run_parameters(known, each.parameters, where=where)
        task = given.get("task", "")
        if not task:
            raise InputError(
                "No task is given", where=where, fix="add task: gs://…/task.yaml, or a path from this file"
            )
        if "://" not in task:
            task = str(file.parent / Path(task).expanduser())
        on_cluster = cluster_task(task, str(given.get("data_root") or self._settings.data_root))
        return on_cluster, cluster_parameters(compiled, given | {"task": on_cluster.uri}, self._settings, where=where)


def _change(
    name: str, cluster: Cluster, as_json: bool, state: str, change: Callable[[RecurringRuns, Kept], None]
) -> None:
    recurring = RecurringRuns(cluster.connect())
    ours = recurring.kept()
    mine = [kept for kept in ours if kept.settled.name == name]
    if not mine:
        names = sorted({kept.settled.name for kept in ours})
        raise InputError(
            f"There is no schedule '{name}'",
            where="the cluster",
            fix=f"use one of: {', '.join(names)}" if names else "saiki schedule apply FILE makes schedules",
        )
    for kept in mine:
        change(recurring, kept)
    if as_json:
        _print_json({"name": name, "state": state, "ids": [kept.id for kept in mine]})
    else:
        click.echo(f"{name}: {state}")


def _next(kept: Kept, last: LastRun | None, settings: ClusterSettings, now: datetime) -> datetime | None:
    """When it runs next, as far as can be told from here."""
    settled = kept.settled
    if kept.paused:
        return None
    start = datetime.fromisoformat(settled.start) if settled.start else None
    if settled.cron:
        found = parse_cron(settled.cron).after(max(start or now, now), settings.cron_timezone)
    else:
        every = timedelta(seconds=settled.every)
        since = start or (last.created if last else kept.created)
        found = since if since > now else since + ((now - since) // every + 1) * every
    return None if found is None or (settled.end and iso(found) > settled.end) else found


def _changes(steps: list[Step]) -> int:
    return sum(step.action != "unchanged" for step in steps)


def _show(step: Step, would: str) -> None:
    colour = {"unchanged": None, "delete": "red"}.get(step.action, "green")
    done = _DONE[step.action] if step.action == "unchanged" else would + _DONE[step.action]
    click.secho(f"{step.name}: {done}", fg=colour)
    width = max((len(change.field) for change in step.changes), default=0)
    for change in step.changes:
        before, after = (_plain(value) for value in (change.before, change.after))
        click.echo(
            f"  {change.field:<{width}}  {before} → {after}" if before else f"  {change.field:<{width}}  {after}"
        )


def _plain(value: Any) -> str:
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "action": step.action,
        "paused": step.paused,
        "changes": [{"field": each.field, "before": each.before, "after": each.after} for each in step.changes],
    }


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
