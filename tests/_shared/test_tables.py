from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components._shared import storage, tables
from components._shared.digests import manifest_digest, rows_digest
from components._shared.errors import CorruptError, DataError, NotFoundError, StorageError
from components._shared.manifest import Manifest, Shard
from components._shared.tables import ShardWriter, iter_batches, read_table
from components._shared.task import ColumnType
from components._shared.windows import Window

COLUMNS: dict[str, ColumnType] = {"_time": "timestamp", "_key": "string", "x": "float64", "text": "string"}
START = datetime(2023, 12, 1, tzinfo=UTC)


def rows(times: list[datetime]) -> pa.Table:
    count = len(times)
    return pa.table(
        {
            "_time": pa.array(sorted(times), pa.timestamp("us", "UTC")),
            "_key": [f"{i:032x}" for i in range(count)],
            "x": [float(i) for i in range(count)],
            "text": [None if i % 7 == 0 else f"Ü{i % 5}" for i in range(count)],
        }
    )


def written(root: Path | str, table: pa.Table, cut: int = 1000) -> Manifest:
    with ShardWriter(str(root), COLUMNS) as writer:
        for start in range(0, max(table.num_rows, 1), cut):
            writer.write(table.slice(start, cut))
        shards = writer.close()
    return Manifest(
        role="examples", digest=manifest_digest(COLUMNS, shards), columns=COLUMNS, shards=shards, count=table.num_rows
    )


def hourly(count: int) -> list[datetime]:
    return [START + timedelta(hours=i) for i in range(count)]


def test_what_is_written_is_read(any_root):
    table = rows(hourly(3000))
    manifest = written(any_root, table)
    assert read_table(manifest).equals(table)
    assert read_table(manifest, ["text", "x"]).equals(table.select(["text", "x"]))
    assert manifest.shards[0].digest == rows_digest(table.slice(0, manifest.shards[0].rows), COLUMNS)


def test_shards_end_with_the_year_and_with_the_month_once_they_are_large_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MONTH_ROWS", 700)
    shards = written(tmp_path, rows(hourly(24 * (31 + 31 + 29 + 31)))).shards
    assert [shard.rows for shard in shards] == [744, 744, 696 + 744]
    assert shards[1].min_time == datetime(2024, 1, 1, tzinfo=UTC)
    assert shards[2].min_time == datetime(2024, 2, 1, tzinfo=UTC)


def test_shards_hold_no_more_than_their_limit_and_row_groups_neither(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr(tables, "SHARD_ROWS", 500)
    monkeypatch.setattr(tables, "ROW_GROUP_ROWS", 200)
    manifest = written(tmp_path, rows(hourly(700)), cut=333)
    assert [shard.rows for shard in manifest.shards] == [500, 200]
    path = storage.local_path(manifest.shards[0].uri)
    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [200, 200, 100]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(st.integers(0, 3000), min_size=1, max_size=80),
    cut=st.integers(1, 90),
    window=st.tuples(st.integers(-10, 3010), st.integers(-10, 3010)).map(sorted),
)
def test_a_window_selects_its_rows_however_they_were_written(tmp_path_factory, hours, cut, window):
    table = rows([START + timedelta(hours=hour) for hour in hours])
    root = tmp_path_factory.mktemp("rows")
    manifest = written(root, table, cut)
    assert manifest.shards == written(root, table).shards
    wanted = Window(start=START + timedelta(hours=window[0]), end=START + timedelta(hours=window[1]))
    times = table.column("_time").to_pylist()
    expected = [i for i, moment in enumerate(times) if wanted.holds(moment)]
    found = read_table(manifest, ["x"], window=wanted).column("x").to_pylist()
    assert found == [float(i) for i in expected]


def test_a_part_reads_only_its_rows(tmp_path):
    manifest = written(tmp_path, rows(hourly(100)))
    part = manifest.model_copy(update={"shards": (manifest.shards[0].model_copy(update={"start": 10, "stop": 13}),)})
    assert read_table(part, ["x"]).column("x").to_pylist() == [10.0, 11.0, 12.0]
    assert [batch.num_rows for batch in iter_batches(part, ["x"], batch_rows=2)] in ([2, 1], [1, 2])


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="no column 'y'"):
        read_table(written(tmp_path, rows(hourly(3))), ["y"])


def test_no_rows_make_no_shards(tmp_path):
    manifest = written(tmp_path, rows([]))
    assert manifest.shards == () and read_table(manifest).num_rows == 0
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_changed_shard_is_refused_and_named(any_root):
    manifest = written(any_root, rows(hourly(10)))
    [shard] = manifest.shards
    content = bytearray(storage.read(shard.uri))
    content[20] ^= 1
    storage.delete(shard.uri)
    storage.create(shard.uri, bytes(content))
    with pytest.raises(CorruptError, match="changed after it was written") as caught:
        read_table(manifest)
    assert caught.value.where == shard.uri and caught.value.fix


def test_a_vanished_shard_is_refused_and_named(any_root):
    manifest = written(any_root, rows(hourly(11)))
    storage.delete(manifest.shards[0].uri)
    with pytest.raises(NotFoundError, match="A shard vanished") as caught:
        read_table(manifest)
    assert caught.value.where == manifest.shards[0].uri


def test_an_error_while_writing_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError), ShardWriter(str(tmp_path), COLUMNS) as writer:
        writer.write(rows(hourly(10)))
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_storage_error_and_leaves_nothing_behind(tmp_path, monkeypatch):
    import resource
    import tempfile

    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StorageError, match="cannot be written") as caught:
            written(tmp_path / "data", rows(hourly(50_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "TMPDIR" in caught.value.fix
    assert not list((tmp_path / "temporary").iterdir()) and not list(tmp_path.rglob("*.parquet"))


def test_the_manifest_digest_ignores_where_shards_lie_and_ranges_without_rows():
    shard = Shard(uri="a", sha256="0" * 64, digest="1" * 64, bytes=1, rows=9, start=2, stop=7)
    moved = shard.model_copy(update={"uri": "b", "sha256": "2" * 64})
    empty = shard.model_copy(update={"start": 4, "stop": 4})
    assert manifest_digest(COLUMNS, [shard]) == manifest_digest(COLUMNS, [moved, empty])
    assert manifest_digest(COLUMNS, [shard]) != manifest_digest(COLUMNS, [shard.model_copy(update={"stop": 8})])
