"""The files of a model: their digest, and `model.json` beside them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components._shared import storage
from components._shared.contract import digest_of
from components._shared.errors import CorruptError, NotFoundError
from components._shared.model_info import ModelInfo
from components._shared.records import ModelRef
from components._shared.store import is_hidden

MODEL_JSON = "model.json"
SAMPLES_JSON = "samples.json"
SKETCHES_JSON = "sketches.json"
MODEL_CARD = "model-card.md"

_BESIDE = frozenset({MODEL_JSON, "lineage.json", "verdict.json", SAMPLES_JSON, SKETCHES_JSON, MODEL_CARD})
"""What stands beside a model, here or in the registry, and is no part of it."""


def model_digest(model_dir: Path) -> str:
    """SHA-256 over the path and the SHA-256 of every file of a model, without `model.json` and the registry's records.

    What a writer that was killed leaves in a folder, temporary files and locks, is no part of a model either.

    Raises:
        NotFoundError: There is no such directory.
    """
    if not model_dir.is_dir():
        raise NotFoundError("There is no model here", where=str(model_dir))
    files: dict[str, str] = {}
    for path in sorted(model_dir.rglob("*")):
        name = path.relative_to(model_dir).as_posix()
        if path.is_file() and name not in _BESIDE and not is_hidden(name):
            with path.open("rb") as stream:
                files[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digest_of(files)


def read_model_info(model_dir: Path) -> ModelInfo:
    """What `model.json` says.

    Raises:
        NotFoundError: There is none.
        InputError: It is not one.
    """
    path = model_dir / MODEL_JSON
    try:
        return ModelInfo.from_json(path.read_bytes(), where=str(path))
    except FileNotFoundError as cause:
        raise NotFoundError("There is no model here: model.json is missing", where=str(path)) from cause


def verify_model(model_dir: Path) -> ModelInfo:
    """What `model.json` says, once the files are known to be those that it describes.

    Raises:
        NotFoundError: There is no model.
        CorruptError: A file was changed, added or lost since the model was written.
    """
    info = read_model_info(model_dir)
    found = model_digest(model_dir)
    if found != info.digest:
        raise CorruptError(
            f"The model's files are not those that were trained: their digest is {found[:12]}, "
            f"model.json says {info.digest[:12]}",
            where=str(model_dir),
            fix="train again, or restore the directory; a model's files are never edited in place",
        )
    return info


@contextmanager
def registered_model(ref: ModelRef) -> Iterator[Path]:
    """The verified directory of a model in the registry: in place where that is a folder, else a copy for a while.

    Raises:
        NotFoundError: It is gone.
        CorruptError: It is not the one that was promoted.
    """
    place = storage.local_path(ref.uri)
    with tempfile.TemporaryDirectory(prefix="saiki-model-") as scratch:
        if place is None:
            place = Path(scratch)
            root = ref.uri.rstrip("/") + "/"
            for found in storage.list_objects(ref.uri):
                path = place / found.uri.removeprefix(root)
                path.parent.mkdir(parents=True, exist_ok=True)
                storage.fetch(found.uri, path)
        info = verify_model(place)
        if info.digest != ref.digest:
            name = f"Version {ref.version}" if ref.version else "The model kept of a rejected candidate"
            raise CorruptError(
                f"{name} is not the model that it was: its digest is {info.digest[:12]}, not {ref.digest[:12]}",
                where=ref.uri,
                fix="restore its files, or roll back to another version" if ref.version else "restore its files",
            )
        yield place
