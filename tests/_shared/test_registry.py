from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components._shared import storage
from components._shared.errors import InputError, PreconditionError, RegistryError
from components._shared.model_files import read_model_info, registered_model
from components._shared.model_info import ModelInfo
from components._shared.records import Attempt, Baseline, Lineage
from components._shared.registry import Registry, open_root, tasks_in
from components._shared.windows import Windows
from components.push.promises import loser_files

WINDOWS = Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC")
ME = {"who": "me", "why": "because"}


def lineage(model: Path, judgement: str) -> Lineage:
    info = ModelInfo.from_json((model / "model.json").read_text())
    return Lineage(
        experiment="e", judgement=judgement, model_digest=info.digest, made_from={}, code={}, windows=WINDOWS,
        created=datetime.now(UTC),
    )  # fmt: skip


def attempt(judgement: str, result: str = "rejected", **more: object) -> Attempt:
    return Attempt.model_validate(
        {
            "experiment": "e", "judgement": judgement, "task": "flights", "outcome": "failed", "result": result,
            "reason": "r", "baseline": Baseline(), "windows": WINDOWS, "model_digest": "d", "made_from": {},
            "created": datetime.now(UTC), **more,
        }
    )  # fmt: skip


@pytest.fixture
def registry(any_root: str) -> Registry:
    found = Registry(any_root, "flights")
    found.open(create=True)
    return found


@pytest.fixture
def local(tmp_path: Path) -> Registry:
    found = Registry(str(tmp_path / "registry"), "flights")
    found.open(create=True)
    return found


def add(registry: Registry, make_model: Callable[..., Path], *judgements: str) -> list[int]:
    models = [make_model(judgement) for judgement in judgements]
    return [registry.add_version(model, lineage(model, j)) for model, j in zip(models, judgements, strict=True)]


def test_a_model_is_added_promoted_and_found(registry: Registry, make_model: Callable[..., Path]) -> None:
    assert registry.champion() == (None, None)
    model = make_model("a")
    number = registry.add_version(model, lineage(model, "j1"))
    champion = registry.promote(number, generation=None, who="me", why="first", judgement="j1")
    assert (champion.version, champion.reference, champion.hold, champion.history) == (1, 1, "", 1)
    found, generation = registry.champion()
    assert found == champion
    assert generation is not None
    ref = registry.version_ref(1)
    assert ref.digest == lineage(model, "j1").model_digest
    assert ref.fit_until == datetime(2013, 6, 1, tzinfo=UTC)
    for path in (path for path in model.rglob("*") if path.is_file()):
        assert storage.read(storage.join(ref.uri, path.relative_to(model).as_posix())) == path.read_bytes()
    assert [version.number for version in registry.versions()] == [1]
    assert registry.promotion_of("j1") == registry.history()[0]
    assert registry.promotion_of("j2") is None
    assert tasks_in(registry.root) == ["flights"]


def test_the_same_model_of_the_same_judgement_has_one_version(local: Registry, make_model: Callable[..., Path]) -> None:
    first, second = make_model("a"), make_model("b")
    assert local.add_version(first, lineage(first, "j1")) == 1
    assert local.add_version(first, lineage(first, "j1")) == 1
    assert local.add_version(second, lineage(second, "j2")) == 2
    assert local.add_version(first, lineage(first, "j1")) == 1


def test_a_version_without_its_saved_model_is_not_there(local: Registry, make_model: Callable[..., Path]) -> None:
    model = make_model("a")
    local.add_version(model, lineage(model, "j1"))
    storage.delete(storage.join(local.root, "flights/versions/1/saved_model.pb"))
    assert local.versions() == []
    with pytest.raises(RegistryError, match="There is no version 1 of 'flights'"):
        local.version_ref(1)
    other = make_model("b")
    assert local.add_version(other, lineage(other, "j2")) == 2
    assert local.add_version(model, lineage(model, "j1")) == 1
    assert [version.number for version in local.versions()] == [1, 2]


def test_a_directory_without_a_saved_model_is_refused(local: Registry, make_model: Callable[..., Path]) -> None:
    model = make_model("a")
    (model / "saved_model.pb").unlink()
    with pytest.raises(InputError, match=r"no saved_model\.pb"):
        local.add_version(model, lineage(model, "j1"))
    assert list(storage.list_objects(storage.join(local.root, "flights"))) == []


