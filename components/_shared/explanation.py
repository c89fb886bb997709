"""What a model has learned: the evidence that `explain` hands to `judge`. The same table for all models."""

from __future__ import annotations

from typing import Literal

from components._shared.contract import Contract
from components._shared.evidence import Estimate
from components._shared.task import FeatureKind


class SliceImportance(Contract):
    """How much a feature matters in one slice."""

    column: str
    value: str
    rows: int
    importance: Estimate


class FeatureImportance(Contract):
    """How much a feature matters.

    Attributes:
        importance: How much the loss grows when the feature's values are shuffled among the rows.
        share: Of the sum of all importances above zero, 0 to 1.
        share_interval: Its 95 % interval; from zero on where the importance may be nothing, and none where the sum of
            all may.
        champion: The champion's importance of it on the same rows, if it was asked.
        native: The model's own figures, such as `gain` and `splits` of trees.
    """

    feature: str
    kind: FeatureKind
    importance: Estimate
    share: float
    share_interval: tuple[float, float] | None = None
    champion: Estimate | None = None
    slices: tuple[SliceImportance, ...] = ()
    native: dict[str, float] = {}


class DependencePoint(Contract):
    """A value of a feature, and the mean score if all rows had it.

    Attributes:
        x: Numbers; of datetimes the hour (0 to 23) or the month (1 to 12); none: a category, or `(missing)`, which
            stands last.
        label: As a reader would write it.
        low, high: 95 % interval over clusters of the mean score.
        share: Of the rows, by weight, with this value (categories), or from it up to the next.
        champion: The champion's mean score, if it has the feature.
    """

    x: float | None = None
    label: str
    mean: float
    low: float | None = None
    high: float | None = None
    share: float = 0.0
    champion: float | None = None


class Dependence(Contract):
    """Partial dependence of one output on one feature (Friedman, Greedy function approximation, 2001).

    Attributes:
        part: Of a datetime: `hour of day` or `month`, in the task's time zone; of a date `month`, as it is written;
            else empty.
        output: Multiclass: the class; else empty.
        points: Numbers in order, categories the most frequent first.
    """

    feature: str
    kind: FeatureKind
    part: str = ""
    output: str = ""
    points: tuple[DependencePoint, ...]


class Explanation(Contract):
    """What a model has learned.

    Attributes:
        loss: `log_loss` or `squared_error` (mean, in the label's unit squared).
        base: The loss on the rows as they are.
        rows, clusters: Rows that were asked, and their clusters.
        repeats: How often each feature was shuffled.
        importances: The most important feature first.
        dependences: Of the most important features, in their order.
    """

    format: Literal["saiki/explanation/v1"] = "saiki/explanation/v1"
    loss: Literal["log_loss", "squared_error"]
    base: Estimate | None = None
    rows: int
    clusters: int
    repeats: int = 1
    importances: tuple[FeatureImportance, ...] = ()
    dependences: tuple[Dependence, ...] = ()
    notices: tuple[str, ...] = ()
