"""Rows that are not independent, by number: which group of clusters each row belongs to, with a bounded memory."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from components._shared.measuring.intervals import MOST_GROUPS, half_widths
from components._shared.measuring.metrics import Floats, Integers
from components.compare.keys import last_digits

if TYPE_CHECKING:
    import pyarrow as pa

SLOTS = 2 * MOST_GROUPS
"""Where sums are kept while rows pass: the first `MOST_GROUPS` clusters each in a slot of its own, later ones in the
slot of a group that is drawn by a hash of their name. `folded` joins both, once it is known how many there are."""

MOST_KNOWN = 100_000
"""Clusters that are counted by their name; later ones are counted nearly."""

_BITS = 1 << 24


class Clusters:
    """Tells the clusters apart; more than `MOST_GROUPS` are joined to that many groups, at random.

    By a hash of the name, not in the order of their appearance: groups of every hundredth day would all hold as much of
    each season, and hide how much days differ.
    """

    def __init__(self) -> None:
        self._slots: dict[str | None, int] = {}
        self._groups: list[int] = []
        self._single = 0
        self._beyond = bytearray(_BITS // 8)

    def slots(self, cluster: pa.Array, key: pa.Array) -> Integers:
        """The slot of each row, 0 … `SLOTS` - 1.

        Args:
            cluster: Per row; equal to the keys where every row is a cluster of its own.
            key: Per row.
        """
        # Rows that are clusters of their own are not looked up one by one: the key is a hash already.
        if len(self._groups) == MOST_GROUPS and cluster.equals(key):
            self._single += len(key)
            return MOST_GROUPS + (last_digits(key) % MOST_GROUPS).astype(np.int64)
        encoded = cluster.dictionary_encode(null_encoding="encode")
        of_value = np.array([self._slot(value) for value in encoded.dictionary.to_pylist()], np.int64)
        slots: Integers = of_value[encoded.indices.to_numpy(zero_copy_only=False)]
        return slots

    @property
    def count(self) -> int:
        """How many there are: exact up to `MOST_KNOWN` that are named, then within 0.1 % (linear counting: Whang,
        Vander-Zanden & Taylor, A linear-time probabilistic counting algorithm, 1990)."""
        full = int.from_bytes(self._beyond).bit_count()
        beyond = round(-_BITS * math.log1p(-min(full, _BITS - 1) / _BITS))
        return len(self._slots) + self._single + beyond

    def groups(self) -> Integers:
        """The group of each slot, now that all rows have passed."""
        found = np.arange(SLOTS)
        if self.count > MOST_GROUPS:
            found[MOST_GROUPS:] -= MOST_GROUPS
            found[: len(self._groups)] = self._groups
        return found

    def _slot(self, value: str | None) -> int:
        slot = self._slots.get(value)
        if slot is not None:
            return slot
        code = int.from_bytes(hashlib.blake2b((value or "").encode(), digest_size=8).digest())
        if len(self._groups) < MOST_GROUPS:
            self._groups.append(code % MOST_GROUPS)
            self._slots[value] = len(self._groups) - 1
            return self._slots[value]
        slot = MOST_GROUPS + code % MOST_GROUPS
        if len(self._slots) < MOST_KNOWN:
            self._slots[value] = slot
        else:
            bit = code // MOST_GROUPS % _BITS
            self._beyond[bit // 8] |= 1 << bit % 8
        return slot


def folded(sums: Floats, groups: Integers) -> Floats:
    """Sums by slot, joined by group; both are the last axis."""
    found = np.zeros_like(sums)
    for slot, group in enumerate(groups.tolist()):
        found[..., group] += sums[..., slot]
    return found


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
