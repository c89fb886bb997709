"""The options by which a command finds a cluster, and who we are there: the same for all that talk to one."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipelines.cluster.access import Access
from pipelines.cluster.connection import Connection, connect
from pipelines.cluster.settings import ClusterSettings, settings_of_a_cluster


@dataclass(frozen=True)
class Cluster:
    """What the options say.

    Attributes:
        settings: Of the cluster; `--endpoint` and `--namespace` have replaced what stands there.
        typed: The options as they were given; no secret is among them.
    """

    settings: ClusterSettings
    access: Access
    typed: tuple[str, ...] = ()

    def command(self, *words: str) -> str:
        """A command for the same cluster, as it would be typed."""
        return shlex.join(["saiki", *words, *self.typed])

    def connect(self) -> Connection:
        """Reaches the API server; see `connection.connect`."""
        found = self.settings
        return connect(found.endpoint, namespace=found.namespace, access=self.access, ui=found.ui)


_OPTIONS = (
    click.option(
        "--cluster",
        "cluster_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="SAIKI_CLUSTER",
        show_envvar=True,
        help="The cluster's settings.yaml.",
    ),
    click.option(
        "--endpoint",
        metavar="URL",
        envvar="KF_PIPELINES_ENDPOINT",
        show_envvar=True,
        help="Where the KFP API answers; default: the one in the settings.",
    ),
    click.option("--namespace", metavar="NAME", help="Namespace of the runs; default: the one in the settings."),
    click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File with a bearer token; or SAIKI_KFP_TOKEN, or SAIKI_KFP_COOKIE for a session.",
    ),
    click.option(
        "--iap-client-id",
        metavar="ID",
        envvar="KF_PIPELINES_IAP_OAUTH2_CLIENT_ID",
        show_envvar=True,
        help="OAuth client of Google's Identity-Aware Proxy.",
    ),
    click.option("--kube-context", metavar="NAME", help="Go through the Kubernetes API of this kubeconfig context."),
    click.option("--user", metavar="NAME", help="Who you are, where a port-forward bypasses the log-in."),
    click.option(
        "--ca-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Authority that signed the certificate (PEM).",
    ),
)

_NAMES = (
    "--cluster",
    "--endpoint",
    "--namespace",
    "--token-file",
    "--iap-client-id",
    "--kube-context",
    "--user",
    "--ca-file",
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command, which gets them as one argument, `cluster: Cluster`."""

    @functools.wraps(command)
    def with_cluster(
        *args: Any,
        cluster_path: Path | None,
        endpoint: str | None,
        namespace: str | None,
        token_file: Path | None,
        iap_client_id: str | None,
        kube_context: str | None,
        user: str | None,
        ca_file: Path | None,
        **others: Any,
    ) -> Any:
        settings = settings_of_a_cluster(cluster_path)
        given = {"endpoint": endpoint, "namespace": namespace}
        access = Access(
            token=os.environ.get("SAIKI_KFP_TOKEN", ""),
            token_file=token_file,
            cookie=os.environ.get("SAIKI_KFP_COOKIE", ""),
            iap_client_id=iap_client_id or "",
            user=user or "",
            ca_file=ca_file,
            kube_context=kube_context or "",
        )
        settings = settings.model_copy(update={name: value for name, value in given.items() if value})
        return command(*args, cluster=Cluster(settings, access, _typed()), **others)

    for option in reversed(_OPTIONS):
        with_cluster = option(with_cluster)
    return with_cluster


def _typed() -> tuple[str, ...]:
    """The cluster's options on the command line; those from the environment are there the next time too."""
    context = click.get_current_context()
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and parameter.opts[0] in _NAMES:
            words += [parameter.opts[0], str(context.params[name])]
    return tuple(words)
