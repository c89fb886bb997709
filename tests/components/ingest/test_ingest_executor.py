from __future__ import annotations

import gzip
import io
import json
import math
import struct
import zipfile
from datetime import UTC, date, datetime

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components._shared import storage
from components._shared.errors import DataError, TaskError
from components._shared.tables import read_table
from components._shared.windows import Windows
from components.ingest.executor import ingest
from components.ingest.tf_examples import example_class

HEADER = "id,at,amount,town,late\n"
ROWS = HEADER + (
    "2,2024-01-02T10:00:00Z,2.5,Ulm,false\n1,2024-01-01T10:00:00Z,1.5,Köln,true\n3,2024-01-03T10:00:00+01:00,,NA,true\n"
)


def test_rows_come_typed_labelled_and_sorted_by_time(ingested):
    first, second, third = ingested(ROWS).rows
    assert [first["id"], second["id"], third["id"]] == [1, 2, 3]
    assert first["_time"] == first["at"] == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert third["_time"] == datetime(2024, 1, 3, 9, tzinfo=UTC)
    assert [row["_label"] for row in (first, second, third)] == [1.0, 0.0, 1.0]
    assert (third["amount"], third["town"]) == (None, None)
    assert first["_cluster"] == "2024-01-01" and first["_weight"] == 1.0
    assert len(first["_key"]) == 32


def test_the_same_source_again_gives_the_same_manifest_and_writes_no_shard_twice(ingested, tmp_path):
    first = ingested(ROWS).manifest
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*") if path.is_file()}
    second = ingested(tmp_path / "0.csv").manifest
    assert second == first
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len([path for path in (tmp_path / "data").rglob("*") if path.is_file()]) == len(before)


def test_the_digest_depends_on_rows_alone_not_on_their_order_or_files(ingested, tmp_path):
    whole = ingested(ROWS).manifest
    header, *lines = ROWS.splitlines(keepends=True)
    parts = ingested(header + lines[2], header + lines[1] + lines[0]).manifest
    assert parts.digest == whole.digest and parts.sources != whole.sources


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "jsonl.gz", "tfrecord", "csv.gz", "csv.zip"])
def test_every_format_gives_the_same_rows(ingested, tmp_path, kind):
    expected = ingested(ROWS)
    path = tmp_path / f"rows.{kind}"
    records = [
        {"id": 2, "at": "2024-01-02T10:00:00Z", "amount": 2.5, "town": "Ulm", "late": False},
        {"id": 1, "at": "2024-01-01T10:00:00Z", "amount": 1.5, "town": "Köln", "late": True},
        {"id": 3, "at": "2024-01-03T10:00:00+01:00", "late": True},
    ]
    match kind:
        case "parquet":
            pq.write_table(
                pa.Table.from_pylist(
                    records,
                    pa.schema(
                        [
                            ("id", pa.int32()),
                            ("at", pa.string()),
                            ("amount", pa.float32()),
                            ("town", pa.string()),
                            ("late", pa.bool_()),
                        ]
                    ),
                ),
                path,
            )
        case "jsonl":
            path.write_text("\n".join(json.dumps(record) for record in records))
        case "jsonl.gz":
            path.write_bytes(gzip.compress("\n\n".join(json.dumps(record) for record in records).encode()))
        case "tfrecord":
            write_tfrecord(path, records)
        case "csv.gz":
            path.write_bytes(gzip.compress(ROWS.encode()))
        case "csv.zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("../../rows.csv", ROWS)
                archive.writestr("__MACOSX/rows.csv", b"\0\0")
                archive.writestr("README", "not data")
    found = ingested(path)
    assert found.manifest.digest == expected.manifest.digest
    assert found.rows == expected.rows


