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
        score_before, score_after: Answers; multiclass: of the class named in `output`.
    """

    key: str
    changed: tuple[Before, ...]
    row: dict[str, str]
    output: str = ""
    score_before: float
    score_after: float


class BehaviourFound(Contract):
    """What one test found.

    Attributes:
        name: Of the test.
        change, expectation: In words.
        rows: Rows that were changed by it; those that it leaves as they are do not count.
        violations: Share of them whose answer broke the expectation, with an interval over clusters.
        limit: Largest share that is allowed.
        champion: The champion's share on the same rows, if it was asked.
        largest: Largest move of a score against the expectation.
        cases: The worst ones, the worst first.
        reason: Why nothing could be tested, or empty.
    """

    name: str
    change: str
    expectation: str
    rows: int
    clusters: int
    violations: Estimate | None = None
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
        boundary: The threshold that they are near to; none: the rows where the best two classes are nearest, or any.
        farthest: Distance from it of the farthest of the nearest.
    """

    format: Literal["saiki/behaviour/v1"] = "saiki/behaviour/v1"
    rows: int = 0
    near: int = 0
    boundary: float | None = None
    farthest: float | None = None
    tests: tuple[BehaviourFound, ...] = ()
