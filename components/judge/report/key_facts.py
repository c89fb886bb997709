"""What the decision rests on, in a handful of figures."""

from __future__ import annotations

from components._shared.evidence import Evaluation
from components._shared.facts import Facts
from components._shared.gates import METRICS_OF, is_better
from components.judge.report.wording import extent, listed, metric_name, moment, period, plural, telling


def key_facts(facts: Facts) -> list[tuple[str, str, str]]:
    """What the decision rests on: a name, a figure or a few words, and what they mean."""
    evaluation, zone_name = facts.evaluation, facts.windows.timezone
    judged = extent(evaluation.rows, evaluation.clusters, facts.gates) if evaluation.rows else "no rows"
    when = period(evaluation.window, zone_name) if evaluation.window else "the test part, split by hash of the key"
    return [
        ("Rows to judge on" if facts.verdict.outcome == "cannot_judge" else "Judged on", judged, when),
        _labels(facts),
        _compared_with(facts),
        _fair_rows(facts),
        _constant(evaluation),
    ]


def _labels(facts: Facts) -> tuple[str, str, str]:
    pending = facts.data.rows.label_pending
    young = f"{plural(pending, 'row is', 'rows are')} too young for a label and judged nothing" if pending else ""
    if facts.windows.labelled_until is None:
        return "Labels", "known for every row" if not pending else "partly known", young or "this task has no time"
    until = moment(facts.windows.labelled_until, facts.windows.timezone)
    return "Labels", f"mature before {until}", young or "no row is too young for its label"


def _compared_with(facts: Facts) -> tuple[str, str, str]:
    if facts.champion is None:
        return "Compared with", "no champion yet", "this is the first candidate"
    trained = ""
    if facts.champion.fit_until is not None:
        trained = f"it has learnt from labels before {moment(facts.champion.fit_until, facts.windows.timezone)}"
    reference = ", and a pinned reference" if facts.evaluation.reference else ""
    return "Compared with", f"champion, version {facts.champion.version}{reference}", trained


def _fair_rows(facts: Facts) -> tuple[str, str, str]:
    evaluation = facts.evaluation
    if not evaluation.left_out:
        return (
            "Fair to both" if evaluation.champion else "Fair rows",
            "all test rows",
            "no model has learnt from their time"
            if facts.windows.test
            else "split by a hash: no model learnt from them",
        )
    since = moment(evaluation.fair_from, facts.windows.timezone)
    return (
        "Fair to both",
        f"rows from {since}",
        f"{plural(evaluation.left_out, 'earlier row')} left out: a model had learnt from that time",
    )


def _constant(evaluation: Evaluation) -> tuple[str, str, str]:
    name = "A constant prediction"
    if feared := telling(evaluation.constant_beats_both):
        names = listed([metric_name(metric) for metric in feared])
        return name, f"beats {'both models' if evaluation.champion else 'the candidate'}", f"in {names}"
    better = {
        metric: is_better(metric, figures.candidate.value, figures.constant)
        for metric, figures in evaluation.overall.metrics.items()
        if figures.constant is not None
    }
    compared = [metric for metric in telling(METRICS_OF[evaluation.problem]) if metric in better]
    if not compared:
        return name, "was not compared", "no metric could be computed"
    if lost := [metric_name(metric) for metric in compared if not better[metric]]:
        return name, "is not beaten everywhere", f"the candidate is no better in {listed(lost)}"
    return name, "is beaten by the candidate", f"in {listed([metric_name(metric) for metric in compared])}"
