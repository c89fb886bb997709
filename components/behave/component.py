"""What the Kubeflow UI shows of `behave`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("behave"), install_kfp_package=False)
def behave(
    model: dsl.Input[dsl.Model],
    predictions: dsl.Input[dsl.Dataset],
    examples: dsl.Input[dsl.Dataset],
    behaviour: str,
    registered: str,
    verdict: dsl.Output[dsl.Artifact],
    evidence: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
):
    """Changes rows near the decision boundary as the task's tests say, and holds the answers against what is expected.

    Args:
        model: The candidate.
        predictions: Manifest of what it predicted; says which rows are near the decision boundary.
        examples: Manifest of the rows that it predicted.
        behaviour: The tests, and what is decided by a score, JSON.
        registered: The champion, which is asked the same for comparison, JSON; empty: there is none.
        verdict: The verdict on the tests, JSON.
        evidence: What every test found, and the worst cases, JSON.
        summary: The verdict and the worst cases as Markdown.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.records import ModelRef
    from components._shared.task import BehaviourSection
    from components.behave import executor, markdown

    behaved = executor.behave(
        model=Path(model.path),
        predictions=Manifest.from_json(Path(predictions.path).read_text(encoding="utf-8")),
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8")),
        section=BehaviourSection.from_json(behaviour, where="behaviour"),
        registered=ModelRef.from_json(registered) if registered else None,
    )
    Path(verdict.path).write_text(behaved.verdict.to_json(), encoding="utf-8")
    Path(evidence.path).write_text(behaved.evidence.to_json(), encoding="utf-8")
    Path(summary.path).write_text(markdown.summary(behaved.verdict, behaved.evidence), encoding="utf-8")
    verdict.metadata["outcome"] = behaved.verdict.outcome
