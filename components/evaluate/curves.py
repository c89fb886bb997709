"""Curves and histograms of one model, at most 200 points each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components._shared.decision_rule import DecisionRule
from components._shared.evidence import Curves, Point
from components._shared.measuring.calibration_line import calibration_line
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import rounded
from components._shared.measuring.metrics import Floats, Integers, calibration_bins
from components._shared.measuring.value import estimate_of
from components._shared.task import Problem
from components.evaluate.threshold_costs import threshold_costs

MOST_POINTS = 200
CALIBRATION_POINTS = 15
BARS = 40


@dataclass(frozen=True)
class Drawn:
    """The curves, and the score threshold of each point of `roc`."""

    curves: Curves
    thresholds: tuple[float, ...] = ()


def draw(
    problem: Problem, rows: Rows, score: Floats, *, decision: DecisionRule, classes: tuple[str, ...] = ()
) -> Drawn:
    """The curves that a problem has.

    Args:
        problem: Which curves.
        rows: Labels, weights, clusters.
        score: Of the model, per row (multiclass: rows × classes).
        decision: What is decided by a score, and what it costs.
        classes: Names, in the order of the scores; none in regression.
    """
    if not len(rows):
        return Drawn(Curves(classes=classes))
    label, weight = rows.label, rows.weight
    if problem == "regression":
        return Drawn(
            Curves(
                predicted=_by_bin(rows, score, label),
                residuals=_histogram(label - score, weight),
                scores=_histogram(score, weight),
            )
        )
    curves = _of_classes(problem, rows, score, decision, classes)
    if problem == "multiclass_classification":
        return Drawn(curves)
    roc, thresholds, pr = _thresholds(label, score, weight)
    costs, threshold_cost = threshold_costs(rows, score, decision)
    found = {
        "roc": roc,
        "pr": pr,
        "threshold": rounded(decision.threshold_of(problem) or 0.0),
        "line": calibration_line(rows, score),
        "costs": costs,
        "threshold_cost": threshold_cost,
    }
    return Drawn(curves.model_copy(update=found), thresholds)


def _of_classes(
    problem: Problem, rows: Rows, score: Floats, decision: DecisionRule, classes: tuple[str, ...]
) -> Curves:
    """Calibration, scores and confusion. What is calibrated is the probability of the likeliest class."""
    if problem == "binary_classification":
        certain, hit = score, rows.label
    else:
        certain, hit = score.max(axis=1), (score.argmax(axis=1) == rows.label).astype(float)
    decided = np.asarray(decision.decisions(problem, score, classes), np.int64)
    counts = np.bincount(rows.label.astype(np.int64) * len(classes) + decided, minlength=len(classes) ** 2)
    return Curves(
        calibration=_by_bin(rows, certain, hit, bounds=(0, 1)),
        scores=_histogram(certain, rows.weight, bounds=(0, 1)),
        confusion=tuple(tuple(int(one) for one in row) for row in counts.reshape(len(classes), -1)),
        classes=classes,
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
    rows: Rows, score: Floats, outcome: Floats, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> tuple[Point, ...]:
    """Mean outcome over mean score by bins of equal weight, with the interval of the mean outcome."""
    bins = calibration_bins(score, rows.weight, CALIBRATION_POINTS)
    points = []
    for number in np.unique(bins):
        inside = bins == number
        # A day without rows in the bin is no day of its own.
        found = estimate_of(rows.only().take(inside), outcome[inside], bounds=bounds)
        low, high = found.interval or (None, None)
        mean_score = float(np.average(score[inside], weights=rows.weight[inside]))
        points.append(Point(x=rounded(mean_score), y=found.value, low=low, high=high, rows=int(inside.sum())))
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
