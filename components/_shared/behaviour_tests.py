"""Tests of behaviour as a task declares them: how rows are changed, and what is expected of the model's answers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from components._shared.contract import Contract

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Change(Contract):
    """How a row is changed: exactly one of these.

    Attributes:
        jitter: Noise from a normal distribution, its standard deviation in units of the feature's own.
        round_to: Numbers are rounded to a multiple of this.
        missing: The values are taken away.
        swap: Words that mean the same, such as [[EWR, "Newark"]]: each is replaced by the next of its group.
        replace: The value is replaced by another one of the column, drawn as often as rows hold it.
        shift: The clock is wrong by this much, such as 1h or -30min (datetime features).
        add: This much is added, in the feature's own unit.
    """

    jitter: float | None = Field(None, gt=0)
    round_to: float | None = Field(None, gt=0)
    missing: Literal[True] | None = None
    swap: tuple[tuple[str, ...], ...] | None = None
    replace: Literal[True] | None = None
    shift: str | None = None
    add: float | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
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
    """

    within: float | None = Field(None, ge=0)
    same_decision: Literal[True] | None = None
    direction: Literal["up", "down"] | None = None
    slack: float = Field(0.0, ge=0)
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if all(value is None for name, value in self if name != "slack"):
            raise ValueError("say what is expected: within, same_decision, direction, min or max")
        return self


class BehaviourTest(Contract):
    """One test.

    Attributes:
        features: Which features are changed, all in the same row.
        violations: Largest share of the rows whose answer may break the expectation.
        evidence: `point`: the share itself stays within; `interval`: the upper end of its 95 % interval does.
    """

    name: Name
    features: tuple[str, ...] = Field(min_length=1)
    change: Change
    expect: Expectation
    violations: float = Field(0.0, ge=0, le=1)
    evidence: Literal["point", "interval"] = "point"
