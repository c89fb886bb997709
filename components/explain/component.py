"""What the Kubeflow UI shows of `explain`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("explain"), install_kfp_package=False)
def explain(
    model: dsl.Input[dsl.Model],
    examples: dsl.Input[dsl.Dataset],
    explanation: str,
    registered: str,
    verdict: dsl.Output[dsl.Artifact],
    evidence: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
):
    """Asks what a model has learned: which features matter to it, and how its score moves with each of them.

    Args:
        model: The model.
        examples: Manifest of the test part, whose labelled rows are asked.
        explanation: Limits on what it may have learned, slices and the number of rows (JSON), from `plan`.
        registered: The champion in the registry (JSON), asked about the same rows; empty: there is none.
        verdict: The verdict on what the model has learned (JSON).
        evidence: Importances and partial dependences (JSON).
        summary: The verdict as Markdown.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.records import ModelRef
    from components._shared.task import ExplanationSection
    from components.explain import executor

    explained = executor.explain(
        model=Path(model.path),
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8"), where="examples"),
        section=ExplanationSection.from_json(explanation, where="explanation"),
        registered=ModelRef.from_json(registered, where="registered") if registered else None,
    )
    Path(evidence.path).write_text(explained.explanation.to_json(), encoding="utf-8")
    Path(verdict.path).write_text(explained.verdict.to_json(), encoding="utf-8")
    Path(summary.path).write_text(explained.verdict.to_markdown(), encoding="utf-8")
    verdict.metadata["outcome"] = explained.verdict.outcome
