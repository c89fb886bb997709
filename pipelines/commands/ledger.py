"""`saiki ledger`: what earlier decisions promised, and what came true."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from components._shared.evidence import Estimate
from components._shared.gates import METRIC_NAMES
from components._shared.ledger import (
    Block,
    Decision,
    Settlement,
    decision_of,
    gain_of,
    gain_over_constant,
    promised_gain,
)
from components._shared.records import TURNED_DOWN, Attempt, Champion, ModelRef, Promise
from components._shared.registry import Registry, in_parallel
from components._shared.windows import zone
from components._shared.wording import with_interval
from pipelines.commands.registry_options import DEFAULT_REGISTRY, JSON, registry_of, registry_options
from pipelines.commands.tables import plain, print_json, print_table

_LATEST = 20


@dataclass(frozen=True)
class Entry:
    """A decision, and what became of its promise.

    Attributes:
        record: Name of the attempt's record.
        promise: Of the attempt, which has one.
        settlements: After ever more blocks of later rows; none: its time has not come yet.
    """

    record: str
    attempt: Attempt
    promise: Promise
    settlements: tuple[Settlement, ...]

    @property
    def last(self) -> Settlement | None:
        """What is known now."""
        return self.settlements[-1] if self.settlements else None

    @property
    def decision(self) -> Decision:
        """As a run would settle it, but for where the model is."""
        candidate = ModelRef(version=self.attempt.version or 0, uri="", digest=self.attempt.model_digest)
        return decision_of(self.record, self.attempt, self.promise, candidate)

    @property
    def blocks(self) -> list[Block]:
        """All that were looked at, in order; where their length was changed, those of the later settlement."""
        found: list[Block] = []
        for each in reversed(self.settlements):
            start = None if not found else found[0].window.start
            found[:0] = [block for block in each.blocks if start is None or block.window.end <= start]
        return found


@click.command(short_help="What earlier decisions promised, and what came true.")
@registry_options
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page to this file.")
@JSON
def ledger(registry: str, task_name: str, settings: Path | None, html: Path | None, as_json: bool) -> None:
    """Lists the decisions of a task, what each promised, and what came true on the rows that came after it.

    Ends with 1 if the promise of the present champion is broken, and prints the command that rolls it back.

    \b
    Examples:
      saiki ledger
      saiki ledger --html ledger.html
      saiki ledger --cluster manifests/overlays/gke/settings.yaml
      saiki ledger --registry gs://bucket/registry --task-name flights --json
    """
    found, _ = registry_of(registry, task_name, settings)
    champion, _ = found.champion()
    entries = entries_of(found)
    broken = broken_promise(entries, champion)
    proposal = "" if broken is None else proposed_now(broken, champion, found).proposal
    unpromised = without_promise(entries, champion, found)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(_page(found, champion, entries, unpromised), encoding="utf-8")
    if as_json:
        print_json(
            {
                "task": found.task,
                "champion": plain(champion),
                "html": "" if html is None else str(html),
                "broken": broken is not None,
                "proposal": proposal,
                "unpromised": unpromised,
                "decisions": [_plain(entry) for entry in entries],
            }
        )
    else:
        _print(found, champion, entries)
        if html is not None:
            click.echo(f"{html}\n")
        if unpromised:
            click.echo(unpromised)
        if broken is not None:
            click.echo(f"The promise of version {broken.decision.candidate.version}, the champion, is broken.")
            if proposal:
                click.echo(f"To return to the version that it replaced:\n  {proposal}")
    if broken is not None:
        sys.exit(1)


def entries_of(registry: Registry) -> list[Entry]:
    """The decisions that promised something, the newest first."""
    last: dict[str, tuple[str, Attempt, Promise]] = {}
    for name, attempt in registry.tries().items():
        if attempt.result in ("promoted", *TURNED_DOWN) and attempt.promise is not None:
            # Promoted by an override after it was rejected: the later decision counts.
            last[attempt.judgement] = (name, attempt, attempt.promise)
    newest = sorted(last.values(), key=lambda each: (each[1].windows.as_of, each[1].created), reverse=True)
    settled = in_parallel(registry.settlements, [name for name, _, _ in newest])
    return [
        Entry(record=name, attempt=attempt, promise=promise, settlements=tuple(found))
        for (name, attempt, promise), found in zip(newest, settled, strict=True)
    ]


def broken_promise(entries: list[Entry], champion: Champion | None) -> Settlement | None:
    """The settlement by which the promise of the present champion is broken, if it is."""
    entry = _promotion_of(entries, champion)
    return entry.last if entry is not None and entry.last is not None and entry.last.outcome == "broken" else None


def without_promise(entries: list[Entry], champion: Champion | None, registry: Registry) -> str:
    """That nobody promised anything of the present champion, so that nothing is settled; empty: somebody did."""
    if champion is None or _promotion_of(entries, champion) is not None:
        return ""
    who = f"The champion, version {champion.version},"
    judged = (move for move in registry.moves() if move.version == champion.version and move.judgement)
    if next(judged, None) is None:
        return f"{who} was promoted by hand: nothing was promised."
    return f"{who} promised nothing: no rows could judge it, or the run that promoted it did not end."


def proposed_now(settlement: Settlement, champion: Champion | None, registry: Registry) -> Settlement:
    """A settlement with the command that can be pasted today: only the present champion can be rolled back.

    Args:
        settlement: As it was written.
        champion: Of today.
        registry: Where the command is to look; it is named where it is not the default one.
    """
    proposal = settlement.proposal
    if champion is None or settlement.decision.candidate.version != champion.version:
        proposal = ""
    if proposal and registry.root != DEFAULT_REGISTRY:
        proposal = f"{proposal} --registry {shlex.quote(registry.root)}"
    return settlement.model_copy(update={"proposal": proposal})


def _promotion_of(entries: list[Entry], champion: Champion | None) -> Entry | None:
    """The decision that made the present champion a version, with its promise."""
    if champion is None:
        return None
    own = (entry for entry in entries if entry.attempt.result == "promoted")
    return next((entry for entry in own if entry.attempt.version == champion.version), None)


def _page(registry: Registry, champion: Champion | None, entries: list[Entry], notice: str) -> str:
    from components.judge.report.ledger import render_ledger

    settled = [proposed_now(entry.last, champion, registry) for entry in entries if entry.last is not None]
    waiting = [entry.decision for entry in entries if entry.last is None]
    timezone = entries[0].attempt.windows.timezone if entries else "UTC"
    return render_ledger(registry.task, settled, waiting, timezone=timezone, notice=notice)


def _print(registry: Registry, champion: Champion | None, entries: list[Entry]) -> None:
    now = "no champion yet" if champion is None else f"champion is version {champion.version}"
    if not entries:
        click.echo(f"{registry.task}: {now}; no decision has promised anything yet")
        return
    click.echo(f"{registry.task}: {now}\n")
    shown = entries[:_LATEST]
    newest = entries[0].attempt.windows.as_of
    print_table(
        [f"decision ({len(shown)} of {len(entries)})", "as of", "expected", "came true", "rows", "outcome"],
        [_row(entry, newest) for entry in shown],
        notes=["\n".join(_notes(entry)) for entry in shown],
    )


def _row(entry: Entry, newest: datetime) -> list[str]:
    attempt, promise, last = entry.attempt, entry.promise, entry.last
    champion = entry.decision.champion
    beside = "a constant" if champion is None else f"version {champion.version}"
    promised = promised_gain(promise, champion)
    return [
        f"version {attempt.version}" if attempt.result == "promoted" else attempt.result,
        _day(attempt.windows.as_of, entry),
        f"{METRIC_NAMES[promise.metric]} {_signed(promised)} over {beside}",
        "" if last is None else _signed(last.gain),
        "" if last is None else f"{last.whole.rows:,}",
        _waiting(entry, newest) if last is None else last.outcome.replace("_", " "),
    ]


def _waiting(entry: Entry, newest: datetime) -> str:
    """What is to be expected of a decision that is not settled, where the latest one was as of the given moment."""
    due, closed = entry.promise.due, entry.promise.closed
    if due is None:
        return "not to be settled"
    return f"due {_day(due, entry)}" if closed is None or newest <= closed else "not settled in time"


def _notes(entry: Entry) -> Iterator[str]:
    """Below a row: what came true block by block, and the sentence."""
    last = entry.last
    if last is None:
        yield entry.attempt.reason
        return
    for block in entry.blocks:
        first = "" if block.window.start is None else _day(block.window.start, entry)
        gain = _signed(_gain(entry, block))
        yield f"from {first} to before {_day(block.window.end, entry)}: {gain} on {block.rows:,} rows"
    yield last.reason


def _gain(entry: Entry, block: Block) -> Estimate | None:
    figures = block.metrics.get(entry.promise.metric)
    if figures is None:
        return None
    of = gain_over_constant if entry.decision.champion is None else gain_of
    return of(entry.promise.metric, figures)


def _signed(gain: Estimate | None) -> str:
    if gain is None:
        return "not measured"
    text = with_interval(gain.value, gain.interval)
    return text if gain.value <= 0 else f"+{text}"


def _day(moment: datetime, entry: Entry) -> str:
    local = moment.astimezone(zone(entry.attempt.windows.timezone))
    return f"{local:%Y-%m-%d}" if f"{local:%H%M%S}" == "000000" else f"{local:%Y-%m-%d %H:%M}"


def _plain(entry: Entry) -> dict[str, Any]:
    attempt = entry.attempt
    return {
        "record": entry.record,
        "result": attempt.result,
        "version": attempt.version,
        "as_of": attempt.windows.as_of.isoformat(),
        "reason": attempt.reason,
        "overridden": attempt.overridden,
        "promise": plain(attempt.promise),
        "outcome": "" if entry.last is None else entry.last.outcome,
        "settlements": [plain(each) for each in entry.settlements],
    }
