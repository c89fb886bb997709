"""What the Kubeflow UI shows of `split`."""

from kfp import dsl

from components._shared.image import image_of


@dsl.component(base_image=image_of("split"), install_kfp_package=False)
def split(
    examples: dsl.Input[dsl.Dataset],
    windows: str,
    train: dsl.Output[dsl.Dataset],
    tune: dsl.Output[dsl.Dataset],
    test: dsl.Output[dsl.Dataset],
    recent: dsl.Output[dsl.Dataset],
):
    """Divides rows by time, or by a hash of their key, without copying any.

    Args:
        examples: Manifest of all rows.
        windows: The parts (JSON), from `plan`.
        train: Rows to fit on.
        tune: Rows for early stopping and calibration.
        test: Rows to judge on; `train` never sees them.
        recent: Rows too young for their label to be known; may be empty.
    """
    from pathlib import Path

    from components._shared.manifest import Manifest
    from components._shared.windows import Windows
    from components.split.executor import split as execute

    parts = execute(
        examples=Manifest.from_json(Path(examples.path).read_text(encoding="utf-8"), where="examples"),
        windows=Windows.from_json(windows, where="windows"),
    )
    for artifact, part in ((train, parts.train), (tune, parts.tune), (test, parts.test), (recent, parts.recent)):
        Path(artifact.path).write_text(part.to_json(), encoding="utf-8")
        artifact.metadata.update({"digest": part.digest, "rows": part.count})