def write_tfrecord(path, records):
    examples = []
    for record in records:
        example = example_class()()
        for name, value in record.items():
            feature = example.features.feature[name]
            match value:
                case str():
                    feature.bytes_list.value.append(value.encode())
                case float():
                    feature.float_list.value.append(value)
                case _:
                    feature.int64_list.value.append(int(value))
        examples.append(example.SerializeToString())
    with path.open("wb") as stream:
        for example in examples:
            length = struct.pack("<Q", len(example))
            stream.write(length + masked_crc(length) + example + masked_crc(example))


def masked_crc(data):
    """As TensorFlow masks it: rotated right by 15 bits, and a constant added."""
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF)


def test_a_zip_of_several_members_names_the_member(ingested, tmp_path):
    path = tmp_path / "rows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", ROWS)
        archive.writestr("b.csv", HEADER + "x,2024-01-01,1,Ulm,true\n4,2024-01-01,1,Ulm,true\n")
    found = ingested(path)
    assert found.manifest.rows.kept == 4
    assert found.aside[0]["source"].endswith("rows.zip#b.csv") and found.aside[0]["row"] == 1


def test_columns_are_found_by_name_in_every_file_and_optional_ones_may_lack(ingested, make_section):
    columns = {name: c.model_dump() for name, c in make_section().columns.items()}
    columns["amount"]["required"] = False
    found = ingested(ROWS, "late,extra,town,at,id\nyes,9,Bonn,2024-01-05,4\n", columns=columns)
    assert [row["id"] for row in found.rows] == [1, 2, 3, 4]
    assert found.rows[3]["amount"] is None and found.rows[3]["town"] == "Bonn"
    assert any("'extra'" in notice and "ignored" in notice for notice in found.manifest.notices)


def test_a_missing_column_is_refused_with_file_and_near_match(ingested):
    with pytest.raises(DataError, match="'amount' is missing") as caught:
        ingested("id,at,amout,town,late\n1,2024-01-01,1,Ulm,true\n")
    assert "0.csv" in caught.value.where and "'amout'" in caught.value.fix


def test_rows_that_do_not_parse_are_set_aside_with_row_column_and_value(ingested):
    found = ingested(
        HEADER
        + "1,2024-01-01,1,Ulm,true\n"
        + "1.5,2024-01-01,1,Ulm,true\n"
        + "3,yesterday,1,Ulm,true\n"
        + "4,2024-01-01,1\n"
        + "5,2024-01-01,1,Ulm,perhaps\n"
        + "\n"
        + "6,2024-01-01,1,Ulm,true,more\n"
        + "7,2024-01-01,1e3,Ulm,0\n"
    )
    assert [row["id"] for row in found.rows] in ([1, 7], [7, 1])
    details = {row["row"]: row["detail"] for row in found.aside}
    assert details == {
        2: "id: '1.5' is not a whole number",
        3: "at: 'yesterday' is not a date or moment such as 2013-07-01T10:00:00Z",
        4: "3 fields where the header has 5",
        5: "late: 'perhaps' is neither true nor false",
        6: "6 fields where the header has 5",
    }
    assert json.loads(found.aside[0]["values"])["id"] == "1.5"
    assert found.manifest.rows.malformed == 5
    assert len(found.manifest.examples) == 5


def test_a_stray_quote_costs_its_own_line_only(ingested):
    found = ingested(
        HEADER
        + '1,2024-01-01,1,"Ulm,true\n'
        + "2,2024-01-01,1,Ulm,true\n"
        + '3,2024-01-01,1,"Neu-""Ulm""\nan der Donau",true\n'
        + '4,2024-01-01,1,"Ulm"x,true\n'
        + '5,2024-01-01,1,7" pipe,true\n'
    )
    assert sorted(row["id"] for row in found.rows) == [2, 3, 5]
    assert {row["town"] for row in found.rows} == {"Ulm", 'Neu-"Ulm"\nan der Donau', '7" pipe'}
    assert [row["row"] for row in found.aside] == [1, 4]
    assert all("quote" in row["detail"] for row in found.aside)


