from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kfp_server_api as api
import pytest
from click.testing import CliRunner

from pipelines.__main__ import saiki
from pipelines.cluster import connection as kfp_connection
from pipelines.cluster.compiled import CompiledPipeline, compile_training
from pipelines.cluster.connection import KfpError, connect
from pipelines.cluster.settings import ClusterSettings
from pipelines.commands import watch as watch_command
from pipelines.commands.upload import ensure_uploaded
from tests.kfp_server import Fault, KfpServer

ROOT = Path(__file__).resolve().parents[2]
MAIN = [
    "plan",
    "ingest",
    "split",
    "validate",
    "train",
    "predict",
    "predict-2",
    "predict-3",
    "evaluate",
    "compare",
    "behave",
    "smoke-test",
    "explain",
    "settle",
    "judge",
]
PASSED, NOT_PASSED = "condition-branches-1/condition-2", "condition-branches-1/condition-3"
REFUSED = "main: Error (exit code 1): The gates of the task turned the candidate down. AUC is 0.61, below 0.65"

Happening = Callable[[str], object]


@pytest.fixture(scope="module")
def compiled() -> CompiledPipeline:
    settings = ClusterSettings(data_root="gs://b/data", registry="gs://b/registry")
    return compile_training(settings, "cpu")


@pytest.fixture
def run_id(server: KfpServer, compiled: CompiledPipeline) -> str:
    """A run that has been started, and that nothing has become of."""
    connection = connect(server.endpoint)
    uploaded = ensure_uploaded(connection, compiled)
    version = api.V2beta1PipelineVersionReference(
        pipeline_id=uploaded.pipeline_id, pipeline_version_id=uploaded.version_id
    )
    run = api.V2beta1Run(
        display_name="training flights as of now",
        experiment_id=connection.experiment_id("flights"),
        pipeline_version_reference=version,
        runtime_config=api.V2beta1RuntimeConfig(parameters={"task": "gs://b/task.yaml"}),
    )
    return str(connection.client.runs.run_service_create_run(run=run).run_id)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_command, "_POLL", 0.01)
    monkeypatch.setattr(kfp_connection, "_PAUSES", (0.0, 0.0, 0.0))


def happen(server: KfpServer, *happenings: Happening) -> None:
    """One after the other, each time that the run is asked for."""
    waiting: Iterator[Happening] = iter(happenings)

    def next_one(run_id: str) -> None:
        for happening in waiting:
            happening(run_id)
            return

    server.asked = next_one


def progress(server: KfpServer, **states: str) -> Happening:
    return lambda run_id: server.progress(run_id, {name.replace("_", "-"): state for name, state in states.items()})


def done(server: KfpServer, branch: str, steps: list[str]) -> Happening:
    return lambda run_id: server.progress(
        run_id, dict.fromkeys([*MAIN, *(f"{branch}/{s}" for s in steps)], "SUCCEEDED")
    )


def watch(server: KfpServer, run_id: str, *arguments: str) -> Any:
    return CliRunner().invoke(saiki, ["watch", run_id, "--endpoint", server.endpoint, *arguments])


def test_each_step_is_told_once_when_it_is_done(server: KfpServer, run_id: str) -> None:
    happen(
        server,
        progress(server, plan="RUNNING"),
        progress(server, plan="SUCCEEDED", ingest="CACHED", train="RUNNING"),
        lambda _: None,
        done(server, PASSED, ["push", "conclude"]),
        lambda run_id: server.finish(run_id),
    )
    result = watch(server, run_id)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split()[:2] == ["✓", "plan"]
    assert lines[0].endswith(" s")
    assert "= ingest                cached" in lines
    for name in ("train", "predict: candidate", "push: promote", "conclude"):
        assert sum(line.startswith(f"✓ {name} ") for line in lines) == 1, name
    assert lines[-1].split() == ["run", "succeeded"]