def test_a_promotion_against_an_old_pointer_is_refused_and_its_number_used_up(
    local: Registry, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    add(local, make_model, "j1", "j2", "j3")
    local.promote(1, generation=None, judgement="j1", **ME)
    _, generation = local.champion()
    local.promote(2, generation=generation, judgement="j2", **ME)
    with pytest.raises(PreconditionError):
        local.promote(3, generation=generation, judgement="j3", **ME)
    # One that loses between its record and the pointer: the record stays, the move did not take place.
    champion, generation = local.champion()
    monkeypatch.setattr(local, "champion", lambda: (champion, "0-0"))
    with pytest.raises(PreconditionError):
        local.promote(3, generation="0-0", judgement="j3", **ME)
    monkeypatch.undo()
    assert [record.number for record in local.history()] == [1, 2, 3]
    assert [move.number for move in local.moves()] == [2, 1]
    assert local.promotion_of("j3") is None
    local.promote(3, generation=generation, judgement="j3", **ME)
    assert [move.number for move in local.moves()] == [4, 2, 1]


def test_a_rollback_goes_back_and_holds_until_the_release(local: Registry, make_model: Callable[..., Path]) -> None:
    add(local, make_model, "j1", "j2", "j3")
    for number in (1, 2, 3):
        local.promote(number, generation=local.champion()[1], **ME)
    back = local.rollback(who="me", why="3 is slow")
    assert (back.version, back.hold, back.reference) == (2, "3 is slow", 1)
    assert local.rollback(who="me", why="2 as well").version == 1
    with pytest.raises(RegistryError, match="has had no champion before version 1"):
        local.rollback(who="me", why="again")
    assert local.rollback(who="me", why="3 after all", to=3).version == 3
    with pytest.raises(RegistryError, match=r"no version 7 of 'flights'(.|\n)*use one of: 1, 2, 3"):
        local.rollback(who="me", why="x", to=7)
    released = local.release(**ME)
    assert (released.version, released.hold) == (3, "")
    assert local.release(**ME) == released
    actions = [record.action for record in local.history()]
    assert actions == ["promotion"] * 3 + ["rollback"] * 3 + ["release"]


def test_a_promotion_by_hand_keeps_the_hold_and_the_pinned_reference(
    local: Registry, make_model: Callable[..., Path]
) -> None:
    add(local, make_model, "j1", "j2")
    local.promote(1, generation=None, **ME)
    local.promote(2, generation=local.champion()[1], **ME)
    assert local.pin(2, **ME).reference == 2
    local.rollback(who="me", why="bad")
    champion = local.promote(2, generation=local.champion()[1], **ME)
    assert (champion.version, champion.hold, champion.reference) == (2, "bad", 2)
    assert local.promote(2, generation=local.champion()[1], **ME) == champion


def test_an_attempt_is_recorded_once_with_its_files_first(registry: Registry, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    report.write_text("report")
    first = attempt("aa")
    assert registry.record_attempt(first, {"report.html": report}) is None
    recorded = registry.attempt("aa")
    assert recorded is not None
    assert recorded == first.model_copy(update={"files": recorded.files})
    report.write_text("another")
    assert registry.record_attempt(attempt("aa", reason="later"), {"report.html": report}) == recorded
    assert registry.attempt("aa") == recorded
    assert registry.attempt("bb") is None
    assert storage.read(registry.file_of(recorded, "report.html")) == b"report"


def test_of_two_writers_of_one_judgement_the_record_that_stays_has_its_own_files(
    registry: Registry, tmp_path: Path, make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {who: make_model(who) for who in ("first", "second")}
    files = {}
    for who, model in models.items():
        (tmp_path / who).write_text(who)
        files[who] = loser_files(model)
        files[who]["report.html"] = tmp_path / who
    real = storage.create

    def write(who: str) -> Attempt | None:
        digest = lineage(models[who], "aa").model_digest
        return registry.record_attempt(attempt("aa", reason=who, model_digest=digest), files[who])

    def create(uri: str, data: bytes | Path) -> str:
        if uri.endswith("/attempts/aa.json"):
            # All files of the first are there, and not yet its record: the second does the whole of its work.
            monkeypatch.setattr(storage, "create", real)
            assert write("second") is None
        return real(uri, data)

    monkeypatch.setattr(storage, "create", create)
    stays = write("first")
    assert stays is not None
    assert (stays.reason, stays) == ("second", registry.attempt("aa"))
    assert storage.read(registry.file_of(stays, "report.html")) == b"second"
    kept = registry.attempted_model(stays)
    assert kept is not None
    with registered_model(kept) as folder:
        assert read_model_info(folder) == read_model_info(models["second"])


def test_a_try_that_was_killed_before_its_record_does_not_show_in_the_next_one(
    local: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "r.html"

    def killed(uri: str, data: bytes | Path) -> str:
        raise KeyboardInterrupt(uri)

    for text in ("first", "second"):
        report.write_text(text)
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            if text == "first":
                patch.setattr(storage, "create", killed)
            local.record_attempt(attempt("aa"), {"report.html": report})
    recorded = local.attempt("aa")
    assert recorded is not None
    assert storage.read(local.file_of(recorded, "report.html")) == b"second"


def test_a_model_that_cannot_be_read_is_still_named(registry: Registry, make_model: Callable[..., Path]) -> None:
    model = make_model("a")
    files = loser_files(model)
    registry.record_attempt(attempt("aa", model_digest="d"), files)
    number = registry.add_version(model, lineage(model, "bb"))
    registry.record_attempt(attempt("bb", "promoted", version=number, model_digest="d"), {})
    for name, loser in registry.tries().items():
        kept = registry.attempted_model(loser)
        assert kept is not None
        uri = storage.join(kept.uri, "model.json")
        storage.replace(uri, b'{"format": "another"}', generation=storage.read_versioned(uri)[1])
        assert registry.attempted_model(loser) == kept
        storage.delete(uri)
        assert registry.attempted_model(loser) == kept
        assert (kept.version, kept.digest) == (number if name == "bb" else 0, "d")
        storage.delete(storage.join(kept.uri, "saved_model.pb"))
        assert registry.attempted_model(loser) is None


def test_only_what_lies_directly_beside_the_records_is_listed_to_find_them(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shard").write_text("weights")
    for judgement in ("aa", "bb"):
        files = {f"model/variables/{number}": tmp_path / "shard" for number in range(20)}
        registry.record_attempt(attempt(judgement), files)
    monkeypatch.setattr(storage, "list_objects", lambda uri: pytest.fail(f"everything below {uri} is listed"))
    assert list(registry.tries()) == ["aa", "bb"]


def test_what_may_be_judged_again_does_not_settle_the_judgement(local: Registry) -> None:
    for result in ("superseded", "held"):
        local.record_attempt(attempt("aa", result), {})
        local.record_attempt(attempt("aa", result), {})
    assert local.attempt("aa") is None
    assert local.attempts() == []
    assert list(local.tries()) == ["aa.superseded-0", "aa.held-0"]
    assert local.record_attempt(attempt("aa"), {}) is None
    assert local.attempts() == [local.attempt("aa")]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"version": "x"}', b'{"version":1,"history":1,"more":2}'])
def test_an_unreadable_champion_pointer_names_the_file_and_the_repair(
    content: bytes, local: Registry, make_model: Callable[..., Path]
) -> None:
    add(local, make_model, "j1", "j2")
    local.promote(1, generation=None, **ME)
    local.promote(2, generation=local.champion()[1], **ME)
    local.pin(2, **ME)
    uri = storage.join(local.root, "flights/champion.json")
    storage.replace(uri, content, generation=storage.read_versioned(uri)[1])
    with pytest.raises(RegistryError) as raised:
        local.champion()
    assert uri in str(raised.value)
    assert "saiki promote 2 --repair" in str(raised.value)
    repaired = local.repair(2, **ME)
    assert local.champion()[0] == repaired
    assert (repaired.version, repaired.reference) == (2, 2)
    with pytest.raises(InputError, match="nothing to repair"):
        local.repair(1, **ME)


def test_an_unreadable_record_is_named(local: Registry) -> None:
    local.record_attempt(attempt("aa"), {})
    uri = storage.join(local.root, "flights/attempts/aa.json")
    storage.replace(uri, b"{}", generation=storage.read_versioned(uri)[1])
    with pytest.raises(RegistryError, match=r"missing field(.|\n)*attempts/aa\.json"):
        local.attempts()


def test_a_root_that_holds_other_things_is_not_a_registry(any_root: str) -> None:
    with pytest.raises(RegistryError, match="There is no registry here"):
        open_root(any_root, create=False)
    storage.create(storage.join(any_root, "letters.txt"), b"dear")
    for create in (True, False):
        with pytest.raises(RegistryError, match="not a registry: it holds other things"):
            open_root(any_root, create=create)


@pytest.mark.parametrize("marker", [b"", b"not: [json", b"{}x", b'{"format": "saiki/registry/v2"}'])
def test_a_marker_of_another_kind_is_refused(marker: bytes, tmp_path: Path) -> None:
    storage.create(str(tmp_path / "saiki-registry.json"), marker)
    with pytest.raises(RegistryError, match="not a registry that this version"):
        open_root(str(tmp_path), create=True)


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a b", "-x", "x" * 64])
def test_a_name_that_is_no_name_of_a_task_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="not the name of a task"):
        Registry("root", name)


@pytest.mark.parametrize("judgement", ["..", "../x", "/etc", ""])
def test_a_judgement_cannot_lead_out_of_the_registry(judgement: str, local: Registry, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    report.write_text("report")
    with pytest.raises(InputError):
        local.record_attempt(attempt(judgement), {"report.html": report})
    assert local.tries() == {}
    with pytest.raises(InputError):
        local.file_of(attempt("aa", files=judgement), "report.html")