def test_a_file_with_a_byte_order_mark_is_read(ingested):
    assert len(ingested(b"\xef\xbb\xbf" + ROWS.encode()).rows) == 3


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "x.csv", "empty"),
        (HEADER.encode(), "x.csv", "no rows"),
        (ROWS.encode("latin1"), "x.csv", "not UTF-8"),
        (ROWS.encode("utf-16"), "x.csv", "not CSV|not UTF-8"),
        (gzip.compress(ROWS.encode() * 99)[:-20], "x.csv.gz", "truncated"),
        (b"PK\x03\x04 this is no archive", "x.zip", "truncated or damaged"),
        (b"PAR1 cut short", "x.parquet", "truncated, damaged or not Parquet"),
        (b"", "x.jsonl", "empty"),
        (b'{"id": "\xff"}', "x.jsonl", "not UTF-8"),
        (b"\x05\0\0\0", "x.tfrecord", "truncated"),
        (b"this is just a text", "x.tfrecord", "not a TFRecord"),
        (b"anything", "x.bin", "cannot be told by its ending"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(ingested, tmp_path, content, name, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        ingested(path)
    assert name in str(caught.value)


def test_truncated_parquet_is_refused(ingested, tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="truncated"):
        ingested(path)


def test_a_truncated_member_of_an_archive_is_refused(ingested, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", ROWS * 100)
    damaged = bytearray(buffer.getvalue())
    damaged[60:70] = b"0123456789"
    path = tmp_path / "x.zip"
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="truncated or damaged"):
        ingested(path)


def test_a_parquet_column_of_another_type_is_refused_not_guessed(ingested, tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"id": [[1]], "at": ["2024-01-01"], "amount": [1.0], "town": ["Ulm"], "late": [True]}), path
    )
    with pytest.raises(DataError, match=r"'id' is of type list.* declared int64"):
        ingested(path)


def test_a_source_that_changed_after_planning_is_refused(tmp_path, make_listing, make_section, make_windows):
    path = tmp_path / "x.csv"
    path.write_text(ROWS)
    planned = make_listing(path)
    arguments = {
        "listing": planned,
        "data": make_section(),
        "windows": make_windows(),
        "data_root": str(tmp_path / "d"),
    }
    path.write_text(ROWS + "9,2024-01-01,1,Ulm,true\n")
    with pytest.raises(DataError, match="changed after the run was planned"):
        ingest(**arguments)
    path.unlink()
    with pytest.raises(DataError, match="vanished") as caught:
        ingest(**arguments)
    assert "again" in caught.value.fix and not (tmp_path / "d").exists()


def test_duplicate_keys_keep_the_first(ingested):
    found = ingested(ROWS, HEADER + "1,2024-01-20,9,Ulm,false\n2,2024-01-20,9,Ulm,false\n9,2024-01-20,9,Ulm,false\n")
    assert found.manifest.rows.duplicate == 2
    assert {row["id"]: row["amount"] for row in found.rows} == {1: 1.5, 2: 2.5, 3: None, 9: 9.0}
    assert [(row["reason"], row["row"]) for row in found.aside] == [("duplicate", 1), ("duplicate", 2)]
    assert json.loads(found.aside[0]["values"])["amount"] == 9.0


def test_a_key_of_nulls_differs_from_every_other_key(ingested, make_section):
    columns = {
        **{n: c.model_dump() for n, c in make_section().columns.items()},
        "a": {"type": "string"},
        "b": {"type": "string"},
    }
    found = ingested(
        "id,at,amount,town,late,a,b\n"
        + "".join(
            f"1,2024-01-01,1,Ulm,true,{a},{b}\n" for a, b in [("x", ""), ("", "x"), ("", ""), ("x", "x"), ("null:", "")]
        ),
        columns=columns,
        key=("a", "b"),
    )
    assert found.manifest.rows.kept == 5


