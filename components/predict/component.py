"""What the Kubeflow UI shows of `predict`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("predict"), install_kfp_package=False)
def predict(
    examples: dsl.Input[dsl.Dataset],
    data_root: str,
    scoring: str,
    predictions: dsl.Output[dsl.Dataset],
    model: dsl.Input[dsl.Model] = None,
    registered: str = "",
):
    """Scores rows with a model. With neither a model nor a registered version the predictions are empty.

    Args:
        examples: Manifest of the rows.
        data_root: Where the predictions' rows are kept.
        scoring: Problem, classes and the slices whose columns are carried along, JSON.
        predictions: Manifest of the predictions.
        model: A trained model.
        registered: A version in the registry, JSON; empty: there is none.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.records import ModelRef
    from components._shared.task import ScoringSection
    from components.predict import executor

    made = executor.predict(
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8")),
        data_root=data_root,
        scoring=ScoringSection.from_json(scoring, where="scoring"),
        model=Path(model.path) if model is not None else None,
        registered=ModelRef.from_json(registered) if registered else None,
    )
    Path(predictions.path).write_text(made.to_json(), encoding="utf-8")
    predictions.metadata["digest"] = made.digest
    predictions.metadata["rows"] = made.count
    predictions.metadata["model"] = made.model or ""
