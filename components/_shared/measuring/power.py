"""How much a comparison can see: the smallest difference that it finds, and the days that a smaller one would take.

A standard error shrinks as one over the root of the number of clusters (days), if later days are like these. A
difference is found with the wanted power if it is as many standard errors as are needed (`errors_needed`) and Student's
quantile at one minus the power more, where days show no skewness.
"""

from __future__ import annotations

import math

from components._shared.measuring.evidence_of_gain import errors_needed
from components._shared.measuring.intervals import freedom
from components._shared.measuring.student import quantile

POWER = 0.8
"""A difference counts as found if four of five such comparisons find it."""

MOST_CLUSTERS = 100_000
"""Beyond that the answer is never: two and a half centuries of days."""


def detectable(error: float, clusters: int, level: float) -> float:
    """The true difference that is found four times in five.

    Args:
        error: Standard error of the difference, from `clusters` clusters.
        clusters: How many there are.
        level: The largest chance of luck that is allowed.
    """
    return (errors_needed(level, clusters) + quantile(1 - POWER, freedom(clusters))) * error


def clusters_needed(effect: float, error: float, clusters: int, level: float) -> int | None:
    """How many clusters find a difference four times in five, if later ones are like these.

    Args:
        effect: The true difference, above zero.
        error: Standard error of the difference, from `clusters` clusters.
        clusters: How many there are.
        level: The largest chance of luck that is allowed.

    Returns:
        At least 2; none: more than `MOST_CLUSTERS`.
    """

    def finds(count: int) -> bool:
        return detectable(error * math.sqrt(clusters / count), count, level) <= effect

    if not finds(MOST_CLUSTERS):
        return None
    low, high = 1, MOST_CLUSTERS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if finds(middle) else (middle, high)
    return high
