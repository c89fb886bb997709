"""The gates, looked at: evidence in, verdict out. Only figures that stand in the evidence are used."""

from __future__ import annotations

from dataclasses import dataclass, field

from components._shared.evidence import Estimate, Evaluation, Figures, SliceFigures
from components._shared.gates import HIGHER_IS_BETTER, METRIC_NAMES, Limit, Metric, Tolerance, WorstSlice, is_better
from components._shared.measuring.figures import JOINED
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Outcome, Verdict, merge
from components._shared.wording import cluster_word, estimate, number, with_interval

_MOST_REASONS = 5

_MEANING: dict[Metric, tuple[str, str]] = {
    "auc": ("ranks better", "ranks worse"),
    "log_loss": ("gives better probabilities", "gives worse probabilities"),
    "calibration_error": ("is better calibrated", "is worse calibrated"),
    "accuracy": ("is right more often", "is right less often"),
    "rmse": ("has smaller errors", "has larger errors"),
    "bias": ("is less biased", "is more biased"),
}
"""What being better or worse in a metric means; of the others only the figures are given, and only in the table."""


@dataclass(frozen=True)
class Notes:
    """What the evidence does not hold.

    Attributes:
        broken: Model → rows whose score is not a finite number.
        unfair: Model → why it may have learnt from the rows that judge.
        reference_rows, reference_clusters: Those that are fair to the reference too; none without a reference.
    """

    broken: dict[str, int]
    unfair: dict[str, str] = field(default_factory=dict)
    reference_rows: int | None = None
    reference_clusters: int | None = None


def judge(evaluation: Evaluation, section: EvaluationSection, notes: Notes) -> Verdict:
    """Holds the figures to the gates.

    Args:
        evaluation: The figures.
        section: The gates.
        notes: What else is known.

    Returns:
        The verdict on `metrics`: *cannot judge* with too few rows or clusters, whatever the figures say.
    """
    checks = _enough(evaluation, section, notes)
    judged = all(check.outcome == "passed" for check in checks)
    if judged:
        checks += _alone(evaluation, section)
        checks += _beside("champion", evaluation, section, notes)
        checks += _beside("reference", evaluation, section, notes)
    outcome = merge(check.outcome for check in checks)
    return Verdict(
        subject="metrics",
        outcome=outcome,
        checks=tuple(checks),
        summary=_summary(evaluation, checks, section, judged=judged),
    )


def _enough(evaluation: Evaluation, section: EvaluationSection, notes: Notes) -> list[Check]:
    gates = section.metric
    why = ""
    if evaluation.fair_from is not None and evaluation.left_out:
        why = (
            f" {evaluation.left_out:,} rows before {evaluation.fair_from:%Y-%m-%d %H:%M} UTC were left out,"
            " because labels of that time were used to train one of the models."
        )
    checks = [
        Check(
            name="metric.min_rows",
            observed=evaluation.rows,
            limit=f"at least {gates.min_rows:,}",
            outcome="passed" if evaluation.rows >= gates.min_rows else "cannot_judge",
            reason=f"{_rows(evaluation.rows)} can judge; at least {gates.min_rows:,} are needed.{why}",
        )
    ]
    if section.has_time or section.cluster is not None:
        checks.append(
            Check(
                name="metric.min_days",
                observed=evaluation.clusters,
                limit=f"at least {gates.min_days:,}",
                outcome="passed" if evaluation.clusters >= gates.min_days else "cannot_judge",
                reason=f"The rows lie in {cluster_word(section, evaluation.clusters)}; {gates.min_days:,} are needed.",
            )
        )
    if broken := notes.broken.get("candidate", 0):
        checks.append(
            Check(
                name="metric.finite_scores",
                observed=broken,
                limit="none",
                outcome="failed",
                reason=f"{_rows(broken)} have a score of the candidate that is not a finite number.",
            )
        )
    return checks


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _alone(evaluation: Evaluation, section: EvaluationSection) -> list[Check]:
    gates = section.metric
    checks = []
    for metric, limit in gates.limits.items():
        found = evaluation.overall.metrics.get(metric)
        name = f"metric.{metric}"
        if found is None:
            checks.append(_undefined(name, metric, _bounds(limit)))
            continue
        value = found.candidate.value
        holds = _within(value, limit)
        words = f"{_name(metric)} is {estimate(found.candidate)}; it must be {_bounds(limit)}."
        checks.append(
            Check(
                name=name,
                observed=value,
                interval=found.candidate.interval,
                limit=_bounds(limit),
                outcome="passed" if holds else "failed",
                reason=_sentence(words),
            )
        )
    checks += [_beats_base(metric, evaluation.overall.metrics.get(metric)) for metric in gates.beats_base_rate]
    for rule in gates.worst_slice:
        checks += _worst_slice(rule, evaluation.slices)
    return checks


