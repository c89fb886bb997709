"""Runs in a process of its own, as a model server would: loads a SavedModel and answers raw rows.

    python -m components.smoke_test.answering MODEL ROWS ANSWERS

ROWS is an Arrow file of raw feature columns. ANSWERS gets the scores of these rows and what else was tried, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.model_info import ModelInfo
    from components._shared.saved_model import SavedModel


def answers(model_dir: Path, rows: pa.RecordBatch) -> dict[str, Any]:
    """What the model answers; where it does not, the message in place of the scores.

    Args:
        model_dir: A SavedModel with `model.json`.
        rows: Raw feature columns.

    Returns:
        `rows`: scores of all rows; `single`: of the first alone; `missing`: of one without any value; `unseen`: of the
        first with categories that nobody has seen; `wrong_type`: of the first with a text in place of a number, or the
        reverse.
    """
    from components._shared.model_files import read_model_info
    from components._shared.saved_model import SavedModel

    info = read_model_info(model_dir)
    model = SavedModel(model_dir)
    return {
        "rows": _answer(model, info, rows),
        "single": _answer(model, info, rows.slice(0, 1)),
        "missing": _answer(model, info, _without_values(rows)),
        "unseen": _answer(model, info, rows.slice(0, 1), unseen=True),
        "wrong_type": _answer(model, info, rows.slice(0, 1), swapped=True),
    }


def _answer(
    model: SavedModel, info: ModelInfo, rows: pa.RecordBatch, *, unseen: bool = False, swapped: bool = False
) -> Any:
    import numpy as np

    from components._shared.errors import ModelError
    from components._shared.model_inputs import input_columns
    from components._shared.saved_model import Strings

    values: dict[str, Any] = dict(input_columns(rows, info.learning.features.items()))
    first = next(iter(values))
    for name, kind in info.learning.features.items():
        if unseen and kind == "categorical":
            values[name] = Strings((b"a value that nobody has seen \xc2\xbf?",), np.zeros(rows.num_rows, dtype="int64"))
    if swapped:
        text = Strings((b"text",), np.zeros(rows.num_rows, dtype="int64"))
        values[first] = np.zeros(rows.num_rows, "float32") if isinstance(values[first], Strings) else text
    try:
        return model.answer({info.inputs[name].name: column for name, column in values.items()})["score"].tolist()
    except ModelError as cause:
        return cause.what


def _without_values(rows: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.nulls(1, field.type) for field in rows.schema], schema=rows.schema)


def main(model_dir: str, rows: str, written: str) -> None:
    """Reads the rows, asks the model, writes the answers."""
    import pyarrow as pa

    from components._shared.errors import SaikiError

    with pa.OSFile(rows) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    try:
        found = answers(Path(model_dir), table.to_batches()[0])
    except SaikiError as cause:
        found = {"error": str(cause)}
    Path(written).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
