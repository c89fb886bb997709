"""What the Kubeflow UI shows of `evaluate`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("evaluate"), install_kfp_package=False)
def evaluate(
    candidate: dsl.Input[dsl.Dataset],
    champion: dsl.Input[dsl.Dataset],
    reference: dsl.Input[dsl.Dataset],
    gates: str,
    looks: int,
    engine: str,
    runner: str,
    verdict: dsl.Output[dsl.Artifact],
    evidence: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
    eval_result: dsl.Output[dsl.Artifact],
):
    """Judges a candidate's predictions beside the champion's: metrics with intervals, by slice too, and a verdict.

    Args:
        candidate: Predictions of the candidate on the test part.
        champion: Predictions of the champion on the same rows; an empty one: there is no champion.
        reference: Predictions of the pinned reference on the same rows; an empty one: there is none.
        gates: Limits on the model, and slices (JSON), from `plan`.
        looks: As one of how many decisions of a quarter this one counts, from `plan`: each has its share of the false
            alarms that a quarter may have.
        engine: vectorised, or tfma for figures by TensorFlow Model Analysis.
        runner: Flags of an Apache Beam runner for tfma; empty: in this process.
        verdict: The verdict on the metrics (JSON).
        evidence: All figures and curves (JSON).
        metrics: The figures over all rows.
        classification: ROC curve and confusion matrix of the candidate.
        report: The figures as a page.
        summary: The verdict as Markdown.
        eval_result: TensorFlow Model Analysis's own results, if it ran.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.task import EvaluationSection
    from components.evaluate.executor import evaluate as execute
    from components.evaluate.outputs import write

    result = execute(
        candidate=Manifest.from_json(Path(candidate.path).read_text(), where="candidate"),
        champion=Manifest.from_json(Path(champion.path).read_text(), where="champion"),
        reference=Manifest.from_json(Path(reference.path).read_text(), where="reference"),
        section=EvaluationSection.from_json(gates, where="gates"),
        looks=looks,
        engine=engine,
        beam_options=runner,
        eval_result=Path(eval_result.path),
    )
    write(
        result,
        verdict=verdict,
        evidence=evidence,
        metrics=metrics,
        classification=classification,
        report=report,
        summary=summary,
        eval_result=eval_result,
    )
