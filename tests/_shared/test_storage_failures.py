"""What storage does when disk or writer fail in the middle, and with names of every kind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components._shared import storage
from components._shared.errors import (
    InputError,
    NotFoundError,
    StorageError,
)

# Disk


def test_a_file_larger_than_the_limit_leaves_nothing_behind(tmp_path: Path) -> None:
    uri = storage.join(str(tmp_path), "large")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="larger than the limit") as raised:
            storage.create(uri, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert uri in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk here")
    try:
        uri = storage.join(str(tmp_path), "a")
        generation = storage.create(uri, b"old")
        for write in (
            lambda: storage.replace(uri, b"x" * 200_000, generation=generation),
            lambda: storage.create(storage.join(str(tmp_path), "b"), b"x" * 200_000),
        ):
            with pytest.raises(StorageError, match="The disk is full; nothing was written"):
                write()
        assert storage.read_versioned(uri) == (b"old", generation)
        assert [info.uri for info in storage.list_objects(str(tmp_path))] == [uri]
        assert list(storage.list_strays(str(tmp_path))) == []
        storage.replace(uri, b"new", generation=generation)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="There is a file where a folder is needed"):
        storage.create(str(tmp_path / "file" / "below"), b"")
    if os.geteuid() == 0:
        return
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="Permission denied"):
        storage.create(str(tmp_path / "x"), b"")


def test_a_root_that_cannot_be_written_is_named_and_not_the_probe(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    root = str(tmp_path / "file" / "root")
    with pytest.raises(StorageError, match="Nothing can be written here") as raised:
        storage.check_root(root)
    assert raised.value.where == root
    assert raised.value.fix


def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new_object(tmp_path: Path) -> None:
    uri = str(tmp_path / "pointer")
    storage.create(uri, b"0" * 300_000)
    for turn in range(1, 9):
        child = os.fork()
        if child == 0:
            while True:
                content, generation = storage.read_versioned(uri)
                storage.replace(uri, b"%d" % ((int(content[:1]) + 1) % 10) * 300_000, generation=generation)
        time.sleep(0.01 + turn * 0.003)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        content, generation = storage.read_versioned(uri)
        assert len(content) == 300_000
        assert len(set(content)) == 1
        assert [info.uri for info in storage.list_objects(str(tmp_path))] == [uri]
        storage.replace(uri, content, generation=generation)


def test_readers_never_see_half_an_object(any_root: str) -> None:
    uri = storage.join(any_root, "pointer")
    generation = storage.create(uri, b"0" * 200_000)
    child = os.fork()
    if child == 0:
        try:
            for turn in range(1, 1000):
                generation = storage.replace(uri, b"%d" % (turn % 10) * (200_000 + turn % 10), generation=generation)
        finally:
            os._exit(0)
    try:
        seen: list[bytes] = []
        deadline = time.monotonic() + 60
        # The writer may be slow to begin: read until it has been seen to write.
        while len(seen) < 25 or len(set(seen)) < 2:
            content = storage.read(uri)
            assert len(set(content)) == 1
            assert len(content) == 200_000 + int(content[:1])
            seen.append(content[:1])
            assert time.monotonic() < deadline, "the writer never wrote"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


# Names

_names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))
_roots = st.sampled_from(["gs://bucket", "gs://bucket/a/", "s3://b/x y", "/tmp/x", "relative/x", "file:///tmp/a%20b"])


@given(_roots, st.lists(_names, min_size=1, max_size=4))
def test_joining_goes_below_the_root_part_by_part(root: str, parts: list[str]) -> None:
    joined = storage.join(root, *parts)
    assert joined.startswith(root.rstrip("/") + "/")
    assert joined == storage.join(root, "/".join(parts))
    step = root
    for part in parts:
        step = storage.join(step, part)
    assert step == joined
    assert joined.count("/") == root.rstrip("/").count("/") + len(parts)


@given(
    _roots, st.lists(_names, max_size=2), st.sampled_from(["..", ".", "", "/", "../x", "/etc", "a//b", "a/", "\x00"])
)
def test_joining_never_leads_out_of_the_root(root: str, parts: list[str], bad: str) -> None:
    with pytest.raises(InputError):
        storage.join(root, *parts, bad)


@settings(deadline=None)
@given(st.lists(_names.filter(lambda name: not name.startswith(".saiki-") and len(name.encode()) < 100), max_size=3))
def test_a_file_of_any_name_is_written_listed_and_read(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for root in (str(folder / "plain"), (folder / "as uri").as_uri()):
        uri = storage.join(root, *parts, "x")
        storage.create(uri, b"content")
        assert [info.uri for info in storage.list_objects(root)] == [uri]
        assert storage.read(uri) == b"content"
        path = storage.local_path(uri)
        assert path is not None
        assert path.parts[-1 - len(parts) :] == (*parts, "x")


def test_plain_paths_and_file_uris_name_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage.create("a b/x", b"1")
    for uri in ("a b/x", "./a b/x", str(tmp_path / "a b" / "x"), (tmp_path / "a b" / "x").as_uri()):
        assert storage.read(uri) == b"1"
    with pytest.raises(StorageError, match="needs an absolute path"):
        storage.read("file://a/x")
    with pytest.raises(NotFoundError):
        storage.read((tmp_path / "a%20b" / "x").as_uri())


def test_a_link_that_leads_back_up_does_not_make_a_listing_endless(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [info.uri for info in storage.list_objects(str(tmp_path))] == [str(tmp_path / "a" / "x")]