def test_without_a_key_rows_are_known_by_their_place_in_the_file(ingested, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "0.csv").write_text(ROWS)
    first, again = ingested(ROWS, key=()), ingested(moved / "0.csv", key=())
    assert first.manifest.digest == again.manifest.digest
    assert ingested(ROWS, moved / "0.csv", key=()).manifest.count == 6


def test_rows_outside_the_window_are_counted_and_those_with_immature_labels_wait(ingested, make_windows):
    within = make_windows(start=datetime(2024, 1, 2, tzinfo=UTC), labelled_until=datetime(2024, 1, 3, tzinfo=UTC))
    found = ingested(
        ROWS + "4,2024-02-01,1,Ulm,true\n5,2024-01-31T23:59:59.999999Z,1,Ulm,true\nx,2023-12-31,1,Ulm,true\n",
        within=within,
        population="amount IS NOT NULL",
    )
    rows = found.manifest.rows
    assert (rows.kept, rows.label_pending, rows.out_of_window, rows.malformed) == (1, 2, 3, 0)
    assert [(row["id"], row["_label"]) for row in found.rows] == [(2, 0.0), (3, None), (5, None)]


def test_population_and_missing_labels_are_set_aside(ingested):
    found = ingested(
        ROWS + "4,2024-01-05,1,Ulm,\n5,2024-01-05,99,Ulm,\n6,2024-01-05,99,Ulm,true\n", population="amount < 50"
    )
    rows = found.manifest.rows
    assert (rows.kept, rows.label_missing, rows.out_of_population) == (2, 1, 3)
    assert {row["row"]: row["reason"] for row in found.aside} == {
        3: "out_of_population",
        4: "label_missing",
        5: "out_of_population",
        6: "out_of_population",
    }


def test_when_the_rows_were_whose_label_is_missing_is_known_in_order(ingested):
    rows = HEADER + "1,2024-01-07,1,Ulm,\n2,2024-01-05,1,Ulm,true\n3,2024-01-06,1,Ulm,\n4,2024-01-05,99,Ulm,\n"
    found = ingested(rows, population="amount < 50").manifest
    moments = found.model_copy(update={"columns": {"_time": "timestamp"}, "shards": found.without_label})
    assert [row["_time"].day for row in read_table(moments).to_pylist()] == [6, 7]
    assert ingested(rows, population="amount < 50", time=None).manifest.without_label == ()
    assert ingested(HEADER + "1,2024-01-07,1,Ulm,true\n").manifest.without_label == ()


def test_a_sample_is_the_same_every_time_and_within_a_larger_one(ingested):
    text = HEADER + "".join(f"{i},2024-01-01,1,Ulm,true\n" for i in range(2000))
    half = {row["id"] for row in ingested(text, sample=0.5).rows}
    tenth = ingested(text, sample=0.1)
    assert {row["id"] for row in tenth.rows} < half
    assert 140 < tenth.manifest.rows.kept < 260 and 900 < len(half) < 1100
    assert tenth.manifest.rows.not_sampled == 2000 - tenth.manifest.rows.kept


def test_days_and_moments_without_offset_are_of_the_task_s_time_zone(ingested):
    found = ingested(
        HEADER + "1,2024-01-05T23:30:00,1,Ulm,true\n2,2024-01-06T03:30:00Z,1,Ulm,true\n3,2024-01-05,1,Ulm,true\n",
        timezone="America/New_York",
    )
    assert {row["id"]: (row["_time"], row["_cluster"]) for row in found.rows} == {
        1: (datetime(2024, 1, 6, 4, 30, tzinfo=UTC), "2024-01-05"),
        2: (datetime(2024, 1, 6, 3, 30, tzinfo=UTC), "2024-01-05"),
        3: (datetime(2024, 1, 5, 5, 0, tzinfo=UTC), "2024-01-05"),
    }


