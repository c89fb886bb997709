"""The digests hold in every environment: `.venv` and `.venvs/analysis` have pyarrow and numpy that are years apart."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

from components._shared.digests import arrow_type, manifest_digest, rows_digest
from components._shared.manifest import Shard
from components._shared.task import ColumnType

COLUMNS: dict[str, ColumnType] = {
    "number": "int64",
    "ratio": "float64",
    "text": "string",
    "flag": "bool",
    "moment": "timestamp",
    "day": "date",
}


def table() -> pa.Table:
    values = {
        "number": [1, -(2**63), None, 2**63 - 1],
        "ratio": [0.1, float("nan"), None, -1.5e300],
        "text": ["", "näïve\n\0", None, "𝄞"],
        "flag": [True, False, None, True],
        "moment": [
            datetime(2013, 7, 1, 12, 30, 0, 123456, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            None,
            datetime(9999, 12, 31, tzinfo=UTC),
        ],
        "day": [date(2013, 7, 1), date(1969, 12, 31), None, date(1, 1, 1)],
    }
    return pa.table({name: pa.array(values[name], arrow_type(kind)) for name, kind in COLUMNS.items()})


def test_the_digest_of_known_rows_is_the_golden_one():
    assert rows_digest(table(), COLUMNS) == "c0355939ac208252821a918ae63b4bc294c0e9daf5437cddd9c81d61b4625a33"


def test_the_digest_of_no_rows_is_the_golden_one():
    assert (
        rows_digest(table().slice(0, 0), COLUMNS) == "e7b1476140a0d5856c78e026f1f946192ea3328290b8274ce36c477d583d039b"
    )


def test_the_digest_of_a_known_manifest_is_the_golden_one():
    shard = Shard(uri="file:///anywhere", sha256="0" * 64, digest="1" * 64, bytes=10, rows=9, start=2, stop=7)
    assert manifest_digest(COLUMNS, [shard]) == "8dca1620919a5e6b3e787c5f74bbd13babe4613b93e83b821b4268806f79565c"


def test_how_rows_are_cut_into_batches_does_not_matter():
    rows = table()
    pieces = [rows.slice(0, 1), rows.slice(1, 0), rows.slice(1, 2), rows.slice(3)]
    batches = [batch for piece in pieces for batch in piece.to_batches()]
    assert rows_digest(batches, COLUMNS) == rows_digest(rows, COLUMNS)
    assert rows_digest(pa.concat_tables(pieces), COLUMNS) == rows_digest(rows, COLUMNS)


def test_minus_zero_is_zero_and_all_nan_are_the_same():
    odd_nan = np.array([0xFFF8000000000001], dtype="<u8").view("<f8")[0]
    one = pa.table({"x": pa.array(np.array([0.0, np.nan]))})
    other = pa.table({"x": pa.array(np.array([-0.0, odd_nan]))})
    assert rows_digest(one, {"x": "float64"}) == rows_digest(other, {"x": "float64"})


def test_what_lies_beneath_a_null_does_not_matter():
    validity = pa.array([True, False]).buffers()[1]
    beneath = pa.Array.from_buffers(pa.int64(), 2, [validity, pa.py_buffer(np.array([7, 99], dtype="<i8"))])
    assert rows_digest(pa.table({"x": beneath}), {"x": "int64"}) == rows_digest(
        pa.table({"x": pa.array([7, None], pa.int64())}), {"x": "int64"}
    )


def test_a_null_an_empty_text_and_a_moved_letter_are_different_rows():
    texts = [["a", ""], ["a", None], ["", "a"], ["a"], ["", "", "a"]]
    digests = {rows_digest(pa.table({"x": pa.array(text, pa.string())}), {"x": "string"}) for text in texts}
    assert len(digests) == len(texts)


def test_order_name_and_type_of_columns_belong_to_the_digest():
    rows = pa.table({"a": pa.array([1], pa.int64()), "b": pa.array([1], pa.int64())})
    digests = {
        rows_digest(rows, {"a": "int64", "b": "int64"}),
        rows_digest(rows, {"b": "int64", "a": "int64"}),
        rows_digest(rows, {"a": "int64"}),
        rows_digest(rows, {"b": "int64"}),
        rows_digest(rows, {"a": "float64", "b": "int64"}),
    }
    assert len(digests) == 5
