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

from components._shared.measuring.metrics import Floats, Integers
from components.compare.pairs import Pairs

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 262_144


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
        self._kept: list[tuple[pa.Array, Integers, Floats]] = []
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
            self._kept.append((keys, group, scores))
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
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self._kept:
            return
        keys = pa.concat_arrays([one for one, _, _ in self._kept])
        order = pc.sort_indices(keys)[: self._most]
        places = order.to_numpy(zero_copy_only=False).astype(np.int64)
        keys = keys.take(order)
        group = np.concatenate([one for _, one, _ in self._kept])[places]
        scores = np.concatenate([one for _, _, one in self._kept], axis=1)[:, places]
        self._kept, self._count = [(keys, group, scores)], len(keys)
        if len(keys) == self._most:
            self._last = keys[-1].as_py()
