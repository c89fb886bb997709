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
    behaviour_verdict: dsl.Input[dsl.Artifact],
    data_evidence: dsl.Input[dsl.Artifact],
    evaluation: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    examples: dsl.Input[dsl.Dataset],
    verdict: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
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
        behaviour_verdict: Verdict of smoke_test.
        data_evidence: Facts of validate.
        evaluation: Facts of evaluate.
        model: The candidate.
        examples: What ingest kept.
        verdict: The verdict on the candidate.
        report: The run's front page, one self-contained HTML document.
        facts: What the report shows, as JSON.
        summary: The report in short.
        metrics: Whether it is accepted (1 or 0), how many gates ended how, and the difference to the champion.

    Returns:
        outcome: passed, failed or cannot_judge.
    """
    import json
    from pathlib import Path

    from components._shared.evidence import DataEvidence, Evaluation
    from components._shared.manifest import Manifest
    from components._shared.model_info import ModelInfo
    from components._shared.records import ModelRef
    from components._shared.task import EvaluationSection, LearningSection
    from components._shared.verdict import Verdict
    from components._shared.windows import Windows
    from components.judge import executor

    def text(artifact: dsl.Artifact) -> str:
        return Path(artifact.path).read_text(encoding="utf-8")

    judged = executor.judge(
        experiment=experiment,
        windows=Windows.from_json(windows, where="judge: windows"),
        learning=LearningSection.from_json(learning, where="judge: learning"),
        gates=EvaluationSection.from_json(gates, where="judge: gates"),
        champion=ModelRef.from_json(champion, where="judge: champion") if champion else None,
        data=Verdict.from_json(text(data_verdict), where="judge: data_verdict"),
        metrics=Verdict.from_json(text(metrics_verdict), where="judge: metrics_verdict"),
        behaviour=Verdict.from_json(text(behaviour_verdict), where="judge: behaviour_verdict"),
        data_evidence=DataEvidence.from_json(text(data_evidence), where="judge: data_evidence"),
        evaluation=Evaluation.from_json(text(evaluation), where="judge: evaluation"),
        model=ModelInfo.from_json(
            Path(model.path, "model.json").read_text(encoding="utf-8"), where="judge: model.json"
        ),
        examples=Manifest.from_json(text(examples), where="judge: examples"),
    )
    Path(verdict.path).write_text(judged.verdict.to_json(), encoding="utf-8")
    Path(report.path).write_text(judged.report_html, encoding="utf-8")
    Path(facts.path).write_text(judged.facts.to_json(), encoding="utf-8")
    Path(summary.path).write_text(judged.markdown, encoding="utf-8")
    Path(metrics.path).write_text(json.dumps(judged.metrics), encoding="utf-8")
    for name, value in judged.metrics.items():
        metrics.log_metric(name, value)
    verdict.metadata["outcome"] = judged.verdict.outcome
    verdict.metadata["summary"] = judged.verdict.summary
    return (judged.verdict.outcome,)
