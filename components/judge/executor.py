"""Makes one verdict of several, and the page that a person decides by."""

from __future__ import annotations

from dataclasses import dataclass

from components._shared.behaviour import BehaviourEvidence
from components._shared.comparison import Comparison
from components._shared.errors import InputError
from components._shared.evidence import DataEvidence, Evaluation
from components._shared.explanation import Explanation
from components._shared.facts import DatasetFacts, Facts
from components._shared.gates import Metric
from components._shared.ledger import Settlements
from components._shared.manifest import Manifest
from components._shared.model_changes import ModelChanges
from components._shared.model_info import ModelInfo
from components._shared.records import ModelRef
from components._shared.task import EvaluationSection, LearningSection
from components._shared.verdict import Verdict
from components._shared.windows import Windows
from components.judge.decision import decide

DIGITS = 6
"""Of a figure in the UI, which prints all that it is given."""


@dataclass(frozen=True)
class Verdicts:
    """What the judging steps say of the candidate.

    Attributes:
        data: Of `validate`.
        metrics: Of `evaluate`.
        difference: Of `compare`.
        smoke: Of `smoke_test`.
        tests: Of `behave`.
        explanation: Of `explain`.
    """

    data: Verdict
    metrics: Verdict
    difference: Verdict
    smoke: Verdict
    tests: Verdict
    explanation: Verdict

    def all(self) -> tuple[Verdict, ...]:
        """In the order in which a reviewer asks."""
        return self.data, self.metrics, self.difference, self.smoke, self.tests, self.explanation


@dataclass(frozen=True)
class Judgement:
    """What `judge` finds.

    Attributes:
        verdict: On the candidate; its summary is the decision in one sentence.
        facts: Everything that the report shows.
        report_html: The report, one self-contained page.
        card: The model card, Markdown.
        markdown: The report's twin for the Kubeflow UI.
        metrics: Name → figure, for the KFP Metrics of the run.
    """

    verdict: Verdict
    facts: Facts
    report_html: str
    card: str
    markdown: str
    metrics: dict[str, float]


def judge(
    *,
    experiment: str,
    windows: Windows,
    learning: LearningSection,
    gates: EvaluationSection,
    champion: ModelRef | None,
    verdicts: Verdicts,
    data_evidence: DataEvidence,
    evaluation: Evaluation,
    model: ModelInfo,
    examples: Manifest,
    comparison: Comparison,
    changes: ModelChanges | None,
    behaviour: BehaviourEvidence,
    explanation: Explanation,
    settlements: Settlements,
) -> Judgement:
    """Merges the verdicts and writes the report.

    Args:
        experiment: Digest of the experiment.
        windows: What `plan` decided about time.
        learning: What the model was to be made from.
        gates: The limits that the candidate was held to.
        champion: What it was compared with; none on a first run.
        verdicts: Of the steps before; all are merged.
        data_evidence: Facts of `validate`.
        evaluation: Facts of `evaluate`.
        model: The candidate.
        examples: What `ingest` kept.
        comparison: Facts of `compare`.
        changes: What the candidate is, beside what the champion is.
        behaviour: Facts of `behave`.
        explanation: Facts of `explain`.
        settlements: What became of earlier promises: shown, and never held against this candidate.

    Raises:
        InputError: The evaluation is not of this problem, or not against this champion.
    """
    from components.judge.report.card import model_card
    from components.judge.report.markdown import markdown
    from components.judge.report.page import render

    _check_that_they_belong_together(gates, champion, evaluation)
    facts = Facts(
        experiment=experiment,
        verdict=decide(verdicts.all(), evaluation, gates),
        windows=windows,
        learning=learning,
        gates=gates,
        champion=champion,
        dataset=DatasetFacts.of(examples),
        data=data_evidence,
        model=model,
        evaluation=evaluation,
        comparison=comparison,
        behaviour=behaviour,
        explanation=explanation,
        changes=changes,
        promises=settlements.settlements,
    )
    # The page is made from what is written, so that it can be made again: JSON knows no order of keys.
    facts = Facts.from_json(facts.to_json())
    return Judgement(
        verdict=facts.verdict,
        facts=facts,
        report_html=render(facts),
        card=model_card(facts),
        markdown=markdown(facts),
        metrics=_scalars(facts.verdict, evaluation, gates.champion.primary),
    )


def _check_that_they_belong_together(
    gates: EvaluationSection, champion: ModelRef | None, evaluation: Evaluation
) -> None:
    if gates.problem != evaluation.problem:
        raise InputError(f"The evaluation is of {evaluation.problem}, the gates are for {gates.problem}", where="judge")
    expected = champion.digest if champion is not None else ""
    if evaluation.champion not in ("", expected):
        raise InputError(
            f"The evaluation compares with model {evaluation.champion[:12]}, the champion is {expected[:12] or 'none'}",
            where="judge",
            fix="give judge the evaluation of the predictions that this champion made",
        )


def _scalars(verdict: Verdict, evaluation: Evaluation, primary: Metric) -> dict[str, float]:
    """What a reviewer wants first, on one page of the UI's table, which sorts by name: ten at most.

    `evaluate` shows every metric.
    """
    outcomes = [check.outcome for check in verdict.checks]
    found: dict[str, float] = {
        "accepted": verdict.outcome == "passed",
        "gates_passed": outcomes.count("passed"),
        "gates_failed": outcomes.count("failed"),
        "gates_cannot_judge": outcomes.count("cannot_judge"),
        "rows": evaluation.rows,
        "clusters": evaluation.clusters,
    }
    figures = evaluation.overall.metrics.get(primary)
    if figures is not None:
        found[primary] = figures.candidate.value
    if figures is not None and figures.difference is not None:
        found[f"{primary}_difference"] = figures.difference.value
        if figures.difference.interval is not None:
            found[f"{primary}_difference_low"], found[f"{primary}_difference_high"] = figures.difference.interval
    return {name: float(f"{value:.{DIGITS}g}") for name, value in found.items()}
