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
from components._shared.model_files import read_model_info
from components._shared.records import Attempt, Baseline, Lineage, ModelRef, Promise
from components._shared.registry import Registry
from components._shared.task import EvaluationSection
from components._shared.windows import Window, Windows
from components.plan.decisions import decisions_to_settle

START = datetime(2024, 1, 1, tzinfo=UTC)
PROMISE = Promise(metric="auc", candidate=Estimate(value=0.7), constant=0.5)

Decide = Callable[..., Attempt]


def gates(**promises: Any) -> EvaluationSection:
    return EvaluationSection.from_value(
        {
            "problem": "binary_classification", "classes": None, "slices": (), "metric": MetricGates(),
            "champion": ChampionGates(primary="auc"), "behaviour": BehaviourGates(), "embargo": "0d",
            "timezone": "UTC", "has_time": True, "test_length": "30d", "promises": promises,
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
        return models.record_attempt(attempt, files if model and result == "rejected" else {})

    return record


def found(models: Registry, as_of: int, **promises: Any) -> list[str]:
    given = decisions_to_settle(models, gates(**promises), windows(as_of))
    return [decision.record for decision in given.decisions]


def test_a_decision_is_settled_once_a_whole_block_of_labels_has_matured_since(models: Registry, decide: Decide) -> None:
    decide(0, "promoted")
    assert [found(models, as_of) for as_of in (0, 30, 31, 400)] == [[], [], ["000"], ["000"]]


def test_winners_and_losers_alike_with_the_model_where_it_is(models: Registry, decide: Decide) -> None:
    decide(0, "promoted")
    decide(1)
    loser, winner = decisions_to_settle(models, gates(), windows(60)).decisions
    assert (winner.result, winner.candidate) == ("promoted", models.version_ref(1))
    assert (loser.result, loser.candidate.version, loser.candidate.digest) == ("rejected", 0, winner.candidate.digest)
    assert loser.candidate.uri == models.file_of("001", "model")
    assert loser.candidate.fit_until == winner.candidate.fit_until
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
    assert found(models, 400) == []


def test_a_rejected_model_that_was_promoted_by_an_override_is_settled_as_promoted(
    models: Registry, decide: Decide
) -> None:
    decide(0)
    decide(0, "promoted", created=day(7), overridden="we need it")
    (only,) = decisions_to_settle(models, gates(), windows(60)).decisions
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

    def attempted_model(self, name: str, attempt: Attempt) -> ModelRef:
        return ModelRef(version=attempt.version or 0, uri=name, digest="d")


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
    assert found(Many(every), 240) == ["99-0", "98-0", "97-0", "59-0", "58-0", "57-0"]
    assert found(Many(every[:60]), 240) == ["59-0", "58-0", "57-0", "56-0", "55-0", "54-0"]
    assert found(Many(every), 240, decisions=1) == ["59-0"]


def test_no_rows_of_before_the_window_are_asked_for(models: Registry, decide: Decide) -> None:
    decide(0)
    short = windows(62, start=10)
    assert [each.record for each in decisions_to_settle(models, gates(), short).decisions] == ["000"]
    assert decisions_to_settle(models, gates(blocks=1), short).decisions == ()


def test_where_promises_are_not_settled_there_is_nothing(models: Registry, decide: Decide) -> None:
    decide(0)
    assert found(models, 400, blocks=0) == []


def test_what_was_settled_is_given_again_so_that_a_repeated_run_is_the_same(models: Registry, decide: Decide) -> None:
    decide(0)
    before = decisions_to_settle(models, gates(), windows(60)).to_json()
    storage.create(models.file_of("000", "settled/1.json"), b"{}")
    assert decisions_to_settle(models, gates(), windows(60)).to_json() == before


def test_long_reasons_are_cut_for_all_decisions_together_are_one_parameter(models: Registry, decide: Decide) -> None:
    for night in range(50):
        decide(night, reason="because " * 1000)
    given = decisions_to_settle(models, gates(decisions=50), windows(400))
    assert len(given.decisions) == 50
    assert len(given.to_json()) < 100_000