def _beats_base(metric: Metric, found: Figures | None) -> Check:
    name = f"metric.beats_base_rate.{metric}"
    if found is None:
        return _undefined(name, metric, "better than a constant's")
    if found.constant is None:
        return Check(
            name=name,
            observed=found.candidate.value,
            limit="better than a constant's",
            outcome="cannot_judge",
            reason="The model says nothing of its training labels, so there is no constant to compare with.",
        )
    better = is_better(metric, found.candidate.value, found.constant)
    verb = "is better than" if better else "is no better than"
    return Check(
        name=name,
        observed=found.candidate.value,
        interval=found.candidate.interval,
        limit=f"better than a constant's {number(found.constant)}",
        outcome="passed" if better else "failed",
        reason=_sentence(
            f"{_name(metric)}, {estimate(found.candidate)}, {verb} the {number(found.constant)} "
            "of a constant that knows only the average of the training labels."
        ),
    )


def _worst_slice(rule: WorstSlice, slices: tuple[SliceFigures, ...]) -> list[Check]:
    """A check for each slice that fails; one for the worst slice if none does."""
    name = f"metric.worst_slice.{rule.metric}"
    bounds = _bounds(rule.limit)
    large = [found for found in slices if found.rows >= rule.min_rows and not found.value.endswith(JOINED)]
    named = [(found, found.metrics[rule.metric].candidate) for found in large if rule.metric in found.metrics]
    if not named:
        why = "none has labels that give it a value" if large else "there is none"
        reason = (
            f"No slice of at least {rule.min_rows:,} rows can be held to a limit on {METRIC_NAMES[rule.metric]}: {why}."
        )
        return [Check(name=name, limit=bounds, outcome="cannot_judge", reason=reason)]
    named.sort(key=lambda pair: _distance(pair[1].value, rule.limit), reverse=True)
    failing = [pair for pair in named if not _within(pair[1].value, rule.limit)]
    outcome: Outcome = "failed" if failing else "passed"
    skipped = len(large) - len(named)
    note = f" ({skipped} more have labels of one class, and no value.)" if skipped else ""
    return [
        Check(
            name=name,
            slice=f"{found.column}={found.value}",
            observed=value.value,
            interval=value.interval,
            limit=f"{bounds} in slices of at least {rule.min_rows:,} rows",
            outcome=outcome,
            reason=_sentence(
                f"{_name(rule.metric)} where {found.column} is {found.value} ({_rows(found.rows)}) is "
                f"{estimate(value)}; it must be {bounds}.{note}"
            ),
        )
        for found, value in (failing or named[:1])
    ]


def _beside(other: str, evaluation: Evaluation, section: EvaluationSection, notes: Notes) -> list[Check]:
    """Checks of the candidate beside the champion, or beside the pinned reference; none if there is no such model."""
    gates = section.champion
    present = evaluation.champion if other == "champion" else evaluation.reference
    if not present:
        return []
    if broken := notes.broken.get(other, 0):
        return [
            Check(
                name=f"{other}.finite_scores",
                observed=broken,
                limit="none",
                outcome="cannot_judge",
                reason=f"{_rows(broken)} have a score of the {other} that is not a finite number.",
            )
        ]
    if (why := notes.unfair.get(other)) and (other == "champion" or gates.reference):
        return [
            Check(
                name=f"{other}.fair_rows",
                limit="rows that no model has learnt from",
                outcome="cannot_judge",
                reason=f"The {other} may have learnt from rows that judge here: {why}.",
            )
        ]
    if other == "reference" and gates.reference and notes.reference_rows is not None:
        short = _enough_for_reference(section, notes)
        if short is not None:
            return [short]
    tolerances = dict(gates.tolerance if other == "champion" else gates.reference)
    checks = []
    if other == "champion":
        if gates.improve == "point":
            checks.append(_improves(gates.primary, evaluation.overall.metrics.get(gates.primary)))
        else:
            tolerances = {gates.primary: tolerances.get(gates.primary, Tolerance(worse_by=0)), **tolerances}
    checks += [
        _tolerated(other, metric, tolerance, evaluation.overall.metrics.get(metric))
        for metric, tolerance in tolerances.items()
    ]
    return checks


