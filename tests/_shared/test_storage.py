"""One rig for every store: a folder, an emulated Google Cloud Storage, an emulated S3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components._shared import storage
from components._shared.errors import AlreadyExistsError, NotFoundError, PreconditionError, StorageError


def test_what_was_created_is_read_back_with_its_generation(any_root: str) -> None:
    uri = storage.join(any_root, "a", "b.json")
    generation = storage.create(uri, b"one")
    assert storage.read(uri) == b"one"
    assert storage.read_versioned(uri) == (b"one", generation)
    found = storage.stat(uri)
    assert found is not None
    assert (found.uri, found.size, found.generation) == (uri, 3, generation)
    assert storage.exists(uri)


def test_an_object_that_is_not_there(any_root: str) -> None:
    uri = storage.join(any_root, "nothing")
    assert storage.stat(uri) is None
    assert not storage.exists(uri)
    assert list(storage.list_objects(any_root)) == []
    for reading in (storage.read, storage.read_versioned, storage.open_read):
        with pytest.raises(NotFoundError) as raised:
            reading(uri)
        assert uri in str(raised.value)
    storage.delete(uri)
    with pytest.raises(PreconditionError):
        storage.replace(uri, b"x", generation="12345")


def test_a_second_create_is_refused_and_leaves_the_first(any_root: str) -> None:
    uri = storage.join(any_root, "once")
    storage.create(uri, b"first")
    with pytest.raises(AlreadyExistsError):
        storage.create(uri, b"second")
    with pytest.raises(PreconditionError):
        storage.replace(uri, b"second", generation=None)
    assert storage.read(uri) == b"first"


def test_every_replacement_changes_the_generation_and_an_old_one_is_refused(any_root: str) -> None:
    uri = storage.join(any_root, "pointer.json")
    seen = [storage.replace(uri, b"0", generation=None)]
    for turn in range(1, 8):
        seen.append(storage.replace(uri, b"%d" % turn, generation=seen[-1]))
    assert len(set(seen)) == len(seen)
    for old in seen[:-1]:
        with pytest.raises(PreconditionError):
            storage.replace(uri, b"late", generation=old)
    assert storage.read_versioned(uri) == (b"7", seen[-1])


_COMPETE = """
import sys, json
from components._shared import storage
from components._shared.errors import PreconditionError
uri, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
won = 0
while won < rounds:
    content, generation = storage.read_versioned(uri)
    try:
        storage.replace(uri, json.dumps([*json.loads(content), me]).encode(), generation=generation)
        won += 1
    except PreconditionError:
        pass
"""


def test_two_processes_that_compare_and_swap_lose_nothing(any_root: str) -> None:
    uri = storage.join(any_root, "counter.json")
    storage.create(uri, b"[]")
    writers = [subprocess.Popen([sys.executable, "-c", _COMPETE, uri, name, "15"]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    content = storage.read(uri).decode()
    assert content.count('"a"') == content.count('"b"') == 15


_CLAIM = """
import sys
from components._shared import storage
from components._shared.errors import AlreadyExistsError
for number in range(20):
    try:
        storage.create(storage.join(sys.argv[1], str(number)), sys.argv[2].encode())
        print(number)
    except AlreadyExistsError:
        pass
