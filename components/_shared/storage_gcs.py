"""Storage in Google Cloud Storage.

Credentials come from the environment (Application Default Credentials); with `STORAGE_EMULATOR_HOST` there are none.
A broken connection leaves it open whether a write has happened. So every write carries a random word in the object's
metadata: when a retry finds the condition broken and its own word there, it was the first try that had won.

Large files go up in chunks of one resumable session: what broke goes on at the last chunk that arrived.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from components._shared.errors import AlreadyExistsError, NotFoundError, PreconditionError, StorageError
from components._shared.store import (
    ObjectInfo,
    RangeReader,
    Store,
    glob_expression,
    is_hidden,
    literal_prefix,
    split_uri,
)

_WRITE = "saiki-write"
_PATIENCE = 90.0
"""Seconds that a call is retried for."""
_TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes of an answer."""
_CHUNK = 8 << 20
"""Bytes of a file that are in memory at once, and that are sent again after a broken connection; smaller files go up in
one request. A multiple of 256 KiB, as the protocol asks."""
_SESSIONS = 3
"""How often an upload is begun anew where its session is lost."""


class GcsStore(Store):
    """Objects in buckets. The generation is the store's own."""

    def stat(self, uri: str) -> ObjectInfo | None:
        """See `Store`."""
        blob = self._blob(uri)
        with _translated(uri):
            return _info(uri, blob) if self._reload(blob) else None

    def read_versioned(self, uri: str) -> tuple[bytes, str]:
        """See `Store`."""
        from google.api_core.exceptions import NotFound

        with _translated(uri):
            while True:
                blob = self._blob(uri)
                if not self._reload(blob):
                    raise NotFoundError("There is no such object", where=uri)
                pinned = blob.bucket.blob(blob.name, generation=blob.generation)
                try:
                    return pinned.download_as_bytes(raw_download=True, **_patience()), str(blob.generation)
                except NotFound:
                    # It was replaced between the two calls.
                    continue

    def open_read(self, uri: str) -> BinaryIO:
        """See `Store`."""
        found = self.stat(uri)
        if found is None:
            raise NotFoundError("There is no such object", where=uri)
        blob = self._blob(uri, generation=int(found.generation))

        def read_range(start: int, stop: int) -> bytes:
            with _translated(uri):
                return cast(
                    bytes,
                    blob.download_as_bytes(start=start, end=stop - 1, raw_download=True, checksum=None, **_patience()),
                )

        return io.BufferedReader(RangeReader(found.size, read_range), buffer_size=1 << 20)

    def list_objects(self, prefix: str, *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """See `Store`."""
        return self._list(prefix.rstrip("/") + "/", hidden)

    def names_in(self, folder: str) -> list[str]:
        """See `Store`."""
        bucket, name = split_uri(folder.rstrip("/") + "/", folder=True)
        with _translated(folder):
            blobs = _client(folder).list_blobs(bucket, prefix=name, delimiter="/", **_patience())
            objects = [blob.name for blob in blobs if not blob.name.endswith("/") and not is_hidden(blob.name)]
            # Known once the pages have been read.
            folders = list(blobs.prefixes)
        return sorted(found.removeprefix(name) for found in [*objects, *folders])

    def glob(self, pattern: str) -> list[ObjectInfo]:
        """See `Store`."""
        matches = glob_expression(pattern).match
        return [info for info in self._list(literal_prefix(pattern)) if matches(info.uri)]

    def create(self, uri: str, data: bytes | Path) -> str:
        """See `Store`."""
        generation = self._write(uri, data, 0)
        if generation is None:
            raise AlreadyExistsError("There is an object of this name already", where=uri)
        return generation

    def replace(self, uri: str, data: bytes | Path, generation: str) -> str:
        """See `Store`."""
        written = self._write(uri, data, int(generation))
        if written is None:
            raise _changed(uri)
        return written

    def refresh(self, uri: str) -> bool:
        """See `Store`."""
        from google.api_core.exceptions import BadRequest, NotFound

        blob = self._blob(uri)
        now = blob.custom_time = datetime.now(UTC)
        with _translated(uri):
            try:
                blob.patch(**_patience())
            except NotFound:
                return False
            except BadRequest:
                # The store lets this time only grow: somebody else, whose clock is ahead, has marked it at this moment.
                found = self.stat(uri)
                if found is not None and found.modified < now:
                    raise
                return found is not None
        return True

    def delete(self, uri: str, generation: str | None) -> None:
        """See `Store`."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        if generation is not None:
            # Looked at first as well, since emulators delete whatever the condition says.
            found = self.stat(uri)
            if found is not None and found.generation != generation:
                raise _changed(uri)
        blob = self._blob(uri)
        with _translated(uri):
            try:
                blob.delete(if_generation_match=None if generation is None else int(generation), **_patience())
            except NotFound:
                return
            except PreconditionFailed as cause:
                raise _changed(uri) from cause

    def _blob(self, uri: str, generation: int | None = None) -> Any:
        bucket, name = split_uri(uri)
        return _client(uri).bucket(bucket).blob(name, generation=generation)

    def _reload(self, blob: Any) -> bool:
        from google.api_core.exceptions import NotFound

        try:
            blob.reload(**_patience())
        except NotFound:
            return False
        return True

    def _list(self, prefix: str, hidden: bool = False) -> Iterator[ObjectInfo]:
        bucket, name = split_uri(prefix, folder=True)
        with _translated(prefix):
            for blob in _client(prefix).list_blobs(bucket, prefix=name, **_patience()):
                # A name that ends with "/" is a folder's placeholder, made by a browser of buckets.
                if not blob.name.endswith("/") and is_hidden(blob.name) == hidden:
                    yield _info(f"gs://{bucket}/{blob.name}", blob)

    def _write(self, uri: str, data: bytes | Path, generation: int) -> str | None:
        """The new generation, or None if the object is not at the given one (0: absent)."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        DataCorruption, _ = _media_errors()
        if isinstance(data, Path) and generation == 0 and self.stat(uri) is not None:
            # Said before a large file is sent for nothing; the condition below decides between two at the same time.
            return None
        mark = secrets.token_hex(16)
        with _translated(uri):
            for session in range(1, _SESSIONS + 1):
                try:
                    return self._upload(uri, data, generation, mark)
                except PreconditionFailed:
                    return self._own(uri, mark)
                except NotFound as cause:
                    if "upload_id=" not in str(cause):
                        # The object is gone, unless it is the bucket that is missing.
                        if generation and "bucket" not in str(cause).lower():
                            return None
                        raise
                    lost: Exception = cause
                except DataCorruption as cause:
                    self._remove_own(uri, mark)
                    lost = cause
                except ValueError as cause:
                    # The client library does not go on where a store has kept less of a chunk than it was sent.
                    lost = cause
                # The session may have been closed because it was complete, and only the answer was lost.
                written = self._own(uri, mark)
                if written is not None:
                    return written
                if session == _SESSIONS:
                    raise lost
        raise AssertionError("the last session returns or raises")

    def _upload(self, uri: str, data: bytes | Path, generation: int, mark: str) -> str:
        from google.api_core.exceptions import GoogleAPICallError, NotFound

        blob = self._blob(uri)
        blob.metadata = {_WRITE: mark}
        how = {"content_type": _TYPE, "if_generation_match": generation, "checksum": "crc32c", **_patience()}
        if isinstance(data, Path):
            blob.chunk_size = _CHUNK
            try:
                blob.upload_from_filename(str(data), **how)
            except GoogleAPICallError as cause:
                if cause.code == _GONE:
                    raise NotFound(str(cause)) from cause  # type: ignore[no-untyped-call]
                raise
        else:
            blob.upload_from_string(data, **how)
        return str(blob.generation)

    def _own(self, uri: str, mark: str) -> str | None:
        """The generation of the object if it is the one that was written with this word."""
        found = self._blob(uri)
        mine = self._reload(found) and (found.metadata or {}).get(_WRITE) == mark
        return str(found.generation) if mine else None

    def _remove_own(self, uri: str, mark: str) -> None:
        """Removes what arrived with other bytes than were sent."""
        written = self._own(uri, mark)
        if written is not None:
            self.delete(uri, written)


_GONE = 410
_TYPE = "application/octet-stream"


@cache
def _client_of(process: int, emulator: str) -> Any:
    """One client per process: its connections must not be shared across a fork."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    if emulator:
        return storage.Client(project="emulator", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
    return storage.Client()


def _client(uri: str) -> Any:
    with _translated(uri):
        return _client_of(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST", ""))


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(_PATIENCE).with_delay(initial=0.2, maximum=10.0, multiplier=2.0)


def _patience() -> dict[str, Any]:
    return {"retry": _retry(), "timeout": _TIMEOUT}


def _info(uri: str, blob: Any) -> ObjectInfo:
    modified = max(blob.updated, blob.custom_time or blob.updated)
    return ObjectInfo(uri=uri, size=blob.size or 0, generation=str(blob.generation), modified=modified)


def _changed(uri: str) -> PreconditionError:
    return PreconditionError("The object has changed since it was read: somebody else was first", where=uri)


def _media_errors() -> tuple[type[Exception], type[Exception]]:
    """DataCorruption and InvalidResponse, where the versions of our locks have them."""
    try:
        from google.cloud.storage import exceptions
    except ImportError:
        from google import resumable_media as exceptions
    return exceptions.DataCorruption, exceptions.InvalidResponse


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from urllib3.exceptions import HTTPError

    bucket = uri.removeprefix("gs://").split("/", 1)[0]
    try:
        yield
    except StorageError:
        raise
    except api.NotFound as cause:
        raise NotFoundError(
            f"The bucket '{bucket}' does not exist",
            where=uri,
            fix=f"create it (gcloud storage buckets create gs://{bucket}) or correct its name",
        ) from cause
    except (api.Forbidden, api.Unauthorized) as cause:
        raise StorageError(
            f"Permission denied in bucket '{bucket}': {cause.message}",
            where=uri,
            fix="grant this account the role roles/storage.objectUser on the bucket (gcloud storage buckets "
            f"add-iam-policy-binding gs://{bucket} --role=roles/storage.objectUser --member=...)",
        ) from cause
    except (auth.DefaultCredentialsError, auth.RefreshError) as cause:
        raise StorageError(
            "There are no usable Google Cloud credentials here",
            where=uri,
            fix="run 'gcloud auth application-default login', or use a service account through Workload Identity",
        ) from cause
    except (
        api.GoogleAPICallError,
        api.RetryError,
        auth.TransportError,
        *_media_errors(),
        HTTPError,
        OSError,
        ValueError,
    ) as cause:
        # Errors of connections are OSErrors.
        raise StorageError(
            f"The transfer with bucket '{bucket}' failed: {type(cause).__name__}: {str(cause)[:300]}",
            where=uri,
            fix="look at the network and https://status.cloud.google.com, then run again: nothing is lost",
        ) from cause
