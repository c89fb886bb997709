"""Rows in content-addressed Parquet shards: written in order once, read by manifest ever after.

Where a shard ends depends on the rows alone, so that a later run over a longer window shares the shards of the months
that have not changed. Rows come in the order of the manifest, and a shard is cut before a row

- whose `_time` lies in another calendar year (UTC), or in another month once the shard holds `MONTH_ROWS` rows, and
- after `SHARD_ROWS` rows.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from components._shared import storage
from components._shared.digests import RowsDigest, arrow_type
from components._shared.errors import CorruptError, DataError, NotFoundError, StorageError
from components._shared.manifest import Manifest, Shard

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.task import ColumnType
    from components._shared.windows import Window

SHARD_ROWS = 262_144
MONTH_ROWS = 4_096
ROW_GROUP_ROWS = 32_768

_EPOCH_FILE = "cache-epoch.json at the data root"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def arrow_schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """The Arrow schema of declared columns."""
    import pyarrow as pa

    return pa.schema([pa.field(name, arrow_type(column_type)) for name, column_type in columns.items()])


def moment_of(microseconds: int) -> datetime:
    """The moment that is so many microseconds after 1970 (UTC)."""
    return _EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """Microseconds since 1970 (UTC) of a moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class ShardWriter:
    """Writes rows to shards under `<data root>/shards/`; memory holds one row group at a time.

    Args:
        data_root: Where the shards go.
        columns: Name → declared type, in order. Rows with `_time` are also cut by the calendar.

    The rows come already sorted. Nothing is visible under the data root before a shard is complete, and a shard that is
    there already is not written again. Use as a context manager: leaving it by an error removes what is unfinished.
    """

    def __init__(self, data_root: str, columns: Mapping[str, ColumnType]) -> None:
        self._root = data_root
        self._columns = dict(columns)
        self._schema = arrow_schema(columns)
        self._folder = Path(tempfile.mkdtemp(prefix="saiki-shards-"))
        self._shards: list[Shard] = []
        self._open: _OpenShard | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Adds the next rows; columns are found by name and cast to their declared type."""
        import pyarrow as pa

        table = pa.table({name: batch.column(batch.schema.get_field_index(name)) for name in self._columns})
        table = table.cast(self._schema)
        if not table.num_rows:
            return
        for first, last, times in self._pieces(table):
            with _translated(self._folder):
                if self._open is None:
                    self._open = _OpenShard(self._folder / f"{len(self._shards)}.parquet", self._columns, self._schema)
                self._open.write(table.slice(first, last - first), times)
            if self._open.rows == SHARD_ROWS:
                self._finish()

    def close(self) -> tuple[Shard, ...]:
        """Writes what is left and returns all shards, in order."""
        self._finish()
        shutil.rmtree(self._folder, ignore_errors=True)
        return tuple(self._shards)

    def _finish(self) -> None:
        if self._open is not None:
            with _translated(self._folder):
                self._open.complete()
            self._shards.append(self._open.store(self._root))
            self._open = None

    def _pieces(self, table: pa.Table) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
        """Runs of rows that go to one shard, with their first and last time; finishes a shard between them."""
        import numpy as np

        times: Any = None
        runs: list[tuple[int, int, int]] = [(0, table.num_rows, -1)]
        if "_time" in self._columns:
            times = table.column("_time").cast("int64").to_numpy()
            months = times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
            starts = [0, *(np.flatnonzero(np.diff(months)) + 1).tolist(), table.num_rows]
            runs = [(first, last, int(months[first])) for first, last in pairwise(starts)]
        for first, last, month in runs:
            if self._open is not None and self._open.ends_before(month):
                self._finish()
            while first < last:
                room = SHARD_ROWS - (self._open.rows if self._open else 0)
                stop = min(last, first + room)
                yield first, stop, None if times is None else (int(times[first]), int(times[stop - 1]))
                first = stop


class _OpenShard:
    """A shard that is being written."""

    def __init__(self, path: Path, columns: Mapping[str, ColumnType], schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        texts = [name for name, column_type in columns.items() if column_type == "string" and name != "_key"]
        self.rows = 0
        self._path = path
        self._digest = RowsDigest(columns)
        self._waiting: list[Any] = []
        self._waiting_rows = 0
        self._first: int | None = None
        self._last = 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts)

    def ends_before(self, month: int) -> bool:
        """Whether a row of that month (counted from January 1970) goes to the next shard."""
        if self._first is None:
            return False
        last = moment_of(self._last)
        last_month = (last.year - 1970) * 12 + last.month - 1
        return month // 12 != last_month // 12 or (month != last_month and self.rows >= MONTH_ROWS)

    def write(self, table: pa.Table, times: tuple[int, int] | None) -> None:
        self._digest.update(table)
        if times is not None:
            self._first = times[0] if self._first is None else self._first
            self._last = times[1]
        self.rows += table.num_rows
        while table.num_rows:
            piece = table.slice(0, ROW_GROUP_ROWS - self._waiting_rows)
            table = table.slice(piece.num_rows)
            self._waiting.append(piece)
            self._waiting_rows += piece.num_rows
            if self._waiting_rows == ROW_GROUP_ROWS:
                self._write_group()

    def complete(self) -> None:
        self._write_group()
        self._writer.close()

    def store(self, data_root: str) -> Shard:
        sha256 = file_sha256(self._path)
        size = self._path.stat().st_size
        uri = storage.join(data_root, "shards", f"{sha256}.parquet")
        storage.ensure(uri, self._path)
        self._path.unlink(missing_ok=True)
        return Shard(
            uri=uri,
            sha256=sha256,
            digest=self._digest.hexdigest(),
            bytes=size,
            rows=self.rows,
            start=0,
            stop=self.rows,
            min_time=None if self._first is None else moment_of(self._first),
            max_time=None if self._first is None else moment_of(self._last),
        )

    def abandon(self) -> None:
        with suppress(OSError):
            self._writer.close()

    def _write_group(self) -> None:
        import pyarrow as pa

        if self._waiting:
            table = pa.concat_tables(self._waiting).combine_chunks()
            self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            self._waiting, self._waiting_rows = [], 0


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise StorageError(
            f"Rows cannot be written to a temporary file: {cause}",
            where=str(folder),
            fix="free space there, or name another folder in the environment variable TMPDIR",
        ) from cause


def save_manifest(manifest: Manifest, data_root: str) -> None:
    """Keeps a manifest beside its shards, under the digest of its text."""
    uri = storage.join(data_root, "manifests", f"{manifest.content_digest()}.json")
    storage.ensure(uri, manifest.to_json().encode())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def iter_batches(
    manifest: Manifest,
    columns: Sequence[str] | None = None,
    batch_rows: int = 65_536,
    window: Window | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a manifest, in order; only the columns, row groups and shards that are needed are opened.

    Args:
        manifest: What to read.
        columns: Which columns, in this order; by default all.
        batch_rows: Rows in a batch, at most.
        window: Only rows whose `_time` lies in it.

    Raises:
        CorruptError: A shard is not the one that was written.
        NotFoundError: A shard is gone.
        DataError: The manifest has no such column, or a window is asked of rows without time.
    """
    import pyarrow as pa

    names = list(manifest.columns if columns is None else columns)
    unknown = [name for name in names if name not in manifest.columns]
    if unknown:
        raise DataError(f"The {manifest.role} rows have no column {unknown[0]!r}", where=f"manifest {manifest.digest}")
    schema = arrow_schema({name: manifest.columns[name] for name in names})
    for shard in manifest.shards:
        start, stop = (shard.start, shard.stop) if window is None else row_range(shard, window)
        for batch in _shard_batches(shard, names, start, stop, batch_rows):
            yield pa.RecordBatch.from_arrays(
                [batch.column(batch.schema.get_field_index(name)).cast(schema.field(name).type) for name in names],
                schema=schema,
            )


