"""A fixed sample of the rows, for what cannot be summed up row by row: ranks, quantiles and distances.

The rows with the smallest `_key`: keys are hashes, so that these are drawn as if by lot, the same ones in every run and
whatever the order of the rows. Up to `MOST_ROWS` rows the sample is all of them, and every figure is exact. Beyond,
a share of rows is off by at most 0.27 % in 19 of 20 tables (A. Dvoretzky, J. Kiefer and J. Wolfowitz, 1956, with the
constant of P. Massart, 1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components._shared.errors import DataError
from components._shared.measuring.metrics import Floats, Integers
from components.compare.pairs import Pairs

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 262_144

Keys = npt.NDArray[np.uint64]
"""Rows × 2: the first and the last 16 digits."""


@dataclass(frozen=True)
class Sampled:
    """The rows of the sample.

    Attributes:
        group: Group of clusters of each row.
        candidate, champion: Scores, outputs × rows.
    """

    group: Integers
    candidate: Floats
    champion: Floats


class Sample:
    """Keeps the rows with the smallest keys.

    Args:
        outputs: How many outputs the models have.
        most: How many rows are kept.
    """

    def __init__(self, outputs: int, most: int = MOST_ROWS) -> None:
        self._most = most
        self._outputs = outputs
        self._kept: list[tuple[Keys, Integers, Floats]] = []
        self._count = 0
        self._last: str | None = None

    def add(self, pairs: Pairs, group: Integers) -> None:
        """The next rows."""
        import pyarrow.compute as pc

        keys = pairs.rows.column(pairs.rows.schema.get_field_index("_key"))
        scores = np.concatenate([pairs.candidate, pairs.champion])
        if self._last is not None:
            below = pc.less(keys, self._last)
            places = np.flatnonzero(below.to_numpy(zero_copy_only=False))
            keys, group, scores = keys.filter(below), group[places], scores[:, places]
        if len(keys):
            self._kept.append((_numbers(keys), group, scores))
            self._count += len(keys)
        if self._count >= 2 * self._most:
            self._cut()

    def rows(self) -> Sampled:
        """The rows kept, by key."""
        self._cut()
        if not self._kept:
            empty = np.empty((self._outputs, 0))
            return Sampled(np.empty(0, np.int64), empty, empty)
        _, group, scores = self._kept[0]
        return Sampled(group, scores[: self._outputs], scores[self._outputs :])

    def _cut(self) -> None:
        """Only the smallest stay, in their order."""
        if not self._kept:
            return
        keys = np.concatenate([one for one, _, _ in self._kept])
        places = np.lexsort((keys[:, 1], keys[:, 0]))[: self._most]
        group = np.concatenate([one for _, one, _ in self._kept])[places]
        scores = np.concatenate([one for _, _, one in self._kept], axis=1)[:, places]
        self._kept, self._count = [(keys[places], group, scores)], len(places)
        if len(places) == self._most:
            self._last = "{:016x}{:016x}".format(*keys[places[-1]].tolist())


def _numbers(keys: pa.Array) -> Keys:
    """The 32 hexadecimal digits of each key as two numbers of 64 bits: they are sorted twenty times as fast as texts.

    Raises:
        DataError: A key is none.
    """
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + len(keys) + 1]
    if (np.diff(offsets) != 32).any():
        raise DataError("A _key does not have 32 digits: these rows were not written by `ingest`", where="predictions")
    digits = np.frombuffer(keys.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    # 0 … 9 are 48 … 57, a … f are 97 … 102.
    values = (digits & 15) + 9 * (digits >> 6)
    packed = (values[::2] << 4 | values[1::2]).astype(np.uint8)
    numbers: Keys = packed.view(">u8").astype(np.uint64).reshape(len(keys), 2)
    return numbers
