"""Reads exactly the listed sources and writes their rows, typed, labelled and sorted, to content-addressed shards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.columns import check_data
from components._shared.contract import digest_of
from components._shared.digests import arrow_type, manifest_digest
from components._shared.errors import DataError, StorageError
from components._shared.manifest import Example, Listing, Manifest, Rows, Shard
from components._shared.tables import ShardWriter, microseconds_of, save_manifest
from components._shared.task import DataSection
from components._shared.windows import Windows
from components.ingest.blocks import Block, Header
from components.ingest.local_time import local_of
from components.ingest.sources import File, read_sources
from components.ingest.staging import SET_ASIDE, WITHOUT_LABEL, Staging
from components.ingest.values import ColumnTypeError, Converted, convert

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.task import ColumnType

_EXAMPLES_OF_EACH = 5
_EXAMPLES = 20
_SHOWN = 200


def ingest(*, listing: Listing, data: DataSection, windows: Windows, data_root: str, sample: float = 1.0) -> Manifest:
    """Ingests the listed sources.

    Args:
        listing: The sources, exactly as `plan` saw them.
        data: What the task says about rows.
        windows: Which rows are looked at, and until when labels are mature.
        data_root: Where shards and the manifest go.
        sample: Share of the rows to keep, above 0 and up to 1, by a hash of the key.

    Returns:
        The manifest of role `examples`. Every row read is accounted for in its `rows`.

    Raises:
        DataError: A source cannot be read, changed since it was listed, or there are no rows in the window.
        TaskError: The task's columns or expressions are wrong.
    """
    if not 0 < sample <= 1:
        raise DataError(f"sample is {sample}", where="sample", fix="give a share above 0, up to 1")
    if not listing.sources:
        raise DataError("There are no sources", where="data.sources", fix="check the paths and globs of the task file")
    checked = check_data(data)
    header = Header(data.columns)
    with tempfile.TemporaryDirectory(prefix="saiki-ingest-") as name, _translated(name):
        staging = Staging(data, checked, windows, sample, Path(name))
        try:
            read, files = _stage(staging, listing, data, windows, header, Path(name))
            counts = staging.settle()
            rows = Rows(read=read, out_of_window=staging.out_of_window, not_sampled=staging.not_sampled, **counts)
            examples = _examples(staging, files)
            _check_rows(rows, windows, listing, examples)
            with ShardWriter(data_root, staging.columns) as writer:
                for batch in staging.rows():
                    writer.write(_with_cluster(batch, data))
                shards = writer.close()
            aside = _write_all(staging.set_aside_rows(files), SET_ASIDE, data_root)
            without_label = _write_all(staging.moments_without_label(), WITHOUT_LABEL, data_root)
        finally:
            staging.close()
    manifest = Manifest(
        role="examples",
        digest=manifest_digest(staging.columns, shards),
        columns=staging.columns,
        shards=shards,
        count=sum(shard.rows for shard in shards),
        rows=rows,
        window=windows.span,
        timezone=data.timezone,
        sources=listing.sources,
        made_from={
            "listing": listing.content_digest(),
            "data": data.content_digest(),
            "windows": digest_of(windows.model_dump(mode="json")),
        },
        set_aside=aside,
        without_label=without_label,
        examples=examples,
        notices=(*listing.notices, *header.notices()),
    )
    save_manifest(manifest, data_root)
    return manifest


@contextmanager
def _translated(folder: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException) as cause:
        raise StorageError(
            f"Rows cannot be kept in a temporary file: {str(cause).splitlines()[0]}",
            where=folder,
            fix="free space there, or name another folder in the environment variable TMPDIR",
        ) from cause


def _stage(
    staging: Staging, listing: Listing, data: DataSection, windows: Windows, header: Header, folder: Path
) -> tuple[int, list[str]]:
    """Reads all sources; returns the number of rows read, and the names of the files."""
    read = 0
    files: list[File] = []
    seen: dict[str, int] = {}
    called = ""
    for file, block in read_sources(listing, data, header, folder):
        if not files or files[-1] is not file:
            files.append(file)
            seen[file.base] = seen.get(file.base, 0) + 1
            called = file.base if seen[file.base] == 1 else f"{file.base}:{seen[file.base]}"
        read += len(block.rows) + len(block.broken)
        index = len(files) - 1
        staging.set_aside(
            index, [(row.row, row.detail, json.dumps({"": row.raw}, ensure_ascii=False)) for row in block.broken]
        )
        if len(block.rows):
            columns, malformed, outside = _typed(block, data, windows, file)
            staging.out_of_window += outside
            staging.set_aside(index, malformed)
            if len(columns.rows):
                staging.add(index, called, columns.rows, columns.columns)
    return read, [file.name for file in files]


def _typed(
    block: Block, data: DataSection, windows: Windows, file: File
) -> tuple[Block, list[tuple[int, str, str]], int]:
    """The block with all declared columns typed; its malformed rows; and how many of these are out of the window."""
    import numpy as np
    import pyarrow as pa

    converted: dict[str, Converted] = {}
    for name, column in data.columns.items():
        if name not in block.columns:
            converted[name] = Converted(pa.nulls(len(block.rows), arrow_type(column.type)))
            continue
        try:
            converted[name] = convert(block.columns[name], column.type, data.timezone)
        except ColumnTypeError as cause:
            raise DataError(
                f"The column {name!r} is of type {cause} in the file, and is declared {column.type}",
                where=file.name,
                fix="correct the type in the schema, or export the file with that type",
            ) from cause
    arrays = {name: result.array for name, result in converted.items()}
    details: dict[int, str] = {}
    for name, result in converted.items():
        for position, problem in result.bad.items():
            details.setdefault(position, f"{name}: {_shown(block.columns[name][position])} {problem}")
    if not details:
        return Block(arrays, block.rows), [], 0
    malformed, outside = [], 0
    looked_at = _looked_at(arrays, data, windows)
    for position, detail in sorted(details.items()):
        if looked_at[position]:
            raw = {name: _plain(values[position]) for name, values in block.columns.items()}
            malformed.append((int(block.rows[position]), detail, json.dumps(raw, ensure_ascii=False, default=str)))
        else:
            outside += 1
    good = np.ones(len(block.rows), dtype=bool)
    good[list(details)] = False
    mask = pa.array(good)
    return Block({n: array.filter(mask) for n, array in arrays.items()}, block.rows[good]), malformed, outside


def _looked_at(arrays: dict[str, pa.Array], data: DataSection, windows: Windows) -> Any:
    """Which rows lie in the window, or have no time that would tell."""
    import numpy as np

    count = len(next(iter(arrays.values())))
    if windows.span is None or data.time not in arrays:
        return np.ones(count, dtype=bool)
    times = convert(arrays[data.time], "timestamp", data.timezone).array
    moments = times.cast("int64").fill_null(0).to_numpy(zero_copy_only=False)
    inside = moments < microseconds_of(windows.span.end)
    if windows.span.start is not None:
        inside &= moments >= microseconds_of(windows.span.start)
    return inside | times.is_null().to_numpy(zero_copy_only=False)


def _plain(value: Any) -> Any:
    value = value.as_py() if hasattr(value, "as_py") else value
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _shown(value: Any) -> str:
    text = repr(_plain(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _with_cluster(batch: pa.RecordBatch, data: DataSection) -> pa.Table:
    """By default rows of one calendar day belong together."""
    import numpy as np
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    if data.cluster is not None or data.time is None:
        return table
    moments = table.column("_time").cast("int64").to_numpy()
    days = local_of(moments, data.timezone).astype("datetime64[us]").astype("datetime64[D]")
    names, which = np.unique(days, return_inverse=True)
    texts = pa.DictionaryArray.from_arrays(pa.array(which), pa.array(names.astype(str)))
    return table.set_column(table.schema.get_field_index("_cluster"), "_cluster", texts.cast(pa.string()))


def _check_rows(rows: Rows, windows: Windows, listing: Listing, examples: tuple[Example, ...]) -> None:
    found = {name: count for name, count in rows.model_dump().items() if name != "read" and count}
    if rows.read != sum(found.values()):
        raise AssertionError(f"{rows.read} rows were read, but {found} are accounted for")
    if rows.kept + rows.label_pending:
        return
    where = listing.sources[0].uri
    if len(listing.sources) > 1:
        where = f"{len(listing.sources)} sources, the first is {where}"
    if not rows.read:
        raise DataError("The sources hold no rows", where=where, fix="check that the export worked")
    span = windows.span
    if rows.out_of_window == rows.read and span is not None:
        raise DataError(
            f"No row lies in the window from {_told(span.start)} to {_told(span.end)}; {rows.read} rows were read",
            where=where,
            fix=_LOST["out_of_window"][1],
        )
    most = max(found, key=lambda name: found[name])
    first = next((example for example in examples if example.reason == most), None)
    if first is not None:
        where = f"{first.source}, row {first.row}" + (f": {first.detail}" if first.detail else "")
    raise DataError(
        f"No row is left of {rows.read}: {', '.join(f'{count} {_LOST[name][0]}' for name, count in found.items())}",
        where=where,
        fix=_LOST[most][1],
    )


_LOST = {
    "malformed": ("malformed", "correct the columns' types in the schema, or the file"),
    "duplicate": ("with a key that was seen before", "correct `key` in the task"),
    "label_missing": ("without a label", "correct label.expression in the task, or the file"),
    "out_of_population": ("out of population", "correct `population` in the task"),
    "out_of_window": (
        "out of the window",
        "choose another as_of, a longer window, or correct the task's `time` and `timezone`",
    ),
    "not_sampled": ("not sampled", "give a larger sample"),
}
"""What became of rows: in words, and what to do if none is left."""


def _told(moment: Any) -> str:
    return "the beginning" if moment is None else moment.isoformat()


def _write_all(
    batches: Iterator[pa.RecordBatch], columns: Mapping[str, ColumnType], data_root: str
) -> tuple[Shard, ...]:
    with ShardWriter(data_root, columns) as writer:
        for batch in batches:
            writer.write(batch)
        return writer.close()


def _examples(staging: Staging, files: list[str]) -> tuple[Example, ...]:
    def each() -> Iterator[Example]:
        for batch in staging.set_aside_rows(files, _EXAMPLES_OF_EACH):
            for row in batch.to_pylist():
                yield Example(reason=row["reason"], source=row["source"], row=row["row"], detail=row["detail"])

    return tuple(each())[:_EXAMPLES]
