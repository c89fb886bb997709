"""As one of how many decisions a decision counts: a quarter's false alarms are never spent twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.looks import PLANNED, looks_in_a_quarter
from components._shared.records import Attempt, Baseline
from components._shared.registry import Registry
from components._shared.task import EvaluationSection, Task, evaluation_section
from components._shared.windows import Windows, floor

AS_OF = datetime(2024, 7, 1, tzinfo=UTC)


def section(**changes: Any) -> EvaluationSection:
    fields: dict[str, Any] = {
        "name": "late",
        "problem": "binary_classification",
        "data": {"sources": ["a.csv"]},
        "label": {"expression": "late"},
        "time": "day",
        "features": {"x": {"kind": "numeric", "available": "before"}},
        "split": {"tune": "7d", "test": "30d"},
    }
    return evaluation_section(Task(**(fields | changes)))


@pytest.fixture
def models(tmp_path: Path) -> Registry:
    found = Registry(str(tmp_path), "late")
    found.open(create=True)
    return found


def judged(models: Registry, judgement: str, as_of: datetime, looks: int = 1) -> None:
    attempt = Attempt.model_validate(
        {
            "experiment": "e", "judgement": judgement, "task": "late", "outcome": "failed", "result": "rejected",
            "reason": "r", "baseline": Baseline(looks=looks), "windows": windows(as_of), "model_digest": "d",
            "made_from": {}, "created": as_of,
        }
    )  # fmt: skip
    storage.create(storage.join(models.root, "late", "attempts", f"{judgement}.json"), attempt.to_json().encode())


def windows(as_of: datetime) -> Windows:
    return Windows(as_of=as_of, timezone="UTC")


@pytest.mark.parametrize(("cadence", "looks"), [("monthly", 4), ("weekly", 15), ("daily", 93), ("hourly", 2209)])
def test_a_planned_decision_has_an_equal_share_and_one_share_is_kept_for_what_is_not_planned(
    cadence: Any, looks: int, models: Registry
) -> None:
    gates = section(cadence=cadence)
    assert looks_in_a_quarter(models, gates, windows(AS_OF), "j") == looks
    judged(models, "yesterday", AS_OF - timedelta(days=1))
    assert looks_in_a_quarter(models, gates, windows(AS_OF), "j") == looks


def test_further_decisions_as_of_the_same_moment_share_what_is_left(models: Registry) -> None:
    found = []
    for number in range(4):
        found.append(looks_in_a_quarter(models, section(cadence="monthly"), windows(AS_OF), f"j{number}"))
        judged(models, f"j{number}", AS_OF)
    assert found == [4, 4 * 2, 4 * 6, 4 * 12]


def test_to_be_judged_again_is_no_further_decision(models: Registry) -> None:
    judged(models, "j", AS_OF)
    assert looks_in_a_quarter(models, section(), windows(AS_OF), "j") == PLANNED["daily"] + 1


def test_decisions_of_an_earlier_or_a_later_quarter_are_not_counted(models: Registry) -> None:
    judged(models, "planned", AS_OF)
    for number, days in enumerate((92, 92, 100, -92, -100)):
        judged(models, f"other {number}", AS_OF - timedelta(days=days))
    assert looks_in_a_quarter(models, section(cadence="monthly"), windows(AS_OF), "j") == 4 * 2


def test_what_was_judged_as_of_a_later_moment_has_spent_its_share(models: Registry) -> None:
    judged(models, "planned", AS_OF)
    for number in range(2):
        judged(models, f"later {number}", AS_OF + timedelta(days=1))
    assert looks_in_a_quarter(models, section(cadence="monthly"), windows(AS_OF), "j") == 4 * 6


def test_without_time_nothing_is_planned_and_every_decision_takes_less(models: Registry) -> None:
    gates = section(time=None, split={"tune": 0.1, "test": 0.2})
    found = []
    for number in range(3):
        found.append(looks_in_a_quarter(models, gates, windows(AS_OF), f"j{number}"))
        judged(models, f"j{number}", AS_OF)
    assert found == [2, 6, 12]


@pytest.mark.parametrize("cadence", ["daily", "weekly", "monthly"])
def test_however_many_decisions_there_are_a_quarter_spends_no_more_than_it_has(cadence: Any, models: Registry) -> None:
    days = [AS_OF + timedelta(days=day) for day in range(92)]
    planned = {floor(day, cadence, "UTC") for day in days} - {datetime(2024, 6, 24, tzinfo=UTC)}
    by_hand = [floor(day, cadence, "UTC") for day in days[10::10] * 3]
    spent = 0.0
    for number, as_of in enumerate(sorted([*planned, *by_hand])):
        looks = looks_in_a_quarter(models, section(cadence=cadence), windows(as_of), f"j{number}")
        judged(models, f"j{number}", as_of)
        spent += 1 / looks
    assert 0.75 < spent <= 1
