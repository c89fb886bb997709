"""`saiki run` in this process, with workers that stay: a run pays for its steps, and not for imports again.

Each step is still a process of its own, forked from a worker that has done nothing but import. The steps see the time
that the test says (`tests/stopped_clock`).
"""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click
import pytest
import yaml

from components._shared.errors import SaikiError
from components._shared.image import ENVIRONMENT_OF
from pipelines.commands.run import run
from pipelines.local import run as local
from pipelines.local.worker import ERROR_FILE

ROOT = Path(__file__).resolve().parents[2]
CLOCK = ROOT / "tests" / "stopped_clock"


@dataclass
class Outcome:
    """What a run left.

    Attributes:
        code: The exit code that the command line would have given.
        result: What `saiki run --json` prints; empty if a step failed.
    """

    code: int
    result: dict[str, Any]
    error: str = ""

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        return {step["step"]: step for step in self.result.get("steps", [])}

    @property
    def cached(self) -> int:
        return sum(step["cached"] for step in self.steps.values())


class WarmRuns:
    """Runs, one after another, in one state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def run(self, parameters: Mapping[str, Any], now: datetime) -> Outcome:
        """One run, at a moment."""
        with tempfile.TemporaryDirectory() as folder:
            params = Path(folder, "params.yaml")
            params.write_text(yaml.safe_dump(dict(parameters)), encoding="utf-8")
            os.environ["SAIKI_TEST_NOW"] = now.isoformat()
            out = io.StringIO()
            arguments = ["training", "--json", "--state", str(self._state), "--params", str(params)]
            try:
                with redirect_stdout(out), redirect_stderr(io.StringIO()):
                    run.main(arguments, standalone_mode=False)
            except SystemExit as ended:
                return Outcome(int(ended.code or 0), json.loads(out.getvalue()))
            except (SaikiError, click.ClickException) as error:
                return Outcome(2, {}, str(error))
            finally:
                del os.environ["SAIKI_TEST_NOW"]
        raise AssertionError("saiki run always exits")


_PRELOAD = dict(local._PRELOAD)


def _executors(environment: str) -> list[str]:
    return [f"components.{name}.executor" for name, own in ENVIRONMENT_OF.items() if own == environment]


@contextmanager
def warm_runs(state: Path) -> Iterator[WarmRuns]:
    """Workers of all environments, for as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(CLOCK), os.environ.get("PYTHONPATH", "")])))
        patch.chdir(ROOT)
        state.mkdir(parents=True, exist_ok=True)
        with (state / "workers.log").open("w") as log, _forking_python(patch, log), local._run_dir() as folder:
            workers = local._Workers(folder, log)

            @contextmanager
            def the_same_folder() -> Iterator[Path]:
                (folder / ERROR_FILE).unlink(missing_ok=True)
                yield folder

            @contextmanager
            def the_same_workers(run_dir: Path, log: IO[str]) -> Iterator[Any]:
                with pytest.MonkeyPatch.context() as during_a_run:
                    during_a_run.setattr(sys, "executable", shlex.quote(str(workers.launcher)))
                    yield workers

            patch.setattr(local, "_PRELOAD", {name: (*before, *_executors(name)) for name, before in _PRELOAD.items()})
            patch.setattr(local, "_run_dir", the_same_folder)
            patch.setattr(local, "_workers", the_same_workers)
            try:
                workers.start("light", "tensorflow", "analysis")
                yield WarmRuns(state)
            finally:
                workers.stop()


@contextmanager
def _forking_python(patch: pytest.MonkeyPatch, log: IO[str]) -> Iterator[None]:
    """The smoke test's own process: forked, too."""
    python, script = local.python_of("tensorflow"), ROOT / "tests" / "end_to_end" / "forking_python.py"
    with tempfile.TemporaryDirectory(prefix="saiki-") as folder:
        path, launcher = Path(folder, "socket"), Path(folder, "python")
        launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -S {script} {path} "$@"\n', encoding="utf-8")
        launcher.chmod(0o755)
        server = subprocess.Popen(
            [python, script, path],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        patch.setenv("SAIKI_TEST_PYTHON", f"{python.parents[1]}={launcher}")
        try:
            while not path.exists():
                assert server.poll() is None, "the interpreter ended at once"
                time.sleep(0.05)
            yield
        finally:
            server.kill()
            server.communicate()
