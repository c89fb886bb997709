"""What a decision promises, what is kept to settle it, and the settlements of earlier decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from components._shared import storage
from components._shared.evidence import Anomaly, Estimate, FeatureDrift
from components._shared.facts import Facts
from components._shared.gates import ChampionGates, DataGates, Tolerance
from components._shared.ledger import Settlements
from components._shared.manifest import Rows
from components._shared.model_files import read_model_info, registered_model
from components._shared.registry import Registry
from components._shared.verdict import Check, Verdict
from components.push.promises import promise_of
from components.validate.checks import anomaly_checks, missing_feature, moved_checks, row_checks, unseen_checks
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
    # Two blocks later so can the last one, and for the time of one block more.
    assert promise.closed == promise.due + timedelta(days=90)
    assert promise.meaning == "late by 15 minutes"


def test_a_promise_names_the_first_moment_as_of_which_a_run_can_settle_it(local_root: str, make_run: Runs) -> None:
    run, zone = make_run(local_root, "j1"), ZoneInfo("America/New_York")
    decided, until = datetime(2014, 1, 1, tzinfo=zone), datetime(2013, 12, 31, tzinfo=zone)
    changed(run, "windows", as_of=decided, labelled_until=until, timezone="America/New_York")
    monthly = {"timezone": "America/New_York", "cadence": "monthly", "known_after": "12h"}
    promise = promise_of(changed(run, "gates", **monthly))
    assert promise is not None and promise.closed is not None
    assert promise.due == datetime(2014, 2, 1, tzinfo=zone)
    # The third block ends on 1 April, its block's time on 1 May, whose labels the run of June has.
    assert promise.closed == datetime(2014, 6, 1, tzinfo=zone)
    # A day later is a day later on the calendar, where clocks go back too: that of New York did on 3 November.
    changed(run, "windows", as_of=datetime(2013, 10, 4, tzinfo=zone), labelled_until=datetime(2013, 10, 3, tzinfo=zone))
    daily = {"cadence": "daily", "known_after": "1d"}
    promise = promise_of(changed(run, "gates", **daily))
    assert promise is not None
    assert promise.due == datetime(2013, 11, 4, tzinfo=zone)


@pytest.mark.parametrize(
    ("rule", "tolerated", "worth"),
    [
        # What must be better beyond doubt may not be worse at all.
        ({}, 0.0, 0.004),
        ({"undecided": "promote"}, 0.004, 0.004),
        ({"improve": "point"}, 0.004, 0.004),
        ({"improve": "no"}, 0.004, 0.004),
        ({"smallest": 0.01}, 0.0, 0.01),
        ({"improve": "no", "tolerance": {}}, 0.0, 0.0),
    ],
)
def test_what_is_tolerated_is_what_the_gate_would_have_let_in(
    rule: dict[str, Any], tolerated: float, worth: float, local_root: str, make_run: Runs
) -> None:
    run = make_run(local_root, "j1")
    gates = ChampionGates.from_value({"primary": "auc", "tolerance": {"auc": {"worse_by": 0.004}}, **rule})
    promise = promise_of(changed(run, "gates", champion=gates))
    assert promise is not None
    assert (promise.tolerated, promise.worth) == (tolerated, worth)


def test_who_overrides_a_rejection_of_long_ago_promises_nothing_beside_the_champion_of_today(
    any_root: str, make_run: Runs
) -> None:
    models = Registry(any_root, "flights")
    make_run(any_root, "j1").push()
    rejected = make_run(any_root, "j2", "failed")
    rejected.push()
    make_run(any_root, "j3").push()
    # As `plan` does for what was judged before: the baseline of then, and the pointer of today.
    again = make_run(any_root, "j2", "failed")
    again.baseline = rejected.baseline
    for _ in range(2):
        assert again.push("we need it").result == "promoted"
    attempt = models.tries()["j2.promoted-3"]
    assert attempt.replaced == models.version_ref(2)
    assert attempt.baseline.champion == models.version_ref(1)
    assert attempt.promise is not None
    assert (attempt.promise.gain, attempt.promise.candidate) == (None, FIGURES.candidate)
    first, third = models.attempt("j1"), models.attempt("j3")
    assert first is not None and third is not None and third.promise is not None
    assert (first.replaced, third.replaced) == (None, models.version_ref(1))
    assert third.promise.gain == Estimate(value=0.02, interval=(0.01, 0.03))


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
    assert promise.worth == 0.004


def test_what_no_rows_could_judge_promises_nothing_and_keeps_no_model(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1", "cannot_judge")
    changed(run, "evaluation", overall=facts_of(run).evaluation.overall.model_copy(update={"metrics": {}}))
    assert run.push().result == "rejected"
    models = Registry(local_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None and attempt.promise is None
    assert models.attempted_model(attempt) is None


@pytest.mark.parametrize("gates", [{"has_time": False}, {"test_length": ""}])
def test_a_task_whose_promises_are_not_settled_keeps_no_losers(
    gates: dict[str, Any], local_root: str, make_run: Runs
) -> None:
    run = make_run(local_root, "j1", "failed")
    changed(run, "gates", **gates)
    run.push()
    models = Registry(local_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None and attempt.promise is not None
    assert (attempt.promise.due, attempt.promise.closed) == (None, None)
    assert models.attempted_model(attempt) is None


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
        assert (attempt.promise.due is None) == (attempt.promise.closed is None) == (outcome == "failed")
        assert (models.attempted_model(attempt) is None) == (outcome == "failed")


def test_a_losers_model_stays_with_its_attempt_whole(any_root: str, make_run: Runs) -> None:
    run = make_run(any_root, "j1", "failed")
    run.push()
    models = Registry(any_root, "flights")
    attempt = models.attempt("j1")
    assert attempt is not None
    kept = models.attempted_model(attempt)
    assert kept is not None
    info = read_model_info(run.model)
    assert (kept.version, kept.digest) == (0, info.digest)
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
    version, kept = models.version_ref(1), models.attempted_model(attempt)
    assert kept is not None
    assert (kept.version, kept.uri, kept.digest) == (1, version.uri, version.digest)
    assert not storage.exists(models.file_of(attempt, "model/saved_model.pb"))
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


def with_checks(run: Any, checks: list[Check]) -> None:
    path = run.files["verdict"]
    verdict = Verdict.from_json(path.read_text()).model_copy(update={"checks": tuple(checks)})
    path.write_text(verdict.to_json())


@pytest.mark.parametrize(
    "rows",
    [
        {"kept": 50},
        {"malformed": 10},
        {"label_missing": 30},
        {"duplicate": 1},
    ],
)
def test_rows_that_are_not_what_was_to_be_delivered_settle_nothing_and_the_next_delivery_does(
    rows: dict[str, int], local_root: str, make_run: Runs
) -> None:
    models = Registry(local_root, "flights")
    bad = {"kept": 1000, **rows}
    for judgement, delivered, reasons in (("j1", bad, []), ("j2", {"kept": 1000}, ["j2"])):
        run = make_run(local_root, judgement, "failed")
        counts = Rows(read=sum(delivered.values()), **delivered)
        with_checks(run, row_checks(counts, {"train": 1}, DataGates()))
        settled(run, settlement("a", reason=judgement))
        assert run.push().result == "rejected"
        assert [each.reason for each in models.settlements("a")] == reasons


def test_rows_that_do_not_keep_to_the_schema_settle_nothing(local_root: str, make_run: Runs) -> None:
    outside = Anomaly(column="x", kind="float_type_big_float", description="the largest value is 9", severity="error")
    models = Registry(local_root, "flights")
    for judgement, checks in (("j1", anomaly_checks([outside], ())), ("j2", [missing_feature("x")])):
        run = make_run(local_root, judgement, "failed")
        with_checks(run, checks)
        settled(run, settlement("a"))
        run.push()
        assert models.settlements("a") == []


def test_that_values_drift_or_are_new_is_how_promises_break_and_is_settled(local_root: str, make_run: Runs) -> None:
    run = make_run(local_root, "j1", "failed")
    moved = {"x": (FeatureDrift(psi=3.0, ks=0.5), 0.1)}
    checks = [check for name in ("drift", "skew") for check in moved_checks(f"data.{name}_psi", moved, 0.25, "")]
    checks += unseen_checks({"x": {"test": 0.9}}, DataGates())
    assert [check.outcome for check in checks] == ["failed"] * 3
    with_checks(run, checks)
    settled(run, settlement("a"))
    run.push()
    assert len(Registry(local_root, "flights").settlements("a")) == 1


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
    assert storage.exists(storage.join(any_root, "flights/attempts/a/settled/2014-03-28T000000Z.json"))


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
