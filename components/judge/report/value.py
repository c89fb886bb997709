"""What the candidate is worth in the task's own unit, and what its probabilities are worth."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from components._shared.evidence import Estimate, Saving, ThresholdCost, Value
from components._shared.facts import Facts
from components.judge.report.constants import hindsight_sentence, one_decision
from components.judge.report.rows import Figure, around_zero, figure, gain_strip, places_of, side
from components.judge.report.wording import (
    cluster_noun,
    decimals_of_figures,
    estimate,
    extent,
    interval,
    number,
    percent,
    shorten,
    with_unit,
)

_MUCH = 0.2
"""Of the rate that came true: a promise further away than that is said at the top of the page."""


@dataclass(frozen=True)
class SavingRow:
    """What is saved against one competitor, and over what."""

    against: str
    over: str
    saved: Figure
    side: str
    plot: Markup


@dataclass(frozen=True)
class Worth:
    """What the candidate's decisions save.

    Attributes:
        sentence: The value over the champion, or without one over a constant.
        mean_costs: What a row costs on average under each model, and under one decision for all rows.
        costs: What the task says a row costs.
        rows: One for each competitor, a day (or a cluster, or a row); `more` has the other lengths.
        hindsight: That one decision for all rows would have been cheaper, or empty.
    """

    sentence: str
    unit: str
    mean_costs: str
    costs: str
    rows: tuple[SavingRow, ...]
    more: tuple[SavingRow, ...]
    hindsight: str


def worth(facts: Facts) -> Worth | None:
    """The value in the task's unit; none where the task declares no costs."""
    value = facts.evaluation.value
    if value is None:
        return None
    noun = cluster_noun(facts.gates)
    unit = shorten(value.unit, 30)
    constant = one_decision(value.constant_decision, facts.evaluation.problem)
    others = [("the champion", value.champion), (constant, value.constant)]
    if value.hindsight_decision != value.constant_decision:
        best = one_decision(value.hindsight_decision, facts.evaluation.problem)
        others.append((f"{best} (the best in hindsight)", value.hindsight))
    rows, more = [], []
    for against, saving in others:
        if saving is not None:
            found = _saving_rows(against, saving, noun)
            main_row = 0 if noun == "row" else 1
            rows.append(found[main_row])
            more += found[:main_row] + found[main_row + 1 :]
    main = value.champion or value.constant
    beside = "the champion" if value.champion else constant
    return Worth(
        sentence=_sentence(main, beside, noun, unit, facts) if main else "",
        unit=unit,
        mean_costs=_mean_costs(value, facts),
        costs=_costs(facts),
        rows=tuple(rows),
        more=tuple(more),
        hindsight=hindsight_sentence(facts),
    )


def _mean_costs(value: Value, facts: Facts) -> str:
    """The mean cost of a row under each model and under one decision for all rows, with the intervals there are."""
    figures = facts.evaluation.overall.metrics.get("cost")
    places = decimals_of_figures(figures) if figures else places_of(value.cost)
    problem = facts.evaluation.problem
    found = [f"candidate {estimate(value.cost, places)}"]
    if value.champion is not None:
        known = figures.champion if figures else None
        around = f" {interval(known.interval, places)}" if known and known.interval else ""
        found.append(f"champion {number(value.champion.cost, places)}{around}")
    if value.constant is not None:
        found.append(f"{one_decision(value.constant_decision, problem)} {number(value.constant.cost, places)}")
    if value.hindsight is not None and value.hindsight_decision != value.constant_decision:
        best = one_decision(value.hindsight_decision, problem)
        found.append(f"{best} (the best in hindsight) {number(value.hindsight.cost, places)}")
    return ", ".join(found)


def _saving_rows(against: str, saving: Saving, noun: str) -> list[SavingRow]:
    overs = [("per row", saving.per_row)]
    if noun != "row":
        overs.append((f"per {noun}", saving.per_cluster))
    overs.append(("on all rows judged", saving.total))
    return [
        SavingRow(
            against=against,
            over=over,
            saved=figure(saved, sign=True),
            side=side(saved),
            plot=gain_strip(around_zero([saved]), saved, f"Saved against {against}, {over}"),
        )
        for over, saved in overs
    ]


def _sentence(saving: Saving, beside: str, noun: str, unit: str, facts: Facts) -> str:
    found, over = (saving.per_row, "row") if noun == "row" else (saving.per_cluster, noun)
    judged = extent(facts.evaluation.rows, facts.evaluation.clusters, facts.gates)
    if not found.value:
        return f"Deciding by the candidate costs the same as {beside}, over {judged}."
    verb = "saves" if found.value >= 0 else "costs"
    turned = found if found.value >= 0 else _turned(found)
    amount = f"{with_unit(number(turned.value, places_of(turned)), unit)} a {over}"
    if turned.interval is not None:
        amount += f" [{', '.join(number(end, places_of(turned)) for end in turned.interval)}]"
    sure = "" if side(found) != "unclear" else "; the interval holds zero, so it may be luck"
    what = "more than" if verb == "costs" else "beside"
    return f"Deciding by the candidate {verb} {amount} {what} {beside}, over {judged}{sure}."


def _turned(found: Estimate) -> Estimate:
    pair = found.interval
    return Estimate(value=-found.value, interval=None if pair is None else (-pair[1], -pair[0]))


