"""What storage does when the network breaks, and when a store is busy, refuses, or lies about conditions."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components._shared import storage, storage_gcs, storage_s3
from components._shared.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionError,
    StorageError,
)
from tests.faulty_proxy import Proxy, faulty_proxy

ADDRESS = {"gs": "STORAGE_EMULATOR_HOST", "s3": "AWS_ENDPOINT_URL"}
BROKEN = ["429", "500", "503", "refuse", "lose answer"]


@pytest.fixture(params=["gs", "s3"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(scheme: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue({"gs": "gcs_root", "s3": "s3_root"}[scheme]))


@pytest.fixture
def proxy(scheme: str, root: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between this process and the store; `root` is its store's."""
    with faulty_proxy(os.environ[ADDRESS[scheme]]) as running:
        monkeypatch.setenv(ADDRESS[scheme], running.url)
        yield running


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes from which files go up in pieces, as small as the protocols allow."""
    monkeypatch.setattr(storage_gcs, "_CHUNK", 4 << 20)
    monkeypatch.setattr(storage_s3, "_PART", 5 << 20)
    monkeypatch.setattr(storage_s3, "_IN_PARTS", 6 << 20)


def large(folder: Path, size: int = 11 << 20) -> Path:
    path = folder / f"large-{secrets.token_hex(4)}"
    with path.open("wb") as stream:
        for number in range(size >> 16):
            stream.write(hashlib.sha256(b"%d" % number).digest() * 2048)
    return path


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


WRITES = "POST|PUT"


@pytest.mark.parametrize("fate", [*BROKEN, "break upload", "break answer"])
def test_a_write_that_breaks_is_done_once(fate: str, root: str, proxy: Proxy) -> None:
    uri = storage.join(root, "pointer")
    proxy.fail(fate, method=WRITES, times=2)
    generation = storage.create(uri, b"first")
    assert storage.read_versioned(uri) == (b"first", generation)
    proxy.fail(fate, method=WRITES)
    generation = storage.replace(uri, b"second", generation=generation)
    assert storage.read_versioned(uri) == (b"second", generation)
    # Somebody else's object is still told from one's own.
    proxy.fail(fate, method=WRITES)
    with pytest.raises(AlreadyExistsError):
        storage.create(uri, b"third")
    proxy.fail(fate, method=WRITES)
    with pytest.raises(PreconditionError):
        storage.replace(uri, b"third", generation="12345")
    assert storage.read(uri) == b"second"
    assert not any(fault.times for fault in proxy.faults), "every fault took place"


@pytest.mark.parametrize("fate", [*BROKEN, "break answer"])
def test_a_read_that_breaks_is_read_again(fate: str, root: str, proxy: Proxy, tmp_path: Path) -> None:
    uri = storage.join(root, "object")
    content = os.urandom(300_000)
    generation = storage.create(uri, content)
    proxy.fail(fate, method="GET", times=2)
    assert storage.read_versioned(uri) == (content, generation)
    proxy.fail(fate, method="GET|HEAD")
    found = storage.stat(uri)
    assert found is not None
    assert found.size == len(content)
    proxy.fail(fate, method="GET", times=2)
    storage.fetch(uri, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert not any(fault.times for fault in proxy.faults)


def test_an_answer_that_is_too_short_is_never_taken_for_the_object(
    scheme: str, root: str, proxy: Proxy, tmp_path: Path
) -> None:
    uri = storage.join(root, "object")
    content = os.urandom(300_000)
    storage.create(uri, content)
    proxy.fail("shorten", method="GET", path="alt=media" if scheme == "gs" else "", times=100)
    with pytest.raises(StorageError):
        storage.fetch(uri, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    if scheme == "gs":
        # Google's answers carry a checksum.
        with pytest.raises(StorageError):
            storage.read(uri)


@pytest.mark.parametrize("fate", [*BROKEN, "break answer"])
def test_a_listing_that_breaks_is_listed_again(fate: str, root: str, proxy: Proxy) -> None:
    names = [f"{number:02d}" for number in range(20)]
    for name in names:
        storage.create(storage.join(root, name), b"")
    proxy.fail(fate, method="GET", times=2)
    assert [info.uri for info in storage.list_objects(root)] == [storage.join(root, name) for name in names]


@pytest.mark.parametrize("fate", BROKEN)
def test_a_deletion_that_breaks_is_done(fate: str, root: str, proxy: Proxy) -> None:
    uri = storage.join(root, "object")
    for generation in (storage.create(uri, b"1"), None):
        proxy.fail(fate, method="DELETE", times=2)
        storage.delete(uri, generation=generation)
        assert not storage.exists(uri)
        storage.create(uri, b"1")


@pytest.mark.parametrize("fate", BROKEN)
def test_a_mark_of_use_that_breaks_is_made(fate: str, root: str, proxy: Proxy) -> None:
    from components._shared.storage import _store

    uri = storage.join(root, "object")
    storage.create(uri, b"content")
    proxy.fail(fate, method="PATCH|PUT")
    assert _store(uri).refresh(uri)
    assert storage.read(uri) == b"content"
    assert not _store(uri).refresh(storage.join(root, "nothing"))


def test_a_mark_of_use_disturbs_nobody_who_reads(root: str, tmp_path: Path) -> None:
    source = large(tmp_path)
    uri = storage.join(root, "large")
    storage.create(uri, source)
    with storage.open_read(uri) as stream:
        begin = stream.read(10)
        assert storage.touch(uri)
        assert begin + stream.read() == source.read_bytes()
    with storage.open_read(uri) as stream:
        stream.read(10)
        found = storage.stat(uri)
        assert found is not None
        storage_s3.S3Store().replace(uri, b"other", found.generation) if uri.startswith("s3") else storage.delete(uri)
        with pytest.raises(StorageError):
            stream.read()


def test_a_mark_of_use_that_another_clock_has_outrun_is_as_good(gcs_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from components._shared.storage import _store

    uri = storage.join(gcs_root, "object")
    storage.create(uri, b"content")
    with faulty_proxy(os.environ["STORAGE_EMULATOR_HOST"]) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        # As Google answers a time before the one that is there.
        proxy.fail("400", method="PATCH")
        with pytest.raises(StorageError):
            _store(uri).refresh(uri)
        ahead = storage_gcs._client(uri).bucket(gcs_root.split("/")[2]).blob(uri.split("/", 3)[3])
        ahead.custom_time = datetime.now(UTC) + timedelta(minutes=1)
        ahead.patch()
        proxy.fail("400", method="PATCH")
        assert _store(uri).refresh(uri)
        assert len(proxy.calls("PATCH")) == 3


# Large files


@pytest.mark.parametrize(
    ("fate", "place"),
    [*((fate, 1) for fate in BROKEN), *(("break upload", place) for place in range(3)), ("503", 0), ("lose answer", 2)],
)
def test_a_large_upload_goes_on_where_it_broke(
    fate: str, place: int, scheme: str, root: str, proxy: Proxy, tmp_path: Path
) -> None:
    source = large(tmp_path)
    uri = storage.join(root, "large")
    proxy.fail(fate, method="PUT", path="(?i)upload_?id=", skip=place)
    generation = storage.create(uri, source)
    found = storage.stat(uri)
    assert found is not None
    assert (found.size, found.generation) == (source.stat().st_size, generation)
    storage.fetch(uri, tmp_path / "copy")
    assert sha256(tmp_path / "copy") == sha256(source)
    # On the wire: one session, and only the piece that broke went up twice.
    assert len(proxy.calls("POST", r"uploadType=resumable|\?uploads")) == 1
    sent = proxy.calls("PUT", "(?i)upload_?id=")
    assert len(sent) == 3 + 1, [(r.headers.get("Content-Range"), r.fate) for r in sent]
    assert sum(r.size for r in sent) <= source.stat().st_size + (5 << 20)
    with pytest.raises(AlreadyExistsError):
        storage.create(uri, source)


def test_a_large_upload_whose_session_is_lost_begins_another_one(
    scheme: str, root: str, proxy: Proxy, tmp_path: Path
) -> None:
    if scheme == "s3":
        pytest.skip("parts of an S3 upload have no session that a store gives up")
    source = large(tmp_path)
    for fate in ("410", "404", "keep less"):
        proxy.seen.clear()
        uri = storage.join(root, f"large-{fate}")
        proxy.fail(fate, method="PUT", path="upload_id=", skip=1)
        storage.create(uri, source)
        storage.fetch(uri, tmp_path / "copy")
        assert sha256(tmp_path / "copy") == sha256(source)
        assert len(proxy.calls("POST", "uploadType=resumable")) == 2


def test_a_large_upload_that_is_overtaken_loses_and_leaves_no_parts(
    s3_root: str, s3_emulator: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = storage.join(s3_root, "large")
    with faulty_proxy(s3_emulator) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.fail("delay", method="POST", path="uploadId=", seconds=1.5)
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(storage.create, uri, large(tmp_path))
            while not proxy.calls("POST", "uploadId="):
                time.sleep(0.02)
            storage.create(uri, b"faster")
            with pytest.raises(AlreadyExistsError):
                slow.result()
        assert storage.read(uri) == b"faster"
        assert proxy.calls("POST", "uploadId=")[0].headers["If-None-Match"] == "*"
        assert len(proxy.calls("DELETE", "uploadId=")) == 1
        uploads = storage_s3._client(uri).list_multipart_uploads(Bucket=uri.split("/")[2]).get("Uploads", [])
        assert uploads == [], "parts that never become an object cost money"


def test_the_last_answer_that_is_lost_is_not_somebody_elses_object(
    scheme: str, root: str, proxy: Proxy, tmp_path: Path
) -> None:
    source = large(tmp_path)
    uri = storage.join(root, "large")
    # The request that makes an object of the pieces.
    last = {"gs": {"method": "PUT", "path": "upload_id=", "skip": 2}, "s3": {"method": "POST", "path": "uploadId="}}
    proxy.fail("lose answer", **last[scheme])
    generation = storage.create(uri, source)
    found = storage.stat(uri)
    assert found is not None
    assert found.generation == generation
    assert not any(fault.times for fault in proxy.faults)


def test_large_files_take_little_memory(root: str, proxy: Proxy, tmp_path: Path) -> None:
    source = large(tmp_path, 40 << 20)
    address = next(name for name in ADDRESS.values() if os.environ.get(name) == proxy.url)
    os.environ[address] = proxy.target
    tracemalloc.start()
    try:
        storage.create(storage.join(root, "large"), source)
        storage.fetch(storage.join(root, "large"), tmp_path / "copy")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        os.environ[address] = proxy.url
    assert (tmp_path / "copy").stat().st_size == source.stat().st_size
    assert peak < 28 << 20


# Bounds


def test_a_store_that_never_answers_is_given_up(
    scheme: str, root: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_gcs, "_PATIENCE", 2.0)
    monkeypatch.setattr(storage_gcs, "_TIMEOUT", (0.5, 0.5))
    monkeypatch.setattr(storage_s3, "_TIMEOUT", (0.5, 0.5))
    monkeypatch.setattr(storage_s3, "_ATTEMPTS", 2)
    storage_s3._client_of.cache_clear()
    try:
        proxy.fail("delay", seconds=3, times=100)
        begin = time.monotonic()
        with pytest.raises(StorageError, match=r"bucket 'saiki-tests'.*(failed|did not answer)") as raised:
            storage.read(storage.join(root, "object"))
        assert time.monotonic() - begin < 15
        assert "run again" in raised.value.fix
    finally:
        storage_s3._client_of.cache_clear()


def test_a_store_that_is_always_busy_is_said(
    scheme: str, root: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_gcs, "_PATIENCE", 2.0)
    monkeypatch.setattr(storage_s3, "_ATTEMPTS", 2)
    storage_s3._client_of.cache_clear()
    try:
        proxy.fail("503", times=100)
        with pytest.raises(StorageError, match="bucket 'saiki-tests'") as raised:
            storage.create(storage.join(root, "object"), b"x")
        assert "nothing is lost" in raised.value.fix
    finally:
        storage_s3._client_of.cache_clear()


# Permissions


def test_a_permission_that_is_missing_is_said_with_the_role(scheme: str, root: str, proxy: Proxy) -> None:
    proxy.fail("403", times=100)
    with pytest.raises(StorageError, match="Permission denied in bucket 'saiki-tests'") as raised:
        storage.check_root(root)
    assert {"gs": "roles/storage.objectUser", "s3": "s3:ListBucket"}[scheme] in raised.value.fix


def test_a_root_that_cannot_be_listed_is_said_at_the_start(scheme: str, root: str, proxy: Proxy) -> None:
    proxy.fail("403", method="GET", path={"gs": r"/o\?", "s3": "list-type=2"}[scheme], times=100)
    with pytest.raises(StorageError, match="Permission denied"):
        storage.check_root(root)
    assert list(storage.list_strays(root)) == [] if not proxy.faults.clear() else True


# Conditions


@pytest.mark.parametrize("ignored", ["If-None-Match", "If-Match", "both"])
def test_a_store_that_ignores_conditions_is_refused_at_the_start(
    ignored: str, s3_root: str, s3_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy(s3_emulator) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.stripped = ("If-None-Match", "If-Match") if ignored == "both" else (ignored,)
        with pytest.raises(StorageError, match="nothing is promoted here") as raised:
            storage.check_root(s3_root)
        assert raised.value.where == s3_root
        assert "docs/object-storage.md" in raised.value.fix
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_emulator)
    assert list(storage.list_strays(s3_root)) == []


@pytest.mark.parametrize("status", ["501", "400"])
def test_a_store_that_refuses_conditions_is_said_at_the_start(
    status: str, s3_root: str, s3_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_proxy(s3_emulator) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.fail(status, method="PUT", times=100)
        with pytest.raises(StorageError, match=r"does not know conditional writes|did not do it") as raised:
            storage.check_root(s3_root)
        assert raised.value.where == s3_root


def test_a_store_that_checks_first_and_writes_later_is_refused(
    s3_root: str, s3_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some versions of SeaweedFS: each writer by itself meets the condition, of several at once all win."""
    with faulty_proxy(s3_emulator) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        proxy.careless = True
        with pytest.raises(StorageError, match=r"of 4 writers .* the same object"):
            storage.check_root(s3_root)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_emulator)
    assert list(storage.list_strays(s3_root)) == []


