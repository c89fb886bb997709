"""What a store can do: the base of file, Google Cloud Storage and S3 storage.

`storage.py` is the door; nothing else imports this module's subclasses.
"""

from __future__ import annotations

import io
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from components._shared.errors import CorruptError, StorageError

HIDDEN = ".saiki-"
"""Names that start so are temporary files, locks and probes: never listed."""

LONGEST_KEY = 1024
"""Bytes of an object's name in UTF-8, for Google Cloud Storage and S3 alike."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")
_SIGNED = re.compile(r"[?&](?:X-Goog-|X-Amz-|Signature=|sig=|AWSAccessKeyId=|GoogleAccessId=|access_token=)", re.I)


@dataclass(frozen=True)
class ObjectInfo:
    """An object as the store describes it.

    Attributes:
        generation: Changes whenever the object changes.
        modified: When it was last written, or refreshed.
    """

    uri: str
    size: int
    generation: str
    modified: datetime


class Store(ABC):
    """One kind of store. URIs are whole; each method translates the library's errors into those of `errors.py`."""

    @abstractmethod
    def stat(self, uri: str) -> ObjectInfo | None:
        """What is there, or None."""

    @abstractmethod
    def read_versioned(self, uri: str) -> tuple[bytes, str]:
        """Content and generation, consistent with each other."""

    @abstractmethod
    def open_read(self, uri: str) -> BinaryIO:
        """A seekable stream over one generation of the object."""

    @abstractmethod
    def list_objects(self, prefix: str, *, hidden: bool = False) -> Iterator[ObjectInfo]:
        """Every object below a folder, sorted by URI; those whose name starts with `HIDDEN` only, or all but those."""

    @abstractmethod
    def names_in(self, folder: str) -> list[str]:
        """Names of what lies directly in a folder, sorted: objects but for hidden ones, and folders with `/` behind."""

    @abstractmethod
    def glob(self, pattern: str) -> list[ObjectInfo]:
        """The objects that match `*`, `?`, `[…]` (within a name) and `**` (across folders), sorted by URI."""

    @abstractmethod
    def create(self, uri: str, data: bytes | Path) -> str:
        """Writes what must not be there yet; returns the generation."""

    @abstractmethod
    def replace(self, uri: str, data: bytes | Path, generation: str) -> str:
        """Writes over that generation and no other; returns the new one."""

    @abstractmethod
    def refresh(self, uri: str) -> bool:
        """Sets the time of last write to now, the content stays; False: there is no such object."""

    @abstractmethod
    def delete(self, uri: str, generation: str | None) -> None:
        """Removes an object (at that generation and no other, if one is given)."""

    def local_path(self, uri: str) -> Path | None:
        """The file itself, where there is one."""
        return None


class RangeReader(io.RawIOBase):
    """A seekable stream over an object that is read by ranges.

    Args:
        size: Bytes of the object.
        read_range: `(start, stop)` → the bytes of that half-open range.
    """

    def __init__(self, size: int, read_range: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size = size
        self._read_range = read_range
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Offset from the start."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves; nothing is read yet."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills the buffer from the current offset."""
        stop = min(self._size, self._at + len(buffer))
        if stop <= self._at:
            return 0
        data = self._read_range(self._at, stop)
        if len(data) != stop - self._at:
            # Fewer would be taken for the end of the object.
            raise CorruptError(f"The store sent {len(data):,} bytes of {stop - self._at:,}", fix="run again")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


MAGIC = re.compile(r"[*?\[]")


def literal_prefix(pattern: str) -> str:
    """What every match of a glob starts with."""
    found = MAGIC.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def glob_expression(pattern: str) -> re.Pattern[str]:
    """The regular expression of a glob; a name that starts with a dot is matched only by a pattern that does, too."""
    parts = []
    segments = pattern.split("/")
    for place, segment in enumerate(segments):
        last = place == len(segments) - 1
        if segment == "**":
            parts.append(r"(?:(?!\.)[^/]+/)*" + (r"(?!\.)[^/]+" if last else ""))
        else:
            hidden = "" if segment.startswith(".") or not MAGIC.match(segment) else r"(?!\.)"
            parts.append(hidden + _segment_expression(segment) + ("" if last else "/"))
    return re.compile("".join(parts) + r"\Z", re.DOTALL)


def _segment_expression(segment: str) -> str:
    found = []
    at = 0
    while at < len(segment):
        character = segment[at]
        close = segment.find("]", at + 2) if character == "[" else -1
        if character == "*":
            found.append("[^/]*")
        elif character == "?":
            found.append("[^/]")
        elif close > 0:
            inner = segment[at + 1 : close].replace("\\", "\\\\")
            inner = re.sub(r"([\[&~|^])", r"\\\1", inner[1:] if inner[0] == "!" else inner)
            found.append(f"[{'^/' if segment[at + 1] == '!' else ''}{inner}]")
            at = close
        else:
            found.append(re.escape(character))
        at += 1
    return "".join(found)


def split_uri(uri: str, *, folder: bool = False) -> tuple[str, str]:
    """Bucket and key of `scheme://bucket/key`.

    Args:
        folder: The key may be empty or end with `/`.

    Raises:
        StorageError: There is no bucket or no key, a name that no store takes, or the key leads through `..`.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    check_no_secret(uri)
    names = (key.rstrip("/") if folder else key).split("/")
    if not bucket or any(name in (".", "..") for name in names) or (not folder and "" in names):
        raise StorageError(f"{uri!r} does not name an object", where=uri, fix=f"write {scheme}://bucket/folder/name")
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(
            f"{bucket!r} is not the name of a bucket", where=uri, fix=f"write {scheme}://bucket/folder/name"
        )
    if any(unicodedata.category(character) == "Cc" for character in key):
        raise StorageError(f"{uri!r} holds a control character", where=repr(uri), fix="rename the object")
    if len(key.encode("utf-8", "surrogatepass")) > LONGEST_KEY:
        raise StorageError(
            f"The object's name is too long: {len(key.encode('utf-8', 'surrogatepass')):,} bytes of {LONGEST_KEY:,}",
            where=f"{uri[:80]}…",
            fix="give a shorter root, or the source a shorter name",
        )
    return bucket, key.lstrip("/")


def check_no_secret(uri: str) -> None:
    """Refuses a URI that carries a password or a signature: it would stand in manifests, logs and the user interface.

    Raises:
        StorageError: Says so, without the secret.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file" and ("@" in rest.split("/", 1)[0] or _SIGNED.search(rest)):
        raise StorageError(
            "This URI carries a password or a signature, which would be written down wherever the URI is",
            where=uri,
            fix="give the plain URI; credentials come from the environment",
        )


def is_hidden(key: str) -> bool:
    """Whether it is a temporary file, a lock or a probe."""
    return key.rsplit("/", 1)[-1].startswith(HIDDEN)


def quote_path(path: str) -> str:
    """A path as it stands in a `file://` URI; what has a meaning in globs stays as it is."""
    return quote(path, safe="/*?[]!+=:@,;$&'()~")
