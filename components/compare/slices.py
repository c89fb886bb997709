"""The slices that differ most, and those that move otherwise than the rest of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

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
"""Of the mean size of the difference: gaps that are smaller are left by rounding."""

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
    marked = [
        one.model_copy(update={"surprising": True, "by_size": surprising[one.column, one.value] == "size"})
        if (one.column, one.value) in surprising
        else one
        for one in found
    ]
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


@dataclass(frozen=True)
class _Gap:
    """How far a slice lies from the other rows of its column.

    Attributes:
        chance: Of so large a gap, if there is none.
        size: Of the gap.
        explained: How much less the rows scatter about two means, the slice's and the others', than about one.
        moved: Mean size of the slice's differences.
    """

    chance: float
    size: float
    explained: float
    moved: float


def _surprising(columns: dict[str, tuple[list[str], Floats]]) -> dict[tuple[str, str], str]:
    """The slices that move otherwise than the rest of the rows, all of them looked at together.

    A slice is looked at twice: by the mean of its differences, and by their mean size, since a slice whose rows move up
    and down may have no mean. One slice is taken at a time, and its rows are then no longer among the rest: beside one
    slice that moved far, all others seem to have moved the other way. Of those that are clear it is the one that
    explains most, as a regression tree chooses where to split (Breiman et al., Classification and regression trees,
    1984): the least chance would choose at random, since a slice and those that it makes look different are equally
    clear where the days differ; and of two slices that are all of a column, the one that moved farther. What is found
    in each step is held against the false discovery rate (Benjamini and Hochberg, 1995).

    Args:
        columns: Column → its slices and their sums, figure (rows, signed …) × slice × group.

    Returns:
        (column, value) → the figure in which the slice lies farther from the rest: `mean` or `size`.
    """
    found: dict[tuple[str, str], str] = {}
    gaps = {column: _gaps(values, sums) for column, (values, sums) in columns.items()}
    while True:
        waiting = {(column, *which): gap for column, of_slice in gaps.items() for which, gap in of_slice.items()}
        together = adjusted([gap.chance for gap in waiting.values()])
        clear = {
            which: gap
            for (which, gap), least in zip(waiting.items(), together, strict=True)
            if least <= FALSE_DISCOVERIES
        }
        if not clear:
            return found
        column, value, _ = min(clear, key=lambda which: (-clear[which].explained, -clear[which].moved, which))
        figures = [figure for figure in ("mean", "size") if (column, value, figure) in clear]
        found[column, value] = max(figures, key=lambda figure: clear[column, value, figure].size)
        values, sums = columns[column]
        there = [place for place, name in enumerate(values) if (column, name) not in found]
        gaps[column] = _gaps([values[place] for place in there], sums[:, there])


def _gaps(values: list[str], sums: Floats) -> dict[tuple[str, str], _Gap]:
    """(slice, `mean` or `size`) → how far it lies from the other rows; none where there are too few clusters to tell.

    Student's t of the gap with its jackknife over groups of clusters; as many degrees of freedom as the groups of the
    slice or of the others, whichever are fewer, less one.

    Args:
        values: The slices; joined ones are among the others, and not looked at.
        sums: Figure (rows, signed, absolute …) × slice × group.
    """
    rows, absolute = sums[0], sums[2]
    others = rows.sum(axis=0) - rows
    there = rows.sum(axis=0) > 0
    groups = there.sum()
    fewest = np.minimum((rows > 0).sum(axis=1), (others > 0).sum(axis=1))
    share = rows.sum(axis=1) / rows.sum()
    moved = absolute.sum(axis=1) / rows.sum(axis=1)
    found: dict[tuple[str, str], _Gap] = {}
    for figure, sum_of in (("mean", sums[1]), ("size", absolute)):
        rest = sum_of.sum(axis=0) - sum_of
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.abs(sum_of.sum(axis=1) / rows.sum(axis=1) - rest.sum(axis=1) / others.sum(axis=1))
            gap[gap <= _ROUNDING * absolute.sum() / rows.sum()] = 0.0
            without = (_without(sum_of, rows) - _without(rest, others))[:, there]
            error = np.sqrt((groups - 1) / groups * ((without - without.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
            if figure == "size":
                error = np.maximum(error, _error_of_all(error, rows.sum(axis=1), others.sum(axis=1)))
            t = np.where(gap > 0, gap / error, 0.0)
        for place, value in enumerate(values):
            if value.startswith(JOINED) or fewest[place] < FEWEST_CLUSTERS or np.isnan(t[place]):
                continue
            found[value, figure] = _Gap(
                chance=2 * upper_tail(float(t[place]), int(fewest[place]) - 1),
                # Without the last digits: what is equal but for rounding is a tie.
                size=float(f"{gap[place]:.9g}"),
                explained=float(f"{gap[place] ** 2 * share[place] * (1 - share[place]):.9g}"),
                moved=float(moved[place]),
            )
    return found


def _error_of_all(error: Floats, rows: Floats, others: Floats) -> Floats:
    """The standard error that each slice's gap would have if its rows scattered as those of all slices do.

    Sizes are skewed: a slice whose rows moved little by luck also scatters little, and would seem to be clearly smaller
    than the rest. With its own error alone, one of twenty equal slices stood out in 17 to 45 % of tables (heavy tails,
    30 days, 100 rows a slice), with the larger of the two in less than 1 %.

    Args:
        error: Each slice's own.
        rows, others: Of each slice, and beside it.
    """
    weight = rows * others / (rows + others)
    known = np.isfinite(error)
    by_row = (rows * weight * error**2)[known].sum() / rows[known].sum()
    found: Floats = np.sqrt(by_row / weight)
    return found


def _without(sums: Floats, rows: Floats) -> Floats:
    """The mean of each slice without each of the groups: slices × groups."""
    means: Floats = (sums.sum(axis=1, keepdims=True) - sums) / (rows.sum(axis=1, keepdims=True) - rows)
    return means