def test_derived_columns_are_computed_and_may_be_the_time_the_key_and_the_cluster(ingested, make_section):
    columns = {n: c.model_dump() for n, c in make_section().columns.items() if n != "at"}
    columns |= {"day": {"type": "int64"}}
    found = ingested(
        "id,day,amount,town,late\n1,3,1,Ulm,true\n2,4,2,Ulm,false\n3,99,1,Ulm,true\n4,40,1,Ulm,true\n",
        columns=columns,
        derived={
            "date": {"expression": "make_date(2024, 1, day)", "type": "date"},
            "double": {"expression": "amount * 2", "type": "float64"},
            "quad": {"expression": "double * 2", "type": "float64"},
        },
        time="date",
        key=("date", "id"),
        cluster="town",
        timezone="Asia/Tokyo",
    )
    first, second = found.rows
    assert first["date"] == date(2024, 1, 3) and first["_time"] == datetime(2024, 1, 2, 15, tzinfo=UTC)
    assert (first["quad"], second["quad"], first["_cluster"]) == (4.0, 8.0, "Ulm")
    assert [row["detail"] for row in found.aside] == ["the expression of 'date' cannot be evaluated"] * 2


def test_without_time_rows_are_sorted_by_key_and_are_their_own_clusters(ingested):
    rows = ingested(ROWS, time=None).rows
    assert "_time" not in rows[0]
    assert [row["_key"] for row in rows] == sorted(row["_cluster"] for row in rows)


@pytest.mark.parametrize(
    ("label", "late", "expected"),
    [
        ({"expression": "town", "positive": "Ulm"}, "true", 1.0),
        ({"expression": "id", "positive": 2}, "true", 0.0),
        ({"expression": "late", "positive": False}, "true", 0.0),
        ({"expression": "CAST(late AS INTEGER)"}, "yes", 1.0),
        ({"expression": "amount - 6"}, "yes", 1.0),
    ],
)
def test_binary_labels(ingested, label, late, expected):
    [row] = ingested(HEADER + f"1,2024-01-01,7,Ulm,{late}\n", label=label).rows
    assert row["_label"] == expected


def test_a_binary_label_that_is_neither_0_nor_1_is_malformed(ingested):
    found = ingested(HEADER + "1,2024-01-01,1,Ulm,true\n2,2024-01-01,2,Ulm,true\n", label={"expression": "amount"})
    assert found.manifest.rows.malformed == 1 and "2.0 is neither 0 nor 1" in found.aside[0]["detail"]


@pytest.mark.parametrize(("expression", "classes"), [("town", ["Ulm", "Bonn"]), ("id", [1, 2]), ("amount", [1, 2])])
def test_multiclass_labels_are_indices_and_unknown_classes_malformed(ingested, expression, classes):
    found = ingested(
        HEADER + "1,2024-01-01,1,Ulm,true\n2,2024-01-02,2,Bonn,true\n3,2024-01-03,3,Köln,true\n",
        problem="multiclass_classification",
        label={"expression": expression, "classes": classes},
    )
    assert [row["_label"] for row in found.rows] == [0.0, 1.0]
    assert "is an unknown class" in found.aside[0]["detail"]


def test_a_regression_label_must_be_finite(ingested):
    found = ingested(
        HEADER + "1,2024-01-01,1.25,Ulm,true\n2,2024-01-02,inf,Bonn,true\n3,2024-01-02,NaN,Bonn,true\n",
        problem="regression",
        label={"expression": "amount"},
    )
    assert [row["_label"] for row in found.rows] == [1.25]
    assert (found.manifest.rows.malformed, found.manifest.rows.label_missing) == (1, 1)


def test_a_weight_that_is_missing_or_negative_is_malformed(ingested):
    found = ingested(
        HEADER + "1,2024-01-01,1.25,Ulm,true\n2,2024-01-02,-1,Bonn,true\n3,2024-01-02,,Bonn,true\n", weight="amount"
    )
    assert [row["_weight"] for row in found.rows] == [1.25] and found.manifest.rows.malformed == 2


