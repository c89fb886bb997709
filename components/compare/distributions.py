"""How the distributions and the ranks of two models' scores differ, from the rows of the sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components._shared.comparison import QuantilePoint
from components._shared.evidence import Estimate
from components._shared.measuring.figures import rounded
from components._shared.measuring.intervals import (
    FEWEST_CLUSTERS,
    half_widths,
    standard_errors,
)
from components._shared.measuring.metrics import Floats, Integers
from components._shared.score_sketches import CELLS, NOISE, cell_shares, index_of, just_above
from components.compare.clusters import SLOTS

BANDED = tuple(round(step * 0.025, 3) for step in range(2, 39))
"""Levels of the Q–Q plot that have a band. Further out lie too few rows for it to hold."""

LEVELS = (0.01, 0.025, *BANDED, 0.975, 0.99)
"""Levels of the Q–Q plot."""

_SEED = 20130101
_DRAWS = 2000

DIFFERENCE_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def quantiles(ordered: Floats, levels: Floats) -> Floats:
    """The smallest values that at least these shares of the rows do not exceed; the values are in order."""
    places = np.ceil(np.asarray(levels) * len(ordered) - 1e-9).astype(np.int64) - 1
    return ordered[np.clip(places, 0, len(ordered) - 1)]


def stability_index(champion: Floats, candidate: Floats) -> float:
    """Population stability index over the champion's deciles, each edge once; both in order."""
    edges = np.unique(quantiles(champion, np.arange(1, CELLS) / CELLS))
    return index_of(cell_shares(share_up_to(champion, edges)), cell_shares(share_up_to(candidate, edges)))


def distance(champion: Floats, candidate: Floats) -> float:
    """Kolmogorov-Smirnov distance; both in order."""
    places = np.concatenate([champion, candidate])
    return float(np.abs(share_up_to(champion, places) - share_up_to(candidate, places)).max())


def share_up_to(ordered: Floats, values: Floats) -> Floats:
    """The share of rows with at most these values, up to noise."""
    return np.searchsorted(ordered, just_above(values), side="right") / len(ordered)


def quantile_points(champion: Floats, candidate: Floats, group: Integers) -> tuple[QuantilePoint, ...]:
    """The Q–Q plot, with a band for a candidate that had the champion's distribution.

    Both score the same rows. Had they the same distribution, the share of the candidate's scores below a quantile of
    the champion's would differ from its level only as `1[candidate ≤ q] − 1[champion ≤ q]` scatters over the clusters;
    the band takes the champion's quantiles at so much more and so much less than the level. It holds for all points
    together: in 95 % of such tables not one of them lies outside.

    Args:
        champion, candidate: Scores of the same rows.
        group: Their clusters' groups.
    """
    levels = np.array(LEVELS)
    one, other = np.sort(champion), np.sort(candidate)
    edges = quantiles(one, levels)
    sums = _up_to(edges, candidate, group) - _up_to(edges, champion, group)
    sums[:, ~np.isin(levels, BANDED)] = 0.0
    widths = _band_widths(*_centred(sums, np.bincount(group, minlength=SLOTS)))
    low, high = (quantiles(one, np.clip(levels + sign * np.nan_to_num(widths), 0, 1)) for sign in (-1, 1))
    found = quantiles(other, levels)
    banded = np.isfinite(widths) & np.isin(levels, BANDED)
    return tuple(
        QuantilePoint(
            level=float(level),
            champion=rounded(float(edges[place])),
            candidate=rounded(float(found[place])),
            low=rounded(float(low[place])) if banded[place] else None,
            high=rounded(float(high[place])) if banded[place] else None,
        )
        for place, level in enumerate(levels)
    )


def outside(points: tuple[QuantilePoint, ...]) -> int:
    """How many points lie outside the band, by more than noise."""
    banded = [(point.low, point.candidate, point.high) for point in points if point.low is not None]
    low, found, high = np.array(banded, np.float64).reshape(-1, 3).T
    return int(((found > just_above(high)) | (low > just_above(found))).sum())


def _up_to(edges: Floats, values: Floats, group: Integers) -> Floats:
    """How many rows have at most the value of each edge, up to noise: groups × edges, which are in order."""
    cells = len(edges) + 1
    place = group * cells + np.searchsorted(just_above(edges), values, side="left")
    counts = np.bincount(place, minlength=SLOTS * cells).reshape(SLOTS, cells)
    return np.cumsum(counts, axis=1)[:, :-1].astype(np.float64)


