"""The gates, looked at: evidence in, verdict out. Only figures that stand in the evidence are used."""

from __future__ import annotations

from components._shared.evidence import Evaluation, Figures, SliceFigures
from components._shared.gates import METRIC_NAMES, Limit, Metric, WorstSlice, is_better
from components._shared.measuring.evidence_of_gain import gain_of
from components._shared.measuring.figures import JOINED
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Outcome, Verdict, merge
from components._shared.wording import cluster_word, estimate, number, rows_word, sentence
from components.evaluate.champion_checks import beside
from components.evaluate.notes import Notes
from components.evaluate.sentences import undefined

_MOST_REASONS = 5

_MEANING: dict[Metric, tuple[str, str]] = {
    "auc": ("ranks better", "ranks worse"),
    "log_loss": ("gives better probabilities", "gives worse probabilities"),
    "calibration_error": ("is better calibrated", "is worse calibrated"),
    "accuracy": ("is right more often", "is right less often"),
    "rmse": ("has smaller errors", "has larger errors"),
    "bias": ("is less biased", "is more biased"),
    "cost": ("decides at less cost", "decides at more cost"),
}
"""What being better or worse in a metric means; of the others only the figures are given, and only in the table."""


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
        checks += beside("champion", evaluation, section, notes)
        checks += beside("reference", evaluation, section, notes)
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
            reason=f"{rows_word(evaluation.rows)} can judge; at least {gates.min_rows:,} are needed.{why}",
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
                reason=f"{rows_word(broken)} have a score of the candidate that is not a finite number.",
            )
        )
    return checks


def _alone(evaluation: Evaluation, section: EvaluationSection) -> list[Check]:
    gates = section.metric
    checks = []
    for metric, limit in gates.limits.items():
        found = evaluation.overall.metrics.get(metric)
        name = f"metric.{metric}"
        if found is None:
            checks.append(undefined(name, metric, _bounds(limit)))
            continue
        value = found.candidate.value
        holds = _within(value, limit)
        words = f"{METRIC_NAMES[metric]} is {estimate(found.candidate)}; it must be {_bounds(limit)}."
        checks.append(
            Check(
                name=name,
                observed=value,
                interval=found.candidate.interval,
                limit=_bounds(limit),
                outcome="passed" if holds else "failed",
                reason=sentence(words),
            )
        )
    checks += [_beats_base(metric, evaluation.overall.metrics.get(metric)) for metric in gates.beats_base_rate]
    for rule in gates.worst_slice:
        checks += _worst_slice(rule, evaluation.slices)
    return checks


def _beats_base(metric: Metric, found: Figures | None) -> Check:
    name = f"metric.beats_base_rate.{metric}"
    if found is None:
        return undefined(name, metric, "better than a constant's")
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
        reason=sentence(
            f"{METRIC_NAMES[metric]}, {estimate(found.candidate)}, {verb} the {number(found.constant)} "
            "of a constant that knows only the average of the training labels."
        ),
    )


def _worst_slice(rule: WorstSlice, slices: tuple[SliceFigures, ...]) -> list[Check]:
    """A check for each slice that fails; one for the worst slice if none does."""
    name = f"metric.worst_slice.{rule.metric}"
    bounds = _bounds(rule.limit)
    large = [found for found in slices if found.rows >= rule.min_rows and not found.value.startswith(JOINED)]
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
            reason=sentence(
                f"{METRIC_NAMES[rule.metric]} where {found.column} is {found.value} ({rows_word(found.rows)}) is "
                f"{estimate(value)}; it must be {bounds}.{note}"
            ),
        )
        for found, value in (failing or named[:1])
    ]


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
        figures = f"{METRIC_NAMES[metric]} {' against '.join(values)}"
        gain = gain_of(metric, found)
        if gain is None or gain.value == 0 or (gain.interval and gain.interval[0] <= 0 <= gain.interval[1]):
            unclear.append(METRIC_NAMES[metric])
        elif gain.value > 0:
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
