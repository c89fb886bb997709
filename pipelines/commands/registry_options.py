"""The options by which commands find a registry, and the registry that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from components._shared.errors import InputError
from components._shared.registry import Registry, open_root, tasks_in
from pipelines.cluster.settings import ClusterSettings, settings_of_a_cluster

Command = TypeVar("Command", bound=Callable[..., Any])


CLUSTER = click.option(
    "--cluster",
    "settings",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SAIKI_CLUSTER",
    show_envvar=True,
    help="The cluster's settings.yaml: its roots, unless others are named; for a server, its namespace.",
)
DEFAULT_REGISTRY = ".saiki/registry"
REGISTRY = click.option(
    "--registry", default=DEFAULT_REGISTRY, show_default=True, help="Registry: folder, gs://… or s3://…"
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def registry_options(command: Command) -> Command:
    """Adds `--registry`, `--cluster` and `--task-name`."""
    task = click.option("--task-name", default="", help="Name of the task, where the registry holds several.")
    return REGISTRY(CLUSTER(task(command)))


def registry_of(registry: str, task: str, settings: Path | None) -> tuple[Registry, ClusterSettings]:
    """The registry that is named, or the cluster's; and the cluster's settings.

    Raises:
        InputError: It does not know the task, or several and none is named.
    """
    cluster = settings_of_a_cluster(settings)
    if cluster.registry and is_default("registry"):
        registry = cluster.registry
    return _open(registry, task), cluster


def is_default(option: str) -> bool:
    """Whether nobody gave the option of the running command."""
    return click.get_current_context().get_parameter_source(option) is click.core.ParameterSource.DEFAULT


def _open(root: str, task: str) -> Registry:
    open_root(root, create=False)
    known = tasks_in(root)
    if not task and len(known) == 1:
        task = known[0]
    if task not in known:
        raise InputError(
            f"This registry knows no task '{task}'" if task else "Which task?",
            where=root,
            fix=f"give --task-name: {', '.join(known)}" if known else "run the pipeline first: no task was judged here",
        )
    return Registry(root, task)
