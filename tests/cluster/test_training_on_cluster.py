"""The whole way, on any cluster: some rows go into its object storage, and `saiki submit --wait` trains on them.

It needs KFP_ENDPOINT (where the API answers), SAIKI_CLUSTER (settings.yaml of the cluster; its images must be there)
and, in the environment, what reaches the roots from here (AWS_… or Google's application default credentials).
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from pipelines.cluster.settings import ClusterSettings, read_cluster_settings
from tests.small_task import AS_OF, sales, write_csv, write_task

ROOT = Path(__file__).resolve().parents[2]
_WITHIN = int(os.environ.get("KFP_TIMEOUT", "3600"))


@pytest.fixture(scope="module")
def settings(real_endpoint: str) -> ClusterSettings:
    path = os.environ.get("SAIKI_CLUSTER", "")
    if not path:
        pytest.skip("no settings: set SAIKI_CLUSTER to the settings.yaml of the cluster behind KFP_ENDPOINT")
    return read_cluster_settings(Path(path))


@pytest.fixture(scope="module")
def task(settings: ClusterSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A task file of this machine, whose data is in the cluster's object storage; its name is its own."""
    folder, name = tmp_path_factory.mktemp("task"), f"stands_{secrets.token_hex(3)}"
    rows = storage.join(settings.data_root, "tests", name, "sales.csv")
    storage.create(rows, write_csv(folder / "rows.csv", sales()))

    def change(task: dict[str, Any]) -> None:
        task |= {"name": name, "data": {"sources": [rows]}}

    yield write_task(folder / "task", task=change)
    storage.delete(rows)


def submit(endpoint: str, task: Path, *words: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "pipelines", "submit", "training", "--endpoint", endpoint, "--profile", "laptop"]
    command += ["--set", f"task={task}", "--set", f"as_of={AS_OF}", *words, "--wait", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=_WITHIN, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def first(real_endpoint: str, task: Path) -> tuple[int, dict[str, Any]]:
    return submit(real_endpoint, task)


def test_a_first_model_is_trained_and_promoted(first: tuple[int, dict[str, Any]]) -> None:
    code, result = first
    states = {step["step"]: step["state"] for step in result["steps"]}
    assert (code, result["state"]) == (0, "SUCCEEDED"), result
    assert states["train"] == states["push: promote"] == states["conclude"] == "succeeded"


def test_the_same_again_is_taken_from_the_cache(
    real_endpoint: str, task: Path, first: tuple[int, dict[str, Any]]
) -> None:
    code, result = submit(real_endpoint, task)
    assert code == 0, result
    cached = {step["step"] for step in result["steps"] if step["state"] == "cached"}
    assert {"ingest", "split", "train"} <= cached
    assert not result["pipeline"]["new"]


def test_a_candidate_that_is_turned_down_ends_with_1_and_the_reason(
    real_endpoint: str, task: Path, first: tuple[int, dict[str, Any]]
) -> None:
    code, result = submit(real_endpoint, task, "--set", "trainer=constant")
    assert (code, result["state"]) == (1, "FAILED"), result
    assert [step["step"] for step in result["steps"] if step["state"] == "failed"] == ["conclude"]
    assert "turned the candidate down" in result["said"]


def test_a_step_that_fails_ends_with_2_and_its_name(real_endpoint: str, task: Path) -> None:
    code, result = submit(real_endpoint, task, "--set", "as_of=1999-01-01")
    assert code == 2, result
    assert [step["step"] for step in result["steps"] if step["state"] == "failed"]
