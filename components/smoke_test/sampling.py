"""Rows, and the scores that a version must give to them, to be asked of whoever serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components._shared.model_info import ModelInfo
from components._shared.model_inputs import input_columns
from components._shared.samples import Samples, Value
from components._shared.saved_model import Strings
from components.smoke_test.scale import scales

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_EXTREME = 10.0
"""Times the median of the tolerances: all rows share one, and that of a row beyond it would let the others be wrong."""

SPREAD = 24
"""Rows at equal distances; those with missing values come on top."""


def samples_of(rows: pa.RecordBatch, stored: NDArray[Any], info: ModelInfo, *, largest: float) -> Samples:
    """Some of the rows as a model takes them, with the scores that are stored for them.

    Args:
        rows: Raw feature columns.
        stored: A line of scores for each row.
        largest: Largest difference of a score that is still the same answer, in units of its scale (`scale.py`).
    """
    import numpy as np

    columns = input_columns(rows, info.learning.features.items())
    chosen = _with_missing(rows) | {int(place) for place in np.linspace(0, rows.num_rows - 1, SPREAD)}
    tolerances = largest * scales(stored, info).max(axis=1)
    fit = tolerances <= _EXTREME * np.median(tolerances)
    # JSON has no word for infinity.
    places = [
        place for place in sorted(chosen) if fit[place] and np.isfinite(stored[place]).all() and _finite(columns, place)
    ]
    return Samples(
        inputs={
            info.inputs[name].name: tuple(_value(column, place) for place in places) for name, column in columns.items()
        },
        dtypes={info.inputs[name].name: info.inputs[name].dtype for name in columns},
        scores=tuple(tuple(float(score) for score in stored[place]) for place in places),
        tolerance=float(tolerances[places].max(initial=0.0)),
    )


def _with_missing(rows: pa.RecordBatch) -> set[int]:
    """The first row in which each feature is missing."""
    import pyarrow.compute as pc

    places = (pc.index(column.is_null(), True).as_py() for column in rows.columns)
    return {place for place in places if place >= 0}


def _finite(columns: dict[str, Any], place: int) -> bool:
    import numpy as np

    return not any(np.isinf(column[place]) for column in columns.values() if not isinstance(column, Strings))


def _value(column: Any, place: int) -> Value:
    if isinstance(column, Strings):
        return column.values[int(column.codes[place])].decode()
    if column.dtype.kind == "i":
        return int(column[place])
    return None if column[place] != column[place] else float(column[place])
