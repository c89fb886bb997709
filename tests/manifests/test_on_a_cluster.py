"""The manifests on a real Kubernetes: taken field by field, pods admitted, and rights as they are meant.

Runs where SAIKI_TEST_KUBECONFIG names a kubeconfig of a cluster that may be tested on, with the rights of an
administrator. Each overlay gets a namespace of its own, which is deleted afterwards.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.manifests.objects import KUBECTL, OVERLAYS, Object, containers, of_kind, overlay

KUBECONFIG = os.environ.get("SAIKI_TEST_KUBECONFIG", "")

pytestmark = pytest.mark.skipif(
    not KUBECONFIG,
    reason="no cluster: set SAIKI_TEST_KUBECONFIG to an administrator's kubeconfig, such as kind's",
)


@dataclass(frozen=True)
class Cluster:
    """An overlay in a namespace of its own."""

    overlay: str
    namespace: str

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(KUBECTL), "--kubeconfig", KUBECONFIG, "--namespace", self.namespace, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def apply(self, *objects: Object, dry_run: bool = False) -> subprocess.CompletedProcess[str]:
        options = ["--validate=strict", *(["--dry-run=server"] if dry_run else [])]
        return self.kubectl("apply", *options, "--filename=-", stdin=yaml.safe_dump_all(objects))

    def may(self, account: str, verb: str, what: str) -> bool:
        who = f"--as=system:serviceaccount:{self.namespace}:{account}"
        return self.kubectl("auth", "can-i", verb, what, who).stdout.strip() == "yes"


@pytest.fixture(scope="module", params=OVERLAYS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    here = Cluster(request.param, f"saiki-test-{secrets.token_hex(4)}")
    try:
        answer = here.apply(*moved(here))
        assert answer.returncode == 0, answer.stderr
        yield here
    finally:
        here.kubectl("delete", "namespace", here.namespace, "--wait=false", "--ignore-not-found")


def moved(here: Cluster) -> list[Object]:
    """The objects of an overlay in another namespace."""
    objects: list[Object] = []
    for found in overlay(here.overlay):
        place = {"name": here.namespace} if found["kind"] == "Namespace" else {"namespace": here.namespace}
        copy = found | {"metadata": found["metadata"] | place}
        if "subjects" in copy:
            copy["subjects"] = [subject | {"namespace": here.namespace} for subject in copy["subjects"]]
        objects.append(copy)
    return objects


def test_applying_twice_changes_nothing(cluster: Cluster) -> None:
    answer = cluster.apply(*moved(cluster))

    assert answer.returncode == 0, answer.stderr
    changed = [line for line in answer.stdout.splitlines() if not line.endswith(" unchanged")]
    # kubectl sends the selector of a disruption budget each time, the same.
    assert changed == ["poddisruptionbudget.policy/serving-flights configured"]


def test_the_pods_of_the_servers_are_admitted(cluster: Cluster) -> None:
    for found in of_kind(cluster.overlay, "Deployment"):
        template = found["spec"]["template"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": "as-it-will-be"}}

        answer = cluster.apply(pod | {"spec": template["spec"]}, dry_run=True)

        assert answer.returncode == 0, answer.stderr
        assert "Warning" not in answer.stderr


@pytest.mark.parametrize(
    "harm",
    [
        {"hostNetwork": True},
        {"volumes": [{"name": "models", "hostPath": {"path": "/"}}, {"name": "tmp", "emptyDir": {}}]},
        {"securityContext": {"runAsUser": 0}},
    ],
    ids=["network of the node", "folder of the node", "root"],
)
def test_the_same_pod_with_more_rights_is_turned_away(cluster: Cluster, harm: Object) -> None:
    (found, *_) = of_kind(cluster.overlay, "Deployment")
    template = found["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "harmful"}, "spec": template["spec"] | harm}

    answer = cluster.apply(pod, dry_run=True)

    assert answer.returncode != 0
    assert "violates PodSecurity" in answer.stderr


def test_a_container_that_says_nothing_gets_requests_and_a_memory_limit(cluster: Cluster) -> None:
    """As Argo's wait container, under its security context."""
    context = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "wait", "image": "argoexec:v4.0.5", "securityContext": context}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wait"}, "spec": {"containers": [container]}}

    answer = cluster.kubectl("create", "--dry-run=server", "--output=yaml", "--filename=-", stdin=yaml.safe_dump(pod))

    assert answer.returncode == 0, answer.stderr
    (admitted,) = containers(yaml.safe_load(answer.stdout))
    limits = {"cpu": "16", "memory": "2Gi"}
    assert admitted["resources"] == {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": limits}


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("create", "workflowtaskresults.argoproj.io"),
        ("patch", "workflowtaskresults.argoproj.io"),
        ("get", "pods"),
        ("get", "configmap/kfp-launcher"),
        ("get", "deployment.apps/serving-flights"),
        ("patch", "deployment.apps/serving-flights"),
        ("watch", "deployment.apps/serving-flights"),
        ("list", "pods"),
    ],
)
def test_a_run_may(cluster: Cluster, verb: str, what: str) -> None:
    assert cluster.may("saiki-pipeline", verb, what)


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "secret/saiki-storage"),
        ("get", "configmap/saiki-settings"),
        ("patch", "deployment.apps/ml-pipeline"),
        ("delete", "deployment.apps/serving-flights"),
        ("create", "deployments.apps"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("patch", "networkpolicies.networking.k8s.io"),
        ("create", "serviceaccounts/token"),
    ],
)
def test_a_run_may_not(cluster: Cluster, verb: str, what: str) -> None:
    assert not cluster.may("saiki-pipeline", verb, what)


