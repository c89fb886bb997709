from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from components._shared.errors import InputError
from pipelines.__main__ import saiki
from pipelines.cluster.compiled import CompiledPipeline, compile_training
from pipelines.cluster.connection import KfpError, connect
from pipelines.cluster.settings import ClusterSettings
from pipelines.commands.upload import ensure_uploaded
from tests.kfp_server import Fault, KfpServer

SETTINGS = ClusterSettings(data_root="gs://b/data", registry="gs://b/registry", images="registry.example.com/saiki")


pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def compiled() -> CompiledPipeline:
    return compile_training(SETTINGS, "cpu")


def uploads(server: KfpServer) -> int:
    return sum(path.endswith("/upload_version") for _, path in server.requests)


def test_a_version_is_named_by_the_digest_of_its_content(server: KfpServer, compiled: CompiledPipeline) -> None:
    uploaded = ensure_uploaded(connect(server.endpoint), compiled)
    assert uploaded.new
    assert uploaded.version == hashlib.sha256(compiled.text.encode()).hexdigest()[:12]
    kept = server.versions[uploaded.version_id]
    assert (kept["name"], kept["pipeline_id"]) == (uploaded.version, uploaded.pipeline_id)
    assert kept["pipeline_spec"]["pipeline_spec"] == next(yaml.safe_load_all(compiled.text))
    assert compiled.digest in kept["description"]
    assert uploaded.link.endswith(f"/#/pipelines/details/{uploaded.pipeline_id}/version/{uploaded.version_id}")


def test_what_is_there_is_not_uploaded_again(server: KfpServer, compiled: CompiledPipeline) -> None:
    connection = connect(server.endpoint)
    first, again = (ensure_uploaded(connection, compiled) for _ in range(2))
    assert uploads(server) == 1
    assert (again.version_id, again.new) == (first.version_id, False)


def test_another_content_is_another_version_of_the_same_pipeline(server: KfpServer, compiled: CompiledPipeline) -> None:
    connection = connect(server.endpoint)
    other = compile_training(SETTINGS, "laptop")
    first, second = (ensure_uploaded(connection, each) for each in (compiled, other))
    assert first.pipeline_id == second.pipeline_id
    assert first.version_id != second.version_id


def test_many_at_once_end_with_one_version(server: KfpServer, compiled: CompiledPipeline) -> None:
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: ensure_uploaded(connect(server.endpoint), compiled), range(6)))
    assert len(server.pipelines) == len(server.versions) == 1
    assert len({each.version_id for each in results}) == 1
    assert sum(each.new for each in results) == 1


def test_a_lost_answer_is_looked_up(server: KfpServer, compiled: CompiledPipeline) -> None:
    server.faults = [Fault("POST", "pipelines$", cut="after"), Fault("POST", "upload_version", cut="after")]
    uploaded = ensure_uploaded(connect(server.endpoint), compiled)
    assert uploaded.version_id in server.versions
    assert len(server.pipelines) == len(server.versions) == 1


def test_a_refusal_is_handed_on(server: KfpServer, compiled: CompiledPipeline) -> None:
    server.faults = [Fault("POST", "upload_version", status=413, body="too large", content_type="text/plain")]
    with pytest.raises(KfpError, match="refuses the request: too large"):
        ensure_uploaded(connect(server.endpoint), compiled)


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[..., str]:
    """Writes a settings.yaml."""

    def write(**data: str) -> str:
        path = tmp_path / "settings.yaml"
        values = SETTINGS.model_dump(exclude={"namespace"}, exclude_defaults=True) | data
        metadata = {"name": "saiki-settings", "namespace": "kubeflow"}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": values}))
        return str(path)

    return write


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner(env=environment).invoke(saiki, ["upload", *arguments])


def test_the_command_says_where_it_is(server: KfpServer, cluster: Callable[..., str]) -> None:
    path = cluster(ui="https://kf.example.com/_/pipeline")
    result = run("training", "--cluster", path, "--endpoint", server.endpoint)
    assert result.exit_code == 0, result.output
    [version] = server.versions.values()
    assert version["name"] in result.output
    assert f"https://kf.example.com/_/pipeline/#/pipelines/details/{version['pipeline_id']}" in result.output
    again = run(SAIKI_CLUSTER=path, KF_PIPELINES_ENDPOINT=server.endpoint)
    assert "(there already)" in again.output


def test_the_command_speaks_json(server: KfpServer, cluster: Callable[..., str]) -> None:
    result = json.loads(run("--cluster", cluster(), "--endpoint", server.endpoint, "--json").stdout)
    assert result["version_id"] in server.versions
    assert result["new"] is True


def test_the_commands_token_comes_from_the_environment_or_a_file(
    server: KfpServer, cluster: Callable[..., str], tmp_path: Path
) -> None:
    server.token = "a-secret-token"
    there = ["--cluster", cluster(), "--endpoint", server.endpoint]
    assert isinstance(run(*there).exception, KfpError)
    assert run(*there, SAIKI_KFP_TOKEN="a-secret-token").exit_code == 0
    (tmp_path / "token").write_text("a-secret-token\n")
    assert run(*there, "--token-file", str(tmp_path / "token")).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "huge", "--endpoint", "http://x"], "There is no profile 'huge'"),
        ([], "No endpoint"),
        (["--cluster", "none.yaml"], "settings cannot be read"),
    ],
)
def test_wrong_input_is_said_before_anything_is_sent(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)


def test_the_help_has_examples() -> None:
    text = run("--help").output
    assert "saiki upload training --cluster" in text
    assert "SAIKI_KFP_TOKEN" in text
