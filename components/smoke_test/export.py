"""Do a model's documents hold the same function as its SavedModel? Every row is scored with the PMML document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import MISSING_MOMENT, input_columns, score_columns
from components._shared.saved_model import Strings
from components._shared.tables import iter_batches
from components._shared.verdict import Check
from components.smoke_test.pmml import PmmlDocument, Texts, UnknownPmmlError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_NAME = "behaviour.export_difference"


def export_checks(
    model: Path, info: ModelInfo, *, predictions: Manifest, examples: Manifest, largest: float
) -> tuple[Check, ...]:
    """Holds the scores of the PMML document against the stored ones; no check of a model without such a document.

    Args:
        model: Directory of the model.
        info: Its `model.json`.
        predictions: What `predict` made of `examples` with this model.
        examples: The rows, not none.
        largest: Largest difference; of scores beyond one, in units of the largest score.

    Raises:
        DataError: The predictions stand in another order than the rows.
    """
    if "pmml" not in info.documents:
        return ()
    name = info.documents["pmml"]
    try:
        document = PmmlDocument(model / name)
        rows, difference, bound = _difference(document, info, predictions, examples, largest)
    except OSError as cause:
        return (
            Check(name=_NAME, outcome="failed", reason=f"The model's PMML document {name} cannot be read: {cause}."),
        )
    except UnknownPmmlError as cause:
        reason = f"The model's PMML document {name} cannot be held against the model: {cause}."
        return (Check(name=_NAME, outcome="cannot_judge", reason=reason),)
    return (
        Check(
            name=_NAME,
            observed=difference,
            limit=f"at most {bound:.3g}",
            outcome="passed" if difference <= bound else "failed",
            reason=f"Over {rows:,} rows, the largest difference between a score of the SavedModel and one of its PMML "
            f"document is {difference:.3g}.",
        ),
    )


def _difference(
    document: PmmlDocument, info: ModelInfo, predictions: Manifest, examples: Manifest, largest: float
) -> tuple[int, float, float]:
    """Rows, the largest difference, and what it may be."""
    import numpy as np

    names = score_columns(info.learning)
    if document.outputs != tuple(names):
        raise UnknownPmmlError(f"it answers {', '.join(document.outputs)}, not {', '.join(names)}")
    rows, difference, highest = 0, 0.0, 1.0
    for given, stored in _pairs(examples, predictions, list(info.learning.features), names):
        columns = {
            name: _column(values) for name, values in input_columns(given, info.learning.features.items()).items()
        }
        for name, kind in info.learning.features.items():
            if kind == "boolean":
                columns[name] = _truths(columns[name])
        scores = document.score(columns)
        # A score that is no number is no agreement.
        worst = float(np.nan_to_num(np.abs(scores - stored), nan=np.inf).max())
        rows, difference = rows + len(stored), max(difference, worst)
        highest = max(highest, float(np.abs(stored).max()))
    return rows, difference, largest * highest


def _pairs(
    examples: Manifest, predictions: Manifest, features: list[str], scores: list[str]
) -> Iterator[tuple[pa.RecordBatch, NDArray[Any]]]:
    """Rows and their stored scores, some at a time; shards of the one may end where those of the other do not."""
    import numpy as np

    answers = iter_batches(predictions, ["_key", *scores])
    answer = next(answers)
    for rows in iter_batches(examples, list(dict.fromkeys(["_key", *features]))):
        while rows.num_rows:
            while not answer.num_rows:
                answer = next(answers)
            count = min(rows.num_rows, answer.num_rows)
            given, found = rows.slice(0, count), answer.slice(0, count)
            if not given.column(0).equals(found.column(0)):
                raise DataError("The predictions stand in another order than the rows", where="smoke_test")
            yield given, np.stack([found.column(place + 1).to_numpy() for place in range(len(scores))], axis=1)
            rows, answer = rows.slice(count), answer.slice(count)


def _column(values: Any) -> Any:
    """A feature's values as a document is given them: `Texts`, or numbers of which NaN is missing."""
    import numpy as np

    if isinstance(values, Strings):
        return Texts(tuple(value.decode() for value in values.values), values.codes)
    if values.dtype.kind == "i":
        return np.where(values == MISSING_MOMENT, np.nan, values.astype("float64"))
    return values


def _truths(values: NDArray[Any]) -> Texts:
    import numpy as np

    return Texts(("false", "true"), np.where(np.isnan(values), -1, values != 0).astype("int64"))
