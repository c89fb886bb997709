"""What the decision rests on, in a handful of figures."""

from __future__ import annotations

from components._shared.facts import Facts
from components.judge.report.constants import constant_fact
from components.judge.report.wording import extent, moment, period, plural


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
        constant_fact(facts),
    ]


def _labels(facts: Facts) -> tuple[str, str, str]:
    pending = facts.data.rows.label_pending
    young = f"{plural(pending, 'row is', 'rows are')} too young for a label and left aside" if pending else ""
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
