"""A cluster with a model server in it: the Deployment of `manifests/serving`, as `push` finds it.

The twins stand in for the cluster. With SAIKI_TEST_KUBECONFIG, it is that cluster (an administrator's kubeconfig): its
API server, controllers, RBAC and way to Services; only the pods are run by `pod_runner.py`, under addresses of
SAIKI_TEST_POD_NETWORK (such as 10.244.77), which must be this machine's: `ip route add local 10.244.77.0/24 dev lo`.
"""

from __future__ import annotations

import copy
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from components.push.cluster_api import Cluster
from components.push.rollout import Rollout
from components.push.tf_serving import TensorFlowServing
from tests.kubernetes_server import KubernetesServer, rules_of
from tests.pod_runner import ModelServers, PodRunner

SERVING = Path(__file__).resolve().parents[1] / "manifests" / "serving" / "base"
REAL = os.environ.get("SAIKI_TEST_KUBECONFIG", "")
NETWORK = os.environ.get("SAIKI_TEST_POD_NETWORK", "")
_FROM_OUTSIDE = {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get", "create"]}
"""What somebody needs, besides the role of `push`, who is not in the cluster."""

Change = Callable[[dict[str, Any]], object]


class ServingCluster:
    """A namespace with a server for a task.

    Attributes:
        task: Its name.
        kubeconfig: Of who deploys, with the rights of `manifests/serving/base/deploy-role.yaml`.
        twin: The twin; None: a real cluster.
    """

    def __init__(
        self, folder: Path, servers: ModelServers, twin: KubernetesServer | None, registry: str, task: str
    ) -> None:
        self.task = task
        self.namespace = f"saiki-test-{secrets.token_hex(4)}"
        self.twin = twin
        self.registry = registry
        self._folder = folder
        self.admin = client.ApiClient(self._admin_settings())
        self.apps, self.core = client.AppsV1Api(self.admin), client.CoreV1Api(self.admin)
        node = "" if twin else f"node-of-{self.namespace}"
        if twin is None:
            self.core.create_namespace({"metadata": {"name": self.namespace}})
            self.core.create_node({"metadata": {"name": node}, "spec": {"unschedulable": True}})
        self.kubeconfig = folder / f"kubeconfig-{self.namespace}"
        self._write_kubeconfig()
        self.pods = PodRunner(self.admin, self.namespace, servers, NETWORK or _network(), node)

    def set_up(self, change: Change = lambda deployment: None) -> None:
        """Applies what `manifests/serving` holds for the task.

        Args:
            change: Changes the Deployment before that.
        """
        settings = {"metadata": {"name": "saiki-settings"}, "data": {"registry": self.registry}}
        self.core.create_namespaced_config_map(self.namespace, settings)
        labels = {"app.kubernetes.io/name": "serving", "app.kubernetes.io/instance": self.task}
        service = _manifest("service.yaml", "Service")
        service["metadata"]["name"] = f"serving-{self.task}"
        service["spec"]["selector"] = labels
        self.core.create_namespaced_service(self.namespace, service)
        deployment = _manifest("deployment.yaml", "Deployment")
        deployment["metadata"]["name"] = f"serving-{self.task}"
        spec = deployment["spec"]
        # As kustomize does in `manifests/serving/flights`.
        spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = labels
        # No node of a real cluster is to take these pods.
        spec["template"]["spec"]["schedulerName"] = "tests"
        spec["progressDeadlineSeconds"] = 120
        server = spec["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe"):
            server[probe]["httpGet"]["path"] = f"/v1/models/{self.task}/metadata"
        change(deployment)
        self.apps.create_namespaced_deployment(self.namespace, deployment)

    def server(self, *, stuck_after: float = 1, ask_seconds: float = 30, token: str = "") -> TensorFlowServing:
        """The server as `push` reaches it, with less patience.

        Args:
            token: In the twin: of whom.
        """
        settings = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=settings)
        if token:
            settings.api_key = {"authorization": f"Bearer {token}"}
            settings.refresh_api_key_hook = None
        settings.retries = False
        cluster = Cluster(client.ApiClient(settings), self.namespace, inside=False)
        name = f"serving-{self.task}"
        rollout = Rollout(cluster, self.namespace, name, stuck_after=stuck_after)
        return TensorFlowServing(cluster, self.namespace, name, self.task, patience=ask_seconds, rollout=rollout)

    def deployment(self) -> Any:
        """As it is now."""
        return self.apps.read_namespaced_deployment(f"serving-{self.task}", self.namespace)

    def patch(self, body: dict[str, Any]) -> Any:
        """Somebody else changes the Deployment."""
        return self.apps.patch_namespaced_deployment(f"serving-{self.task}", self.namespace, body)

    def change_image(self, container: str, image: str) -> None:
        """Somebody else changes an image."""
        part = "initContainers" if container == "fetch" else "containers"
        self.patch({"spec": {"template": {"spec": {part: [{"name": container, "image": image}]}}}})

    def close(self) -> None:
        """Removes it."""
        if self.twin is None:
            for pod in self.core.list_namespaced_pod(self.namespace).items:
                self.core.delete_namespaced_pod(pod.metadata.name, self.namespace, grace_period_seconds=0)
            self.core.delete_namespace(self.namespace)
            self.core.delete_node(f"node-of-{self.namespace}")

    def _admin_settings(self) -> Any:
        settings = client.Configuration()
        if self.twin is None:
            config.load_kube_config(REAL, client_configuration=settings)
        else:
            config.load_kube_config_from_dict(
                json.loads(self.twin.kubeconfig(self.namespace)), client_configuration=settings
            )
        return settings

    def _write_kubeconfig(self) -> None:
        role = _manifest("deploy-role.yaml", "Role")
        rules = copy.deepcopy(role["rules"])
        rules[0]["resourceNames"] = [f"serving-{self.task}"]
        rules.append(_FROM_OUTSIDE)
        if self.twin is not None:
            self.twin.rules["push"] = rules_of({"rules": rules})
            self.kubeconfig.write_text(self.twin.kubeconfig(self.namespace, "push"))
            return
        rbac = client.RbacAuthorizationV1Api(self.admin)
        for name in ("saiki-serving", "saiki-pipeline"):
            self.core.create_namespaced_service_account(self.namespace, {"metadata": {"name": name}})
        rbac.create_namespaced_role(self.namespace, {"metadata": {"name": "deploy"}, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": "saiki-pipeline", "namespace": self.namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deploy"}
        binding = {"metadata": {"name": "deploy"}, "roleRef": reference, "subjects": [subject]}
        rbac.create_namespaced_role_binding(self.namespace, binding)
        asked = {"spec": {"expirationSeconds": 3600}}
        token = self.core.create_namespaced_service_account_token("saiki-pipeline", self.namespace, asked).status.token
        found = yaml.safe_load(Path(REAL).read_text())
        found["users"] = [{"name": "push", "user": {"token": token}}]
        for context in found["contexts"]:
            context["context"] |= {"user": "push", "namespace": self.namespace}
        self.kubeconfig.write_text(yaml.safe_dump(found))
        time.sleep(0.5)


@contextmanager
def serving_cluster(
    folder: Path, servers: ModelServers, twin: KubernetesServer | None, registry: str, task: str = "flights"
) -> Iterator[ServingCluster]:
    """A fresh namespace whose pods are run, while the context lasts; nothing is set up in it yet."""
    cluster = ServingCluster(folder, servers, twin, registry, task)
    try:
        with cluster.pods:
            yield cluster
    finally:
        cluster.close()


def _network() -> str:
    """Addresses of this machine that other tests at the same moment do not use as well."""
    return f"127.{secrets.randbelow(250) + 2}.{secrets.randbelow(250) + 2}"


def _manifest(file: str, kind: str) -> dict[str, Any]:
    found = yaml.safe_load_all((SERVING / file).read_text(encoding="utf-8"))
    return next(each for each in found if each["kind"] == kind)
