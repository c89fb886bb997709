"""Metrics of weighted predictions, exact, each with the influence of every row.

The influence of a row is its weight times the derivative of the metric to that weight (an infinitesimal jackknife
value: Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6). Influences add up to zero, and
their sums by cluster are all that `intervals.py` needs: one pass over the rows, whatever the number of resamples. For
the area under the ROC curve they are the placement values of DeLong (1988), which Obuchowski (1997) sums by cluster.

Labels are 0/1, class indices or values; scores are probabilities or values; weights are positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from components._shared.decision_rule import DecisionRule
from components._shared.gates import Metric
from components._shared.task import Problem

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

CLIP = 1e-7
"""Probabilities are held within [CLIP, 1 - CLIP] for the logarithm; the same bound as Keras, and so TFMA, has."""

CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Measured:
    """A metric's value and the influence of each row on it.

    Attributes:
        averages: Of a metric that is made of several averages: which of them each row belongs to. Ranking metrics: its
            class; macro F1: its class, and the class that it was given. Empty: one average over all rows.
        over: What the averages weigh a row by, where that is not its weight. R²: its part of the labels' spread.
        gap: Calibration error only: per row, weight times (label - score).
        bins: Calibration error only: the bin of each row.
        bounds: The values that it can take, where they depend on the task.
    """

    value: float
    influence: Floats
    averages: tuple[Integers, ...] = ()
    over: Floats | None = None
    gap: Floats | None = None
    bins: Integers | None = None
    bounds: tuple[float, float] | None = None


def measure(
    problem: Problem,
    label: Floats,
    score: Floats,
    weight: Floats,
    *,
    decision: DecisionRule | None = None,
    classes: tuple[str | int, ...] | None = None,
) -> dict[Metric, Measured]:
    """All metrics of a problem that have a value on these rows.

    Args:
        problem: Which metrics.
        label: Per row.
        score: Per row; multiclass: rows × classes.
        weight: Per row, positive.
        decision: What is decided by a score, and what it costs.
        classes: Multiclass: their names, which the costs are given by.

    Returns:
        Metric → value and influences. Left out: ranking metrics where there is one class, R² where the label does not
        vary, the cost where none is declared, everything where there are no rows.
    """
    if not len(label):
        return {}
    found = _of_scores(problem, label, score, weight)
    costs = None if decision is None else decision.cost_of_rows(problem, label, score, classes)
    if decision is None or costs is None:
        return found
    return {**found, "cost": replace(mean_of(costs, weight), bounds=decision.cost_bounds(problem, classes))}


def constant(
    problem: Problem,
    label: Floats,
    base: Sequence[float],
    weight: Floats,
    *,
    decision: DecisionRule | None = None,
    classes: tuple[str | int, ...] | None = None,
) -> dict[Metric, float]:
    """What a model reaches that gives every row the same score: the training labels' rate, class rates or mean.

    Its cost is that of the one decision which costs least by these rates.
    """
    if not base or not len(label):
        return {}
    score = np.full(len(label), base[0]) if len(base) == 1 else np.tile(np.asarray(base, float), (len(label), 1))
    found = {metric: one.value for metric, one in measure(problem, label, score, weight).items()}
    decided = None if decision is None else decision.constant_decision(problem, base, classes)
    if decision is None or decided is None:
        return found
    return {**found, "cost": mean_of(decision.cost_of_constant(problem, label, decided, classes), weight).value}


def _of_scores(problem: Problem, label: Floats, score: Floats, weight: Floats) -> dict[Metric, Measured]:
    """The metrics that need no costs."""
    match problem:
        case "binary_classification":
            return _binary(label, score, weight)
        case "multiclass_classification":
            return _multiclass(label.astype(np.int64), score, weight)
        case "regression":
            return _regression(label, score, weight)


def calibration_bins(score: Floats, weight: Floats, bins: int = CALIBRATION_BINS) -> Integers:
    """The bin of each row: bins of equal weight in the order of the score, equal scores always in one bin."""
    order = np.argsort(score, kind="stable")
    group = _tie_groups(score[order])
    total = np.bincount(group, weights=weight[order])
    middle = np.cumsum(total) - total / 2
    bin_of_group = np.minimum((middle / total.sum() * bins).astype(np.int64), bins - 1)
    result = np.empty(len(score), np.int64)
    result[order] = bin_of_group[group]
    return result


def _tie_groups(ordered: Floats) -> Integers:
    """0, 1, 2, … : rises where the value changes."""
    return np.concatenate(([0], np.cumsum(ordered[1:] != ordered[:-1])))


def mean_of(values: Floats, weight: Floats) -> Measured:
    """The weighted mean of a figure that every row has."""
    total = weight.sum()
    mean = float(values @ weight / total)
    return Measured(mean, weight * (values - mean) / total)


def _binary(label: Floats, score: Floats, weight: Floats) -> dict[Metric, Measured]:
    clipped = np.clip(score, CLIP, 1 - CLIP)
    return {
        **_ranking(label, score, weight),
        "log_loss": mean_of(-np.log(np.where(label == 1, clipped, 1 - clipped)), weight),
        "brier": mean_of((score - label) ** 2, weight),
        "calibration_error": _calibration_error(label, score, weight),
        "accuracy": mean_of(((score > 0.5) == (label == 1)).astype(float), weight),
    }


def _ranking(label: Floats, score: Floats, weight: Floats) -> dict[Metric, Measured]:
    """Area under the ROC curve, and average precision as scikit-learn defines it (ties are one threshold)."""
    order = np.argsort(-score, kind="stable")
    group = _tie_groups(score[order])
    positive = (label * weight)[order]
    negative = ((1 - label) * weight)[order]
    positives, negatives = np.bincount(group, weights=positive), np.bincount(group, weights=negative)
    true, false = np.cumsum(positives), np.cumsum(negatives)
    all_true, all_false = true[-1], false[-1]
    if all_true <= 0 or all_false <= 0:
        return {}

    above = (all_false - false + negatives / 2) / all_false  # share of negatives that a positive of the group outranks
    below = (true - positives / 2) / all_true  # share of positives that outrank a negative of the group
    auc = float(positives @ above / all_true)
    on_auc = np.empty(len(score))
    on_auc[order] = positive * (above - auc)[group] / all_true + negative * (below - auc)[group] / all_false

    chosen = true + false
    precision = true / chosen
    average = float(positives @ precision / all_true)
    gain = np.cumsum((positives * false / chosen**2)[::-1])[::-1]
    loss = np.cumsum((positives * true / chosen**2)[::-1])[::-1]
    on_average = np.empty(len(score))
    on_average[order] = (positive * (precision - average + gain)[group] - negative * loss[group]) / all_true
    averages = (label.astype(np.int64),)
    return {"auc": Measured(auc, on_auc, averages), "pr_auc": Measured(average, on_average, averages)}


def _calibration_error(hit: Floats, score: Floats, weight: Floats) -> Measured:
    """Expected calibration error: the weighted mean over bins of |mean score - rate|. Small samples push it up."""
    bins = calibration_bins(score, weight)
    gap = weight * (hit - score)
    by_bin = np.bincount(bins, weights=gap)
    total = weight.sum()
    error = float(np.abs(by_bin).sum() / total)
    return Measured(error, (np.sign(by_bin)[bins] * gap - weight * error) / total, gap=gap, bins=bins)


def _multiclass(label: Integers, score: Floats, weight: Floats) -> dict[Metric, Measured]:
    rows = np.arange(len(label))
    chosen = score.argmax(axis=1)
    hit = (chosen == label).astype(float)
    of_label = score[rows, label]
    # sum over classes of (score - indicator)² = sum of score² - 2 score of the label + 1
    brier = np.einsum("ij,ij->i", score, score) - 2 * of_label + 1
    return {
        "accuracy": mean_of(hit, weight),
        "macro_f1": _macro_f1(label, chosen, score.shape[1], weight),
        "log_loss": mean_of(-np.log(np.clip(of_label, CLIP, 1 - CLIP)), weight),
        "brier": mean_of(brier, weight),
        "calibration_error": _calibration_error(hit, score[rows, chosen], weight),
    }


def _macro_f1(label: Integers, chosen: Integers, classes: int, weight: Floats) -> Measured:
    """Mean over the classes that occur, as label or as prediction, of 2 TP / (label weight + prediction weight)."""
    both = np.bincount(label, weight, classes) + np.bincount(chosen, weight, classes)
    hit = np.bincount(label[chosen == label], weight[chosen == label], classes)
    occurs = both > 0
    f1 = np.divide(2 * hit, both, out=np.zeros(classes), where=occurs)
    per_row = np.divide(1.0, both, out=np.zeros(classes), where=occurs)
    influence = (
        2 * (chosen == label) * per_row[label] - f1[label] * per_row[label] - f1[chosen] * per_row[chosen]
    ) / occurs.sum()
    return Measured(float(f1[occurs].mean()), weight * influence, averages=(label, chosen))


def _regression(label: Floats, score: Floats, weight: Floats) -> dict[Metric, Measured]:
    error = score - label
    squares = mean_of(error**2, weight)
    rmse = squares.value**0.5
    result: dict[Metric, Measured] = {
        "rmse": Measured(rmse, squares.influence / (2 * rmse) if rmse > 0 else squares.influence),
        "mae": mean_of(np.abs(error), weight),
    }
    deviation = (label - label @ weight / weight.sum()) ** 2
    spread = float(deviation @ weight)
    if spread > 0:
        unexplained = float(error**2 @ weight) / spread
        influence = weight * (unexplained * deviation - error**2) / spread
        result["r2"] = Measured(1 - unexplained, influence, over=weight * deviation)
    result["bias"] = mean_of(error, weight)
    return result
