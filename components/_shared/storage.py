"""The only door to storage: `gs://…`, `s3://…`, `file://…`, or a plain path.

Writes are create-only or compare-and-swap, and a reader never sees half an object. A *generation* is an opaque word
that changes whenever the object does. In `file://` URIs special characters are percent-encoded; in plain paths they
stand as they are.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from components._shared.errors import (
    AlreadyExistsError,
    InputError,
    NotFoundError,
    PreconditionError,
    StorageError,
)
from components._shared.store import HIDDEN, ObjectInfo, Store, check_no_secret, quote_path

__all__ = [
    "REFRESH_AFTER",
    "ObjectInfo",
    "check_no_secret",
    "check_root",
    "create",
    "delete",
    "ensure",
    "exists",
    "fetch",
    "glob",
    "join",
    "list_objects",
    "list_strays",
    "local_path",
    "names_in",
    "open_read",
    "read",
    "read_versioned",
    "replace",
    "stat",
    "touch",
]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
REFRESH_AFTER = timedelta(hours=12)
"""An object that is found again is marked as used once its mark is older: garbage collection adds this to its grace."""


def join(uri: str, *parts: str | int) -> str:
    """A URI below another. Parts may hold several names with `/` between them.

    Raises:
        InputError: A part is empty, absolute, or leads out of the folder.
    """
    joined = uri.rstrip("/")
    encoded = joined.startswith("file:")
    for part in parts:
        text = str(part)
        names = text.split("/")
        if any(name in ("", ".", "..") for name in names) or "\x00" in text:
            raise InputError(
                f"{text!r} is not a path below a folder",
                where=uri,
                fix="use plain names, without '..' or a leading '/'",
            )
        joined += "/" + (quote_path(text) if encoded else text)
    return joined


def read(uri: str) -> bytes:
    """The whole object.

    Raises:
        NotFoundError: There is none.
    """
    return read_versioned(uri)[0]


def read_versioned(uri: str) -> tuple[bytes, str]:
    """The whole object and its generation, consistent with each other.

    Raises:
        NotFoundError: There is none.
    """
    return _store(uri).read_versioned(uri)


def open_read(uri: str) -> BinaryIO:
    """A seekable stream over the object as it is now; a context manager.

    Raises:
        NotFoundError: There is none.
    """
    return _store(uri).open_read(uri)


def fetch(uri: str, path: Path) -> None:
    """Copies the object to a local file, which is there whole or not at all.

    Raises:
        NotFoundError: There is none.
    """
    from components._shared.storage_file import write_file

    with open_read(uri) as stream:
        write_file(path, stream)


def stat(uri: str) -> ObjectInfo | None:
    """What is there, or None."""
    return _store(uri).stat(uri)


def exists(uri: str) -> bool:
    """Whether there is such an object."""
    return stat(uri) is not None


def list_objects(prefix_uri: str) -> Iterator[ObjectInfo]:
    """Every object below a folder, at any depth, sorted by URI."""
    return _store(prefix_uri).list_objects(prefix_uri)


def names_in(folder_uri: str) -> list[str]:
    """Names of what lies directly in a folder, sorted; those of folders end with `/`. What they hold is not listed."""
    return _store(folder_uri).names_in(folder_uri)


def list_strays(prefix_uri: str) -> Iterator[ObjectInfo]:
    """What a killed writer may have left below a folder: temporary files, probes, and locks (never remove a lock)."""
    return _store(prefix_uri).list_objects(prefix_uri, hidden=True)


def glob(pattern_uri: str) -> list[ObjectInfo]:
    """The objects that match `*`, `?`, `[…]` (within a name) and `**` (across folders), sorted by URI.

    An object whose name is exactly the pattern is a match as well.
    """
    exact = stat(pattern_uri)
    return [exact] if exact is not None else _store(pattern_uri).glob(pattern_uri)


def create(uri: str, data: bytes | Path) -> str:
    """Writes an object that must not be there yet: whole, durable, or not at all.

    Returns:
        Its generation.

    Raises:
        AlreadyExistsError: There is one.
    """
    return _store(uri).create(uri, data)


def ensure(uri: str, data: bytes | Path) -> None:
    """Writes an object whose name follows from its content, or leaves the one that is there.

    One that is there with another size is broken, and written anew. An old one is marked as used today, so that garbage
    collection does not take it from the run that has just found it.
    """
    store = _store(uri)
    found = store.stat(uri)
    if found is None:
        with suppress(AlreadyExistsError):
            store.create(uri, data)
        return
    size = data.stat().st_size if isinstance(data, Path) else len(data)
    if found.size != size:
        with suppress(PreconditionError):
            store.replace(uri, data, found.generation)
    elif datetime.now(UTC) - found.modified > REFRESH_AFTER and not store.refresh(uri):
        # Garbage collection took it at this moment.
        with suppress(AlreadyExistsError):
            store.create(uri, data)


def touch(uri: str) -> bool:
    """Marks an object as used now, so that garbage collection spares it; False: there is no such object."""
    return _store(uri).refresh(uri)


def replace(uri: str, data: bytes, *, generation: str | None) -> str:
    """Compare-and-swap.

    Args:
        generation: The one that must be there; None: nothing must be there.

    Returns:
        The new generation.

    Raises:
        PreconditionError: Something else is there: somebody was faster.
    """
    store = _store(uri)
    if generation is not None:
        return store.replace(uri, data, generation)
    try:
        return store.create(uri, data)
    except AlreadyExistsError as cause:
        raise PreconditionError("The object is there already: somebody else was first", where=uri) from cause


def delete(uri: str, *, generation: str | None = None) -> None:
    """Removes an object; one that is not there is no error.

    Args:
        generation: Remove this one only.

    Raises:
        PreconditionError: It has changed since.
    """
    _store(uri).delete(uri, generation)


def local_path(uri: str) -> Path | None:
    """The file itself where storage is a file system (to read, never to write), else None."""
    return _store(uri).local_path(uri)


def check_root(uri: str) -> None:
    """Tries what Saiki needs below a root: create-only writes, compare-and-swap, reading, listing, deleting.

    Raises:
        StorageError: Says what does not work there, and what to do.
    """
    if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9+.-]*:/*", uri) or not uri:
        raise StorageError(f"'{uri}' names no bucket or folder", fix="give for example gs://bucket/prefix or a path")
    probe = join(uri, f"{HIDDEN}probe-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        first = create(probe, b"1")
    except StorageError as cause:
        # The probe is our own: the user knows the root, and only there can something be done.
        fix = cause.fix or "give a place where this user may create files"
        raise type(cause)(f"Nothing can be written here: {cause.what}", where=uri, fix=fix) from cause
    try:
        _check_conditions(uri, probe, first)
        next(list_objects(uri), None)
    finally:
        delete(probe)
    if _scheme(uri) == "s3":
        _check_races(uri, probe)


def _check_conditions(uri: str, probe: str, first: str) -> None:
    held = [
        _refused(lambda: create(probe, b"2"), AlreadyExistsError),
        _refused(lambda: replace(probe, b"2", generation=first + "0"), PreconditionError),
    ]
    content, generation = read_versioned(probe)
    if not all(held) or content != b"1" or generation != first:
        raise _no_conditions(uri, "ignores the conditions of conditional writes")
    replace(probe, b"3", generation=generation)
    if read(probe) != b"3":
        raise NotFoundError("What was written here cannot be read back", where=probe)


def _check_races(uri: str, probe: str) -> None:
    """Some stores that speak S3 check a condition and then write, so that of two writers at once both win."""
    absent, once = probe + "-absent", probe + "-race"
    try:
        if not _refused(lambda: replace(absent, b"1", generation='"0"'), PreconditionError):
            raise _no_conditions(uri, "replaces objects that are not there")
        with ThreadPoolExecutor(_RACERS) as pool:
            lost = list(
                pool.map(lambda n: _refused(lambda: create(once, b"%d" % n), AlreadyExistsError), range(_RACERS))
            )
            content, generation = read_versioned(once)
            if lost.count(False) != 1 or content != b"%d" % lost.index(False):
                raise _no_conditions(uri, f"let {lost.count(False)} of {_RACERS} writers create the same object")
            swap = [lambda n=n: replace(once, b"swap %d" % n, generation=generation) for n in range(_RACERS)]
            lost = list(pool.map(lambda call: _refused(call, PreconditionError), swap))
            if lost.count(False) != 1:
                raise _no_conditions(uri, f"let {lost.count(False)} of {_RACERS} writers replace the same object")
    finally:
        for each in (absent, once):
            delete(each)


_RACERS = 4


def _refused(call: Callable[[], object], error: type[StorageError]) -> bool:
    try:
        call()
    except error:
        return True
    return False


def _no_conditions(uri: str, fault: str) -> StorageError:
    return StorageError(
        f"This store {fault}: two runs could overwrite each other's promotion, so nothing is promoted here",
        where=uri,
        fix="use one with create-only and compare-and-swap writes (docs/object-storage.md): GCS, AWS S3, a recent "
        "MinIO or SeaweedFS, or a folder",
    )


def _scheme(uri: str) -> str:
    found = _SCHEME.match(uri)
    return found.group(1).lower() if found else "file"


def _store(uri: str) -> Store:
    match _scheme(uri):
        case "file":
            from components._shared.storage_file import FileStore

            return FileStore()
        case "gs":
            from components._shared.storage_gcs import GcsStore

            return GcsStore()
        case "s3":
            from components._shared.storage_s3 import S3Store

            return S3Store()
        case scheme:
            check_no_secret(uri)
            raise StorageError(
                f"Saiki cannot reach '{scheme}://'", where=uri, fix="use gs://, s3://, file:// or a plain path"
            )
