"""Storage in a file system: whole files by temporary file and link or rename, compare-and-swap under a lock."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from components._shared.errors import AlreadyExistsError, NotFoundError, PreconditionError, StorageError
from components._shared.store import HIDDEN, ObjectInfo, Store, is_hidden, quote_path

_PREFIX = "file://"
_PIECE = 4 << 20
"""Bytes that are copied at once: from a bucket, one request for each."""
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)


class FileStore(Store):
    """Files. The generation is the time of the last write (nanoseconds, made to grow with every write) and the size."""

    def stat(self, uri: str) -> ObjectInfo | None:
        """See `Store`."""
        path = _path(uri)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as cause:
            raise _translated(cause, path) from cause
        return None if path.is_dir() else _info(uri, found)

    def read_versioned(self, uri: str) -> tuple[bytes, str]:
        """See `Store`."""
        path = _path(uri)
        while True:
            with _open(path) as stream:
                before = os.fstat(stream.fileno())
                try:
                    content = stream.read()
                except OSError as cause:
                    raise _translated(cause, path) from cause
                after = os.fstat(stream.fileno())
            # Our own writers never touch a file in place; somebody else's may.
            if _generation(before) == _generation(after):
                return content, _generation(before)

    def open_read(self, uri: str) -> BinaryIO:
        """See `Store`."""
        return _open(_path(uri))

    def list_objects(self, prefix: str, *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """See `Store`."""
        return self._walk(_path(prefix), prefix.rstrip("/"), prefix.startswith(_PREFIX), hidden, frozenset())

    def _walk(
        self, folder: Path, uri: str, encoded: bool, hidden: bool, above: frozenset[tuple[int, int]]
    ) -> Iterator[ObjectInfo]:
        """Depth first, a folder sorted as its name with "/": that is the order of the URIs."""
        try:
            place = folder.stat()
            names = {quote_path(e.name) if encoded else e.name: e.name + "/" * e.is_dir() for e in os.scandir(folder)}
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as cause:
            raise _translated(cause, folder) from cause
        if (place.st_dev, place.st_ino) in above:
            # A symbolic link that leads back up.
            return
        inside = above | {(place.st_dev, place.st_ino)}
        for shown, name in sorted(names.items(), key=lambda pair: pair[0] + "/" * pair[1].endswith("/")):
            if name.endswith("/"):
                yield from self._walk(folder / name, f"{uri}/{shown}", encoded, hidden, inside)
            elif is_hidden(name) == hidden:
                found = self.stat(f"{uri}/{shown}")
                if found is not None:
                    yield found

    def names_in(self, folder: str) -> list[str]:
        """See `Store`. What was deleted leaves its folder behind: one without any object is none."""
        home = _path(folder)
        try:
            entries = list(os.scandir(home))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as cause:
            raise _translated(cause, home) from cause
        folders = [entry.name for entry in entries if entry.is_dir() and any(self.list_objects(entry.path))]
        files = [entry.name for entry in entries if entry.is_file() and not is_hidden(entry.name)]
        return sorted([*files, *(f"{name}/" for name in folders)])

    def glob(self, pattern: str) -> list[ObjectInfo]:
        """See `Store`."""
        encoded = pattern.startswith(_PREFIX)
        text = unquote(pattern.removeprefix(_PREFIX)) if encoded else str(Path(pattern).expanduser())
        uris = (_PREFIX + quote_path(name) if encoded else name for name in glob.iglob(text, recursive=True))  # noqa: PTH207
        found = (self.stat(uri) for uri in sorted(set(uris)))
        return [info for info in found if info is not None]

    def create(self, uri: str, data: bytes | Path) -> str:
        """See `Store`."""
        path = _path(uri)
        if _is_there(path):
            raise _taken(path)
        with _temporary(path, data) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError as cause:
                raise _taken(path) from cause
            except OSError as cause:
                if cause.errno not in _NO_LINKS:
                    raise
                _rename_if_absent(temporary, path)
            _sync_folder(path.parent)
            return _generation(path.stat())

    def replace(self, uri: str, data: bytes | Path, generation: str) -> str:
        """See `Store`."""
        path = _path(uri)
        if not _is_there(path):
            raise _changed(path)
        with _temporary(path, data) as temporary, _lock(path.parent):
            found = self.stat(uri)
            if found is None or found.generation != generation:
                raise _changed(path)
            _grow_time(temporary, path)
            Path(temporary).replace(path)
            _sync_folder(path.parent)
            return _generation(path.stat())

    def refresh(self, uri: str) -> bool:
        """See `Store`."""
        path = _path(uri)
        try:
            os.utime(path, ns=(time.time_ns(), time.time_ns()))
        except FileNotFoundError:
            return False
        except OSError as cause:
            raise _translated(cause, path) from cause
        return True

    def delete(self, uri: str, generation: str | None) -> None:
        """See `Store`."""
        path = _path(uri)
        if not _is_there(path):
            return
        try:
            with _lock(path.parent):
                found = self.stat(uri)
                if found is not None and generation not in (None, found.generation):
                    raise _changed(path)
                path.unlink(missing_ok=True)
        except OSError as cause:
            raise _translated(cause, path) from cause

    def local_path(self, uri: str) -> Path | None:
        """See `Store`."""
        return _path(uri)


def write_file(path: Path, source: bytes | Path | BinaryIO) -> None:
    """Writes a local file that is there whole or not at all, over whatever was there."""
    with _temporary(path, source) as temporary:
        Path(temporary).replace(path)
        _sync_folder(path.parent)


def _path(uri: str) -> Path:
    text = unquote(uri[len(_PREFIX) :]) if uri.startswith(_PREFIX) else uri
    if uri.startswith(_PREFIX) and not text.startswith("/"):
        raise StorageError(
            "A file:// URI needs an absolute path",
            where=uri,
            fix="write three slashes, as in file:///folder/file, or a plain path",
        )
    if not text or "\x00" in text:
        raise StorageError(f"{uri!r} is not a path", where=uri, fix="give the path of a file or folder")
    return Path(text).expanduser().absolute()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as cause:
        raise _translated(cause, path) from cause


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except IsADirectoryError as cause:
        raise StorageError("This is a folder, not a file", where=str(path), fix="give the path of a file") from cause
    except OSError as cause:
        raise _translated(cause, path) from cause


def _info(uri: str, found: os.stat_result) -> ObjectInfo:
    modified = datetime.fromtimestamp(found.st_mtime_ns / 1e9, UTC)
    return ObjectInfo(uri=uri, size=found.st_size, generation=_generation(found), modified=modified)


def _generation(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}"


@contextmanager
def _temporary(path: Path, data: bytes | Path | BinaryIO) -> Iterator[str]:
    """A complete, durable file beside `path`; gone afterwards whatever happens."""
    temporary = str(path.parent / f"{HIDDEN}tmp-{os.getpid()}-{secrets.token_hex(6)}")
    try:
        _make_folder(path.parent)
        with Path(temporary).open("xb") as stream:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, stream, _PIECE)
            elif isinstance(data, bytes):
                stream.write(data)
            else:
                shutil.copyfileobj(data, stream, _PIECE)
            stream.flush()
            now = time.time_ns()
            os.utime(stream.fileno(), ns=(now, now))
            os.fsync(stream.fileno())
        yield temporary
    except StorageError:
        raise
    except OSError as cause:
        raise _translated(cause, path) from cause
    finally:
        with suppress(OSError):
            Path(temporary).unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as cause:
        # Some network file systems cannot sync a folder; there the server decides when a name is durable.
        if cause.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def _rename_if_absent(temporary: str, path: Path) -> None:
    """For file systems without hard links."""
    with _lock(path.parent):
        if path.exists():
            raise _taken(path)
        Path(temporary).replace(path)


def _grow_time(temporary: str, path: Path) -> None:
    """Makes the new file's time later than the old one's, as the file system stores it."""
    old = path.stat().st_mtime_ns
    for step in (1, 1_000, 1_000_000_000, 2_000_000_000):
        if Path(temporary).stat().st_mtime_ns > old:
            return
        os.utime(temporary, ns=(old + step, old + step))


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One writer at a time in a folder; released by the system when its holder dies."""
    with (folder / f"{HIDDEN}lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _taken(path: Path) -> AlreadyExistsError:
    return AlreadyExistsError("There is an object of this name already", where=str(path))


def _changed(path: Path) -> PreconditionError:
    return PreconditionError("The object has changed since it was read: somebody else was first", where=str(path))


def _translated(cause: OSError, path: Path) -> StorageError:
    if isinstance(cause, StorageError):
        return cause
    where = str(path)
    match cause.errno:
        case errno.ENOENT:
            return NotFoundError("There is no such file", where=where)
        case errno.ENOSPC | errno.EDQUOT:
            return StorageError(
                "The disk is full; nothing was written", where=where, fix="free some space (saiki gc) and run again"
            )
        case errno.EFBIG:
            return StorageError(
                "The file is larger than the limit for files here; nothing was written",
                where=where,
                fix="raise the limit (ulimit -f) or use another folder, and run again",
            )
        case errno.EACCES | errno.EPERM:
            return StorageError("Permission denied", where=where, fix="let this user read and write there")
        case errno.EROFS:
            return StorageError("The file system is read-only", where=where, fix="choose a root that can be written")
        case errno.ENAMETOOLONG:
            return StorageError(
                "The name is too long for this file system",
                where=f"{where[:80]}…",
                fix="give a shorter root, or the source a shorter name",
            )
        case errno.EISDIR | errno.ENOTDIR | errno.EEXIST:
            return StorageError(
                "There is a file where a folder is needed, or a folder where a file is needed",
                where=where,
                fix="move it away, or choose another root",
            )
        case _:
            return StorageError(f"The file system reports: {cause.strerror or cause}", where=where, fix="run again")
