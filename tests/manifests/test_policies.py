"""What no object may do."""

from __future__ import annotations

import re

import pytest

from tests.manifests.objects import (
    OVERLAYS,
    containers,
    name_of,
    of_kind,
    overlay,
    quantity,
    strings,
    templates,
    the,
)
from tests.manifests.pod_security import violations

pytestmark = pytest.mark.parametrize("name", OVERLAYS)


def test_the_namespace_enforces_restricted(name: str) -> None:
    (namespace,) = of_kind(name, "Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_pod_passes_pod_security_restricted(name: str) -> None:
    """Not privileged, nothing of the host, not root, no capabilities, seccomp: the standard's rules, one by one."""
    assert templates(name)
    assert [found for pod in templates(name) for found in violations(pod)] == []


def test_every_container_has_a_read_only_root(name: str) -> None:
    for pod in templates(name):
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, container["name"]


def test_every_container_says_what_it_needs_and_what_it_may_take(name: str) -> None:
    for pod in templates(name):
        for container in containers(pod):
            for resource in ("cpu", "memory", "ephemeral-storage"):
                wanted = quantity(container["resources"]["requests"][resource])
                assert 0 < wanted <= quantity(container["resources"]["limits"][resource]), container["name"]


def test_what_is_written_to_an_empty_folder_has_a_limit(name: str) -> None:
    folders = [
        volume["emptyDir"] for pod in templates(name) for volume in pod["spec"]["volumes"] if "emptyDir" in volume
    ]

    assert folders
    assert all("sizeLimit" in folder for folder in folders)


def test_no_image_is_latest_or_without_a_tag(name: str) -> None:
    images = {container["image"] for pod in templates(name) for container in containers(pod)}

    assert images
    for image in images:
        assert re.search(r"[^/]:(?!latest$)[\w][\w.-]*$|@sha256:[0-9a-f]{64}$", image), image


def test_no_role_has_a_wildcard_or_rights_on_the_whole_cluster(name: str) -> None:
    assert of_kind(name, "ClusterRole", "ClusterRoleBinding") == []
    for role in of_kind(name, "Role"):
        for rule in role["rules"]:
            for words in rule.values():
                assert not any("*" in word for word in words), name_of(role)


def test_nobody_may_make_pods_run_commands_in_them_or_change_rights(name: str) -> None:
    allowed = {
        (group, resource, verb)
        for role in of_kind(name, "Role")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    writing = {right for right in allowed if right[2] not in ("get", "list", "watch")}
    assert writing == {
        ("argoproj.io", "workflowtaskresults", "create"),
        ("argoproj.io", "workflowtaskresults", "patch"),
        ("apps", "deployments", "patch"),
    }


def test_secrets_and_deployments_are_named_one_by_one(name: str) -> None:
    for role in of_kind(name, "Role"):
        for rule in role["rules"]:
            if {"secrets", "configmaps", "deployments"} & set(rule["resources"]):
                assert rule.get("resourceNames"), name_of(role)
                assert "secrets" not in rule["resources"] or rule["verbs"] == ["get"]


def test_pushing_changes_the_servers_of_saiki_only(name: str) -> None:
    changed = {
        called
        for role in of_kind(name, "Role")
        for rule in role["rules"]
        if "deployments" in rule["resources"]
        for called in rule["resourceNames"]
    }

    assert changed == {found["metadata"]["name"] for found in of_kind(name, "Deployment")}


def test_no_token_of_the_kubernetes_api_lies_where_it_is_not_needed(name: str) -> None:
    for pod in templates(name):
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["serviceAccountName"] != "default"
    with_token = [
        found["metadata"]["name"]
        for found in of_kind(name, "ServiceAccount")
        if found["automountServiceAccountToken"] is not False
    ]
    assert with_token == ["saiki-pipeline"], "Argo's wait container and KFP's launcher use it"


def test_the_servers_have_no_rights_in_the_cluster(name: str) -> None:
    bound = {subject["name"] for binding in of_kind(name, "RoleBinding") for subject in binding["subjects"]}

    assert bound == {"saiki-pipeline"}


def test_no_secret_value_stands_anywhere(name: str) -> None:
    assert of_kind(name, "Secret") == []
    suspicious = re.compile(r"(?i)(password|secret|token|credential|(access|private|api).?key)")
    for found in overlay(name):
        for path, text in strings(found):
            last = path.rsplit(".", 1)[-1]
            names_only = last in ("name", "key", "storage_secret") or path.endswith(("kind", "resources[0]"))
            assert names_only or not suspicious.search(last) or text == "", f"{name_of(found)}{path}"
            assert not re.search(r"-----BEGIN|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|ya29\.", text), f"{name_of(found)}{path}"
    for pod in templates(name):
        for container in containers(pod):
            for variable in container.get("env", []):
                assert not (suspicious.search(variable["name"]) and "value" in variable), variable["name"]


def test_applying_again_changes_neither_the_version_nor_the_number_of_servers(name: str) -> None:
    for found in of_kind(name, "Deployment"):
        assert "replicas" not in found["spec"], "the autoscaler's"
        assert "SAIKI_VERSION" not in str(found), "push's"


def test_old_servers_answer_until_new_ones_do(name: str) -> None:
    for found in of_kind(name, "Deployment"):
        rolling = found["spec"]["strategy"]["rollingUpdate"]
        assert (rolling["maxUnavailable"], rolling["maxSurge"]) == (0, 1)
        (server,) = found["spec"]["template"]["spec"]["containers"]
        task = found["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"]
        for probe in ("startupProbe", "readinessProbe"):
            assert server[probe]["httpGet"]["path"] == f"/v1/models/{task}/metadata"
        sleep = server["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert sleep < found["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert "livenessProbe" in server


def test_the_pipelines_may_not_open_a_connection_that_is_not_named(name: str) -> None:
    policy = the(name, "NetworkPolicy", "pipeline-default-deny")

    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"]
    assert "egress" not in policy["spec"]


def test_no_network_policy_opens_a_way_to_everywhere(name: str) -> None:
    for policy in of_kind(name, "NetworkPolicy"):
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                assert rule.get(peers), f"{name_of(policy)} opens to all"
                assert rule.get("ports"), f"{name_of(policy)} opens all ports"
                for peer in rule[peers]:
                    block = peer.get("ipBlock", {})
                    if block.get("cidr") == "0.0.0.0/0":
                        assert [port["port"] for port in rule["ports"]] == [443], name_of(policy)
                        assert "10.0.0.0/8" in block["except"]
                        assert "169.254.0.0/16" in block["except"]
