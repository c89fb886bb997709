"""The same code, settings and profile give the same bytes; what a person reads in Kubeflow is there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from components._shared.errors import InputError
from components._shared.image import image_of
from pipelines.cluster.compiled import CompiledPipeline, compile_component, compile_training
from pipelines.cluster.settings import ClusterSettings
from pipelines.training.config import PROFILES
from pipelines.training.pipeline import training

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ClusterSettings(
    data_root="gs://bucket/data", registry="gs://bucket/models", pipeline_root="gs://bucket/runs", images="r.example/s"
)
MOST_BYTES = 200_000
"""Kubeflow makes an object of about 1.3 times that; clusters take 1.5 MB with all that happens in a run."""


@cache
def compiled(profile: str) -> CompiledPipeline:
    return compile_training(SETTINGS, profile)


def specification(text: str) -> dict[str, Any]:
    found: dict[str, Any] = next(yaml.safe_load_all(text))
    return found


def test_two_processes_in_two_folders_make_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "from pipelines.cluster.settings import ClusterSettings\n"
        "from pipelines.cluster.compiled import compile_training\n"
        f"settings = ClusterSettings(**{SETTINGS.model_dump()!r})\n"
        "print(compile_training(settings, 'gpu').text)\n"
    )
    running = []
    for seed, zone in (("1", "UTC"), ("7", "Asia/Tokyo")):
        (tmp_path / seed).mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "TZ": zone}
        command = [sys.executable, "-W", "ignore", "-c", program]
        running.append(
            subprocess.Popen(command, cwd=tmp_path / seed, env=environment, stdout=subprocess.PIPE, text=True)
        )

    first, second = (process.communicate()[0] for process in running)

    assert len(first) > 50_000
    assert first == second


def test_the_digest_is_that_of_the_text() -> None:
    assert compiled("cpu").digest == hashlib.sha256(compiled("cpu").text.encode()).hexdigest()


def test_the_digest_tells_profiles_settings_and_images_apart() -> None:
    other = SETTINGS.model_copy(update={"data_root": "gs://bucket/other"})
    found = [compiled(profile) for profile in PROFILES]
    found += [compile_training(other, "cpu"), compile_training(SETTINGS, "cpu", {"train": "mine:1"})]

    assert len({one.digest for one in found}) == len(found)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_compiled_leaves_room_below_what_kubeflow_takes(profile: str) -> None:
    assert len(compiled(profile).text.encode()) < MOST_BYTES


def test_both_documents_are_one_text_and_the_second_is_kubernetes() -> None:
    documents = list(yaml.safe_load_all(compiled("cpu").text))

    assert [sorted(document)[0] for document in documents] == ["components", "platforms"]
    assert documents[0]["defaultPipelineRoot"] == "gs://bucket/runs"


def test_every_parameter_of_the_form_says_what_it_is() -> None:
    for name, parameter in compiled("gpu").parameters.items():
        assert len(parameter.description) > 15, name


def test_the_cluster_fills_in_the_roots_and_only_the_task_must_be_given() -> None:
    parameters = compiled("cpu").parameters

    assert parameters["data_root"].default == "gs://bucket/data"
    assert parameters["registry"].default == "gs://bucket/models"
    assert [name for name, parameter in parameters.items() if parameter.required] == ["task"]
    assert (parameters["budget"].type, parameters["budget"].default) == (int, 0)


def test_without_a_cluster_the_roots_must_be_given_too() -> None:
    parameters = compile_training(ClusterSettings(), "cpu").parameters

    assert {name for name, parameter in parameters.items() if parameter.required} == {"task", "data_root", "registry"}


def test_a_rejection_is_red_on_a_cluster_unless_told_otherwise_and_has_an_exit_code_here() -> None:
    assert compiled("cpu").parameters["fail_on"].default == "rejected,not_served"
    assert training.component_spec.inputs["fail_on"].default == ""


def test_forms_show_no_parameter_that_would_change_nothing() -> None:
    here = {name for name in training.component_spec.inputs if name.startswith("train_")}
    there = {name for name in compiled("cpu").parameters if name.startswith("train_")}

    assert not here
    assert there == {"train_cpu", "train_memory", "train_node_selector"}


def test_every_step_and_every_branch_has_a_name_that_a_person_chose() -> None:
    found = specification(compiled("cpu").text)
    dags = [found["root"]["dag"], *(one["dag"] for one in found["components"].values() if "dag" in one)]
    names = [task["taskInfo"]["name"] for dag in dags for task in dag["tasks"].values()]

    steps = ["plan", "ingest", "split", "validate", "train", "evaluate", "smoke-test", "judge"]
    steps += ["compare", "behave", "explain", "settle"]
    predictions = ["predict: candidate", "predict: champion", "predict: reference"]
    branches = ["decision", "passed", "push: promote", "conclude", "not passed", "push: record", "conclude"]
    assert sorted(names) == sorted([*steps, *predictions, *branches])


def test_the_local_pipeline_has_the_steps_of_the_one_on_a_cluster() -> None:
    here = json_format.MessageToDict(training.pipeline_spec)

    assert set(here["components"]) == set(specification(compiled("cpu").text)["components"])


def test_a_teams_image_replaces_ours_wherever_its_component_runs_and_plan_is_told() -> None:
    compiled = compile_training(SETTINGS, "gpu", {"predict": "theirs:1", "train": "theirs:2"})
    found = specification(compiled.text)
    images = {label: executor["container"]["image"] for label, executor in found["deploymentSpec"]["executors"].items()}

    assert {images[label] for label in ("exec-predict", "exec-predict-2", "exec-predict-3")} == {"theirs:1"}
    assert images["exec-train"] == "theirs:2"
    assert images["exec-smoke-test"] == image_of("smoke_test", prefix="r.example/s")
    assert {"theirs:1", "theirs:2"} < set(compiled.images)
    told = found["root"]["dag"]["tasks"]["plan"]["inputs"]["parameters"]["images"]["runtimeValue"]["constant"]
    assert told == {"predict": "theirs:1", "train": "theirs:2"}


def test_a_component_of_its_own_runs_the_clusters_image() -> None:
    ours = compile_component("judge", SETTINGS)
    theirs = compile_component("judge", SETTINGS, {"judge": "theirs:1"})

    assert f"image: {image_of('judge', prefix='r.example/s')}\n" in ours
    assert "image: theirs:1\n" in theirs


@pytest.mark.parametrize(
    ("profile", "images", "message"),
    [("huge", {}, "There is no profile 'huge'"), ("cpu", {"tarin": "x"}, "There is no step 'tarin'")],
)
def test_a_profile_or_step_that_is_not_there_is_named(profile: str, images: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compile_training(SETTINGS, profile, images)
