"""`saiki compile`: YAML that the Kubeflow UI and `kfp.components` accept."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from components._shared.errors import StorageError
from components._shared.image import ENVIRONMENT_OF


@click.command(name="compile", short_help="Write the YAML files that Kubeflow takes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    show_default=True,
    help="Folder for the YAML files.",
)
def compile_pipelines(out: Path) -> None:
    """Writes one YAML per pipeline and per component.

    \b
    Example:
      saiki compile --out build/
    """
    from kfp import compiler

    from pipelines.training.pipeline import training

    out = out.resolve()
    targets = {out / "pipelines" / "training.yaml": training}
    for name in ENVIRONMENT_OF:
        component = getattr(importlib.import_module(f"components.{name}.component"), name)
        targets[out / "components" / f"{name}.yaml"] = component
    for path, what in targets.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            compiler.Compiler().compile(what, str(path))
        except OSError as cause:
            raise StorageError(
                f"The file cannot be written: {cause.strerror}", where=str(path), fix="give another folder as --out"
            ) from cause
        click.echo(path)
