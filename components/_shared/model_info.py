"""`model.json`: what stands beside a SavedModel."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from components._shared.contract import Contract
from components._shared.task import LearningSection


class ModelInput(Contract):
    """How a raw feature column enters the `serving_default` signature.

    Attributes:
        name: The signature's argument, a valid identifier (column names are free text).
        dtype: numeric `float32` (missing: NaN), categorical `string` (missing: empty), boolean `float32` (missing:
            NaN), datetime `int64` (microseconds UTC; missing: the smallest int64). Every input has shape [batch, 1].
    """

    name: str
    dtype: Literal["float32", "string", "int64"]


class CurvePoint(Contract):
    """One epoch of the learning curve; losses are mean log-loss or mean squared error in the label's unit."""

    epoch: int
    train_loss: float
    tune_loss: float | None = None
    seconds: float = 0.0


class Term(Contract):
    """A term of a linear model on the natural scale.

    Attributes:
        name: As the report shows it, such as `distance` or `carrier=UA`; multiclass: `… → class`.
        feature: Its feature; empty: the intercept.
        category: Categorical features: the value; else empty.
        bucket: `other`: all values without a weight of their own; `missing`: rows without a value; else empty, also of
            a value that is called `(other)` or `(missing)`.
        output: Multiclass: the class; else empty.
        weight: Change of the log-odds (regression: of the value) per unit of the feature; categories: against the
            average row of *train*.
        interval: 95 %, from a sandwich over clusters of *train*; none: it could not be computed.
        unit: `per unit`, `against the average`, or `when missing`.
        share: Of the rows of *train* with this category, or without a value; numbers: none.
    """

    name: str
    feature: str = ""
    category: str = ""
    bucket: Literal["", "other", "missing"] = ""
    output: str = ""
    weight: float
    interval: tuple[float, float] | None = None
    unit: str = ""
    share: float | None = None


class FeatureEncodingInfo(Contract):
    """How the model prepares a feature, as far as a reader needs it.

    Attributes:
        values: Categorical: the values with weights of their own, most frequent first.
        figures: Numeric: `mean`, `scale`; what else there is.
    """

    values: tuple[str, ...] = ()
    figures: dict[str, float] = {}


class ModelInfo(Contract):
    """A trained model.

    Attributes:
        digest: Over the model's files (path and SHA-256 of each), without model.json.
        inputs: Feature column → signature input, in the order of the features.
        outputs: `score`, shape [batch, 1] (binary, regression) or [batch, classes].
        fit_until: The latest moment whose labels were used to fit, tune or calibrate: the end of *tune*'s window.
        held_out: Tasks without time: the share of all keys, from the first, of which no row was used for that.
        base: The constant competitor from the training labels: (rate,), class rates, or (mean,).
        label_std: Regression: standard deviation of the training labels; none: not recorded.
        rows: Rows used to fit and to tune.
        made_from: Name → digest: train and tune manifests, learning section.
        code: Image tag that trained it.
        coefficients: Linear models: term → weight on the standardised scale.
        terms: Linear models: the same on the natural scale, with intervals.
        encoding: Feature → how it is prepared; of trainers that say so.
        native: Trees and the like: feature → their own figures, such as `gain` and `splits`.
        documents: Files beside the SavedModel that hold the same function: `pmml`, `pfa` → file name.
    """

    format: Literal["saiki/model/v1"] = "saiki/model/v1"
    digest: str
    learning: LearningSection
    inputs: dict[str, ModelInput]
    outputs: tuple[str, ...] = ("score",)
    fit_until: AwareDatetime | None
    held_out: float | None = None
    base: tuple[float, ...]
    label_std: float | None = None
    rows: dict[str, int]
    metrics: dict[str, float] = {}
    curve: tuple[CurvePoint, ...] = ()
    made_from: dict[str, str] = {}
    code: str = ""
    coefficients: dict[str, float] = {}
    terms: tuple[Term, ...] = ()
    encoding: dict[str, FeatureEncodingInfo] = {}
    native: dict[str, dict[str, float]] = {}
    documents: dict[str, str] = {}
    notices: tuple[str, ...] = ()
