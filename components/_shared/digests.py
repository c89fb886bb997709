"""Digests of logical content: the same rows give the same digest on every machine and with every library version.

A digest is SHA-256 over declared types and normalised values, never over a file's bytes. Each column is hashed by
itself, in streams that do not depend on how the rows are cut into batches:

- validity: one byte per row, 1 where there is a value;
- values, little endian, 0 where there is none: `int64` and `float64` in 8 bytes (-0 as 0, every NaN as the same one),
  `bool` in 1, `timestamp` as microseconds UTC in 8, `date` as days since 1970 in 4;
- `string`: the lengths in bytes, 8 bytes each, and separately the UTF-8 text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from components._shared.contract import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.manifest import Shard
    from components._shared.task import ColumnType


def arrow_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type in which a declared type is kept."""
    import pyarrow as pa

    match column_type:
        case "int64":
            return pa.int64()
        case "float64":
            return pa.float64()
        case "string":
            return pa.string()
        case "bool":
            return pa.bool_()
        case "timestamp":
            return pa.timestamp("us", tz="UTC")
        case "date":
            return pa.date32()


class RowsDigest:
    """A digest of rows that come in batches.

    Args:
        columns: Name → declared type, in order.
    """

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._columns = dict(columns)
        self._streams = {name: (hashlib.sha256(), hashlib.sha256(), hashlib.sha256()) for name in self._columns}
        self._rows = 0

    def update(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Adds the next rows; columns are found by name and cast to their declared type."""
        self._rows += batch.num_rows
        for name, column_type in self._columns.items():
            column = batch.column(batch.schema.get_field_index(name))
            for chunk in getattr(column, "chunks", [column]):
                self._add(name, column_type, chunk)

    def hexdigest(self) -> str:
        """The digest of all rows so far, 64 hexadecimal digits."""
        columns = [
            [name, column_type, *(stream.hexdigest() for stream in self._streams[name])]
            for name, column_type in self._columns.items()
        ]
        return digest_of({"format": "saiki/rows/v1", "rows": self._rows, "columns": columns})

    def _add(self, name: str, column_type: ColumnType, array: Any) -> None:
        import pyarrow as pa

        declared = arrow_type(column_type)
        if array.type != declared:
            array = array.cast(declared)
        valid = array.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False)
        validity, values, text = self._streams[name]
        validity.update(valid)
        if column_type == "string":
            lengths, content = _text_buffers(array)
            values.update(lengths)
            text.update(content)
        else:
            values.update(_fixed_width(array, column_type))


def rows_digest(batches: pa.Table | Iterable[pa.RecordBatch], columns: Mapping[str, ColumnType]) -> str:
    """The digest of a table, or of batches, which may be cut anywhere.

    Args:
        columns: Name → declared type, in the order that belongs to the digest.
    """
    digest = RowsDigest(columns)
    for batch in [batches] if hasattr(batches, "to_batches") else batches:
        digest.update(batch)
    return digest.hexdigest()


def manifest_digest(columns: Mapping[str, ColumnType], shards: Iterable[Shard]) -> str:
    """The digest of a dataset: its columns, and which rows of which content belong to it.

    Shards count by the digest of their rows: it depends neither on where they lie nor on the library that wrote them.
    """
    return digest_of(
        {
            "format": "saiki/rows-of-shards/v1",
            "columns": [[name, column_type] for name, column_type in columns.items()],
            "shards": [[shard.digest, shard.start, shard.stop] for shard in shards if shard.start < shard.stop],
        }
    )


def _fixed_width(array: Any, column_type: ColumnType) -> Any:
    import numpy as np
    import pyarrow as pa

    match column_type:
        case "float64":
            values = array.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
            values[np.isnan(values)] = np.nan
            return np.ascontiguousarray(values, dtype="<f8")
        case "bool":
            return array.fill_null(False).cast(pa.uint8()).to_numpy(zero_copy_only=False)
        case "date":
            return np.ascontiguousarray(array.cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False), dtype="<i4")
        case _:
            return np.ascontiguousarray(array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), dtype="<i8")


def _text_buffers(array: Any) -> tuple[Any, Any]:
    """Lengths in bytes, and the text of all values one after the other; a null is empty, whatever lies beneath it."""
    import numpy as np

    if not len(array):
        return b"", b""
    if array.null_count:
        array = array.fill_null("")
    _, offsets_buffer, text = array.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    lengths = np.ascontiguousarray(np.diff(offsets), dtype="<i8")
    content = b"" if text is None else memoryview(text)[offsets[0] : offsets[-1]]
    return lengths, content
