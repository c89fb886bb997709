"""Both models' predictions side by side, batch by batch: rows of both stand in the same order, or it is an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.measuring.metrics import Floats
from components._shared.tables import iter_batches
from components._shared.task import EvaluationSection

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""However the shards are cut, sums are taken over so many rows at a time: their last digits depend on it."""

BATCH_SCORES = 16 * BATCH_ROWS
"""With more than 16 outputs a batch has fewer rows, so that memory stays the same."""

_AGAIN = "run predict again for both models on the same test part"


@dataclass(frozen=True)
class Pairs:
    """Rows with both models' scores.

    Attributes:
        first: Position of the first row in the table.
        rows: The candidate's columns.
        candidate, champion: Scores, outputs × rows; of the champion none without one.
    """

    first: int
    rows: pa.RecordBatch
    candidate: Floats
    champion: Floats

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self.rows.num_rows)


def outputs_of(section: EvaluationSection) -> tuple[str, ...]:
    """Names of the outputs: `score`, or the classes."""
    if section.problem != "multiclass_classification":
        return ("score",)
    return tuple(str(name) for name in section.classes or ())


def read_pairs(candidate: Manifest, champion: Manifest, section: EvaluationSection) -> Iterator[Pairs]:
    """The rows in order, with the scores of both.

    Args:
        candidate: Its predictions.
        champion: The champion's on the same rows; an empty one: there is none.
        section: Problem, classes and slices.

    Raises:
        DataError: The tables are not of the same rows in the same order, or a score is not a finite number.
    """
    scores = _score_columns(candidate, section)
    size = max(1, min(BATCH_ROWS, BATCH_SCORES // len(scores)))
    fixed = ["_key", "_label", "_cluster", *(["_time"] if section.has_time else [])]
    sliced = [name for name in section.slices if name in candidate.columns]
    mine = _even(iter_batches(candidate, list(dict.fromkeys([*fixed, *sliced, *scores])), size), size)
    others: Iterator[pa.RecordBatch | None] = repeat(None)
    if champion.model:
        if candidate.count != champion.count:
            raise DataError(
                f"The two tables are not of the same rows: {candidate.count:,} of the candidate, {champion.count:,} "
                "of the champion",
                where="predictions of the champion",
                fix=_AGAIN,
            )
        others = _even(iter_batches(champion, ["_key", *_score_columns(champion, section)], size), size)
    first = 0
    for rows, other in zip(mine, others, strict=False):
        if other is not None:
            _check_order(rows, other, first)
        found = _scores(rows, scores, "candidate")
        beside = np.empty((len(scores), 0)) if other is None else _scores(other, scores, "champion")
        yield Pairs(first, rows, found, beside)
        first += rows.num_rows


def _score_columns(manifest: Manifest, section: EvaluationSection) -> list[str]:
    names = ["score"]
    if section.problem == "multiclass_classification":
        names = [f"score_{number}" for number in range(len(section.classes or ()))]
    for name in names:
        if name not in manifest.columns:
            raise DataError(
                f"The predictions have no column {name!r}, which {section.problem} asks for",
                where=f"predictions of model {manifest.model or '(none)'}",
                fix=_AGAIN,
            )
    return names


def _even(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of one size, the last one shorter."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while count + batch.num_rows >= size:
            part = batch.slice(0, size - count)
            batch = batch.slice(part.num_rows)
            yield _joined([*waiting, part])
            waiting, count = [], 0
        if batch.num_rows:
            waiting.append(batch)
            count += batch.num_rows
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _check_order(rows: pa.RecordBatch, other: pa.RecordBatch, first: int) -> None:
    """The keys are equal, row by row."""
    keys, others = rows.column(0), other.column(0)
    if keys.equals(others):
        return
    pairs = zip(keys.to_pylist(), others.to_pylist(), strict=True)
    place, (one, two) = next((place, pair) for place, pair in enumerate(pairs) if pair[0] != pair[1])
    raise DataError(
        f"The two tables are not of the same rows in the same order: _key is {one} for the candidate, {two} for the "
        "champion",
        where=f"row {first + place} of the predictions",
        fix=_AGAIN,
    )


def _scores(rows: pa.RecordBatch, columns: list[str], model: str) -> Floats:
    found = np.stack(
        [rows.column(rows.schema.get_field_index(name)).to_numpy(zero_copy_only=False) for name in columns]
    )
    wrong = ~np.isfinite(found).all(axis=0)
    if wrong.any():
        key = rows.column(rows.schema.get_field_index("_key"))[int(wrong.argmax())].as_py()
        raise DataError(
            f"The {model}'s score is not a finite number for {int(wrong.sum())} rows, first the one with _key {key}",
            where=f"predictions of the {model}",
            fix="look at that row's features for extreme values, or at how the trainer treats missing ones",
        )
    return found
