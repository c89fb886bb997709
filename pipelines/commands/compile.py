"""`saiki compile`: YAML that the Kubeflow UI, `kfp` and CI take."""

from __future__ import annotations

import json
from pathlib import Path

import click

from components._shared.errors import InputError, StorageError
from components._shared.image import ENVIRONMENT_OF
from components._shared.storage_file import write_file
from pipelines.cluster.settings import ClusterSettings, read_cluster_settings

PIPELINES = "pipelines"
COMPONENTS = "components"


def read_images(given: tuple[str, ...]) -> dict[str, str]:
    """`STEP=REF`, several times, as step → image.

    Raises:
        InputError: One is not of that form.
    """
    found: dict[str, str] = {}
    for text in given:
        step, equals, image = text.partition("=")
        if not equals or not image.strip():
            raise InputError(
                f"'{text}' is not STEP=IMAGE", where="--image", fix="write, for example, --image train=REGISTRY/mine:1"
            )
        found[step.strip().replace("-", "_")] = image.strip()
    return found


@click.command(name="compile", short_help="Write the YAML files that Kubeflow takes.")
@click.option("--profile", default="cpu", show_default=True, help="How the steps run: laptop, cpu or gpu.")
@click.option(
    "--cluster",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SAIKI_CLUSTER",
    show_envvar=True,
    help="The cluster's settings.yaml: roots, image registry, store.",
)
@click.option("--image", "images", multiple=True, metavar="STEP=IMAGE", help="An image of your own for a step.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build"),
    show_default=True,
    help="Folder for the YAML files.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def compile_pipelines(profile: str, cluster: Path | None, images: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Writes one YAML per pipeline and per component, the same bytes wherever it is done.

    Without a cluster's settings the run has to say where the roots are, and images are looked for without a registry.

    \b
    Examples:
      saiki compile --cluster manifests/overlays/kind/settings.yaml --profile laptop
      saiki compile --cluster manifests/overlays/gke/settings.yaml --profile gpu --out build/
      saiki compile --image train=europe-docker.pkg.dev/PROJECT/team/trainer@sha256:…
    """
    from pipelines.cluster.compiled import compile_component, compile_training

    settings = read_cluster_settings(cluster) if cluster else ClusterSettings()
    own = read_images(images)
    training = compile_training(settings, profile, own)
    texts = {f"{PIPELINES}/{training.name}.yaml": training.text}
    texts |= {f"{COMPONENTS}/{name}.yaml": compile_component(name, settings, own) for name in ENVIRONMENT_OF}
    for name, text in texts.items():
        _write(out.resolve() / name, text)
    if as_json:
        result = {
            "pipeline": str(out / PIPELINES / f"{training.name}.yaml"),
            "components": [str(out / COMPONENTS / f"{name}.yaml") for name in ENVIRONMENT_OF],
            "profile": profile,
            "digest": training.digest,
            "images": list(training.images),
        }
        click.echo(json.dumps(result, indent=2))
        return
    click.echo(f"pipeline    {out / PIPELINES / training.name}.yaml  profile {profile}  {training.digest[:12]}")
    click.echo(f"components  {out / COMPONENTS}/  {len(ENVIRONMENT_OF)} files")
    click.echo("images      that the cluster must be able to pull; `saiki image build` makes ours:")
    for image in training.images:
        click.echo(f"            {image}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, text.encode())
    except OSError as cause:
        raise StorageError(
            f"The file cannot be written: {cause.strerror}", where=str(path), fix="give another folder as --out"
        ) from cause
