"""What happened after a decision: its promise beside its outcome, block by block."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from components._shared.evidence import Estimate
from components._shared.facts import Facts
from components._shared.gates import HIGHER_IS_BETTER, Metric
from components._shared.ledger import Block, Outcome, Settlement, gain_of, gain_over_constant, promised_gain
from components.judge.report.rows import Figure, around_zero, figure, gain_strip, places_of, side
from components.judge.report.wording import (
    METRIC_MEANINGS,
    capital,
    metric_name,
    moment,
    number,
    period,
    plural,
    shorten,
)

OUTCOMES: dict[Outcome, tuple[str, str, str]] = {
    "kept": ("Promise kept", "passed", "✓"),
    "short": ("Less than promised", "cannot_judge", "~"),
    "broken": ("Promise broken", "failed", "✕"),
    "missed": ("Chance missed", "cannot_judge", "!"),
    "cannot_tell": ("Cannot tell yet", "unsettled", "?"),
}
"""Outcome → name, how it is coloured, its mark."""

_OTHERS: tuple[Metric, ...] = ("cost", "calibration_error", "log_loss")

RESULTS = {"promoted": "promoted", "rejected": "not promoted"}


@dataclass(frozen=True)
class OutcomeRow:
    """What was promised, or what came true on some rows."""

    name: str
    when: str
    rows: str
    clusters: str
    candidate: str
    other: str
    gain: Figure
    side: str
    plot: Markup
    role: str


@dataclass(frozen=True)
class OtherMetric:
    """Another metric of what came: the gain on the whole and on each block with its side, positive is better."""

    name: str
    whole: Figure
    side: str
    blocks: tuple[tuple[Figure, str], ...]


@dataclass(frozen=True)
class Afterwards:
    """A settled decision, in words and drawn.

    Attributes:
        name: Of the outcome, such as `Promise kept`.
        role: How it is coloured.
        decided: What was decided, and when.
        beside: What the gain is measured against.
        settled: Until when rows were looked at.
        others: Metrics besides the promised one, as far as they were measured.
        means: What the outcome's name says, in a sentence.
        moved: How the candidate and the champion themselves did, where both moved the same way, or empty.
    """

    record: str
    name: str
    role: str
    mark: str
    decided: str
    result: str
    when: str
    model: str
    why: str
    overridden: str
    metric: str
    meaning: str
    beside: str
    promised: str
    came: str
    reason: str
    proposal: str
    settled: str
    rows: tuple[OutcomeRow, ...]
    others: tuple[OtherMetric, ...]
    means: str
    moved: str


def own(facts: Facts, settlements: tuple[Settlement, ...]) -> list[Settlement]:
    """The latest settlement of this candidate's own decision, if there is one."""
    mine = [one for one in settlements if one.decision.candidate.digest == facts.model.digest]
    same = [one for one in mine if one.decision.as_of == facts.windows.as_of] or mine
    return sorted(same, key=lambda one: (one.whole.window.end, one.settled_as_of))[-1:]


def afterwards(settlement: Settlement, timezone: str, unit: str = "") -> Afterwards:
    """A settlement as the page shows it; `unit` is that of the task's costs."""
    decision, promise = settlement.decision, settlement.decision.promise
    name, role, mark = OUTCOMES[settlement.outcome]
    against_champion = decision.champion is not None
    when = moment(decision.as_of, timezone)
    rows = _rows(settlement, timezone)
    return Afterwards(
        record=shorten(decision.record),
        name=name,
        role=role,
        mark=mark,
        decided=f"{RESULTS[decision.result]} as of {when}",
        result=RESULTS[decision.result],
        when=when,
        model=f"version {decision.candidate.version}" if decision.candidate.version else "not a version",
        why=shorten(decision.why, 600),
        overridden=shorten(decision.overridden, 300),
        metric=metric_name(promise.metric),
        meaning=METRIC_MEANINGS.get(promise.metric, ""),
        beside="the champion at the time" if against_champion else "a constant",
        promised=_amount(_promised(settlement)[1]),
        came=_amount(settlement.gain),
        reason=shorten(settlement.reason, 600),
        proposal=shorten(settlement.proposal, 300),
        settled=moment(settlement.settled_as_of, timezone),
        rows=rows,
        others=_others(settlement, shorten(unit, 20)),
        means=_means(settlement),
        moved=_moved(settlement, rows),
    )


def _means(settlement: Settlement) -> str:
    """What the outcome says, by the rules of `settle`; of what cannot be told, the reason says why."""
    decision, promise = settlement.decision, settlement.decision.promise
    first = decision.champion is None
    other = "a constant" if first else f"version {decision.champion.version}" if decision.champion else ""
    tolerated, worth = (0.0, 0.0) if first else (promise.tolerated, promise.worth)
    beyond = f" by more than the tolerated {number(tolerated)}" if tolerated else ""
    matters = f" by more than {number(worth)}, the least that matters" if worth else ""
    match settlement.outcome, decision.result:
        case "kept", "promoted":
            return (
                "Kept means: the gain is not clearly less than was promised, "
                f"and its whole interval says that the model is not worse than {other}{beyond}."
            )
        case "kept", "rejected":
            return f"Kept means: it was right to turn the candidate down, for it is not better than {other}{matters}."
        case "short", "promoted":
            return (
                "Less than promised means: the gain is clearly less than was promised, "
                f"but the model is not clearly worse than {other}{beyond}."
            )
        case "broken", "promoted":
            more = "" if first else ", or clearly worse than a constant"
            return f"Broken means: the model is clearly worse than {other}{beyond}{more}."
        case "missed", "rejected":
            return (
                "Missed means: the model that was turned down is clearly better than "
                f"{other}, which was kept{f', and{matters}' if matters else ''}."
            )
        case _:
            return ""


