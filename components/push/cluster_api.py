"""The Kubernetes API as `push` uses it: who we are there, time limits, what is tried again, and clear errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from components._shared.errors import ServingError

Result = TypeVar("Result")

TIMEOUT = (5, 30)
"""Seconds to connect, and to wait for bytes."""
TRIES = 5
PAUSE_SECONDS = 1.0

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TRY_AGAIN = frozenset({0, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes API server.

    Attributes:
        client: A `kubernetes.client.ApiClient`.
        namespace: Of this pod, or of the kubeconfig's context.
        inside: This process runs in the cluster, so that Services can be reached by name.
    """

    client: Any
    namespace: str
    inside: bool


def connect() -> Cluster:
    """By the pod's service account, or by a kubeconfig (KUBECONFIG, or the one in the home directory).

    Raises:
        ServingError: There is neither.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        if _NAMESPACE.exists() and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=settings)
            return Cluster(_client(settings), _NAMESPACE.read_text(encoding="utf-8").strip(), inside=True)
        path = os.environ.get("KUBECONFIG")
        config.load_kube_config(config_file=path, client_configuration=settings)
        _, active = config.list_kube_config_contexts(config_file=path)
    except (config.ConfigException, OSError) as cause:
        raise ServingError(
            f"There is no cluster to deploy to: {cause}",
            where="deploy",
            fix="run this on the cluster, or set KUBECONFIG; deploy=none promotes without a server",
        ) from cause
    return Cluster(_client(settings), active["context"].get("namespace", "default"), inside=False)


def _client(settings: Any) -> Any:
    from kubernetes import client

    # Tried again by `call`, which knows what may be.
    settings.retries = False
    return client.ApiClient(settings)


def call(send: Callable[[], Result], *, where: str, doing: str) -> Result:
    """Sends a request, again where a connection broke or the server was busy.

    Args:
        doing: What it is for, such as `read the Deployment`.

    Raises:
        ServingError: It was refused, or the server cannot be reached.
        ApiException: 404, 409, 410, 422: the caller knows what they mean.
    """
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    for number in range(1, TRIES + 1):
        try:
            return send()
        except ApiException as cause:
            if cause.status in (401, 403):
                raise refused(cause, where=where, doing=doing) from cause
            if cause.status not in _TRY_AGAIN:
                raise
            problem: Exception = cause
        except (HTTPError, OSError) as cause:
            problem = cause
        if number < TRIES:
            time.sleep(PAUSE_SECONDS * number)
    raise ServingError(
        f"The Kubernetes API does not let us {doing}: {said(problem)}",
        where=where,
        fix="see that the API server can be reached from here, then run this again: nothing was promoted",
    ) from problem


def refused(cause: Any, *, where: str, doing: str) -> ServingError:
    """What to say of 401 and 403."""
    fix = "grant it (manifests/serving/base/deploy-role.yaml holds what is needed), or correct the server's name"
    if cause.status == 401:
        fix = "log in again, or renew the kubeconfig's or the service account's token"
    return ServingError(f"We may not {doing}: {said(cause)}", where=where, fix=fix)


def said(cause: Exception) -> str:
    """What the API server said, or what became of the connection, in a line."""
    import json

    body = getattr(cause, "body", None)
    try:
        return str(json.loads(body or "")["message"])
    except (ValueError, KeyError, TypeError):
        pass
    status, reason = getattr(cause, "status", None), getattr(cause, "reason", None)
    return f"{status} {reason}" if status else str(cause).splitlines()[0][:300]
