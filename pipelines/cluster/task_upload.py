"""A task file for a cluster: one that lies here is put into object storage, under the digest of its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components._shared import storage
from components._shared.errors import InputError, StorageError, TaskError
from components._shared.task import Schema, Task

_DIGITS = 16


@dataclass(frozen=True)
class ClusterTask:
    """A task, where the cluster can read it.

    Attributes:
        name: Of the task; empty: the file cannot be read from here.
        uri: Of the file.
        files: What has to be put there first, by URI.
    """

    name: str
    uri: str
    files: dict[str, bytes]

    def upload(self) -> None:
        """Puts the files there; those that are there already stay."""
        # The task last: who sees it finds its schema.
        for uri, content in sorted(self.files.items(), key=lambda item: item[0] == self.uri):
            storage.ensure(uri, content)


def cluster_task(task: str, data_root: str) -> ClusterTask:
    """Where the cluster reads a task that the user names; nothing is written yet.

    Args:
        task: URI, or a path on this machine.
        data_root: Where a file of this machine goes, into `tasks/`.

    Raises:
        TaskError: The file or its schema is wrong.
        InputError: There is none, or its sources lie on this machine.
    """
    if "://" in task and not task.startswith("file://"):
        return ClusterTask(_name_of(task), task, {})
    path = Path(storage.local_path(task) or task).expanduser()
    text = _read(path, "task file")
    found = Task.from_json(text, where=str(path), error=TaskError)
    for source in found.data.sources:
        if "://" not in source or source.startswith("file:"):
            raise InputError(
                f"The task reads '{source}' on this machine, where the cluster cannot read it",
                where=f"data.sources in {path}",
                fix="copy the folder of the task file to object storage and give its URI, --set task=gs://…/task.yaml; "
                "or name the data gs://… or s3://… in the file",
            )
    if "://" in found.schema_file:
        contents = {PurePosixPath("task.yaml"): text}
    else:
        contents = {
            PurePosixPath("task.yaml"): text,
            _beside(found.schema_file, path): _schema(path, found.schema_file),
        }
    digest = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in contents.values())).hexdigest()
    folder = storage.join(data_root, "tasks", digest[:_DIGITS])
    files = {storage.join(folder, str(name)): content for name, content in contents.items()}
    return ClusterTask(found.name, storage.join(folder, "task.yaml"), files)


def _name_of(uri: str) -> str:
    """The name of a task in object storage, if we may read it: the cluster's steps may, even if we may not."""
    try:
        text = storage.read(uri)
    except FileNotFoundError as cause:
        raise InputError(
            "There is no such task file", where=uri, fix="correct `task`, or put the file there"
        ) from cause
    except (StorageError, OSError):
        return ""
    return Task.from_json(text, where=uri, error=TaskError).name


def _schema(task: Path, name: str) -> bytes:
    path = task.parent / name
    text = _read(path, "pinned schema")
    Schema.from_json(text, where=str(path), error=TaskError)
    return text


def _beside(name: str, task: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name.startswith("~") or str(path) == "task.yaml":
        raise InputError(
            f"The schema '{name}' is not below the folder of the task file",
            where=f"schema in {task}",
            fix="put it beside the task file, as schema.yaml",
        )
    return path


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise InputError(
            f"The {what} cannot be read: {cause.strerror}", where=str(path), fix="correct the path"
        ) from cause
