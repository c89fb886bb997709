"""Runs the command line as a user does, in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "examples" / "flights"


@dataclass
class Outcome:
    """What a command left: exit code, output, and the JSON if it printed any."""

    code: int
    out: str
    err: str

    @property
    def result(self):
        return json.loads(self.out[self.out.index("{\n") :])

    @property
    def steps(self):
        return {step["step"]: step for step in self.result["steps"]}


@pytest.fixture(scope="session")
def saiki():
    """Calls `saiki ARGUMENTS`; returns exit code and output."""

    def call(*arguments, cwd=ROOT, env=None):
        done = subprocess.run(
            [sys.executable, "-m", "pipelines", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def flights():
    """The flights example, with its data."""
    if not (FLIGHTS / "data" / "flights.csv.zip").exists():
        pytest.fail("examples/flights/data/flights.csv.zip is missing: `make setup` fetches it")
    return FLIGHTS


@pytest.fixture(scope="session")
def copy_task():
    """Copies an example's task and schema to another folder, text replaced; its sources stay where they are."""

    def copy(source, target, **changes):
        target.mkdir(parents=True, exist_ok=True)
        for name in ("task", "schema"):
            text = (source / f"{name}.yaml").read_text()
            text = text.replace("data/flights.csv.zip", str(source / "data/flights.csv.zip"))
            for old, new in changes.get(name, {}).items():
                assert old in text, f"{old!r} is not in {name}.yaml"
                text = text.replace(old, new)
            (target / f"{name}.yaml").write_text(text)
        return target / "task.yaml"

    return copy
