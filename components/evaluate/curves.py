"""Curves and histograms of one model, at most 200 points each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components._shared.evidence import Curves, Point
from components._shared.measuring.figures import rounded
from components._shared.measuring.intervals import cluster_sums, half_widths
from components._shared.measuring.metrics import Floats, Integers, calibration_bins
from components._shared.task import Problem

MOST_POINTS = 200
CALIBRATION_POINTS = 15
BARS = 40


@dataclass(frozen=True)
class Drawn:
    """The curves, and the score threshold of each point of `roc`."""

    curves: Curves
    thresholds: tuple[float, ...] = ()


def draw(
    problem: Problem,
    *,
    label: Floats,
    score: Floats,
    weight: Floats,
    cluster: Integers,
    clusters: int,
    classes: tuple[str, ...],
) -> Drawn:
    """The curves that a problem has.

    Args:
        problem: Which curves.
        label, score, weight, cluster: Per row.
        clusters: How many clusters there are.
        classes: Names, in the order of the scores.
    """
    if not len(label):
        return Drawn(Curves(classes=classes))
    if problem == "regression":
        return Drawn(
            Curves(
                predicted=_by_bin(score, label, weight, cluster, clusters),
                residuals=_histogram(label - score, weight),
                scores=_histogram(score, weight),
            )
        )
    if problem == "binary_classification":
        chosen, certain, hit = (score > 0.5).astype(np.int64), score, label
    else:
        chosen = score.argmax(axis=1)
        certain, hit = score.max(axis=1), (chosen == label).astype(float)
    roc, thresholds, pr = _thresholds(label, score, weight) if problem == "binary_classification" else ((), (), ())
    counts = np.bincount(label.astype(np.int64) * len(classes) + chosen, minlength=len(classes) ** 2)
    return Drawn(
        Curves(
            roc=roc,
            pr=pr,
            calibration=_by_bin(certain, hit, weight, cluster, clusters, bounds=(0, 1)),
            scores=_histogram(certain, weight, bounds=(0, 1)),
            confusion=tuple(tuple(int(one) for one in row) for row in counts.reshape(len(classes), -1)),
            classes=classes,
        ),
        thresholds,
    )


def _thresholds(
    label: Floats, score: Floats, weight: Floats
) -> tuple[tuple[Point, ...], tuple[float, ...], tuple[Point, ...]]:
    """ROC, its thresholds, PR.

    The first point of ROC, where no row is called positive, has a threshold above every score: KFP takes finite ones.
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    true = np.cumsum((label * weight)[order])[last]
    false = np.cumsum(((1 - label) * weight)[order])[last]
    if true[-1] <= 0 or false[-1] <= 0:
        return (), (), ()
    x, y = np.append(0, false / false[-1]), np.append(0, true / true[-1])
    threshold = np.append(ordered[0] + 1, ordered[last])
    kept = _thin(x, y)
    roc = tuple(Point(x=rounded(x[i]), y=rounded(y[i])) for i in kept)
    recall, precision = true / true[-1], true / (true + false)
    pr = tuple(Point(x=rounded(recall[i]), y=rounded(precision[i])) for i in _thin(recall, precision))
    return roc, tuple(rounded(threshold[i]) for i in kept), pr


def _thin(x: Floats, y: Floats) -> Integers:
    """At most `MOST_POINTS` of the points, evenly along the way that the curve goes, both ends among them."""
    if len(x) <= MOST_POINTS:
        return np.arange(len(x))
    way = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    wanted = np.linspace(0, way[-1], MOST_POINTS)
    return np.unique(np.append(np.searchsorted(way, wanted[:-1]), len(x) - 1))


def _by_bin(
    score: Floats,
    outcome: Floats,
    weight: Floats,
    cluster: Integers,
    clusters: int,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[Point, ...]:
    """Mean outcome over mean score by bins of equal weight, with the interval of the mean outcome."""
    bins = calibration_bins(score, weight, CALIBRATION_POINTS)
    points = []
    for number in np.unique(bins):
        inside = bins == number
        share = np.where(inside, weight, 0)
        total = share.sum()
        mean = float(outcome @ share / total)
        sums = cluster_sums([share * (outcome - mean) / total, share / total], cluster, clusters)
        width = float(half_widths(sums[:, :1], sums[:, 1:])[0])
        known = bool(np.isfinite(width))
        points.append(
            Point(
                x=rounded(float(score @ share / total)),
                y=rounded(mean),
                low=rounded(max(bounds[0], mean - width)) if known else None,
                high=rounded(min(bounds[1], mean + width)) if known else None,
                rows=int(inside.sum()),
            )
        )
    return tuple(points)


def _histogram(values: Floats, weight: Floats, bounds: tuple[float, float] | None = None) -> tuple[Point, ...]:
    """Shares by bars of equal width; without bounds the outermost 0.5 % on each side go to the outermost bars."""
    low, high = bounds if bounds is not None else (float(one) for one in np.quantile(values, [0.005, 0.995]))
    if not high > low:
        return (Point(x=rounded(low), y=1.0, rows=len(values)),)
    bar = np.clip(((values - low) / (high - low) * BARS).astype(np.int64), 0, BARS - 1)
    share = np.bincount(bar, weights=weight, minlength=BARS) / weight.sum()
    rows = np.bincount(bar, minlength=BARS)
    width = (high - low) / BARS
    return tuple(Point(x=rounded(low + (i + 0.5) * width), y=rounded(share[i]), rows=int(rows[i])) for i in range(BARS))
