"""The report's section on the difference: how the candidate's answers differ from the champion's, and where."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from components._shared.comparison import Comparison, Flip, OutputComparison, RowComparison, SliceComparison
from components._shared.evidence import Point
from components._shared.facts import Facts
from components.judge.report import plots
from components.judge.report.curves import Panel
from components.judge.report.rows import Figure, around_zero, figure, places_of
from components.judge.report.wording import (
    cluster_noun,
    count,
    estimate,
    moment,
    number,
    percent,
    percent_interval,
    plural,
    shorten,
    signed,
    size_of_psi,
)

_MOST_SLICES, _FEW = 8, 3
_MOST_SLICES_AT_ALL = 100
_MOST_ROWS, _MOST_ROWS_AT_ALL = 4, 20
_MOST_PANELS = 6


@dataclass(frozen=True)
class FlipRow:
    """Rows that are decided otherwise; `plot` shows how often the candidate is right on them, beside one half."""

    before: str
    after: str
    rows: str
    share: str
    share_interval: str
    labelled: str
    right: str
    right_interval: str
    positive: str
    saved: str
    plot: Markup


@dataclass(frozen=True)
class MovedSlice:
    """A slice by how much the scores differ in it."""

    name: str
    value: str
    rows: str
    mean: Figure
    absolute: Figure
    flipped: str
    share: str
    surprising: bool
    plot: Markup


@dataclass(frozen=True)
class MovedRow:
    """A row that the models score differently."""

    key: str
    when: str
    label: str
    output: str
    champion: str
    candidate: str
    difference: str
    features: tuple[tuple[str, str], ...]


def measures(facts: Facts) -> list[tuple[str, Figure, str]]:
    """How far one output's scores lie apart: a name, the figure, and what it means."""
    outputs = facts.comparison.outputs
    if len(outputs) != 1:
        return []
    one = outputs[0]
    found = [
        ("Mean difference", figure(one.mean, sign=True), "candidate minus champion"),
        ("Mean size of the difference", figure(one.absolute), "whichever way it goes"),
    ]
    if spread := _spread(one):
        found.append(("Nine rows of ten differ by", Figure(spread, ""), "from the 5th to the 95th percentile"))
    if one.rank_agreement is not None:
        found.append(
            ("Same order", figure(one.rank_agreement), "Spearman’s correlation: 1, both sort the rows alike; 0, unlike")
        )
    found += [
        (
            "Shift of the distribution (PSI)",
            Figure(number(one.psi, 3), ""),
            f"population stability index, {size_of_psi(one.psi)}: under 0.1 is small, from 0.25 large",
        ),
        (
            "Largest gap of the distributions (KS)",
            Figure(number(one.ks, 3), ""),
            "Kolmogorov-Smirnov: no share of rows below a score differs by more; 0 to 1",
        ),
    ]
    return found


def _spread(one: OutputComparison) -> str:
    low, high = one.quantiles.get("0.05"), one.quantiles.get("0.95")
    if low is None or high is None:
        return ""
    places = places_of(one.mean, one.absolute)
    return f"{signed(low, places)} to {signed(high, places)}"


def output_rows(facts: Facts) -> list[tuple[str, ...]]:
    """Of several outputs, such as classes, a row each."""
    if len(facts.comparison.outputs) < 2:
        return []
    return [
        (
            shorten(one.name, 60),
            estimate(one.mean, places_of(one.mean)),
            estimate(one.absolute, places_of(one.absolute)),
            number(one.psi, 3),
            number(one.ks, 3),
            number(one.rank_agreement.value, 3) if one.rank_agreement else "–",
        )
        for one in facts.comparison.outputs
    ]


def quantile_panels(facts: Facts) -> list[Panel]:
    """A Q–Q plot for each output, the first few of many."""
    return [_quantiles(one, facts) for one in facts.comparison.outputs[:_MOST_PANELS] if one.qq]


def _quantiles(one: OutputComparison, facts: Facts) -> Panel:
    points = tuple(Point(x=found.champion, y=found.candidate) for found in one.qq)
    band = tuple(
        Point(x=found.champion, y=found.candidate, low=found.low, high=found.high)
        for found in one.qq
        if found.low is not None and found.high is not None
    )
    both = plots.Range.around(
        [value for q in one.qq for value in (q.champion, q.candidate, q.low, q.high) if value is not None], margin=0.04
    )
    name = f"Quantiles of {shorten(one.name, 40)}" if one.name and one.name != "score" else "Quantiles of the scores"
    if not band:
        out = f"Too few {cluster_noun(facts.gates)}s for a band."
    elif one.outside:
        out = (
            f"The band is what chance alone would do; {one.outside} of the {plural(len(band), 'point')} with a band "
            f"{'lies' if one.outside == 1 else 'lie'} outside it: more than chance would do."
        )
    else:
        out = "The band is what chance alone would do; no point lies outside."
    note = (
        "Each point is the same quantile of both models (a Q–Q plot). On the dashed line both give that score equally "
        f"often. {out}"
    )
    series = [plots.Series("champion", band, "band")] if band else []
    return Panel(
        title=name,
        plot=plots.chart(
            [*series, plots.Series("candidate", points, "points")],
            x_title="champion",
            y_title="candidate",
            alt=f"{name}: candidate against champion. {note} The numbers stand in the table below.",
            x=both,
            y=both,
            diagonal=True,
        ),
        note=note,
        headings=("share of rows below", "champion", "candidate", "band"),
        rows=tuple(
            (
                percent(found.level),
                number(found.champion),
                number(found.candidate),
                "" if found.low is None else f"[{number(found.low)}, {number(found.high)}]",
            )
            for found in one.qq
        ),
    )


