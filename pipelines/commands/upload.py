"""`saiki upload`: a pipeline on a cluster's KFP, under a name that is made of its content."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from pipelines.cluster.compiled import CompiledPipeline, compile_training
from pipelines.cluster.connection import Connection, KfpError, equals
from pipelines.cluster.options import Cluster, cluster_options
from pipelines.commands.compile import read_images

_DESCRIPTION = "Keeps a model fresh: trains, judges with written evidence, promotes. From Saiki."
_DIGITS = 12


@dataclass(frozen=True)
class Uploaded:
    """A version of a pipeline on a server.

    Attributes:
        version: Its name: the first digits of the content's digest.
        new: It was not there before.
    """

    pipeline: str
    pipeline_id: str
    version: str
    version_id: str
    digest: str
    new: bool
    link: str


@click.command(short_help="Put a pipeline on a cluster.")
@click.argument("pipeline", type=click.Choice(("training",)), default="training")
@click.option("--profile", default="cpu", show_default=True, help="How the steps run: laptop, cpu or gpu.")
@click.option("--image", "images", multiple=True, metavar="STEP=IMAGE", help="An image of your own for a step.")
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def upload(pipeline: str, profile: str, images: tuple[str, ...], cluster: Cluster, as_json: bool) -> None:
    """Compiles PIPELINE for a cluster and uploads it to its Kubeflow Pipelines.

    A version's name is the digest of its content: what is there already is not uploaded again.

    \b
    Examples:
      saiki upload training --cluster manifests/overlays/kind/settings.yaml
      saiki upload training --cluster manifests/overlays/gke/settings.yaml --profile gpu --token-file token.txt
    """
    compiled = compile_training(cluster.settings, profile, read_images(images))
    uploaded = ensure_uploaded(cluster.connect(), compiled)
    if as_json:
        click.echo(json.dumps(asdict(uploaded), indent=2))
        return
    click.echo(f"pipeline  {uploaded.pipeline}  {uploaded.pipeline_id}")
    click.echo(f"version   {uploaded.version}  {uploaded.version_id}" + ("" if uploaded.new else "  (there already)"))
    click.echo(f"link      {uploaded.link}")


def ensure_uploaded(connection: Connection, compiled: CompiledPipeline) -> Uploaded:
    """The version with this content, uploaded if it is not there.

    Two that upload the same at once end with the same version: its name is unique in the server.

    Raises:
        KfpError: The server does not take it.
    """
    pipeline_id = connection.pipeline_id(compiled.name, _DESCRIPTION)
    version = compiled.digest[:_DIGITS]
    found, new = _find(connection, pipeline_id, version), False
    if not found:
        try:
            found, new = _upload(connection, pipeline_id, version, compiled), True
        except KfpError as error:
            # Somebody else was first, or the answer was lost on the way.
            found = _find(connection, pipeline_id, version) if error.status == 409 or error.unsure else ""
            if not found:
                raise
    return Uploaded(
        pipeline=compiled.name,
        pipeline_id=pipeline_id,
        version=version,
        version_id=found,
        digest=compiled.digest,
        new=new,
        link=connection.link("pipelines", pipeline_id, "version", found),
    )


def _find(connection: Connection, pipeline_id: str, version: str) -> str:
    listed = connection.client.pipelines.pipeline_service_list_pipeline_versions
    for found in connection.pages(listed, "pipeline_versions", pipeline_id=pipeline_id, filter=equals("name", version)):
        return str(found.pipeline_version_id)
    return ""


def _upload(connection: Connection, pipeline_id: str, version: str, compiled: CompiledPipeline) -> str:
    with tempfile.TemporaryDirectory(prefix="saiki-upload-") as folder:
        path = Path(folder, f"{compiled.name}.yaml")
        path.write_text(compiled.text, encoding="utf-8")
        made = connection.client.pipeline_uploads.upload_pipeline_version(
            str(path),
            name=version,
            display_name=version,
            pipelineid=pipeline_id,
            description=f"Content {compiled.digest}; {len(compiled.images)} images",
        )
    return str(made.pipeline_version_id)
