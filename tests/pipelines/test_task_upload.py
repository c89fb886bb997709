from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.errors import InputError, TaskError
from components._shared.task import Task
from components.plan.sources import relative_to
from pipelines.cluster.task_upload import cluster_task
from tests.small_task import write_task


def remote(task: dict[str, Any]) -> None:
    task["data"]["sources"] = ["gs://bucket/sales/*.csv"]


def test_a_local_task_goes_to_the_data_root_with_its_schema(tmp_path: Path, gcs_root: str) -> None:
    path = write_task(tmp_path, task=remote)
    found = cluster_task(str(path), gcs_root)
    assert found.name == "stands"
    assert found.uri.startswith(f"{gcs_root}/tasks/")
    assert not list(storage.list_objects(gcs_root))
    found.upload()
    assert storage.read(found.uri) == path.read_bytes()
    task = Task.from_json(storage.read(found.uri))
    schema = relative_to(found.uri, task.schema_file)
    assert storage.read(schema) == (tmp_path / "schema.yaml").read_bytes()


def test_the_same_content_has_one_place_and_another_has_its_own(tmp_path: Path, gcs_root: str) -> None:
    path = write_task(tmp_path, task=remote)
    first = cluster_task(str(path), gcs_root)
    first.upload()
    first.upload()
    assert len(list(storage.list_objects(gcs_root))) == 2
    assert cluster_task(str(path), gcs_root).uri == first.uri
    schema = tmp_path / "schema.yaml"
    schema.write_text(schema.read_text() + "\n# widened\n")
    assert cluster_task(str(path), gcs_root).uri != first.uri


def test_sources_of_this_machine_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'sales\.csv' on this machine") as caught:
        cluster_task(str(write_task(tmp_path)), "gs://b/data")
    assert "object storage" in caught.value.fix


def test_a_wrong_task_or_schema_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    wrong = write_task(tmp_path / "a", task=lambda task: (remote(task), task.update(problem="riddle")))
    with pytest.raises(TaskError, match="problem"):
        cluster_task(str(wrong), "gs://b/data")
    wrong = write_task(tmp_path / "b", task=remote, schema=lambda schema: schema.update(columns={"day": {"type": "x"}}))
    with pytest.raises(TaskError, match=r"columns\.day\.type"):
        cluster_task(str(wrong), "gs://b/data")
    with pytest.raises(InputError, match="No such file"):
        cluster_task(str(tmp_path / "none.yaml"), "gs://b/data")


@pytest.mark.parametrize("name", ["../schema.yaml", "/etc/schema.yaml", "~/schema.yaml", "task.yaml"])
def test_a_schema_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = write_task(tmp_path, task=lambda task: (remote(task), task.update(schema=name)))
    with pytest.raises(InputError, match="not below the folder"):
        cluster_task(str(path), "gs://b/data")


def test_a_schema_in_object_storage_stays_there(tmp_path: Path, gcs_root: str) -> None:
    path = write_task(tmp_path, task=lambda task: (remote(task), task.update(schema="gs://b/schema.yaml")))
    assert list(cluster_task(str(path), gcs_root).files.values()) == [path.read_bytes()]


def test_a_task_in_object_storage_stays_there(tmp_path: Path, gcs_root: str) -> None:
    uri = f"{gcs_root}/mine/task.yaml"
    with pytest.raises(InputError, match="no such task file"):
        cluster_task(uri, gcs_root)
    storage.create(uri, write_task(tmp_path, task=remote).read_bytes())
    found = cluster_task(uri, gcs_root)
    assert (found.name, found.uri, found.files) == ("stands", uri, {})


def test_a_task_that_only_the_cluster_may_read_has_no_name_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(uri: str) -> bytes:
        raise storage.StorageError("403", where=uri)

    monkeypatch.setattr(storage, "read", forbidden)
    assert cluster_task("gs://theirs/flights/task.yaml", "gs://b/data").name == ""
