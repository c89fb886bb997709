"""The candidate beside the champion, and beside the pinned reference: what the gates ask of the difference."""

from __future__ import annotations

from components._shared.evidence import Estimate, Evaluation, Figures, SliceFigures
from components._shared.gates import METRIC_NAMES, Metric, SliceTolerance, Tolerance, is_better
from components._shared.measuring.evidence_of_gain import Other, gain_of
from components._shared.measuring.false_discoveries import slices_not_looked_at, worsened_slices
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Outcome
from components._shared.wording import cluster_word, number, rows_word, sentence
from components.evaluate.notes import Notes
from components.evaluate.promotion_check import improves_beyond_doubt
from components.evaluate.sentences import compared, undefined, without_interval


def beside(other: Other, evaluation: Evaluation, section: EvaluationSection, notes: Notes) -> list[Check]:
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
                reason=f"{rows_word(broken)} have a score of the {other} that is not a finite number.",
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
    if other == "reference":
        return [_tolerated(other, *each, evaluation) for each in gates.reference.items()]
    tolerances = dict(gates.tolerance)
    checks = []
    match gates.improve:
        case "evidence":
            # What is better beyond doubt is not worse, and what is in doubt has its tolerance in that check.
            tolerances.pop(gates.primary, None)
            checks.append(improves_beyond_doubt(evaluation, section))
        case "point":
            checks.append(_improves(gates.primary, evaluation.overall.metrics.get(gates.primary)))
        case "no":
            tolerances = {gates.primary: tolerances.get(gates.primary, Tolerance(worse_by=0)), **tolerances}
    checks += [_tolerated(other, *each, evaluation) for each in tolerances.items()]
    for rule in gates.slices:
        checks += _slices(rule, evaluation.slices)
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
            f"Only {rows_word(rows)} in {cluster_word(section, clusters)} are later than the labels that the pinned "
            f"reference has used; {gates.min_rows:,} rows and {gates.min_days:,} days are needed. Pin an older version."
        ),
    )


def _improves(metric: Metric, found: Figures | None) -> Check:
    name = f"champion.improve.{metric}"
    limit = "better than the champion's"
    if found is None or found.difference is None or found.champion is None:
        return undefined(name, metric, limit)
    better = is_better(metric, found.candidate.value, found.champion.value)
    return Check(
        name=name,
        observed=found.difference.value,
        interval=found.difference.interval,
        limit=limit,
        outcome="passed" if better else "failed",
        reason=sentence(f"{_compared(metric, found)}; it must be better."),
    )


def _tolerated(other: Other, metric: Metric, tolerance: Tolerance, evaluation: Evaluation) -> Check:
    name = f"{other}.{metric}"
    by_interval = tolerance.evidence == "interval"
    limit = f"worse by at most {number(tolerance.worse_by)}" if tolerance.worse_by else "not worse"
    if by_interval:
        limit += ", the whole interval"
    found = evaluation.overall.metrics.get(metric)
    gain = None if found is None else gain_of(metric, found, other)
    difference = None if found is None else found.difference if other == "champion" else found.reference_difference
    if found is None or gain is None or difference is None:
        return undefined(name, metric, limit)
    if by_interval and gain.interval is None:
        return without_interval(name, metric, limit, difference.value)
    worst = -(gain.interval[0] if by_interval and gain.interval is not None else gain.value)
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
        reason=sentence(f"{_compared(metric, found, other)}; {allowed}{evidence}."),
    )


def _slices(rule: SliceTolerance, slices: tuple[SliceFigures, ...]) -> list[Check]:
    """A check for each slice that is clearly worse, or for the one nearest to that; and for each that cannot be judged.

    That is one that is worse, and has no interval by which to tell that from luck.
    """
    permitted = f"worse by at most {number(rule.worse_by)} is allowed" if rule.worse_by else "it must not be worse"
    found = worsened_slices(
        slices,
        rule.metric,
        worse_by=rule.worse_by,
        min_rows=rule.min_rows,
        false_discoveries=rule.false_discoveries,
    )
    others = slices_not_looked_at(slices, rule.metric, min_rows=rule.min_rows)
    in_doubt = [one for one, worsening in others if worsening is not None and worsening > rule.worse_by]
    luck = f"of those that are named, at most {number(100 * rule.false_discoveries)} % are so by luck"
    together = f"{len(found)} slice{'s were' if len(found) > 1 else ' was'} looked at together; {luck}."
    if skipped := len(others) - len(in_doubt):
        together += f" ({skipped} more of at least {rule.min_rows:,} rows lie in too few clusters, or have no value.)"

    checks = []
    if not found:
        reason = f"No slice of at least {rule.min_rows:,} rows has an interval of {METRIC_NAMES[rule.metric]}."
        name = f"champion.slices.{rule.metric}"
        checks.append(Check(name=name, limit=_limit_of(rule), outcome="cannot_judge", reason=reason))
    worse = [one.found for one in found if one.worse]
    for one in worse:
        checks.append(_slice(rule, one, "failed", f"{_where(rule, one)}, hardly by luck; {permitted}. {together}"))
    if found and not worse:
        nearest = found[0].found
        words = f"no slice clearly breaks the limit; nearest to it, {_where(rule, nearest)}; {permitted}. {together}"
        checks.append(_slice(rule, nearest, "passed", words))
    for one in in_doubt:
        doubt = "but these rows, or those of one class, lie in too few clusters to tell that from luck"
        checks.append(_slice(rule, one, "cannot_judge", f"{_where(rule, one)}, {doubt}; {permitted}."))
    return checks


def _slice(rule: SliceTolerance, one: SliceFigures, outcome: Outcome, words: str) -> Check:
    difference = one.metrics[rule.metric].difference
    assert difference is not None
    return Check(
        name=f"champion.slices.{rule.metric}",
        slice=f"{one.column}={one.value}",
        observed=difference.value,
        interval=difference.interval,
        limit=_limit_of(rule),
        outcome=outcome,
        reason=sentence(words),
    )


def _limit_of(rule: SliceTolerance) -> str:
    allowed = f"worse by at most {number(rule.worse_by)}" if rule.worse_by else "not worse"
    return f"{allowed} in slices of at least {rule.min_rows:,} rows"


def _where(rule: SliceTolerance, one: SliceFigures) -> str:
    place = f"where {one.column} is {one.value} ({rows_word(one.rows)})"
    return f"{_compared(rule.metric, one.metrics[rule.metric])} {place}"


def _compared(metric: Metric, found: Figures, other: Other = "champion") -> str:
    """By how much it is better or worse, without the interval: the check has that, with the sign of its figure."""
    bare = {
        name: Estimate(value=one.value)
        for name, one in (("difference", found.difference), ("reference_difference", found.reference_difference))
        if one is not None
    }
    return compared(metric, found.model_copy(update=bare), other)
