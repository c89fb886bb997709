"""The report's section on behaviour: what was changed in the rows, what was expected, and how often it was broken."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from components._shared.behaviour import BehaviourCase, BehaviourFound
from components._shared.evidence import Estimate
from components._shared.facts import Facts
from components._shared.verdict import Outcome
from components.judge.report import plots
from components.judge.report.rows import from_zero
from components.judge.report.wording import (
    OUTCOME_NAMES,
    cluster_noun,
    count,
    number,
    percent,
    percent_interval,
    plural,
    shorten,
    signed,
)

_MOST_CASES = 5
_MOST_TESTS = 60


@dataclass(frozen=True)
class Case:
    """One row before and after the change."""

    key: str
    changed: tuple[tuple[str, str, str], ...]
    rest: tuple[tuple[str, str], ...]
    output: str
    before: str
    after: str
    moved: str
    decision: str


@dataclass(frozen=True)
class BehaviourRow:
    """One test: how often the expectation was broken, beside its limit and the champion."""

    name: str
    change: str
    expectation: str
    outcome: Outcome | None
    outcome_name: str
    rows: str
    clusters: str
    rate: str
    rate_interval: str
    where: str
    limit: str
    champion: str
    champion_interval: str
    largest: str
    plot: Markup
    reason: str
    cases: tuple[Case, ...]


def behaviour_rows(facts: Facts) -> list[BehaviourRow]:
    """The tests in the order of the task file; those that did not pass first."""
    outcomes = {
        check.name: check.outcome for check in facts.verdict.checks if check.name.startswith("behaviour.tests.")
    }
    rows = [_row(test, facts, outcomes.get(f"behaviour.tests.{test.name}")) for test in facts.behaviour.tests]
    return sorted(rows, key=lambda row: row.outcome == "passed")[:_MOST_TESTS]


def asked(facts: Facts) -> str:
    """Which rows were changed."""
    found = facts.behaviour
    if not found.rows:
        return ""
    text = f"{plural(found.rows, 'row')} of the test part were changed and asked again"
    if found.near and found.boundary is not None:
        text += f": {count(found.near)} of them those nearest to the threshold of {number(found.boundary)}"
        text += f" (up to {float(f'{found.farthest:.2g}'):g} away)" if found.farthest is not None else ""
        text += ", where a small push changes a decision"
    elif found.near:
        text += f": {count(found.near)} of them those where the two best answers lie nearest to each other"
    return f"{text}."


def notes(facts: Facts) -> list[str]:
    """What a reader has to know beside the table."""
    found = facts.behaviour
    said = []
    if found.near and any(test.champion is not None for test in found.tests):
        said.append(
            f"The {count(found.near)} nearest rows are those nearest by the candidate’s scores; the champion’s lie "
            "elsewhere, so in decisions the champion looks steadier here than it is."
        )
    uppers = {
        round(test.violations.interval[1], 4)
        for test in found.tests
        if test.violations is not None and not test.violations.value and test.violations.interval is not None
    }
    if len(uppers) > 1:
        said.append(
            f"Where no row broke the expectation, the interval still has an upper end, and not the same everywhere: "
            f"rows of one {cluster_noun(facts.gates)} are alike, so they count as fewer rows, and the more alike in a "
            "test, the fewer."
        )
    return said


def _row(test: BehaviourFound, facts: Facts, outcome: Outcome | None) -> BehaviourRow:
    return BehaviourRow(
        name=shorten(test.name, 63),
        change=shorten(test.change, 300),
        expectation=shorten(test.expectation, 300),
        outcome=outcome,
        outcome_name=OUTCOME_NAMES[outcome] if outcome else "",
        rows=plural(test.rows, "row"),
        clusters="" if cluster_noun(facts.gates) == "row" else plural(test.clusters, cluster_noun(facts.gates)),
        rate=percent(test.violations.value) if test.violations else "–",
        rate_interval=percent_interval(test.violations.interval) if test.violations else "",
        where=_where(test),
        limit=f"at most {percent(test.limit)}",
        champion=percent(test.champion.value) if test.champion else "–",
        champion_interval=percent_interval(test.champion.interval) if test.champion else "",
        largest=number(test.largest) if test.largest is not None else "–",
        plot=_plot(test),
        reason=shorten(test.reason, 400),
        cases=tuple(_case(case) for case in test.cases[:_MOST_CASES]),
    )


def _where(test: BehaviourFound) -> str:
    if test.near is None or test.elsewhere is None or not (test.near.value or test.elsewhere.value):
        return ""
    return f"{percent(test.near.value)} near the threshold, {percent(test.elsewhere.value)} elsewhere"


def _plot(test: BehaviourFound) -> Markup:
    if test.violations is None:
        return Markup("")
    axis = from_zero([test.violations, test.champion], 1.3 * test.limit, 0.01)
    beside = f"; champion {percent(test.champion.value)}" if test.champion else ""
    alt = (
        f"{test.name}: {_share(test.violations)} of the answers broke the expectation, "
        f"at most {percent(test.limit)} may{beside}"
    )
    return plots.levels(axis, test.violations, test.champion, test.limit, alt)


def _share(found: Estimate) -> str:
    return f"{percent(found.value)} {percent_interval(found.interval)}".strip()


def _case(case: BehaviourCase) -> Case:
    small = max(abs(case.score_before), abs(case.score_after or 0.0)) <= 1
    places = 3 if small else None
    changed = {one.feature for one in case.changed}
    decision = ""
    if case.decision_before != case.decision_after:
        decision = f"{shorten(case.decision_before, 40)} → {shorten(case.decision_after, 40) or 'no answer'}"
    return Case(
        key=shorten(case.key, 120),
        changed=tuple(
            (shorten(one.feature, 60), shorten(one.before, 60) or "(missing)", shorten(one.after, 60) or "(missing)")
            for one in case.changed
        ),
        rest=tuple(
            (shorten(name, 60), shorten(value, 60) or "(missing)")
            for name, value in list(case.row.items())[:60]
            if name not in changed
        ),
        output=shorten(case.output, 40),
        before=number(case.score_before, places),
        after=number(case.score_after, places) if case.score_after is not None else "no answer",
        moved="" if case.score_after is None else signed(case.score_after - case.score_before, places),
        decision=decision,
    )
