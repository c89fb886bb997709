"""Shares and signed differences as they stand in a sentence; other figures are written by `_shared/wording.py`."""

from __future__ import annotations

import math

from components._shared.comparison import Comparison
from components._shared.evidence import Estimate
from components._shared.task import EvaluationSection
from components._shared.wording import cluster_word, decimals_beyond, estimate, number, rows_word


def percent(share: float) -> str:
    """A share as a percentage; small ones are not rounded away."""
    value = 100 * share
    if 0 < value < 0.001:
        return "less than 0.001 %"
    if 0 < value < 0.1:
        return f"{value:.1g} %"
    if 99.95 <= value < 100:
        return "more than 99.9 %"
    return f"{value:.3g} %" if value < 10 else f"{value:.0f} %" if value < 99 else f"{value:.3g} %"


def observed_and_limit(observed: float, limit: float, *, share: bool) -> tuple[str, str]:
    """A figure and the limit that it is held to: with so many decimals that two that differ look different.

    Args:
        observed, limit: The figures.
        share: Whether they are written as percentages.
    """
    written = percent if share else number
    shown, allowed = written(observed), written(limit)
    if shown != allowed or observed == limit:
        return shown, allowed
    scale, unit = (100, " %") if share else (1, "")
    decimals = decimals_beyond(scale * observed, scale * limit, 0)
    return f"{number(scale * observed, decimals)}{unit}", f"{number(scale * limit, decimals)}{unit}"


def percent_estimate(found: Estimate) -> str:
    """A share and its interval as percentages."""
    if found.interval is None or found.interval[1] <= found.interval[0]:
        return percent(found.value)
    low, high = (100 * min(max(bound, 0.0), 1.0) for bound in found.interval)
    decimals = min(3, max(0, 1 - math.floor(math.log10(high - low)))) if high > low else 1
    return f"{100 * found.value:.{decimals}f} % [{low:.{decimals}f}, {high:.{decimals}f}]"


def signed_estimate(found: Estimate) -> str:
    """A difference and its interval, with a plus where it is above zero."""
    return f"{'+' if found.value > 0 else ''}{estimate(found)}"


def signed(value: float) -> str:
    """A difference in three significant digits, with a plus where it is above zero."""
    return f"{'+' if value > 0 else ''}{number(float(f'{value:.3g}'))}"


def extent(comparison: Comparison, section: EvaluationSection) -> str:
    """How many rows there are, and the clusters that they fall in."""
    if not section.has_time and section.cluster is None:
        return rows_word(comparison.rows)
    return f"{rows_word(comparison.rows)} in {cluster_word(section, comparison.clusters)}"