"""


def test_of_two_processes_that_create_the_same_object_one_wins(any_root: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _CLAIM, any_root, name], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    claimed = [[int(line) for line in writer.communicate()[0].split()] for writer in writers]
    assert sorted(claimed[0] + claimed[1]) == list(range(20))
    for name, numbers in zip("ab", claimed, strict=True):
        assert all(storage.read(storage.join(any_root, str(number))).decode() == name for number in numbers)


def test_a_listing_has_everything_below_a_folder_in_order(any_root: str) -> None:
    names = ["b/2.json", "b/10.json", "b/deep/er/x", "b-not/1.json", "a.json"]
    for name in names:
        storage.create(storage.join(any_root, name), name.encode())
    uris = [info.uri for info in storage.list_objects(storage.join(any_root, "b"))]
    assert uris == [storage.join(any_root, name) for name in ("b/10.json", "b/2.json", "b/deep/er/x")]
    assert [info.uri for info in storage.list_objects(any_root)] == sorted(storage.join(any_root, n) for n in names)
    assert [storage.read(info.uri).decode() for info in storage.list_objects(any_root)] == sorted(names)


def test_the_names_in_a_folder_are_its_objects_and_folders_and_nothing_below_them(any_root: str) -> None:
    names = ["b/2.json", "b/10.json", "b/deep/er/x", "b/deep/y", "b-not/1.json", "b/.saiki-tmp-1", "b/50% of é?.txt"]
    for name in names:
        storage.create(storage.join(any_root, name), b"")
    folder = storage.join(any_root, "b")
    assert storage.names_in(folder) == ["10.json", "2.json", "50% of é?.txt", "deep/"]
    assert storage.names_in(folder + "/") == storage.names_in(folder)
    assert storage.names_in(any_root) == ["b-not/", "b/"]
    assert storage.names_in(storage.join(any_root, "nothing")) == []
    for name in ("deep/er/x", "deep/y"):
        storage.delete(storage.join(folder, name))
    assert storage.names_in(folder) == ["10.json", "2.json", "50% of é?.txt"], "what holds nothing is no folder"


def test_more_names_than_a_page_of_a_listing_holds_are_all_there(s3_root: str) -> None:
    import boto3

    bucket, prefix = s3_root.removeprefix("s3://").split("/")
    client = boto3.client("s3")
    for number in range(1005):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{number}/x")
    assert len(storage.names_in(s3_root)) == 1005


def test_globs_match_names_and_with_two_stars_folders(any_root: str) -> None:
    for name in ("d/2013-01.csv", "d/2013-02.csv", "d/2014-01.csv", "d/x/2013-03.csv", "d/[odd].csv", "d/.hid.csv"):
        storage.create(storage.join(any_root, name), b"")

    def found(pattern: str) -> list[str]:
        return [info.uri.removeprefix(any_root + "/d/") for info in storage.glob(f"{any_root}/d/{pattern}")]

    assert found("2013-*.csv") == ["2013-01.csv", "2013-02.csv"]
    assert found("201?-01.csv") == ["2013-01.csv", "2014-01.csv"]
    assert found("201[!3]-*.csv") == ["2014-01.csv"]
    assert found("**/2013-*.csv") == ["2013-01.csv", "2013-02.csv", "x/2013-03.csv"]
    assert found("*/*.csv") == ["x/2013-03.csv"]
    assert found("[odd].csv") == ["[odd].csv"]
    assert found("2013-01.csv") == ["2013-01.csv"]
    assert found("*2015*") == []


def test_a_file_is_uploaded_streamed_and_fetched_whole(any_root: str, tmp_path: Path) -> None:
    # Larger than one request of the resumable upload.
    content = bytes(range(256)) * 40_000
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    uri = storage.join(any_root, "large.bin")
    storage.create(uri, source)
    with pytest.raises(AlreadyExistsError):
        storage.create(uri, source)
    with storage.open_read(uri) as stream:
        assert stream.read(10) == content[:10]
        assert stream.seek(-4, 2) == len(content) - 4
        assert stream.read() == content[-4:]
        stream.seek(5_000_000)
        assert stream.read(300) == content[5_000_000:5_000_300]
    storage.fetch(uri, tmp_path / "below" / "copy.bin")
    assert (tmp_path / "below" / "copy.bin").read_bytes() == content
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["copy.bin"]


def test_ensure_writes_once_and_mends_an_object_of_another_size(any_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = storage.join(any_root, "shards", "abc")
    storage.ensure(uri, b"content")
    first = storage.stat(uri)
    storage.ensure(uri, b"content")
    assert storage.stat(uri) == first
    assert first is not None
    storage.replace(uri, b"cont", generation=first.generation)
    storage.ensure(uri, b"content")
    assert storage.read(uri) == b"content"


def test_ensure_marks_an_old_object_as_used_again(any_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time
    from datetime import timedelta

    uri = storage.join(any_root, "shards", "old")
    storage.create(uri, b"content")
    before = storage.stat(uri)
    assert before is not None
    time.sleep(1.1)
    monkeypatch.setattr(storage, "REFRESH_AFTER", timedelta(seconds=1))
    storage.ensure(uri, b"content")
    after = storage.stat(uri)
    assert after is not None
    assert after.modified > before.modified
    assert storage.read(uri) == b"content"


def test_a_deletion_on_a_condition_spares_what_has_changed(any_root: str) -> None:
    uri = storage.join(any_root, "x")
    old = storage.create(uri, b"1")
    new = storage.replace(uri, b"2", generation=old)
    with pytest.raises(PreconditionError):
        storage.delete(uri, generation=old)
    assert storage.read(uri) == b"2"
    storage.delete(uri, generation=new)
    assert not storage.exists(uri)


def test_a_good_root_passes_its_check_and_nothing_stays_behind(any_root: str) -> None:
    storage.check_root(any_root)
    assert list(storage.list_objects(any_root)) == []


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_does_not_exist_is_named(scheme: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue({"gs": "gcs_root", "s3": "s3_root"}[scheme])
    with pytest.raises(StorageError, match="bucket 'no-such-bucket' does not exist"):
        storage.check_root(f"{scheme}://no-such-bucket/x")
    with pytest.raises(StorageError, match="bucket 'no-such-bucket' does not exist"):
        list(storage.list_objects(f"{scheme}://no-such-bucket/x"))


def test_a_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StorageError, match="cannot reach 'hdfs://'"):
        storage.read("hdfs://host/x")


@pytest.mark.parametrize(
    "uri", ["gs://", "gs://bucket", "gs://bucket/", "gs://bucket/a/../b", "s3:///key", "s3://b/a//b"]
)
def test_what_does_not_name_an_object_is_refused(uri: str) -> None:
    with pytest.raises(StorageError, match="does not name an object"):
        storage.read(uri)
