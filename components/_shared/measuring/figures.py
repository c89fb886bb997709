"""The figures of all rows and of every slice: metrics of each model, their differences, and what a constant reaches."""

from __future__ import annotations

import numpy as np

from components._shared.decision_rule import DecisionRule
from components._shared.evidence import Estimate, Figures, SliceFigures
from components._shared.gates import METRICS_OF, Metric
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.intervals import (
    cluster_sums,
    effective_clusters,
    freedom,
    half_widths,
    resampled_gaps,
    shares_of,
    skewness,
    standard_errors,
    student_quantile,
)
from components._shared.measuring.metrics import Floats, Measured, constant, measure
from components._shared.task import Problem

FEWEST_ROWS = 30
"""Slices with fewer rows are joined to one row of the table: their figures would be noise."""

MOST_VALUES = 100
"""Of one column; its smaller slices beyond that are joined too, unless a gate asks for them."""

JOINED = "(other small values: "
"""How the name of the joined ones begins; their number follows, and a bracket."""

_RANGE: dict[Metric, tuple[float, float]] = {
    "auc": (0, 1),
    "pr_auc": (0, 1),
    "accuracy": (0, 1),
    "macro_f1": (0, 1),
    "calibration_error": (0, 1),
    "brier": (0, 2),
    "log_loss": (0, np.inf),
    "rmse": (0, np.inf),
    "mae": (0, np.inf),
    "r2": (-np.inf, 1),
    "bias": (-np.inf, np.inf),
    "cost": (-np.inf, np.inf),
}


def rounded(value: float) -> float:
    """The value to ten significant digits: the last ones differ between processors and versions of numpy."""
    return float(f"{value:.10g}")


def figures_of(
    rows: Rows,
    problem: Problem,
    base: tuple[float, ...],
    *,
    column: str = "",
    value: str = "",
    decision: DecisionRule | None = None,
    classes: tuple[str | int, ...] | None = None,
) -> SliceFigures:
    """All metrics of one set of rows.

    Args:
        rows: With the scores of `candidate`, and maybe `champion` and `reference`.
        problem: Which metrics.
        base: The constant competitor: statistics of the candidate's training labels.
        column, value: Names of the slice.
        decision: What is decided by a score, and what it costs; without costs there is no metric `cost`.
        classes: Multiclass: their names, which the costs are given by.
    """
    measured = {
        name: measure(problem, rows.label, score, rows.weight, decision=decision, classes=classes)
        for name, score in rows.scores.items()
    }
    constants = constant(problem, rows.label, base, rows.weight, decision=decision, classes=classes)
    columns: list[tuple[Metric, str]] = []
    influences: list[Floats] = []
    for metric in METRICS_OF[problem]:
        for name, found in measured.items():
            if metric in found:
                columns.append((metric, name))
                influences.append(found[metric].influence)
    estimates: dict[tuple[Metric, str], Estimate] = {}
    if columns:
        estimates = _estimates(rows, measured, columns, influences)
    metrics = {
        metric: Figures(
            candidate=estimates[metric, "candidate"],
            champion=estimates.get((metric, "champion")),
            difference=estimates.get((metric, "candidate - champion")),
            reference=estimates.get((metric, "reference")),
            reference_difference=estimates.get((metric, "candidate - reference")),
            constant=rounded(constants[metric]) if metric in constants else None,
        )
        for metric in METRICS_OF[problem]
        if (metric, "candidate") in estimates
    }
    mean = None
    if problem != "multiclass_classification" and len(rows):
        mean = rounded(float(rows.label @ rows.weight / rows.weight.sum()))
    return SliceFigures(
        column=column, value=value, rows=len(rows), clusters=rows.clusters, label_mean=mean, metrics=metrics
    )


def slices_of(
    rows: Rows,
    problem: Problem,
    base: tuple[float, ...],
    *,
    gated_rows: int | None,
    decision: DecisionRule | None = None,
    classes: tuple[str | int, ...] | None = None,
) -> list[SliceFigures]:
    """The figures of every slice, the largest first within its column.

    Args:
        rows: All rows that judge.
        problem: Which metrics.
        base: The constant competitor.
        gated_rows: Slices of so many rows are held to a gate, so they are never joined to others.
        decision, classes: As for `figures_of`.
    """

    def figures(part: Rows, column: str, value: str) -> SliceFigures:
        return figures_of(part, problem, base, column=column, value=value, decision=decision, classes=classes)

    result = []
    for name, column in rows.slices.items():
        counts = np.bincount(column.code, minlength=len(column.values))
        by_size = np.argsort(-counts, kind="stable")
        kept = [
            int(code)
            for rank, code in enumerate(by_size)
            if counts[code] >= FEWEST_ROWS
            and (rank < MOST_VALUES or (gated_rows is not None and counts[code] >= gated_rows))
        ]
        order = np.argsort(column.code, kind="stable")
        ends = np.cumsum(counts)
        for code in kept:
            part = rows.take(order[ends[code] - counts[code] : ends[code]])
            result.append(figures(part, name, column.values[code]))
        small = counts > 0
        small[kept] = False
        if small.any():
            label = f"{JOINED}{small.sum()})"
            result.append(figures(rows.take(small[column.code]), name, label))
    return result


