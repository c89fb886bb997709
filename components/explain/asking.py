"""The rows that are asked, and the models that answer: as they are, and with some values replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components._shared.errors import ModelError
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import Column, slice_text
from components._shared.measuring.metrics import CLIP, Floats, Integers
from components._shared.model_files import verify_model
from components._shared.model_inputs import input_columns
from components._shared.saved_model import SavedModel, Strings
from components._shared.scoring import score_values
from components._shared.tables import arrow_schema, iter_batches
from components._shared.task import Problem

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 32_768

Values = Any
"""A feature's values as a model takes them: numbers (numpy), or `Strings`."""


@dataclass(frozen=True)
class AskedRows:
    """Labelled rows of the test part.

    Attributes:
        batch: Their columns.
        label, weight: Per row.
        cluster: Per row, 0 … clusters - 1.
        slices: Column → values.
    """

    batch: pa.RecordBatch
    label: Floats
    weight: Floats
    cluster: Integers
    clusters: int
    slices: dict[str, Column]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.label)


def asked_rows(examples: Manifest, features: Sequence[str], slices: Sequence[str], most: int) -> AskedRows:
    """Labelled rows with a weight, those with the lowest keys if there are more than asked for.

    Keys are hashes, so these are a sample without favour, and the same one for as long as the rows are the same. The
    rows stream by: no more than about twice the sample is held.

    Args:
        examples: The test part.
        features: Columns that the models take.
        slices: Slice columns; one that the rows do not have is left out.
        most: Rows that are kept, at most.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sliced = [name for name in slices if name in examples.columns]
    own = [name for name in ("_key", "_label", "_weight", "_cluster") if name in examples.columns]
    names = list(dict.fromkeys([*own, *features, *sliced]))
    kept = pa.table({name: [] for name in names}, schema=arrow_schema({name: examples.columns[name] for name in names}))
    bound: str | None = None
    for batch in iter_batches(examples, names):
        table = pa.Table.from_batches([batch])
        table = table.filter(pc.and_(pc.is_finite(table["_label"]), pc.greater(table["_weight"].fill_null(1.0), 0.0)))
        kept = pa.concat_tables([kept, table if bound is None else table.filter(pc.less_equal(table["_key"], bound))])
        if kept.num_rows > 2 * most:
            kept, bound = _lowest(kept, most)
    if kept.num_rows > most:
        kept, bound = _lowest(kept, most)
    kept = kept.combine_chunks()
    clusters, cluster = _encoded(kept["_cluster"])
    return AskedRows(
        batch=(kept.to_batches() or [pa.RecordBatch.from_pylist([], schema=kept.schema)])[0],
        label=kept["_label"].to_numpy(),
        weight=kept["_weight"].fill_null(1.0).to_numpy(),
        cluster=cluster,
        clusters=len(clusters),
        slices={name: _slice_column(kept[name]) for name in sliced},
    )


class Asked:
    """A model, and the rows as it takes them.

    Args:
        folder: Directory of the model.
        rows: The rows; they have all its features.

    Raises:
        CorruptError, NotFoundError: The model's files are not those that were trained.
        ModelError: It does not load.
    """

    def __init__(self, folder: Path, rows: AskedRows) -> None:
        self.info = verify_model(folder)
        self.values: dict[str, Values] = dict(input_columns(rows.batch, self.info.learning.features.items()))
        self._model = SavedModel(folder)
        self._rows = len(rows)

    def scores(self, replaced: Mapping[str, Values] | None = None, which: Integers | None = None) -> Floats:
        """The scores of rows with some values replaced, float64 [rows, outputs].

        Args:
            replaced: Feature → values, one per row that is asked.
            which: Positions of the rows that are asked, in any order and number; None: all, once.

        Raises:
            ModelError: The model does not answer, or a score is not a finite number.
        """
        found: list[Floats] = []
        count = self._rows if which is None else len(which)
        for start in range(0, count, BATCH_ROWS):
            part = slice(start, min(count, start + BATCH_ROWS))
            own = np.arange(part.start, part.stop) if which is None else which[part]
            values = {
                name: take(replaced[name], np.arange(part.start, part.stop))
                if replaced and name in replaced
                else take(column, own)
                for name, column in self.values.items()
            }
            found.append(score_values(self._model, self.info, values))
        scores = np.concatenate(found)
        if not np.isfinite(scores).all():
            changed = f" once values of {', '.join(replaced)} are replaced" if replaced else ""
            raise ModelError(f"The model's scores are no finite numbers{changed}", where=f"model {self.info.digest}")
        return scores


def take(values: Values, where: Integers) -> Values:
    """A feature's values at some positions."""
    return Strings(values.values, values.codes[where]) if isinstance(values, Strings) else values[where]


def row_losses(problem: Problem, label: Floats, scores: Floats) -> Floats:
    """The loss of each row: log-loss, or the squared error."""
    match problem:
        case "binary_classification":
            clipped = np.clip(scores[:, 0], CLIP, 1 - CLIP)
            losses = -np.log(np.where(label == 1, clipped, 1 - clipped))
        case "multiclass_classification":
            losses = -np.log(np.clip(scores[np.arange(len(label)), label.astype(np.int64)], CLIP, 1 - CLIP))
        case "regression":
            losses = (scores[:, 0] - label) ** 2
    return losses


def _lowest(table: pa.Table, most: int) -> tuple[pa.Table, str]:
    """The rows with the lowest keys, in the order they stand in, and the highest key among them."""
    import pyarrow.compute as pc

    order = pc.array_sort_indices(table["_key"].combine_chunks())
    bound: str = table["_key"][order[most - 1].as_py()].as_py()
    return table.filter(pc.less_equal(table["_key"], bound)), bound


def _encoded(column: pa.ChunkedArray) -> tuple[list[object], Integers]:
    """Distinct values and, per row, the number of its value; missing is a value of its own."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _slice_column(column: pa.ChunkedArray) -> Column:
    values, code = _encoded(column)
    return Column(code, tuple(slice_text(value) for value in values))
