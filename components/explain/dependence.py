"""Partial dependence: the mean score if all rows had a value of a feature, for each of some values.

Friedman, Greedy function approximation: a gradient boosting machine, Annals of Statistics 29 (2001), section 8.2. All
other features stay as they are, so a value may meet rows that it never comes with: where features hang together, the
ends of a line say what the model would answer, not what will happen.

A datetime feature has a line for the hour of the day and one for the month, in the task's time zone, each where the
rows have more than one: the rows keep all the rest of their moments. A column of dates has the line for the month
alone, of the dates as they are written: a model takes a date as its midnight in UTC, whatever the task's time zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from components._shared.explanation import Dependence, DependencePoint
from components._shared.measuring.intervals import cluster_sums, half_widths
from components._shared.measuring.metrics import Floats, Integers
from components._shared.model_inputs import MISSING_MOMENT
from components._shared.saved_model import Strings
from components._shared.task import FeatureKind
from components._shared.windows import zone
from components.explain.asking import Asked, AskedRows, Values
from components.explain.importance import rounded

MOST_POINTS = 20
MOST_ROWS = 2_000
"""Rows that each value is given to; the interval says what so few of them cost."""

MOST_FEATURES = 6
MOST_LINES = 12
"""Multiclass: lines in all, one per class and feature."""

MISSING = "(missing)"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS = tuple(f"{hour:02}:00" for hour in range(24))
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True)
class _Point:
    """A value to be given to all rows.

    Attributes:
        share: Of the weight of the rows, what those have that lie there as they are.
        values: One per row.
    """

    label: str
    share: float
    values: Values
    x: float | None = None


@dataclass(frozen=True)
class _Line:
    points: list[_Point]
    part: str = ""


def dependences(
    model: Asked,
    champion: Asked | None,
    rows: AskedRows,
    features: list[tuple[str, FeatureKind]],
    outputs: tuple[str, ...],
    timezone: str,
) -> tuple[Dependence, ...]:
    """The lines of the most important features.

    Args:
        model: Who is asked.
        champion: Asked for the same values, of features that it has.
        rows: All rows that are asked; some of them are given the values. The type of a feature's column in their batch
            says whether a datetime is a moment or a date.
        features: Features and their kinds, the most important first.
        outputs: Multiclass: the classes; else empty.
        timezone: Of the hours and months of moments.
    """
    which = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(np.int64))
    shown = min(MOST_FEATURES, max(1, MOST_LINES // len(outputs)) if outputs else MOST_FEATURES)
    classes = _classes(rows, len(outputs)) if outputs else [0]
    found = []
    for name, kind in features[:shown]:
        for line in _lines(name, kind, model.values[name], rows, which, timezone):
            means, widths = _mean_scores(model, name, line, rows, which)
            beside = None
            if champion is not None and champion.info.learning.features.get(name) == kind:
                beside = _mean_scores(champion, name, line, rows, which)[0]
            for output in classes:
                points = [
                    _point(point, means[at, output], widths[at, output], None if beside is None else beside[at, output])
                    for at, point in enumerate(line.points)
                ]
                label = outputs[output] if outputs else ""
                found.append(Dependence(feature=name, kind=kind, part=line.part, output=label, points=tuple(points)))
    return tuple(found)


def _classes(rows: AskedRows, classes: int) -> list[int]:
    """The classes that have lines: all, or the most frequent."""
    counts = np.bincount(rows.label.astype(np.int64), weights=rows.weight, minlength=classes)
    return sorted(np.argsort(-counts, kind="stable")[:MOST_LINES].tolist())


def _mean_scores(model: Asked, feature: str, line: _Line, rows: AskedRows, which: Integers) -> tuple[Floats, Floats]:
    """Mean score and half the width of its interval: points × outputs each."""
    count, points = len(which), len(line.points)
    scores = model.scores({feature: _joined([point.values for point in line.points])}, np.tile(which, points))
    by_row = scores.reshape(points, count, -1).transpose(1, 0, 2).reshape(count, -1)
    weight = rows.weight[which] / rows.weight[which].sum()
    means = weight @ by_row
    influences = weight[:, None] * (by_row - means)
    sums = cluster_sums(list(influences.T), rows.cluster[which], rows.clusters)
    widths = half_widths(sums, cluster_sums([weight], rows.cluster[which], rows.clusters))
    return means.reshape(points, -1), widths.reshape(points, -1)


def _point(point: _Point, mean: float, width: float, champion: float | None) -> DependencePoint:
    sure = bool(np.isfinite(width))
    return DependencePoint(
        x=point.x,
        label=point.label,
        mean=rounded(mean),
        low=rounded(mean - width) if sure else None,
        high=rounded(mean + width) if sure else None,
        share=rounded(point.share),
        champion=None if champion is None else rounded(champion),
    )


def _joined(columns: list[Values]) -> Values:
    if isinstance(columns[0], Strings):
        return Strings(columns[0].values, np.concatenate([column.codes for column in columns]))
    return np.concatenate(columns)


def _lines(
    name: str, kind: FeatureKind, values: Values, rows: AskedRows, which: Integers, timezone: str
) -> list[_Line]:
    """The lines of a feature: values as they lie in all rows, given to some of them."""
    import pyarrow as pa

    match kind:
        case "numeric" | "boolean":
            return [_Line(_numbers(values, rows.weight, len(which), boolean=kind == "boolean"))]
        case "categorical":
            return [_Line(_categories(values, rows.weight, len(which)))]
        case "datetime":
            dates = pa.types.is_date(rows.batch.schema.field(name).type)
            return _moments(values[which], rows.weight[which], timezone, dates=dates)


def _numbers(values: Any, weight: Floats, count: int, *, boolean: bool) -> list[_Point]:
    """Quantiles, or every value where there are few; last the missing one, if there is any."""
    known = np.isfinite(values)
    there = values[known]
    found = np.unique(there)
    if len(found) > MOST_POINTS:
        found = np.unique(np.quantile(there, np.linspace(0, 1, MOST_POINTS), method="nearest"))
    # From a point up to the next; none lies below the first, which is the lowest value.
    place = np.searchsorted(found, there, side="right") - 1
    shares = np.bincount(place, weights=weight[known], minlength=len(found)) / weight.sum()
    points = [
        _Point(
            label=("true" if x else "false") if boolean else f"{x:.6g}",
            x=float(f"{x:.8g}"),
            share=share,
            values=np.full(count, x, values.dtype),
        )
        for x, share in zip(found.tolist(), shares.tolist(), strict=True)
    ]
    if not known.all():
        gone = float(weight[~known].sum() / weight.sum())
        points.append(_Point(label=MISSING, share=gone, values=np.full(count, np.nan, values.dtype)))
    return points


def _categories(values: Strings, weight: Floats, count: int) -> list[_Point]:
    """The most frequent values, the most frequent first."""
    shares = np.bincount(values.codes, weights=weight, minlength=len(values.values)) / weight.sum()
    ranked = sorted(range(len(shares)), key=lambda code: (-shares[code], values.values[code]))
    return [
        _Point(
            label=values.values[code].decode(errors="replace") or MISSING,
            share=shares[code],
            values=Strings(values.values, np.full(count, code)),
        )
        for code in ranked[:MOST_POINTS]
        if shares[code]
    ]


def _moments(values: Integers, weight: Floats, timezone: str, *, dates: bool) -> list[_Line]:
    """Hours of the day and months, where the rows have more than one; of dates, which are midnights in UTC, months.

    A moment that the zone's calendar cannot write counts as missing: its year would not be one of 1 to 9999, as that of
    a 9999-12-31T23:59:59Z which stands for "never" is not in Tokyo.
    """
    there = zone("UTC" if dates else timezone)
    moments = [_written(value, there) for value in values.tolist()]
    months = ("month", _MONTHS, 1)
    lines = []
    for part, names, first in (months,) if dates else (("hour", _HOURS, 0), months):
        own = np.array([-1 if moment is None else getattr(moment, part) for moment in moments])
        found = np.unique(own[own >= 0]).tolist()
        if len(found) < 2:
            continue
        points = [
            _Point(
                label=names[number - first],
                x=float(number),
                share=float(weight[own == number].sum() / weight.sum()),
                values=np.array([_replaced(moment, part, number) for moment in moments], np.int64),
            )
            for number in found
        ]
        lines.append(_Line(points, part={"hour": "hour of day"}.get(part, part)))
    return lines


def _written(value: int, there: ZoneInfo) -> datetime | None:
    """The moment as the zone writes it; none: it is missing, or the zone cannot."""
    if value == MISSING_MOMENT:
        return None
    try:
        return (_EPOCH + timedelta(microseconds=value)).astimezone(there)
    except OverflowError:
        return None


def _replaced(moment: datetime | None, part: str, number: int) -> int:
    """The moment with another hour or month, microseconds UTC; a missing one gets none."""
    if moment is None:
        return MISSING_MOMENT
    changed = moment.replace(hour=number) if part == "hour" else _in_month(moment, number)
    return (changed - _EPOCH) // timedelta(microseconds=1)


def _in_month(moment: datetime, month: int) -> datetime:
    """The same day of another month, or the last one that it has."""
    for day in (moment.day, 30, 29, 28):
        try:
            return moment.replace(month=month, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