def flip_rows(facts: Facts) -> list[FlipRow]:
    """What is decided otherwise, the largest share first."""
    binary = facts.evaluation.problem == "binary_classification"
    return [_flip_row(flip, facts, binary=binary) for flip in facts.comparison.flips]


def _flip_row(flip: Flip, facts: Facts, *, binary: bool) -> FlipRow:
    plot = Markup("")
    usable = "fair to both" if facts.comparison.labelled < facts.comparison.known else "with a label"
    if flip.right is not None:
        alt = f"The candidate is right on {percent(flip.right.value)} of them; one half is marked"
        plot = plots.levels(plots.Range(0.0, 1.0), flip.right, None, 0.5, alt)
    mean = flip.label_mean
    return FlipRow(
        before=shorten(flip.before, 60),
        after=shorten(flip.after, 60),
        rows=count(flip.rows),
        share=percent(flip.share.value),
        share_interval=percent_interval(flip.share.interval),
        labelled=f"{count(flip.labelled)} {usable}",
        right=percent(flip.right.value) if flip.right else "–",
        right_interval=percent_interval(flip.right.interval) if flip.right else "",
        positive="–" if mean is None else percent(mean) if binary else number(mean),
        saved="–" if flip.saved is None else f"{signed(flip.saved)} {shorten(facts.gates.decision.unit, 20)}".strip(),
        plot=plot,
    )


def flip_sentence(comparison: Comparison) -> str:
    """How much is decided otherwise, in a sentence, and how many of the ways are shown."""
    if not comparison.flips or comparison.flipped is None:
        return ""
    at = f" (from a score of {number(comparison.threshold)})" if comparison.threshold is not None else ""
    found = (
        f"Both decide alike{at} on all but {count(comparison.flipped_rows)} of {count(comparison.rows)} rows, "
        f"{percent(comparison.flipped.value)}."
    )
    if comparison.ways > len(comparison.flips):
        found += f" Shown are the {len(comparison.flips)} most frequent of {count(comparison.ways)} ways."
    return found


def moved_slices(facts: Facts) -> tuple[list[MovedSlice], list[MovedSlice]]:
    """The slices by their share of all differences: those shown, and those folded away."""
    found = facts.comparison.slices[:_MOST_SLICES_AT_ALL]
    axis = around_zero([one.mean for one in found])
    rows = [_moved_slice(one, axis) for one in found]
    first = _MOST_SLICES if len(rows) > _MOST_SLICES + _FEW else len(rows)
    return rows[:first], rows[first:]


def _moved_slice(one: SliceComparison, axis: plots.Range) -> MovedSlice:
    name = f"{shorten(one.column, 60)} = {shorten(one.value, 80) or '(empty)'}"
    return MovedSlice(
        name=shorten(one.column, 60),
        value=shorten(one.value, 80) or "(empty)",
        rows=count(one.rows),
        mean=figure(one.mean, sign=True),
        absolute=figure(one.absolute),
        flipped="–" if one.flipped is None else percent(one.flipped),
        share=percent(one.share_of_difference),
        surprising=one.surprising,
        plot=plots.difference(
            axis, one.mean, None, "difference unclear", f"{name}: mean difference {estimate(one.mean)}"
        ),
    )


def moved_rows(facts: Facts) -> tuple[list[MovedRow], list[MovedRow]]:
    """The rows that differ most: those shown, and those folded away."""
    rows = [_moved_row(row, facts) for row in facts.comparison.most_different[:_MOST_ROWS_AT_ALL]]
    return rows[:_MOST_ROWS], rows[_MOST_ROWS:]


def _moved_row(row: RowComparison, facts: Facts) -> MovedRow:
    return MovedRow(
        key=shorten(row.key, 120),
        when=moment(row.time, facts.windows.timezone) if row.time is not None else "",
        label=shorten(row.label, 40) or "–",
        output=shorten(row.output, 40),
        champion=number(row.champion, _places(row)),
        candidate=number(row.candidate, _places(row)),
        difference=signed(row.candidate - row.champion, _places(row)),
        features=_features(row.features),
    )


def _places(row: RowComparison) -> int | None:
    return 3 if max(abs(row.champion), abs(row.candidate)) <= 1 else None


def _features(features: dict[str, str], most: int = 60) -> tuple[tuple[str, str], ...]:
    return tuple(
        (shorten(name, 60), shorten(value, 60) or "(missing)") for name, value in list(features.items())[:most]
    )
