"""The page: facts in, one self-contained HTML document out. The same facts give the same bytes."""

from __future__ import annotations

from typing import Any

from components._shared.facts import Facts
from components._shared.ledger import Settlement
from components.judge.decision import DECISION_NAMES
from components.judge.report import (
    afterwards,
    behaviour,
    changes,
    curves,
    data,
    difference,
    explanation,
    gates,
    metrics,
    model,
    value,
)
from components.judge.report.constants import ahead, hindsight_remark, hindsight_sentence
from components.judge.report.document import document
from components.judge.report.key_facts import key_facts
from components.judge.report.wording import PROBLEM_NAMES, capital, cluster_noun, extent, period

_MOST_PROMISES = 12


def render(facts: Facts, settlements: tuple[Settlement, ...] = ()) -> str:
    """The page for a person who must say yes or no, or who asks later why it was said.

    Args:
        facts: All that was known when it was decided.
        settlements: What became of this decision, if that is known by now; others are ignored.
    """
    own = afterwards.own(facts, settlements)
    return document(
        "page.html.jinja",
        title=f"{DECISION_NAMES[facts.verdict.outcome]}: {facts.gates.task or 'candidate'} report",
        facts=facts,
        timezone=facts.windows.timezone,
        afterwards=[afterwards.afterwards(one, facts.windows.timezone, facts.gates.decision.unit) for one in own],
        **_decision(facts),
        **_evidence(facts),
        **_rows_and_model(facts),
    )


def _decision(facts: Facts) -> dict[str, Any]:
    shown, folded = gates.split_gates(facts)
    evaluation = facts.evaluation
    when = period(evaluation.window, facts.windows.timezone) if evaluation.window else ""
    judged = extent(evaluation.rows, evaluation.clusters, facts.gates)
    return {
        "decision": DECISION_NAMES[facts.verdict.outcome],
        "reason": capital(facts.verdict.summary.removeprefix(f"{DECISION_NAMES[facts.verdict.outcome]}: ")),
        "cautions": [
            one
            for one in (
                value.both_promise(facts),
                value.acts_on(facts),
                value.no_clear_saving(facts),
                hindsight_sentence(facts),
            )
            if one
        ],
        "constant_feared": bool(any(ahead(evaluation, facts.gates)) or hindsight_remark(facts)),
        "problem": PROBLEM_NAMES[evaluation.problem],
        "key_facts": key_facts(facts),
        "gates": shown,
        "more_gates": folded,
        "evidence_note": gates.evidence_note(facts),
        "gate_counts": gates.gate_counts(facts),
        "judged": f"{judged}{f', {when}' if when else ''}",
    }


def _evidence(facts: Facts) -> dict[str, Any]:
    comparison = facts.comparison
    moved_slices, more_moved_slices = difference.moved_slices(facts)
    moved_rows, more_moved_rows = difference.moved_rows(facts)
    importances, more_importances = explanation.importance_rows(facts)
    terms, more_terms, hidden_terms = explanation.term_rows(facts)
    strong, weak = model.coefficients(facts)
    compared = extent(comparison.rows, comparison.clusters, facts.gates)
    return {
        "answer": metrics.answer(facts),
        "noun": cluster_noun(facts.gates),
        "metric_rows": metrics.metric_rows(facts),
        "worse_slices": metrics.worse_slices(facts),
        "slice_tables": metrics.slice_tables(facts),
        "worth": value.worth(facts),
        "compared": f"{compared}{_on(facts)}",
        "measures": difference.measures(facts),
        "output_rows": difference.output_rows(facts),
        "quantile_panels": difference.quantile_panels(facts),
        "flip_sentence": difference.flip_sentence(comparison),
        "flips": difference.flip_rows(facts),
        "moved_slices": moved_slices,
        "more_moved_slices": more_moved_slices,
        "moved_rows": moved_rows,
        "more_moved_rows": more_moved_rows,
        "asked": behaviour.asked(facts),
        "behaviour_notes": behaviour.notes(facts),
        "behaviour_rows": behaviour.behaviour_rows(facts),
        "loss": explanation.LOSSES[facts.explanation.loss] if facts.explanation else "",
        "explained_on": extent(facts.explanation.rows, facts.explanation.clusters, facts.gates)
        if facts.explanation
        else "",
        "importances": importances,
        "importance_sentence": explanation.importance_sentence(facts),
        "more_importances": more_importances,
        "importance_slices": explanation.importance_slices(facts),
        "dependence_panels": explanation.dependence_panels(facts),
        "dependence_categories": explanation.dependence_categories(facts),
        "terms": terms,
        "more_terms": more_terms,
        "hidden_terms": hidden_terms,
        "coefficients": [] if terms else strong,
        "more_coefficients": [] if terms else weak,
        "changes": changes.groups(facts.changes) if facts.changes else [],
        "unchanged": changes.unchanged(facts.changes) if facts.changes else "",
        "panels": curves.panels(facts),
        "confusions": curves.confusions(facts),
        "calibration_sentences": value.calibration_sentences(facts),
        "threshold_sentences": value.threshold_sentences(facts),
        "promises": [
            afterwards.afterwards(one, facts.windows.timezone, facts.gates.decision.unit)
            for one in facts.promises[:_MOST_PROMISES]
        ],
    }


def _on(facts: Facts) -> str:
    window = facts.comparison.window
    return f", {period(window, facts.windows.timezone)}" if window is not None else ""


def _rows_and_model(facts: Facts) -> dict[str, Any]:
    features, hidden_features = data.feature_rows(facts)
    return {
        "accounting": data.accounting(facts),
        "parts": data.parts(facts),
        "features": features,
        "hidden_features": hidden_features,
        "timeline": model.timeline(facts),
        "description": model.description(facts),
        "parameters": model.parameters(facts),
        "unused_columns": model.unused_columns(facts),
        "learning_curve": model.learning_curve(facts),
        "lineage": model.lineage(facts),
    }
