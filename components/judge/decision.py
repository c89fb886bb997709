"""The decision: several verdicts made one, and why in a sentence."""

from __future__ import annotations

from components._shared.evidence import Estimate, Evaluation, Figures
from components._shared.gates import HIGHER_IS_BETTER, METRIC_NAMES, Metric
from components._shared.measuring.evidence_of_gain import chance_of_luck, gain_of, level_of_a_look
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Outcome, Verdict, merge
from components._shared.wording import decimals_beyond
from components.judge.report.constants import constant_remark
from components.judge.report.wording import (
    decimals_of,
    extent,
    interval,
    metric_name,
    nobody_acts_on,
    number,
    period,
    plural,
    shorten,
)

_LONGEST_REASON = 500

DECISION_NAMES: dict[Outcome, str] = {
    "passed": "Accepted",
    "failed": "Rejected",
    "cannot_judge": "Cannot be judged",
}


def decide(verdicts: tuple[Verdict, ...], evaluation: Evaluation, gates: EvaluationSection) -> Verdict:
    """Merges the verdicts into the one on the candidate.

    Args:
        verdicts: Of the judging steps; every check is carried over, in their order.
        evaluation: The figures that the sentence quotes.
        gates: The limits that it quotes.

    Returns:
        A verdict whose summary says what is decided, why, and on how much it rests.
    """
    outcome = merge(verdict.outcome for verdict in verdicts)
    checks = tuple(check for verdict in verdicts for check in verdict.checks)
    match outcome:
        case "passed":
            reason = _why_passed(checks, evaluation, gates) + _although(evaluation, gates, better=False)
        case "failed":
            reason = _why_not(verdicts, "failed", evaluation, gates)
            reason += _no_clear_gain(verdicts, gates) + _although(evaluation, gates, better=True)
        case "cannot_judge":
            reason = _why_not(verdicts, "cannot_judge", evaluation, gates)
    clauses = [reason]
    if evaluation.rows and outcome != "cannot_judge":
        judged = extent(evaluation.rows, evaluation.clusters, gates)
        when = f", {period(evaluation.window, gates.timezone)}" if evaluation.window else ""
        clauses.append(f"judged over {judged}{when}")
        if remark := constant_remark(evaluation, gates):
            clauses.append(remark)
    return Verdict(
        subject="candidate",
        outcome=outcome,
        checks=checks,
        summary=f"{DECISION_NAMES[outcome]}: {'; '.join(clauses)}.",
    )


def _why_passed(checks: tuple[Check, ...], evaluation: Evaluation, gates: EvaluationSection) -> str:
    held = sum(check.outcome == "passed" for check in checks)
    all_hold = "every gate holds" if held == len(checks) else f"{held} of {len(checks)} gates hold and none fails"
    primary = gates.champion.primary
    figures = evaluation.overall.metrics.get(primary)
    if not evaluation.champion or figures is None or figures.difference is None:
        return f"there is no champion yet, and {all_hold}" if not evaluation.champion else all_hold
    name = metric_name(primary)
    better, amount = _as_gain(primary, figures.difference)
    if any(check.name == f"champion.improve.{primary}" for check in checks) and gates.champion.improve == "evidence":
        return f"{_evidence(evaluation, figures, gates)}, and {all_hold}"
    word = "better" if better else "worse"
    if amount.interval is None or min(amount.interval) > 0:
        within = "" if better else ", which is allowed"
        return f"{name} is {word} than the champion’s by {_amount(amount)}{within}, and {all_hold}"
    if not amount.value:
        return f"{name} is the same as the champion’s, and {all_hold}"
    return f"{name} does not differ clearly from the champion’s ({word} by {_amount(amount)}), and {all_hold}"


def _evidence(evaluation: Evaluation, figures: Figures, gates: EvaluationSection) -> str:
    """How sure it is that the candidate is better; if it is not, that the task promotes in doubt."""
    primary = gates.champion.primary
    gain = gain_of(primary, figures)
    chance = None if gain is None else chance_of_luck(gain, evaluation.clusters)
    better, amount = _as_gain(primary, figures.difference or figures.candidate)
    said = f"{metric_name(primary)} is {'better' if better else 'worse'} than the champion’s by {_amount(amount)}"
    if not amount.value:
        said = f"{metric_name(primary)} is the same as the champion’s"
    if chance is not None and chance <= level_of_a_look(gates.champion.false_alarms, evaluation.looks) and better:
        return f"{said}, hardly by luck"
    return f"{said}, which the data cannot tell from luck; in doubt the task promotes"


