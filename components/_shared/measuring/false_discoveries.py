"""Many slices do not cry wolf: of the slices that are called worse, only a small share may be so by luck.

Benjamini & Hochberg, Controlling the false discovery rate, 1995. It holds for independent p-values and for those that
rise and fall together (Benjamini & Yekutieli, 2001), such as those of slices that share rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components._shared.evidence import SliceFigures
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
        One for every slice that was looked at, the clearest first. Without an interval a slice cannot be looked at.
    """
    looked_at: list[tuple[SliceFigures, float]] = []
    for found in slices:
        figures = found.metrics.get(metric)
        gain = gain_of(metric, figures) if figures is not None else None
        if gain is None or found.rows < min_rows or found.value.startswith(JOINED):
            continue
        chance = chance_of_luck(turned(gain), found.clusters, above=worse_by)
        if chance is not None:
            looked_at.append((found, chance))
    together = adjusted([chance for _, chance in looked_at])
    result = [
        SliceWorsening(found=found, chance=chance, adjusted=least, worse=least <= false_discoveries)
        for (found, chance), least in zip(looked_at, together, strict=True)
    ]
    return sorted(result, key=lambda one: one.chance)
