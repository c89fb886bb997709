"""Names, settings and messages of the images, without an engine."""

import inspect
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from components._shared.image import ENVIRONMENT_OF, image_of
from pipelines.commands.image import name_image
from pipelines.images import build as images
from pipelines.local.containers import _said, surroundings_of

ROOT = Path(__file__).resolve().parents[2]


def test_the_dockerfile_has_a_target_per_environment():
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert set(images.TARGETS) <= set(stages)
    assert set(images.ENVIRONMENTS) == set(ENVIRONMENT_OF.values())


def test_an_image_is_called_what_the_steps_call_theirs():
    for component, environment in ENVIRONMENT_OF.items():
        assert image_of(component) in images.image_for(environment).names
        assert image_of(component, prefix="host/team") in images.image_for(environment, "host/team/").names
    assert image_of("train", variant="gpu") in images.image_for("tensorflow-gpu").names


def test_train_alone_has_a_variant_for_a_gpu():
    assert CliRunner().invoke(name_image, ["train", "--gpu"]).output.strip() == image_of("train", variant="gpu")
    assert "Only train" in str(CliRunner().invoke(name_image, ["plan", "--gpu"]).exception)


def test_without_an_engine_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(images.ImageError) as caught:
        images.Engine.find()

    assert "docker is not installed; podman is not installed; buildah is not installed" in str(caught.value)
    assert "apt-get install podman" in caught.value.fix


def engine_that(tmp_path, monkeypatch, script):
    """A podman of which only the answers matter."""
    path = tmp_path / "podman"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return images.Engine("podman")


def test_a_base_image_that_cannot_be_pulled_can_be_made(tmp_path, monkeypatch):
    engine = engine_that(tmp_path, monkeypatch, "echo no route to host >&2; exit 125")

    with pytest.raises(images.ImageError, match="no route to host") as caught:
        engine.need_base("debian:trixie-slim")

    assert "saiki image base" in caught.value.fix


def test_little_disk_is_said_before_minutes_of_work(tmp_path, monkeypatch):
    engine = engine_that(tmp_path, monkeypatch, f"echo {tmp_path}")
    monkeypatch.setattr(images, "_DISK_NEEDED", {"light": 10**9})

    with pytest.raises(images.ImageError, match="GB are free, the image light needs") as caught:
        engine.need_disk("light")

    assert "podman system prune" in caught.value.fix


def test_a_machine_s_index_and_proxies_go_to_the_build_and_its_files_do_not(tmp_path):
    environ = {
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": "https://user:word@index.example/simple",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "HTTPS_PROXY": "http://proxy.example:3128",
        "UV_CACHE_DIR": str(tmp_path),
        "AWS_SECRET_ACCESS_KEY": "none of its business",
    }

    settings = images.installer_settings(environ)

    assert settings["PIP_INDEX_URL"] == settings["UV_DEFAULT_INDEX"] == "https://user:word@index.example/simple"
    assert settings["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert str(tmp_path) not in "".join(settings.values())
    assert "AWS_SECRET_ACCESS_KEY" not in settings


def test_the_ca_bundle_is_the_one_that_this_machine_names(tmp_path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()

    assert images.ca_bundle({"SSL_CERT_FILE": "/nonexistent", "REQUESTS_CA_BUNDLE": str(bundle)}) == bundle


def arguments(tmp_path, **given):
    task = tmp_path / "tasks" / "task.yaml"
    task.parent.mkdir()
    (tmp_path / "rows").mkdir()
    task.write_text("data: {sources: ['../rows/{date}.csv', 'near/*.csv', 'gs://far/rows.csv']}")
    roots = {"data_root": str(tmp_path / "data"), "registry": str(tmp_path / "registry")}
    return {"task": str(task), **roots, **given}


def test_a_container_sees_the_roots_the_task_and_the_sources(tmp_path):
    seen = surroundings_of(arguments(tmp_path), {"HOME": "/home/somebody"})

    assert seen.written == (tmp_path / "data", tmp_path / "registry")
    assert seen.read == (tmp_path / "rows", tmp_path / "tasks")
    assert "HOME" not in seen.variables


def test_a_container_reaches_a_store_on_loopback_by_the_host_s_network_alone(tmp_path):
    given = arguments(tmp_path, registry="gs://bucket/registry")

    emulated = surroundings_of(given, {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"})

    assert emulated.network == "host"
    assert emulated.variables == {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"}
    assert surroundings_of(given, {}).network == ""


def test_a_run_on_folders_has_no_network_and_no_credentials(tmp_path):
    given = arguments(tmp_path)
    Path(given["task"]).write_text("data: {sources: ['rows.csv']}")

    seen = surroundings_of(given, {"AWS_SECRET_ACCESS_KEY": "secret"})

    assert (seen.network, seen.variables) == ("none", {})


def test_kfp_starts_its_containers_by_the_one_function_that_is_replaced():
    from kfp.local import docker_task_handler

    parameters = inspect.signature(docker_task_handler.run_docker_container).parameters

    assert [*parameters] == ["client", "image", "command", "volumes", "container_run_args"]
    assert "run_docker_container" in docker_task_handler.DockerTaskHandler.run.__code__.co_names


def test_what_a_step_raised_in_a_container_is_told_as_elsewhere():
    log = """some line
Traceback (most recent call last):
components._shared.errors.TaskError: No such file

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "executor.py", line 3, in x
components._shared.errors.DataError: There is no such file
  where: rows.csv
  do:    correct data.sources
"""
    told = _said(log)

    assert (told["kind"], told["what"], told["where"], told["fix"]) == (
        "DataError",
        "There is no such file",
        "rows.csv",
        "correct data.sources",
    )
    assert told["traceback"].startswith("Traceback")
    assert _said("Traceback (most recent call last):\nKeyError: 'x'\n")["kind"] == "unexpected"