def test_a_store_of_ones_own_is_reached_by_its_host_name_and_needs_no_region(
    s3_root: str, s3_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with faulty_proxy(s3_emulator) as proxy:
        # A name, as a Service in a cluster has; `saiki-tests.localhost` would be another host.
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url.replace("127.0.0.1", "localhost"))
        storage.check_root(s3_root)
        assert {request.path.split("/")[1].split("?")[0] for request in proxy.seen} == {"saiki-tests"}
        assert {request.headers["Host"].split(":")[0] for request in proxy.seen} == {"localhost"}
        assert "/us-east-1/s3/" in proxy.seen[0].headers["Authorization"]
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        storage_s3._client_of.cache_clear()
        assert not storage.exists(storage.join(s3_root, "x"))
        assert "/eu-central-1/s3/" in proxy.seen[-1].headers["Authorization"]
    storage_s3._client_of.cache_clear()


# Listings


def test_a_listing_goes_over_many_pages_and_passes_over_placeholders(scheme: str, root: str, proxy: Proxy) -> None:
    names = [f"shards/{number:02d}" for number in range(20)]
    for name in names:
        storage.create(storage.join(root, name), b"")
    _put_placeholder(scheme, root + "/shards/")
    _put_placeholder(scheme, root + "/shards/empty/")
    # A store may give fewer than it is asked for; of its own accord it gives 1,000.
    proxy.page = 7
    assert [info.uri for info in storage.list_objects(root)] == [storage.join(root, name) for name in names]
    assert len(proxy.calls("GET", r"list-type=2|/o\?")) == 4
    assert [info.uri for info in storage.glob(f"{root}/*/1*")] == [storage.join(root, n) for n in names[10:]]


