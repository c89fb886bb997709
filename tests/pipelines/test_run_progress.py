from __future__ import annotations

import base64
import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.cluster.progress import Step, step_names, steps_of_workflow
from tests.kfp_workflow import Workflow

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def task(name: str, component: str, *after: str) -> dict[str, Any]:
    return {"taskInfo": {"name": name}, "componentRef": {"name": component}, "dependentTasks": list(after)}


SPEC: dict[str, Any] = {
    "root": {
        "dag": {
            "tasks": {
                "branch-1": task("passed", "comp-branch-1", "train"),
                "train": task("train", "comp-train", "plan"),
                "plan": task("plan", "comp-plan"),
            }
        }
    },
    "components": {
        "comp-plan": {"executorLabel": "exec-plan"},
        "comp-train": {"executorLabel": "exec-train"},
        "comp-push": {"executorLabel": "exec-push"},
        "comp-branch-1": {"dag": {"tasks": {"push": task("push: promote", "comp-push")}}},
    },
}
NAMES = step_names(SPEC)


@pytest.fixture
def workflow() -> Workflow:
    made = Workflow("training-x7k2p", BEGAN)
    made.begin()
    return made


def steps(workflow: Workflow) -> dict[str, Step]:
    return {step.name: step for step in steps_of_workflow(json.loads(workflow.manifest()), NAMES)}


def test_steps_stand_in_the_order_of_work_under_the_names_that_are_shown() -> None:
    assert NAMES == {"plan": "plan", "train": "train", "branch-1/push": "push: promote"}
    assert step_names({"pipeline_spec": SPEC, "platform_spec": {}}) == NAMES


def test_what_has_not_begun_is_not_there(workflow: Workflow) -> None:
    assert steps(workflow) == {}
    assert steps_of_workflow({}, NAMES) == []


def test_a_step_that_runs_and_one_that_is_done(workflow: Workflow) -> None:
    workflow.step("plan", "SUCCEEDED", began=BEGAN, seconds=12)
    workflow.step("train", "RUNNING", began=BEGAN)
    found = steps(workflow)
    assert (found["plan"].state, found["plan"].seconds, found["plan"].done) == ("succeeded", 12, True)
    assert (found["train"].state, found["train"].done) == ("running", False)


def test_a_cached_step_is_told_from_one_that_worked(workflow: Workflow) -> None:
    workflow.step("plan", "CACHED", began=BEGAN)
    assert steps(workflow)["plan"].state == "cached"


def test_a_step_in_a_branch_and_a_branch_that_was_not_taken(workflow: Workflow) -> None:
    workflow.branch("branch-1", "Running", began=BEGAN)
    workflow.step("branch-1/push", "SUCCEEDED", began=BEGAN)
    assert steps(workflow)["push: promote"].state == "succeeded"
    other = Workflow("training-2", BEGAN)
    other.begin()
    other.branch("branch-1", "Skipped", began=BEGAN)
    assert steps(other) == {}


def test_a_failed_step_says_why_and_whose_log_to_read(workflow: Workflow) -> None:
    workflow.step("train", "FAILED", began=BEGAN, message="OOMKilled (exit code 137)", log="…")
    found = steps(workflow)["train"]
    assert (found.state, found.message) == ("failed", "OOMKilled (exit code 137)")
    assert [found.pod] == list(workflow.logs)


def test_a_driver_that_fails_is_the_steps_failure(workflow: Workflow) -> None:
    workflow.step("train", "PENDING", began=BEGAN)
    manifest = json.loads(workflow.manifest())
    for node in manifest["status"]["nodes"].values():
        if node["displayName"] == "train-driver":
            node |= {"phase": "Failed", "message": "no such component"}
        if node["displayName"] == "train":
            node |= {"phase": "Omitted"}
    [found] = steps_of_workflow(manifest, NAMES)
    assert (found.state, found.message) == ("failed", "no such component")


def test_what_a_step_waits_for_is_told(workflow: Workflow) -> None:
    workflow.step("train", "RUNNING", began=BEGAN)
    manifest = json.loads(workflow.manifest())
    for node in manifest["status"]["nodes"].values():
        if node["displayName"] == "executor":
            node |= {
                "phase": "Pending",
                "message": "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
            }
    [found] = steps_of_workflow(manifest, NAMES)
    assert (found.state, found.done) == ("waiting", False)
    assert found.message.startswith("Unschedulable")


def test_of_several_tries_the_last_counts(workflow: Workflow) -> None:
    workflow.step("train", "FAILED", began=BEGAN)
    manifest = json.loads(workflow.manifest())
    nodes = manifest["status"]["nodes"]
    [executor] = [node for node in nodes.values() if node["displayName"] == "executor"]
    executor |= {
        "type": "Retry",
        "message": "No more retries left",
        "children": ["training-x7k2p-1", "training-x7k2p-2"],
    }
    for number in (1, 2):
        nodes[f"training-x7k2p-{number}"] = {
            "id": f"training-x7k2p-{number}",
            "name": f"{executor['name']}({number - 1})",
            "displayName": f"executor({number - 1})",
            "type": "Pod",
            "phase": "Failed",
            "templateName": "retry-system-container-impl",
            "message": f"try {number}",
            "startedAt": f"2026-01-01T00:0{number}:00Z",
            "finishedAt": None,
        }
    [found] = steps_of_workflow(manifest, NAMES)
    assert (found.message, found.pod) == ("try 2", "training-x7k2p-retry-system-container-impl-2")


def tried_again(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same workflow where KFP's own manifests let everything be tried again: each node has a node for its try."""
    nodes: dict[str, Any] = {}
    for node in manifest["status"]["nodes"].values():
        *above, last = node["name"].split(".")
        name = ".".join([*(f"{part}(0)" for part in above), last])
        if node["phase"] in ("Skipped", "Omitted"):
            nodes[node["id"]] = {**node, "name": name}
            continue
        number = f"{node['id']}0"
        nodes[node["id"]] = {**node, "name": name, "type": "Retry", "children": [number]}
        nodes[number] = {**node, "id": number, "name": f"{name}(0)"}
    return {**manifest, "status": {**manifest["status"], "nodes": nodes}}


def test_steps_are_found_where_everything_may_be_tried_again(workflow: Workflow) -> None:
    workflow.step("plan", "SUCCEEDED", began=BEGAN, seconds=12)
    workflow.step("train", "CACHED", began=BEGAN)
    workflow.branch("branch-1", "Running", began=BEGAN)
    workflow.step("branch-1/push", "FAILED", began=BEGAN, message="main: Error (exit code 1)")
    plain = json.loads(workflow.manifest())
    expected = {step.name: (step.state, step.seconds, step.message) for step in steps_of_workflow(plain, NAMES)}
    found = {step.name: step for step in steps_of_workflow(tried_again(plain), NAMES)}
    assert {name: (step.state, step.seconds, step.message) for name, step in found.items()} == expected
    assert {name: state for name, (state, *_) in expected.items()} == {
        "plan": "succeeded", "train": "cached", "push: promote": "failed",
    }  # fmt: skip
    assert found["push: promote"].pod.endswith("0")


def test_the_nodes_of_a_large_workflow_are_unpacked(workflow: Workflow) -> None:
    workflow.step("plan", "SUCCEEDED", began=BEGAN, seconds=12)
    plain = json.loads(workflow.manifest())
    packed = base64.b64encode(gzip.compress(json.dumps(plain["status"]["nodes"]).encode())).decode()
    large = {**plain, "status": {"phase": "Running", "compressedNodes": packed}}
    assert steps_of_workflow(large, NAMES) == steps_of_workflow(plain, NAMES) != []