def _enough_for_reference(section: EvaluationSection, notes: Notes) -> Check | None:
    rows, clusters = notes.reference_rows or 0, notes.reference_clusters or 0
    gates = section.metric
    few_clusters = (section.has_time or section.cluster is not None) and clusters < gates.min_days
    if rows >= gates.min_rows and not few_clusters:
        return None
    return Check(
        name="reference.min_rows",
        observed=rows,
        limit=f"at least {gates.min_rows:,}",
        outcome="cannot_judge",
        reason=(
            f"Only {_rows(rows)} in {cluster_word(section, clusters)} are later than the labels that the pinned "
            f"reference has used; {gates.min_rows:,} rows and {gates.min_days:,} days are needed. Pin an older version."
        ),
    )


def _improves(metric: Metric, found: Figures | None) -> Check:
    name = f"champion.improve.{metric}"
    limit = "better than the champion's"
    if found is None or found.difference is None or found.champion is None:
        return _undefined(name, metric, limit)
    better = is_better(metric, found.candidate.value, found.champion.value)
    return Check(
        name=name,
        observed=found.difference.value,
        interval=found.difference.interval,
        limit=limit,
        outcome="passed" if better else "failed",
        reason=_sentence(f"{_compared(metric, found, 'champion')}; it must be better."),
    )


def _tolerated(other: str, metric: Metric, tolerance: Tolerance, found: Figures | None) -> Check:
    name = f"{other}.{metric}"
    by_interval = tolerance.evidence == "interval"
    limit = f"worse by at most {number(tolerance.worse_by)}" if tolerance.worse_by else "not worse"
    if by_interval:
        limit += ", the whole interval"
    worse = None if found is None else _worsening(metric, found, other)
    difference = None if found is None else _difference(found, other)
    if found is None or worse is None or difference is None:
        return _undefined(name, metric, limit)
    if by_interval and worse.interval is None:
        return Check(
            name=name,
            observed=difference.value,
            limit=limit,
            outcome="cannot_judge",
            reason=_sentence(f"{_name(metric)} has no interval here: the rows lie in too few clusters."),
        )
    worst = worse.interval[1] if by_interval and worse.interval is not None else worse.value
    allowed = (
        f"worse by at most {number(tolerance.worse_by)} is allowed" if tolerance.worse_by else "it must not be worse"
    )
    evidence = " over the whole interval" if by_interval else ""
    return Check(
        name=name,
        observed=difference.value,
        interval=difference.interval,
        limit=limit,
        outcome="passed" if worst <= tolerance.worse_by else "failed",
        reason=_sentence(f"{_compared(metric, found, other)}; {allowed}{evidence}."),
    )


def _difference(found: Figures, other: str) -> Estimate | None:
    return found.difference if other == "champion" else found.reference_difference


def _worsening(metric: Metric, found: Figures, other: str) -> Estimate | None:
    """How much worse the candidate is: positive is worse. A bias is worse by what its size has grown."""
    difference = _difference(found, other)
    model = found.champion if other == "champion" else found.reference
    if difference is None or model is None:
        return None
    if metric == "bias":
        return _bias_growth(found.candidate, model, difference)
    if metric not in HIGHER_IS_BETTER:
        return difference
    pair = difference.interval
    return Estimate(value=-difference.value, interval=None if pair is None else (-pair[1], -pair[0]))


def _bias_growth(candidate: Estimate, other: Estimate, difference: Estimate) -> Estimate:
    """The growth of |bias|. It is never more than the difference of the biases, so that one's half width bounds it."""
    value = abs(candidate.value) - abs(other.value)
    if difference.interval is None:
        return Estimate(value=value)
    half = (difference.interval[1] - difference.interval[0]) / 2
    if candidate.value * other.value < 0:
        # |candidate| - |other| then moves with the sum of the two, whose spread the difference does not show.
        widths = [(pair[1] - pair[0]) / 2 for pair in (candidate.interval, other.interval) if pair is not None]
        half = max(half, sum(widths))
    return Estimate(value=value, interval=(value - half, value + half))


