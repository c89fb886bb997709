"""Runs a pipeline here, without a cluster: each task in the environment of its image, or in a container of it.

kfp.local orchestrates. Without containers a task's `python3` is replaced by `launch.py`, which hands it to the
`worker.py` of its environment; with them, see `containers.py`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from components._shared.errors import SaikiError
from components._shared.image import ENVIRONMENT_OF
from pipelines.local.environment import variable
from pipelines.local.worker import ERROR_FILE

ROOT = Path(__file__).resolve().parents[2]

_PATIENCE = 1.0
"""Seconds that a worker has to end."""

_PRELOAD: dict[str, tuple[str, ...]] = {
    "light": ("kfp.dsl.executor_main", "components._shared.manifest", "pyarrow.parquet", "duckdb", "jinja2"),
    "analysis": (
        "kfp.dsl.executor_main",
        "components._shared.manifest",
        "pyarrow.parquet",
        "tensorflow_data_validation",
    ),
    "tensorflow": ("kfp.dsl.executor_main", "components._shared.manifest", "pyarrow.parquet", "tensorflow"),
}


Containing = Callable[[Path], contextlib.AbstractContextManager[object]]
"""Given the run's folder, has kfp's containers run as they should, until it is closed."""


class StepError(SaikiError):
    """A step could not do its work.

    Args:
        step: Name of the task.
        details: Traceback of the step, shown with `--debug`.
        unexpected: Whether it is not one of Saiki's own errors.
    """

    def __init__(
        self, what: str, *, step: str, where: str = "", fix: str = "", details: str = "", unexpected: bool = False
    ) -> None:
        super().__init__(what, where=f"step {step}" + (f", {where}" if where else ""), fix=fix)
        self.details = details
        self.unexpected = unexpected


@dataclass
class StepRun:
    """What happened to one task.

    Attributes:
        inputs, outputs: Name → parameter value or artifact.
    """

    name: str
    seconds: float = 0.0
    cached: bool = False
    failed: bool = False
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


def python_of(environment: str) -> Path:
    """The interpreter of an environment.

    Raises:
        SaikiError: The environment is not set up.
    """
    folder = ROOT / ".venv" if environment == "light" else ROOT / ".venvs" / environment
    python = folder / "bin" / "python"
    if not python.exists():
        raise SaikiError(
            f"The environment '{environment}' is not set up", where=str(folder), fix=f"run `make setup` in {ROOT}"
        )
    return python


def run(
    pipeline: Callable[..., Any],
    arguments: dict[str, Any],
    *,
    state: Path,
    started: Callable[[str], None],
    finished: Callable[[StepRun], None],
    log: IO[str],
    containers: Containing | None = None,
) -> list[StepRun]:
    """Runs a pipeline and returns its steps in order.

    Args:
        pipeline: A function decorated with `dsl.pipeline`.
        arguments: Run parameters.
        state: Folder for artifacts and the cache.
        started, finished: Called around each step.
        log: Receives what kfp and the steps print.
        containers: Has tasks run in containers, as long as it is open; None: they run in workers.

    Raises:
        StepError: A step failed.
    """
    from kfp import local

    steps: list[StepRun] = []
    with _run_dir() as run_dir, contextlib.ExitStack() as open_:
        workers = None if containers else open_.enter_context(_workers(run_dir, log))
        if containers:
            open_.enter_context(containers(run_dir))
        open_.enter_context(_quiet(log))
        open_.enter_context(_observed(steps, started, finished, workers))
        local.init(
            runner=local.DockerRunner() if containers else local.SubprocessRunner(use_venv=False),
            pipeline_root=str(state / "runs"),
            raise_on_error=True,
            enable_caching=True,
            cache_root=str(state / "cache"),
            workspace_root=str(run_dir / "workspace"),
        )
        try:
            pipeline(**arguments)
        except Exception as cause:
            raise _step_error(steps, run_dir, cause) from cause
    return steps


def _step_error(steps: list[StepRun], run_dir: Path, cause: Exception) -> StepError:
    failed = steps[-1].name if steps and steps[-1].failed else ""
    report = run_dir / ERROR_FILE
    if not failed:
        return StepError(f"The pipeline could not run: {cause}", step="(none)", details=repr(cause), unexpected=True)
    if not report.exists():
        return StepError(
            "The step was killed before it could say why",
            step=failed,
            fix="run again: finished steps are not repeated; if it recurs, look for memory (`dmesg`) and the run's log",
        )
    found = json.loads(report.read_text(encoding="utf-8"))
    return StepError(
        found["what"],
        step=failed,
        where=found["where"],
        fix=found["fix"],
        details=found["traceback"],
        unexpected=found["kind"] == "unexpected",
    )


@contextlib.contextmanager
def _run_dir() -> Iterator[Path]:
    # Every process that is started makes its temporary files there, so that they go when the run ends.
    with tempfile.TemporaryDirectory(prefix="saiki-", ignore_cleanup_errors=True) as folder, variable("TMPDIR", folder):
        yield Path(folder)


@contextlib.contextmanager
def _workers(run_dir: Path, log: IO[str]) -> Iterator[_Workers]:
    workers = _Workers(run_dir, log)
    # kfp puts it into a shell's command line.
    before, sys.executable = sys.executable, shlex.quote(str(workers.launcher))
    try:
        workers.start("light")
        yield workers
    finally:
        sys.executable = before
        workers.stop()


class _Workers:
    """The workers of a run: each is started when the first task that is not cached makes it likely to be needed."""

    def __init__(self, run_dir: Path, log: IO[str]) -> None:
        self._run_dir = run_dir
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.launcher = run_dir / "launch"
        command = [
            sys.executable,
            "-S",
            str(ROOT / "pipelines" / "local" / "launch.py"),
            str(run_dir),
            json.dumps(ENVIRONMENT_OF),
        ]
        self.launcher.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
        self.launcher.chmod(0o755)

    def start(self, *environments: str) -> None:
        """Starts those that do not run yet."""
        for environment in environments:
            if environment in self._running:
                continue
            self._running[environment] = subprocess.Popen(
                [
                    str(python_of(environment)),
                    str(ROOT / "pipelines" / "local" / "worker.py"),
                    str(self._run_dir),
                    environment,
                    *_PRELOAD[environment],
                ],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                env=_task_environment(),
                # Ctrl-C is for the command line alone: it ends the workers.
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends them and whatever still runs in them."""
        for process in self._running.values():
            if process.stdin:
                process.stdin.close()
        deadline = time.monotonic() + _PATIENCE
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # It is importing, so it has no tasks, and would not notice for seconds that nobody needs it any more.
                process.kill()
                process.wait()


