"""Evidence: the facts that `validate` and `evaluate` hand to `judge` and to its report, besides their verdicts."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from components._shared.contract import Contract
from components._shared.gates import Metric
from components._shared.manifest import Example, Rows
from components._shared.task import FeatureKind, Problem
from components._shared.windows import Window


class Bin(Contract):
    """A bar of a histogram: numbers in `[low, high)`, or one category."""

    label: str
    share: float
    low: float | None = None
    high: float | None = None


class FeatureDrift(Contract):
    """How a feature's values moved against another set of rows.

    Attributes:
        psi: Population stability index, natural logarithm.
        ks: Kolmogorov-Smirnov distance (numbers), or half the L1 distance between the shares (categories).
    """

    psi: float
    ks: float


class FeatureFacts(Contract):
    """What is known of a feature's values in *train*."""

    name: str
    kind: FeatureKind
    rows: int
    missing: float
    distinct: int | None = None
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    median: float | None = None
    max: float | None = None
    bins: tuple[Bin, ...] = ()
    unseen: float | None = None
    drift: FeatureDrift | None = None
    skew: FeatureDrift | None = None


class Anomaly(Contract):
    """Something that TensorFlow Data Validation, or a limit of the pinned schema, objects to."""

    column: str
    kind: str
    description: str
    severity: Literal["error", "notice"]


class DataEvidence(Contract):
    """Facts about the rows.

    Attributes:
        previous: Which snapshot drift was measured against, or empty.
        proposal: YAML of the proposed schema if it differs from the pinned one, else empty.
    """

    format: Literal["saiki/data-evidence/v1"] = "saiki/data-evidence/v1"
    rows: Rows
    parts: dict[str, int]
    features: tuple[FeatureFacts, ...]
    label: FeatureFacts | None = None
    anomalies: tuple[Anomaly, ...] = ()
    set_aside: tuple[Example, ...] = ()
    notices: tuple[str, ...] = ()
    previous: str = ""
    proposal: str = ""


class Estimate(Contract):
    """A figure with its 95 % interval from a bootstrap over clusters.

    Attributes:
        error: Of a difference: its standard error by the cluster jackknife; decisions at other levels rest on it.
        skewness: Of a difference: that of its clusters; below zero, a few of them are much lower than the others.
        clusters: Of a difference: as many clusters of one size tell as much as those that there are (`intervals.py`).
    """

    value: float
    interval: tuple[float, float] | None = None
    error: float | None = None
    skewness: float | None = None
    clusters: int | None = None


class Figures(Contract):
    """One metric of one slice.

    Attributes:
        difference: Candidate minus champion, on the same rows, resampled together.
        constant: The value that the constant competitor reaches on these rows.
    """

    candidate: Estimate
    champion: Estimate | None = None
    difference: Estimate | None = None
    reference: Estimate | None = None
    reference_difference: Estimate | None = None
    constant: float | None = None


class SliceFigures(Contract):
    """All metrics of one slice; `column` and `value` are empty for all rows. A metric without a value is absent."""

    column: str
    value: str
    rows: int
    clusters: int
    label_mean: float | None
    metrics: dict[Metric, Figures]


