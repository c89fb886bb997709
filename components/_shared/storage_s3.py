"""Storage in S3 and stores that speak its protocol and know conditional writes.

Credentials, region and `AWS_ENDPOINT_URL` come from the environment. Every write carries a random word in the object's
metadata, so that a retried write recognises that its first try had won.

Large files go up in parts: what broke is sent again part by part, and the condition holds when they become an object.
"""

from __future__ import annotations

import io
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
_ABSENT = ("404", "NoSuchKey", "NotFound")
_CONFLICTS = ("412", "PreconditionFailed")
_TRIES = 8
_TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes of an answer."""
_ATTEMPTS = 6
"""How often the client library sends a request that breaks."""
_READS = 5
"""How often a body that breaks off is read again; the client library tries only again what has no answer yet."""
_PART = 16 << 20
"""Bytes of a file that are in memory at once, and that are sent again after a broken connection."""
_IN_PARTS = 2 * _PART
"""Files that are larger go up in parts."""
_MOST_PARTS = 10_000


class S3Store(Store):
    """Objects in buckets; the generation is the ETag. It follows from the content, old bytes bring an old one back."""

    def stat(self, uri: str) -> ObjectInfo | None:
        """See `Store`."""
        found = self._head(uri)
        if found is None:
            return None
        return ObjectInfo(
            uri=uri, size=found["ContentLength"], generation=found["ETag"], modified=found["LastModified"]
        )

    def read_versioned(self, uri: str) -> tuple[bytes, str]:
        """See `Store`."""
        found = self._get(uri)
        return found["Content"], found["ETag"]

    def open_read(self, uri: str) -> BinaryIO:
        """See `Store`."""
        found = self._head(uri)
        if found is None:
            raise NotFoundError("There is no such object", where=uri)
        tag = found["ETag"]

        def read_range(start: int, stop: int) -> bytes:
            nonlocal tag
            how = {"Range": f"bytes={start}-{stop - 1}"}
            try:
                return cast(bytes, self._get(uri, **how, IfMatch=tag)["Content"])
            except PreconditionError:
                # A mark of use gives another ETag to what went up in parts; it is still what the same write brought.
                now = self._head(uri)
                if (
                    now is None
                    or _WRITE not in now["Metadata"]
                    or now["Metadata"][_WRITE] != found["Metadata"].get(_WRITE)
                ):
                    raise
                tag = now["ETag"]
                return cast(bytes, self._get(uri, **how, IfMatch=tag)["Content"])

        return io.BufferedReader(RangeReader(found["ContentLength"], read_range), buffer_size=1 << 20)

    def list_objects(self, prefix: str, *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """See `Store`."""
        return self._list(prefix.rstrip("/") + "/", hidden)

    def names_in(self, folder: str) -> list[str]:
        """See `Store`."""
        bucket, name = split_uri(folder.rstrip("/") + "/", folder=True)
        found: list[str] = []
        with _translated(folder):
            pages = _client(folder).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=name, Delimiter="/"):
                keys = [each["Key"] for each in page.get("Contents", ())]
                found += [key for key in keys if not key.endswith("/") and not is_hidden(key)]
                found += [each["Prefix"] for each in page.get("CommonPrefixes", ())]
        return sorted(key.removeprefix(name) for key in found)

    def glob(self, pattern: str) -> list[ObjectInfo]:
        """See `Store`."""
        matches = glob_expression(pattern).match
        return [info for info in self._list(literal_prefix(pattern)) if matches(info.uri)]

    def create(self, uri: str, data: bytes | Path) -> str:
        """See `Store`."""
        generation = self._write(uri, data, {"IfNoneMatch": "*"})
        if generation is None:
            raise AlreadyExistsError("There is an object of this name already", where=uri)
        return generation

    def replace(self, uri: str, data: bytes | Path, generation: str) -> str:
        """See `Store`."""
        written = self._write(uri, data, {"IfMatch": generation})
        if written is None:
            raise _changed(uri)
        return written

    def refresh(self, uri: str) -> bool:
        """See `Store`."""
        from botocore.exceptions import ClientError

        found = self._head(uri)
        if found is None:
            return False
        place = _where(uri)
        used = {**found["Metadata"], "saiki-used": str(int(time.time()))}
        with _translated(uri):
            try:
                _client(uri).copy_object(
                    **place,
                    CopySource=place,
                    CopySourceIfMatch=found["ETag"],
                    MetadataDirective="REPLACE",
                    Metadata=used,
                )
            except ClientError as cause:
                if _code(cause) in _ABSENT:
                    return False
                # What somebody has written, or marked, at this moment is as good as marked.
                if _code(cause) not in _CONFLICTS:
                    raise
        return True

    def delete(self, uri: str, generation: str | None) -> None:
        """See `Store`. Not every store can delete on a condition: between look and deletion there is a moment."""
        found = self.stat(uri)
        if found is None:
            return
        if generation not in (None, found.generation):
            raise _changed(uri)
        with _translated(uri):
            _client(uri).delete_object(**_where(uri))

    def _get(self, uri: str, **how: str) -> dict[str, Any]:
        """The answer, and the whole body as its `Content`."""
        from botocore import exceptions as boto

        broken = (boto.IncompleteReadError, boto.ResponseStreamingError, boto.ReadTimeoutError)
        with _translated(uri), _absence(uri):
            for turn in range(1, _READS + 1):
                found = _client(uri).get_object(**_where(uri), **how)
                try:
                    return {**found, "Content": found["Body"].read()}
                except broken:
                    if turn == _READS:
                        raise
                    time.sleep(0.1 * 2**turn)
        raise AssertionError("the last try returns or raises")

    def _head(self, uri: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        with _translated(uri):
            try:
                return cast(dict[str, Any], _client(uri).head_object(**_where(uri)))
            except ClientError as cause:
                if _code(cause) in _ABSENT:
                    return None
                raise

    def _list(self, prefix: str, hidden: bool = False) -> Iterator[ObjectInfo]:
        bucket, name = split_uri(prefix, folder=True)
        with _translated(prefix):
            for page in _client(prefix).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=name):
                for found in page.get("Contents", ()):
                    # A name that ends with "/" is a folder's placeholder, made by a browser of buckets.
                    if not found["Key"].endswith("/") and is_hidden(found["Key"]) == hidden:
                        yield ObjectInfo(
                            uri=f"s3://{bucket}/{found['Key']}",
                            size=found["Size"],
                            generation=found["ETag"],
                            modified=found["LastModified"],
                        )

    def _write(self, uri: str, data: bytes | Path, condition: dict[str, str]) -> str | None:
        """The new generation, or None if the condition does not hold."""
        from botocore.exceptions import ClientError

        mark = secrets.token_hex(16)
        with _translated(uri):
            for pause in range(_TRIES):
                try:
                    return self._put(uri, data, condition, mark)
                except ClientError as cause:
                    if _code(cause) == "ConditionalRequestConflict" and pause < _TRIES - 1:
                        # Two conditional writes at the same moment: S3 asks both to try again.
                        time.sleep(0.05 * 2**pause)
                        continue
                    gone = "IfMatch" in condition and _code(cause) in _ABSENT
                    if _code(cause) not in (*_CONFLICTS, "NoSuchUpload") and not gone:
                        raise
                    found = self._head(uri)
                    if found is not None and found["Metadata"].get(_WRITE) == mark:
                        return cast(str, found["ETag"])
                    if _code(cause) == "NoSuchUpload":
                        raise
                    return None
        raise AssertionError("the last try returns or raises")

    def _put(self, uri: str, data: bytes | Path, condition: dict[str, str], mark: str) -> str:
        if isinstance(data, Path) and data.stat().st_size > _IN_PARTS:
            return self._put_parts(uri, data, condition, mark)
        with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as body:
            written = _client(uri).put_object(**_where(uri), Body=body, Metadata={_WRITE: mark}, **condition)
        return cast(str, written["ETag"])

    def _put_parts(self, uri: str, path: Path, condition: dict[str, str], mark: str) -> str:
        place = _where(uri)
        client = _client(uri)
        size = max(_PART, -(-path.stat().st_size // _MOST_PARTS))
        upload = {**place, "UploadId": client.create_multipart_upload(**place, Metadata={_WRITE: mark})["UploadId"]}
        parts: list[dict[str, Any]] = []
        try:
            with path.open("rb") as stream:
                while piece := stream.read(size):
                    sent = client.upload_part(**upload, PartNumber=len(parts) + 1, Body=piece)
                    parts.append({"PartNumber": len(parts) + 1, "ETag": sent["ETag"]})
            written = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:
            # Parts of what never becomes an object cost money. Where this fails, the bucket's life cycle ends them.
            with suppress(Exception):
                client.abort_multipart_upload(**upload)
            raise
        return cast(str, written["ETag"])


def _where(uri: str) -> dict[str, str]:
    bucket, key = split_uri(uri)
    return {"Bucket": bucket, "Key": key}


@cache
def _client_of(process: int, endpoint: str) -> Any:
    """One client per process: its connections must not be shared across a fork."""
    from boto3.session import Session
    from botocore.config import Config

    # botocore reads AWS_DEFAULT_REGION alone, where other clients read AWS_REGION; stores of one's own take any.
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    if not region and endpoint:
        region = Session().region_name or "us-east-1"
    # Checksums that are not required are refused by some stores; what matters is named by its SHA-256 anyway.
    return Session(region_name=region).client(
        "s3",
        config=Config(
            # A store of one's own has one host name, and none for each bucket.
            s3={"addressing_style": "path" if endpoint else "auto"},
            connect_timeout=_TIMEOUT[0],
            read_timeout=_TIMEOUT[1],
            retries={"mode": "standard", "max_attempts": _ATTEMPTS},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _client(uri: str) -> Any:
    with _translated(uri):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        return _client_of(os.getpid(), endpoint)


def _code(cause: Any) -> str:
    return str(cause.response.get("Error", {}).get("Code", ""))


def _changed(uri: str) -> PreconditionError:
    return PreconditionError("The object has changed since it was read: somebody else was first", where=uri)


@contextmanager
def _absence(uri: str) -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as cause:
        if _code(cause) in _ABSENT:
            raise NotFoundError("There is no such object", where=uri) from cause
        if _code(cause) in _CONFLICTS:
            raise PreconditionError("The object changed while it was being read", where=uri, fix="run again") from cause
        raise


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    from botocore import exceptions as boto

    bucket = uri.removeprefix("s3://").split("/", 1)[0]
    try:
        yield
    except StorageError:
        raise
    except boto.ClientError as cause:
        match _code(cause):
            case "NoSuchBucket":
                raise NotFoundError(
                    f"The bucket '{bucket}' does not exist", where=uri, fix="create it or correct its name"
                ) from cause
            case "403" | "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken":
                raise StorageError(
                    f"Permission denied in bucket '{bucket}': {cause}",
                    where=uri,
                    fix="allow s3:ListBucket, GetObject, PutObject and DeleteObject there, and check the credentials",
                ) from cause
            case "NotImplemented" | "501":
                raise StorageError(
                    "This store does not know conditional writes: two runs could overwrite each other's promotion, so "
                    "nothing is promoted here",
                    where=uri,
                    fix="use one with create-only and compare-and-swap writes (docs/object-storage.md)",
                ) from cause
            case code:
                raise StorageError(
                    f"The store of bucket '{bucket}' did not do it ({code}): {str(cause)[:300]}",
                    where=uri,
                    fix="run again: nothing is lost",
                ) from cause
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.TokenRetrievalError) as cause:
        raise StorageError(
            "There are no usable AWS credentials here",
            where=uri,
            fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role",
        ) from cause
    except (boto.BotoCoreError, OSError) as cause:
        raise StorageError(
            f"The store of bucket '{bucket}' did not answer: {type(cause).__name__}: {str(cause)[:300]}",
            where=uri,
            fix="look at the network and AWS_ENDPOINT_URL, then run again: nothing is lost",
        ) from cause
