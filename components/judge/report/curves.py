"""The report's section on curves: how scores and labels go together, each plot with the numbers that it draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components._shared.evidence import Curves, Point
from components._shared.facts import Facts
from components._shared.gates import Metric
from components.judge.report import plots
from components.judge.report.wording import count, number, percent, shorten

_MOST_CLASSES = 20
_MOST_CONFUSIONS = 30
_UNIT = plots.Range(0.0, 1.0)


@dataclass(frozen=True)
class Panel:
    """A plot, what to see in it, and its numbers."""

    title: str
    plot: Markup
    note: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ConfusionCell:
    """Rows of one true class that were given one predicted class; `level` 0–10 is its share of the true class."""

    rows: str
    share: str
    level: int
    is_right: bool


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix, or, of many classes, the pairs confused most (`pairs`: true, predicted, rows, share)."""

    model: str
    classes: tuple[str, ...]
    cells: tuple[tuple[ConfusionCell, ...], ...]
    pairs: tuple[tuple[str, str, str, str], ...]


def panels(facts: Facts) -> list[Panel]:
    """The plots that the problem calls for; those without points are left out."""
    candidate, champion = facts.evaluation.curves, facts.evaluation.champion_curves or Curves()
    regression = facts.evaluation.problem == "regression"
    unit = shorten(facts.gates.decision.unit, 20)
    threshold = facts.gates.decision.threshold_of(facts.evaluation.problem)
    found = [
        _panel(
            "ROC",
            candidate.roc,
            champion.roc,
            axes=("false positive rate", "true positive rate"),
            note="Nearer to the upper left corner is better; the dashed line is chance."
            + _areas(facts, "auc", " Area under the curve"),
            square=True,
            diagonal=True,
        ),
        _panel(
            "Precision and recall",
            candidate.pr,
            champion.pr,
            axes=("recall", "precision"),
            note="Nearer to the upper right corner is better." + _areas(facts, "pr_auc", " Area under the curve"),
            square=True,
        ),
        _panel(
            "Calibration",
            candidate.calibration,
            champion.calibration,
            axes=("mean score", "observed rate"),
            note="On the dashed line, what is predicted is what happens; below it the model promises too much."
            + _areas(facts, "calibration_error", " Calibration error"),
            shape="dots",
            diagonal=True,
        ),
        _panel(
            "Predicted and observed",
            candidate.predicted,
            champion.predicted,
            axes=("mean predicted value", "mean label"),
            note="On the dashed line, the mean label is what was predicted.",
            shape="dots",
            diagonal=True,
        ),
        _panel(
            "Residuals",
            candidate.residuals,
            champion.residuals,
            axes=("label minus prediction", "share of rows"),
            note="Narrow and centred at zero is better.",
            shape="bars",
        ),
        _panel(
            "Predictions" if regression else "Scores",
            candidate.scores,
            champion.scores,
            axes=("predicted value" if regression else "score", "share of rows"),
            note="How often each score is given.",
            shape="bars",
        ),
        _panel(
            "Cost by threshold",
            candidate.costs,
            champion.costs,
            axes=("threshold", f"cost of a row{f', {unit}' if unit else ''}"),
            note="What deciding from each threshold on would have cost; lower is better."
            + (f" The upright line is the task’s threshold, {number(threshold, 3)}." if threshold is not None else ""),
            upright=threshold,
        ),
    ]
    return [panel for panel in found if panel is not None]


def _areas(facts: Facts, metric: Metric, words: str) -> str:
    figures = facts.evaluation.overall.metrics.get(metric)
    if figures is None:
        return ""
    beside = f", champion {number(figures.champion.value, 3)}" if figures.champion else ""
    return f"{words}: candidate {number(figures.candidate.value, 3)}{beside}."


def _panel(
    title: str,
    candidate: Sequence[Point],
    champion: Sequence[Point],
    *,
    axes: tuple[str, str],
    note: str,
    shape: str = "line",
    square: bool = False,
    diagonal: bool = False,
    upright: float | None = None,
) -> Panel | None:
    if not candidate and not champion:
        return None
    series = [
        plots.Series(role, tuple(points), shape)
        for role, points in (("champion", champion), ("candidate", candidate))
        if points
    ]
    x = y = _UNIT if square else None
    if diagonal and not square:
        points = [*candidate, *champion]
        x = y = plots.Range.around([v for p in points for v in (p.x, p.y, p.low, p.high) if v is not None], margin=0.04)
    elif shape == "bars":
        ends = [p.x + side * plots.half_bar(one.points) for one in series for p in one.points for side in (-1, 1)]
        x = plots.Range(min(ends), max(ends))
    models = "candidate and champion" if candidate and champion else "candidate" if candidate else "champion"
    return Panel(
        title=title,
        plot=plots.chart(
            series,
            x_title=axes[0],
            y_title=axes[1],
            alt=f"{title} of {models}: {axes[1]} against {axes[0]}. {note} The numbers stand in the table below.",
            x=x,
            y=y,
            diagonal=diagonal,
            upright=upright,
        ),
        note=note,
        headings=("model", axes[0], axes[1], *(("95 % interval", "rows") if shape == "dots" else ())),
        rows=tuple(
            _numbers(role, point, shape)
            for role, points in (("candidate", candidate), ("champion", champion))
            for point in points
        ),
    )


def _numbers(role: str, point: Point, shape: str) -> tuple[str, ...]:
    both = (role, number(point.x), number(point.y))
    if shape != "dots":
        return both
    around = "" if point.low is None or point.high is None else f"[{number(point.low)}, {number(point.high)}]"
    return (*both, around, count(point.rows))


def confusions(facts: Facts) -> list[Confusion]:
    """The confusion matrices of candidate and champion."""
    pairs = (("Candidate", facts.evaluation.curves), ("Champion", facts.evaluation.champion_curves))
    return [_confusion(model, curves) for model, curves in pairs if curves is not None and curves.confusion]


def _confusion(model: str, curves: Curves) -> Confusion:
    matrix = curves.confusion
    names = [shorten(name, 40) for name in curves.classes] or [str(n) for n in range(len(matrix))]
    if len(matrix) <= _MOST_CLASSES:
        cells = tuple(
            tuple(_confusion_cell(value, sum(row), i == j) for j, value in enumerate(row))
            for i, row in enumerate(matrix)
        )
        return Confusion(model, tuple(names), cells, ())
    wrong = sorted(
        ((-value, i, j) for i, row in enumerate(matrix) for j, value in enumerate(row) if i != j and value),
    )
    pairs = tuple(
        (names[i], names[j], count(-value), percent(-value / sum(matrix[i])))
        for value, i, j in wrong[:_MOST_CONFUSIONS]
    )
    return Confusion(model, tuple(names), (), pairs)


def _confusion_cell(value: int, whole: int, is_right: bool) -> ConfusionCell:
    share = value / whole if whole else 0.0
    return ConfusionCell(rows=count(value), share=percent(share), level=round(10 * share), is_right=is_right)
