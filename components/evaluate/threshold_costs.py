"""What acting from a threshold on costs, for every threshold: whether the declared one suits the model's scores.

The best threshold is looked for on the rows that judge, so it is information for a reader: no decision rests on it.
"""

from __future__ import annotations

import numpy as np

from components._shared.decision_rule import DecisionRule
from components._shared.evidence import Point, ThresholdCost
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import rounded
from components._shared.measuring.intervals import groups_of, half_widths
from components._shared.measuring.metrics import Floats
from components._shared.measuring.value import estimate_of

_EVEN, _BY_SCORE = 51, 99
"""Points of the curve at equal steps, and at quantiles of the scores, which may all lie near zero."""


def threshold_costs(
    rows: Rows, score: Floats, decision: DecisionRule
) -> tuple[tuple[Point, ...], ThresholdCost | None]:
    """Mean cost by threshold, and at the task's threshold beside the best one in hindsight.

    Args:
        rows: Labels (0/1), weights, clusters; not empty.
        score: Probability per row.
        decision: Its costs are those of a binary problem; without any there is nothing to draw.
    """
    declared = decision.threshold_of("binary_classification")
    if not decision.costs or declared is None:
        return (), None
    acting, not_acting = (decision.cost_of_decisions("binary_classification", rows.label, acts) for acts in (1, 0))
    best = _best(rows, score, acting - not_acting, declared)
    chosen, hindsight = (np.where(score >= threshold, acting, not_acting) for threshold in (declared, best))
    bounds = decision.cost_bounds("binary_classification")
    found = ThresholdCost(
        declared=rounded(declared),
        declared_cost=estimate_of(rows, chosen, bounds=bounds),
        best=rounded(best),
        best_cost=estimate_of(rows, hindsight, bounds=bounds),
        saved=estimate_of(rows, chosen - hindsight),
    )
    points = [*np.linspace(0, 1, _EVEN), *np.quantile(score, np.linspace(0, 1, _BY_SCORE)), declared, best]
    # Rounded first: a score that is itself a point must lie on the same side of it as it is drawn.
    grid = np.unique([rounded(point) for point in points])
    return _curve(rows, score, acting, not_acting, grid, bounds), found


def _best(rows: Rows, score: Floats, more: Floats, declared: float) -> float:
    """The threshold of the least cost; of several the one nearest to the declared one.

    Args:
        rows: Weights.
        score: Per row.
        more: Per row, what acting costs more than not acting.
        declared: The task's threshold.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    cost = np.append(0.0, np.cumsum((rows.weight * more)[order])[last])
    # Acting on the k highest different scores: any threshold above the next lower one, up to the lowest of the k.
    levels = ordered[last]
    high = np.append(max(1.0, 2 * levels[0]) if levels[0] >= 1 else 1.0, levels)
    low = np.append(levels, 0.0)
    middle = (low + high) / 2
    middle[-1] = 0.0
    within = (low < declared) & (declared <= high)
    middle[within] = declared
    slack = 1e-12 * max(1.0, float(np.abs(cost).max()))
    equal = np.flatnonzero(cost <= cost.min() + slack)
    return float(middle[equal[np.argmin(np.abs(middle[equal] - declared))]])


def _curve(
    rows: Rows, score: Floats, acting: Floats, not_acting: Floats, grid: Floats, bounds: tuple[float, float]
) -> tuple[Point, ...]:
    """Mean cost at each threshold of the grid, with its interval: sums by cluster and threshold, in one pass."""
    (group, groups), width = groups_of(rows.cluster, rows.clusters), len(grid) + 1
    reached = np.searchsorted(grid, score, side="right")  # acted on at the first so many thresholds
    place = group * width + reached
    more = np.bincount(place, rows.weight * (acting - not_acting), groups * width).reshape(groups, width)
    above = np.cumsum(more[:, ::-1], axis=1)[:, ::-1][:, 1:]  # of the rows whose score is at least the threshold
    sums = above + np.bincount(group, rows.weight * not_acting, groups)[:, None]
    weight = np.bincount(group, rows.weight, groups)[:, None]
    total = weight.sum()
    mean = sums.sum(axis=0) / total
    widths = half_widths((sums - mean * weight) / total, weight / total)
    return tuple(
        Point(
            x=rounded(x),
            y=rounded(y),
            low=rounded(max(bounds[0], y - half)) if np.isfinite(half) else None,
            high=rounded(min(bounds[1], y + half)) if np.isfinite(half) else None,
        )
        for x, y, half in zip(grid, mean, widths, strict=True)
    )