def test_a_verdict_that_said_no_is_1(server: KfpServer, run_id: str) -> None:
    happen(
        server,
        done(server, NOT_PASSED, ["push-2"]),
        lambda run_id: server.fail_step(run_id, f"{NOT_PASSED}/conclude-2", message=REFUSED),
        lambda run_id: server.finish(run_id, "FAILED"),
    )
    result = watch(server, run_id)
    assert result.exit_code == 1
    assert "verdict   The gates of the task turned the candidate down. AUC is 0.61, below 0.65" in result.output


def test_a_step_that_fails_is_2_with_what_it_said(server: KfpServer, run_id: str) -> None:
    log = "I0101 10:00:00.1 launcher.go] go\nread 3 rows\nerror: No row is left\n  do:    widen the window\n"
    happen(
        server,
        progress(server, plan="SUCCEEDED"),
        lambda run_id: server.fail_step(run_id, "ingest", message="main: Error (exit code 1)", log=log),
        lambda run_id: server.finish(run_id, "FAILED"),
    )
    result = watch(server, run_id)
    assert result.exit_code == 2
    assert "failed    ingest: main: Error (exit code 1)" in result.output
    assert "error: No row is left" in result.output
    assert "launcher.go" not in result.output


def test_a_conclusion_that_could_not_be_drawn_is_2(server: KfpServer, run_id: str) -> None:
    happen(
        server,
        done(server, NOT_PASSED, ["push-2"]),
        lambda run_id: server.fail_step(run_id, f"{NOT_PASSED}/conclude-2", message="OOMKilled (exit code 137)"),
        lambda run_id: server.finish(run_id, "FAILED"),
    )
    assert watch(server, run_id).exit_code == 2


@pytest.mark.parametrize(
    ("last_line", "code"),
    [
        ("components._shared.errors.InputError: 'rejectd' is not a result of push", 2),
        ("components._shared.errors.SaikiError: The gates of the task turned the candidate down. AUC is 0.61", 1),
    ],
)
def test_where_kfp_gives_no_reason_the_log_tells_a_verdict_from_a_mistake(
    server: KfpServer, run_id: str, last_line: str, code: int
) -> None:
    log = f"Traceback (most recent call last):\n{last_line}\n"
    happen(
        server,
        done(server, NOT_PASSED, ["push-2"]),
        lambda run_id: server.fail_step(
            run_id, f"{NOT_PASSED}/conclude-2", message="main: Error (exit code 1)", log=log
        ),
        lambda run_id: server.finish(run_id, "FAILED"),
    )
    assert watch(server, run_id).exit_code == code


def test_a_conclusion_beside_another_failure_is_2(server: KfpServer, run_id: str) -> None:
    happen(
        server,
        lambda run_id: server.fail_step(run_id, "smoke-test"),
        lambda run_id: server.fail_step(run_id, f"{NOT_PASSED}/conclude-2", message=REFUSED),
        lambda run_id: server.finish(run_id, "FAILED"),
    )
    assert watch(server, run_id).exit_code == 2


def test_a_run_that_is_stopped_is_2(server: KfpServer, run_id: str) -> None:
    happen(server, progress(server, plan="SUCCEEDED"), lambda run_id: server.finish(run_id, "CANCELED"))
    result = watch(server, run_id)
    assert result.exit_code == 2
    assert "was stopped" in result.output


def test_a_run_that_ended_before_is_told_at_once(server: KfpServer, run_id: str) -> None:
    server.progress(run_id, {"plan": "SUCCEEDED"})
    server.finish(run_id)
    assert watch(server, run_id).exit_code == 0


def test_the_result_as_json(server: KfpServer, run_id: str) -> None:
    server.progress(run_id, {"plan": "SUCCEEDED", "ingest": "CACHED"})
    server.fail_step(run_id, f"{NOT_PASSED}/conclude-2", message=REFUSED)
    server.finish(run_id, "FAILED")
    result = watch(server, run_id, "--json")
    found = json.loads(result.stdout)
    assert (found["run_id"], found["state"], found["exit_code"]) == (run_id, "FAILED", 1)
    assert [(step["step"], step["state"]) for step in found["steps"]] == [
        ("plan", "succeeded"),
        ("ingest", "cached"),
        ("conclude", "failed"),
    ]
    assert found["said"].startswith("The gates")
    assert result.exit_code == 1


