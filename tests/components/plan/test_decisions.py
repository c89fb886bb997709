"""Which decisions of the past a run settles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.evidence import Estimate
from components._shared.gates import BehaviourGates, ChampionGates, MetricGates
from components._shared.ledger import Decision, Decisions
from components._shared.model_files import read_model_info
from components._shared.records import Attempt, Baseline, Lineage, ModelRef, Promise
from components._shared.registry import Registry
from components._shared.task import EvaluationSection
from components._shared.windows import Window, Windows
from components.plan.decisions import decisions_to_settle

START = datetime(2024, 1, 1, tzinfo=UTC)
PROMISE = Promise(metric="auc", candidate=Estimate(value=0.7), constant=0.5)

Decide = Callable[..., Attempt]


def gates(meaning: str = "", **promises: Any) -> EvaluationSection:
    return EvaluationSection.from_value(
        {
            "problem": "binary_classification", "classes": None, "slices": (), "metric": MetricGates(),
            "champion": ChampionGates(primary="auc"), "behaviour": BehaviourGates(), "embargo": "0d",
            "timezone": "UTC", "has_time": True, "test_length": "30d", "promises": promises, "meaning": meaning,
        }
    )  # fmt: skip


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def windows(as_of: int, *, start: int | None = None) -> Windows:
    """Of a run at that day, whose labels take a day."""
    span = Window(start=None if start is None else day(start), end=day(as_of))
    return Windows(as_of=day(as_of), timezone="UTC", span=span, labelled_until=day(as_of - 1))


@pytest.fixture
def models(any_root: str) -> Registry:
    found = Registry(any_root, "stands")
    found.open(create=True)
    return found


@pytest.fixture
def decide(models: Registry, make_model: Callable[..., Path]) -> Decide:
    """Records a decision as of a day, and the model that it was about."""
    home = make_model()
    digest = read_model_info(home).digest
    files = {f"model/{path.relative_to(home).as_posix()}": path for path in home.rglob("*") if path.is_file()}

    def record(as_of: int, result: Any = "rejected", *, name: str = "", model: bool = True, **fields: Any) -> Attempt:
        version = None
        judgement = name or f"{as_of:03d}"
        made: dict[str, Any] = {
            "experiment": "e", "judgement": judgement, "made_from": {}, "windows": windows(as_of),
            "created": day(as_of), "model_digest": digest,
        }  # fmt: skip
        if result == "promoted":
            version = models.add_version(home, Lineage(code={}, **made))
        attempt = Attempt.from_value(
            {
                "task": "stands", "outcome": "passed", "result": result, "reason": f"day {as_of}", "version": version,
                "baseline": Baseline(), "promise": PROMISE, **made, **fields,
            }
        )  # fmt: skip
        assert models.record_attempt(attempt, files if model and result == "rejected" else {}) is None
        return attempt

    return record


def given(
    models: Registry,
    as_of: int,
    *,
    start: int | None = None,
    champion: ModelRef | None = None,
    meaning: str = "",
    **promises: Any,
) -> tuple[Decision, ...]:
    asked, run = gates(meaning, **promises), windows(as_of, start=start)
    return decisions_to_settle(models, models.tries(), champion, asked, run).decisions


def found(models: Registry, as_of: int, **promises: Any) -> list[str]:
    return [decision.record for decision in given(models, as_of, **promises)]


def test_a_decision_is_settled_from_its_first_whole_block_until_a_block_s_time_after_its_last(
    models: Registry, decide: Decide
) -> None:
    decide(0, "promoted")
    assert [found(models, as_of) for as_of in (0, 30, 31, 91, 121, 122, 400)] == [[], [], *[["000"]] * 3, [], []]


def test_only_the_champion_that_the_run_is_judged_against_is_current(models: Registry, decide: Decide) -> None:
    decide(0, "promoted")
    decide(1)
    decide(2, "promoted")
    for champion, current in ((None, []), (models.version_ref(1), ["000"]), (models.version_ref(2), ["002"])):
        decisions = given(models, 60, champion=champion)
        assert [each.record for each in decisions if each.current] == current


def test_what_replaced_another_champion_than_it_was_judged_against_is_settled_beside_that_one(
    models: Registry, decide: Decide
) -> None:
    judged, replaced = (ModelRef(version=number, uri=f"file:///{number}", digest=str(number)) for number in (1, 2))
    decide(0, "promoted", baseline=Baseline(champion=judged), replaced=replaced)
    decide(1, "rejected", baseline=Baseline(champion=judged))
    assert [each.champion for each in given(models, 60)] == [judged, replaced]


def test_a_decision_on_another_question_gets_a_place_that_nobody_else_wants(models: Registry, decide: Decide) -> None:
    asked = PROMISE.model_copy(update={"meaning": "sold > 20"})
    for night in range(4):
        decide(night, promise=asked if night < 2 else PROMISE)
    assert found(models, 60, decisions=2) == ["003", "002"]
    assert found(models, 60, decisions=3) == ["003", "002", "001"]
    assert found(models, 60, decisions=2, meaning="sold > 20") == ["001", "000"]


def test_winners_and_losers_alike_with_the_model_where_it_is(models: Registry, decide: Decide) -> None:
    decide(0, "promoted")
    decide(1)
    loser, winner = given(models, 60)
    version = models.version_ref(1)
    assert winner.result == "promoted"
    assert winner.candidate == ModelRef(version=1, uri=version.uri, digest=version.digest)
    assert (loser.result, loser.candidate.version, loser.candidate.digest) == ("rejected", 0, version.digest)
    assert loser.candidate.uri == models.file_of(models.tries()["001"], "model")
    assert (loser.as_of, loser.why, loser.promise) == (day(1), "day 1", PROMISE)


def test_what_promised_nothing_or_was_no_decision_or_lost_its_model_is_not_settled(
    models: Registry, decide: Decide
) -> None:
    decide(0, promise=None)
    decide(1, "already_champion")
    decide(2, "superseded")
    decide(3, "held")
    decide(4, model=False)
    decide(5, "promoted")
    storage.delete(storage.join(models.version_ref(1).uri, "saved_model.pb"))
    assert found(models, 60) == []


def test_a_rejected_model_that_was_promoted_by_an_override_is_settled_as_promoted(
    models: Registry, decide: Decide
) -> None:
    decide(0)
    decide(0, "promoted", created=day(7), overridden="we need it")
    (only,) = given(models, 60)
    assert (only.record, only.judgement, only.result) == ("000.promoted-0", "000", "promoted")
    assert only.overridden == "we need it"


def test_every_night_each_decision_has_its_turn_after_each_of_its_blocks(models: Registry, decide: Decide) -> None:
    for night in range(100):
        decide(night)
    # Labels are known until day 100; there, blocks of the decisions of 30, 60 and 90 days before came to their end.
    assert found(models, 101, decisions=3) == ["070", "040", "010"]
    assert found(models, 101, decisions=6) == ["070", "069", "040", "039", "010", "009"]


class Many(Registry):
    """A registry of very many decisions, which are not written down; every model is there."""

    def __init__(self, decided: list[Attempt]) -> None:
        super().__init__("nowhere", "stands")
        self.decided = {attempt.judgement: attempt for attempt in decided}

    def tries(self) -> dict[str, Attempt]:
        return self.decided

    def attempted_model(self, attempt: Attempt) -> ModelRef:
        return ModelRef(version=attempt.version or 0, uri=attempt.judgement, digest="d")


def one_of_many(night: int, number: int, promoted: bool) -> Attempt:
    return Attempt(
        experiment="e", judgement=f"{night:02d}-{number}", task="stands", outcome="passed" if promoted else "failed",
        result="promoted" if promoted else "rejected", reason="", version=night if promoted else None,
        baseline=Baseline(), windows=windows(night), model_digest="d", made_from={}, promise=PROMISE,
        # The promoted one was not the last of the night.
        created=day(night) + timedelta(hours=number),
    )  # fmt: skip


def test_of_eight_decisions_a_night_the_promoted_one_is_settled_after_each_of_its_blocks() -> None:
    every = [one_of_many(night, number, promoted=number == 3) for night in range(90) for number in range(8)]
    seen = {
        as_of: found(Many([each for each in every if each.windows.as_of < day(as_of)]), as_of)
        for as_of in range(31, 90 + 91, 3)
    }
    for night in range(0, 90, 3):
        assert all(f"{night:02d}-3" in seen[night + 30 * block + 1] for block in (1, 2, 3))
    # Those that were turned down have the other places.
    assert seen[91] == ["60-3", "60-7", "60-6", "60-5", "30-3", "00-3"]


def test_promotions_of_long_ago_leave_places_to_rejections() -> None:
    every = [one_of_many(night, 0, promoted=night < 60) for night in range(100)]
    assert found(Many(every), 150) == ["89-0", "88-0", "87-0", "59-0", "58-0", "57-0"]
    assert found(Many(every[:60]), 150) == ["59-0", "58-0", "57-0", "56-0", "55-0", "54-0"]
    assert found(Many(every), 150, decisions=1) == ["59-0"]


def test_no_rows_of_before_the_window_are_asked_for(models: Registry, decide: Decide) -> None:
    decide(0)
    assert [each.record for each in given(models, 62, start=10)] == ["000"]
    assert given(models, 62, start=10, blocks=1) == ()


def test_where_promises_are_not_settled_there_is_nothing(models: Registry, decide: Decide) -> None:
    decide(0)
    assert found(models, 60, blocks=0) == []


def test_what_was_settled_is_given_again_so_that_a_repeated_run_is_the_same(models: Registry, decide: Decide) -> None:
    decide(0)
    before = given(models, 60)
    storage.create(storage.join(models.root, "stands/attempts/000/settled/1.json"), b"{}")
    assert given(models, 60) == before


def test_long_reasons_are_cut_for_all_decisions_together_are_one_parameter(models: Registry, decide: Decide) -> None:
    for night in range(50):
        decide(night, reason="because " * 1000)
    decisions = Decisions(decisions=given(models, 110, decisions=50))
    assert len(decisions.decisions) == 50
    assert len(decisions.to_json()) < 100_000


@pytest.mark.parametrize("content", [None, b"{", b'{"format": "saiki/model/v0", "of": "another version"}'])
def test_an_old_model_that_cannot_be_read_stops_nobody(content: bytes | None, models: Registry, decide: Decide) -> None:
    decide(0)
    decide(1)
    decide(2, "promoted")
    before = given(models, 60)
    for each in before[:2]:
        uri = storage.join(each.candidate.uri, "model.json")
        storage.delete(uri)
        if content is not None:
            storage.create(uri, content)
    # `settle` asks them, and says of each that it could not.
    assert given(models, 60) == before
    assert [each.record for each in before] == ["002", "001", "000"]
