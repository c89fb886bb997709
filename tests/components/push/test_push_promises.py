"""What a decision promises, what is kept to settle it, and the settlements of earlier decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.evidence import Estimate
from components._shared.facts import Facts
from components._shared.gates import Tolerance
from components._shared.ledger import Settlements
from components._shared.manifest import Rows
from components._shared.model_files import read_model_info, registered_model
from components._shared.registry import Registry
from components.push.promises import promise_of
from tests.components.push.conftest import AS_OF, FIGURES, settlement

Runs = Callable[..., Any]


@pytest.fixture
def local_root(tmp_path: Path) -> str:
    return str(tmp_path / "registry")


def facts_of(run: Any) -> Facts:
    return Facts.from_json(run.files["facts"].read_text())


def changed(run: Any, part: str, **fields: Any) -> Facts:
    """The facts with another part; the run has them from now on."""
    facts = facts_of(run)
    made = facts.model_copy(update={part: getattr(facts, part).model_copy(update=fields)})
    run.files["facts"].write_text(made.to_json())
    return made


def settled(run: Any, *settlements: Any) -> None:
    run.files["settlements"].write_text(Settlements(settlements=settlements).to_json())


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_winners_and_losers_alike_promise_what_judged_them_says(outcome: Any, local_root: str, make_run: Runs) -> None:
    make_run(local_root, "j1", outcome).push()
    attempt = Registry(local_root, "flights").attempt("j1")
    assert attempt is not None and attempt.promise is not None
    promise = attempt.promise
    assert (promise.metric, promise.candidate, promise.constant) == ("auc", FIGURES.candidate, 0.5)
    assert promise.gain == Estimate(value=0.02, interval=(0.01, 0.03))
    assert (promise.tolerated, promise.rows, promise.clusters) == (0.0, 1, 1)
    # 30 days from then on, and the day that labels take.
    assert promise.due == datetime(2013, 8, 1, tzinfo=UTC)


def test_a_gain_is_an_improvement_also_where_less_is_better(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1")
    gates = facts_of(run).gates
    champion = gates.champion.model_copy(
        update={"primary": "log_loss", "tolerance": {"log_loss": Tolerance(worse_by=0.004)}}
    )
    overall = facts_of(run).evaluation.overall.model_copy(update={"metrics": {"log_loss": FIGURES}})
    changed(run, "gates", champion=champion)
    promise = promise_of(changed(run, "evaluation", overall=overall))
    assert promise is not None
    assert promise.gain == Estimate(value=-0.02, interval=(-0.03, -0.01))
    assert promise.tolerated == 0.004


def test_what_no_rows_could_judge_promises_nothing_and_keeps_no_model(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1", "cannot_judge")
    changed(run, "evaluation", overall=facts_of(run).evaluation.overall.model_copy(update={"metrics": {}}))
    assert run.push().result == "rejected"
    models = Registry(local_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None and attempt.promise is None
    assert models.attempted_model("j1", attempt) is None


@pytest.mark.parametrize("gates", [{"has_time": False}, {"test_length": ""}])
def test_a_task_whose_promises_are_not_settled_keeps_no_losers(
    gates: dict[str, Any], local_root: str, make_run: Runs
) -> None:
    run = make_run(local_root, "j1", "failed")
    changed(run, "gates", **gates)
    run.push()
    models = Registry(local_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None and attempt.promise is not None and attempt.promise.due is None
    assert models.attempted_model("j1", attempt) is None


def test_of_a_sample_what_was_turned_down_is_not_settled_and_what_was_promoted_is(
    local_root: str, make_run: Runs
) -> None:
    models = Registry(local_root, "flights")
    for judgement, outcome in (("j1", "failed"), ("j2", "passed")):
        run = make_run(local_root, judgement, outcome)
        changed(run, "data", rows=Rows(read=10, not_sampled=9))
        run.push()
        attempt = models.attempt(judgement)
        assert attempt is not None and attempt.promise is not None
        assert (attempt.promise.due is None) == (outcome == "failed")
        assert (models.attempted_model(judgement, attempt) is None) == (outcome == "failed")


def test_a_losers_model_stays_with_its_attempt_whole(any_root: str, make_run: Runs) -> None:
    run = make_run(any_root, "j1", "failed")
    run.push()
    models = Registry(any_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None
    kept = models.attempted_model("j1", attempt)
    assert kept is not None
    info = read_model_info(run.model)
    assert (kept.version, kept.digest, kept.fit_until) == (0, info.digest, info.fit_until)
    with registered_model(kept) as folder:
        assert read_model_info(folder) == info
    assert models.versions() == []


def test_a_winners_model_is_its_version_with_the_sketches_of_its_scores_beside_it(
    any_root: str, make_run: Runs
) -> None:
    run = make_run(any_root, "j1")
    run.push()
    models = Registry(any_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None
    assert models.attempted_model("j1", attempt) == models.version_ref(1)
    assert not storage.exists(models.file_of("j1", "model/saved_model.pb"))
    sketches = storage.join(models.version_ref(1).uri, "sketches.json")
    assert storage.read(sketches) == run.files["sketches"].read_bytes()
    with registered_model(models.version_ref(1)):
        pass


def test_settlements_are_written_whatever_becomes_of_the_candidate(any_root: str, make_run: Runs) -> None:
    models = Registry(any_root, "flights")
    slow = make_run(any_root, "slow")
    settled(slow, settlement("a"))
    make_run(any_root, "j1").push()
    assert slow.push().result == "superseded"
    loser = make_run(any_root, "loser", "failed")
    settled(loser, settlement("a", 2), settlement("b"))
    assert loser.push().result == "rejected"
    assert [each.number for each in models.settlements("a")] == [1, 2]
    assert [each.number for each in models.settlements("b")] == [1]
    assert models.settlements("nobody") == []


def test_what_was_settled_before_stays_as_it_is(any_root: str, make_run: Runs) -> None:
    models = Registry(any_root, "flights")
    for judgement, reason in (("j1", "first"), ("j2", "second")):
        run = make_run(any_root, judgement)
        settled(run, settlement("a", reason=reason))
        run.push()
    assert [each.reason for each in models.settlements("a")] == ["first"]


def test_a_run_that_was_judged_before_writes_the_settlements_that_are_missing(any_root: str, make_run: Runs) -> None:
    run = make_run(any_root, "j1", "failed")
    settled(run)
    run.push()
    models = Registry(any_root, "flights")
    before = models.attempt("j1")
    settled(run, settlement("a"))
    assert run.push().replayed
    assert [each.settled_as_of for each in models.settlements("a")] == [AS_OF]
    assert models.attempt("j1") == before


def test_settlements_are_in_the_order_of_their_rows_and_named_by_their_end(any_root: str) -> None:
    models = Registry(any_root, "flights")
    for number in (10, 9, 11):
        assert models.record_settlement(settlement("a", number))
    assert not models.record_settlement(settlement("a", 9))
    assert [each.number for each in models.settlements("a")] == [9, 10, 11]
    assert storage.exists(models.file_of("a", "settled/2014-03-28T000000Z.json"))


def test_what_blocks_of_another_length_told_stands_beside_what_was_told_before(any_root: str) -> None:
    models = Registry(any_root, "flights")
    before = settlement("a", 2)
    # The second block is another one now, which ends later: its number is no name.
    assert models.record_settlement(before)
    after = settlement("a", 3).model_copy(update={"number": 2, "reason": "longer blocks"})
    assert models.record_settlement(after)
    assert models.settlements("a") == [before, after]


def test_a_settlement_in_which_a_model_could_not_be_asked_leaves_its_place_to_a_later_run(
    any_root: str, make_run: Runs
) -> None:
    models = Registry(any_root, "flights")
    for judgement, rows in (("j1", 0), ("j2", 100)):
        run = make_run(any_root, judgement, "failed")
        settled(run, settlement("a", rows=rows))
        run.push()
        assert [each.whole.rows for each in models.settlements("a")] == [rows] * (rows > 0)


def test_what_a_killed_writer_left_beside_a_models_files_does_not_make_it_another_model(
    local_root: str, make_run: Runs
) -> None:
    make_run(local_root, "j1").push()
    ref = Registry(local_root, "flights").version_ref(1)
    for name in (".saiki-lock", "variables/.saiki-0f3a"):
        Path(ref.uri, name).write_text("half")
    with registered_model(ref) as folder:
        assert str(folder) == ref.uri
