"""Evidence: the facts that `validate` and `evaluate` hand to `judge` and to its report, besides their verdicts."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

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
    """A figure with its 95 % interval from a bootstrap over clusters."""

    value: float
    interval: tuple[float, float] | None = None


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


class Curves(Contract):
    """Curves of one model, at most 200 points each.

    Attributes:
        roc: Binary: x false positive rate, y true positive rate.
        pr: Binary: x recall, y precision.
        calibration: Binary, multiclass (top class): x mean score, y observed rate, by equal-mass bins.
        predicted: Regression: x mean score, y mean label, by equal-mass bins of the score.
        residuals: Regression: histogram of label minus score (x centre, y share).
        scores: Histogram of the scores (x centre, y share).
        confusion: Classification: rows = true class, columns = predicted class (binary: threshold 0.5), counts.
        classes: Names of the classes of `confusion`.
    """

    roc: tuple[Point, ...] = ()
    pr: tuple[Point, ...] = ()
    calibration: tuple[Point, ...] = ()
    predicted: tuple[Point, ...] = ()
    residuals: tuple[Point, ...] = ()
    scores: tuple[Point, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    classes: tuple[str, ...] = ()


class Evaluation(Contract):
    """Facts about the candidate's predictions, beside the champion's.

    Attributes:
        engine: `vectorised` or `tfma`.
        rows, clusters: Labelled test rows that judged, and the clusters (days) they fall in.
        fair_from: Rows before it were left out because one of the models had used labels of that time.
        left_out: Labelled test rows before `fair_from`.
        constant_beats_both: Metrics in which the constant competitor is better than candidate and champion.
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
    curves: Curves = Curves()
    champion_curves: Curves | None = None
