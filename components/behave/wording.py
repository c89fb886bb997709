"""Tests, changes and answers in words, for a reader who does not know the code."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from components._shared.behaviour import BehaviourCase
from components._shared.behaviour_tests import BehaviourTest, Expectation
from components._shared.evidence import Estimate
from components._shared.measuring.fair_rows import MISSING
from components._shared.task import BehaviourSection
from components._shared.windows import zone
from components.behave.asking import Spread


def change_in_words(test: BehaviourTest, spread: dict[str, Spread], stale: tuple[str, ...] = ()) -> str:
    """What a test does to a row.

    Args:
        spread: Of its numeric features, for noise in their own unit.
        stale: Features that are computed from what it changes, and are not changed with it.
    """
    said = _change(test, spread)
    if not stale:
        return said
    source = "it" if len(test.features) == 1 else "them"
    stays = "stays as it was" if len(stale) == 1 else "stay as they were"
    return f"{said} ({_listed(stale)}, computed from {source}, {stays})"


def _change(test: BehaviourTest, spread: dict[str, Spread]) -> str:
    names, change = _listed(test.features), test.change
    match change.kind:
        case "jitter":
            size = ", ".join(f"{(change.jitter or 0) * spread[name].deviation:.3g}" for name in test.features)
            return f"noise of {change.jitter:g} standard deviations ({size}) on {names}"
        case "round_to":
            return f"{names} rounded to {change.round_to:g}"
        case "add":
            return f"{names} {'plus' if (change.add or 0) >= 0 else 'minus'} {abs(change.add or 0):g}"
        case "missing":
            return f"{names} missing"
        case "set_to":
            return f"{names} set to {change.set_to if isinstance(change.set_to, str) else f'{change.set_to:g}'}"
        case "swap":
            groups = "; ".join(" = ".join(group) for group in change.swap or ())
            return f"{names} in other words ({groups})"
        case "replace":
            return f"{names} taken from another row"
        case _:
            shift = change.shift or ""
            return f"{names} {shift.removeprefix('-')} {'earlier' if shift.startswith('-') else 'later'}"


def expectation_in_words(expect: Expectation, section: BehaviourSection) -> str:
    """What is expected of the score."""
    score = f"the score of {expect.output}" if expect.output else "the score"
    said = []
    if expect.within is not None:
        said.append(f"{score} moves by at most {expect.within:g}")
    if expect.same_decision:
        threshold = section.decision.threshold_of(section.problem)
        said.append("the decision stays the same" + ("" if threshold is None else f" (at {threshold:g})"))
    if expect.direction is not None:
        slack = f" by more than {expect.slack:g}" if expect.slack else ""
        said.append(f"{score} does not {'fall' if expect.direction == 'up' else 'rise'}{slack}")
    if expect.min is not None:
        said.append(f"{score} is at least {expect.min:g}")
    if expect.max is not None:
        said.append(f"{score} is at most {expect.max:g}")
    return " and ".join(said)


def value_in_words(value: Any, timezone: str) -> str:
    """A feature's value, moments in the task's time zone."""
    if value is None or value != value:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return _moment(value, timezone)
    return value.isoformat() if isinstance(value, date) else str(value)


def _moment(value: datetime, timezone: str) -> str:
    try:
        local, said = value.astimezone(zone(timezone)), ""
    except OverflowError:  # Such as 0001-01-01, which is no day yet west of UTC: said as it is stored.
        local, said = value.astimezone(UTC), " UTC"
    return local.replace(tzinfo=None).isoformat(" ", "minutes") + said


def share_in_words(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.3g} %"


def interval_in_words(found: Estimate) -> str:
    """An estimate's interval; empty: there is none."""
    if found.interval is None:
        return ""
    return f"95 % interval {share_in_words(found.interval[0])} to {share_in_words(found.interval[1])}"


def case_in_words(case: BehaviourCase) -> str:
    """What was changed, and what came of it."""
    changed = ", ".join(f"{each.feature} {each.before} → {each.after}" for each in case.changed)
    after = "no finite number" if case.score_after is None else f"{case.score_after:.4g}"
    output = f" of {case.output}" if case.output else ""
    decided = ""
    if case.decision_before != case.decision_after:
        decided = f", the decision from {case.decision_before} to {case.decision_after}"
    return f"{changed} takes the score{output} from {case.score_before:.4g} to {after}{decided}"


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
