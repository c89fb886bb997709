from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components._shared import storage
from components._shared.errors import CorruptError, RegistryError
from components._shared.evidence import Estimate
from components._shared.garbage import find_garbage, remove_garbage
from components._shared.known_registries import remember_registry
from components._shared.manifest import Manifest, Shard
from components._shared.model_files import read_model_info, registered_model
from components._shared.model_info import ModelInfo
from components._shared.records import Attempt, Baseline, Lineage, Promise
from components._shared.registry import Registry
from components._shared.windows import Windows
from components.push.promises import loser_files

WINDOWS = Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC")


class Data:
    """A data root and a registry, small enough to say which shard belongs to what."""

    def __init__(self, root: str) -> None:
        self.data = storage.join(root, "data")
        self.registry = Registry(storage.join(root, "registry"), "flights")
        self.registry.open(create=True)

    def shard(self, name: str) -> Shard:
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        uri = storage.join(self.data, "shards", f"{sha256}.parquet")
        storage.ensure(uri, name.encode())
        return Shard(uri=uri, sha256=sha256, digest=sha256, bytes=1, rows=1, start=0, stop=1)

    def manifest(self, name: str, *shards: str, made_from: str = "", set_aside: str = "") -> str:
        manifest = Manifest(
            role="examples",
            digest=hashlib.sha256(name.encode()).hexdigest(),
            columns={},
            shards=tuple(self.shard(shard) for shard in shards),
            set_aside=(self.shard(set_aside),) if set_aside else (),
            without_label=(self.shard(f"when {set_aside} were"),) if set_aside else (),
            count=1,
            made_from={"examples": made_from} if made_from else {},
        )
        storage.ensure(
            storage.join(self.data, "manifests", f"{manifest.content_digest()}.json"), manifest.to_json().encode()
        )
        return manifest.digest

    def attempt(self, result: str, **made_from: str) -> None:
        self.registry.record_attempt(
            Attempt.model_validate(
                {
                    "experiment": "e", "judgement": hashlib.sha256(str(made_from).encode()).hexdigest(),
                    "task": "flights", "outcome": "failed", "result": result, "reason": "r", "baseline": Baseline(),
                    "windows": WINDOWS, "model_digest": "d", "made_from": made_from, "created": datetime.now(UTC),
                }
            ),
            {},
        )  # fmt: skip

    def there(self) -> set[str]:
        return {storage.read(info.uri).decode() for info in storage.list_objects(storage.join(self.data, "shards"))}

    def collect(self, older_than: datetime) -> int:
        return remove_garbage(self.data, find_garbage(self.data, [self.registry.root], older_than=older_than))


@pytest.fixture
def data(any_root: str) -> Data:
    return Data(any_root)


@pytest.fixture
def local(tmp_path: Path) -> Data:
    return Data(str(tmp_path))


def later() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=5)


def test_what_attempts_need_stays_and_the_rest_goes(data: Data) -> None:
    examples = data.manifest("examples", "a", "b", set_aside="bad rows")
    train = data.manifest("train", "a", made_from=examples)
    data.attempt("rejected", train=train, learning="x")
    data.attempt("superseded", examples=data.manifest("other", "c"))
    data.manifest("nobody's", "a", "d")
    data.shard("e")
    data.manifest("predictions", "f", made_from=examples)
    garbage = find_garbage(data.data, [data.registry.root], older_than=later())
    assert {storage.read(info.uri).decode() for info in garbage.shards} == {"d", "e", "f"}
    assert len(garbage.manifests) == 2
    assert (garbage.kept_shards, garbage.kept_manifests, garbage.elsewhere) == (5, 3, 0)
    kept = {"a", "b", "bad rows", "when bad rows were", "c"}
    assert data.there() == kept | {"d", "e", "f"}, "looking removes nothing"
    assert remove_garbage(data.data, garbage) == 5
    assert data.there() == kept
    assert b'"epoch":1' in storage.read(storage.join(data.data, "cache-epoch.json"))
    assert data.collect(later()) == 0
    assert b'"epoch":1' in storage.read(storage.join(data.data, "cache-epoch.json"))


