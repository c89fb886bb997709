"""95 % intervals from a paired, studentised bootstrap over clusters.

Rows of a cluster (a day) are not independent, so whole clusters are resampled, the same ones for candidate, champion
and their difference. A test of thirty days has thirty clusters, and there the usual percentile interval is too narrow:
two equal procedures are called different in 6 to 8 % of trials (13 % with ten days). What is used instead, with `u_g`
the sum of the rows' influences in cluster g of G, and `h_g` the cluster's share of the weight:

* standard error, the cluster jackknife: `s² = (G - 1)/G · Σ (u_g / (1 - h_g))²`
  (MacKinnon, Nielsen & Webb, Fast and reliable jackknife and bootstrap methods for cluster-robust inference, 2023);
* degrees of freedom: `G* - 1` with `G* = 1 / Σ h_g²`, as many clusters of one size as tell as much (Kish, Survey
  Sampling, 1965). Of thirty days of which three hold nearly all rows, it is three that are known, not thirty;
* in each of 2,000 resamples that draw cluster g `w_g` times, `t* = Σ w_g u_g / s*`, with
  `s*² = G/(G - 1) · (Σ w_g u_g² - (Σ w_g u_g)² / G)`;
* `q`: the 95 % quantile of `|t*|` (the symmetric bootstrap-t interval: Hall, On symmetric bootstrap confidence
  intervals, 1988), or Student's with G* - 1 degrees of freedom where that is larger. Where one cluster makes nearly
  all of `s` (one mistake in a hundred rows), every third resample is without it and `t*` knows no bounds: `q` is at
  most `1/√0.05 = 4.5` standard errors, beyond which no distribution has more than 5 % (Chebyshev), or Student's;
* the interval is `value ± q · s`, cut to the values that the metric can take.

A metric of several averages (a ranking metric is one over positives and negatives, macro F1 one for each class) knows
no more than the average that lies in the fewest clusters: `h_g` is the largest of the cluster's shares, and `G*` the
smallest of the averages' numbers. Five positives on five days are five clusters, however many days have none.

The calibration error is a sum of absolute values, and influences do not see that errors of days add up where the mean
error of a bin is near zero. Its interval is at least as wide as what the figure itself moves by in the resamples.

`benchmarks/statistics_simulation.py` prints how often two equal procedures are called different by it.
2,000 resamples cannot say what happens once in 2,000 times: a promotion is decided by `s` and the skewness of the sums
(`evidence_of_gain.py`).

More than `MOST_GROUPS` clusters are joined to that many groups at random (Kott, The delete-a-group jackknife, 2001).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from components._shared.measuring.metrics import Floats, Integers
from components._shared.measuring.student import quantile

RESAMPLES = 2000
MOST_GROUPS = 100
FEWEST_CLUSTERS = 5
"""With fewer of one size there is no interval: Student's tails would say more about it than the rows do."""

_SEED = 20130101
_LEVEL = 0.95
_CHEBYSHEV = 1 / math.sqrt(1 - _LEVEL)


def cluster_sums(influences: list[Floats], cluster: Integers, clusters: int) -> Floats:
    """Influences summed by cluster, or by group of clusters where there are many.

    Args:
        influences: Per column, one figure per row.
        cluster: Per row, 0 … clusters - 1.
        clusters: How many there are.

    Returns:
        Groups × columns.
    """
    group, groups = groups_of(cluster, clusters)
    return np.stack([np.bincount(group, weights=found, minlength=groups) for found in influences], axis=1)


def groups_of(cluster: Integers, clusters: int) -> tuple[Integers, int]:
    """The group of each row, and how many groups there are: the clusters themselves, unless they are many.

    Many are joined at random, in groups of one size: every hundredth day would hold as much of each season as any
    other, and groups of these would hide how much days differ.
    """
    if clusters <= MOST_GROUPS:
        return cluster, clusters
    shuffled = np.random.default_rng([_SEED, clusters]).permutation(clusters) % MOST_GROUPS
    return shuffled[cluster], MOST_GROUPS


def shares_of(averages: tuple[Integers, ...], weight: Floats, cluster: Integers, clusters: int) -> Floats:
    """Each cluster's, or group's, share of every average that a metric is made of.

    Args:
        averages: Which of them each row belongs to, once or several times; empty: there is one, over all rows.
        weight, cluster: Per row.
        clusters: How many there are.

    Returns:
        Groups × averages, without those that no row belongs to.
    """
    group, groups = groups_of(cluster, clusters)
    parts = averages or (np.zeros(len(weight), np.int64),)
    width = max(int(part.max()) for part in parts) + 1
    sums = np.sum([np.bincount(group * width + part, weight, groups * width) for part in parts], axis=0)
    sums = sums.reshape(groups, width)
    total = sums.sum(axis=0)
    shares: Floats = sums[:, total > 0] / total[total > 0]
    return shares


