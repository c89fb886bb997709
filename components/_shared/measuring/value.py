"""What a candidate's decisions are worth in the task's own unit: the costs that they save."""

from __future__ import annotations

import numpy as np

from components._shared.decision_rule import DecisionRule
from components._shared.evidence import Estimate, Saving, Value
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import rounded
from components._shared.measuring.intervals import cluster_sums, half_widths
from components._shared.measuring.metrics import Floats, mean_of
from components._shared.task import Problem


def value_of(
    rows: Rows,
    problem: Problem,
    base: tuple[float, ...],
    *,
    decision: DecisionRule,
    classes: tuple[str | int, ...] | None = None,
) -> Value | None:
    """What the candidate saves against the champion, and against one decision for all rows.

    The interval of a sum is that of the mean, times the rows there were: it says how sure the saving on such rows is,
    not how many rows another month has.

    Args:
        rows: With the scores of `candidate`, and maybe of `champion`.
        problem: Of the task.
        base: Statistics of the candidate's training labels.
        decision: What a decision costs.
        classes: Multiclass: their names.

    Returns:
        None without costs, without rows, or without the candidate's scores.
    """
    if "candidate" not in rows.scores or not len(rows):
        return None
    cost = decision.cost_of_rows(problem, rows.label, rows.scores["candidate"], classes)
    if cost is None:
        return None
    champion = None
    if "champion" in rows.scores:
        champion = decision.cost_of_rows(problem, rows.label, rows.scores["champion"], classes)
    one = decision.constant_decision(problem, base, classes)
    best = decision.hindsight_decision(problem, rows.label, rows.weight, classes)

    def against(decided: float | None) -> Saving | None:
        if decided is None:
            return None
        return _saving(rows, decision.cost_of_constant(problem, rows.label, decided, classes), cost)

    return Value(
        unit=decision.unit,
        cost=estimate_of(rows, cost, bounds=decision.cost_bounds(problem, classes)),
        champion=None if champion is None else _saving(rows, champion, cost),
        constant=against(one),
        constant_decision=_written(problem, one, classes),
        hindsight=against(best),
        hindsight_decision=_written(problem, best, classes),
    )


def estimate_of(rows: Rows, values: Floats, *, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """The weighted mean of a figure that every row has, with its interval over clusters.

    Args:
        rows: Weights and clusters.
        values: Per row.
        bounds: The values that it can take.
    """
    mean = mean_of(values, rows.weight)
    share = rows.weight / rows.weight.sum()
    sums = cluster_sums([mean.influence, share], rows.cluster, rows.clusters)
    width = float(half_widths(sums[:, :1], sums[:, 1:])[0])
    pair = None
    if np.isfinite(width):
        pair = (rounded(max(bounds[0], mean.value - width)), rounded(min(bounds[1], mean.value + width)))
    return Estimate(value=rounded(mean.value), interval=pair)


def _saving(rows: Rows, other: Floats, cost: Floats) -> Saving:
    saved = estimate_of(rows, other - cost)
    weight = float(rows.weight.sum())
    return Saving(
        cost=rounded(mean_of(other, rows.weight).value),
        per_row=saved,
        per_cluster=_times(saved, weight / rows.clusters),
        total=_times(saved, weight),
    )


def _times(found: Estimate, factor: float) -> Estimate:
    pair = found.interval
    return Estimate(
        value=rounded(found.value * factor),
        interval=None if pair is None else (rounded(pair[0] * factor), rounded(pair[1] * factor)),
    )


def _written(problem: Problem, decided: float | None, classes: tuple[str | int, ...] | None) -> str:
    if decided is None:
        return ""
    if problem == "multiclass_classification":
        return str((classes or ())[int(decided)])
    return f"{decided:.6g}"