def test_what_versions_were_made_of_stays(local: Data, make_model: Callable[..., Path]) -> None:
    train = local.manifest("train", "a")
    model = make_model()
    info = ModelInfo.from_json((model / "model.json").read_text())
    lineage = Lineage(
        experiment="e", judgement="j", model_digest=info.digest, made_from={"train": train}, code={}, windows=WINDOWS,
        created=datetime.now(UTC),
    )  # fmt: skip
    local.registry.add_version(model, lineage)
    local.shard("b")
    assert local.collect(later()) == 1
    assert local.there() == {"a"}


def test_nothing_younger_than_the_grace_period_goes(local: Data) -> None:
    local.manifest("running", "a")
    local.shard("b")
    assert local.collect(datetime.now(UTC) - timedelta(days=1)) == 0
    assert local.there() == {"a", "b"}
    assert not storage.exists(storage.join(local.data, "cache-epoch.json"))


def test_a_shard_that_a_run_uses_again_meanwhile_is_spared(local: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    used, _ = local.shard("a"), local.shard("b")
    garbage = find_garbage(local.data, [local.registry.root], older_than=later())
    monkeypatch.setattr(storage, "REFRESH_AFTER", timedelta(0))
    storage.ensure(used.uri, b"a")
    assert remove_garbage(local.data, garbage) == 1
    assert local.there() == {"a"}


def test_temporary_files_of_killed_writers_go_and_locks_stay(local: Data) -> None:
    shard = local.shard("a")
    folder = Path(shard.uri).parent
    (folder / ".saiki-tmp-1-abc").write_text("half")
    (folder / ".saiki-lock").touch()
    local.attempt("rejected", train=local.manifest("train", "a"))
    assert [info.uri for info in storage.list_objects(str(folder))] == [shard.uri]
    assert local.collect(later()) == 1
    assert sorted(path.name for path in folder.iterdir()) == [".saiki-lock", Path(shard.uri).name]


def test_other_files_in_the_data_root_are_not_touched(local: Data) -> None:
    for name in ("shards/notes.parquet", "manifests/readme.json", "source.csv"):
        storage.create(storage.join(local.data, name), b"mine")
    assert local.collect(later()) == 0


def test_a_manifest_or_record_that_cannot_be_read_stops_the_collection(local: Data) -> None:
    local.shard("a")
    storage.create(storage.join(local.data, "manifests", "0" * 64 + ".json"), b"{}")
    with pytest.raises(CorruptError, match="nobody knows which shards it needs"):
        local.collect(later())
    storage.delete(storage.join(local.data, "manifests", "0" * 64 + ".json"))
    storage.create(storage.join(local.registry.root, "flights/attempts/aa.json"), b"{}")
    with pytest.raises(RegistryError):
        local.collect(later())
    assert local.there() == {"a"}


def test_a_registry_that_is_not_one_stops_the_collection(local: Data) -> None:
    local.shard("a")
    with pytest.raises(RegistryError, match="There is no registry here"):
        find_garbage(local.data, [local.data + "-typo"], older_than=later())
    with pytest.raises(RegistryError, match="Nobody knows which registries"):
        find_garbage(local.data, [], older_than=later())


def test_every_registry_that_used_the_data_root_is_looked_into(data: Data) -> None:
    other = Registry(data.registry.root + "-other", "flights")
    other.open(create=True)
    for registry in (data.registry, other):
        remember_registry(data.data, registry.root + "/")
    mine, data.registry = data.registry, other
    data.attempt("rejected", train=data.manifest("theirs", "a"))
    data.registry = mine
    data.attempt("rejected", train=data.manifest("mine", "b"))
    data.shard("c")
    garbage = find_garbage(data.data, [], older_than=later())
    assert garbage.registries == tuple(sorted((mine.root, other.root)))
    assert remove_garbage(data.data, garbage) == 1
    assert data.there() == {"a", "b"}


def test_a_registry_that_is_known_and_gone_stops_the_collection(local: Data) -> None:
    remember_registry(local.data, local.data + "-gone")
    local.shard("a")
    with pytest.raises(RegistryError, match="kept in a registry that is not there") as raised:
        local.collect(later())
    record = next(storage.list_objects(storage.join(local.data, "registries"))).uri
    assert record in raised.value.fix
    storage.delete(record)
    assert local.collect(later()) == 1
    storage.create(record, b"{}")
    with pytest.raises(CorruptError, match="A record of a registry cannot be read"):
        local.collect(later())


def test_checkpoints_that_nobody_goes_on_with_go(data: Data) -> None:
    for name in ("old/latest.json", "old/0.npz", "young/0.npz"):
        storage.create(storage.join(data.data, "checkpoints", name), b"state")
    time.sleep(1.1)
    between = datetime.now(UTC)
    # S3 knows the second of a write.
    time.sleep(1.1)
    storage.create(storage.join(data.data, "checkpoints", "young/latest.json"), b"state")
    assert data.collect(between) == 2
    left = {info.uri.split("/checkpoints/")[1] for info in storage.list_objects(data.data)}
    assert left == {"young/0.npz", "young/latest.json"}


CLOSED = datetime(2013, 11, 1, tzinfo=UTC)


def reject(
    data: Data, judgement: str, model: Path, *, as_of: datetime = WINDOWS.as_of, result: str = "rejected"
) -> None:
    """As `push`: the record of a loser, whose model stays with it until its book is closed."""
    files = loser_files(model)
    (model.parent / "report.html").write_text(judgement)
    data.registry.record_attempt(
        Attempt.model_validate(
            {
                "experiment": "e", "judgement": judgement, "task": "flights", "outcome": "failed", "result": result,
                "reason": "r", "baseline": Baseline(), "windows": Windows(as_of=as_of, timezone="UTC"),
                "model_digest": read_model_info(model).digest, "made_from": {}, "created": datetime.now(UTC),
                "promise": Promise(metric="auc", candidate=Estimate(value=0.7), closed=CLOSED),
            }
        ),
        {**files, "report.html": model.parent / "report.html"},
    )  # fmt: skip


def test_a_rejected_model_goes_once_no_run_settles_its_promise_any_more(
    data: Data, make_model: Callable[..., Path]
) -> None:
    reject(data, "lost", make_model("lost"))
    reject(data, "undecided", make_model("undecided"), result="undecided")
    # A run as of the last moment settles it: what is older than any grace period by the clock is not enough.
    reject(data, "last", make_model("last"), as_of=CLOSED)
    assert data.collect(later()) == 0
    reject(data, "next", make_model("next"), as_of=CLOSED + timedelta(days=1))
    assert data.collect(datetime.now(UTC) - timedelta(minutes=5)) == 0, "the grace period"
    garbage = find_garbage(data.data, [data.registry.root], older_than=later())
    attempts = data.registry.tries()
    assert all(data.registry.attempted_model(attempt) for attempt in attempts.values()), "looking removes nothing"
    assert len(garbage.losers) == 4 * 5
    assert remove_garbage(data.data, garbage) == 4 * 5
    for judgement, attempt in attempts.items():
        assert data.registry.attempted_model(attempt) is None
        assert storage.read(data.registry.file_of(attempt, "report.html")).decode() == judgement
    assert data.registry.tries() == attempts
    assert data.collect(later()) == 0


def test_the_model_of_a_version_stays_however_long_its_book_is_closed(
    local: Data, make_model: Callable[..., Path]
) -> None:
    model = make_model("won")
    local.registry.add_version(model, lineage_of(model, "won"))
    reject(local, "won", model, result="promoted")
    reject(local, "next", make_model("next"), as_of=CLOSED + timedelta(days=1))
    garbage = find_garbage(local.data, [local.registry.root], older_than=later())
    assert {info.uri.split("/attempts/")[1].split("/")[0] for info in garbage.losers} == {"next"}


def record_half(data: Data, judgement: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a writer that is killed after the last file, before the record."""
    create = storage.create

    def killed(uri: str, content: bytes | Path) -> str:
        if uri.endswith(f"/attempts/{judgement}.json"):
            raise KeyboardInterrupt
        return create(uri, content)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(storage, "create", killed)
        reject(data, judgement, model)


def test_files_of_an_attempt_that_no_record_names_go_and_all_others_stay(
    data: Data, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_half(data, "j", make_model("killed"), monkeypatch)
    reject(data, "j", make_model("another"))
    others = [storage.join(data.registry.root, "flights/attempts/j", name) for name in ("settled/x.json", "notes.txt")]
    for uri in others:
        storage.create(uri, b"")
    (attempt,) = data.registry.tries().values()
    garbage = find_garbage(data.data, [data.registry.root], older_than=later())
    assert len(garbage.unrecorded) == 6
    assert remove_garbage(data.data, garbage) == 6
    assert data.registry.attempted_model(attempt) is not None
    assert storage.read(data.registry.file_of(attempt, "report.html")) == b"j"
    assert all(storage.exists(uri) for uri in others)
    assert data.collect(later()) == 0


def test_files_without_a_record_that_a_writer_goes_on_with_meanwhile_are_spared(
    data: Data, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    record_half(data, "j", model, monkeypatch)
    garbage = find_garbage(data.data, [data.registry.root], older_than=later())
    assert len(garbage.unrecorded) == 6
    time.sleep(1.1)
    monkeypatch.setattr(storage, "REFRESH_AFTER", timedelta(0))
    reject(data, "j", model)
    assert remove_garbage(data.data, garbage) == 0
    kept = data.registry.attempted_model(data.registry.tries()["j"])
    assert kept is not None
    with registered_model(kept):
        pass


def lineage_of(model: Path, judgement: str) -> Lineage:
    info = ModelInfo.from_json((model / "model.json").read_text())
    return Lineage(
        experiment="e", judgement=judgement, model_digest=info.digest, made_from={}, code={}, windows=WINDOWS,
        created=datetime.now(UTC),
    )  # fmt: skip


def begin_version(data: Data, model: Path, lineage: Lineage) -> None:
    """As a writer that is killed before the last file."""
    number = data.registry._claim(lineage)
    for name in ("model.json", "fingerprint.pb"):
        storage.create(storage.join(data.registry.root, "flights", "versions", str(number), name), model / name)


def test_versions_that_never_became_whole_go_and_whole_ones_stay(data: Data, make_model: Callable[..., Path]) -> None:
    whole, begun = make_model("one"), make_model("two")
    assert data.registry.add_version(whole, lineage_of(whole, "j")) == 1
    begin_version(data, begun, lineage_of(begun, "k"))
    assert data.collect(datetime.now(UTC) - timedelta(minutes=5)) == 0
    assert data.collect(later()) == 3
    assert [version.number for version in data.registry.versions()] == [1]
    assert not list(storage.list_objects(storage.join(data.registry.root, "flights", "versions", "2")))
    # Its number is free again: no server and no record has ever seen it.
    assert data.registry.add_version(begun, lineage_of(begun, "k")) == 2


def test_a_version_that_a_writer_goes_on_with_meanwhile_is_spared(data: Data, make_model: Callable[..., Path]) -> None:
    begun = make_model()
    begin_version(data, begun, lineage_of(begun, "k"))
    garbage = find_garbage(data.data, [data.registry.root], older_than=later())
    assert len(garbage.versions) == 3
    time.sleep(1.1)
    assert data.registry.add_version(begun, lineage_of(begun, "k")) == 1
    assert remove_garbage(data.data, garbage) == 0
    assert [version.number for version in data.registry.versions()] == [1]


def test_a_version_whose_claim_went_first_is_begun_anew(local: Data, make_model: Callable[..., Path]) -> None:
    begun = make_model()
    begin_version(local, begun, lineage_of(begun, "k"))
    storage.delete(storage.join(local.registry.root, "flights", "versions", "1", "lineage.json"))
    assert local.registry.add_version(begun, lineage_of(begun, "k")) == 2
    assert local.collect(later()) == 2
    assert [version.number for version in local.registry.versions()] == [2]
