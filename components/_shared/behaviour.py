"""What tests of behaviour found: the evidence that `behave` hands to `judge`."""

from __future__ import annotations

from typing import Literal

from components._shared.contract import Contract
from components._shared.evidence import Estimate


class Before(Contract):
    """A feature's value before and after a change, as a reader would write it."""

    feature: str
    before: str
    after: str


class BehaviourCase(Contract):
    """One row whose answer broke the expectation.

    Attributes:
        key: `_key` of the row.
        changed: What was changed.
        row: Feature → value of the rest of the row.
        output: Multiclass: the class whose scores these are.
        score_before, score_after: Answers; after is none where it is not a finite number.
        decision_before, decision_after: Multiclass: the classes that are decided for.
    """

    key: str
    changed: tuple[Before, ...]
    row: dict[str, str]
    output: str = ""
    score_before: float
    score_after: float | None
    decision_before: str = ""
    decision_after: str = ""


class BehaviourFound(Contract):
    """What one test found.

    Attributes:
        name: Of the test.
        change, expectation: In words.
        rows: Rows that were changed by it; those that it leaves as they are do not count.
        violations: Share of them whose answer broke the expectation, with an interval over clusters.
        near, elsewhere: The same of the rows nearest to the decision boundary, and of the others.
        limit: Largest share that is allowed.
        champion: The champion's share on the same rows; none: there is no champion, it does not answer them, or it does
            not take each of the test's features as the candidate does.
        largest: Largest move of a score that the expectation is about, whether or not it is within it: either way
            (`within`), the wrong way (`direction`), of rows that are decided otherwise, or beyond a bound.
        cases: The worst ones: those that exceed a limit by most, first.
        reason: Why nothing could be tested, or how the model failed to answer; else empty.
    """

    name: str
    change: str
    expectation: str
    rows: int
    clusters: int
    violations: Estimate | None = None
    near: Estimate | None = None
    elsewhere: Estimate | None = None
    limit: float
    champion: Estimate | None = None
    largest: float | None = None
    cases: tuple[BehaviourCase, ...] = ()
    reason: str = ""


class BehaviourEvidence(Contract):
    """What all tests found.

    Attributes:
        rows: Rows that were asked: those nearest to the decision boundary, and some from everywhere.
        near: How many of them are the nearest.
        boundary: The threshold that they are near to; none: multiclass, or nothing is decided (then none is near).
        farthest: Distance from it of the farthest of the nearest; multiclass: between the expected costs of the best
            two classes (without costs: between their probabilities).
    """

    format: Literal["saiki/behaviour/v1"] = "saiki/behaviour/v1"
    rows: int = 0
    near: int = 0
    boundary: float | None = None
    farthest: float | None = None
    tests: tuple[BehaviourFound, ...] = ()
