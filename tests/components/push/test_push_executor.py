from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.errors import CorruptError, PreconditionError, RegistryError
from components._shared.model_files import registered_model
from components._shared.registry import Registry
from components._shared.verdict import Check, Outcome, Verdict

Runs = Callable[..., Any]


@pytest.fixture
def local_root(tmp_path: Path) -> str:
    return str(tmp_path / "registry")


def content(root: str) -> dict[str, str]:
    return {info.uri: info.generation for info in storage.list_objects(root)}


def test_the_first_model_that_passes_becomes_champion_and_pinned_reference(any_root: str, make_run: Runs) -> None:
    run = make_run(any_root, "j1")
    pushed = run.push()
    assert (pushed.result, pushed.version, pushed.replayed) == ("promoted", 1, False)
    models = Registry(any_root, "flights")
    champion, _ = models.champion()
    assert champion is not None
    assert (champion.version, champion.reference) == (1, 1)
    attempt = models.attempt("j1")
    assert attempt is not None
    assert (attempt.result, attempt.version, attempt.made_from["examples"]) == ("promoted", 1, "d" * 64)
    for name in ("report.html", "model-card.md", "evidence.json", "statistics.pb", "verdict.json"):
        assert storage.exists(models.file_of(attempt, name))
    for name in ("verdict.json", "model-card.md"):
        assert storage.exists(storage.join(any_root, f"flights/versions/1/{name}"))


def test_pushing_again_writes_nothing_and_says_what_was_recorded(any_root: str, make_run: Runs) -> None:
    for judgement, outcome in (("j1", "passed"), ("j2", "failed")):
        run = make_run(any_root, judgement, outcome)
        first = run.push()
        before = content(any_root)
        for _ in range(2):
            again = run.push()
            assert (again.result, again.version, again.replayed) == (first.result, first.version, True)
            assert again.reason == f"already judged: {first.reason}"
            run.plan()
        assert content(any_root) == before


@pytest.mark.parametrize("outcome", ["failed", "cannot_judge"])
def test_a_candidate_that_did_not_pass_leaves_everything_but_a_version(
    outcome: Outcome, local_root: str, make_run: Runs
) -> None:
    assert make_run(local_root, "j1").push().result == "promoted"
    pushed = make_run(local_root, "j2", outcome).push()
    assert (pushed.result, pushed.version) == ("rejected", 1)
    models = Registry(local_root, "flights")
    assert [version.number for version in models.versions()] == [1]
    attempt = models.attempt("j2")
    assert attempt is not None
    assert storage.read(models.file_of(attempt, "report.html")) == b"<html>"
    assert (attempt.outcome, attempt.reason, attempt.version) == (outcome, f"it {outcome}", None)
    assert attempt.baseline.champion == models.version_ref(1)


@pytest.mark.parametrize(
    ("others", "result"), [((), "undecided"), (("cannot_judge",), "rejected"), (("failed",), "rejected")]
)
def test_only_a_gain_that_cannot_be_told_is_no_rejection(
    others: tuple[Outcome, ...], result: str, local_root: str, make_run: Runs
) -> None:
    make_run(local_root, "j1").push()
    run = make_run(local_root, "j2", "cannot_judge")
    untold = Check(name="champion.improve.auc", outcome="cannot_judge", reason="about 9 more days")
    checks = [untold, *(Check(name="metric.auc", outcome=outcome, reason="low") for outcome in others)]
    path = run.files["verdict"]
    verdict = Verdict.from_json(path.read_text()).model_copy(update={"checks": tuple(checks)})
    path.write_text(verdict.to_json())
    assert run.push().result == result
    assert run.push().replayed