def rank_agreement(champion: Floats, candidate: Floats, group: Integers) -> Estimate | None:
    """Spearman's correlation with its interval over clusters; none where one of them gives every row the same score.

    Scores that are the same up to noise have the same rank, but for the few that lie beside the edge of a rounding
    step: a correlation hardly feels those.

    Its influence is that of a correlation of middle ranks, in which each row also moves the ranks of all others
    (C. Croux and C. Dehon, *Influence functions of the Spearman and Kendall correlation measures*, 2010, for
    distributions without ties).
    """
    champion, candidate = _rounded(champion), _rounded(candidate)
    if len(champion) and np.array_equal(champion, candidate):
        return Estimate(value=1.0, interval=(1.0, 1.0))
    one, other = _ranked(champion), _ranked(candidate)
    spread, others = float((one[0] ** 2).mean()), float((other[0] ** 2).mean())
    if spread <= 0 or others <= 0:
        return None
    scale = (spread * others) ** 0.5
    value = float((one[0] * other[0]).mean()) / scale
    both = one[0] * other[0] + _above(one[1], other[0]) + _above(other[1], one[0])
    influence = (both - both.mean()) / scale
    for (rank, code), variance in ((one, spread), (other, others)):
        own = rank**2 + 2 * _above(code, rank)
        influence -= value / 2 * (own - own.mean()) / variance
    rows = np.bincount(group, minlength=SLOTS)
    width = float(_widths(np.bincount(group, influence, SLOTS)[:, None], rows)[0])
    interval = (rounded(max(-1.0, value - width)), rounded(min(1.0, value + width))) if np.isfinite(width) else None
    return Estimate(value=rounded(value), interval=interval)


def _rounded(scores: Floats) -> Floats:
    """The scores to as many binary digits as `NOISE` leaves."""
    mantissa, exponent = np.frexp(scores)
    found: Floats = np.ldexp(np.rint(mantissa / NOISE) * NOISE, exponent)
    return found


def _ranked(values: Floats) -> tuple[Floats, Integers]:
    """Middle ranks as shares of the rows, less one half; and the number of each row's value in order."""
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    return ((np.cumsum(counts) - counts / 2) / len(values) - 0.5)[code], code


def _above(code: Integers, values: Floats) -> Floats:
    """For each row, the sum of the values of rows that rank above it, and of half of those beside it, over all rows."""
    by_value = np.bincount(code, values)
    found: Floats = ((np.cumsum(by_value[::-1])[::-1] - by_value / 2) / len(values))[code]
    return found


def _widths(sums: npt.ArrayLike, rows: Integers) -> Floats:
    """Half widths of the intervals of figures whose influences, times the rows, were summed by group."""
    return half_widths(*_centred(sums, rows))


def _centred(sums: npt.ArrayLike, rows: Integers) -> tuple[Floats, Floats]:
    """Influences by group and each group's share of the rows; groups without rows are left out."""
    figures = np.asarray(sums, np.float64)
    there = rows > 0
    total = rows.sum()
    return (figures[there] - rows[there, None] * figures.sum(axis=0) / total) / total, rows[there, None] / total


def _band_widths(sums: Floats, share: Floats) -> Floats:
    """Half widths of a band that holds for all columns together.

    A sup-t band (J. L. Montiel Olea and M. Plagborg-Møller, *Simultaneous confidence bands*, 2019): the 95 % quantile
    of the largest studentised `|t|` of all columns, where the sign of each cluster's influence is drawn by lot
    (A. C. Cameron, J. B. Gelbach and D. L. Miller, *Bootstrap-based improvements for inference with clustered errors*,
    2008).
    """
    clusters = len(sums)
    if clusters < FEWEST_CLUSTERS:
        return np.full(sums.shape[1], np.nan)
    error = standard_errors(sums, share)
    signs = np.random.default_rng(_SEED).integers(0, 2, (_DRAWS, clusters)) * 2.0 - 1.0
    squares = (sums**2).sum(axis=0)
    moved = (signs @ sums) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.sqrt(moved / (squares - moved / clusters) * (clusters - 1) / clusters)
        critical = float(np.quantile(np.nanmax(t, axis=1, initial=0.0), 0.95, method="higher"))
        widths: Floats = np.where(error > 0, critical * error, 0.0)
    return np.where(np.isfinite(widths), widths, np.nan)
