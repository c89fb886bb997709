"""What a model answers for some rows: one way for every step that asks one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components._shared.errors import DataError, ModelError
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import input_columns
from components._shared.saved_model import SavedModel

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 32_768


def score_batch(model: SavedModel, info: ModelInfo, batch: pa.RecordBatch) -> NDArray[Any]:
    """The scores of some rows, float64 [rows, outputs].

    Args:
        batch: Rows that have the model's feature columns by name.

    Raises:
        ModelError: The model does not answer, or answers with another shape.
    """
    return score_values(model, info, input_columns(batch, info.learning.features.items()))


def score_values(model: SavedModel, info: ModelInfo, values: Mapping[str, Any]) -> NDArray[Any]:
    """The scores of some rows that are already as the model takes them, float64 [rows, outputs].

    Args:
        values: Feature → values, as `input_columns` gives them.

    Raises:
        ModelError: The model does not answer, or answers with another shape.
    """
    import numpy as np

    rows = len(next(iter(values.values())))
    scores = model.answer({info.inputs[name].name: column for name, column in values.items()}).get("score")
    if scores is None or scores.ndim != 2 or scores.shape != (rows, len(info.learning.classes or (1,))):
        shape = "nothing" if scores is None else f"an array of shape {list(scores.shape)}"
        raise ModelError(
            f"The model answers 'score' with {shape} for {rows} rows",
            fix="binary classification and regression answer [rows, 1], multiclass [rows, classes]",
        )
    return scores.astype(np.float64)


def check_finite(batch: pa.RecordBatch, scores: NDArray[Any], where: str) -> None:
    """Holds every score to be a number.

    Args:
        batch: The rows, with their `_key`.
        scores: [rows, outputs].

    Raises:
        DataError: One is not; it names the first such row.
    """
    import numpy as np

    wrong = ~np.isfinite(scores).all(axis=1)
    if wrong.any():
        key = batch.column(batch.schema.get_field_index("_key"))[int(wrong.argmax())].as_py()
        raise DataError(
            f"The model's score is not a finite number for {int(wrong.sum())} rows, first the one with _key {key}",
            where=where,
            fix="look at that row's features for extreme values, or at how the trainer treats missing ones",
        )
