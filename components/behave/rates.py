"""The share of rows that break an expectation, with an interval that is honest where hardly any row does.

The interval of Clopper and Pearson is exact for independent rows, also where none breaks it ("rule of three": the upper
end is about 3.7/n). Rows of a cluster are not independent, so it is asked for fewer rows than there are (Korn &
Graubard, Confidence intervals for proportions with small expected number of positive counts estimated from survey data,
Survey Methodology 24, 1998):

* the design effect (Kish, Survey Sampling, 1965) is the variance of a mean over clusters, divided by what it would be
  if rows were independent. That of the broken rows is used, or that of how far the scores moved, where it is larger:
  from no broken rows at all nothing can be told of how they would lie together, from the moves it can;
* the rows are divided by it, and by the square of the ratio of the quantiles of Student's distribution for so many
  clusters and for so many rows;
* with fewer clusters than an interval needs elsewhere, each cluster counts as one row.
"""

from __future__ import annotations

import math

import numpy as np

from components._shared.evidence import Estimate
from components._shared.measuring.intervals import FEWEST_CLUSTERS, student_quantile
from components._shared.measuring.metrics import Floats, Integers

_TAIL = 0.025
_STEPS = 50
_MOST_TERMS = 10_000


def share_of(broken: Floats, moved: Floats, cluster: Integers) -> Estimate | None:
    """The share of broken rows with its 95 % interval.

    Args:
        broken: Per row 1 or 0.
        moved: Per row, how far its score moved.
        cluster: Per row, 0 … clusters - 1, some of which may be absent.

    Returns:
        None without rows.
    """
    rows = len(broken)
    if not rows:
        return None
    share = float(broken.mean())
    effective = _effective_rows(broken, moved, cluster)
    return Estimate(value=share, interval=clopper_pearson(share * effective, effective))


def clopper_pearson(count: float, rows: float) -> tuple[float, float]:
    """The 95 % interval of a share, of counts that need not be whole."""
    low = 0.0 if count <= 0 else _beta_quantile(_TAIL, count, rows - count + 1)
    high = 1.0 if count >= rows else _beta_quantile(1 - _TAIL, count + 1, rows - count)
    return low, high


def _effective_rows(broken: Floats, moved: Floats, cluster: Integers) -> float:
    rows = len(broken)
    _, cluster = np.unique(cluster, return_inverse=True)
    clusters = int(cluster.max()) + 1
    if clusters < FEWEST_CLUSTERS:
        return float(clusters)
    effect = max(1.0, _design_effect(broken, cluster, clusters), _design_effect(moved, cluster, clusters))
    few = (student_quantile(max(rows - 1, 4)) / student_quantile(clusters - 1)) ** 2
    return max(1.0, rows / effect * few)


def _design_effect(values: Floats, cluster: Integers, clusters: int) -> float:
    rows, apart = len(values), values - values.mean()
    independent = float((apart**2).sum()) / (rows - 1) / rows
    if independent == 0:
        return 1.0
    sums = np.bincount(cluster, weights=apart, minlength=clusters)
    return clusters / (clusters - 1) * float((sums**2).sum()) / rows**2 / independent


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """By bisection: the function is monotone, and no other library is needed."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22, 8.17.4)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) / a / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 + d₁/(1 + d₂/(1 + …)), evaluated from the front (Lentz's method, DLMF 3.10(iii))."""
    value, c, d = 1.0, 1.0, 0.0
    for term in range(1, _MOST_TERMS):
        m = term // 2
        if term % 2:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + numerator * d)
        c = 1 + numerator / c
        value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value
