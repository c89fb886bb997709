"""How a binary model's probabilities relate to what came true: calibration in the large, slope and intercept."""

from __future__ import annotations

import numpy as np

from components._shared.evidence import CalibrationLine, Estimate
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import rounded
from components._shared.measuring.intervals import cluster_sums, effective_clusters, half_widths, shares_of
from components._shared.measuring.metrics import CLIP, Floats
from components._shared.measuring.value import estimate_of

_STEEPEST = 1e3
"""A slope beyond it: scores that (nearly) separate the classes, where the likelihood has no maximum."""


def calibration_line(rows: Rows, score: Floats) -> CalibrationLine:
    """Fits `logit(rate) = intercept + slope * logit(score)` by maximum likelihood (Cox 1958).

    The influence of a row is that on an M-estimator: the inverse information times its weighted score function.

    Args:
        rows: Labels (0/1), weights, clusters; not empty.
        score: Probability per row.
    """
    slope = intercept = None
    clipped = np.clip(score, CLIP, 1 - CLIP)
    basis = np.stack([np.ones(len(score)), np.log(clipped / (1 - clipped))], axis=1)
    fitted = _fit(basis, rows.label, rows.weight)
    if fitted is not None:
        point, influence = fitted
        sums = cluster_sums([influence[:, 0], influence[:, 1]], rows.cluster, rows.clusters)
        # As of a ranking metric, it is the rarer class that says how much is known of them.
        shares = shares_of((rows.label.astype(np.int64),), rows.weight, rows.cluster, rows.clusters)
        effective = effective_clusters(shares).min(keepdims=True)
        widths = half_widths(sums, shares.max(axis=1, keepdims=True), effective)
        intercept, slope = (_estimate(value, width) for value, width in zip(point, widths, strict=True))
    return CalibrationLine(
        score_mean=rounded(float(score @ rows.weight / rows.weight.sum())),
        bias=estimate_of(rows, score - rows.label),
        slope=slope,
        intercept=intercept,
    )


def _fit(basis: Floats, label: Floats, weight: Floats) -> tuple[Floats, Floats] | None:
    """Coefficients, and the influence of every row on each; none where they have no finite value."""
    point = np.array([0.0, 1.0])
    for _ in range(30):
        rate = 1 / (1 + np.exp(-np.clip(basis @ point, -500, 500)))
        information = (basis * (weight * rate * (1 - rate))[:, None]).T @ basis
        if not np.isfinite(information).all() or np.linalg.cond(information) > 1e12:
            return None
        residual = basis * (weight * (label - rate))[:, None]
        step = np.linalg.solve(information, residual.sum(axis=0))
        point = point + np.clip(step, -5, 5)
        if not np.abs(point).max() < _STEEPEST:
            return None
        if np.abs(step).max() < 1e-10:
            influence: Floats = np.linalg.solve(information, residual.T).T
            return point, influence
    return None


def _estimate(value: float, width: float) -> Estimate:
    pair = (rounded(value - width), rounded(value + width)) if np.isfinite(width) else None
    return Estimate(value=rounded(float(value)), interval=pair)
