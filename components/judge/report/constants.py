"""The constants beside the models: what each of them is, and whether it is ahead of both."""

from __future__ import annotations

from components._shared.evidence import Estimate, Evaluation, Figures, Saving
from components._shared.facts import Facts
from components._shared.gates import HIGHER_IS_BETTER, METRICS_OF, Metric, is_better
from components._shared.task import EvaluationSection
from components.judge.report.rows import places_of, side
from components.judge.report.wording import (
    cluster_noun,
    interval,
    listed,
    metric_name,
    nobody_acts_on,
    number,
    shorten,
    with_unit,
)


def one_decision(decision: str, problem: str) -> str:
    """One decision for all rows, in words."""
    named = shorten(decision, 40)
    match problem:
        case "binary_classification":
            return "calling every row positive" if named == "1" else "calling no row positive"
        case "multiclass_classification":
            return f"deciding {named} always"
        case _:
            return f"predicting {named} always"


def constant_of(metric: Metric, facts: Facts) -> str:
    """What the constant of a metric is: the same answer for every row, but not the same one in every metric."""
    value, base, problem = facts.evaluation.value, facts.model.base, facts.evaluation.problem
    if metric == "cost":
        return one_decision(value.constant_decision, problem) if value and value.constant_decision else ""
    if problem == "regression":
        return "always the training mean"
    if metric in ("accuracy", "macro_f1"):
        if problem == "multiclass_classification":
            return "always the commonest class"
        return one_decision("1" if base and base[0] >= 0.5 else "0", problem)
    if metric in ("auc", "pr_auc"):
        return "one score for all rows"
    return "always the training rate" + (f", {number(base[0], 3)}" if len(base) == 1 else "")


def telling(metrics: tuple[Metric, ...], gates: EvaluationSection) -> list[Metric]:
    """The metrics in which a constant has to be feared.

    Any constant near the mean is calibrated and without bias, and where nobody acts on a metric nobody loses by it.
    """
    return [
        metric
        for metric in metrics
        if metric not in ("calibration_error", "bias") and not nobody_acts_on(metric, gates)
    ]


def ahead(evaluation: Evaluation, gates: EvaluationSection) -> tuple[list[Metric], list[Metric]]:
    """The metrics in which the constant beats the models, and those in which it is ahead by what may be luck."""
    found = telling(evaluation.constant_beats_both, gates)
    sure = [metric for metric in found if _beats(metric, evaluation.overall.metrics.get(metric))]
    return sure, [metric for metric in found if metric not in sure]


def _beats(metric: Metric, figures: Figures | None) -> bool:
    """Whether the constant is better than every figure within the models' intervals."""
    if figures is None or figures.constant is None:
        return False
    models = [one for one in (figures.candidate, figures.champion) if one is not None]
    ends = [max(one.interval) if metric in HIGHER_IS_BETTER else min(one.interval) for one in models if one.interval]
    return len(ends) == len(models) and all(is_better(metric, figures.constant, end) for end in ends)


def constant_remark(evaluation: Evaluation, gates: EvaluationSection) -> str:
    """What a constant prediction is worth beside the models: a clause that a sentence ends with, or nothing."""
    sure, unsure = ahead(evaluation, gates)
    models = "both" if evaluation.champion else "it"
    clauses = [f"a constant beats {models} in {_names(sure)}"] if sure else []
    if unsure:
        subject = "" if sure else "a constant "
        clauses.append(f"{subject}is ahead of {models} in {_names(unsure)}, which may be luck")
    return " and ".join(clauses)


def _names(metrics: list[Metric]) -> str:
    return listed([metric_name(metric) for metric in metrics])


def constant_fact(facts: Facts) -> tuple[str, str, str]:
    """The key fact on constants: its name, what is found, and where."""
    evaluation = facts.evaluation
    name = "A constant prediction"
    models = "both models" if evaluation.champion else "the candidate"
    sure, unsure = ahead(evaluation, facts.gates)
    if sure:
        more = f"; ahead in {_names(unsure)}, which may be luck" if unsure else ""
        return name, f"beats {models}", f"in {_names(sure)}{more}"
    if cheaper := hindsight_remark(facts):
        return "One decision for all rows", f"{_would_have(facts)} been cheaper than {models}", cheaper
    if unsure:
        return name, f"is ahead of {models}", f"in {_names(unsure)}, which may be luck"
    better = {
        metric: is_better(metric, figures.candidate.value, figures.constant)
        for metric, figures in evaluation.overall.metrics.items()
        if figures.constant is not None
    }
    compared = [metric for metric in telling(METRICS_OF[evaluation.problem], facts.gates) if metric in better]
    if not compared:
        return name, "was not compared", "no metric could be computed"
    if lost := [metric for metric in compared if not better[metric]]:
        return name, "is not beaten everywhere", f"the candidate is no better in {_names(lost)}"
    return name, "is beaten by the candidate", f"in {_names(compared)}"


def hindsight_remark(facts: Facts) -> str:
    """By how much the best single decision in hindsight would have been cheaper than the models; nothing if not."""
    value = facts.evaluation.value
    if value is None or value.hindsight is None or value.hindsight.cost >= value.cost.value:
        return ""
    if value.champion is not None and value.hindsight.cost >= value.champion.cost:
        return ""
    noun = cluster_noun(facts.gates)
    gain = _turned(_lost(value.hindsight, facts))
    amount = with_unit(number(gain.value, places_of(gain)), shorten(value.unit, 30))
    around = f" {interval(gain.interval, places_of(gain))}" if gain.interval else ""
    luck = "" if side(gain) != "unclear" else ", which may be luck"
    decision = one_decision(value.hindsight_decision, facts.evaluation.problem)
    known = "as the training labels advise" if value.hindsight_decision == value.constant_decision else "in hindsight"
    than = "the candidate" if value.champion is not None else "it"
    return f"{decision} ({known}) costs {amount} a {noun}{around} less than {than}{luck}"


def hindsight_sentence(facts: Facts) -> str:
    """The same as a sentence."""
    remark = hindsight_remark(facts)
    if not remark:
        return ""
    models = "both models" if facts.evaluation.champion else "the candidate"
    return f"One decision for all rows {_would_have(facts)} been cheaper than {models}: {remark}."


def _would_have(facts: Facts) -> str:
    value = facts.evaluation.value
    luck = value is None or value.hindsight is None or side(_lost(value.hindsight, facts)) == "unclear"
    return "may have" if luck else "would have"


def _lost(saving: Saving, facts: Facts) -> Estimate:
    return saving.per_row if cluster_noun(facts.gates) == "row" else saving.per_cluster


def constant_wins(metric: Metric, facts: Facts) -> str:
    """That the constant is better than the models in a metric that somebody acts on, in words, or nothing."""
    if metric not in facts.evaluation.constant_beats_both or nobody_acts_on(metric, facts.gates):
        return ""
    sure = _beats(metric, facts.evaluation.overall.metrics.get(metric))
    return "best of all" if sure else "ahead, may be luck"


def _turned(found: Estimate) -> Estimate:
    pair = found.interval
    return Estimate(value=-found.value, interval=None if pair is None else (-pair[1], -pair[0]))
