"""What the Kubeflow UI shows of `smoke_test`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("smoke_test"), install_kfp_package=False)
def smoke_test(
    model: dsl.Input[dsl.Model],
    predictions: dsl.Input[dsl.Dataset],
    examples: dsl.Input[dsl.Dataset],
    gates: str,
    verdict: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
    samples: dsl.Output[dsl.Artifact],
):
    """Loads the model in a fresh process, as a server would, and asks it raw rows that it has scored before.

    A model with documents (PMML, PFA) is held against them: all rows are scored with each document, too.

    Args:
        model: The model.
        predictions: Manifest of what it predicted.
        examples: Manifest of the rows that it predicted.
        gates: How exactly the model, and its documents, must answer again, JSON.
        verdict: The verdict on the behaviour, JSON.
        summary: The verdict as Markdown.
        samples: Rows and the scores that the model must give to them wherever it is served, JSON.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.task import SmokeTestSection
    from components.smoke_test import executor

    tested = executor.smoke_test(
        model=Path(model.path),
        predictions=Manifest.from_json(Path(predictions.path).read_text(encoding="utf-8")),
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8")),
        gates=SmokeTestSection.from_json(gates, where="gates"),
    )
    found = tested.verdict
    Path(samples.path).write_text(tested.samples.to_json(), encoding="utf-8")
    Path(verdict.path).write_text(found.to_json(), encoding="utf-8")
    Path(summary.path).write_text(found.to_markdown(), encoding="utf-8")
    verdict.metadata["outcome"] = found.outcome
