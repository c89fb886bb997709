"""The report's section on what the model has learned: importances, partial dependences, terms of a linear model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components._shared.evidence import Estimate, Point
from components._shared.explanation import Dependence, DependencePoint, FeatureImportance
from components._shared.facts import Facts
from components._shared.model_info import Term
from components.judge.report import plots
from components.judge.report.curves import Panel
from components.judge.report.rows import Figure, around_zero, figure, from_zero, places_of, side
from components.judge.report.wording import (
    SUPERSCRIPT,
    count,
    estimate,
    interval,
    listed,
    number,
    percent,
    percent_interval,
    shorten,
)

_MOST_FEATURES, _FEW = 12, 3
_MOST_FEATURES_AT_ALL = 200
_MOST_PANELS = 12
_MOST_CATEGORIES = 7
_MOST_TERMS = 15
_MOST_TERMS_AT_ALL = 400
_MOST_SLICES = 60

_LARGEST_EXPONENT = 700.0
"""Of e: a float ends at 709.8, and has all its digits from -708.4 on."""

LOSSES = {"log_loss": "log-loss", "squared_error": "squared error"}


@dataclass(frozen=True)
class ImportanceRow:
    """How much a feature matters, beside how much it does for the champion."""

    feature: str
    kind: str
    importance: Figure
    share: str
    share_interval: str
    champion: Figure
    native: tuple[str, ...]
    outcome: str
    plot: Markup


@dataclass(frozen=True)
class CategoryRow:
    """The mean score if all rows had this value."""

    label: str
    share: str
    mean: str
    interval: str
    champion: str
    plot: Markup


@dataclass(frozen=True)
class Categories:
    """Partial dependence on a categorical feature: its table is its plot."""

    title: str
    low: str
    high: str
    first: tuple[CategoryRow, ...]
    rest: tuple[CategoryRow, ...]


@dataclass(frozen=True)
class TermRow:
    """A term of a linear model on the natural scale; `odds` is what it multiplies the odds by."""

    name: str
    unit: str
    share: str
    weight: str
    interval: str
    odds: str
    plot: Markup


def importance_rows(facts: Facts) -> tuple[list[ImportanceRow], list[ImportanceRow]]:
    """The features by importance: those shown, and those folded away."""
    if facts.explanation is None:
        return [], []
    found = facts.explanation.importances[:_MOST_FEATURES_AT_ALL]
    axis = from_zero([one for row in found for one in (row.importance, row.champion)])
    places = places_of(*(row.importance for row in found[:_MOST_FEATURES]))
    flags = {check.name: check.outcome for check in facts.verdict.checks if check.name.startswith("explanation.")}
    rows = [_importance_row(one, axis, places, _flag(one.feature, flags)) for one in found]
    first = _MOST_FEATURES if len(rows) > _MOST_FEATURES + _FEW else len(rows)
    return rows[:first], rows[first:]


def importance_sentence(facts: Facts) -> str:
    """Which features carry the model, which did harm, and of which it is not certain."""
    if facts.explanation is None or not facts.explanation.importances:
        return ""
    sides = [(one, side(one.importance)) for one in facts.explanation.importances[:_MOST_FEATURES_AT_ALL]]
    carry = [f"{shorten(one.feature, 40)} ({percent(one.share)})" for one, found in sides if found == "better"]
    harm = [shorten(one.feature, 40) for one, found in sides if found == "worse"]
    unsure = [shorten(one.feature, 40) for one, found in sides if found == "unclear"]
    said = [
        f"{listed(carry)} carr{'ies' if len(carry) == 1 else 'y'} the model" if carry else "No feature clearly matters"
    ]
    if unsure:
        said.append(f"of {listed(unsure)} the interval holds zero")
    sentence = f"{'; '.join(said)}."
    if harm:
        sentence += (
            f" The importance of {listed(harm)} is below zero: "
            "on these rows the model does better with shuffled values."
        )
    return sentence


def _flag(feature: str, outcomes: Mapping[str, str]) -> str:
    """The gate about this feature that did not pass, or nothing."""
    for name, outcome in outcomes.items():
        if outcome != "passed" and name.rpartition(".")[2] == feature:
            return name
    return ""


def _importance_row(one: FeatureImportance, axis: plots.Range, places: int | None, flag: str) -> ImportanceRow:
    alt = f"{one.feature}: importance {estimate(one.importance, places)}"
    alt += f", champion {estimate(one.champion, places)}" if one.champion else ""
    # Of what may be nothing, no share is to be told, nor an interval of it; what is below zero has none.
    certain = one.importance.interval is None or side(one.importance) == "better"
    return ImportanceRow(
        feature=shorten(one.feature, 80),
        kind=one.kind,
        importance=figure(one.importance, decimals=places),
        share=percent(one.share) if certain else "none" if side(one.importance) == "worse" else "not certain",
        share_interval=percent_interval(one.share_interval) if certain else "",
        champion=figure(one.champion, decimals=places),
        native=tuple(f"{shorten(name, 40)} {number(value)}" for name, value in sorted(one.native.items())),
        outcome=flag,
        plot=plots.levels(axis, one.importance, one.champion, 0.0, alt),
    )


def importance_slices(facts: Facts) -> list[tuple[str, list[tuple[str, str, list[str]]], list[str]]]:
    """By slice column: its name, a row for each slice (value, rows, importance of each feature), and the features."""
    if facts.explanation is None:
        return []
    features = [one for one in facts.explanation.importances if one.slices][:_MOST_FEATURES]
    names = [shorten(one.feature, 40) for one in features]
    columns = list(dict.fromkeys(part.column for one in features for part in one.slices))
    tables = []
    for column in columns:
        values = list(dict.fromkeys(p.value for one in features for p in one.slices if p.column == column))
        rows = []
        for value in values[:_MOST_SLICES]:
            by_feature = {
                one.feature: part
                for one in features
                for part in one.slices
                if part.column == column and part.value == value
            }
            size = max((part.rows for part in by_feature.values()), default=0)
            cells = [
                estimate(by_feature[one.feature].importance, places_of(by_feature[one.feature].importance))
                if one.feature in by_feature
                else "–"
                for one in features
            ]
            rows.append((shorten(value, 60) or "(empty)", count(size), cells))
        tables.append((shorten(column, 60), rows, names))
    return tables


def dependence_panels(facts: Facts) -> list[Panel]:
    """Partial dependences on numbers and times: small plots, the most important feature first."""
    if facts.explanation is None:
        return []
    found = [one for one in facts.explanation.dependences if _is_number(one)]
    axis = _score_axis(facts.explanation.dependences)
    return [_panel(one, axis) for one in found[:_MOST_PANELS]]


def dependence_categories(facts: Facts) -> list[Categories]:
    """Partial dependences on categories."""
    if facts.explanation is None:
        return []
    found = [one for one in facts.explanation.dependences if not _is_number(one)]
    axis = _score_axis(facts.explanation.dependences)
    return [_categories(one, axis) for one in found[:_MOST_PANELS]]


def _is_number(one: Dependence) -> bool:
    return sum(point.x is not None for point in one.points) >= 2


def _score_axis(dependences: Sequence[Dependence]) -> plots.Range:
    """One scale of the score for all plots, so that a flat one looks flat."""
    values = [
        value
        for one in dependences
        for point in one.points
        for value in (point.mean, point.low, point.high, point.champion)
        if value is not None
    ]
    return plots.Range.around(values)


def _title(one: Dependence) -> str:
    part = f" ({one.part})" if one.part else ""
    return f"{shorten(one.feature, 60)}{part}{f' → {shorten(one.output, 40)}' if one.output else ''}"


def _panel(one: Dependence, y: plots.Range) -> Panel:
    numbers = [point for point in one.points if point.x is not None]
    points = tuple(
        Point(x=point.x, y=point.mean, low=point.low, high=point.high) for point in numbers if point.x is not None
    )
    champion = tuple(
        Point(x=point.x, y=point.champion) for point in numbers if point.x is not None and point.champion is not None
    )
    series = [plots.Series("candidate", points, "band")] if any(point.low is not None for point in points) else []
    series += [plots.Series("champion", champion), plots.Series("candidate", points)]
    title = _title(one)
    missing = [point for point in one.points if point.x is None]
    note = f"From {shorten(numbers[0].label, 30)} to {shorten(numbers[-1].label, 30)}."
    if missing:
        note += f" When missing: {_mean(missing[0])}."
    return Panel(
        title=title,
        plot=plots.chart(
            series,
            x_title=shorten(one.part or one.feature, 40),
            y_title="mean score",
            alt=f"Partial dependence on {title}: the mean score if all rows had that value. {note} "
            "The numbers stand in the table below.",
            y=y,
        ),
        note=note,
        headings=("value", "mean score", "95 % interval", "champion", "share of rows"),
        rows=tuple(
            (
                shorten(point.label, 60),
                number(point.mean),
                _around(point),
                number(point.champion),
                percent(point.share),
            )
            for point in one.points
        ),
    )


def _mean(point: DependencePoint) -> str:
    return f"{number(point.mean, 3)} {_around(point)}".strip()


def _around(point: DependencePoint) -> str:
    return "" if point.low is None or point.high is None else interval((point.low, point.high), 3)


def _categories(one: Dependence, axis: plots.Range) -> Categories:
    rows = []
    for point in one.points[:100]:
        pair = None if point.low is None or point.high is None else (point.low, point.high)
        champion = None if point.champion is None else Estimate(value=point.champion)
        label = shorten(point.label, 60) or "(empty)"
        mean = Estimate(value=point.mean, interval=pair)
        alt = f"{label}: mean score {_mean(point)}" + (f", champion {number(point.champion, 3)}" if champion else "")
        rows.append(
            CategoryRow(
                label=label,
                share=percent(point.share),
                mean=number(point.mean, 3),
                interval=interval(pair, 3),
                champion=number(point.champion, 3),
                plot=plots.levels(axis, mean, champion, None, alt),
            )
        )
    first = _MOST_CATEGORIES if len(rows) > _MOST_CATEGORIES + _FEW else len(rows)
    return Categories(
        title=_title(one),
        low=plots.tick_text(axis.low, axis),
        high=plots.tick_text(axis.high, axis),
        first=tuple(rows[:first]),
        rest=tuple(rows[first:]),
    )


def term_rows(facts: Facts) -> tuple[list[TermRow], list[TermRow], int]:
    """The terms of a linear model by how clearly they matter: those shown, those folded away, and how many are in the
    facts only.

    Numbers have weights per unit, categories against the average row: they are sorted among themselves by how far their
    interval keeps from zero.
    """
    terms = sorted(facts.model.terms, key=lambda term: (bool(term.feature), -_clearness(term), term.name))
    shown = terms[:_MOST_TERMS_AT_ALL]
    odds = facts.evaluation.problem != "regression"
    categories = [Estimate(value=term.weight, interval=term.interval) for term in shown if term.category]
    axis = around_zero(categories)
    rows = [_term_row(term, axis, odds=odds) for term in shown]
    return rows[:_MOST_TERMS], rows[_MOST_TERMS:], len(terms) - len(shown)


def _clearness(term: Term) -> float:
    if term.interval is None:
        return 0.0
    half = (term.interval[1] - term.interval[0]) / 2
    return abs(term.weight) / half if half > 0 else math.inf


def _term_row(term: Term, axis: plots.Range, *, odds: bool) -> TermRow:
    weight = Estimate(value=term.weight, interval=term.interval)
    shown = figure(weight, sign=True) if abs(term.weight) >= 1e-3 else Figure(number(term.weight), _plain(term))
    return TermRow(
        name=shorten(term.name, 100) if term.feature else "Intercept",
        unit=shorten(term.unit, 60),
        share="" if term.share is None else percent(term.share),
        weight=shown.value,
        interval=shown.interval,
        odds=_odds(term.weight) if odds and term.feature else "",
        plot=plots.difference(axis, weight, None, "difference unclear", f"{term.name}: {estimate(weight)}")
        if term.category
        else Markup(""),
    )


def _plain(term: Term) -> str:
    return interval(term.interval)


def _odds(weight: float) -> str:
    """What the weight does to the odds; beyond what a float holds, the nearest power of ten."""
    if abs(weight) > _LARGEST_EXPONENT:
        return f"× 10{str(round(weight / math.log(10))).translate(SUPERSCRIPT)}"
    return f"× {number(math.exp(weight), 2)}" if 0.005 < abs(weight) < 5 else f"× {number(math.exp(weight))}"
