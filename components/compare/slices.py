"""The slices that differ most, and those that move otherwise than the rest of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from components._shared.comparison import SliceComparison
from components._shared.evidence import Estimate
from components._shared.measuring.false_discoveries import adjusted
from components._shared.measuring.figures import FEWEST_ROWS, JOINED, rounded
from components._shared.measuring.intervals import FEWEST_CLUSTERS
from components._shared.measuring.metrics import Floats
from components._shared.measuring.student import upper_tail
from components.compare.clusters import ratios
from components.compare.tallies import SliceTally

FALSE_DISCOVERIES = 0.05
"""Share of the slices called surprising that may be so by luck."""

_ROUNDING = 1e-12

MOST_SHOWN = 50
"""Of one column."""


def slices_of(tallies: dict[str, SliceTally], *, decided: bool) -> tuple[SliceComparison, ...]:
    """Every slice of at least `FEWEST_ROWS` rows, the largest share of the difference first; the others joined.

    Args:
        tallies: Column → its sums.
        decided: Whether anything is decided, so that it can be decided otherwise.
    """
    found: list[SliceComparison] = []
    columns: dict[str, tuple[list[str], Floats]] = {}
    for column, tally in tallies.items():
        sums, values = _shown(tally)
        found += _compared(column, values, sums, decided=decided)
        columns[column] = (values, sums)
    surprising = _surprising(columns)
    marked = [one.model_copy(update={"surprising": (one.column, one.value) in surprising}) for one in found]
    return tuple(sorted(marked, key=lambda one: (-one.share_of_difference, one.column, one.value)))


def _shown(tally: SliceTally) -> tuple[Floats, list[str]]:
    """The slices that are shown, and one for all others together."""
    sums, values = tally.sums, tally.values()
    rows = sums[0].sum(axis=1)
    by_difference = sorted(range(len(values)), key=lambda place: (-sums[2, place].sum(), values[place]))
    kept = [place for place in by_difference if rows[place] >= FEWEST_ROWS][:MOST_SHOWN]
    others = sorted(set(range(len(values))) - set(kept))
    names = [values[place] for place in kept]
    if others:
        sums = np.concatenate([sums[:, kept], sums[:, others].sum(axis=1, keepdims=True)], axis=1)
        return sums, [*names, f"{JOINED}{len(others)})"]
    return sums[:, kept], names


def _compared(column: str, values: list[str], sums: Floats, *, decided: bool) -> Iterable[SliceComparison]:
    rows, signed, absolute, flipped = (figure.T for figure in sums)
    means, widths = ratios(signed, rows)
    sizes, size_widths = ratios(absolute, rows)
    total = float(absolute.sum())
    for place, value in enumerate(values):
        count = float(rows[:, place].sum())
        yield SliceComparison(
            column=column,
            value=value,
            rows=int(count),
            mean=estimate_of(means[place], widths[place]),
            absolute=estimate_of(sizes[place], size_widths[place], least=0.0),
            flipped=rounded(float(flipped[:, place].sum()) / count) if decided else None,
            share_of_difference=rounded(float(absolute[:, place].sum()) / total) if total > 0 else 0.0,
        )


def estimate_of(value: float, width: float, *, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """A figure with its interval, cut to the values that it can take."""
    interval = None
    if math.isfinite(width):
        interval = (rounded(max(least, float(value - width))), rounded(min(most, float(value + width))))
    return Estimate(value=rounded(float(value)), interval=interval)


def _surprising(columns: dict[str, tuple[list[str], Floats]]) -> set[tuple[str, str]]:
    """The slices that move otherwise than the rest of the rows, all of them looked at together.

    One at a time, the clearest first: its rows are then no longer among the rest, since beside one slice that moved far
    all others seem to have moved the other way. What is found in each step is held against the false discovery rate
    (Benjamini and Hochberg, 1995).

    Args:
        columns: Column → its slices and their sums, figure (rows, signed …) × slice × group.
    """
    found: set[tuple[str, str]] = set()
    chances = {column: _chances(values, sums) for column, (values, sums) in columns.items()}
    while True:
        waiting = [(column, value) for column, of_value in chances.items() for value in of_value]
        together = adjusted([chances[column][value] for column, value in waiting])
        least = min(together, default=1.0)
        if least > FALSE_DISCOVERIES:
            return found
        column, value = min((chances[column][value], column, value) for column, value in waiting)[1:]
        found.add((column, value))
        values, sums = columns[column]
        there = [place for place, name in enumerate(values) if (column, name) not in found]
        chances[column] = _chances([values[place] for place in there], sums[:, there])


def _chances(values: list[str], sums: Floats) -> dict[str, float]:
    """Slice → the chance of so large a gap between its mean difference and that of the other rows, if there is none.

    Student's t of the gap with its jackknife over groups of clusters; as many degrees of freedom as the groups of the
    slice or of the others, whichever are fewer, less one.

    Args:
        values: The slices; joined ones are among the others, and not looked at.
        sums: Figure (rows, signed …) × slice × group.
    """
    rows, signed = sums[:2]
    others, other_signed = rows.sum(axis=0) - rows, signed.sum(axis=0) - signed
    groups = (rows.sum(axis=0) > 0).sum()
    fewest = np.minimum((rows > 0).sum(axis=1), (others > 0).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = signed.sum(axis=1) / rows.sum(axis=1) - other_signed.sum(axis=1) / others.sum(axis=1)
        without = _without(signed, rows) - _without(other_signed, others)
        without = without[:, rows.sum(axis=0) > 0]
        error = np.sqrt((groups - 1) / groups * ((without - without.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
        t = np.abs(gap) / error
    return {
        value: 2 * upper_tail(float(t[place]), int(fewest[place]) - 1)
        if fewest[place] >= FEWEST_CLUSTERS and np.isfinite(t[place]) and abs(gap[place]) > _ROUNDING
        else 1.0
        for place, value in enumerate(values)
        if not value.startswith(JOINED)
    }


def _without(sums: Floats, rows: Floats) -> Floats:
    """The mean of each slice without each of the groups: slices × groups."""
    means: Floats = (sums.sum(axis=1, keepdims=True) - sums) / (rows.sum(axis=1, keepdims=True) - rows)
    return means
