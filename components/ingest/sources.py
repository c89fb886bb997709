"""Reads the listed sources, exactly as `plan` saw them: CSV, Parquet, JSON Lines and TFRecord, plain, gz or zip."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import unquote

from components._shared import storage
from components._shared.errors import DataError
from components.ingest.blocks import Block, Broken, Header
from components.ingest.csv_rows import read_csv
from components.ingest.tf_examples import parse_example, read_records

if TYPE_CHECKING:
    from components._shared.manifest import Listing, Source
    from components._shared.task import DataSection

BLOCK_ROWS = 65_536
EXPANDS = 250
"""A compressed file that unpacks to more than so many times its size is taken for one that is made to fill a disk."""
_HARMLESS = 64 << 20
"""Bytes that any file may unpack to."""
_LINES_BYTES = 8 << 20

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
}


@dataclass(frozen=True)
class File:
    """A file that rows come from: a source, or a member of a zip archive.

    Attributes:
        name: For people: the source's URI, and the member.
        base: The last part of its name: what it is called wherever it lies.
    """

    name: str
    base: str


def read_sources(listing: Listing, data: DataSection, header: Header, folder: Path) -> Iterator[tuple[File, Block]]:
    """The rows of all sources, in the order of the listing.

    Args:
        header: Collects the columns that are not in the schema.
        folder: For what has to be fetched; each file is removed once it is read.

    Raises:
        DataError: A source is gone, changed, or cannot be read.
    """
    for source in listing.sources:
        _check_unchanged(source)
        with _local_file(source, folder) as path:
            try:
                yield from _read_source(source, path, data, header)
            except (EOFError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error) as cause:
                raise DataError(
                    f"The file is truncated or damaged: {cause}", where=source.uri, fix="export or copy it again"
                ) from cause
        _check_unchanged(source)


def _check_unchanged(source: Source) -> None:
    found = storage.stat(source.uri)
    if found is None or found.generation != source.generation:
        raise DataError(
            f"The source {'vanished' if found is None else 'changed'} after the run was planned",
            where=source.uri,
            fix="start the run again: it is planned from what is there now",
        )


@contextmanager
def _local_file(source: Source, folder: Path) -> Iterator[Path]:
    path = storage.local_path(source.uri)
    if path is not None:
        yield path
        return
    fetched = folder / "source"
    try:
        storage.fetch(source.uri, fetched)
        yield fetched
    finally:
        fetched.unlink(missing_ok=True)


def _read_source(source: Source, path: Path, data: DataSection, header: Header) -> Iterator[tuple[File, Block]]:
    base = unquote(source.uri.rsplit("/", 1)[-1])
    with path.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        if magic[:4] == b"PK\x03\x04":
            yield from _read_archive(source, stream, base, data, header)
        else:
            stem = base.lower().removesuffix(".gz")
            kind = data.file_format or _format_of(stem, source.uri)
            file = File(source.uri, base)
            content: BinaryIO = stream
            if magic[:2] == b"\x1f\x8b":
                content = _bounded(cast(BinaryIO, gzip.GzipFile(fileobj=stream)), source.size, source.uri)
            for block in _read_file(kind, content, file.name, data, header):
                yield file, block


def _read_archive(
    source: Source, stream: BinaryIO, base: str, data: DataSection, header: Header
) -> Iterator[tuple[File, Block]]:
    """The data files in a zip archive, read where they lie: nothing is unpacked, so a member's path leads nowhere."""
    with zipfile.ZipFile(stream) as archive:
        members = [
            info
            for info in archive.infolist()
            if not info.is_dir() and not info.filename.startswith("__MACOSX/") and _is_data(info.filename, data)
        ]
        if not members:
            raise DataError(
                "The archive holds no data file", where=source.uri, fix="its members must end with .csv or .jsonl"
            )
        for info in members:
            if info.flag_bits & 1:
                raise DataError(
                    "The archive is encrypted", where=f"{source.uri}, {info.filename}", fix="store it plain"
                )
            kind = data.file_format or _FORMATS[Path(info.filename.lower()).suffix]
            name = source.uri if len(members) == 1 else f"{source.uri}#{info.filename}"
            file = File(name, base if len(members) == 1 else f"{base}#{info.filename}")
            with archive.open(info) as member:
                content = _bounded(cast(BinaryIO, member), info.compress_size, file.name)
                for block in _read_file(kind, content, file.name, data, header):
                    yield file, block


class _Unpacked(io.RawIOBase):
    """What a compressed stream unpacks to, up to a size that no honest file has."""

    def __init__(self, stream: BinaryIO, packed: int, where: str) -> None:
        super().__init__()
        self._stream = stream
        self._most = max(_HARMLESS, packed * EXPANDS)
        self._where = where
        self._furthest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._furthest = max(self._furthest, self._stream.tell())
        if self._furthest > self._most:
            raise DataError(
                f"The file unpacks to more than {EXPANDS} times its size: it looks as if made to fill a disk",
                where=self._where,
                fix="look at it; if it is what it should be, store it uncompressed",
            )
        return len(data)