class Point(Contract):
    """A point of a curve; `low` and `high` are its 95 % interval, `rows` its weight."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    rows: int | None = None


class CalibrationLine(Contract):
    """How a binary model's probabilities relate to what came true, as a line between their logits.

    Attributes:
        score_mean: Mean score.
        bias: Mean score minus the rate of the positive class; above zero: it promises too much.
        slope: Of the logit of the rate over the logit of the score (Cox, Two further applications of a model for binary
            regression, 1958): 1 is right, below 1 the scores are too extreme, above 1 too timid.
        intercept: Of that line: 0 is right if the slope is 1.
    """

    score_mean: float
    bias: Estimate
    slope: Estimate | None = None
    intercept: Estimate | None = None


class ThresholdCost(Contract):
    """What deciding by the task's threshold costs beside the threshold that these rows would have liked best.

    The best one is known in hindsight only, so it looks better than it is: nothing is ever decided by it.

    Attributes:
        declared: The task's threshold, declared or computed from its costs.
        declared_cost: Mean cost of a row with it.
        best: The threshold of the least cost on these rows; above 1: acting on no row.
        best_cost: Mean cost of a row with it.
        saved: The first cost minus the second, paired; its interval does not know that the best was looked for.
    """

    declared: float
    declared_cost: Estimate
    best: float
    best_cost: Estimate
    saved: Estimate


class Curves(Contract):
    """Curves of one model, at most 200 points each.

    Attributes:
        roc: Binary: x false positive rate, y true positive rate.
        pr: Binary: x recall, y precision.
        calibration: Binary, multiclass (top class): x mean score, y observed rate, by equal-mass bins.
        predicted: Regression: x mean score, y mean label, by equal-mass bins of the score.
        residuals: Regression: histogram of label minus score (x centre, y share).
        scores: Histogram of the scores (x centre, y share).
        confusion: Classification: rows = true class, columns = decided class, counts. Decided by the task's rule: the
            threshold, or the least expected cost; without one, 0.5 or the likeliest class.
        classes: Names of the classes of `confusion`.
        threshold: Binary: what `confusion` was decided by.
        line: Binary: how the probabilities relate to what came true.
        costs: Binary, where the task declares costs: x threshold, y mean cost of a row.
        threshold_cost: The same at the task's threshold and at the best one in hindsight.
    """

    roc: tuple[Point, ...] = ()
    pr: tuple[Point, ...] = ()
    calibration: tuple[Point, ...] = ()
    predicted: tuple[Point, ...] = ()
    residuals: tuple[Point, ...] = ()
    scores: tuple[Point, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    classes: tuple[str, ...] = ()
    threshold: float | None = None
    line: CalibrationLine | None = None
    costs: tuple[Point, ...] = ()
    threshold_cost: ThresholdCost | None = None


class Saving(Contract):
    """What one model's decisions save against another's on the same rows; below zero they cost more.

    Attributes:
        cost: Mean cost of a row of the other.
        per_row: Saved on a row: the other's mean cost minus the candidate's.
        per_cluster: The same times the rows (their weight) of a mean cluster: a day, unless the task names others.
        total: The same times all rows (their weight) that judged.
    """

    cost: float
    per_row: Estimate
    per_cluster: Estimate
    total: Estimate


class Value(Contract):
    """What the candidate is worth, in the unit of the task's costs.

    Attributes:
        cost: Mean cost of a row under the candidate's decisions.
        champion: Saved against the champion; none: there is none.
        constant: Saved against the one decision for all rows that costs least by the training labels (regression: the
            training mean as everyone's prediction); none: they are not known.
        constant_decision: That decision: `1`, `0`, a class, or a value.
        hindsight: Saved against the one decision for all rows that would have cost least on these very rows; nobody
            could know it beforehand.
        hindsight_decision: That decision.
    """

    unit: str = ""
    cost: Estimate
    champion: Saving | None = None
    constant: Saving | None = None
    constant_decision: str = ""
    hindsight: Saving | None = None
    hindsight_decision: str = ""


class Evaluation(Contract):
    """Facts about the candidate's predictions, beside the champion's.

    Attributes:
        engine: `vectorised` or `tfma`.
        rows, clusters: Labelled test rows that judged, and the clusters (days) they fall in.
        fair_from: Rows before it were left out because one of the models had used labels of that time.
        left_out: Labelled test rows before `fair_from`.
        constant_beats_both: Metrics in which the constant competitor is better than candidate and champion.
        looks: As one of how many decisions of a quarter this one counts, where `improve` asks for evidence.
        value: What the candidate's decisions save; none: the task declares no costs.
    """

    format: Literal["saiki/evaluation/v1"] = "saiki/evaluation/v1"
    engine: Literal["vectorised", "tfma"]
    problem: Problem
    rows: int
    clusters: int
    window: Window | None = None
    fair_from: AwareDatetime | None = None
    left_out: int = 0
    champion: str = ""
    reference: str = ""
    overall: SliceFigures
    slices: tuple[SliceFigures, ...] = ()
    constant_beats_both: tuple[Metric, ...] = ()
    looks: int = Field(1, ge=1)
    curves: Curves = Curves()
    champion_curves: Curves | None = None
    value: Value | None = None
