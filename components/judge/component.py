"""What the Kubeflow UI shows of `judge`."""

from typing import NamedTuple

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("judge"), install_kfp_package=False)
def judge(
    experiment: str,
    windows: str,
    learning: str,
    gates: str,
    champion: str,
    data_verdict: dsl.Input[dsl.Artifact],
    metrics_verdict: dsl.Input[dsl.Artifact],
    difference_verdict: dsl.Input[dsl.Artifact],
    behaviour_verdict: dsl.Input[dsl.Artifact],
    tests_verdict: dsl.Input[dsl.Artifact],
    explanation_verdict: dsl.Input[dsl.Artifact],
    data_evidence: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    comparison: dsl.Input[dsl.Artifact],
    changes: dsl.Input[dsl.Artifact],
    behaviour: dsl.Input[dsl.Artifact],
    explanation: dsl.Input[dsl.Artifact],
    settlements: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    examples: dsl.Input[dsl.Dataset],
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    card: dsl.Output[dsl.Markdown],
    facts: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Judged", [("outcome", str)]):
    """Merges the verdicts into one on the candidate, and writes the report that a person decides by.

    Args:
        experiment: Digest of the experiment.
        windows: What plan decided about time, JSON.
        learning: What the model was to be made from, JSON.
        gates: The limits that the candidate was held to, JSON.
        champion: Reference of the champion, JSON; empty on a first run.
        data_verdict: Verdict of validate.
        metrics_verdict: Verdict of evaluate.
        difference_verdict: Verdict of compare.
        behaviour_verdict: Verdict of smoke_test.
        tests_verdict: Verdict of behave.
        explanation_verdict: Verdict of explain.
        data_evidence: Facts of validate.
        evaluation: Facts of evaluate.
        comparison: Facts of compare.
        changes: What the candidate is, beside what the champion is; {} without a champion.
        behaviour: Facts of behave.
        explanation: Facts of explain.
        settlements: What became of earlier promises, from settle: shown, and never held against this candidate.
        model: The candidate.
        examples: What ingest kept.
        verdict: The verdict on the candidate.
        report: The run's front page, one self-contained HTML document.
        card: The model card.
        facts: What the report shows, as JSON.
        summary: The report in short.
        metrics: Whether it is accepted (1 or 0), how many gates ended how, and the difference to the champion.

    Returns:
        outcome: passed, failed or cannot_judge.
    """
    import json
    from pathlib import Path

    from components._shared.behaviour import BehaviourEvidence
    from components._shared.comparison import Comparison
    from components._shared.evidence import DataEvidence, Evaluation
    from components._shared.explanation import Explanation
    from components._shared.ledger import Settlements
    from components._shared.manifest import Manifest
    from components._shared.model_changes import ModelChanges
    from components._shared.model_info import ModelInfo
    from components._shared.records import ModelRef
    from components._shared.task import EvaluationSection, LearningSection
    from components._shared.verdict import Verdict
    from components._shared.windows import Windows
    from components.judge import executor
    from components.judge.executor import Verdicts

    def text(artifact: dsl.Artifact) -> str:
        return Path(artifact.path).read_text(encoding="utf-8")

    def verdict_of(artifact: dsl.Artifact, name: str) -> Verdict:
        return Verdict.from_json(text(artifact), where=f"judge: {name}_verdict")

    changed = text(changes).strip()

    judged = executor.judge(
        experiment=experiment,
        windows=Windows.from_json(windows, where="judge: windows"),
        learning=LearningSection.from_json(learning, where="judge: learning"),
        gates=EvaluationSection.from_json(gates, where="judge: gates"),
        champion=ModelRef.from_json(champion, where="judge: champion") if champion else None,
        verdicts=Verdicts(
            data=verdict_of(data_verdict, "data"),
            metrics=verdict_of(metrics_verdict, "metrics"),
            difference=verdict_of(difference_verdict, "difference"),
            smoke=verdict_of(behaviour_verdict, "behaviour"),
            tests=verdict_of(tests_verdict, "tests"),
            explanation=verdict_of(explanation_verdict, "explanation"),
        ),
        data_evidence=DataEvidence.from_json(text(data_evidence), where="judge: data_evidence"),
        evaluation=Evaluation.from_json(text(evaluation), where="judge: evaluation"),
        model=ModelInfo.from_json(
            Path(model.path, "model.json").read_text(encoding="utf-8"), where="judge: model.json"
        ),
        examples=Manifest.from_json(text(examples), where="judge: examples"),
        comparison=Comparison.from_json(text(comparison), where="judge: comparison"),
        changes=ModelChanges.from_json(changed, where="judge: changes") if changed != "{}" else None,
        behaviour=BehaviourEvidence.from_json(text(behaviour), where="judge: behaviour"),
        explanation=Explanation.from_json(text(explanation), where="judge: explanation"),
        settlements=Settlements.from_json(text(settlements), where="judge: settlements"),
    )
    Path(verdict.path).write_text(judged.verdict.to_json(), encoding="utf-8")
    Path(report.path).write_text(judged.report_html, encoding="utf-8")
    Path(card.path).write_text(judged.card, encoding="utf-8")
    Path(facts.path).write_text(judged.facts.to_json(), encoding="utf-8")
    Path(summary.path).write_text(judged.markdown, encoding="utf-8")
    Path(metrics.path).write_text(json.dumps(judged.metrics), encoding="utf-8")
    for name, value in judged.metrics.items():
        metrics.log_metric(name, value)
    verdict.metadata["outcome"] = judged.verdict.outcome
    verdict.metadata["summary"] = judged.verdict.summary
    return (judged.verdict.outcome,)