def test_an_override_promotes_what_was_rejected_and_is_recorded(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1", "failed")
    assert (run.push().result, run.push().version) == ("rejected", 0)
    pushed = run.push(override="the slice is broken at the source")
    assert (pushed.result, pushed.version) == ("promoted", 1)
    models = Registry(local_root, "flights")
    assert models.history()[0].why == "overridden: the slice is broken at the source"
    assert models.tries()["j1.promoted-1"].overridden == "the slice is broken at the source"
    before = content(local_root)
    assert (run.push(override="again").result, run.push().result) == ("promoted", "promoted")
    assert content(local_root) == before


def test_another_champion_since_the_plan_supersedes_and_the_run_can_be_judged_again(
    local_root: str, make_run: Runs
) -> None:
    slow = make_run(local_root, "j1")
    assert make_run(local_root, "j2").push().version == 1
    for _ in range(2):
        pushed = slow.push()
        assert (pushed.result, pushed.version) == ("superseded", 1)
        assert "version 1 became champion" in pushed.reason
    models = Registry(local_root, "flights")
    assert models.attempt("j1") is None
    assert list(models.tries()) == ["j2", "j1.superseded-1"]
    slow.plan()
    assert (slow.push().result, slow.push().version) == ("promoted", 2)


def test_of_two_planned_at_once_the_later_one_has_not_the_share_of_the_planned_one(
    local_root: str, make_run: Runs
) -> None:
    make_run(local_root, "j1").push()
    first, second = make_run(local_root, "j2", "failed"), make_run(local_root, "j3")
    assert first.baseline.looks == second.baseline.looks
    assert first.push().result == "rejected"
    pushed = second.push()
    assert (pushed.result, pushed.version) == ("superseded", 1)
    assert "others were judged after this run was planned" in pushed.reason
    models = Registry(local_root, "flights")
    assert len(models.versions()) == 1
    second.plan()
    assert second.baseline.looks > first.baseline.looks
    assert (second.push().result, second.push().replayed) == ("promoted", True)


def test_who_insists_or_is_the_first_needs_no_share_and_gets_through(local_root: str, make_run: Runs) -> None:
    first, loser = make_run(local_root, "j1"), make_run(local_root, "j0", "failed")
    loser.push()
    assert first.push().result == "promoted"
    other, insisted = make_run(local_root, "j2", "failed"), make_run(local_root, "j3", "failed")
    other.push()
    assert insisted.push(override="I insist").result == "promoted"


def test_a_hold_is_respected_until_it_is_released(local_root: str, make_run: Runs) -> None:
    for judgement in ("j1", "j2"):
        make_run(local_root, judgement).push()
    models = Registry(local_root, "flights")
    models.rollback(who="me", why="2 is slow")
    run = make_run(local_root, "j3")
    for reason in ("", "I insist"):
        pushed = run.push(override=reason)
        assert (pushed.result, pushed.version) == ("held", 1)
        assert "2 is slow" in pushed.reason
    models.release(who="me", why="fixed")
    run.plan()
    assert (run.push().result, run.push().version) == ("promoted", 3)


def test_the_champion_itself_is_not_promoted_again(local_root: str, make_run: Runs) -> None:
    make_run(local_root, "j1", weights="same").push()
    pushed = make_run(local_root, "j2", weights="same").push()
    assert (pushed.result, pushed.version) == ("already_champion", 1)
    assert len(Registry(local_root, "flights").history()) == 1


def test_a_changed_model_is_refused_before_anything_is_written(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1")
    (run.model / "variables" / "variables.data").write_text("other weights")
    with pytest.raises(CorruptError, match="not those that were trained"):
        run.push()
    assert content(local_root) == {}


def test_an_unreadable_pointer_stops_the_push(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1")
    storage.create(storage.join(local_root, "saiki-registry.json"), b'{"format":"saiki/registry/v1"}')
    storage.create(storage.join(local_root, "flights/champion.json"), b"{")
    with pytest.raises(RegistryError, match="champion pointer cannot be read"):
        run.push()


def test_of_two_pushes_at_once_one_wins_and_the_other_is_superseded(any_root: str, make_run: Runs) -> None:
    for turn in range(2):
        runs = [make_run(any_root, f"j{turn}{name}") for name in "ab"]
        results = _at_once(runs)
        assert sorted(results) == ["promoted", "superseded"]
        champion, _ = Registry(any_root, "flights").champion()
        assert champion is not None
        winner = runs[results.index("promoted")].judgement
        assert Registry(any_root, "flights").moves()[0].judgement == winner


def test_of_two_tries_of_the_same_push_at_once_both_say_promoted(any_root: str, make_run: Runs) -> None:
    run = make_run(any_root, "j1")
    assert _at_once([run, run]) == ["promoted", "promoted"]
    models = Registry(any_root, "flights")
    assert [version.number for version in models.versions()] == [1]
    assert [move.judgement for move in models.moves()] == ["j1"]
    assert list(models.tries()) == ["j1"]


def test_losing_at_the_last_moment_is_superseded_and_keeps_the_version_for_the_next_try(
    local_root: str, make_run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(local_root, "j1").push()
    slow, fast = make_run(local_root, "j2"), make_run(local_root, "j3")
    real = Registry.promote

    def late(self: Registry, *args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        fast.push()
        return real(self, *args, **more)

    monkeypatch.setattr(Registry, "promote", late)
    pushed = slow.push()
    assert (pushed.result, pushed.version) == ("superseded", 2)
    slow.plan()
    assert (slow.push().result, slow.push().version) == ("promoted", 2)
    assert [version.number for version in Registry(local_root, "flights").versions()] == [1, 2, 3]


def _at_once(runs: list[Any]) -> list[str]:
    children = []
    for run in runs:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, run.push().result.encode())
            except BaseException:
                os.write(write, traceback.format_exc().encode())
            finally:
                os._exit(0)
        os.close(write)
        children.append((child, read))
    results = []
    for child, read in children:
        with os.fdopen(read) as stream:
            results.append(stream.read())
        os.waitpid(child, 0)
    return results


def _killed_at(run: Any, step: int, override: str) -> bool:
    """Pushes in a child that is killed (-9) before its write number `step`; whether it came that far."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(write: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **more: Any) -> Any:
                nonlocal count
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return write(*args, **more)

            return call

        for name in ("create", "ensure", "replace", "delete"):
            setattr(storage, name, counted(getattr(storage, name)))
        try:
            run.push(override)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _is_consistent(root: str) -> None:
    models = Registry(root, "flights")
    champion, _ = models.champion()
    versions = {version.number: version for version in models.versions()}
    if champion is not None:
        assert champion.version in versions
        assert models.moves()[0].number == champion.history
        assert models.moves()[0].version == champion.version
    judged = [version.lineage.judgement for version in versions.values()]
    assert len(set(judged)) == len(judged)
    for version in versions.values():
        models.version_ref(version.number)
    for attempt in models.tries().values():
        assert storage.exists(models.file_of(attempt, "report.html"))
        if attempt.result == "promoted":
            assert models.promotion_of(attempt.judgement) is not None
        if attempt.result in ("promoted", "rejected"):
            kept = models.attempted_model(attempt)
            assert kept is not None
            with registered_model(kept):
                pass
        # Settlements of earlier decisions stand before the record of the run that made them.
        assert [len(models.settlements(earlier)) for earlier in ("j0", "j1")] == [1, 1]


@pytest.mark.parametrize("scenario", ["first", "challenger", "rejected", "overridden", "superseded", "held"])
def test_killed_before_any_write_and_run_again_the_registry_is_as_if_nothing_had_happened(
    scenario: str, make_run: Runs, tmp_path: Path
) -> None:
    steps = 0
    while True:
        root = str(tmp_path / f"registry-{steps}")
        run, override, expected = _scenario(scenario, root, make_run)
        killed = _killed_at(run, steps, override)
        _is_consistent(root)
        pushed = run.push(override)
        _is_consistent(root)
        models = Registry(root, "flights")
        champion, _ = models.champion()
        assert pushed.result == expected
        if expected == "promoted":
            assert champion is not None
            # The number that was claimed before the kill is the one that is completed.
            assert champion.version == pushed.version == (1 if scenario in ("first", "overridden") else 2)
            assert [version.number for version in models.versions()] == list(range(1, pushed.version + 1))
            assert [move.judgement for move in models.moves()].count("j9") == 1
        # A record of history that was written before the kill has used up its number.
        record = {"superseded": "j9.superseded-", "held": "j9.held-", "overridden": "j9.promoted-"}.get(scenario, "j9")
        assert len([name for name in models.tries() if name.startswith(record)]) == 1
        before = content(root)
        assert run.push(override).result == expected
        assert content(root) == before
        if not killed:
            break
        steps += 1
    assert steps >= {"first": 13, "challenger": 12, "overridden": 12}.get(scenario, 5)


def _scenario(name: str, root: str, make_run: Runs) -> tuple[Any, str, str]:
    if name == "first":
        return make_run(root, "j9"), "", "promoted"
    if name == "overridden":
        run = make_run(root, "j9", "failed")
        run.push()
        return run, "I know better", "promoted"
    make_run(root, "j1").push()
    run = make_run(root, "j9", "failed" if name == "rejected" else "passed")
    if name in ("superseded", "held"):
        make_run(root, "j2").push()
    if name == "held":
        Registry(root, "flights").rollback(who="me", why="slow")
    return run, "", {"challenger": "promoted"}.get(name, name)


def test_a_pointer_that_moved_since_it_was_read_is_never_overwritten(local_root: str, make_run: Runs) -> None:
    make_run(local_root, "j1").push()
    models = Registry(local_root, "flights")
    _, generation = models.champion()
    make_run(local_root, "j2").push()
    with pytest.raises(PreconditionError):
        models.promote(1, generation=generation, who="me", why="late")