def test_a_label_expression_that_fails_on_a_row_sets_that_row_aside(ingested):
    found = ingested(
        HEADER + "1,2024-01-01,1,12,true\n2,2024-01-02,1,none,true\n",
        problem="regression",
        label={"expression": "CAST(town AS DOUBLE)"},
    )
    assert [row["_label"] for row in found.rows] == [12.0]
    assert found.aside[0]["detail"] == "the label cannot be evaluated"


def test_a_window_without_rows_is_refused_with_the_window(ingested, make_windows):
    with pytest.raises(DataError, match=r"No row lies in the window from 2024-01-20.* to 2024-02-01.*3 rows were read"):
        ingested(ROWS, within=make_windows(start=datetime(2024, 1, 20, tzinfo=UTC)))


def test_no_rows_left_says_where_they_went(ingested):
    with pytest.raises(DataError, match="No row is left of 3: 3 out of population"):
        ingested(ROWS, population="amount > 1000")


def test_columns_with_odd_names_are_read(ingested):
    name = "Größe \"in\" cm, e.g.'x'"
    found = ingested(
        'ID,id,at,late,"Größe ""in"" cm, e.g.\'x\'",select\n1,2,2024-01-01,true,5,6\n',
        columns={
            "ID": {"type": "int64"},
            "id": {"type": "int64"},
            "at": {"type": "timestamp"},
            "late": {"type": "bool"},
            name: {"type": "int64"},
            "select": {"type": "int64"},
        },
        derived={"Sum": {"expression": '"Größe ""in"" cm, e.g.\'x\'" + "select" + ID + id', "type": "int64"}},
    )
    [row] = found.rows
    assert (row["ID"], row["id"], row[name], row["Sum"]) == (1, 2, 5, 14)


def test_other_delimiters_quotes_and_null_values(ingested):
    found = ingested(
        "id;at;amount;town;late\n1;2024-01-01;-;'a;b';true\n",
        csv={"delimiter": ";", "quote": "'", "null_values": ["-"]},
    )
    [row] = found.rows
    assert row["amount"] is None and row["town"] == "a;b"


def test_nothing_of_a_task_that_is_wrong_is_ingested(ingested, tmp_path):
    with pytest.raises(TaskError, match="no column 'lat'"):
        ingested(ROWS, label={"expression": "lat"})
    assert not (tmp_path / "data").exists()


def test_nan_is_missing_and_infinity_is_a_value(ingested, tmp_path):
    path = tmp_path / "x.parquet"
    table = {
        "id": [1, 2],
        "at": ["2024-01-01"] * 2,
        "amount": [math.nan, math.inf],
        "town": ["a"] * 2,
        "late": [True] * 2,
    }
    pq.write_table(pa.table(table), path)
    assert {row["id"]: row["amount"] for row in ingested(path).rows} == {1: None, 2: math.inf}


def test_many_months_make_shards_that_a_longer_window_shares(ingested):
    text = HEADER + "".join(f"{i},2023-{1 + i // 5000:02d}-15,1,Ulm,true\n" for i in range(25_000))
    first = ingested(text).manifest
    second = ingested(text + "".join(f"{i},2023-06-15,1,Ulm,true\n" for i in range(25_000, 26_000))).manifest
    assert [shard.rows for shard in first.shards] == [5000] * 5
    assert second.shards[:5] == first.shards and len(second.shards) == 6
    assert read_table(second).num_rows == 26_000


def test_the_manifest_is_kept_beside_the_shards(ingested, tmp_path):
    manifest = ingested(ROWS).manifest
    [kept] = list(storage.list_objects(str(tmp_path / "data" / "manifests")))
    assert storage.read(kept.uri).decode() == manifest.to_json()


def test_an_as_of_without_span_looks_at_all_rows(ingested):
    within = Windows(as_of=datetime(2024, 1, 1, tzinfo=UTC), timezone="UTC")
    assert ingested(ROWS, time=None, within=within).manifest.count == 3
