from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components._shared import storage
from components._shared.digests import manifest_digest
from components._shared.errors import CorruptError, DataError, NotFoundError
from components._shared.manifest import Manifest, Rows
from components._shared.tables import ShardWriter, read_table
from components._shared.task import ColumnType
from components._shared.windows import Window, Windows
from components.split.executor import Parts, split

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def examples(
    root: Path, hours: list[int] | int, labels: Callable[[int], float | None] = lambda i: float(i % 2)
) -> Manifest:
    """Rows at the given hours after 2024 began, or without time so many of them."""
    timed = isinstance(hours, list)
    count = len(hours) if isinstance(hours, list) else hours
    keys = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(count)]
    order = sorted(range(count), key=lambda i: (hours[i] if isinstance(hours, list) else 0, keys[i]))
    columns: dict[str, ColumnType] = {"_key": "string", "_label": "float64"}
    rows = {"_key": [keys[i] for i in order], "_label": pa.array([labels(i) for i in order], pa.float64())}
    if isinstance(hours, list):
        columns = {"_time": "timestamp", **columns}
        rows["_time"] = [START + hours[i] * HOUR for i in order]
    with ShardWriter(str(root), columns) as writer:
        writer.write(pa.table(rows))
        shards = writer.close()
    kept = sum(labels(i) is not None for i in range(count))
    return Manifest(
        role="examples",
        digest=manifest_digest(columns, shards),
        columns=columns,
        shards=shards,
        count=count,
        rows=Rows(read=count, kept=kept, label_pending=count - kept),
        window=Window(start=None, end=START + 10_000 * HOUR) if timed else None,
    )


def windows(tune: int, test: int, end: int, embargo: int = 0, as_of: int | None = None) -> Windows:
    """Hours at which the parts start, and at which labels stop being mature."""

    def at(hour: int) -> datetime:
        return START + hour * HOUR

    last = at(end if as_of is None else as_of)
    return Windows(
        as_of=last,
        timezone="UTC",
        span=Window(start=None, end=last),
        labelled_until=at(end),
        train=Window(start=None, end=at(tune - embargo)),
        tune=Window(start=at(tune), end=at(test - embargo)),
        test=Window(start=at(test), end=at(end)),
        embargo=f"{embargo}h",
    )


def keys(part: Manifest) -> list[str]:
    return read_table(part, ["_key"]).column(0).to_pylist()


def all_parts(parts: Parts) -> list[Manifest]:
    return [parts.train, parts.tune, parts.test, parts.recent]


def test_parts_by_time_share_the_shards(tmp_path):
    whole = examples(tmp_path, list(range(2000)), lambda i: float(i % 2) if i < 1900 else None)
    parts = split(examples=whole, windows=windows(1000, 1500, 1900, embargo=24, as_of=2000))
    assert [part.count for part in all_parts(parts)] == [976, 476, 400, 100]
    assert {shard.uri for part in all_parts(parts) for shard in part.shards} == {shard.uri for shard in whole.shards}
    assert parts.test.window == Window(start=START + 1500 * HOUR, end=START + 1900 * HOUR)
    assert parts.train.made_from == {"examples": whole.digest} and parts.train.rows == whole.rows
    assert len({part.digest for part in all_parts(parts)}) == 4


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(st.integers(0, 9000), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 9000), min_size=4, max_size=4, unique=True).map(sorted),
    embargo=st.integers(0, 30),
)
def test_parts_by_time_are_disjoint_in_order_and_keep_the_embargo(tmp_path_factory, hours, cuts, embargo):
    tune, test, end, as_of = cuts
    whole = examples(tmp_path_factory.mktemp("rows"), [hour for hour in hours if hour < as_of] or [0])
    plan = windows(tune, test, end, min(embargo, tune, test - tune), as_of)
    try:
        parts = split(examples=whole, windows=plan)
    except DataError as refused:
        assert refused.what and refused.where and refused.fix
        return
    times = [read_table(part, ["_time"]).column(0).to_pylist() for part in all_parts(parts)]
    for earlier, later in pairwise(times):
        if earlier and later:
            assert max(earlier) < min(later)
    gap = min(embargo, tune, test - tune) * HOUR
    assert max(times[0]) + gap < START + tune * HOUR and max(times[1]) + gap < START + test * HOUR
    everything = read_table(whole, ["_time"]).column(0).to_pylist()
    left_out = [t for t in everything if not any(w and w.holds(t) for w in (plan.train, plan.tune, plan.test))]
    assert sum(map(len, times)) == len(everything) - len([t for t in left_out if t < plan.labelled_until])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(60, 400), test=st.floats(0.1, 0.4), tune=st.floats(0.1, 0.4))
