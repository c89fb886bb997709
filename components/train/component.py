"""What the Kubeflow UI shows of `train`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("train"), install_kfp_package=False)
def train(
    train: dsl.Input[dsl.Dataset],
    tune: dsl.Input[dsl.Dataset],
    learning: str,
    data_root: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
):
    """Trains a model with the trainer that the task names; early stopping and calibration see only tune.

    Args:
        train: Manifest of the rows to fit on.
        tune: Manifest of the rows to stop early and to calibrate on.
        learning: Learning section of the task, JSON.
        data_root: Keeps the state after each epoch until training ends: a killed training goes on where it was.
        model: Directory of the SavedModel, which takes raw feature columns, with model.json.
        metrics: Losses and epochs.
    """
    import json
    from pathlib import Path

    from components._shared import storage
    from components._shared.manifest import Manifest
    from components._shared.task import LearningSection
    from components.train import executor

    info = executor.train(
        train=Manifest.from_json(Path(train.path).read_text(encoding="utf-8")),
        tune=Manifest.from_json(Path(tune.path).read_text(encoding="utf-8")),
        learning=LearningSection.from_json(learning),
        model_dir=Path(model.path),
        checkpoints=storage.join(data_root, "checkpoints"),
    )
    for name, value in info.metrics.items():
        # The UI prints every digit that it is given.
        metrics.log_metric(name, float(f"{value:.6g}"))
    Path(metrics.path).write_text(json.dumps(info.metrics), encoding="utf-8")
    model.metadata["digest"] = info.digest
    model.metadata["trainer"] = info.learning.trainer.name
    model.metadata["rows"] = info.rows["train"]