def read_table(manifest: Manifest, columns: Sequence[str] | None = None, window: Window | None = None) -> pa.Table:
    """All rows of a manifest at once; see `iter_batches`."""
    import pyarrow as pa

    names = manifest.columns if columns is None else columns
    batches = list(iter_batches(manifest, columns, window=window))
    return pa.Table.from_batches(batches, schema=arrow_schema({name: manifest.columns[name] for name in names}))


def row_range(shard: Shard, window: Window) -> tuple[int, int]:
    """Which rows of a shard belong to it and lie in the window: half-open, contiguous since they are sorted by time."""
    if shard.min_time is None or shard.max_time is None:
        raise DataError("These rows have no time, so a window does not select any", where=shard.uri)
    first = shard.start if window.start is None else max(shard.start, _rows_before(shard, window.start))
    return min(first, shard.stop), max(first, min(shard.stop, _rows_before(shard, window.end)))


def rows_below(shard: Shard, key: str) -> int:
    """How many rows of the file have a `_key` below the given one (tasks without time)."""
    import numpy as np

    total = 0
    for batch in _shard_batches(shard, ["_key"], 0, shard.rows, ROW_GROUP_ROWS):
        keys = np.asarray(batch.column(0).to_pylist(), dtype="U32")
        below = int(np.searchsorted(keys, key))
        total += below
        if below < batch.num_rows:
            break
    return total


