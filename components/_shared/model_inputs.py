"""Raw feature columns as a model takes them, the same when it is trained, predicts, and is tested; and what it answers.

==============  =========  =========================================================================================
feature         dtype      missing value
==============  =========  =========================================================================================
`numeric`       float32    NaN
`boolean`       float32    NaN
`categorical`   string     empty; numbers and booleans are written out (`7`, `true`)
`datetime`      int64      the smallest int64; else microseconds UTC
==============  =========  =========================================================================================
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from components._shared.errors import DataError
from components._shared.model_info import ModelInput
from components._shared.saved_model import Strings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from components._shared.task import ColumnType, FeatureKind, LearningSection, ScoringSection

MISSING_MOMENT = -(2**63)

_DTYPE_OF: dict[FeatureKind, Literal["float32", "string", "int64"]] = {
    "numeric": "float32",
    "boolean": "float32",
    "categorical": "string",
    "datetime": "int64",
}
_TYPES_OF: dict[FeatureKind, tuple[ColumnType, ...]] = {
    "numeric": ("int64", "float64", "bool"),
    "boolean": ("bool", "int64", "float64"),
    "categorical": ("string", "int64", "bool", "float64", "date"),
    "datetime": ("timestamp", "date"),
}


def model_inputs(features: Mapping[str, FeatureKind]) -> dict[str, ModelInput]:
    """Feature column → signature argument.

    Column names are free text; arguments are identifiers, unique whatever their case.
    """
    taken: set[str] = set()
    inputs = {}
    for name, kind in features.items():
        base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "feature"
        base = f"feature_{base}" if base[0].isdigit() or keyword.iskeyword(base) or base == "self" else base
        argument, number = base, 1
        while argument.lower() in taken:
            number += 1
            argument = f"{base}_{number}"
        taken.add(argument.lower())
        inputs[name] = ModelInput(name=argument, dtype=_DTYPE_OF[kind])
    return inputs


def check_features(features: Mapping[str, FeatureKind], columns: Mapping[str, ColumnType], where: str) -> None:
    """Holds the features against the rows' columns.

    Raises:
        DataError: A feature is not among them, or its column's type does not go with its kind.
    """
    missing = [name for name in features if name not in columns]
    if missing:
        raise DataError(f"The rows have no column for these features: {', '.join(missing)}", where=where)
    for name, kind in features.items():
        if columns[name] not in _TYPES_OF[kind]:
            raise DataError(
                f"The feature '{name}' is {kind}, but its column is of type {columns[name]}",
                where=where,
                fix=f"a {kind} feature takes a column of type {', '.join(_TYPES_OF[kind])}: change "
                f"features.{name}.kind in the task file, or the column's type in the schema",
            )


def input_values(column: pa.Array, kind: FeatureKind) -> NDArray[np.float32] | NDArray[np.int64] | Strings:
    """One feature's values, missing ones as the table of this module says."""
    import pyarrow as pa

    match kind:
        case "numeric":
            return numbers(column)
        case "boolean":
            given = numbers(column)
            return (given != 0).astype("float32") + 0 * given  # type: ignore[no-any-return]
        case "datetime":
            moments = column.cast(pa.timestamp("us")) if pa.types.is_date(column.type) else column
            return moments.cast(pa.int64()).fill_null(MISSING_MOMENT).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
        case "categorical":
            encoded = column.cast(pa.string()).fill_null("").dictionary_encode()
            values = tuple(text.encode() for text in encoded.dictionary.to_pylist())
            return Strings(values=values, codes=encoded.indices.to_numpy(zero_copy_only=False))


def numbers(column: pa.Array) -> NDArray[np.float32]:
    """Numbers as a model takes them: the nearest 32-bit floats, infinite beyond 3.4e38; NaN where they are missing."""
    import numpy as np
    import pyarrow as pa

    with np.errstate(over="ignore"):
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype("float32")  # type: ignore[no-any-return]


def input_columns(
    batch: pa.RecordBatch, kinds: Iterable[tuple[str, FeatureKind]]
) -> dict[str, NDArray[np.float32] | NDArray[np.int64] | Strings]:
    """Feature → values, for a batch that has the feature columns by name."""
    return {name: input_values(batch.column(batch.schema.get_field_index(name)), kind) for name, kind in kinds}


def score_columns(section: ScoringSection | LearningSection) -> list[str]:
    """The columns of a predictions table that hold what the model answered."""
    if section.problem != "multiclass_classification":
        return ["score"]
    return [f"score_{number}" for number in range(len(section.classes or ()))]
