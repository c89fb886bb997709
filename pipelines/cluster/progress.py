"""A run on a cluster, as its steps: which are under way, done, failed, taken from the cache.

KFP's v2beta1 API gives nodes without their links, messages and cache decisions. Those stand in the workflow that its
v1beta1 API shows (as Kubeflow's page does); where that API is not there, the steps are known by their names alone.
A task `train` is a node `train`; a driver beside it (`train-driver`) decides whether the result is cached; `executor`
below it is skipped then, and repeated when it fails and may be tried again.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

State = Literal["waiting", "running", "succeeded", "cached", "failed", "skipped"]

FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED", "ERROR")
_STATES: dict[str, State] = {
    "pending": "waiting",
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "error": "failed",
    "skipped": "skipped",
    "omitted": "skipped",
}


_TRY = re.compile(r"\(\d+\)(?=\.|$)")


@dataclass(frozen=True)
class Step:
    """A step of a run.

    Attributes:
        key: Of the task in the pipeline.
        name: As it is shown.
        seconds: How long it took, its driver and its wait for a place in the cluster included.
        message: Why it failed, or what it waits for; as Argo gives it.
        pod: Whose log tells more; empty: none is known.
    """

    key: str
    name: str
    state: State
    seconds: float = 0.0
    message: str = ""
    pod: str = ""

    @property
    def done(self) -> bool:
        """Nothing more will become of it."""
        return self.state not in ("waiting", "running")


def step_names(specification: Mapping[str, Any]) -> dict[str, str]:
    """Path of each task in the pipeline (`train`, `condition-1/push`) → name that is shown, in the order of work."""
    spec = specification.get("pipeline_spec", specification)
    components = spec.get("components", {})

    def walk(dag: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
        for key in _in_order(dag.get("tasks", {})):
            task = dag["tasks"][key]
            inner = components.get(task["componentRef"]["name"], {}).get("dag")
            if inner:
                yield from walk(inner, f"{above}{key}/")
            else:
                yield f"{above}{key}", task.get("taskInfo", {}).get("name") or key

    return dict(walk(spec.get("root", {}).get("dag", {}), ""))


def steps_of_workflow(workflow: Mapping[str, Any], names: Mapping[str, str]) -> list[Step]:
    """The steps that have begun, from the workflow of Argo."""
    nodes = _nodes(workflow.get("status") or {})
    by_path = _by_path(nodes, (workflow.get("metadata") or {}).get("name", ""))
    by_id = {node["id"]: node for node in nodes}
    steps = (_step(path, name, by_path, by_id) for path, name in names.items())
    return [step for step in steps if step is not None]


def _nodes(status: Mapping[str, Any]) -> list[Any]:
    """The nodes of a workflow; Argo packs those of a large one, since Kubernetes takes no objects beyond a megabyte."""
    packed = status.get("compressedNodes")
    nodes = json.loads(gzip.decompress(base64.b64decode(packed))) if packed else status.get("nodes")
    return list((nodes or {}).values())


def _by_path(nodes: list[Any], workflow: str) -> dict[str, Any]:
    """Nodes by their path below the pipeline's root.

    Where KFP's installation lets everything be tried again, as its own manifests do, every part of a name may carry the
    number of the try: `training(0).root(0).train` is tried as `training(0).root(0).train(0)`.
    """
    found: dict[str, Any] = {}
    above = f"{workflow}.root."
    for node in sorted(nodes, key=lambda each: str(each.get("startedAt") or "")):
        name = node.get("name", "")
        path = _TRY.sub("", name)
        if path.startswith(above) and not name.endswith(")"):
            found[path.removeprefix(above).replace(".", "/")] = node
    return found


def steps_of_details(details: list[Any], names: Mapping[str, str]) -> list[Step]:
    """The steps that have begun, from the task details of the v2beta1 API."""
    found = {each.display_name: each for each in details or []}
    steps = []
    for path, name in names.items():
        key = path.rpartition("/")[2]
        if (detail := found.get(key)) is not None:
            state = _STATES.get(str(detail.state or "").lower(), "running")
            steps.append(Step(key, name, state, seconds=_between(detail.start_time, detail.end_time)))
    return steps


def _step(path: str, name: str, by_path: Mapping[str, Any], by_id: Mapping[str, Any]) -> Step | None:
    key = path.rpartition("/")[2]
    driver, task = by_path.get(f"{path}-driver"), by_path.get(path)
    if driver is None and task is None:
        return None
    executor = _last_try(by_path.get(f"{path}/executor"), by_id)
    own = executor or task or driver or {}
    state = _STATES.get(str((task or driver or {}).get("phase", "")).lower(), "running")
    if driver is not None and _STATES.get(str(driver.get("phase", "")).lower()) == "failed":
        own, state = _last_try(driver, by_id), "failed"
    elif task is None:
        state = "running"
    elif state == "succeeded" and executor is not None and executor.get("phase") in ("Skipped", "Omitted"):
        state = "cached"
    elif state == "running" and own.get("phase") == "Pending":
        state = "waiting"
    message = str(own.get("message") or "") if state in ("failed", "waiting") else ""
    seconds = _between((driver or task or {}).get("startedAt"), (task or driver or {}).get("finishedAt"))
    return Step(key, name, state, seconds, message, _pod(own))


def _last_try(executor: Any, by_id: Mapping[str, Any]) -> Any:
    if executor is None or executor.get("type") != "Retry":
        return executor
    tries = [by_id[each] for each in executor.get("children") or [] if each in by_id]
    return max(tries, key=lambda each: str(each.get("startedAt") or ""), default=executor)


def _pod(node: Mapping[str, Any]) -> str:
    """Argo's name for a node's pod: workflow, template and the number of the node."""
    if node.get("type") != "Pod" or not node.get("templateName"):
        return ""
    workflow, _, number = str(node["id"]).rpartition("-")
    return f"{workflow}-{node['templateName']}-{number}"


def _in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Tasks after those that they depend on; else as they stand."""
    ordered: list[str] = []

    def add(key: str) -> None:
        if key not in ordered:
            for before in tasks[key].get("dependentTasks", []):
                add(before)
            ordered.append(key)

    for key in tasks:
        add(key)
    return ordered


def _between(began: Any, ended: Any) -> float:
    start, end = _moment(began), _moment(ended)
    return max(0.0, (end - start).total_seconds()) if start and end else 0.0


def _moment(value: Any) -> datetime | None:
    """A time; none, if it has not come: KFP writes the year 1970 then."""
    if isinstance(value, str):
        value = datetime.fromisoformat(re.sub(r"\.\d+", "", value))
    return value if isinstance(value, datetime) and value.year > 1970 else None