def test_parts_by_key_are_disjoint_cover_everything_and_have_the_shares(tmp_path_factory, count, test, tune):
    whole = examples(tmp_path_factory.mktemp("rows"), count, float)
    parts = split(examples=whole, windows=Windows(as_of=START, timezone="UTC", tune_share=tune, test_share=test))
    assert (parts.test.shares, parts.tune.shares) == ((0.0, test), (test, test + tune))
    assert keys(parts.test) + keys(parts.tune) + keys(parts.train) == keys(whole)
    assert not parts.recent.count
    for key in keys(parts.test):
        assert int(key, 16) / 2**128 < test
    for key in keys(parts.train):
        assert int(key, 16) / 2**128 >= test + tune - 1e-9


def test_a_row_without_time_keeps_its_part_when_more_rows_come(tmp_path):
    shares = Windows(as_of=START, timezone="UTC", tune_share=0.2, test_share=0.2)
    before = split(examples=examples(tmp_path, 200), windows=shares)
    after = split(examples=examples(tmp_path, 400), windows=shares)
    for first, second in zip(all_parts(before), all_parts(after), strict=True):
        assert set(keys(first)) <= set(keys(second))


def test_the_same_rows_split_again_give_the_same_parts(tmp_path):
    whole = examples(tmp_path, list(range(500)))
    plan = windows(200, 300, 500)
    assert split(examples=whole, windows=plan) == split(examples=whole, windows=plan)
    assert len(list(storage.list_objects(str(tmp_path / "manifests")))) == 4


def test_an_empty_part_is_refused_with_its_window_and_the_counts(tmp_path):
    whole = examples(tmp_path, list(range(100)))
    with pytest.raises(DataError, match="The test part is empty: none of 100 labelled rows") as caught:
        split(examples=whole, windows=windows(40, 200, 300))
    assert "2024-01-09T08:00:00+00:00 to 2024-01-13T12:00:00+00:00" in caught.value.where
    assert "the rows: 2024-01-01" in caught.value.where


def test_immature_labels_only_are_refused(tmp_path):
    whole = examples(tmp_path, list(range(50, 100)), lambda i: None)
    with pytest.raises(DataError, match="No row has a mature label: all 50 rows in the window are too young"):
        split(examples=whole, windows=windows(10, 20, 50, as_of=100))


def test_a_label_of_one_class_is_refused_with_the_part(tmp_path):
    whole = examples(tmp_path, list(range(100)), lambda i: float(i % 2) if i < 60 else 1.0)
    with pytest.raises(DataError, match="The label is 1 in all 20 rows of the tune part"):
        split(examples=whole, windows=windows(60, 80, 100))


def test_a_changed_shard_is_refused(tmp_path):
    whole = examples(tmp_path, list(range(100)))
    path = Path(whole.shards[0].uri.removeprefix("file://"))
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptError, match="A shard changed after it was written") as caught:
        split(examples=whole, windows=windows(40, 60, 100))
    assert caught.value.where == whole.shards[0].uri


def test_a_missing_shard_is_refused(tmp_path):
    whole = examples(tmp_path, list(range(100)))
    storage.delete(whole.shards[0].uri)
    with pytest.raises(NotFoundError, match="A shard vanished"):
        split(examples=whole, windows=windows(40, 60, 100))


def test_parts_on_every_store(any_root):
    whole = examples(any_root, list(range(200)))
    parts = split(examples=whole, windows=windows(100, 150, 200))
    assert [part.count for part in all_parts(parts)] == [100, 50, 50, 0]