def _costs(facts: Facts) -> str:
    rule = facts.gates.decision
    unit = shorten(rule.unit, 30)
    found = []
    for name, cost in list(rule.costs.items())[:20]:
        if isinstance(cost, dict):
            found += [
                f"{shorten(name, 40)} taken for {shorten(other, 40)}: {with_unit(number(each), unit)}"
                for other, each in list(cost.items())[:20]
            ]
        else:
            found.append(f"{name.replace('_', ' ')}: {with_unit(number(cost), unit)}")
    return "; ".join(found)


def threshold_sentences(facts: Facts) -> list[str]:
    """What another threshold would have cost, in hindsight."""
    unit = shorten(facts.gates.decision.unit, 30)
    pairs = [("candidate", facts.evaluation.curves.threshold_cost)]
    if facts.evaluation.champion_curves is not None:
        pairs.append(("champion", facts.evaluation.champion_curves.threshold_cost))
    return [_threshold(name, found, unit) for name, found in pairs if found is not None]


def _threshold(name: str, found: ThresholdCost, unit: str) -> str:
    best = "acting on no row" if found.best > 1 else f"a threshold of {number(found.best, 3)}"
    return (
        f"Of the {name}, the task’s threshold of {number(found.declared, 3)} costs "
        f"{with_unit(estimate(found.declared_cost, places_of(found.declared_cost)), unit)} a row; in hindsight {best} "
        f"would have cost {with_unit(number(found.best_cost.value, places_of(found.best_cost)), unit)}. "
        "Nothing is decided by hindsight."
    )


def no_clear_saving(facts: Facts) -> str:
    """That the candidate is not shown to save anything beside the champion, or costs more; nothing if it saves."""
    value = facts.evaluation.value
    if value is None or value.champion is None:
        return ""
    noun = cluster_noun(facts.gates)
    found = value.champion.per_row if noun == "row" else value.champion.per_cluster
    if found.interval is None or side(found) == "better":
        return ""
    unit, places = shorten(value.unit, 30), places_of(found)
    dearer = _turned(found)
    more = f"a {noun} {interval(dearer.interval, places)} more than the champion"
    if side(found) == "worse":
        return f"Deciding by the candidate costs {with_unit(number(dearer.value, places), unit)} {more}."
    if found.value < 0:
        amount = f"by estimate it costs {number(dearer.value, places)} {more}"
    else:
        amount = f"{number(found.value, places)} a {noun} {interval(found.interval, places)} beside the champion"
    return f"That it saves {unit or 'anything'} is not shown: {amount}."


def both_promise(facts: Facts) -> str:
    """That the models promise much more, or much less, than came true; nothing if they do not, or it is not clear."""
    pairs = [facts.evaluation.curves.line]
    if facts.evaluation.champion_curves is not None:
        pairs.append(facts.evaluation.champion_curves.line)
    lines = [line for line in pairs if line is not None]
    if len(lines) != len(pairs) or len({line.bias.value > 0 for line in lines}) != 1:
        return ""
    came = lines[0].score_mean - lines[0].bias.value
    far = _MUCH * min(came, 1 - came)
    if any(side(line.bias) == "unclear" or abs(line.bias.value) < far for line in lines):
        return ""
    much = "much" if lines[0].bias.value > 0 else "little"
    if len(lines) == 1:
        mean = number(lines[0].score_mean, 3)
        return f"The candidate promises too {much}: {mean} on average, where {number(came, 3)} came true."
    means = " (candidate) and ".join(number(line.score_mean, 3) for line in lines)
    return f"Both models promise too {much}: {means} (champion) on average, where {number(came, 3)} came true."


def acts_on(facts: Facts) -> str:
    """The share of rows that the models act on, by the task's threshold; nothing where there is none."""
    shares = [
        sum(row[1] for row in curves.confusion) / sum(map(sum, curves.confusion))
        for curves in (facts.evaluation.curves, facts.evaluation.champion_curves)
        if curves is not None and curves.threshold is not None and len(curves.confusion) == 2
    ]
    threshold = facts.evaluation.curves.threshold
    if not shares or threshold is None:
        return ""
    beside = f" (the champion on {percent(shares[1])})" if len(shares) > 1 else ""
    return (
        f"The candidate acts on {percent(shares[0])} of these rows{beside}: on scores from {number(threshold, 3)} on."
    )


def calibration_sentences(facts: Facts) -> list[str]:
    """Whether what the probabilities promise is what comes true, on the whole."""
    pairs = [("candidate", facts.evaluation.curves)]
    if facts.evaluation.champion_curves is not None:
        pairs.append(("champion", facts.evaluation.champion_curves))
    sentences = []
    for name, curves in pairs:
        line = curves.line
        if line is None:
            continue
        bias, word = line.bias, "more" if line.bias.value > 0 else "less"
        clear = side(bias) != "unclear"
        text = f"On average the {name} promises {number(line.score_mean, 3)}"
        text += (
            f", {number(abs(bias.value), places_of(bias))} {word} than comes true"
            if clear
            else ", which is what comes true as far as these rows can tell"
        )
        if line.slope is not None:
            text += f"; slope {estimate(line.slope, places_of(line.slope))}: {_slope(line.slope)}"
        sentences.append(f"{text}.")
    return sentences


def _slope(slope: Estimate) -> str:
    low, high = slope.interval or (slope.value, slope.value)
    if low <= 1 <= high:
        return "its spread fits"
    return "its probabilities are too extreme" if high < 1 else "its probabilities are too timid"