@pytest.mark.parametrize("verb", ["get", "create", "patch"])
@pytest.mark.parametrize("what", ["pods", "secrets", "configmaps", "deployments.apps"])
def test_a_server_may_do_nothing_in_the_cluster(cluster: Cluster, verb: str, what: str) -> None:
    assert not cluster.may("saiki-serving", verb, what)


def test_a_version_that_push_set_is_still_there_after_the_manifests_are_applied_again(cluster: Cluster) -> None:
    patch = (
        '{"spec":{"replicas":2,"template":{"metadata":{"annotations":{"saiki/version":"7"}},"spec":{"initContainers":'
        '[{"name":"fetch","env":[{"name":"SAIKI_VERSION","value":"7"}]}]}}}}'
    )
    patched = cluster.kubectl("patch", "deployment", "serving-flights", "--type=strategic", f"--patch={patch}")
    assert patched.returncode == 0, patched.stderr

    answer = cluster.apply(*moved(cluster))

    assert answer.returncode == 0, answer.stderr
    found = yaml.safe_load(cluster.kubectl("get", "deployment", "serving-flights", "--output=yaml").stdout)
    (fetch,) = found["spec"]["template"]["spec"]["initContainers"]
    assert {"name": "SAIKI_VERSION", "value": "7"} in fetch["env"]
    assert found["spec"]["replicas"] == 2


def test_the_rights_of_a_run_are_enough_for_push(cluster: Cluster) -> None:
    """Its own code, as the account of a run: read, tried, written, watched, its pods listed, released."""
    from kubernetes import config

    from components.push import cluster_api
    from components.push.rollout import Rollout

    client = config.new_client_from_config(KUBECONFIG)
    client.set_default_header("Impersonate-User", f"system:serviceaccount:{cluster.namespace}:saiki-pipeline")
    here = cluster_api.Cluster(client, cluster.namespace, inside=False)
    rollout = Rollout(here, cluster.namespace, "serving-flights", patience=2)

    rollout.check()
    rollout.write(8, holder="test", force=False)
    reason = rollout.wait(8)
    rollout.release("test")

    assert rollout.told().version == 8
    assert "not rolled out within" in reason or "container fetch" in reason, "there is no such version"
    assert "forbidden" not in reason


def test_the_controllers_of_the_cluster_make_pods_of_it(cluster: Cluster) -> None:
    """Whether or not there is a node to run them: quota, limits, security and service account let them be made."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        selector = "--selector=app.kubernetes.io/name=serving"
        pods = yaml.safe_load(cluster.kubectl("get", "pods", selector, "--output=yaml").stdout)["items"]
        if pods:
            break
        time.sleep(0.5)

    assert pods, cluster.kubectl("get", "events", "--field-selector=type=Warning").stdout
    volumes = [source for volume in pods[0]["spec"]["volumes"] for source in volume]
    assert "projected" not in volumes, "a token of the Kubernetes API is mounted"
