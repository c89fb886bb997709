"""One Deployment whose pods carry a version: read, patched, watched until it is rolled out.

Saiki writes three things there, and nothing else: the version, as an environment variable of the init container `fetch`
and as an annotation of the pods, and, while somebody deploys, who that is and until when.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from components._shared.errors import ServingError
from components.push.cluster_api import TIMEOUT, Cluster, call, said
from components.push.server import Busy, Overtaken, Told

VERSION = "saiki/version"
DEPLOYING = "saiki/deploying"
CONTAINER = "fetch"
VARIABLE = "SAIKI_VERSION"

_TRIES = 10
_LOOK_SECONDS = 5
"""A watch of the Deployment ends after this, to look at the pods: their troubles do not change the Deployment."""
_STUCK_SECONDS = 60
_CRASHES = 2
_PROGRESS_SECONDS = 600
"""`progressDeadlineSeconds`, where a Deployment has none."""
_SLACK_SECONDS = 60
_CHECKING_SECONDS = 240
"""For what comes after the rollout, while others are still kept out: the answers, and the move of the pointer."""
_STUCK = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)


class Rollout:
    """A Deployment of model servers.

    Args:
        patience: Largest number of seconds that a rollout may take; None: a minute more than it may stand still.
        stuck_after: Seconds after which a pod's trouble that may pass by itself counts as one that does not.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        *,
        patience: float | None = None,
        stuck_after: float = _STUCK_SECONDS,
    ) -> None:
        from kubernetes import client

        self.where = f"Deployment {namespace}/{name}"
        self._apps = client.AppsV1Api(cluster.client)
        self._core = client.CoreV1Api(cluster.client)
        self._namespace, self._name = namespace, name
        self._patience, self._stuck_after = patience, stuck_after
        # A condition from before our patch says nothing about it.
        self._stale: Any = None

    def told(self) -> Told:
        """What stands in the Deployment."""
        return _told(self._read())

    def check(self) -> None:
        """Makes sure, by a patch that the API server only tries, that a version can be written there.

        Raises:
            ServingError: It cannot.
        """
        found = self._read()
        if found.spec.replicas == 0:
            raise ServingError(
                "It has no replicas, so no version can be served and checked",
                where=self.where,
                fix=f"kubectl -n {self._namespace} scale deployment {self._name} --replicas=1",
            )
        body = _patch(found, 1, "check")
        del body["metadata"]["resourceVersion"]
        self._send(body, dry_run="All")

    def write(self, version: int | None, *, holder: str, force: bool) -> None:
        """Writes the version into the pod template.

        Raises:
            Busy: Somebody else is deploying.
        """
        for _ in range(_TRIES):
            found = self._read()
            told = _told(found)
            if told.busy not in ("", holder) and not force:
                raise Busy(told.busy)
            self._stale = None if told.version == version and told.intact else _stalled_since(found)
            until = datetime.now(UTC) + timedelta(seconds=self._seconds(found) + _CHECKING_SECONDS)
            if self._sent(_patch(found, version, f"{holder} {until:%Y-%m-%dT%H:%M:%SZ}")):
                return
        raise self._contended()

    def release(self, holder: str) -> None:
        """Lets others deploy."""
        for _ in range(_TRIES):
            found = self._read()
            if _told(found).busy != holder:
                return
            version = found.metadata.resource_version
            if self._sent({"metadata": {"resourceVersion": version, "annotations": {DEPLOYING: None}}}):
                return
        raise self._contended()

    def wait(self, version: int) -> str:
        """Waits until the pods of this version, and no others, are available.

        Returns:
            Empty, or why they are not.

        Raises:
            Overtaken: Somebody wrote another version.
        """
        found = self._read()
        deadline = time.monotonic() + self._seconds(found)
        troubles = _Troubles(self._stuck_after)
        while True:
            if _told(found).version != version:
                raise Overtaken(f"it was told to serve version {_told(found).version}")
            if _rolled_out(found):
                return ""
            lasting, at_present = troubles.look(self._pods(found, version))
            if lasting:
                return lasting
            if self._stalled(found):
                return f"it made no progress for {found.spec.progress_deadline_seconds} s. {at_present}".strip()
            if time.monotonic() >= deadline:
                return f"it was not rolled out within {self._seconds(found):g} s. {at_present}".strip()
            self._watch(found.metadata.resource_version)
            found = self._read()

    def _seconds(self, found: Any) -> float:
        if self._patience is not None:
            return self._patience
        return float((found.spec.progress_deadline_seconds or _PROGRESS_SECONDS) + _SLACK_SECONDS)

    def _stalled(self, found: Any) -> bool:
        since = _stalled_since(found)
        return since is not None and since != self._stale and _observed(found)

    def _read(self) -> Any:
        from kubernetes.client import ApiException

        def send() -> Any:
            return self._apps.read_namespaced_deployment(self._name, self._namespace, _request_timeout=TIMEOUT)

        try:
            found = call(send, where=self.where, doing="read the Deployment")
        except ApiException as cause:
            raise ServingError(
                f"The server cannot be read: {said(cause)}",
                where=self.where,
                fix="set it up (manifests/serving), or correct serving=[namespace/]name",
            ) from cause
        if CONTAINER not in {container.name for container in found.spec.template.spec.init_containers or ()}:
            raise ServingError(
                f"It has no init container '{CONTAINER}' that fetches a version",
                where=self.where,
                fix="set it up as in manifests/serving/base/deployment.yaml",
            )
        return found

    def _send(self, body: dict[str, Any], **options: Any) -> None:
        from kubernetes.client import ApiException

        def send() -> Any:
            return self._apps.patch_namespaced_deployment(
                self._name, self._namespace, body, field_manager="saiki", field_validation="Strict",
                _request_timeout=TIMEOUT, **options,
            )  # fmt: skip

        try:
            call(send, where=self.where, doing="patch the Deployment")
        except ApiException as cause:
            if cause.status == 409:
                raise
            raise ServingError(f"The Deployment cannot be patched: {said(cause)}", where=self.where) from cause

    def _sent(self, body: dict[str, Any]) -> bool:
        """Whether nobody else had changed the Deployment since it was read, an autoscaler for example."""
        from kubernetes.client import ApiException

        try:
            self._send(body)
        except ApiException:
            return False
        return True

    def _contended(self) -> ServingError:
        return ServingError("Others change it again and again", where=self.where, fix="run this again")

    def _watch(self, since: str) -> None:
        """Returns when the Deployment has changed, or after a few seconds."""
        from kubernetes import watch
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        begun = time.monotonic()
        try:
            # An event says that it is time to look: what is true is read. So it does not matter if a watch expires
            # (410), breaks off, or repeats itself.
            for _ in watch.Watch().stream(
                self._apps.list_namespaced_deployment,
                self._namespace,
                field_selector=f"metadata.name={self._name}",
                resource_version=since,
                timeout_seconds=_LOOK_SECONDS,
                _request_timeout=(TIMEOUT[0], _LOOK_SECONDS + 5),
            ):
                return
        except (ApiException, HTTPError, OSError, ValueError):
            time.sleep(max(0.0, begun + 1 - time.monotonic()))

    def _pods(self, found: Any, version: int) -> list[Any] | str:
        """The pods of this version, or why they cannot be looked at."""
        labels = found.spec.selector.match_labels or {}

        def send() -> Any:
            selector = ",".join(f"{name}={value}" for name, value in labels.items())
            return self._core.list_namespaced_pod(self._namespace, label_selector=selector, _request_timeout=TIMEOUT)

        try:
            pods = call(send, where=self.where, doing="list its pods").items
        except ServingError as cause:
            return cause.what
        return [
            pod
            for pod in pods
            if (pod.metadata.annotations or {}).get(VERSION) == str(version) and not pod.metadata.deletion_timestamp
        ]


