"""What the Kubeflow UI shows of `compare`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("compare"), install_kfp_package=False)
def compare(
    candidate: dsl.Input[dsl.Dataset],
    champion: dsl.Input[dsl.Dataset],
    examples: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    registered: str,
    gates: str,
    windows: str,
    verdict: dsl.Output[dsl.Artifact],
    evidence: dsl.Output[dsl.Artifact],
    changes: dsl.Output[dsl.Artifact],
    sketches: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
):
    """Shows how a candidate's answers differ from the champion's, before anybody sees them: how far, where, for whom.

    Args:
        candidate: Predictions of the candidate on the test part.
        champion: Predictions of the champion on the same rows, in the same order; an empty one: there is no champion.
        examples: The test part, for the features of the rows that differ most.
        model: The candidate.
        registered: The champion's version in the registry (JSON), or empty.
        gates: Limits on the difference, the decision and the slices (JSON), from `plan`.
        windows: What `plan` decided about time (JSON), for the rows that the candidate learnt from.
        verdict: The verdict on the difference (JSON).
        evidence: All figures (JSON).
        changes: What changed from the champion to the candidate as models (JSON); `{}` without a champion.
        sketches: The distribution of the candidate's scores, for later traffic to be compared with (JSON).
        metrics: The figures over all rows.
        summary: The verdict and the figures as Markdown.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.model_files import read_model_info
    from components._shared.records import ModelRef
    from components._shared.task import EvaluationSection
    from components._shared.windows import Windows
    from components.compare import executor, models, outputs

    info = read_model_info(Path(model.path))
    section = EvaluationSection.from_json(gates, where="gates")
    found = executor.compare(
        candidate=Manifest.from_json(Path(candidate.path).read_text(encoding="utf-8"), where="candidate"),
        champion=Manifest.from_json(Path(champion.path).read_text(encoding="utf-8"), where="champion"),
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8"), where="examples"),
        model=info,
        section=section,
    )
    version = ModelRef.from_json(registered, where="registered") if registered else None
    changed = models.changes(info, version, Windows.from_json(windows, where="windows"))
    Path(verdict.path).write_text(found.verdict.to_json(), encoding="utf-8")
    Path(evidence.path).write_text(found.comparison.to_json(), encoding="utf-8")
    Path(changes.path).write_text(changed.to_json() if changed else "{}", encoding="utf-8")
    Path(sketches.path).write_text(found.sketches.to_json(), encoding="utf-8")
    Path(summary.path).write_text(outputs.markdown(found.comparison, found.verdict), encoding="utf-8")
    scalars = outputs.scalars_of(found.comparison)
    outputs.write_scalars(Path(metrics.path), scalars)
    for name, value in scalars.items():
        metrics.log_metric(name, value)
    verdict.metadata["outcome"] = found.verdict.outcome
    evidence.metadata["little"] = found.comparison.little
