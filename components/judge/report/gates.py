"""The report's section on gates: what was observed, what was allowed, and why that decides."""

from __future__ import annotations

from dataclasses import dataclass

from components._shared.evidence import Estimate
from components._shared.facts import Facts
from components._shared.verdict import Check, Outcome
from components._shared.wording import decimals_beyond
from components.judge.report.wording import (
    OUTCOME_NAMES,
    count,
    decimals_of,
    gate_name,
    interval,
    listed,
    metric_name,
    number,
    percent,
    percent_interval,
    readable,
    shorten,
)

_MOST_AT_ONCE = 12
_AS_ASKED = (
    "champion.improve",
    "champion.",
    "reference.",
    "metric.",
    "difference.",
    "behaviour.tests",
    "explanation.",
    "behaviour.",
    "data.",
)
_FAILURES_FIRST: tuple[Outcome, ...] = ("failed", "cannot_judge", "passed")


@dataclass(frozen=True)
class GateRow:
    """One check, in words."""

    name: str
    code: str
    slice: str
    observed: str
    interval: str
    limit: str
    outcome: Outcome
    outcome_name: str
    reason: str


def gate_rows(facts: Facts) -> list[GateRow]:
    """Every check of the verdict: failures first, then in the order in which a reviewer asks; single slices last."""
    checks = sorted(
        facts.verdict.checks,
        key=lambda check: (_FAILURES_FIRST.index(check.outcome), bool(check.slice), _place(check.name)),
    )
    return [_gate_row(check, facts) for check in checks]


def _place(name: str) -> int:
    return next((n for n, start in enumerate(_AS_ASKED) if name.startswith(start)), len(_AS_ASKED))


def split_gates(facts: Facts) -> tuple[list[GateRow], list[GateRow]]:
    """The rows of `gate_rows` that are shown at once, and those that are folded away.

    What did not pass always stands open; of what did, the first of those over all rows.
    """
    rows = gate_rows(facts)
    not_passed = [row for row in rows if row.outcome != "passed"]
    passed = [row for row in rows if row.outcome == "passed"]
    # What the tests of behaviour found has a section of its own.
    whole = [row for row in passed if not row.slice and not row.code.startswith(("data.", "behaviour.tests."))]
    shown = whole[: max(0, _MOST_AT_ONCE - len(not_passed))]
    return [*not_passed, *shown], [row for row in passed if row not in shown]


def _gate_row(check: Check, facts: Facts) -> GateRow:
    decimals = decimals_of(Estimate(value=check.observed or 0.0, interval=check.interval))
    if decimals is not None and abs(check.observed or 0.0) < 1:
        decimals = max(decimals, 3)
    limit = shorten(readable(check.limit)) or "has to hold"
    if check.name == f"champion.improve.{facts.gates.champion.primary}" and facts.gates.champion.improve == "evidence":
        limit = _luck_allowed(facts)
    if check.observed is not None and check.outcome == "failed":
        decimals = decimals_beyond(abs(check.observed), _limit_of(check, facts), decimals)
    # Written as its limit is: 6.1 % where at most 15 % is allowed.
    is_share = check.name.startswith("behaviour.tests.") and check.observed is not None
    return GateRow(
        name=shorten(gate_name(check.name)),
        code=shorten(check.name),
        slice=shorten(check.slice),
        observed=percent(check.observed) if is_share else _observed(check, decimals),
        interval=percent_interval(check.interval) if is_share else interval(check.interval, decimals),
        limit=limit,
        outcome=check.outcome,
        outcome_name=OUTCOME_NAMES[check.outcome],
        reason=shorten(readable(check.reason), 600),
    )


def _luck_allowed(facts: Facts) -> str:
    """What chance of luck the task allows to a promotion."""
    share = percent(facts.gates.champion.false_alarms)
    looks = facts.evaluation.looks
    shared = f", shared by {count(looks)} looks" if looks > 1 else ""
    return f"better, hardly by luck: {share} a quarter{shared}"


def _limit_of(check: Check, facts: Facts) -> float:
    """How much worse it may be, of a gate beside the champion; else what was observed, so nothing is compared."""
    tolerance = next(
        (found for metric, found in facts.gates.champion.tolerance.items() if check.name == f"champion.{metric}"), None
    )
    return tolerance.worse_by if tolerance else abs(check.observed or 0.0)


def evidence_note(facts: Facts) -> str:
    """Whether the gates beside the champion go by an estimate or by its interval."""
    gates = facts.gates.champion
    if not facts.evaluation.champion:
        return ""
    by_interval = [name for name, found in gates.tolerance.items() if found.evidence == "interval"]
    whole = [metric_name(name) for name in by_interval if name != gates.primary or gates.improve != "evidence"]
    estimates = "limit on a metric over all rows goes by the estimate, whatever its interval"
    by_estimate = f"every {'other ' if gates.improve == 'evidence' else ''}{estimates}"
    if whole:
        by_estimate += f", but {listed(whole)} by the whole interval"
    if gates.improve != "evidence":
        return f"{by_estimate[:1].upper()}{by_estimate[1:]}."
    return f"That {metric_name(gates.primary)} is better has to be hardly luck; {by_estimate}."


def _observed(check: Check, decimals: int | None) -> str:
    """The figure; of a gate that is about no figure, whether it holds."""
    if check.observed is not None or check.limit:
        return number(check.observed, decimals)
    return {"passed": "holds", "failed": "does not hold", "cannot_judge": "–"}[check.outcome]


def gate_counts(facts: Facts) -> list[tuple[Outcome, str]]:
    """How many gates ended how, failures first; outcomes that no gate had are left out."""
    outcomes = [check.outcome for check in facts.verdict.checks]
    return [
        (outcome, f"{count(outcomes.count(outcome))} {OUTCOME_NAMES[outcome]}")
        for outcome in _FAILURES_FIRST
        if outcome in outcomes
    ]
