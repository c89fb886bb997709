"""Is a model better beyond doubt? The chance that luck alone makes a difference look so large.

A difference `d` of sums over clusters, with the jackknife's standard error `s`, which rests on as much as G clusters of
one size (`intervals.py`), is held against Student's distribution: `t = (d - bound) / s` with G - 1 degrees of freedom.
That is right if the clusters' sums are spread evenly about their mean. If they lean to the left (a little better on
most days, much worse on a few), a month without the bad days looks too good: at a chance of 1 in 1,900 and a skewness
of -1, thirty days said "better" five times too often, at -2 eighteen times. So t is corrected for skewness,

    t' = √G (T + k T²/3 + k² T³/27 + k/(6 G))   with   T = t/√G

(Hall, On the removal of skewness by transformation, 1992), and the smaller of t and t' is taken: the correction may
only take evidence away. The skewness of thirty days says little of the days that were not among them, so `k` is what
is measured less one standard error of it, √(6/G). With that no chance is understated, for skewness down to -2 and
thirty days or more (docs/statistics.md).
"""

from __future__ import annotations

import math
from typing import Literal

from components._shared.evidence import Estimate, Figures
from components._shared.gates import HIGHER_IS_BETTER, Metric
from components._shared.measuring.intervals import freedom
from components._shared.measuring.student import quantile, upper_tail

Other = Literal["champion", "reference"]


def level_of_a_look(false_alarms: float, looks: int) -> float:
    """The largest chance of luck that one decision may have.

    It holds whatever the decisions share: rows, models, days (Bonferroni).

    Args:
        false_alarms: Largest share of quarters in which a candidate that is no better replaces the champion.
        looks: As one of how many decisions of a quarter this one counts.
    """
    return false_alarms / max(1, looks)


def chance_of_luck(difference: Estimate, clusters: int, *, above: float = 0.0) -> float | None:
    """The chance of a difference so large, or larger, where the true one is `above`: a one-sided p-value.

    Args:
        difference: With its standard error and skewness; positive is what is to be shown.
        clusters: How many there are; they count as those of one size, where the difference does not say how many it
            rests on.
        above: What it is to be larger than.

    Returns:
        None where there is no standard error.
    """
    if difference.error is None:
        return None
    distance = difference.value - above
    if difference.error <= 0:
        return 0.0 if distance > 0 else 1.0
    t, rests_on = distance / difference.error, difference.clusters or clusters
    return upper_tail(min(t, _without_skewness(t, difference.skewness or 0.0, rests_on)), freedom(rests_on))


def errors_needed(level: float, clusters: int) -> float:
    """How many standard errors a difference must be for a chance of luck of `level`, if its days show no skewness.

    Args:
        level: The largest chance of luck that is allowed, below a half.
        clusters: How many there are, of one size.
    """
    groups = freedom(clusters) + 1
    wanted = quantile(level, freedom(clusters))
    skewness = -_error_of_skewness(groups)
    # The transformation is ((1 + k T/3)³ - 1)/k + k/(6 G): turned round.
    share = 3 / skewness * (math.cbrt(1 + skewness * (wanted / math.sqrt(groups) - skewness / (6 * groups))) - 1)
    return max(wanted, math.sqrt(groups) * share)


def gain_of(metric: Metric, found: Figures, other: Other = "champion") -> Estimate | None:
    """How much better the candidate is than another model: positive is better. None where there is no such model.

    A bias is better by what its size has shrunk. How sure that is can only be said where both are sure to lie on the
    same side of zero: elsewhere a shift of all labels moves one size up and the other one down, which the difference of
    the two does not show. So no gate decides by it (`gates.py`).
    """
    difference = found.difference if other == "champion" else found.reference_difference
    model = found.champion if other == "champion" else found.reference
    if difference is None or model is None:
        return None
    if metric == "bias":
        shrunk = Estimate(value=abs(model.value) - abs(found.candidate.value))
        sides = {_side(found.candidate), _side(model)}
        return turned(difference) if sides == {1} else difference if sides == {-1} else shrunk
    return difference if metric in HIGHER_IS_BETTER else turned(difference)


def turned(difference: Estimate) -> Estimate:
    """The difference seen from the other side."""
    pair = difference.interval
    return Estimate(
        value=-difference.value,
        interval=None if pair is None else (-pair[1], -pair[0]),
        error=difference.error,
        skewness=None if difference.skewness is None else -difference.skewness,
        clusters=difference.clusters,
    )


def _side(bias: Estimate) -> int:
    """On which side of zero its whole interval lies: 1, -1, or 0 where that is not sure."""
    low, high = bias.interval or (0.0, 0.0)
    return 1 if low > 0 else -1 if high < 0 else 0


def _without_skewness(t: float, measured: float, clusters: int) -> float:
    groups = freedom(clusters) + 1
    skewness = measured - _error_of_skewness(groups)
    share = t / math.sqrt(groups)
    bent = share + skewness * share**2 / 3 + skewness**2 * share**3 / 27 + skewness / (6 * groups)
    return math.sqrt(groups) * bent


def _error_of_skewness(groups: int) -> float:
    return math.sqrt(6 / groups)
