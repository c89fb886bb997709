"""The training pipeline on the small task: each step in a container of its image, with the results of a run without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components._shared.image import image_of
from pipelines.images import build as images
from tests.small_task import AS_OF, write_task

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "custom_trainer"


@pytest.fixture(scope="module")
def here(engine, built):
    """All images of the present code."""
    if engine.name == "buildah":
        pytest.skip("Buildah runs nothing")
    return {target: built(target) for target in images.ENVIRONMENTS}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_task(tmp_path_factory.mktemp("stands"))


def run(task, state, *options):
    """`saiki run training`; returns exit code, result and errors."""
    parameters = ["--set", f"task={task}", "--set", f"as_of={AS_OF}", "--state", str(state)]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", "training", "--json", *parameters, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLE}"},
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return done.returncode, result, done.stderr


def outcomes(result):
    return {step["step"]: (step["rows_out"], step["outcome"]) for step in result["steps"]}


def manifests(state):
    """Step → output → what the datasets of a run promise: digest, rows."""
    found = {}
    for path in sorted((state / "runs").glob("*/*/*")):
        if path.is_file():
            try:
                content = json.loads(path.read_text())
            except ValueError:
                continue
            if isinstance(content, dict) and "shards" in content:
                found[f"{path.parent.name}/{path.name}"] = (content["digest"], content["rows"])
    return found


@pytest.fixture(scope="module")
def contained_run(here, task, tmp_path_factory):
    state = tmp_path_factory.mktemp("contained")
    code, result, errors = run(task, state, "--containers")
    assert result, errors
    return state, code, result


def test_a_run_in_containers_gives_what_a_run_without_gives(contained_run, task, tmp_path):
    state, code, result = contained_run

    plain_code, plain, errors = run(task, tmp_path)

    assert plain, errors
    assert (code, plain_code) == (0, 0)
    assert not any(step["cached"] for step in [*result["steps"], *plain["steps"]])
    alike = ("outcome", "summary", "result", "version", "experiment", "judgement")
    assert {name: result[name] for name in alike} == {name: plain[name] for name in alike}
    assert outcomes(result) == outcomes(plain)
    assert len(manifests(state)) > 5
    assert manifests(state) == manifests(tmp_path)


def test_what_a_container_writes_is_the_caller_s(contained_run):
    state, _, _ = contained_run

    assert {path.stat().st_uid for path in state.rglob("*")} == {os.getuid()}


def test_run_again_in_containers_everything_is_cached_but_the_ends(contained_run, task):
    state, _, _ = contained_run

    code, again, _ = run(task, state, "--containers")

    assert code == 0
    assert {step["step"] for step in again["steps"] if not step["cached"]} == {"plan", "push: promote"}
    assert again["replayed"]


def test_what_goes_wrong_in_a_container_is_said_as_elsewhere(here, tmp_path):
    task = write_task(tmp_path / "stands")
    (task.parent / "sales.csv").unlink()

    code, _, errors = run(task, tmp_path / "state", "--containers")

    assert code == 2
    assert "sales.csv" in errors and "step plan" in errors
    assert "Traceback" not in errors


def test_an_image_that_is_not_built_is_named_before_anything_runs(here, task, tmp_path):
    code, _, errors = run(task, tmp_path, "--containers", "--image", "train=nobody/has-this:1")

    assert code == 2
    assert "nobody/has-this:1" in errors


def test_an_image_without_containers_is_an_error(task, tmp_path):
    code, _, errors = run(task, tmp_path, "--image", "train=mine:1")

    assert code == 2
    assert "add --containers" in errors


def test_a_team_s_trainer_runs_in_an_image_built_from_ours(engine, here, task, contained_run, tmp_path):
    built = subprocess.run(
        [engine.name, "build", "--build-arg", f"SAIKI_IMAGE={image_of('train')}", "--tag", "team-trainer:1", EXAMPLE],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    trainer = ["--set", "trainer=team_trainers.wide_and_deep:train", "--set", "parameters={epochs: 3}"]

    code, result, errors = run(task, tmp_path, "--containers", "--image", "train=team-trainer:1", *trainer)

    assert result, errors
    assert code in (0, 1), "a verdict on three epochs may be either"
    assert result["experiment"] != contained_run[2]["experiment"]
