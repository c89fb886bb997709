"""Both overlays build, and every object is what Kubernetes takes, field by field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared.image import image_of
from pipelines.cluster.settings import ClusterSettings, read_cluster_settings
from tests.manifests.objects import OVERLAYS, ROOT, built, name_of, of_kind, overlay, the

OLDEST, NEWEST = "1.31", "1.37"
"""The versions of Kubernetes that the manifests are held to: `docs/cluster.md` names the oldest."""

pytestmark = pytest.mark.parametrize("name", OVERLAYS)


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
def test_every_object_is_valid_and_has_no_field_that_kubernetes_would_drop(name: str, kubernetes: str) -> None:
    import kubernetes_validate

    for found in overlay(name):
        kubernetes_validate.validate(found, kubernetes, strict=True)


def test_there_are_no_custom_resources_whose_definitions_a_cluster_might_lack(name: str) -> None:
    groups = {found["apiVersion"].rpartition("/")[0] for found in overlay(name)}

    built_in = {"", "apps", "autoscaling", "batch", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"}
    assert groups <= built_in, "give the schema of the custom resource's definition to the tests, and document it"


def test_everything_lies_in_the_namespace_where_the_pipelines_run(name: str) -> None:
    settings = read_cluster_settings(ROOT / "manifests" / "overlays" / name / "settings.yaml")

    namespaces = {found["metadata"].get("namespace") for found in overlay(name) if found["kind"] != "Namespace"}

    assert namespaces == {settings.namespace}
    assert [found["metadata"]["name"] for found in of_kind(name, "Namespace")] == [settings.namespace]


def test_no_two_objects_have_the_same_name(name: str) -> None:
    names = [name_of(found) for found in overlay(name)]

    assert len(names) == len(set(names))


def test_the_command_line_reads_the_settings_that_the_cluster_is_given(name: str) -> None:
    settings = read_cluster_settings(ROOT / "manifests" / "overlays" / name / "settings.yaml")

    data = the(name, "ConfigMap", "saiki-settings")["data"]

    assert ClusterSettings.from_value(data | {"namespace": settings.namespace}) == settings
    assert settings.data_root
    assert settings.registry
    assert settings.service_account in {found["metadata"]["name"] for found in of_kind(name, "ServiceAccount")}


def test_building_does_not_change_with_the_folder_that_the_repository_lies_in(name: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")

    assert built(tmp_path / "manifests" / "overlays" / name) == built(ROOT / "manifests" / "overlays" / name)


def test_the_taking_away_of_saiki_leaves_the_namespace(name: str) -> None:
    kustomization = yaml.safe_load((ROOT / "manifests" / "overlays" / name / "kustomization.yaml").read_text())

    assert "namespace.yaml" not in kustomization["resources"]


def test_pinning_names_the_image_that_push_runs_in_and_keeps_the_comments(name: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from pipelines.images.pins import pin

    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    folder = tmp_path / "manifests" / "overlays" / name
    before = (folder / "kustomization.yaml").read_text()

    answer = CliRunner().invoke(pin, ["--cluster", str(folder / "settings.yaml")])

    assert answer.exit_code == 0, answer.output
    settings = read_cluster_settings(folder / "settings.yaml")
    expected = image_of("push", prefix=settings.images)
    deployments: list[dict[str, Any]] = [
        found for found in yaml.safe_load_all(built(folder)) if found["kind"] == "Deployment"
    ]
    assert deployments
    for deployment in deployments:
        (fetch,) = deployment["spec"]["template"]["spec"]["initContainers"]
        assert fetch["image"] == expected
    comments = [line for line in before.splitlines() if "#" in line]
    assert all(line in (folder / "kustomization.yaml").read_text() for line in comments), "comments are lost"
