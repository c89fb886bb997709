"""Selectors select what they are meant for, names name what is there, and quotas leave room for what runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared.image import ENVIRONMENT_OF
from pipelines.cluster.compiled import compile_training
from pipelines.cluster.settings import read_cluster_settings
from pipelines.training.config import PROFILES
from tests.manifests.objects import OVERLAYS, ROOT, containers, name_of, of_kind, overlay, quantity, selects, the

WORKFLOW = {"workflows.argoproj.io/workflow": "training-x7k2p", "pipelines.kubeflow.org/v2_component": "true"}
"""What Argo and KFP 2.17 put on every pod of a run, their drivers' included."""

KFP = {
    "ml-pipeline": ({"app": "ml-pipeline"}, {8887, 8888}),
    "metadata": ({"component": "metadata-grpc-server"}, {8080}),
    "seaweedfs": ({"app": "seaweedfs"}, {8333}),
}
"""Labels and ports of the pods behind KFP 2.17's services; a policy sees the pod's port, not the service's."""

KFP_REQUESTS = {"cpu": 1.0, "memory": 3.5 * 2**30, "pods": 13}
"""What KFP 2.17 standalone asks for itself, the default of our LimitRange put in where it says nothing."""


def step(component: str) -> dict[str, str]:
    """Labels of a step's pod; `pipelines/cluster/placement.py` sets the last two."""
    return WORKFLOW | {"app.kubernetes.io/part-of": "saiki", "app.kubernetes.io/component": component}


def server(name: str) -> dict[str, str]:
    (pod,) = [found["spec"]["template"] for found in of_kind(name, "Deployment")]
    labels: dict[str, str] = pod["metadata"]["labels"]
    return labels