def _why_not(verdicts: tuple[Verdict, ...], outcome: Outcome, evaluation: Evaluation, gates: EvaluationSection) -> str:
    """The first reason of that outcome in full, and how many more there are."""
    found = [check for verdict in verdicts for check in verdict.checks if check.outcome == outcome]
    if not found:
        summaries = [verdict.summary for verdict in verdicts if verdict.outcome == outcome]
        return _clause(summaries[0]) if summaries and summaries[0] else "no reason was given"
    first = _clause_of(found[0], evaluation, gates)
    if len(found) == 1:
        return first
    verb = "cannot be judged" if outcome == "cannot_judge" else "fails" if len(found) == 2 else "fail"
    return f"{first} ({plural(len(found) - 1, 'more gate')} {verb})"


def _clause_of(check: Check, evaluation: Evaluation, gates: EvaluationSection) -> str:
    subject, _, metric = check.name.partition(".")
    figures = evaluation.overall.metrics.get(metric) if metric in METRIC_NAMES else None  # type: ignore[call-overload]
    difference = figures.difference if figures is not None else None
    tolerance = gates.champion.tolerance.get(metric)  # type: ignore[call-overload]
    ours = subject == "champion" and metric != "bias" and not check.slice and check.outcome == "failed"
    if not ours or difference is None or tolerance is None:
        where = f" ({check.slice})" if check.slice and check.slice not in check.reason else ""
        return _clause(check.reason) + where
    better, amount = _as_gain(metric, difference)
    if better or amount.value <= tolerance.worse_by:
        return _clause(check.reason)
    decimals = decimals_beyond(amount.value, tolerance.worse_by, decimals_of(amount))
    return (
        f"{metric_name(metric)} is worse than the champion’s by {_amount(amount, decimals)} "
        f"where {number(tolerance.worse_by)} is allowed"
    )


def _although(evaluation: Evaluation, gates: EvaluationSection, *, better: bool) -> str:
    """The first metric that speaks against the decision, hardly by luck: a conflict that the reader must see."""
    found = []
    for metric, figures in evaluation.overall.metrics.items():
        if metric == "bias" or nobody_acts_on(metric, gates):
            continue
        if figures.difference is None or figures.difference.interval is None:
            continue
        is_better, amount = _as_gain(metric, figures.difference)
        if is_better == better and amount.interval is not None and min(amount.interval) > 0:
            word = "better" if better else "worse"
            found.append((list(METRIC_NAMES).index(metric), f"{metric_name(metric)} is {word} by {_amount(amount)}"))
    return f", although {min(found)[1]}" if found else ""


def _no_clear_gain(verdicts: tuple[Verdict, ...], gates: EvaluationSection) -> str:
    """That the primary did not clearly improve either, where something else is the first reason."""
    name = f"champion.improve.{gates.champion.primary}"
    checks = [check for verdict in verdicts for check in verdict.checks]
    first = next((check.name for check in checks if check.outcome == "failed"), name)
    unsure = any(check.name == name and check.outcome != "passed" for check in checks)
    said = f", and {metric_name(gates.champion.primary)} did not clearly improve"
    return said if unsure and first != name else ""


def _as_gain(metric: Metric | str, difference: Estimate) -> tuple[bool, Estimate]:
    """Whether the candidate is better, and by how much (or how much worse), as a positive amount with its interval."""
    better = difference.value > 0 if metric in HIGHER_IS_BETTER else difference.value < 0
    if difference.value >= 0:
        return better, difference
    pair = difference.interval
    turned = None if pair is None else (-pair[1], -pair[0])
    return better, Estimate(value=-difference.value, interval=turned)


def _amount(found: Estimate, decimals: int | None = None) -> str:
    decimals = decimals_of(found) if decimals is None else decimals
    return f"{number(found.value, decimals)} {interval(found.interval, decimals)}".strip()


def _clause(sentence: str) -> str:
    """A sentence made a part of another: no full stop, and its first word in lower case unless it is a name."""
    text = shorten(sentence, _LONGEST_REASON).rstrip(".")
    first = text.split(" ", 1)[0]
    is_word = first[:1].isupper() and first[1:].islower()
    return text[:1].lower() + text[1:] if is_word or first == "A" else text