def _put_placeholder(scheme: str, uri: str) -> None:
    bucket, key = uri.split("://")[1].split("/", 1)
    if scheme == "gs":
        storage_gcs._client(uri).bucket(bucket).blob(key).upload_from_string(b"")
    else:
        storage_s3._client(uri).put_object(Bucket=bucket, Key=key, Body=b"")


def test_credentials_that_are_missing_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(StorageError, match="no usable Google Cloud credentials"):
        storage.check_root("gs://bucket/root")
    with pytest.raises(StorageError, match="no usable AWS credentials"):
        storage.check_root("s3://bucket/root")


# Names


@pytest.mark.parametrize("name", ["%2e%2e%2fup", "a%00b", "a b+c", "a?b#c", "ü/é", "a\\b", "%"])
def test_a_name_means_the_same_object_everywhere(name: str, root: str, proxy: Proxy) -> None:
    uri = storage.join(root, "below", name)
    storage.create(uri, name.encode())
    assert [info.uri for info in storage.list_objects(root)] == [uri]
    assert storage.read(uri) == name.encode()
    storage.delete(uri)
    with pytest.raises(NotFoundError):
        storage.read(uri)


@pytest.mark.parametrize("name", ["a\nb", "a\r\nHost: x", "tab\t", "\x7f", "\x85"])
def test_a_name_with_a_control_character_is_refused(name: str, scheme: str) -> None:
    with pytest.raises(StorageError, match="control character"):
        storage.read(f"{scheme}://bucket/{name}")


