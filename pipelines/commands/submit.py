"""`saiki submit`: a run of a pipeline on a cluster."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import click

from components._shared.errors import InputError
from pipelines.cluster.compiled import CompiledPipeline, compile_training
from pipelines.cluster.connection import Connection, KfpError, equals
from pipelines.cluster.options import Cluster, cluster_options
from pipelines.cluster.settings import ClusterSettings
from pipelines.cluster.task_upload import ClusterTask, cluster_task
from pipelines.commands.compile import read_images
from pipelines.commands.upload import Uploaded, ensure_uploaded
from pipelines.commands.watch import as_result, follow_aloud
from pipelines.run_parameters import cluster_parameters, read_run_parameters, run_parameter_options

_LOOKS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the looks for a run of which we do not know whether it was started."""


@dataclass(frozen=True)
class Order:
    """A run that may be started: everything about it is checked."""

    pipeline: CompiledPipeline
    task: ClusterTask
    parameters: Mapping[str, Any]
    experiment: str
    name: str


@click.command(short_help="Run a pipeline on a cluster.")
@click.argument("pipeline", type=click.Choice(("training",)), default="training")
@run_parameter_options
@click.option("--profile", default="cpu", show_default=True, help="How the steps run: laptop, cpu or gpu.")
@click.option("--image", "images", multiple=True, metavar="STEP=IMAGE", help="An image of your own for a step.")
@click.option("--experiment", metavar="NAME", help="Under which Kubeflow lists the run; default: the task's name.")
@click.option("--wait", is_flag=True, help="Follow the run until it ends.")
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def submit(
    pipeline: str,
    params: Path | None,
    settings: tuple[str, ...],
    profile: str,
    images: tuple[str, ...],
    experiment: str | None,
    wait: bool,
    cluster: Cluster,
    as_json: bool,
) -> None:
    """Starts a run of PIPELINE on a cluster; its version is uploaded if it is not there.

    A task file of this machine is copied to the data root; its sources must be in object storage.

    \b
    Examples:
      export SAIKI_CLUSTER=manifests/overlays/kind/settings.yaml
      saiki submit training --set task=s3://saiki/flights/task.yaml
      saiki submit training --set task=flights/task.yaml --set as_of=2013-10-01 --wait

    Exit codes: 0 started (with --wait: done), 1 a verdict said no, 2 wrong input, no connection, or a step failed,
    130 Ctrl-C: the run goes on.
    """
    compiled = compile_training(cluster.settings, profile, read_images(images))
    order = prepare(compiled, params, settings, cluster.settings, experiment)
    connection = cluster.connect()
    uploaded = ensure_uploaded(connection, order.pipeline)
    order.task.upload()
    run_id = start(connection, order, uploaded, cluster.settings)
    again, link = cluster.command("watch", run_id), connection.link("runs", run_id)
    if not as_json:
        click.echo(f"{click.style(order.name, bold=True)}")
        click.echo(f"version   {uploaded.version}" + ("" if uploaded.new else "  (was there already)"))
        click.echo(f"link      {link}")
        click.echo("" if wait else f"watch     {again}")
    result: dict[str, Any] = {"run_id": run_id, "link": link, "name": order.name, "experiment": order.experiment}
    result |= {"parameters": dict(order.parameters), "pipeline": asdict(uploaded)}
    code = 0
    if wait:
        ending = follow_aloud(connection, run_id, quiet=as_json, again=again)
        result |= as_result(ending, connection)
        code = ending.code
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    sys.exit(code)


def prepare(
    pipeline: CompiledPipeline,
    params: Path | None,
    given: tuple[str, ...],
    settings: ClusterSettings,
    experiment: str | None = None,
) -> Order:
    """Checks all that can be checked before anything is sent.

    Raises:
        InputError: A parameter, the task file or the settings are wrong.
    """
    known = {name: parameter.type for name, parameter in pipeline.parameters.items()}
    parameters = read_run_parameters(known, params, given)
    if not parameters.get("task"):
        raise InputError(
            "No task is given",
            where="--set or --params",
            fix="add --set task=gs://…/task.yaml, or a path of this machine",
        )
    data_root = str(parameters.get("data_root") or settings.data_root)
    if not data_root:
        raise InputError(
            "No data root is given",
            where="--cluster or --set",
            fix="give the cluster's settings.yaml as --cluster, with data_root in it, or add --set data_root=gs://…",
        )
    task = cluster_task(parameters["task"], data_root)
    parameters = cluster_parameters(pipeline, parameters | {"task": task.uri}, settings)
    named = task.name or PurePosixPath(task.uri).parent.name or "saiki"
    return Order(
        pipeline=pipeline,
        task=task,
        parameters=parameters,
        experiment=experiment or named,
        name=f"{pipeline.name} {named} as of {parameters.get('as_of') or 'now'}",
    )


def start(
    connection: Connection,
    order: Order,
    uploaded: Uploaded,
    settings: ClusterSettings,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """Starts the run, once.

    When the answer is lost, the run is looked for by a mark in its description; it is sent once more only if a server
    that answers does not have it.

    Returns:
        The run's identifier.
    """
    import kfp_server_api as api

    experiment_id, mark = connection.experiment_id(order.experiment), f"submission {secrets.token_hex(8)}"
    run = api.V2beta1Run(
        display_name=order.name,
        description=f"saiki submit, {mark}",
        experiment_id=experiment_id,
        service_account=settings.service_account or None,
        pipeline_version_reference=api.V2beta1PipelineVersionReference(
            pipeline_id=uploaded.pipeline_id, pipeline_version_id=uploaded.version_id
        ),
        runtime_config=api.V2beta1RuntimeConfig(
            parameters=dict(order.parameters), pipeline_root=settings.pipeline_root or None
        ),
    )
    for attempt in range(2):
        try:
            return str(connection.client.runs.run_service_create_run(run=run).run_id)
        except KfpError as error:
            found = _started(connection, experiment_id, order.name, mark, pause) if error.unsure else ""
            if found:
                return found
            if not (error.unsure and error.passing and attempt == 0):
                raise
    raise AssertionError("unreachable")


def _started(connection: Connection, experiment_id: str, name: str, mark: str, pause: Callable[[float], None]) -> str:
    listed = connection.client.runs.run_service_list_runs
    for seconds in _LOOKS:
        pause(seconds)
        for run in connection.pages(
            listed, "runs", experiment_id=experiment_id, filter=equals("display_name", name), sort_by="created_at desc"
        ):
            if mark in (run.description or ""):
                return str(run.run_id)
    return ""
