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


class ModelInfo(Contract):
    """A trained model.

    Attributes:
        digest: Over the model's files (path and SHA-256 of each), without model.json.
        inputs: Feature column → signature input, in the order of the features.
        outputs: `score`, shape [batch, 1] (binary, regression) or [batch, classes].
        fit_until: The latest moment whose labels were used to fit, tune or calibrate: the end of *tune*'s window.
        held_out: Tasks without time: the share of all keys, from the first, of which no row was used for that.
        base: The constant competitor from the training labels: (rate,), class rates, or (mean,).
        rows: Rows used to fit and to tune.
        made_from: Name → digest: train and tune manifests, learning section.
        code: Image tag that trained it.
        coefficients: Linear models: term → weight on the standardised scale.
    """

    format: Literal["saiki/model/v1"] = "saiki/model/v1"
    digest: str
    learning: LearningSection
    inputs: dict[str, ModelInput]
    outputs: tuple[str, ...] = ("score",)
    fit_until: AwareDatetime | None
    held_out: float | None = None
    base: tuple[float, ...]
    rows: dict[str, int]
    metrics: dict[str, float] = {}
    curve: tuple[CurvePoint, ...] = ()
    made_from: dict[str, str] = {}
    code: str = ""
    coefficients: dict[str, float] = {}
    notices: tuple[str, ...] = ()
