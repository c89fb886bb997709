"""What a profile asks Kubernetes for, read from what is compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared.image import ENVIRONMENT_OF, image_of
from components.push.rollout import _CHECKING_SECONDS, _SLACK_SECONDS
from components.push.tf_serving import _ASK_SECONDS
from pipelines.cluster.compiled import compile_training
from pipelines.cluster.settings import ClusterSettings
from pipelines.training.config import BACKOFF, PROFILES

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = ClusterSettings(
    data_root="s3://saiki/data",
    registry="s3://saiki/models",
    images="images.example/saiki",
    s3_endpoint="http://store:9000",
    s3_region="here",
    storage_secret="saiki-storage",
)
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


class Step:
    """A task with all that is said of it, in both documents."""

    def __init__(self, task: Mapping[str, Any], executor: Mapping[str, Any], kubernetes: Mapping[str, Any]) -> None:
        self.task, self.container, self.kubernetes = task, executor["container"], kubernetes
        self.name: str = task["taskInfo"]["name"]
        self.component = self.name.split(":")[0].replace("-", "_")
        self.resources = self.container["resources"]
        self.environment = {variable["name"]: variable["value"] for variable in self.container.get("env", [])}
        self.volumes = {mount["mountPath"]: mount for mount in kubernetes["emptyDirMounts"]}


compiled = cache(compile_training)


@cache
def steps(profile: str, secret: bool = True) -> list[Step]:
    settings = SETTINGS if secret else SETTINGS.model_copy(update={"storage_secret": "", "s3_endpoint": ""})
    specification, platform = yaml.safe_load_all(compiled(settings, profile).text)
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    components = specification["components"]

    def found(dag: Mapping[str, Any]) -> Iterator[Step]:
        for task in dag["tasks"].values():
            component = components[task["componentRef"]["name"]]
            if "dag" in component:
                yield from found(component["dag"])
            else:
                label = component["executorLabel"]
                yield Step(task, specification["deploymentSpec"]["executors"][label], kubernetes[label])

    return list(found(specification["root"]["dag"]))


def step(profile: str, name: str) -> Step:
    return next(found for found in steps(profile) if found.name == name)


def byte_count(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(\w*)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


every_profile = pytest.mark.parametrize("profile", PROFILES)


@every_profile
def test_every_step_is_placed(profile: str) -> None:
    assert {found.component for found in steps(profile)} == set(ENVIRONMENT_OF) == set(PROFILES[profile].steps)


@every_profile
def test_every_step_asks_for_what_it_may_use_and_may_use_no_less_than_it_asks_for(profile: str) -> None:
    for found in steps(profile):
        if found.component == "train":
            continue
        assert byte_count(found.resources["resourceMemoryRequest"]) <= byte_count(
            found.resources["resourceMemoryLimit"]
        )
        assert found.resources["resourceCpuRequest"] and found.resources["resourceCpuLimit"]


@every_profile
def test_every_step_that_computes_has_twice_the_memory_that_was_measured(profile: str) -> None:
    measured = 714_000_000

    for name, config in PROFILES[profile].steps.items():
        if ENVIRONMENT_OF[name] != "light":
            assert byte_count(config.memory_limit) > 2 * measured, name
        assert byte_count(config.memory_limit) > 1.4 * measured, name


@every_profile
def test_every_step_has_a_time_limit_a_tmp_of_a_limited_size_and_runs_as_nobody_special(profile: str) -> None:
    for found in steps(profile):
        assert int(found.kubernetes["activeDeadlineSeconds"]) >= 600
        assert byte_count(found.volumes["/tmp"]["sizeLimit"]) >= 2**30
        assert "medium" not in found.volumes["/tmp"]
        assert found.kubernetes["securityContext"] == {"runAsNonRoot": True}


@every_profile
def test_every_pod_says_what_it_belongs_to_for_network_policies_and_costs(profile: str) -> None:
    for found in steps(profile):
        assert found.kubernetes["podMetadata"]["labels"] == {
            "app.kubernetes.io/part-of": "saiki",
            "app.kubernetes.io/component": found.component.replace("_", "-"),
        }


@every_profile
def test_what_looks_at_the_world_or_changes_it_is_never_cached_and_all_else_is(profile: str) -> None:
    uncached = {found.component for found in steps(profile) if "enableCache" not in found.task["cachingOptions"]}

    assert uncached == {"plan", "push", "conclude"}


@every_profile
def test_a_rejection_is_not_asked_for_again(profile: str) -> None:
    assert {found.component for found in steps(profile) if "retryPolicy" not in found.task} == {"conclude"}


@every_profile
def test_there_is_time_for_every_retry_since_one_that_runs_when_it_is_up_is_killed(profile: str) -> None:
    for found in steps(profile):
        if policy := found.task.get("retryPolicy"):
            attempts = policy["maxRetryCount"] + 1
            waits = sum(BACKOFF * 2**number for number in range(policy["maxRetryCount"]))
            limit = int(found.kubernetes["activeDeadlineSeconds"])
            assert int(policy["backoffMaxDuration"].rstrip("s")) >= attempts * limit + waits
            # Argo takes whole factors only.
            assert policy["backoffFactor"] == 2


def test_train_in_the_profile_gpu_asks_for_accelerators_by_the_resources_own_name() -> None:
    accelerator = step("gpu", "train").resources["accelerator"]

    assert accelerator["resourceType"] == "nvidia.com/gpu"
    assert "train_accelerators" in accelerator["resourceCount"]
    assert compiled(SETTINGS, "gpu").parameters["train_accelerators"].default == "1"


def test_train_in_the_profile_gpu_tolerates_their_taint_shares_memory_and_runs_the_image_that_can_use_them() -> None:
    found = step("gpu", "train")

    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in found.kubernetes["tolerations"]
    assert found.volumes["/dev/shm"]["medium"] == "Memory"
    assert byte_count(found.volumes["/dev/shm"]["sizeLimit"]) < byte_count("16Gi")
    assert found.container["image"] == image_of("train", prefix=SETTINGS.images, variant="gpu")


def test_nothing_but_train_in_the_profile_gpu_asks_for_accelerators() -> None:
    asking = {(name, found.name) for name in PROFILES for found in steps(name) if "accelerator" in found.resources}

    assert asking == {("gpu", "train")}


@every_profile
def test_cpu_memory_and_nodes_of_train_are_run_parameters_with_the_profiles_sizes_as_defaults(profile: str) -> None:
    found = step(profile, "train")
    parameters = compiled(SETTINGS, profile).parameters
    config = PROFILES[profile].steps["train"]

    for field in ("resourceCpuRequest", "resourceCpuLimit"):
        assert "train_cpu" in found.resources[field]
    for field in ("resourceMemoryRequest", "resourceMemoryLimit"):
        assert "train_memory" in found.resources[field]
    assert found.kubernetes["nodeSelector"]["nodeSelectorJson"] == {"componentInputParameter": "train_node_selector"}
    assert (parameters["train_cpu"].default, parameters["train_memory"].default) == (config.cpu, config.memory_limit)
    assert parameters["train_node_selector"].default == {}


def test_resources_are_text_since_kfp_reads_numbers_as_nothing_there() -> None:
    parameters = compiled(SETTINGS, "gpu").parameters

    assert {parameters[f"train_{name}"].type for name in ("cpu", "memory", "accelerators")} == {str}


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_only_train_runs_on_machines_that_are_taken_away_and_it_is_tried_more_often(profile: str) -> None:
    spot = {found.name for found in steps(profile) if "gke-spot" in str(found.kubernetes.get("tolerations"))}

    assert spot == {"train"}
    assert step(profile, "train").task["retryPolicy"]["maxRetryCount"] > 2


@every_profile
def test_who_reads_and_writes_the_store_gets_its_credentials_and_nobody_else(profile: str) -> None:
    for found in steps(profile):
        secrets = found.kubernetes.get("secretAsEnv", [])
        if found.component in ("judge", "conclude"):
            assert not secrets and not found.environment
            continue
        (secret,) = secrets
        assert secret["secretName"] == "saiki-storage"
        assert [pair["envVar"] for pair in secret["keyToEnv"]] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        assert found.environment == {"AWS_ENDPOINT_URL": "http://store:9000", "AWS_REGION": "here"}


def test_with_workload_identity_no_secret_is_mounted() -> None:
    for found in steps("cpu", secret=False):
        assert "secretAsEnv" not in found.kubernetes
        assert found.environment.keys() <= {"AWS_REGION"}


@every_profile
def test_steps_run_the_images_of_their_components_from_the_clusters_registry(profile: str) -> None:
    for found in steps(profile):
        variant = "gpu" if (profile, found.name) == ("gpu", "train") else ""
        assert found.container["image"] == image_of(found.component, prefix="images.example/saiki", variant=variant)


@pytest.mark.parametrize("profile", PROFILES)
def test_push_has_time_to_wait_for_another_deployment_to_fail_itself_and_to_put_the_champion_back(profile: str) -> None:
    text = (ROOT / "manifests" / "serving" / "base" / "deployment.yaml").read_text(encoding="utf-8")
    rollout = yaml.safe_load(text)["spec"]["progressDeadlineSeconds"] + _SLACK_SECONDS
    assert PROFILES[profile].steps["push"].timeout > 3 * (rollout + _CHECKING_SECONDS)


def test_who_deploys_keeps_others_out_until_its_version_has_answered() -> None:
    # The slack is already a part of the rollout's own time.
    assert _CHECKING_SECONDS > _SLACK_SECONDS + _ASK_SECONDS
