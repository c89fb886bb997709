"""TensorFlow Serving in a Deployment behind a Service of the same name, asked by its REST API.

How values travel there (`tensorflow_serving/util/json_tensor.cc`): a missing number is the bare word NaN, which JSON
proper does not know; integers are written out, the smallest int64 too; text is a JSON string.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import time
import urllib.error
import urllib.request
from typing import Any

from components._shared.errors import InputError
from components._shared.samples import Samples
from components._shared.verdict import Check
from components.push.cluster_api import TIMEOUT, Cluster, connect, refused
from components.push.rollout import Rollout
from components.push.server import Server, Told

PORT = 8501
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ASK_SECONDS = 120.0
_PAUSE_SECONDS = 1.0


class TensorFlowServing(Server):
    """See `Server`.

    Args:
        cluster: Where it runs.
        namespace, name: Of its Deployment and its Service.
        task: The name by which it knows the model.
        patience: Largest number of seconds for asking; a rollout's own is the Deployment's.
        rollout: How the Deployment is rolled out, if not as usual.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        task: str,
        *,
        patience: float = _ASK_SECONDS,
        rollout: Rollout | None = None,
    ) -> None:
        self._cluster, self._namespace, self._name, self._task = cluster, namespace, name, task
        self._patience = patience
        self._rollout = rollout or Rollout(cluster, namespace, name)
        self.where = self._rollout.where

    @classmethod
    def connect(cls, serving: str, task: str, *, namespace: str = "") -> TensorFlowServing:
        """The server of a task, reached as `cluster_api.connect` says.

        Raises:
            InputError: `serving` is not [namespace/]name.
            ServingError: There is no cluster.
        """
        home, _, name = serving.rpartition("/")
        name = name or f"serving-{task.replace('_', '-')}"
        for part in filter(None, (home, name)):
            if not _NAME.fullmatch(part):
                raise InputError(
                    f"{serving!r} is not the name of a server",
                    where="serving",
                    fix="give [namespace/]name of its Deployment and Service, in lower case",
                )
        cluster = connect()
        return cls(cluster, home or namespace or cluster.namespace, name, task)

    def told(self) -> Told:
        """See `Server`."""
        return self._rollout.told()

    def check(self) -> None:
        """See `Server`."""
        self._rollout.check()

    def serve(self, version: int | None, *, holder: str, force: bool = False) -> None:
        """See `Server`."""
        self._rollout.write(version, holder=holder, force=force)

    def release(self, holder: str) -> None:
        """See `Server`."""
        self._rollout.release(holder)

    def wait_until_ready(self, version: int) -> Check:
        """See `Server`."""
        begun = time.monotonic()
        problem = self._rollout.wait(version)
        if problem:
            reason = f"Version {version} did not come up: {problem}"
            return Check(name="serving.rolled_out", outcome="failed", reason=reason)
        reason = f"Version {version} was rolled out within {math.ceil(time.monotonic() - begun)} s."
        return Check(name="serving.rolled_out", outcome="passed", reason=reason)

    def ask(self, version: int, samples: Samples) -> tuple[tuple[float, ...], ...] | str:
        """See `Server`."""
        path = f"/v1/models/{self._task}/versions/{version}"
        deadline = time.monotonic() + self._patience
        while True:
            if samples.scores:
                status, answer = self._request("POST", f"{path}:predict", question(samples))
            else:
                status, answer = self._request("GET", path)
            if status == 200:
                return scores(answer, samples.output) if samples.scores else _available(answer)
            # A Service may lead to a pod that is going, and a server may be starting again.
            if status in (400, 401, 403) or time.monotonic() >= deadline:
                return f"{status or 'no answer'}: {_error(answer)}"
            time.sleep(_PAUSE_SECONDS)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        """Status and body; status 0: there was no answer."""
        if not self._cluster.inside:
            return self._request_through_api(method, path, body)
        # Names of Services are known in the cluster alone, whatever proxy the environment names.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(
            f"http://{self._name}.{self._namespace}.svc:{PORT}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        try:
            with opener.open(request, timeout=TIMEOUT[1]) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as cause:
            return cause.code, cause.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as cause:
            # The latter: an answer that breaks off, of a pod that is going.
            return 0, str(getattr(cause, "reason", cause))

    def _request_through_api(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, str]:
        """By the API server's own way to a Service: from outside there is no other without opening one."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        service = f"/api/v1/namespaces/{self._namespace}/services/{self._name}:{PORT}/proxy"
        try:
            response, status, _ = self._cluster.client.call_api(
                service + path,
                method,
                header_params={"Content-Type": "application/json", "Accept": "application/json"},
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=TIMEOUT,
            )
            return status, response.data.decode()
        except ApiException as cause:
            text = cause.body.decode() if isinstance(cause.body, bytes) else str(cause.body or cause.reason)
            if cause.status in (401, 403) and '"kind":"Status"' in text.replace(" ", ""):
                raise refused(cause, where=self.where, doing="ask the Service through the API server") from cause
            return cause.status or 0, text
        except (HTTPError, OSError) as cause:
            return 0, str(cause)


def question(samples: Samples) -> dict[str, Any]:
    """The body of a `:predict` request: every argument has the shape [rows, 1]."""
    return {
        "signature_name": samples.signature,
        "inputs": {
            name: [[math.nan if value is None else value] for value in values]
            for name, values in samples.inputs.items()
        },
    }


def scores(answer: str, output: str) -> tuple[tuple[float, ...], ...] | str:
    """The scores in the answer to a `:predict` request: a signature with one output is answered without its name."""
    try:
        found = json.loads(answer)["outputs"]
        rows = found[output] if isinstance(found, dict) else found
        return tuple(tuple(float(score) for score in row) for row in rows)
    except (ValueError, KeyError, TypeError):
        return f"the answer is not one of TensorFlow Serving: {answer[:200]}"


def _available(answer: str) -> tuple[tuple[float, ...], ...] | str:
    try:
        states = [each["state"] for each in json.loads(answer)["model_version_status"]]
    except (ValueError, KeyError, TypeError):
        return f"the answer is not one of TensorFlow Serving: {answer[:200]}"
    return () if states == ["AVAILABLE"] else f"its state is {', '.join(states) or 'not known'}"


def _error(answer: str) -> str:
    try:
        found = json.loads(answer)
        return str(found.get("error") or found.get("message") or answer)[:500]
    except (ValueError, AttributeError):
        return answer.strip()[:500]