def opened(
    name: str, direction: str, labels: Mapping[str, str], other: Mapping[str, str], namespace: str = "kubeflow"
) -> set[int]:
    """The ports that the policies open between two pods, seen from the first."""
    peers = {"Ingress": "from", "Egress": "to"}[direction]
    ports: set[int] = set()
    for policy in of_kind(name, "NetworkPolicy"):
        if not selects(policy["spec"]["podSelector"], labels) or direction not in policy["spec"]["policyTypes"]:
            continue
        for rule in policy["spec"].get(direction.lower(), []):
            for peer in rule[peers]:
                where = peer.get("namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}})
                there = selects(where, {"kubernetes.io/metadata.name": namespace})
                if "ipBlock" not in peer and there and selects(peer.get("podSelector", {}), other):
                    ports |= {port["port"] for port in rule["ports"]}
    return ports


def blocks(name: str, labels: Mapping[str, str]) -> set[tuple[str, int]]:
    """The addresses and ports outside that the policies open to a pod."""
    return {
        (peer["ipBlock"]["cidr"], port["port"])
        for policy in of_kind(name, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    }


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("pod", [WORKFLOW, *map(step, ("plan", "train", "push"))])
def test_drivers_launchers_and_steps_reach_kfp_and_names(name: str, pod: dict[str, str]) -> None:
    for labels, ports in KFP.values():
        assert opened(name, "Egress", pod, labels) == ports
    assert opened(name, "Egress", pod, {"k8s-app": "kube-dns"}, "kube-system") == {53}


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_reaches_a_step(name: str) -> None:
    for other in (WORKFLOW, step("push"), server(name), {"saiki-client": "allowed"}):
        assert not opened(name, "Ingress", step("train"), other)


@pytest.mark.parametrize("name", OVERLAYS)
def test_only_push_and_allowed_clients_reach_a_server(name: str) -> None:
    assert 8501 in opened(name, "Ingress", server(name), step("push"))
    assert opened(name, "Egress", step("push"), server(name)) == {8501}
    for component in set(ENVIRONMENT_OF) - {"push"}:
        labels = step(component.replace("_", "-"))
        assert not opened(name, "Ingress", server(name), labels)
        assert not opened(name, "Egress", labels, server(name))
    assert opened(name, "Ingress", server(name), {"saiki-client": "allowed"}, "shop") == {8500, 8501}
    assert not opened(name, "Ingress", server(name), {"app": "anything"})
    assert not opened(name, "Ingress", server(name), {"app.kubernetes.io/component": "push"}, "shop")


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_server_looks_up_names_and_reads_the_store_and_no_more(name: str) -> None:
    assert opened(name, "Egress", server(name), {"k8s-app": "kube-dns"}, "kube-system") == {53}
    store = opened(name, "Egress", server(name), KFP["seaweedfs"][0])
    assert store == ({8333} if name == "kind" else set())
    assert not opened(name, "Egress", server(name), KFP["ml-pipeline"][0])
    outside = {port for _, port in blocks(name, server(name))}
    assert outside == (set() if name == "kind" else {53, 80, 443, 988})


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_run_reaches_the_kubernetes_api_for_argo(name: str) -> None:
    assert ("10.0.0.0/8", 6443 if name == "kind" else 443) in blocks(name, WORKFLOW)


def test_on_google_cloud_runs_and_servers_reach_the_metadata_server_and_the_store() -> None:
    for labels in (WORKFLOW, step("train"), server("gke")):
        assert {("169.254.169.254/32", 80), ("169.254.169.252/32", 988), ("0.0.0.0/0", 443)} <= blocks("gke", labels)


def test_on_google_cloud_a_rollback_from_outside_reaches_a_server_through_the_kubernetes_api() -> None:
    # On kind the API server is on the node, which reaches its pods whatever the policies say.
    assert opened("gke", "Ingress", server("gke"), {"k8s-app": "konnectivity-agent"}, "kube-system") == {8501}
    assert not opened("gke", "Ingress", server("gke"), {"k8s-app": "anything"}, "kube-system")
    assert not opened("gke", "Ingress", server("gke"), {"k8s-app": "konnectivity-agent"}, "shop")


@pytest.mark.parametrize("name", OVERLAYS)
def test_kfps_own_services_are_left_alone(name: str) -> None:
    for labels, _ in KFP.values():
        for policy in of_kind(name, "NetworkPolicy"):
            assert not selects(policy["spec"]["podSelector"], labels), name_of(policy)


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_budgets_and_autoscalers_belong_to_the_server_of_their_name(name: str) -> None:
    deployments = {found["metadata"]["name"]: found for found in of_kind(name, "Deployment")}
    assert deployments
    for called, deployment in deployments.items():
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        assert called == "serving-" + labels["app.kubernetes.io/instance"].replace("_", "-")
        assert selects(deployment["spec"]["selector"], labels)
        service = the(name, "Service", called)
        assert selects({"matchLabels": service["spec"]["selector"]}, labels)
        open_ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == open_ports
        assert selects(the(name, "PodDisruptionBudget", called)["spec"]["selector"], labels)
        scaling = the(name, "HorizontalPodAutoscaler", called)["spec"]
        assert scaling["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": called}
        assert scaling["metrics"][0]["containerResource"]["container"] == "server"
        for spread in template["spec"]["topologySpreadConstraints"]:
            assert selects(spread["labelSelector"], labels)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_servers_of_two_tasks_do_not_get_in_each_others_way(name: str) -> None:
    other = server(name) | {"app.kubernetes.io/instance": "penguins"}

    for found in of_kind(name, "Service"):
        assert not selects({"matchLabels": found["spec"]["selector"]}, other)
    for found in of_kind(name, "Deployment", "PodDisruptionBudget"):
        assert not selects(found["spec"]["selector"], other)


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_is_named_is_there(name: str) -> None:
    accounts = {found["metadata"]["name"] for found in of_kind(name, "ServiceAccount")}
    roles = {found["metadata"]["name"] for found in of_kind(name, "Role")}
    settings = the(name, "ConfigMap", "saiki-settings")["data"]

    for binding in of_kind(name, "RoleBinding"):
        assert binding["roleRef"]["name"] in roles
        assert {subject["name"] for subject in binding["subjects"]} <= accounts
    for deployment in of_kind(name, "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] in accounts
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in containers({"spec": spec}):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {})
                if reference := source.get("configMapKeyRef"):
                    assert reference["name"] == "saiki-settings"
                    assert reference["key"] in settings or reference.get("optional")
                if reference := source.get("secretKeyRef"):
                    assert reference["name"] == settings["storage_secret"]


@cache
def requests_at_once(name: str, profile: str) -> dict[str, float]:
    """The most that a run asks for at one moment: over the sets of steps of which none waits for another."""
    settings = read_cluster_settings(ROOT / "manifests" / "overlays" / name / "settings.yaml")
    spec: dict[str, Any] = next(iter(yaml.safe_load_all(compile_training(settings, profile).text)))
    tasks = {called: task for called, task in spec["root"]["dag"]["tasks"].items() if not task.get("triggerPolicy")}
    steps = {called: task for called, task in tasks.items() if "dag" not in spec["components"][of_task(task)]}
    after = {called: set(task.get("dependentTasks", [])) for called, task in tasks.items()}
    for _ in tasks:
        after = {called: names.union(*(after[other] for other in names)) for called, names in after.items()}
    asked = {called: asked_by(spec, of_task(task), name) for called, task in steps.items()}
    together = [
        names
        for size in range(1, len(steps) + 1)
        for names in combinations(steps, size)
        if not any(other in after[called] for called in names for other in names)
    ]
    most = {key: max(sum(asked[called][key] for called in names) for names in together) for key in asked["train"]}
    return most | {"pods": float(max(map(len, together)))}


def of_task(task: dict[str, Any]) -> str:
    return str(task["componentRef"]["name"])


def asked_by(spec: dict[str, Any], component: str, name: str) -> dict[str, float]:
    """What a step's pod asks for, Argo's wait container beside it; run parameters at their defaults."""
    resources = spec["deploymentSpec"]["executors"][spec["components"][component]["executorLabel"]]["container"][
        "resources"
    ]
    accelerators = resources.get("accelerator", {}).get("resourceCount", "0")
    wanted = {
        "cpu": resources["resourceCpuRequest"],
        "memory": resources["resourceMemoryRequest"],
        "gpu": accelerators,
    }
    defaults = spec["root"]["inputDefinitions"]["parameters"]
    for key, value in wanted.items():
        if parameter := re.search(r"pipelinechannel--(\w+)", value):
            wanted[key] = defaults[parameter[1]]["defaultValue"]
    beside = {"gpu": "0"} | the(name, "LimitRange", "saiki")["spec"]["limits"][0]["defaultRequest"]
    return {key: quantity(value) + quantity(beside[key]) for key, value in wanted.items()}


@pytest.mark.parametrize(("name", "profile", "runs"), [("kind", "laptop", 2), ("gke", "cpu", 3), ("gke", "gpu", 3)])
def test_the_quota_has_room_for_kfp_the_runs_and_the_servers_at_their_most(name: str, profile: str, runs: int) -> None:
    hard = the(name, "ResourceQuota", "saiki")["spec"]["hard"]
    run = requests_at_once(name, profile)
    scaling = {
        found["metadata"]["name"]: found["spec"]["maxReplicas"] for found in of_kind(name, "HorizontalPodAutoscaler")
    }

    for resource in ("cpu", "memory"):
        servers = sum(
            (scaling[found["metadata"]["name"]] + 1)  # and one more while a new version comes up
            * max(quantity(c["resources"]["requests"][resource]) for c in containers(found["spec"]["template"]))
            for found in of_kind(name, "Deployment")
        )
        needed = KFP_REQUESTS[resource] + runs * run[resource] + servers
        assert needed <= quantity(hard[f"requests.{resource}"]), f"{resource}: {needed:,.1f}"
    servers = sum(most + 1 for most in scaling.values())
    # Beside each step its driver may still be there.
    assert KFP_REQUESTS["pods"] + 2 * runs * run["pods"] + servers <= int(hard["pods"])
    if run["gpu"]:
        assert runs * run["gpu"] <= int(hard["requests.nvidia.com/gpu"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_step_of_any_profile_is_larger_than_a_container_may_be(name: str) -> None:
    most = the(name, "LimitRange", "saiki")["spec"]["limits"][0]["max"]

    for profile in PROFILES.values():
        for called, config in profile.steps.items():
            assert quantity(config.cpu_limit) <= quantity(most["cpu"]), f"{profile.name}: {called}"
            assert quantity(config.memory_limit) <= quantity(most["memory"]), f"{profile.name}: {called}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_container_that_says_nothing_gets_a_request_and_a_limit(name: str) -> None:
    """Or the quota would turn away Argo's wait container, which says nothing."""
    (limits,) = the(name, "LimitRange", "saiki")["spec"]["limits"]
    counted = {key.removeprefix("requests.") for key in the(name, "ResourceQuota", "saiki")["spec"]["hard"]}

    assert counted - {"pods", "nvidia.com/gpu"} <= limits["defaultRequest"].keys()
    assert quantity(limits["defaultRequest"]["memory"]) <= quantity(limits["default"]["memory"])


def test_every_folder_of_an_overlay_is_tested() -> None:
    assert {path.name for path in Path(ROOT, "manifests", "overlays").iterdir()} == set(OVERLAYS)
    assert all(overlay(name) for name in OVERLAYS)
