"""The whole pipeline on buckets: rows, registry and, for one of them, the task and its sources."""

import json

import pytest

from components._shared import storage
from tests.small_task import AS_OF, write_task


@pytest.fixture(params=["gs", "s3"])
def bucket(request):
    """A fresh prefix on an emulated store."""
    return request.getfixturevalue("gcs_root" if request.param == "gs" else "s3_root")


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