def _rows_before(shard: Shard, moment: datetime) -> int:
    """How many rows of the file are earlier than the moment; reads `_time` only if it lies within the shard."""
    if shard.min_time is None or shard.max_time is None or moment <= shard.min_time:
        return 0
    if moment > shard.max_time:
        return shard.rows
    import numpy as np

    times = [
        batch.column(0).cast("int64").to_numpy()
        for batch in _shard_batches(shard, ["_time"], 0, shard.rows, ROW_GROUP_ROWS)
    ]
    return int(np.searchsorted(np.concatenate(times), microseconds_of(moment)))


def _shard_batches(
    shard: Shard, names: Sequence[str], start: int, stop: int, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Rows `start` to `stop` of a shard's file, read by the row groups that hold them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if start >= stop:
        return
    path = _verified_file(shard)
    try:
        with pq.ParquetFile(path) as file:
            bounds = [0]
            for index in range(file.metadata.num_row_groups):
                bounds.append(bounds[-1] + file.metadata.row_group(index).num_rows)
            groups = [i for i in range(len(bounds) - 1) if bounds[i] < stop and bounds[i + 1] > start]
            position = bounds[groups[0]]
            for batch in file.iter_batches(batch_size=batch_rows, row_groups=groups, columns=list(names)):
                first = max(start - position, 0)
                last = min(stop - position, batch.num_rows)
                position += batch.num_rows
                if first < last:
                    yield batch.slice(first, last - first)
    except (pa.ArrowInvalid, OSError) as cause:
        raise CorruptError(
            f"A shard cannot be read: {cause}",
            where=shard.uri,
            fix=f"delete that object and {_EPOCH_FILE}, and run again: `ingest` then writes it anew",
        ) from cause


_verified: set[tuple[str, int, int, str]] = set()


def _verified_file(shard: Shard) -> Path:
    """A local file with the shard's bytes, checked against their hash once per process and state of the file."""
    path = storage.local_path(shard.uri)
    try:
        if path is None:
            path = _fetched_folder() / f"{shard.sha256}.parquet"
            if not path.exists():
                storage.fetch(shard.uri, path)
        state = path.stat()
        seen = (str(path), state.st_size, state.st_mtime_ns, shard.sha256)
        if seen not in _verified:
            if state.st_size != shard.bytes or file_sha256(path) != shard.sha256:
                raise CorruptError(
                    "A shard changed after it was written: its bytes do not have the hash that the manifest promises",
                    where=shard.uri,
                    fix=f"delete that object and {_EPOCH_FILE}, and run again: `ingest` then writes it anew",
                )
            _verified.add(seen)
    except FileNotFoundError as cause:
        raise NotFoundError(
            "A shard vanished after it was written",
            where=shard.uri,
            fix=f"delete {_EPOCH_FILE}, and run again: `ingest` then writes it anew",
        ) from cause
    return path


@cache
def _fetched_folder() -> Path:
    """Where this process keeps the shards that it fetched, until it ends: training reads them once per epoch."""
    folder = Path(tempfile.mkdtemp(prefix="saiki-fetched-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
