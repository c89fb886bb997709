"""Many slices do not cry wolf: of the slices that are called worse, only a small share may be so by luck.

Benjamini & Hochberg, Controlling the false discovery rate, 1995. It holds for independent p-values and for those that
rise and fall together (Benjamini & Yekutieli, 2001), such as those of slices that share rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components._shared.evidence import Estimate, SliceFigures
from components._shared.gates import Metric
from components._shared.measuring.evidence_of_gain import chance_of_luck, gain_of, turned
from components._shared.measuring.figures import JOINED


@dataclass(frozen=True)
class SliceWorsening:
    """One slice, held against a tolerance.

    Attributes:
        chance: Of seeing so much worsening, or more, where the true one is what is allowed: a one-sided p-value.
        adjusted: The smallest share of false discoveries at which this slice is called worse (a q-value).
        worse: Whether it is called worse at the share asked for.
    """

    found: SliceFigures
    chance: float
    adjusted: float
    worse: bool


def adjusted(chances: Sequence[float]) -> list[float]:
    """For each p-value the smallest rate of false discoveries at which it is a discovery.

    Args:
        chances: One-sided p-values, in any order.
    """
    count = len(chances)
    least = 1.0
    result = [1.0] * count
    for place, index in sorted(enumerate(sorted(range(count), key=chances.__getitem__), start=1), reverse=True):
        least = min(least, chances[index] * count / place)
        result[index] = least
    return result


def worsened_slices(
    slices: Sequence[SliceFigures], metric: Metric, *, worse_by: float, min_rows: int, false_discoveries: float
) -> list[SliceWorsening]:
    """Which slices are worse than the champion by more than is allowed, all of them looked at together.

    Args:
        slices: With differences to the champion.
        metric: What is compared.
        worse_by: Worsening that is allowed, in the metric's unit.
        min_rows: Smaller slices are not looked at, nor joined ones.
        false_discoveries: Share of those called worse that may be so by luck.

    Returns:
        One for every slice that was looked at, the clearest first. Without an interval a slice cannot be looked at:
        `slices_not_looked_at` has these.
    """
    looked_at: list[tuple[SliceFigures, float]] = []
    for found, gain in _large(slices, metric, min_rows):
        chance = None if gain is None else chance_of_luck(turned(gain), found.clusters, above=worse_by)
        if chance is not None:
            looked_at.append((found, chance))
    together = adjusted([chance for _, chance in looked_at])
    result = [
        SliceWorsening(found=found, chance=chance, adjusted=least, worse=least <= false_discoveries)
        for (found, chance), least in zip(looked_at, together, strict=True)
    ]
    return sorted(result, key=lambda one: one.chance)


def slices_not_looked_at(
    slices: Sequence[SliceFigures], metric: Metric, *, min_rows: int
) -> list[tuple[SliceFigures, float | None]]:
    """The slices that are large enough, and whose worsening has no interval.

    Args:
        slices, metric, min_rows: As for `worsened_slices`.

    Returns:
        Each with its worsening, the largest first; without one, at the end, where the metric has no value.
    """
    found = [(one, gain) for one, gain in _large(slices, metric, min_rows) if gain is None or gain.error is None]
    result = [(one, None if gain is None else -gain.value) for one, gain in found]
    return sorted(result, key=lambda pair: -math.inf if pair[1] is None else pair[1], reverse=True)


def _large(
    slices: Sequence[SliceFigures], metric: Metric, min_rows: int
) -> Iterator[tuple[SliceFigures, Estimate | None]]:
    """The slices that are large enough, each with what the candidate gains in it; joined ones are none."""
    for one in slices:
        if one.rows >= min_rows and not one.value.startswith(JOINED):
            figures = one.metrics.get(metric)
            yield one, None if figures is None else gain_of(metric, figures)