def _task_environment() -> dict[str, str]:
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "_KFP_RUNTIME": "true",
    }


@contextlib.contextmanager
def _observed(
    steps: list[StepRun],
    started: Callable[[str], None],
    finished: Callable[[StepRun], None],
    workers: _Workers | None,
) -> Iterator[None]:
    """Reports every task that kfp.local executes, and starts workers for it.

    kfp.local has no hook for this: the one function through which every task goes is wrapped.
    `tests/pipelines/test_kfp_contract.py` holds it against the pinned kfp.
    """
    from kfp.local import cache, status
    from kfp.local.orchestrator import orchestrator_utils, task_executor

    original_execute = task_executor.execute_single_task
    original_get = cache.LocalCache.get

    def get(self: Any, key: str) -> Any:
        found = original_get(self, key)
        steps[-1].cached = found is not None
        if found is None and workers:
            # From the first miss on, what comes after will most likely miss as well: import while this step works.
            workers.start("light", "tensorflow", "analysis")
        return found

    def execute(**given: Any) -> Any:
        spec = given["task_spec"]
        step = StepRun(name=spec.task_info.name or given["task_name"])
        step.inputs = orchestrator_utils.OrchestratorUtils.make_task_arguments(spec.inputs, given["io_store"])
        steps.append(step)
        started(step.name)
        begin = time.monotonic()
        outputs, outcome = original_execute(**given)
        step.seconds = time.monotonic() - begin
        step.outputs = dict(outputs)
        step.failed = outcome != status.Status.SUCCESS
        finished(step)
        if step.failed:
            # kfp would first run whatever does not depend on it.
            raise RuntimeError(f"step {step.name} failed")
        return outputs, outcome

    task_executor.execute_single_task = execute
    cache.LocalCache.get = get
    try:
        yield
    finally:
        task_executor.execute_single_task = original_execute
        cache.LocalCache.get = original_get


@contextlib.contextmanager
def _quiet(log: IO[str]) -> Iterator[None]:
    """Sends what kfp prints and logs to the run's log: its progress lines are for machines, ours for people."""
    with contextlib.redirect_stdout(log), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        previous = logging.root.level
        try:
            yield
        finally:
            logging.root.setLevel(previous)
