"""What a node does, for pods of model servers: runs what a pod says as processes here, and reports its status.

It works through the Kubernetes API alone, so it serves the twin (`kubernetes_server.py`) and a real API server whose
cluster has no nodes. An init container's command is really run; the server of a pod is `model_server.py`, which loads
the SavedModel with TensorFlow. Each pod has an address of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

ROOT = Path(__file__).resolve().parents[1]
TENSORFLOW = ROOT / ".venvs" / "tensorflow" / "bin" / "python"
PORT = 8501
_GROUP = {"start_new_session": True}


class ModelServers:
    """Starts model servers, each a process of its own, forked from one that has imported TensorFlow."""

    def __init__(self) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        self._parent = subprocess.Popen(
            [str(TENSORFLOW), str(ROOT / "tests" / "model_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._ready = False

    def start(self, config: Path, host: str) -> int:
        """The process number of a new server."""
        assert self._parent.stdin and self._parent.stdout
        with self._lock:
            if not self._ready:
                assert self._parent.stdout.readline() == "ready\n"
                self._ready = True
            self._parent.stdin.write(json.dumps({"config": str(config), "host": host, "port": PORT}) + "\n")
            self._parent.stdin.flush()
            return int(self._parent.stdout.readline())

    def close(self) -> None:
        """Ends the first of them; the others are ended by those who started them."""
        self._parent.kill()
        self._parent.wait()


class PodRunner:
    """Runs the pods of a namespace, while the context lasts.

    Args:
        network: The first three numbers of the pods' addresses.
        node: The node that they are bound to, which a real cluster wants; empty: to none.

    Attributes:
        slow: Seconds by which an init container takes longer.
        too_large: Versions for which a server's memory does not suffice.
        restart_pause: Seconds before a container that ended is started again.
    """

    def __init__(self, api: Any, namespace: str, servers: ModelServers, network: str, node: str = "") -> None:
        self._core = client.CoreV1Api(api)
        self._namespace = namespace
        self.servers = servers
        self._network = network
        self._node = node
        self._pods: dict[str, _Pod] = {}
        self._count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.slow = 0.0
        self.too_large: set[str] = set()
        self.restart_pause = 0.1

    def __enter__(self) -> PodRunner:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        for pod in self._pods.values():
            pod.stop()

    def restart_servers(self) -> None:
        """Ends the server of every pod, as an out-of-memory kill does: the container is started again."""
        for pod in list(self._pods.values()):
            pod.end_server()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            with suppress(ApiException, HTTPError, OSError):
                self._look()

    def _look(self) -> None:
        found = {pod.metadata.uid: pod for pod in self._core.list_namespaced_pod(self._namespace).items}
        for uid, pod in found.items():
            if uid not in self._pods:
                self._count += 1
                address = f"{self._network}.{self._count % 250 + 2}"
                if self._node:
                    body = {"metadata": {"name": pod.metadata.name}, "target": {"kind": "Node", "name": self._node}}
                    self._core.create_namespaced_pod_binding(
                        pod.metadata.name, self._namespace, body, _preload_content=False
                    )
                self._pods[uid] = _Pod(self._core, pod, address, self)
            elif pod.metadata.deletion_timestamp is not None:
                self._pods.pop(uid).stop()
                with suppress(ApiException):
                    self._core.delete_namespaced_pod(pod.metadata.name, self._namespace, grace_period_seconds=0)
        for uid in set(self._pods) - set(found):
            self._pods.pop(uid).stop()


class _Pod:
    """One pod: pulled, initialised, started, probed."""

    def __init__(self, core: Any, pod: Any, address: str, runner: PodRunner) -> None:
        self._core, self._spec, self._metadata, self._runner = core, pod.spec, pod.metadata, runner
        self._address = address
        self._folder = Path(tempfile.mkdtemp(prefix="saiki-pod-"))
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._server = 0
        self._ends: dict[str, int] = {}
        self._last: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends everything."""
        self._stopped.set()
        while self._thread.is_alive():
            if self._process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self.end_server()
            self._thread.join(0.1)
        shutil.rmtree(self._folder, ignore_errors=True)

    def end_server(self) -> None:
        """Kills the server's process."""
        number, self._server = self._server, 0
        if number:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    def _live(self) -> None:
        with suppress(ApiException, HTTPError, OSError):
            containers = [*self._spec.init_containers, *self._spec.containers]
            missing = next((each for each in containers if "missing" in each.image), None)
            if missing is not None:
                said = f'failed to pull and unpack image "{missing.image}": not found'
                self._report(missing, {"waiting": {"reason": "ErrImagePull", "message": said}})
                self._stopped.wait(0.3)
                said = f'Back-off pulling image "{missing.image}"'
                self._report(missing, {"waiting": {"reason": "ImagePullBackOff", "message": said}})
                return
            while not self._stopped.is_set() and not self._initialise(self._spec.init_containers[0]):
                self._stopped.wait(self._runner.restart_pause)
            while not self._stopped.is_set():
                self._serve(self._spec.containers[0])
                self._stopped.wait(self._runner.restart_pause)

    def _initialise(self, container: Any) -> bool:
        self._report(container, {"running": {}})
        self._stopped.wait(self._runner.slow)
        if self._stopped.is_set():
            return False
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self._environment(container)}
        # /models of the pod is a folder here.
        command = [sys.executable, *container.command[1:], *(container.args or ()), "--to", str(self._folder)]
        self._process = subprocess.Popen(
            command, cwd=self._folder, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            **_GROUP,
        )  # fmt: skip
        _, said = self._process.communicate()
        if self._process.returncode == 0:
            return True
        self._ended(container, self._process.returncode, said)
        return False

    def _serve(self, container: Any) -> None:
        self._server = self._runner.servers.start(self._folder / "models.config", self._address)
        self._report(container, {"running": {}})
        if (self._metadata.annotations or {}).get("saiki/version") in self._runner.too_large:
            self.end_server()
        path = container.readiness_probe.http_get.path
        while not self._stopped.is_set() and _is_alive(self._server):
            if _answers(f"http://{self._address}:{PORT}{path}"):
                self._report(container, {"running": {}}, ready=True)
                break
            self._stopped.wait(0.05)
        while not self._stopped.wait(0.05) and _is_alive(self._server):
            pass
        if not self._stopped.is_set():
            self._ended(container, 137, "")

    def _ended(self, container: Any, code: int, said: str) -> None:
        self._ends[container.name] = self._ends.get(container.name, 0) + 1
        falls_back = container.termination_message_policy == "FallbackToLogsOnError"
        reason = "OOMKilled" if code == 137 else "Error"
        ended = {"exitCode": code, "reason": reason, "message": said[-2048:] if falls_back else ""}
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
        self._last[container.name] = {"terminated": ended}
        self._report(container, waiting)

    def _environment(self, container: Any) -> dict[str, str]:
        values = {}
        for variable in container.env or ():
            source = variable.value_from
            if source is None:
                values[variable.name] = variable.value or ""
            elif source.field_ref is not None:
                label = source.field_ref.field_path.split("'")[1]
                values[variable.name] = self._metadata.labels[label]
            elif source.config_map_key_ref is not None:
                wanted = source.config_map_key_ref
                found = self._core.read_namespaced_config_map(wanted.name, self._metadata.namespace).data
                if wanted.key in found:
                    values[variable.name] = found[wanted.key]
        return values

    def _report(self, container: Any, state: dict[str, Any], *, ready: bool = False) -> None:
        ends = self._ends.get(container.name, 0)
        initial = container.name == self._spec.init_containers[0].name
        status = {
            "name": container.name, "image": container.image, "imageID": "", "ready": ready, "state": state,
            "lastState": self._last.get(container.name, {}), "restartCount": max(0, ends - ("waiting" in state)),
        }  # fmt: skip
        truth = {True: "True", False: "False"}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": truth[done], "reason": reason, "message": "", "lastTransitionTime": now}
            for kind, done, reason in (
                ("Initialized", not initial, "ContainersNotInitialized"),
                ("ContainersReady", ready, "ContainersNotReady"),
                ("Ready", ready, "ContainersNotReady"),
            )
        ]  # fmt: skip
        body = {
            "status": {
                "phase": "Pending" if initial else "Running", "podIP": self._address,
                "podIPs": [{"ip": self._address}], "conditions": conditions,
                "initContainerStatuses": [status] if initial else [],
                "containerStatuses": [] if initial else [status],
            }
        }  # fmt: skip
        path = f"/api/v1/namespaces/{self._metadata.namespace}/pods/{self._metadata.name}/status"
        for last_try in (False, False, False, True):
            try:
                self._core.api_client.call_api(
                    path, "PATCH", body=body, auth_settings=["BearerToken"], _preload_content=False,
                    _request_timeout=10,
                    header_params={"Content-Type": "application/merge-patch+json", "Accept": "application/json"},
                )  # fmt: skip
                return
            except (ApiException, HTTPError, OSError) as cause:
                # A busy API server does not answer every time.
                if last_try or getattr(cause, "status", 500) == 404:
                    raise
                time.sleep(0.5)


def _is_alive(number: int) -> bool:
    if not number:
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for(condition: Any, seconds: float = 20) -> None:
    """Returns once it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
