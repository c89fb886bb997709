"""The report's section on metrics: figures with their intervals, over all rows and by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from components._shared.evidence import Estimate, Evaluation, Figures, SliceFigures
from components._shared.facts import Facts
from components._shared.gates import HIGHER_IS_BETTER, METRICS_OF, Metric
from components._shared.measuring.evidence_of_gain import chance_of_luck, gain_of, turned
from components._shared.measuring.false_discoveries import SliceWorsening, adjusted, worsened_slices
from components._shared.task import EvaluationSection
from components.judge.report import constants, plots
from components.judge.report.rows import places_of
from components.judge.report.wording import (
    METRIC_MEANINGS,
    capital,
    count,
    decimals_of_figures,
    estimate,
    interval,
    listed,
    metric_label,
    metric_name,
    nobody_acts_on,
    number,
    percent,
    plural,
    readable,
    shorten,
    signed,
)

_MOST_OPEN, _FEW = 15, 5
_LARGE = 0.01
FALSE_DISCOVERIES = 0.05
LEAST_POSITIVES = 5
TOO_FEW = "too few positives"
_RANKING: tuple[Metric, ...] = ("auc", "pr_auc")
_MOST_WORSE = 12
_MOST_NAMED = 4
MOST_SLICES = 400


@dataclass(frozen=True)
class MetricRow:
    """One metric over all rows, in words and drawn.

    Attributes:
        meaning: What it measures, for a reader who has not met it.
        direction: Which way is better, in words.
        constant_is: What the constant does in this metric, in words.
        constant_wins: That the constant is the best of all, or may be, or empty.
        tells: `better`, `worse` or `unclear`: what the interval of the difference says.
        unused: Whether nobody acts on it, so that it tells nothing.
        allowed: How much worse than the champion it may be, or empty.
    """

    name: str
    code: str
    meaning: str
    direction: str
    candidate: str
    candidate_interval: str
    champion: str
    champion_interval: str
    constant: str
    constant_is: str
    constant_wins: str
    difference: str
    difference_interval: str
    tells: str
    unused: bool
    allowed: str
    levels: Markup
    plot: Markup


@dataclass(frozen=True)
class SliceRow:
    """One slice in the primary metric, and all its metrics for the full table."""

    value: str
    rows: str
    clusters: str
    label_mean: str
    candidate: str
    champion: str
    difference: str
    difference_interval: str
    tells: str
    levels: Markup
    troubles: tuple[str, ...]
    cells: tuple[str, ...]
    is_all: bool = False


@dataclass(frozen=True)
class WorseSlices:
    """Slices that are worse in one metric: a sentence, and slice, difference and whether it is hardly luck of each."""

    sentence: str
    rows: tuple[tuple[str, str, bool], ...]
    more: int


@dataclass(frozen=True)
class SliceTable:
    """The slices of one column, the largest first; `rest` is folded away, `dropped` stands in the facts only."""

    column: str
    metric: str
    low: str
    high: str
    first: tuple[SliceRow, ...]
    rest: tuple[SliceRow, ...]
    headings: tuple[str, ...]
    dropped: int


def answer(facts: Facts) -> str:
    """Whether the candidate is better in what matters most, as the gate on it says; nothing without a champion."""
    name = f"champion.improve.{facts.gates.champion.primary}"
    return next((shorten(readable(check.reason), 600) for check in facts.verdict.checks if check.name == name), "")


def metric_rows(facts: Facts) -> list[MetricRow]:
    """The metrics over all rows, in the order that the problem gives them."""
    evaluation = facts.evaluation
    return [
        _metric_row(metric, evaluation.overall.metrics[metric], facts)
        for metric in METRICS_OF[evaluation.problem]
        if metric in evaluation.overall.metrics
    ]


def _metric_row(metric: Metric, figures: Figures, facts: Facts) -> MetricRow:
    decimals = decimals_of_figures(figures)
    tolerance = facts.gates.champion.tolerance.get(metric)
    name = capital(metric_label(metric, facts.gates))
    axis = _levels_axis([figures], constants=True)
    unused = nobody_acts_on(metric, facts.gates)
    meaning = METRIC_MEANINGS.get(metric, "")
    return MetricRow(
        name=name,
        code=metric,
        meaning=f"{meaning}; nobody acts on it here: the task decides otherwise" if unused else meaning,
        direction=_direction(metric),
        candidate=number(figures.candidate.value, decimals),
        candidate_interval=interval(figures.candidate.interval, decimals),
        champion=number(figures.champion.value, decimals) if figures.champion else "–",
        champion_interval=interval(figures.champion.interval, decimals) if figures.champion else "",
        constant=number(figures.constant, decimals),
        constant_is=constants.constant_of(metric, facts) if figures.constant is not None else "",
        constant_wins=constants.constant_wins(metric, facts),
        difference=signed(figures.difference.value, decimals) if figures.difference else "–",
        difference_interval=interval(figures.difference.interval, decimals) if figures.difference else "",
        tells="unclear" if unused else tells(metric, figures.difference),
        unused=unused,
        allowed=number(tolerance.worse_by) if tolerance else "",
        levels=plots.levels(axis, figures.candidate, figures.champion, figures.constant, _levels_alt(name, figures)),
        plot=_difference_plot(metric, figures.difference, tolerance.worse_by if tolerance else None, unused=unused),
    )


def _direction(metric: Metric) -> str:
    if metric == "bias":
        return "nearer to zero is better"
    return "higher is better" if metric in HIGHER_IS_BETTER else "lower is better"


def tells(metric: Metric, difference: Estimate | None) -> str:
    """What an interval of candidate minus champion says: `better`, `worse`, or `unclear` if it holds zero."""
    if difference is None or difference.interval is None or metric == "bias":
        return "unclear"
    low, high = difference.interval
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == (metric in HIGHER_IS_BETTER) else "worse"


def _difference_plot(metric: Metric, difference: Estimate | None, worse_by: float | None, *, unused: bool) -> Markup:
    """The difference turned so that right is better; nothing for bias, whose better side is not a side."""
    if difference is None or metric == "bias":
        return Markup("")
    sign = 1.0 if metric in HIGHER_IS_BETTER else -1.0
    ends = difference.interval or (difference.value, difference.value)
    gain = Estimate(
        value=sign * difference.value, interval=(min(sign * end for end in ends), max(sign * end for end in ends))
    )
    assert gain.interval is not None
    reach = 1.12 * max(abs(gain.value), *(abs(end) for end in gain.interval), worse_by or 0.0) or 1.0
    told = tells(metric, difference)
    role = "unclear" if unused else told
    words = {"better": "better", "worse": "worse", "unclear": "not clearly better or worse"}[told]
    words += ", but nobody acts on it" if unused else ""
    alt = f"Candidate minus champion: {estimate(difference)}, {words}"
    if worse_by is not None:
        alt += f"; worse by {number(worse_by)} is allowed"
    return plots.difference(
        plots.Range(-reach, reach), gain, None if worse_by is None else -worse_by, f"difference {role}", alt
    )


def _levels_axis(all_figures: Sequence[Figures], *, constants: bool) -> plots.Range:
    values: list[float] = []
    for figures in all_figures:
        for found in (figures.candidate, figures.champion):
            if found is not None:
                values += [found.value, *(found.interval or ())]
        if constants and figures.constant is not None:
            values.append(figures.constant)
    return plots.Range.around(values)


def _values_of(figures: Figures) -> Figures:
    """The figures of candidate and champion without their intervals."""
    champion = None if figures.champion is None else Estimate(value=figures.champion.value)
    return Figures(candidate=Estimate(value=figures.candidate.value), champion=champion)


def _levels_alt(name: str, figures: Figures) -> str:
    decimals = decimals_of_figures(figures)
    words = [f"{name}: candidate {estimate(figures.candidate, decimals)}"]
    if figures.champion is not None:
        words.append(f"champion {estimate(figures.champion, decimals)}")
    if figures.constant is not None:
        words.append(f"constant {number(figures.constant, decimals)}")
    return ", ".join(words)


def _clear_slices(evaluation: Evaluation, primary: Metric) -> dict[tuple[str, str], str]:
    """Slices that are better or worse than the champion, however many there are to look at.

    Of those that are called so, 5 % are by luck (Benjamini and Hochberg, Controlling the false discovery rate, 1995).
    """
    chances = []
    for one in evaluation.slices:
        figures = _without_few_positives(one, evaluation).metrics.get(primary)
        gain = gain_of(primary, figures) if figures is not None else None
        if gain is None:
            continue
        sides = [chance_of_luck(each, one.clusters) for each in (gain, turned(gain))]
        found = [chance for chance in sides if chance is not None]
        if found:
            chances.append((one, "better" if gain.value > 0 else "worse", min(1.0, 2 * min(found))))
    together = adjusted([chance for *_, chance in chances])
    return {
        (one.column, one.value): side
        for (one, side, _), chance in zip(chances, together, strict=True)
        if chance <= FALSE_DISCOVERIES
    }


def few_positives(one: SliceFigures) -> bool:
    """Whether a slice has so few positives (or negatives) that how they are ranked says nothing."""
    if one.label_mean is None:
        return False
    return min(one.label_mean, 1 - one.label_mean) * one.rows < LEAST_POSITIVES - 0.5


def _without_few_positives(one: SliceFigures, evaluation: Evaluation) -> SliceFigures:
    if evaluation.problem != "binary_classification" or not few_positives(one):
        return one
    left = {metric: figures for metric, figures in one.metrics.items() if metric not in _RANKING}
    return one.model_copy(update={"metrics": left})


def worse_slices(facts: Facts) -> list[WorseSlices]:
    """Of cost and calibration error, the slices in which the candidate is worse by more than is tolerated of all rows.

    That is by estimate; the sentence says which of them are so hardly by luck, all slices looked at together.
    """
    evaluation = facts.evaluation
    found = []
    for metric in ("cost", "calibration_error"):
        figures = evaluation.overall.metrics.get(metric)
        if facts.gates.champion.primary == metric or figures is None or figures.difference is None:
            continue
        tolerance = facts.gates.champion.tolerance.get(metric)
        allowed = tolerance.worse_by if tolerance else 0.0
        looked_at = worsened_slices(
            evaluation.slices, metric, worse_by=allowed, min_rows=1, false_discoveries=FALSE_DISCOVERIES
        )
        if looked_at:
            found.append(_worse_slices(metric, allowed, looked_at))
    return found


def _worse_slices(metric: Metric, allowed: float, looked_at: list[SliceWorsening]) -> WorseSlices:
    beyond = []
    for one in looked_at:
        difference = one.found.metrics[metric].difference
        if difference is not None and difference.value > allowed:
            beyond.append((one, difference))
    name = metric_name(metric)
    limit = f"by more than the {number(allowed)} that is allowed over all rows" if allowed else "by estimate"
    slices = plural(len(looked_at), "slice")
    if beyond:
        sentence = (
            f"In {name} the candidate is worse {limit} in {len(beyond)} of {slices}{', by estimate' * bool(allowed)}. "
            f"With {slices} looked at{' together' * (len(looked_at) > 1)}, {_how_sure(beyond, allowed)}."
        )
    else:
        sentence = f"In {name} the candidate is worse {limit} in none of {slices}."
    shown = beyond[:_MOST_WORSE]
    places = [places_of(difference) for _, difference in shown]
    return WorseSlices(
        sentence=sentence,
        rows=tuple(
            (
                _name_of_slice(one),
                f"{signed(difference.value, place)} {interval(difference.interval, place)}".strip(),
                one.worse,
            )
            for (one, difference), place in zip(shown, places, strict=True)
        ),
        more=len(beyond) - len(shown),
    )


def _how_sure(beyond: list[tuple[SliceWorsening, Estimate]], allowed: float) -> str:
    """How many are so hardly by luck, however many were looked at, and which of the others by their own interval."""
    sure = sum(one.worse for one, _ in beyond)
    own = [
        _name_of_slice(one)
        for one, difference in beyond
        if not one.worse and difference.interval is not None and min(difference.interval) > allowed
    ]
    is_so = f"beyond {number(allowed)}" if allowed else "worse"
    if sure:
        found = f"{sure} of them {'is' if sure == 1 else 'are'} {is_so} hardly by luck"
    else:
        found = f"none is {is_so} for certain"
    if own:
        its = "is by its own interval" if len(own) == 1 else "are by their own intervals"
        found += f", {'and' if sure else 'though'} {listed(own, _MOST_NAMED)} {its}"
    return found


def _name_of_slice(one: SliceWorsening) -> str:
    return f"{shorten(one.found.column, 60)} {shorten(one.found.value, 60) or '(empty)'}"


def slice_tables(facts: Facts) -> list[SliceTable]:
    """A table for each slice column; slices that a gate objects to are never left out."""
    evaluation = facts.evaluation
    troubles: dict[str, list[str]] = {}
    for check in facts.verdict.checks:
        if check.slice and check.outcome == "failed":
            troubles.setdefault(check.slice, []).append(check.name)
    columns = list(dict.fromkeys(found.column for found in evaluation.slices))
    most = max(1, MOST_SLICES // max(1, len(columns)))
    primary = facts.gates.champion.primary
    clear = _clear_slices(evaluation, primary)
    return [_slice_table(column, evaluation, facts.gates, troubles, clear, most) for column in columns]


def _slice_table(
    column: str,
    evaluation: Evaluation,
    gates: EvaluationSection,
    troubles: dict[str, list[str]],
    clear: dict[tuple[str, str], str],
    most: int,
) -> SliceTable:
    primary = gates.champion.primary
    found = [_without_few_positives(one, evaluation) for one in evaluation.slices if one.column == column]
    found.sort(key=lambda one: (f"{column}={one.value}" not in troubles, -one.rows, one.value))
    shown = found[:most]
    metrics = [metric for metric in METRICS_OF[evaluation.problem] if metric in evaluation.overall.metrics]
    whole = evaluation.overall
    binary = evaluation.problem == "binary_classification"
    # Small slices have intervals so wide that all others would be dots: they are cut at the plot's ends.
    drawn = [
        one.metrics[primary] if one.rows >= _LARGE * whole.rows else _values_of(one.metrics[primary])
        for one in [whole, *shown]
        if primary in one.metrics
    ]
    axis = _levels_axis(drawn, constants=False)
    # The decimals that all rows call for, in every slice: so a column can be read from top to bottom.
    places = {metric: decimals_of_figures(whole.metrics[metric]) for metric in metrics}
    rows = [
        _slice_row(
            one,
            primary,
            places,
            axis,
            troubles.get(f"{column}={one.value}", []),
            clear.get((one.column, one.value), "unclear"),
            binary=binary,
        )
        for one in shown
    ]
    shown_at_once = _MOST_OPEN if len(rows) > _MOST_OPEN + _FEW else len(rows)
    overall = whole.metrics.get(primary)
    told = tells(primary, overall.difference) if overall is not None else "unclear"
    first = _slice_row(whole, primary, places, axis, [], told, binary=binary, is_all=True)
    return SliceTable(
        column=column,
        metric=capital(metric_name(primary)),
        low=plots.tick_text(axis.low, axis),
        high=plots.tick_text(axis.high, axis),
        first=(first, *rows[:shown_at_once]),
        rest=tuple(rows[shown_at_once:]),
        headings=tuple(capital(metric_label(metric, gates)) for metric in metrics),
        dropped=len(found) - len(shown),
    )


def _slice_row(
    one: SliceFigures,
    primary: Metric,
    places: dict[Metric, int],
    axis: plots.Range,
    troubles: Sequence[str],
    told: str,
    *,
    binary: bool,
    is_all: bool = False,
) -> SliceRow:
    figures = one.metrics.get(primary)
    too_few = primary in _RANKING and binary and few_positives(one)
    decimals = places.get(primary)
    name = "All rows" if is_all else shorten(one.value) if one.value else "(empty)"
    return SliceRow(
        value=name,
        rows=count(one.rows),
        clusters=count(one.clusters),
        label_mean=percent(one.label_mean) if binary else number(one.label_mean),
        candidate=number(figures.candidate.value, decimals) if figures else TOO_FEW if too_few else "–",
        champion=number(figures.champion.value, decimals) if figures and figures.champion else "–",
        difference=signed(figures.difference.value, decimals) if figures and figures.difference else "–",
        difference_interval=interval(figures.difference.interval, decimals) if figures and figures.difference else "",
        tells=told,
        levels=plots.levels(axis, figures.candidate, figures.champion, None, _levels_alt(name, figures))
        if figures
        else Markup(""),
        troubles=tuple(dict.fromkeys(troubles)),
        cells=tuple(_cell(one.metrics.get(metric), decimals) for metric, decimals in places.items()),
        is_all=is_all,
    )


def _cell(figures: Figures | None, decimals: int) -> str:
    if figures is None:
        return "–"
    text = number(figures.candidate.value, decimals)
    return text if figures.difference is None else f"{text} ({signed(figures.difference.value, decimals)})"
