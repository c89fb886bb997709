"""Do a model's documents hold the same function as its SavedModel? Every row is scored with each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import score_columns
from components._shared.tables import iter_batches
from components._shared.verdict import Check, Outcome, merge
from components.smoke_test.documents import Document, UnknownDocumentError, given_columns
from components.smoke_test.pfa import PfaDocument
from components.smoke_test.pmml import PmmlDocument
from components.smoke_test.scale import scales

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_NAME = "behaviour.export_difference"
_WORST_FIRST: tuple[Outcome, ...] = ("failed", "cannot_judge", "passed")


def export_checks(
    model: Path, info: ModelInfo, *, predictions: Manifest, examples: Manifest, largest: float
) -> tuple[Check, ...]:
    """Holds the scores of each document against the stored ones; no check of a model without documents.

    Args:
        model: Directory of the model.
        info: Its `model.json`.
        predictions: What `predict` made of `examples` with this model.
        examples: The rows, not none.
        largest: Largest difference, in units of each score's scale (`scale.py`).

    Returns:
        One check, which says of each document what was found, the worst first.

    Raises:
        DataError: The predictions stand in another order than the rows.
    """
    if not info.documents:
        return ()
    found = [
        _held_against(model / name, standard, info, predictions, examples, largest)
        for standard, name in info.documents.items()
    ]
    found.sort(key=lambda each: (_WORST_FIRST.index(each.outcome), -(each.observed or 0.0)))
    check = Check(
        name=_NAME,
        observed=found[0].observed,
        limit=f"at most {largest:.3g}",
        outcome=merge(each.outcome for each in found),
        reason=" ".join(each.said for each in found),
    )
    return (check,)


@dataclass(frozen=True)
class _Found:
    """What was found of a document, in a sentence.

    Attributes:
        observed: The largest difference; none: there is no number to say.
    """

    outcome: Outcome
    said: str
    observed: float | None = None


def _held_against(
    path: Path, standard: str, info: ModelInfo, predictions: Manifest, examples: Manifest, largest: float
) -> _Found:
    try:
        document = _document(path, standard, info)
        rows, without, difference, relative = _differences(document, standard, info, predictions, examples)
    except OSError as cause:
        return _Found("failed", f"The {standard.upper()} document {path.name} cannot be read: {cause}.")
    except UnknownDocumentError as cause:
        return _Found("cannot_judge", f"The {standard.upper()} document {path.name} cannot be judged: {cause}.")
    if without:
        return _Found("failed", f"In {without:,} of {rows:,} rows, the {standard.upper()} document answers no number.")
    share = f", and by {relative:.3g} of the row's scale" if info.learning.problem == "regression" else ""
    return _Found(
        "passed" if relative <= largest else "failed",
        f"Over {rows:,} rows, the {standard.upper()} document differs from the SavedModel by at most "
        f"{difference:.3g}{share}.",
        relative,
    )


def _document(path: Path, standard: str, info: ModelInfo) -> Document:
    match standard:
        case "pmml":
            document = PmmlDocument(path)
            # What a column is called, an answer cannot be.
            names = tuple(_free(name, info) for name in score_columns(info.learning))
            if document.outputs != names:
                raise UnknownDocumentError(f"it answers {', '.join(document.outputs)}, not {', '.join(names)}")
            return document
        case "pfa":
            return PfaDocument(path)
    raise UnknownDocumentError("nothing here reads this standard")


def _free(name: str, info: ModelInfo) -> str:
    """The name of an answer, with as many dashes behind it as it takes to be none of a feature's."""
    while name in info.learning.features:
        name += "-"
    return name


def _differences(
    document: Document, standard: str, info: ModelInfo, predictions: Manifest, examples: Manifest
) -> tuple[int, int, float, float]:
    """Rows, those without a number, the largest difference, and the largest in units of the scale."""
    import numpy as np

    features, names = info.learning.features, score_columns(info.learning)
    rows, without, difference, relative = 0, 0, 0.0, 0.0
    for given, stored in _pairs(examples, predictions, list(features), names):
        columns = given_columns(given, features)
        if standard == "pfa":
            # Names in PFA are identifiers: those of the SavedModel's arguments.
            columns = {info.inputs[name].name: column for name, column in columns.items()}
        answers = document.answer(columns)
        if answers.scores.shape != stored.shape:
            outputs = answers.scores.shape[1]
            raise UnknownDocumentError(f"it answers {outputs} numbers where the SavedModel answers {stored.shape[1]}")
        apart = np.abs(answers.scores - stored)
        numbers = np.isfinite(apart).all(axis=1)
        rows, without = rows + len(stored), without + int((~numbers).sum())
        if numbers.any():
            scale = scales(stored, info, answers.added)
            difference = max(difference, float(apart[numbers].max()))
            relative = max(relative, float((apart / scale)[numbers].max()))
    return rows, without, difference, relative


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
