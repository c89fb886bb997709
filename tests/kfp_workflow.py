"""What the twin of the KFP API server knows of a run's steps: nodes, as Argo Workflows gives them to the real one.

A step `plan` is three nodes: `plan-driver` (a pod), `plan` (around the executor) and `executor` (a pod, skipped when
the step's result was cached). The v2beta1 API shows them as task details, without the links between them, the messages
and the cache decision; those stand in the workflow that the v1beta1 API shows.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Node = dict[str, Any]

_PHASES = {"RUNNING": "Running", "SUCCEEDED": "Succeeded", "FAILED": "Failed", "PENDING": "Pending"}
_PHASES |= {"SKIPPED": "Skipped", "CANCELED": "Failed", "CANCELING": "Running"}


class Workflow:
    """The workflow behind a run.

    Args:
        name: Of the workflow, such as `training-x7k2p`.
    """

    def __init__(self, name: str, began: datetime) -> None:
        self.name = name
        self.began = began
        self.nodes: dict[str, Node] = {}
        self.logs: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def begin(self) -> None:
        """The pods of the run begin: the root's driver has run."""
        self._node([], "Running", self.began, kind="DAG")
        self._node(["root-driver"], "Succeeded", self.began, kind="Pod", ended=self.began)
        self._node(["root"], "Running", self.began, kind="DAG")

    def finish(self, phase: str, when: datetime) -> None:
        """The run has ended, and with it each branch that was taken."""
        for node in self.nodes.values():
            if node["phase"] == "Running":
                node |= {"phase": phase, "finishedAt": stamp(when)}
        self._node(["root"], phase, self.began, kind="DAG", ended=when)
        self._node([], phase, self.began, kind="DAG", ended=when)

    def step(
        self, path: str, state: str, *, began: datetime, seconds: float = 1.0, message: str = "", log: str = ""
    ) -> None:
        """A step's state has changed.

        Args:
            path: Name of the task, below the branch that it is in: `train`, `condition-branches-1/condition-2/push`.
            state: A state of KFP's, or `CACHED`.
        """
        cached, parts = state == "CACHED", ["root", *path.split("/")]
        phase = "Succeeded" if cached else _PHASES[state]
        ended = began + timedelta(seconds=seconds) if phase not in ("Running", "Pending") else None
        driver = [*parts[:-1], f"{parts[-1]}-driver"]
        self._node(
            driver, "Succeeded", began, kind="Pod", ended=began, outputs={"cached-decision": str(cached).lower()}
        )
        self._node(parts, phase, began, kind="DAG", ended=ended)
        executor = [*parts, "executor"]
        if cached:
            self._node(executor, "Skipped", began, kind="Skipped", ended=began)
        else:
            self._node(executor, phase, began, kind="Pod", ended=ended, message=message)
        self.logs[self._pod(executor)] = log

    def branch(self, path: str, phase: str, *, began: datetime) -> None:
        """A branch was taken or not."""
        self._node(["root", *path.split("/")], phase, began, kind="DAG", ended=began)

    def task_details(self, run_id: str) -> list[Node]:
        """As v2beta1 shows them: nodes sorted by their identifier, each task with an identifier of its own."""
        return [
            {
                "run_id": run_id,
                "task_id": str(uuid.uuid5(uuid.UUID(run_id), key)),
                "display_name": node["displayName"],
                "create_time": stamp(self.began),
                "start_time": node["startedAt"],
                "end_time": node["finishedAt"] or stamp(datetime.fromtimestamp(0, UTC)),
                "state": _state(node["phase"]),
                "state_history": [{"update_time": node["startedAt"], "state": _state(node["phase"])}],
                "child_tasks": [{"pod_name": child} for child in node["children"]],
            }
            for key, node in sorted(self.nodes.items())
        ]

    def manifest(self) -> str:
        """As v1beta1 shows it: the workflow's own JSON."""
        return json.dumps(
            {
                "kind": "Workflow",
                "apiVersion": "argoproj.io/v1alpha1",
                "metadata": {"name": self.name, "creationTimestamp": stamp(self.began)},
                "status": {"nodes": self.nodes},
            }
        )

    def _pod(self, parts: list[str]) -> str:
        """Argo's name for the pod of a node."""
        node = self.nodes[self._ids[self._full(parts)]]
        return f"{self.name}-{node['templateName']}-{node['id'].rsplit('-', 1)[1]}"

    def _full(self, parts: list[str]) -> str:
        return ".".join([self.name, *parts])

    def _node(
        self,
        parts: list[str],
        phase: str,
        began: datetime,
        *,
        kind: str,
        ended: datetime | None = None,
        message: str = "",
        outputs: Mapping[str, str] | None = None,
    ) -> None:
        full = self._full(parts)
        number = int(hashlib.sha256(full.encode()).hexdigest()[:8], 16)
        key = self._ids.setdefault(full, f"{self.name}-{number}" if parts else self.name)
        present = self.nodes.get(key, {})
        self.nodes[key] = {
            "id": key,
            "name": full,
            "displayName": parts[-1] if parts else self.name,
            "type": kind,
            "templateName": "system-container-impl" if parts[-1:] == ["executor"] else "".join(parts[-1:]),
            "phase": phase,
            "startedAt": present.get("startedAt") or stamp(began),
            "finishedAt": stamp(ended) if ended else None,
            "children": present.get("children", []),
            **({"message": message} if message else {}),
            **(
                {"outputs": {"parameters": [{"name": name, "value": value} for name, value in outputs.items()]}}
                if outputs
                else {}
            ),
        }
        if parts:
            parent = self.nodes[self._ids[self._full(parts[:-1])]]
            if key not in parent["children"]:
                parent["children"].append(key)


def stamp(when: datetime) -> str:
    """A time as protobuf writes it in JSON; whole seconds, as the server keeps them."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _state(phase: str) -> str:
    return {name: state for state, name in reversed(_PHASES.items())}.get(phase, "RUNTIME_STATE_UNSPECIFIED")