def test_a_name_that_is_too_long_is_refused_by_name(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="too long: 1,025 bytes of 1,024"):
        storage.create(f"{scheme}://bucket/" + "é" * 512 + "x", b"")
    with pytest.raises(StorageError, match="too long for this file system"):
        storage.create(str(tmp_path / ("x" * 300)), b"")


# Environments

_TRY = """
import sys
from pathlib import Path
from components._shared import storage
root, source, copy = sys.argv[1:]
storage.check_root(root)
large, none = storage.join(root, "large"), storage.join(root, "none")
storage.create(large, Path(source))
storage.fetch(large, Path(copy))
for call in (lambda: storage.create(large, b""), lambda: storage.read(none)):
    try:
        call()
    except storage.StorageError as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize("environment", ["analysis", "tensorflow"])
def test_the_client_libraries_of_every_lock_will_do(
    environment: str, root: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path(__file__).resolve().parents[2]
    python = project / ".venvs" / environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"the environment '{environment}' is not set up: make setup")
    source = large(tmp_path)
    proxy.fail("lose answer", method="PUT", path="upload_id=", skip=1)
    command = [str(python), "-W", "ignore", "-c", _TRY, root, str(source), str(tmp_path / "copy")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(project)}, capture_output=True, text=True)
    assert done.stdout.split() == ["AlreadyExistsError", "NotFoundError"], done.stderr
    assert sha256(tmp_path / "copy") == sha256(source)