@dataclass
class _Troubles:
    """What keeps pods from being ready, and since when."""

    stuck_after: float

    def __post_init__(self) -> None:
        self._since: dict[str, float] = {}

    def look(self, pods: list[Any] | str) -> tuple[str, str]:
        """What will not pass by itself, and what the trouble is at present."""
        if isinstance(pods, str):
            return "", pods
        now = time.monotonic()
        present: dict[str, bool] = {}
        for pod in pods:
            text, lasting = _trouble(pod)
            if text:
                present[text] = lasting or (
                    _is_stuck(pod) and now - self._since.get(pod.metadata.name, now) >= self.stuck_after
                )
            if _is_stuck(pod):
                self._since.setdefault(pod.metadata.name, now)
            else:
                self._since.pop(pod.metadata.name, None)
        lasting_ones = [text for text, lasting in present.items() if lasting]
        return (lasting_ones[0] if lasting_ones else ""), next(iter(present), "")


def _statuses(pod: Any) -> list[Any]:
    return [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]


def _is_stuck(pod: Any) -> bool:
    waiting = (status.state.waiting for status in _statuses(pod) if status.state is not None)
    return any(found is not None and found.reason in _STUCK for found in waiting)


def _trouble(pod: Any) -> tuple[str, bool]:
    """What keeps a pod from being ready, and whether it has failed so often that it will go on like that."""
    for status in _statuses(pod):
        if status.ready:
            # It may have ended in the past, but it is well now.
            continue
        where = f"pod {pod.metadata.name}, container {status.name}"
        waiting = status.state.waiting if status.state else None
        ended = (status.state.terminated if status.state else None) or (
            status.last_state.terminated if status.last_state else None
        )
        if waiting is not None and waiting.reason in _STUCK:
            return f"{where}: {waiting.reason}: {_line(waiting.message)}", False
        if ended is not None and ended.exit_code != 0:
            why = f"{ended.reason or 'Error'} (exit code {ended.exit_code}, ended {status.restart_count + 1} times)"
            return f"{where}: {why}: {_line(ended.message)}".rstrip(": "), status.restart_count >= _CRASHES
    for condition in pod.status.conditions or ():
        if condition.status == "False" and condition.type in ("PodScheduled", "Initialized", "Ready"):
            text = f"{condition.reason}: {_line(condition.message)}".rstrip(": ")
            return f"pod {pod.metadata.name}: {text}", False
    return "", False