def with_reference(figures: SliceFigures, other: SliceFigures | None) -> SliceFigures:
    """The figures, with those beside the reference taken from other rows: the reference may have seen later labels."""
    found = {} if other is None else other.metrics
    return figures.model_copy(
        update={
            "metrics": {
                metric: one.model_copy(
                    update={
                        "reference": found[metric].reference if metric in found else None,
                        "reference_difference": found[metric].reference_difference if metric in found else None,
                    }
                )
                for metric, one in figures.metrics.items()
            }
        }
    )


def _estimates(
    rows: Rows,
    measured: dict[str, dict[Metric, Measured]],
    columns: list[tuple[Metric, str]],
    influences: list[Floats],
) -> dict[tuple[Metric, str], Estimate]:
    sums = cluster_sums(influences, rows.cluster, rows.clusters)
    index = {column: position for position, column in enumerate(columns)}
    values = {(metric, name): measured[name][metric].value for metric, name in columns}
    shares = [_shares(rows, measured[name][metric]) for metric, name in columns]
    paired: list[tuple[Metric, str]] = []
    differences = []
    for metric, name in columns:
        if name != "candidate" and (metric, "candidate") in index:
            ours, theirs = index[metric, "candidate"], index[metric, name]
            paired.append((metric, f"candidate - {name}"))
            differences.append(sums[:, ours] - sums[:, theirs])
            shares.append(np.hstack([shares[ours], shares[theirs]]))
            values[paired[-1]] = values[metric, "candidate"] - values[metric, name]
    if differences:
        sums = np.hstack([sums, np.stack(differences, axis=1)])
    share = np.stack([each.max(axis=1) for each in shares], axis=1)
    effective = np.array([effective_clusters(each).min() for each in shares])
    widths = half_widths(sums, share, effective)
    errors, bent = standard_errors(sums, share), skewness(sums, share)
    if np.isfinite(widths).any():
        at_least = _calibration_errors(rows, measured)
        for position, (metric, name) in enumerate([*columns, *paired]):
            if metric == "calibration_error" and np.isfinite(widths[position]):
                errors[position] = max(errors[position], at_least[name])
                least = student_quantile(freedom(int(effective[position]))) * at_least[name]
                widths[position] = max(widths[position], least)
    result = {}
    for position, (metric, name) in enumerate([*columns, *paired]):
        value, width = values[metric, name], widths[position]
        if not np.isfinite(width):
            result[metric, name] = Estimate(value=rounded(value))
        elif " - " in name:
            result[metric, name] = Estimate(
                value=rounded(value),
                interval=(rounded(value - width), rounded(value + width)),
                error=rounded(errors[position]),
                skewness=rounded(bent[position]),
                clusters=int(effective[position]),
            )
        else:
            low, high = measured[name][metric].bounds or _RANGE[metric]
            interval = (rounded(max(low, value - width)), rounded(min(high, value + width)))
            result[metric, name] = Estimate(value=rounded(value), interval=interval)
    return result


def _shares(rows: Rows, found: Measured) -> Floats:
    """Each cluster's share of every average that the metric is made of."""
    return shares_of(found.averages, rows.weight if found.over is None else found.over, rows.cluster, rows.clusters)


def _calibration_errors(rows: Rows, measured: dict[str, dict[Metric, Measured]]) -> dict[str, float]:
    """Model, or `candidate - other` → the least standard error of its calibration error, upwards bias included."""
    moves: dict[str, Floats] = {}
    for name, metrics in measured.items():
        found = metrics.get("calibration_error")
        if found is not None and found.gap is not None and found.bins is not None:
            moves[name] = resampled_gaps(found.gap, found.bins, rows.weight, rows.cluster, rows.clusters)
    for name in [name for name in moves if name != "candidate"]:
        moves[f"candidate - {name}"] = moves["candidate"] - moves[name]
    return {name: float(np.sqrt(np.mean(found**2))) for name, found in moves.items()}