def _moved(settlement: Settlement, rows: tuple[OutcomeRow, ...]) -> str:
    """How both models' own values went from what was promised to what came, if both went the same way."""
    metric = settlement.decision.promise.metric
    now, other_now, _ = _came_true(settlement, settlement.whole)
    other = _promised(settlement)[0]
    if settlement.decision.champion is None or now is None or other is None or other_now is None:
        return ""
    steps = now - settlement.decision.promise.candidate.value, other_now - other
    before, after = rows[0], rows[-1]
    if steps[0] * steps[1] <= 0 or before.candidate == after.candidate or before.other == after.other:
        return ""
    word = "better" if (steps[0] > 0) == (metric in HIGHER_IS_BETTER) else "worse"
    return (
        f"{capital(metric_name(metric))} itself went from {before.candidate} to {after.candidate} "
        f"(the champion’s from {before.other} to {after.other}): both do {word} on the later rows."
    )


def _amount(gain: Estimate | None) -> str:
    if gain is None:
        return "not measured"
    found = figure(gain, sign=True)
    return f"{found.value} {found.interval}".strip()


def _promised(settlement: Settlement) -> tuple[float | None, Estimate | None]:
    """What the other was at the time (the champion, or without one the constant), and the gain that was promised."""
    decision = settlement.decision
    gain = promised_gain(decision.promise, decision.champion)
    if decision.champion is None:
        return decision.promise.constant, gain
    if gain is None or decision.promise.metric == "bias":
        return None, gain
    sign = 1.0 if decision.promise.metric in HIGHER_IS_BETTER else -1.0
    return decision.promise.candidate.value - sign * gain.value, gain


def _came_true(settlement: Settlement, block: Block) -> tuple[float | None, float | None, Estimate | None]:
    """Candidate, other and gain on a block."""
    metric = settlement.decision.promise.metric
    figures = block.metrics.get(metric)
    if figures is None:
        return None, None, None
    if settlement.decision.champion is not None:
        other = None if figures.champion is None else figures.champion.value
        return figures.candidate.value, other, gain_of(metric, figures)
    other = figures.constant if figures.reference is None else figures.reference.value
    return figures.candidate.value, other, gain_over_constant(metric, figures)


def _others(settlement: Settlement, unit: str) -> tuple[OtherMetric, ...]:
    """Cost, calibration error and log-loss, those that the settlement holds; the promised one has its own table."""
    found = []
    for metric in _OTHERS:
        gain = _gain_on(settlement, settlement.whole, metric)
        if metric == settlement.decision.promise.metric or gain is None:
            continue
        blocks = [_gain_on(settlement, block, metric) for block in settlement.blocks]
        places = places_of(gain, *blocks)
        found.append(
            OtherMetric(
                name=_saved(unit) if metric == "cost" else capital(metric_name(metric)),
                whole=figure(gain, sign=True, decimals=places),
                side=side(gain),
                blocks=tuple((figure(one, sign=True, decimals=places), side(one)) for one in blocks),
            )
        )
    return tuple(found)


def _gain_on(settlement: Settlement, block: Block, metric: Metric) -> Estimate | None:
    figures = block.metrics.get(metric)
    if figures is None:
        return None
    if settlement.decision.champion is not None:
        return gain_of(metric, figures)
    return gain_over_constant(metric, figures)


def _saved(unit: str) -> str:
    return f"Cost, {unit} saved a row" if unit else "Cost saved a row"


def _rows(settlement: Settlement, timezone: str) -> tuple[OutcomeRow, ...]:
    promise, whole = settlement.decision.promise, settlement.whole
    other, promised = _promised(settlement)
    named = [
        ("Promised", promise.window, promise.rows, promise.clusters, (promise.candidate.value, other, promised)),
        *(
            (f"Block {n}", block.window, block.rows, block.clusters, _came_true(settlement, block))
            for n, block in enumerate(settlement.blocks, start=1)
        ),
        ("Came true", whole.window, whole.rows, whole.clusters, (*_came_true(settlement, whole)[:2], settlement.gain)),
    ]
    gains = [gain for *_, (_, _, gain) in named]
    axis, places = around_zero(gains), places_of(*gains)
    return tuple(
        OutcomeRow(
            name=name,
            when=period(window, timezone),
            rows=plural(rows, "row"),
            clusters=plural(clusters, "day"),
            candidate=number(candidate, places),
            other=number(beside, places),
            gain=figure(gain, sign=True, decimals=places),
            side=side(gain),
            plot=gain_strip(axis, gain, name),
            role="promise" if name == "Promised" else "whole" if name == "Came true" else "block",
        )
        for name, window, rows, clusters, (candidate, beside, gain) in named
    )
