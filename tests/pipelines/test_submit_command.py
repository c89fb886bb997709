from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components._shared import storage
from components._shared.errors import InputError
from pipelines.__main__ import saiki
from pipelines.cluster import connection as kfp_connection
from pipelines.cluster.connection import KfpError, connect
from pipelines.cluster.settings import ClusterSettings
from pipelines.commands import submit as submit_command
from pipelines.commands import watch as watch_command
from pipelines.commands.upload import ensure_uploaded
from tests.kfp_server import Fault, KfpServer
from tests.small_task import write_task

pytestmark = pytest.mark.usefixtures("compiled_once")

SETTINGS = ClusterSettings(
    data_root="gs://b/data", registry="gs://b/registry", pipeline_root="gs://b/runs", service_account="saiki-runner"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_command, "_POLL", 0.01)
    monkeypatch.setattr(submit_command, "_LOOKS", (0.0, 0.01, 0.02))
    monkeypatch.setattr(kfp_connection, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def task(gcs_root: str, tmp_path: Path) -> str:
    """A task in object storage."""
    uri = f"{gcs_root}/stands/task.yaml"
    storage.create(uri, write_task(tmp_path / "made", task=remote).read_bytes())
    return uri


def remote(task: dict[str, Any]) -> None:
    task["data"]["sources"] = ["gs://bucket/sales/*.csv"]


def write_settings(folder: Path, **data: str) -> str:
    path = folder / "settings.yaml"
    values = SETTINGS.model_dump(exclude={"namespace"}, exclude_defaults=True) | data
    metadata = {"name": "saiki-settings", "namespace": "kubeflow"}
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values}))
    return str(path)


def submit(server: KfpServer | None, folder: Path, *arguments: str, **settings: str) -> Any:
    where = ["--cluster", write_settings(folder, **settings), *(["--endpoint", server.endpoint] if server else [])]
    return CliRunner().invoke(saiki, ["submit", "training", *where, *arguments])


def the_run(server: KfpServer) -> dict[str, Any]:
    [run] = server.runs.values()
    return run


def test_a_run_is_started_in_the_experiment_of_its_task(server: KfpServer, tmp_path: Path, task: str) -> None:
    result = submit(
        server, tmp_path, "--set", f"task={task}", "--set", "as_of=2024-06-01", "--set", "parameters.epochs=2"
    )
    assert result.exit_code == 0, result.output
    run = the_run(server)
    assert run["display_name"] == "training stands as of 2024-06-01"
    assert server.experiments[run["experiment_id"]]["display_name"] == "stands"
    assert run["service_account"] == "saiki-runner"
    assert run["runtime_config"] == {
        "parameters": {
            "task": task,
            "data_root": "gs://b/data",
            "registry": "gs://b/registry",
            "as_of": "2024-06-01",
            "parameters": {"epochs": 2},
        },
        "pipeline_root": "gs://b/runs",
    }
    [version] = server.versions.values()
    assert run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    assert f"{server.endpoint}/#/runs/details/{run['run_id']}" in result.output
    assert (
        f"saiki watch {run['run_id']} --cluster {tmp_path}/settings.yaml --endpoint {server.endpoint}" in result.output
    )


def test_the_result_as_json(server: KfpServer, tmp_path: Path, task: str) -> None:
    arguments = ("--set", f"task={task}", "--experiment", "night", "--json")
    first, again = (json.loads(submit(server, tmp_path, *arguments).stdout) for _ in range(2))
    assert first["run_id"] in server.runs
    assert first["run_id"] != again["run_id"]
    assert (first["name"], first["experiment"]) == ("training stands as of now", "night")
    assert (first["pipeline"]["new"], again["pipeline"]["new"]) == (True, False)
    assert first["pipeline"]["version_id"] == again["pipeline"]["version_id"]


def test_a_local_task_is_copied_to_the_data_root(server: KfpServer, tmp_path: Path, gcs_root: str) -> None:
    path = write_task(tmp_path / "mine", task=remote)
    result = submit(server, tmp_path, "--set", f"task={path}", data_root=gcs_root)
    assert result.exit_code == 0, result.exception
    uri = the_run(server)["runtime_config"]["parameters"]["task"]
    assert uri.startswith(f"{gcs_root}/tasks/")
    assert storage.read(uri) == path.read_bytes()


