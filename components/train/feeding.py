"""Rows for the epochs: encoded once and held where they fit, else streamed from their shards in shuffled blocks.

Rows stand in order of time. So that an epoch does not end on the youngest rows, a block that is streamed is made of
pieces from all over the manifest, in an order that the seed and the epoch decide; in a block, single rows are shuffled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from components._shared.manifest import Manifest
from components._shared.saved_model import Strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from components.train.job import LabelledBatch, LabelledRows
    from components.train.preprocessing import Encoding

HELD_BYTES = 64 * 2**20
"""Encoded rows up to this size stay in memory: more would make memory grow with the rows, and gain little."""

PIECE_ROWS = 32_768
_BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Block:
    """Encoded rows.

    Attributes:
        columns: Tensors: dense, index, labels, weights. Rows from `rows` on are padding: zeros, of no weight.
        rows: How many rows there are.
    """

    columns: tuple[Any, Any, Any, Any]
    rows: int


class Feeder:
    """The encoded rows of one part.

    Args:
        rows: The part.
        count: Its labelled rows.
        encoding: How rows are encoded.
        label_mean, label_std: What labels are standardised by (0 and 1: not at all).
        mean_weight: What weights are divided by.
        held_bytes: Largest size that is held in memory.
    """

    def __init__(
        self,
        rows: LabelledRows,
        count: int,
        encoding: Encoding,
        *,
        label_mean: float = 0.0,
        label_std: float = 1.0,
        mean_weight: float = 1.0,
        held_bytes: float = HELD_BYTES,
    ) -> None:
        self._rows = rows
        self._count = count
        self._encoding = encoding
        self._label_mean = label_mean
        self._label_std = label_std
        self._mean_weight = mean_weight
        self._pieces = _pieces(rows.manifest)
        width = 4 * (len(encoding.dense_terms) + encoding.positions + 2)
        self._block_pieces = max(1, min(_BLOCK_BYTES, int(held_bytes)) // (width * PIECE_ROWS))
        self._held = self._block(self._pieces, count) if count * width <= held_bytes else None

    @property
    def held(self) -> bool:
        """Whether the rows are held in memory."""
        return self._held is not None

    def blocks(self, shuffle_seed: Sequence[int] | None = None) -> Iterator[Block]:
        """All rows, once.

        Args:
            shuffle_seed: Decides the order of the pieces that blocks are streamed in; None: in order.
        """
        if self._held is not None:
            yield self._held
            return
        import tensorflow as tf

        order = np.arange(len(self._pieces))
        if shuffle_seed is not None:
            np.random.default_rng(shuffle_seed).shuffle(order)
        groups = [order[start : start + self._block_pieces] for start in range(0, len(order), self._block_pieces)]

        def encoded() -> Iterator[tuple[Any, ...]]:
            for group in groups:
                yield self._encoded([self._pieces[number] for number in group], size)

        size = self._block_pieces * PIECE_ROWS
        spec = (
            tf.TensorSpec([size + 1, len(self._encoding.dense_terms)], tf.float32),
            tf.TensorSpec([size + 1, self._encoding.positions], tf.int32),
            tf.TensorSpec([size + 1], tf.float32),
            tf.TensorSpec([size + 1], tf.float32),
            tf.TensorSpec([], tf.int64),
        )
        # The next block is read and encoded while the network trains on this one.
        for *columns, rows in tf.data.Dataset.from_generator(encoded, output_signature=spec).prefetch(1):
            dense, index, labels, weights = columns
            yield Block((dense, index, labels, weights), int(rows))

    def _block(self, pieces: list[Manifest], size: int) -> Block:
        import tensorflow as tf

        *columns, rows = self._encoded(pieces, size)
        dense, index, labels, weights = (tf.constant(column) for column in columns)
        return Block((dense, index, labels, weights), rows)

    def _encoded(self, pieces: list[Manifest], size: int) -> tuple[Any, ...]:
        """Rows in arrays of one size, and how many there are."""
        dense = np.zeros((size + 1, len(self._encoding.dense_terms)), dtype="float32")
        index = np.zeros((size + 1, self._encoding.positions), dtype="int32")
        labels = np.zeros(size + 1, dtype="float32")
        weights = np.zeros(size + 1, dtype="float32")
        start = 0
        for piece in pieces:
            for batch in self._rows.batches(PIECE_ROWS, piece):
                place = slice(start, start + batch.rows)
                dense[place], index[place] = self._encoding.encode(batch.features, batch.rows)
                labels[place] = (batch.labels - self._label_mean) / self._label_std
                weights[place] = batch.weights / self._mean_weight
                start += batch.rows
        return dense, index, labels, weights, start


def raw_dataset(rows: LabelledRows, batch_size: int, shuffle_seed: int | None) -> Any:
    """A `tf.data.Dataset` of raw columns; see `LabelledRows.dataset`."""
    import tensorflow as tf

    pieces = _pieces(rows.manifest)
    arguments = [(feature, given.name, given.dtype) for feature, given in rows.inputs.items()]

    def batches() -> Iterator[tuple[dict[str, Any], Any, Any]]:
        order = np.arange(len(pieces))
        random = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
        if random is not None:
            random.shuffle(order)
        for number in order:
            for block in rows.batches(PIECE_ROWS, pieces[number]):
                chosen = np.arange(block.rows) if random is None else random.permutation(block.rows)
                columns = {name: _column(block, feature) for feature, name, _ in arguments}
                for start in range(0, block.rows, batch_size):
                    own = chosen[start : start + batch_size]
                    yield (
                        {name: column[own][:, None] for name, column in columns.items()},
                        block.labels[own],
                        block.weights[own],
                    )

    spec = (
        {name: tf.TensorSpec([None, 1], dtype) for _, name, dtype in arguments},
        tf.TensorSpec([None], tf.float64),
        tf.TensorSpec([None], tf.float64),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=spec).prefetch(2)


def _column(batch: LabelledBatch, feature: str) -> NDArray[Any]:
    values = batch.features[feature]
    return np.array(values.values, dtype=object)[values.codes] if isinstance(values, Strings) else values


def _pieces(manifest: Manifest) -> list[Manifest]:
    """The manifest cut into row groups, each a manifest of its own."""
    return [
        manifest.model_copy(
            update={"shards": (shard.model_copy(update={"start": start, "stop": min(stop, shard.stop)}),)}
        )
        for shard in manifest.shards
        for low in range(shard.start // PIECE_ROWS * PIECE_ROWS, shard.stop, PIECE_ROWS)
        if (start := max(low, shard.start)) < (stop := low + PIECE_ROWS)
    ]