def _compared(metric: Metric, found: Figures, other: str) -> str:
    """`log-loss is worse than the champion's by 0.009 [0.001, 0.017]`, without a full stop."""
    worse = _worsening(metric, found, other)
    name = "size of the bias" if metric == "bias" else _name(metric)
    whose = "champion's" if other == "champion" else "pinned reference's"
    if worse is None:
        return f"{name} has no value"
    if worse.value == 0:
        return f"{name} is the same as the {whose}"
    pair = worse.interval
    if worse.value > 0:
        return f"{name} is worse than the {whose} by {with_interval(worse.value, pair)}"
    turned = None if pair is None else (-pair[1], -pair[0])
    return f"{name} is better than the {whose} by {with_interval(-worse.value, turned)}"


def _undefined(name: str, metric: Metric, limit: str) -> Check:
    return Check(
        name=name,
        limit=limit,
        outcome="cannot_judge",
        reason=_sentence(f"{_name(metric)} has no value on these rows: their labels are all alike."),
    )


def _within(value: float, limit: Limit) -> bool:
    return (limit.min is None or value >= limit.min) and (limit.max is None or value <= limit.max)


def _distance(value: float, limit: Limit) -> float:
    """How far beyond the limit a value lies; negative within it."""
    beyond = [limit.min - value] if limit.min is not None else []
    beyond += [value - limit.max] if limit.max is not None else []
    return max(beyond, default=0.0)


def _bounds(limit: Limit) -> str:
    words = []
    if limit.min is not None:
        words.append(f"at least {number(limit.min)}")
    if limit.max is not None:
        words.append(f"at most {number(limit.max)}")
    return " and ".join(words) or "anything"


def _name(metric: Metric) -> str:
    return METRIC_NAMES[metric]


def _sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _summary(evaluation: Evaluation, checks: list[Check], section: EvaluationSection, *, judged: bool) -> str:
    sentences = []
    for outcome, label in (("failed", "Fails"), ("cannot_judge", "Cannot be judged")):
        reasons = [check.reason for check in checks if check.outcome == outcome]
        if reasons:
            more = len(reasons) - _MOST_REASONS
            sentences.append(f"{label}: {' '.join(reasons[:_MOST_REASONS])}")
            sentences += [f"And {more} more."] if more > 0 else []
    if not sentences:
        sentences.append(f"All {len(checks)} gates on metrics hold.")
    if not judged:
        return " ".join(sentences)
    if evaluation.champion:
        sentences.append(_against_champion(evaluation))
    else:
        sentences.append("There is no champion yet to compare with.")
    if evaluation.constant_beats_both:
        beaten = _listed([METRIC_NAMES[metric] for metric in evaluation.constant_beats_both])
        constant = "A constant" if section.problem == "regression" else "The base rate"
        sentences.append(f"{constant} beats {'both' if evaluation.champion else 'the candidate'} in {beaten}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _against_champion(evaluation: Evaluation) -> str:
    """Where the candidate is better, worse, or where the rows do not say: a conflict is said plainly."""
    better, worse, unclear = [], [], []
    for metric, (good, bad) in _MEANING.items():
        found = evaluation.overall.metrics.get(metric)
        if found is None or found.champion is None or found.difference is None:
            continue
        decimals = 3 if abs(found.candidate.value) < 10 else 1
        values = [number(one.value, decimals) for one in (found.candidate, found.champion)]
        figures = f"{_name(metric)} {' against '.join(values)}"
        growth = _worsening(metric, found, "champion")
        if growth is None or growth.value == 0 or (growth.interval and growth.interval[0] <= 0 <= growth.interval[1]):
            unclear.append(_name(metric))
        elif growth.value < 0:
            better.append(f"{good} ({figures})")
        else:
            worse.append(f"{bad} ({figures})")
    clauses = []
    if better:
        clauses.append(_listed(better))
    if worse:
        clauses.append(_listed(worse))
    said = f"Beside the champion it {', but '.join(clauses)}." if clauses else ""
    if unclear:
        rest = f"In {_listed(unclear)} the rows show no clear difference"
        said = f"{said} {rest}.".strip() if clauses else f"{rest} to the champion."
    return said