def _bounded(stream: BinaryIO, packed: int, where: str) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Unpacked(stream, packed, where), buffer_size=1 << 20))


def _is_data(name: str, data: DataSection) -> bool:
    kind = _FORMATS.get(Path(name.lower()).suffix)
    return kind is not None and kind == (data.file_format or kind)


def _format_of(stem: str, uri: str) -> str:
    suffix = Path(stem).suffix
    if suffix not in _FORMATS:
        raise DataError(
            f"What kind of file this is cannot be told by its ending {suffix!r}",
            where=uri,
            fix="set data.format to csv, parquet, jsonl or tfrecord",
        )
    return _FORMATS[suffix]


def _read_file(kind: str, stream: BinaryIO, where: str, data: DataSection, header: Header) -> Iterator[Block]:
    match kind:
        case "csv":
            return read_csv(stream, data.csv, header, where)
        case "jsonl":
            return _read_objects(_json_objects(stream, where), header, where)
        case "tfrecord":
            return _read_objects(_example_objects(stream, where), header, where)
        case _:
            return _read_parquet(stream, header, where)


def _read_parquet(stream: BinaryIO, header: Header, where: str) -> Iterator[Block]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 1
    try:
        with pq.ParquetFile(stream) as file:
            names = header.check(file.schema_arrow.names, where)
            for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=names):
                columns = {name: batch.column(batch.schema.get_field_index(name)) for name in names}
                yield Block(columns, np.arange(row, row + batch.num_rows, dtype=np.int64))
                row += batch.num_rows
    except (pa.ArrowException, OSError) as cause:
        raise DataError(
            f"The file is truncated, damaged or not Parquet: {str(cause).splitlines()[0]}",
            where=where,
            fix="export or copy it again",
        ) from cause


@dataclass(frozen=True)
class Record:
    """A row that names its columns itself.

    Attributes:
        values: None if it could not be read; then `detail` says why, and `raw` is its text.
    """

    values: dict[str, Any] | None
    detail: str = ""
    raw: str = ""


def _read_objects(objects: Iterator[list[Record]], header: Header, where: str) -> Iterator[Block]:
    """Rows that name their columns themselves: a column is missing from the file if no row has it."""
    import numpy as np

    seen: set[str] = set()
    row = 1
    for found in objects:
        rows = [record.values for record in found if record.values is not None]
        numbers = [row + i for i, record in enumerate(found) if record.values is not None]
        broken = [Broken(row + i, record.detail, record.raw) for i, record in enumerate(found) if record.values is None]
        seen.update(*rows)
        columns = {name: [values.get(name) for values in rows] for name in header.declared if name in seen}
        yield Block(columns, np.array(numbers, dtype=np.int64), broken)
        row += len(found)
    if row == 1:
        raise DataError("The file is empty", where=where, fix="remove it from the sources, or export it again")
    if seen:
        header.check(sorted(seen), where)


def _json_objects(stream: BinaryIO, where: str) -> Iterator[list[Record]]:
    rest = stream.read(3).removeprefix(b"\xef\xbb\xbf")
    while True:
        piece = stream.read(_LINES_BYTES)
        rest += piece
        end = rest.rfind(b"\n") + 1 if piece else len(rest)
        try:
            lines = [line for line in rest[:end].decode().split("\n") if line.strip()]
        except UnicodeDecodeError as cause:
            raise DataError("The file is not UTF-8 text", where=where, fix="convert it to UTF-8") from cause
        if lines:
            yield _parse_lines(lines)
        rest = rest[end:]
        if not piece:
            return


def _parse_lines(lines: list[str]) -> list[Record]:
    try:
        values = json.loads(f"[{','.join(lines)}]")
        if len(values) == len(lines) and all(isinstance(value, dict) for value in values):
            return [Record(value) for value in values]
    except ValueError:
        pass
    return [_parse_line(line) for line in lines]


def _parse_line(line: str) -> Record:
    try:
        value = json.loads(line)
    except ValueError as cause:
        return Record(None, f"not JSON: {cause}", line)
    return Record(value) if isinstance(value, dict) else Record(None, "not a JSON object", line)


def _example_objects(stream: BinaryIO, where: str) -> Iterator[list[Record]]:
    found: list[Record] = []
    for record in read_records(stream, where):
        values = None if record is None else parse_example(record)
        detail = "the record does not have its checksum" if record is None else "the record is not a tf.Example"
        found.append(Record(values, "" if values is not None else detail))
        if len(found) == BLOCK_ROWS // 4:
            yield found
            found = []
    if found:
        yield found