def effective_clusters(share: Floats) -> Integers:
    """As many clusters of one size as tell as much: Kish's number of each column, to the nearest whole one.

    Args:
        share: Each cluster's share: clusters × columns.
    """
    squares = (share**2).sum(axis=0)
    found: Integers = np.rint(share.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1)).astype(np.int64)
    return found


def half_widths(sums: Floats, share: Floats, effective: Integers | None = None) -> Floats:
    """Half the width of each column's interval.

    Args:
        sums: Influences by cluster: clusters × columns.
        share: Each cluster's share of the weight, clusters × 1 or clusters × columns.
        effective: How many equal clusters each column rests on; by default what its shares come to.

    Returns:
        Per column; NaN where there are too few clusters to say, or nearly all lies in a few of them.
    """
    clusters = len(sums)
    if clusters < FEWEST_CLUSTERS:
        return np.full(sums.shape[1], np.nan)
    effective = effective_clusters(share) if effective is None else effective
    least = [student_quantile(freedom(each)) if each >= FEWEST_CLUSTERS else np.nan for each in effective.tolist()]
    with np.errstate(divide="ignore", invalid="ignore"):
        error = standard_errors(sums, share)
        drawn = _resamples(clusters)
        moved = drawn @ sums
        squares = drawn @ sums**2
        spread = squares - moved**2 / clusters
        flat = spread <= 1e-12 * squares
        t = np.abs(moved) / np.sqrt(np.where(flat, np.nan, spread) * clusters / (clusters - 1))
        t[flat] = np.where(moved[flat] == 0, 0, np.inf)
        most = np.quantile(t, _LEVEL, axis=0, method="higher")
        width = np.maximum(np.minimum(most, _CHEBYSHEV), least) * error
    width[~sums.any(axis=0)] = 0.0
    return np.where(np.isfinite(width) & np.isfinite(least), width, np.nan)


def standard_errors(sums: Floats, share: Floats) -> Floats:
    """The cluster jackknife's standard error of each column.

    Args:
        sums, share: As for `half_widths`.

    Returns:
        Per column; not finite where all weight lies in one cluster.
    """
    clusters = len(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors: Floats = np.sqrt((clusters - 1) / clusters * ((sums / (1 - share)) ** 2).sum(axis=0))
    return errors


def skewness(sums: Floats, share: Floats) -> Floats:
    """The skewness of each column's clusters, adjusted for their number (G1 of Joanes & Gill, 1998).

    Args:
        sums, share: As for `half_widths`.

    Returns:
        Per column; zero where they do not vary.
    """
    clusters = len(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = sums / (1 - share)
        from_mean = values - values.mean(axis=0)
        second, third = (from_mean**2).mean(axis=0), (from_mean**3).mean(axis=0)
        found = third / second**1.5 * np.sqrt(clusters * (clusters - 1)) / (clusters - 2)
    return np.where(np.isfinite(found), found, 0.0)


def freedom(clusters: int) -> int:
    """Degrees of freedom of a standard error from so many clusters of one size."""
    return min(clusters, MOST_GROUPS) - 1


def resampled_gaps(gap: Floats, bins: Integers, weight: Floats, cluster: Integers, clusters: int) -> Floats:
    """The calibration error of every resample, less that of the rows as they are; bins stay where they are.

    Args:
        gap: Per row, weight times (label - score).
        bins: Per row, its bin.
        weight, cluster: Per row.
        clusters: How many there are.
    """
    (group, groups), width = groups_of(cluster, clusters), int(bins.max()) + 1
    place = group * width + bins
    by_bin = np.bincount(place, weights=gap, minlength=groups * width).reshape(groups, width)
    total = np.bincount(group, weights=weight, minlength=groups)
    drawn = _resamples(groups)
    resampled = np.abs(drawn @ by_bin).sum(axis=1) / (drawn @ total)
    moves: Floats = resampled - np.abs(by_bin.sum(axis=0)).sum() / total.sum()
    return moves


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution: half the width of a 95 % interval in standard errors."""
    return quantile((1 - _LEVEL) / 2, freedom)


@lru_cache(maxsize=32)
def _resamples(clusters: int) -> Floats:
    """How often each cluster is drawn: resamples × clusters. The same for the same number of clusters, always."""
    random = np.random.default_rng([_SEED, clusters])
    return random.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES).astype(np.float64)