def test_a_server_that_is_away_for_a_while_is_waited_for(
    server: KfpServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(
        server,
        progress(server, plan="SUCCEEDED"),
        lambda _: server.faults.append(Fault("GET", f"runs/{run_id}", times=13, status=503)),
        lambda run_id: server.finish(run_id),
    )
    waits: list[float] = []
    monkeypatch.setattr(watch_command, "_POLL", 5.0)
    ending = watch_command.follow(
        connect(server.endpoint), run_id, lambda step: None, lambda text: None, pause=waits.append
    )
    assert ending.code == 0
    assert [wait > 3.9 for wait in waits] == [True] * len(waits)
    assert 4 <= len(waits) <= 7


def test_a_server_that_stays_away_is_given_up_with_the_command_that_watches_again(
    server: KfpServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_command, "_PATIENCE", 0.02)
    server.faults = [Fault("GET", f"runs/{run_id}", times=999, status=503)]
    result = watch(server, run_id)
    assert isinstance(result.exception, KfpError)
    assert "The run itself goes on" in result.exception.what
    assert f"saiki watch {run_id} --endpoint {server.endpoint}" in result.exception.fix


def test_a_token_that_has_expired_ends_the_watching_at_once(server: KfpServer, run_id: str) -> None:
    server.faults = [Fault("GET", f"runs/{run_id}", times=99, status=401, body="expired")]
    before = len(server.requests)
    result = watch(server, run_id)
    assert isinstance(result.exception, KfpError)
    assert "SAIKI_KFP_TOKEN" in result.exception.fix
    assert len(server.requests) - before <= 3


def test_a_run_that_is_not_there(server: KfpServer) -> None:
    result = watch(server, "4c5cb7cd-1111-4222-8333-000000000000")
    assert isinstance(result.exception, KfpError)
    assert "not found" in result.exception.what
    assert "goes on" not in result.exception.what


def test_a_run_is_asked_for_less_and_less_often(
    server: KfpServer, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 100:
            server.finish(run_id)

    monkeypatch.setattr(watch_command, "_POLL", 5.0)
    watch_command.follow(connect(server.endpoint), run_id, lambda step: None, lambda text: None, pause=pause)
    assert waits == sorted(waits)
    assert 5 <= waits[0] < 6
    assert waits[-1] == 30


def test_without_the_older_api_the_steps_are_known_by_their_names(server: KfpServer, run_id: str) -> None:
    server.faults = [Fault("GET", "v1beta1/runs", times=99, status=404, body='{"code":5,"message":"Not Found"}')]
    server.progress(run_id, {"plan": "SUCCEEDED"})
    server.fail_step(run_id, f"{NOT_PASSED}/conclude-2", message=REFUSED)
    server.finish(run_id, "FAILED")
    result = watch(server, run_id)
    assert result.exit_code == 1
    assert "✓ plan" in result.output
    assert "✗ conclude" in result.output


def test_ctrl_c_leaves_the_run_running_and_says_so(server: KfpServer, run_id: str) -> None:
    server.progress(run_id, {"plan": "SUCCEEDED", "ingest": "RUNNING"})
    command = [sys.executable, "-m", "pipelines", "watch", run_id, "--endpoint", server.endpoint]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().startswith("✓ plan")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"The run goes on: {server.endpoint}/#/runs/details/{run_id}" in said
    assert f"saiki watch {run_id} --endpoint {server.endpoint}" in said
    assert server.runs[run_id]["state"] == "RUNNING"
    assert not any(path.endswith(":terminate") for _, path in server.requests)


def test_the_help_has_an_example_and_the_exit_codes() -> None:
    text = CliRunner().invoke(saiki, ["watch", "--help"]).output
    assert "saiki watch 6f0c2f5e" in text
    assert "130 Ctrl-C" in text
