"""Tests of behaviour as a task declares them: how rows are changed, and what is expected of the model's answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from components._shared.contract import Contract
from components._shared.errors import TaskError
from components._shared.windows import Span, parse_span

if TYPE_CHECKING:
    from components._shared.decision_rule import DecisionRule
    from components._shared.task import FeatureKind

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Change(Contract):
    """How a row is changed: exactly one of these.

    Attributes:
        jitter: Noise from a normal distribution, its standard deviation in units of the feature's own, in
            which single extreme values hardly count. Columns of whole numbers stay whole, and no value leaves the
            range of the column's.
        round_to: Numbers are rounded to the nearest multiple of this.
        missing: The values are taken away.
        set_to: The value becomes this one, such as a category that nobody has seen.
        swap: Words that mean the same, such as [[EWR, "Newark"]]: each is replaced by the next of its group.
        replace: The value is replaced by that of another row, drawn at random.
        shift: The clock is wrong by this much, such as 1h or -30min (datetime features). What would leave the calendar
            stays as it is.
        add: This much is added, in the feature's own unit.
    """

    jitter: FiniteFloat | None = Field(None, gt=0)
    round_to: FiniteFloat | None = Field(None, gt=0)
    missing: Literal[True] | None = None
    set_to: FiniteFloat | str | None = None
    swap: tuple[tuple[str, ...], ...] | None = None
    replace: Literal[True] | None = None
    shift: str | None = None
    add: FiniteFloat | None = None

    @property
    def kind(self) -> str:
        """Which one it is."""
        return self._given()[0]

    def _given(self) -> list[str]:
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = self._given()
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(type(self).model_fields)}, not {', '.join(given) or 'none'}"
            )
        return self


class Expectation(Contract):
    """What is expected of the answers: at least one of these. Scores are probabilities, or values in the label's unit.

    Attributes:
        within: The score moves by at most this.
        same_decision: What is decided by the score does not change.
        direction: The score does not fall (`up`) or does not rise (`down`) by more than `slack`.
        min, max: Bounds of the new score.
        output: Multiclass: the class whose score is meant; empty: any class (`direction` needs one).
    """

    within: FiniteFloat | None = Field(None, ge=0)
    same_decision: Literal[True] | None = None
    direction: Literal["up", "down"] | None = None
    slack: FiniteFloat = Field(0.0, ge=0)
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    output: str = ""

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if all(value is None for name, value in self if name not in ("slack", "output")):
            raise ValueError("say what is expected: within, same_decision, direction, min or max")
        return self


class BehaviourTest(Contract):
    """One test.

    Attributes:
        features: Which features are changed, all in the same row. Others that are computed from them are not.
        violations: Largest share of the rows whose answer may break the expectation.
        evidence: `point`: the share itself stays within; `interval`: the upper end of its 95 % interval does.
    """

    name: Name
    features: tuple[str, ...] = Field(min_length=1)
    change: Change
    expect: Expectation
    violations: float = Field(0.0, ge=0, le=1)
    evidence: Literal["point", "interval"] = "point"


_ALL: tuple[FeatureKind, ...] = ("numeric", "categorical", "boolean", "datetime")

_KINDS_OF: dict[str, tuple[FeatureKind, ...]] = {
    "jitter": ("numeric",),
    "round_to": ("numeric",),
    "add": ("numeric",),
    "swap": ("categorical",),
    "set_to": ("numeric", "categorical"),
    "shift": ("datetime",),
}
"""Changes that do not go with every kind of feature."""

_ONE_WAY = ("add", "shift", "set_to", "missing")
"""Changes that move every row the same way, so that an answer may be expected to follow; `set_to` of a category."""

_LARGEST = 3.4028234663852886e38
"""Numbers enter a model as 32-bit floats: what is larger is infinite there."""


def parse_shift(text: str) -> tuple[int, Span]:
    """Reads `1h` or `-30min`: its sign, and the span.

    Raises:
        ValueError: It is none.
    """
    return (-1 if text.startswith("-") else 1), parse_span(text.removeprefix("-"))


def check_tests(
    tests: Iterable[BehaviourTest],
    features: Mapping[str, FeatureKind],
    problem: str,
    classes: tuple[str | int, ...] | None,
    decision: DecisionRule,
) -> None:
    """Finds the mistakes of a declaration before anything is trained.

    Args:
        features: Name → kind of the model's features; every feature of a test is one of them.
        problem, classes, decision: Of the task.

    Raises:
        TaskError: A change does not go with a feature, or nothing can be expected that way; it names the field.
    """
    for test in tests:
        where = f"gates.behaviour.tests.{test.name}"
        if test.evidence == "interval" and not test.violations:
            raise _mistake(
                "However many rows hold it, the upper end of an interval is above 0",
                f"{where}.violations",
                "allow a small share, such as 0.01, or say evidence: point",
            )
        _check_change(test, features, where)
        _check_expectation(test, problem, tuple(str(one) for one in classes or ()), decision, where)


def _check_change(test: BehaviourTest, features: Mapping[str, FeatureKind], where: str) -> None:
    change, kind = test.change, test.change.kind
    if len(set(test.features)) < len(test.features):
        raise _mistake("A feature is named twice", f"{where}.features", "name it once")
    for name in test.features:
        fitting = _KINDS_OF.get(kind)
        if fitting is not None and features[name] not in fitting:
            others = [other for other in type(change).model_fields if features[name] in _KINDS_OF.get(other, _ALL)]
            raise _mistake(
                f"{kind} is for {' and '.join(fitting)} features, and {name!r} is {features[name]}",
                f"{where}.change.{kind}",
                f"for a {features[name]} feature use one of: {', '.join(others)}",
            )
        if kind == "set_to" and isinstance(change.set_to, str) != (features[name] == "categorical"):
            raise _mistake(
                f"{change.set_to!r} is no value of {name!r}, which is {features[name]}",
                f"{where}.change.set_to",
                "write a text in quotes for a categorical feature, a number without for a numeric one",
            )
    number = change.add if change.add is not None else change.set_to
    if isinstance(number, float) and abs(number) > _LARGEST:
        raise _mistake(
            f"{number:g} is infinite to a model, which takes numbers up to {_LARGEST:.2g}",
            f"{where}.change.{kind}",
            "write one nearer to 0",
        )
    if change.shift is not None:
        try:
            parse_shift(change.shift)
        except ValueError as cause:
            raise _mistake(str(cause), f"{where}.change.shift", "write for example 1h, -30min or 1d") from cause
    if change.swap is not None:
        _check_groups(change.swap, f"{where}.change.swap")


def _check_groups(groups: tuple[tuple[str, ...], ...], where: str) -> None:
    words = [word for group in groups for word in group]
    if not groups or any(len(set(group)) < 2 for group in groups):
        raise _mistake(
            "A group of synonyms has fewer than two different words", where, 'write groups such as [[NYC, "New York"]]'
        )
    if twice := [word for word in words if words.count(word) > 1]:
        raise _mistake(f"The word {twice[0]!r} stands twice", where, "give each word one group, and put it there once")


def _check_expectation(
    test: BehaviourTest, problem: str, classes: tuple[str, ...], decision: DecisionRule, where: str
) -> None:
    expect = test.expect
    where = f"{where}.expect"
    if expect.min is not None and expect.max is not None and expect.min > expect.max:
        raise _mistake(f"min {expect.min:g} is above max {expect.max:g}", f"{where}.min", "swap them")
    if expect.output and problem != "multiclass_classification":
        raise _mistake(f"output is for multiclass_classification, this is {problem}", f"{where}.output", "leave it out")
    if expect.output and expect.output not in classes:
        raise _mistake(f"{expect.output!r} is not a class", f"{where}.output", f"use one of: {', '.join(classes)}")
    if expect.direction is not None:
        if problem == "multiclass_classification" and not expect.output:
            raise _mistake(
                "The direction of which class?", f"{where}.direction", f"add output, one of: {', '.join(classes)}"
            )
        if isinstance(test.change.set_to, float):
            raise _mistake(
                f"set_to {test.change.set_to:g} raises the value of some rows and lowers that of others, so no "
                "direction can be expected of the score",
                f"{where}.direction",
                "use add, which moves every row the same way; or expect within, min or max",
            )
        if test.change.kind not in _ONE_WAY:
            raise _mistake(
                f"{test.change.kind} changes a value either way, so no direction can be expected of the score",
                f"{where}.direction",
                f"use one of these changes: {', '.join(_ONE_WAY)}",
            )
    elif expect.slack:
        raise _mistake("slack goes with direction", f"{where}.slack", "leave it out, or say the direction")
    if expect.same_decision and problem == "regression" and decision.threshold is None:
        raise _mistake(
            "Nothing is decided by the score, so no decision can stay the same",
            f"{where}.same_decision",
            "give decision.threshold, or expect within",
        )
    limits = {name: getattr(expect, name) for name in ("within", "slack", "min", "max")}
    for name, limit in limits.items():
        if problem != "regression" and limit is not None and not 0 <= limit <= 1:
            raise _mistake(
                f"{name} is {limit:g}, but scores are probabilities", f"{where}.{name}", "write a number from 0 to 1"
            )


def _mistake(what: str, where: str, fix: str) -> TaskError:
    return TaskError(what, where=f"{where} in the task file", fix=fix)
