"""Rows that are not independent, by number: which group of clusters each row belongs to, with a bounded memory."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from components._shared.measuring.intervals import MOST_GROUPS, half_widths
from components._shared.measuring.metrics import Floats, Integers

if TYPE_CHECKING:
    import pyarrow as pa

MOST_KNOWN = 100_000
"""Clusters that are known by name. Later ones go to their group by a hash of it, so that they too stay together."""

_BITS = 1 << 24


class Clusters:
    """Numbers clusters as they appear; beyond `MOST_GROUPS` they are joined to groups, as `intervals.py` joins them."""

    def __init__(self) -> None:
        self._numbers: dict[str | None, int] = {}
        self._single = 0
        self._beyond = bytearray(_BITS // 8)

    def groups(self, cluster: pa.Array, key: pa.Array) -> Integers:
        """The group of each row, 0 … `MOST_GROUPS` - 1.

        Args:
            cluster: Per row; equal to the keys where every row is a cluster of its own.
            key: Per row.
        """
        if cluster.equals(key):
            first = self._single
            self._single += len(key)
            return np.arange(first, self._single) % MOST_GROUPS
        encoded = cluster.dictionary_encode(null_encoding="encode")
        of_value = np.array([self._group(value) for value in encoded.dictionary.to_pylist()], np.int64)
        groups: Integers = of_value[encoded.indices.to_numpy(zero_copy_only=False)]
        return groups

    @property
    def count(self) -> int:
        """How many there are: exact up to `MOST_KNOWN` that are named, then within 0.1 % (linear counting: Whang,
        Vander-Zanden & Taylor, A linear-time probabilistic counting algorithm, 1990)."""
        full = sum(int(byte).bit_count() for byte in self._beyond) if any(self._beyond) else 0
        beyond = round(-_BITS * math.log1p(-min(full, _BITS - 1) / _BITS))
        return len(self._numbers) + self._single + beyond

    def _group(self, value: str | None) -> int:
        number = self._numbers.get(value)
        if number is None:
            if len(self._numbers) >= MOST_KNOWN:
                code = zlib.crc32((value or "").encode())
                self._beyond[code % _BITS // 8] |= 1 << code % 8
                return code % MOST_GROUPS
            number = self._numbers[value] = len(self._numbers)
        return number % MOST_GROUPS


def ratios(sums: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Means over rows, each with half the width of its 95 % interval over clusters.

    Args:
        sums: Of the figure, by group and column.
        counts: Rows, by group, or by group and column.

    Returns:
        Per column; NaN where there are no rows, and widths NaN where there are too few clusters.
    """
    counts = np.broadcast_to(counts if counts.ndim == 2 else counts[:, None], sums.shape)
    values, widths = np.full(sums.shape[1], np.nan), np.full(sums.shape[1], np.nan)
    there = counts > 0
    # Columns whose rows lie in the same groups go together: the others' empty groups are no clusters of theirs.
    for pattern in np.unique(there, axis=1).T:
        columns = np.flatnonzero((there == pattern[:, None]).all(axis=0))
        if not pattern.any():
            continue
        part, rows = sums[np.ix_(pattern, columns)], counts[np.ix_(pattern, columns)]
        total = rows.sum(axis=0)
        values[columns] = part.sum(axis=0) / total
        influence = (part - rows * values[columns]) / total
        # What rounding leaves of influences that are all zero is no spread.
        influence[:, np.abs(influence).max(axis=0) <= 1e-14 * np.maximum(np.abs(values[columns]), 1e-300)] = 0.0
        widths[columns] = half_widths(influence, rows / total)
    return values, widths
