"""The slices that differ most, and those that move otherwise than the rest of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from components._shared.comparison import SliceComparison
from components._shared.evidence import Estimate
from components._shared.measuring.figures import FEWEST_ROWS, JOINED, rounded
from components._shared.measuring.intervals import FEWEST_CLUSTERS
from components._shared.measuring.metrics import Floats
from components.compare.clusters import ratios
from components.compare.tallies import SliceTally

FALSE_DISCOVERIES = 0.05
"""Share of the slices called surprising that may be so by luck."""

MOST_SHOWN = 50
"""Of one column."""


def slices_of(tallies: dict[str, SliceTally], *, decided: bool) -> tuple[SliceComparison, ...]:
    """Every slice of at least `FEWEST_ROWS` rows, the largest share of the difference first; the others joined.

    Args:
        tallies: Column → its sums.
        decided: Whether anything is decided, so that it can be decided otherwise.
    """
    found: list[SliceComparison] = []
    chances: dict[tuple[str, str], float] = {}
    for column, tally in tallies.items():
        sums, values = _shown(tally)
        found += _compared(column, values, sums, decided=decided)
        for place, value in enumerate(values):
            if not value.endswith(JOINED):
                chances[column, value] = _chance(sums[:, place], sums.sum(axis=1))
    surprising = _discoveries(chances)
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
        return sums, [*names, f"({len(others)} {JOINED}"]
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


def _chance(mine: Floats, total: Floats) -> float:
    """The chance of so large a gap between the mean difference of a slice and that of the other rows, if there is none.

    Student's t of the gap with its jackknife over groups of clusters; as many degrees of freedom as the groups, of the
    slice or of the rest, whichever has fewer, less one.

    Args:
        mine, total: Figure (rows, signed …) × group, of the slice and of all rows.
    """
    from components._shared.measuring.student import upper_tail

    (rows, signed), (others, other_signed) = mine[:2], (total - mine)[:2]
    groups = (rows + others) > 0
    fewest = int(min((rows > 0).sum(), (others > 0).sum()))
    if fewest < FEWEST_CLUSTERS:
        return 1.0
    gap = signed.sum() / rows.sum() - other_signed.sum() / others.sum()
    without = (signed.sum() - signed) / (rows.sum() - rows) - (other_signed.sum() - other_signed) / (
        others.sum() - others
    )
    count = int(groups.sum())
    moves = without[groups] - without[groups].mean()
    error = math.sqrt((count - 1) / count * float(moves @ moves))
    if error <= 1e-12 * max(abs(gap), 1e-300):
        return 0.0 if abs(gap) > 1e-12 else 1.0
    return 2 * upper_tail(abs(gap) / error, fewest - 1)


def _discoveries(chances: dict[tuple[str, str], float]) -> set[tuple[str, str]]:
    """The slices whose gap is no luck, all of them looked at together (Benjamini and Hochberg, 1995)."""
    from components._shared.measuring.false_discoveries import adjusted

    together = adjusted(list(chances.values()))
    return {name for name, least in zip(chances, together, strict=True) if least <= FALSE_DISCOVERIES}