def test_a_step_may_have_an_image_of_its_own(server: KfpServer, tmp_path: Path, task: str) -> None:
    image = "europe-docker.pkg.dev/PROJECT/team/trainer@sha256:" + "0" * 64
    assert submit(server, tmp_path, "--set", f"task={task}", "--image", f"train={image}").exit_code == 0
    [version] = server.versions.values()
    executors = version["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    assert executors["exec-train"]["container"]["image"] == image
    wrong = submit(server, tmp_path, "--set", f"task={task}", "--image", image)
    assert "is not STEP=IMAGE" in str(wrong.exception)


def test_parameters_may_stand_in_a_file(server: KfpServer, tmp_path: Path, task: str) -> None:
    (tmp_path / "params.yaml").write_text(f"task: {task}\nsample: 1\nbudget: 3\n")
    assert submit(server, tmp_path, "--params", str(tmp_path / "params.yaml"), "--set", "budget=4").exit_code == 0
    given = the_run(server)["runtime_config"]["parameters"]
    assert (given["sample"], given["budget"]) == (1.0, 4)


@pytest.mark.parametrize(
    ("settings", "said", "done"),
    [
        (["taks=gs://b/t.yaml"], "'taks' is not a run parameter (did you mean 'task'?)", "use one of"),
        ([], "No task is given", "--set task="),
        (["task=gs://b/t.yaml", "sample=lots"], "'lots' is not a value for 'sample'", "a number"),
        (["task=gs://b/t.yaml", "engine=magic"], "There is no engine 'magic'", "vectorised or tfma"),
        (["task=gs://b/t.yaml", "registry=/tmp/here"], "'/tmp/here' lies on this machine", "gs://… or s3://…"),
        (["task=gs://b/t.yaml", "fail_on=rejectet"], "There is no result 'rejectet'", "rejected"),
        (["task=none/task.yaml"], "No such file", "correct the path"),
        (["task=gs://b/t.yaml", f"beam_options={'x' * 10_000}"], "Kubeflow Pipelines takes 10,000", "file in object"),
    ],
    ids=["unknown", "no task", "type", "choice", "local root", "result", "no such task", "too long"],
)
def test_wrong_parameters_are_said_before_anything_is_sent(
    server: KfpServer, tmp_path: Path, settings: list[str], said: str, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "read", lambda uri: write_task(tmp_path / "made", task=remote).read_bytes())
    result = submit(server, tmp_path, *(word for each in settings for word in ("--set", each)))
    assert isinstance(result.exception, InputError), result.exception
    assert said in result.exception.what
    assert done in result.exception.fix
    assert not server.requests


def test_local_data_is_refused_before_anything_is_sent(server: KfpServer, tmp_path: Path) -> None:
    result = submit(server, tmp_path, "--set", f"task={write_task(tmp_path / 'mine')}")
    assert isinstance(result.exception, InputError)
    assert "on this machine, where the cluster cannot read it" in result.exception.what
    assert not server.requests


def test_roots_must_be_known(server: KfpServer, tmp_path: Path, task: str) -> None:
    result = submit(server, tmp_path, "--set", f"task={task}", data_root="")
    assert "No data root is given" in str(result.exception)
    result = submit(server, tmp_path, "--set", f"task={task}", registry="")
    assert "No registry is given" in str(result.exception)
    assert "settings given as --cluster" in str(result.exception)


@pytest.mark.parametrize(
    ("faults", "runs", "posts"),
    [
        ([{"cut": "after"}], 1, 1),
        ([{"cut": "before"}], 1, 2),
        ([{"status": 503, "body": "upstream reset"}], 1, 2),
        ([{"status": 504}, {"cut": "after"}], 1, 2),
        ([{"status": 429}], 1, 2),
    ],
    ids=["it was started", "it was not", "a proxy's error", "twice", "busy"],
)
def test_a_run_is_started_once_though_the_answer_is_lost(
    server: KfpServer, tmp_path: Path, task: str, faults: list[dict[str, Any]], runs: int, posts: int
) -> None:
    server.faults = [Fault("POST", "runs$", **each) for each in faults]
    result = submit(server, tmp_path, "--set", f"task={task}", "--json")
    assert result.exit_code == 0, result.exception
    assert len(server.runs) == runs
    assert json.loads(result.stdout)["run_id"] in server.runs
    assert server.requests.count(("POST", "/apis/v2beta1/runs")) == posts


def test_another_run_of_the_same_name_is_not_taken_for_ours(server: KfpServer, tmp_path: Path, task: str) -> None:
    submit(server, tmp_path, "--set", f"task={task}")
    first = the_run(server)["run_id"]
    server.faults = [Fault("POST", "runs$", cut="before")]
    result = submit(server, tmp_path, "--set", f"task={task}", "--json")
    assert json.loads(result.stdout)["run_id"] != first
    assert len(server.runs) == 2


def test_a_server_that_fails_for_good_starts_nothing(server: KfpServer, tmp_path: Path, task: str) -> None:
    server.faults = [Fault("POST", "runs$", times=9, status=503)]
    result = submit(server, tmp_path, "--set", f"task={task}")
    assert isinstance(result.exception, KfpError)
    assert not server.runs
    assert server.requests.count(("POST", "/apis/v2beta1/runs")) == 2


def test_a_quota_is_named(server: KfpServer, tmp_path: Path, task: str) -> None:
    body = {
        "code": 13,
        "message": 'InternalServerError: pods "x" is forbidden: exceeded quota: runs, used: 9',
        "details": [],
    }
    server.faults = [Fault("POST", "runs$", status=500, body=json.dumps(body))]
    result = submit(server, tmp_path, "--set", f"task={task}")
    assert isinstance(result.exception, KfpError)
    assert "A quota of the namespace is used up" in result.exception.what


def test_waiting_follows_the_run_to_its_verdict(server: KfpServer, tmp_path: Path, task: str) -> None:
    branch = "condition-branches-1/condition-3"

    def happen(run_id: str) -> None:
        server.progress(run_id, {"plan": "SUCCEEDED", f"{branch}/push-2": "SUCCEEDED"})
        server.fail_step(
            run_id,
            f"{branch}/conclude-2",
            message="main: Error (exit code 1): The gates of the task turned the candidate down. AUC is 0.61",
        )
        server.finish(run_id, "FAILED")

    server.asked = happen
    result = submit(server, tmp_path, "--set", f"task={task}", "--wait")
    assert result.exit_code == 1
    assert "✓ push: record" in result.output
    assert "verdict   The gates of the task turned the candidate down. AUC is 0.61" in result.output
    found = submit(server, tmp_path, "--set", f"task={task}", "--wait", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["said"] == "The gates of the task turned the candidate down. AUC is 0.61"


def test_in_a_server_with_many_users_a_run_is_in_our_namespace(task: str) -> None:
    from tests.kfp_server import kfp_server

    with kfp_server(multi_user=True) as server:
        server.users = {"anna": {"team-a"}}
        from pipelines.cluster.access import Access

        connection = connect(server.endpoint, namespace="team-a", access=Access(user="anna"))
        settings = SETTINGS.model_copy(update={"namespace": "team-a"})
        compiled = submit_command.compile_training(settings, "cpu")
        order = submit_command.prepare(compiled, None, (f"task={task}",), settings)
        run_id = submit_command.start(connection, order, ensure_uploaded(connection, compiled), settings)
        experiment = server.experiments[server.runs[run_id]["experiment_id"]]
        assert experiment["namespace"] == "team-a"
        assert next(iter(server.pipelines.values()))["namespace"] == "team-a"


def test_the_help_has_examples_and_the_exit_codes() -> None:
    text = CliRunner().invoke(saiki, ["submit", "--help"]).output
    assert "saiki submit training --set task=" in text
    assert "1 a verdict said no" in text
