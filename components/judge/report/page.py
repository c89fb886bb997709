"""The page: facts in, one self-contained HTML document out. The same facts give the same bytes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2
import markupsafe

from components._shared.evidence import Estimate, Evaluation
from components._shared.facts import Facts
from components._shared.gates import METRICS_OF, is_better
from components._shared.verdict import Check, Outcome
from components.judge.decision import DECISION_NAMES
from components.judge.report import curves, data, metrics, model
from components.judge.report.wording import (
    OUTCOME_NAMES,
    PROBLEM_NAMES,
    capital,
    count,
    decimals_of,
    extent,
    gate_name,
    interval,
    listed,
    metric_name,
    moment,
    number,
    period,
    plural,
    shorten,
    telling,
)

_TEMPLATES = Path(__file__).parent / "templates"

JUMP = (
    'if(location.protocol==="about:")addEventListener("click",e=>{const a=e.target.closest("a[href^=\'#\']"),'
    "t=a&&document.getElementById(a.hash.slice(1));if(t){e.preventDefault();t.scrollIntoView()}})"
)
"""The only script on the page. Kubeflow shows it as a frame's `srcdoc`, where a link to `#gates` would load Kubeflow's
own page into the frame, since links there are relative to the page around."""

_MOST_OPEN_GATES, _FEW = 20, 4
_FAILURES_FIRST: tuple[Outcome, ...] = ("failed", "cannot_judge", "passed")


@dataclass(frozen=True)
class GateRow:
    """One check, in words."""

    name: str
    code: str
    slice: str
    observed: str
    interval: str
    limit: str
    outcome: Outcome
    outcome_name: str
    reason: str


def render(facts: Facts) -> str:
    """The page for a person who must say yes or no."""
    features, hidden_features = data.feature_rows(facts)
    strong, weak = model.coefficients(facts)
    return _template().render(
        facts=facts,
        jump=markupsafe.Markup(JUMP),
        jump_hash=base64.b64encode(hashlib.sha256(JUMP.encode()).digest()).decode(),
        timezone=facts.windows.timezone,
        decision=DECISION_NAMES[facts.verdict.outcome],
        reason=capital(facts.verdict.summary.removeprefix(f"{DECISION_NAMES[facts.verdict.outcome]}: ")),
        problem=PROBLEM_NAMES[facts.evaluation.problem],
        key_facts=key_facts(facts),
        gates=first_gates(facts),
        more_gates=gate_rows(facts)[len(first_gates(facts)) :],
        gate_counts=gate_counts(facts),
        metric_rows=metrics.metric_rows(facts),
        slice_tables=metrics.slice_tables(facts),
        panels=curves.panels(facts),
        confusions=curves.confusions(facts),
        accounting=data.accounting(facts),
        parts=data.parts(facts),
        features=features,
        hidden_features=hidden_features,
        timeline=model.timeline(facts),
        description=model.description(facts),
        parameters=model.parameters(facts),
        unused_columns=model.unused_columns(facts),
        learning_curve=model.learning_curve(facts),
        coefficients=strong,
        more_coefficients=weak,
        lineage=model.lineage(facts),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "capital": capital,
        "count": count,
        "moment": moment,
        "number": number,
        "shorten": shorten,
        "telling": telling,
    }
    return environment.get_template("page.html.jinja")


def gate_rows(facts: Facts) -> list[GateRow]:
    """Every check of the verdict: failures first, and of what passed the many checks of single features last."""
    checks = sorted(
        facts.verdict.checks,
        key=lambda check: (_FAILURES_FIRST.index(check.outcome), check.name.startswith("data."), bool(check.slice)),
    )
    return [_gate_row(check) for check in checks]


def first_gates(facts: Facts) -> list[GateRow]:
    """The rows of `gate_rows` that are shown at once: what did not pass, and the first of what did."""
    rows = gate_rows(facts)
    open_rows = sum(row.outcome != "passed" for row in rows)
    return rows if len(rows) <= _MOST_OPEN_GATES + _FEW else rows[: max(_MOST_OPEN_GATES, open_rows)]


def _gate_row(check: Check) -> GateRow:
    decimals = decimals_of(Estimate(value=check.observed or 0.0, interval=check.interval))
    if decimals is not None and abs(check.observed or 0.0) < 1:
        decimals = max(decimals, 3)
    return GateRow(
        name=shorten(gate_name(check.name)),
        code=shorten(check.name),
        slice=shorten(check.slice),
        observed=number(check.observed, decimals),
        interval=interval(check.interval, decimals),
        limit=shorten(check.limit),
        outcome=check.outcome,
        outcome_name=OUTCOME_NAMES[check.outcome],
        reason=shorten(check.reason, 600),
    )


def gate_counts(facts: Facts) -> list[tuple[Outcome, str]]:
    """How many gates ended how, failures first; outcomes that no gate had are left out."""
    outcomes = [check.outcome for check in facts.verdict.checks]
    return [
        (outcome, f"{count(outcomes.count(outcome))} {OUTCOME_NAMES[outcome]}")
        for outcome in _FAILURES_FIRST
        if outcome in outcomes
    ]


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
