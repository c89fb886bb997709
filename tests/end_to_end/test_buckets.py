"""The whole pipeline on buckets: rows, registry and, for one of them, the task and its sources."""

import json
import shutil
from pathlib import Path

import pytest

from components._shared import storage
from tests.small_task import AS_OF, write_task


@pytest.fixture(params=["gs", "s3"])
def bucket(request):
    """A fresh prefix on an emulated store."""
    return request.getfixturevalue("gcs_root" if request.param == "gs" else "s3_root")


SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIASAIKISECRETKEYID",
    "AWS_SECRET_ACCESS_KEY": "saiki-secret-access-key",
    "AWS_SESSION_TOKEN": "saiki-secret-session-token",
    "KFP_API_TOKEN": "saiki-secret-kfp-token",
}


@pytest.fixture(autouse=True)
def secrets(bucket, monkeypatch):
    """Credentials as they stand in a pod's environment; the emulators take any."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def shows_no_secret(*texts):
    for text in texts:
        for name, value in SECRETS.items():
            assert value.encode() not in text, name


def objects(root):
    """URI → generation of all that lies below."""
    return {info.uri: info.generation for info in storage.list_objects(root)}


def run(saiki, state, bucket, task):
    settings = [f"task={task}", f"data_root={bucket}/data", f"registry={bucket}/registry", f"as_of={AS_OF}", "budget=1"]
    return saiki("run", "training", "--json", "--state", state, *(x for s in settings for x in ("--set", s)))


def test_the_pipeline_runs_on_a_bucket_and_the_second_run_changes_nothing(saiki, bucket, tmp_path):
    task = write_task(tmp_path / "task")
    if bucket.startswith("gs://"):
        for path in task.parent.iterdir():
            storage.create(f"{bucket}/task/{path.name}", path)
        task = f"{bucket}/task/task.yaml"
    state = tmp_path / "state"

    first = run(saiki, state, bucket, task)

    assert first.code == 0, first.err
    assert (first.result["result"], first.result["version"]) == ("promoted", 1)
    assert not any(step["cached"] for step in first.steps.values())
    assert not (state / "data").exists()
    assert not (state / "registry").exists()
    home = f"{bucket}/registry/stands"
    assert json.loads(storage.read(f"{home}/champion.json"))["version"] == 1
    version = {uri.removeprefix(f"{home}/versions/1/") for uri in objects(f"{home}/versions/1")}
    assert {"saved_model.pb", "model.json", "lineage.json", "verdict.json", "variables/variables.index"} <= version
    if bucket.startswith("gs://"):
        manifests = [json.loads(storage.read(uri)) for uri in objects(f"{bucket}/data/manifests")]
        sources = {source["uri"] for manifest in manifests for source in manifest["sources"]}
        assert sources == {f"{bucket}/task/sales.csv"}

    before = objects(bucket)
    second = run(saiki, state, bucket, task)

    assert second.code == 0, second.err
    assert second.result["replayed"]
    missed = {name for name, step in second.steps.items() if not step["cached"]}
    assert missed == {"plan", "push: promote"}
    after = objects(bucket)
    assert after.keys() == before.keys()
    # What is still needed may be touched, so that garbage collection sees it; nothing that a reader sees changes.
    changed = {uri for uri in after if after[uri] != before[uri]}
    assert all(uri.startswith(f"{bucket}/data/") for uri in changed)

    registry = ["--registry", f"{bucket}/registry", "--json"]
    listed = saiki("models", *registry)
    assert listed.code == 0, listed.err
    assert listed.result["champion"]["version"] == 1
    copied = saiki("report", *registry, "--out", tmp_path / "why.html")
    assert copied.code == 0, copied.err
    assert "<html" in (tmp_path / "why.html").read_text()

    shows_no_secret(*(outcome.out.encode() + outcome.err.encode() for outcome in (first, second, listed, copied)))
    shows_no_secret(*(path.read_bytes() for path in state.rglob("*") if path.is_file()))
    shows_no_secret(*(storage.read(uri) for uri in after))


class Launcher:
    """Does with the artifacts of every step what KFP's launcher does in its pod.

    All inputs are downloaded before a step, to a place that no other step has seen; all outputs are uploaded after it.
    Only files travel: no empty folders, no modes, no links.
    """

    def __init__(self, pipeline_root, folder, monkeypatch):
        from kfp.local.orchestrator import task_executor

        self.root = pipeline_root
        self.folder = folder
        self.places = {}
        self.steps = 0
        self._execute = task_executor.execute_single_task
        monkeypatch.setattr(task_executor, "execute_single_task", self.execute)

    def execute(self, **given):
        from kfp.local.orchestrator import orchestrator_utils

        self.steps += 1
        pod = self.folder / f"pod-{self.steps}"
        arguments = orchestrator_utils.OrchestratorUtils.make_task_arguments(
            given["task_spec"].inputs, given["io_store"]
        )
        inputs = {name: value for name, value in arguments.items() if getattr(value, "uri", None) in self.places}
        before = {name: artifact.uri for name, artifact in inputs.items()}
        for name, artifact in inputs.items():
            self.download(self.places[artifact.uri], pod / name)
            artifact.uri = str(pod / name)
        try:
            outputs, outcome = self._execute(**given)
        finally:
            for name, artifact in inputs.items():
                artifact.uri = before[name]
            shutil.rmtree(pod, ignore_errors=True)
        for name, artifact in outputs.items():
            if hasattr(artifact, "uri") and Path(artifact.uri).exists():
                self.places[artifact.uri] = self.upload(Path(artifact.uri), f"{self.root}/{self.steps}/{name}")
        return outputs, outcome

    def upload(self, path, uri):
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                storage.create(uri if file == path else f"{uri}/{file.relative_to(path).as_posix()}", file)
        path.unlink() if path.is_file() else shutil.rmtree(path)
        return uri

    def download(self, uri, path):
        if storage.exists(uri):
            storage.fetch(uri, path)
        for info in storage.list_objects(uri):
            storage.fetch(info.uri, path / info.uri.removeprefix(f"{uri}/"))


def test_every_artifact_survives_the_way_through_the_pipeline_root(bucket, tmp_path, monkeypatch):
    from pipelines.local.run import run as run_locally
    from pipelines.training.pipeline import training

    if bucket.startswith("s3://"):
        pytest.skip("once is enough: what travels is the same")
    arguments = {
        "task": str(write_task(tmp_path / "task")),
        "data_root": f"{bucket}/data",
        "registry": f"{bucket}/registry",
        "as_of": AS_OF,
        "budget": 1,
    }
    launcher = Launcher(f"{bucket}/runs", tmp_path, monkeypatch)
    with (tmp_path / "log").open("w") as log:
        steps = run_locally(
            training,
            arguments,
            state=tmp_path / "state",
            started=lambda step: None,
            finished=lambda step: None,
            log=log,
        )

    assert {step.name: step for step in steps}["push: promote"].outputs["result"] == "promoted"
    assert launcher.steps == len(steps)
    # A model is a folder, a manifest a file; here there is nothing left of either.
    travelled = [uri.removeprefix(f"{bucket}/runs/").split("/", 1)[1] for uri in objects(f"{bucket}/runs")]
    assert {"model/saved_model.pb", "model/model.json", "examples", "verdict", "report"} <= set(travelled)
    assert not [
        path for path in (tmp_path / "state" / "runs").rglob("*") if path.name in ("saved_model.pb", "examples")
    ]
    assert json.loads(storage.read(f"{bucket}/registry/stands/champion.json"))["version"] == 1


@pytest.mark.parametrize("name", ["task", "data_root", "registry"])
def test_a_uri_with_a_secret_is_refused_before_it_is_printed(name, saiki, bucket, tmp_path):
    secret = f"{bucket.split('/')[0]}//key:{SECRETS['AWS_SECRET_ACCESS_KEY']}@bucket/x"
    refused = saiki("run", "--state", tmp_path / "state", "--set", "task=x", "--set", f"{name}={secret}")
    assert refused.code == 2
    assert "credentials come from the environment" in refused.err
    shows_no_secret(refused.out.encode(), refused.err.encode())
    shows_no_secret(*(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()))