def _line(message: str | None) -> str:
    """What a container said last, in one line."""
    return re.sub(r"\s+", " ", message or "").strip()[-500:]


def _told(found: Any) -> Told:
    template = found.spec.template
    annotated = (template.metadata.annotations or {}).get(VERSION)
    fetch = next(each for each in template.spec.init_containers if each.name == CONTAINER)
    values = [variable.value for variable in fetch.env or () if variable.name == VARIABLE]
    number = values[0] if values else None
    known = number is None or bool(re.fullmatch(r"[0-9]+", number or ""))
    busy, _, until = (found.metadata.annotations or {}).get(DEPLOYING, "").rpartition(" ")
    if busy and not _in_future(until):
        busy = ""
    return Told(version=int(number) if number and known else None, intact=known and annotated == number, busy=busy)


def _in_future(moment: str) -> bool:
    with suppress(ValueError):
        return datetime.fromisoformat(moment) > datetime.now(UTC)
    return False


def _patch(found: Any, version: int | None, deploying: str) -> dict[str, Any]:
    """A strategic merge patch, which knows that containers and variables are told apart by their names."""
    text = None if version is None else str(version)
    variable = {"name": VARIABLE, "$patch": "delete"} if text is None else {"name": VARIABLE, "value": text}
    return {
        "metadata": {
            "resourceVersion": found.metadata.resource_version,
            "annotations": {DEPLOYING: deploying},
        },
        "spec": {
            "template": {
                "metadata": {"annotations": {VERSION: text}},
                "spec": {"initContainers": [{"name": CONTAINER, "env": [variable]}]},
            }
        },
    }


def _observed(found: Any) -> bool:
    return bool((found.status.observed_generation or 0) >= found.metadata.generation)


def _rolled_out(found: Any) -> bool:
    """As `kubectl rollout status` sees it: every replica is of this template, available, and no other is left."""
    status = found.status
    wanted, updated = found.spec.replicas or 0, status.updated_replicas or 0
    return (
        _observed(found)
        and wanted > 0
        and updated >= wanted
        and (status.replicas or 0) <= updated
        and (status.available_replicas or 0) >= updated
    )


def _stalled_since(found: Any) -> Any:
    for condition in found.status.conditions or ():
        if condition.type == "Progressing" and condition.reason == "ProgressDeadlineExceeded":
            return condition.last_update_time
    return None
