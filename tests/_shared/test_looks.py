"""As one of how many decisions a decision counts: a quarter's false alarms are never spent twice."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

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


@pytest.mark.parametrize(("cadence", "looks"), [("monthly", 4), ("weekly", 15), ("daily", 93), ("hourly", 2210)])
def test_a_planned_decision_has_an_equal_share_and_one_share_is_kept_for_what_is_not_planned(
    cadence: Any, looks: int, models: Registry
) -> None:
    gates = section(cadence=cadence)
    assert looks_in_a_quarter(models.tries().values(), gates, windows(AS_OF), "j") == looks
    judged(models, "yesterday", AS_OF - timedelta(days=1))
    assert looks_in_a_quarter(models.tries().values(), gates, windows(AS_OF), "j") == looks


def test_further_decisions_as_of_the_same_moment_share_what_is_left(models: Registry) -> None:
    found = []
    for number in range(4):
        found.append(
            looks_in_a_quarter(models.tries().values(), section(cadence="monthly"), windows(AS_OF), f"j{number}")
        )
        judged(models, f"j{number}", AS_OF)
    assert found == [4, 4 * 2, 4 * 6, 4 * 12]


def test_to_be_judged_again_is_no_further_decision(models: Registry) -> None:
    judged(models, "j", AS_OF)
    assert looks_in_a_quarter(models.tries().values(), section(), windows(AS_OF), "j") == PLANNED["daily"] + 1


def test_decisions_of_an_earlier_or_a_later_quarter_of_the_calendar_are_not_counted(models: Registry) -> None:
    judged(models, "planned", AS_OF)
    for number, as_of in enumerate((AS_OF - timedelta(days=1), AS_OF + timedelta(days=92))):
        for one in range(3):
            judged(models, f"other {number} {one}", as_of)
    assert looks_in_a_quarter(models.tries().values(), section(cadence="monthly"), windows(AS_OF), "j") == 4 * 2
    judged(models, "in the quarter", AS_OF + timedelta(days=91))
    judged(models, "in the quarter too", AS_OF + timedelta(days=91))
    assert looks_in_a_quarter(models.tries().values(), section(cadence="monthly"), windows(AS_OF), "j") == 4 * 6


def test_a_quarter_begins_at_midnight_of_the_task_s_time_zone(models: Registry) -> None:
    new_year = datetime(2024, 1, 1, 5, tzinfo=UTC)
    judged(models, "planned", new_year)
    for number in range(3):
        judged(models, f"last night {number}", new_year - timedelta(hours=1))
    gates = section(cadence="hourly", timezone="America/New_York")
    assert looks_in_a_quarter(models.tries().values(), gates, windows(new_year), "j") == 2210 * 2
    # By the clock of Greenwich all four lie in the same quarter.
    in_greenwich = section(cadence="hourly")
    assert looks_in_a_quarter(models.tries().values(), in_greenwich, windows(new_year), "j") == 2210 * 12


def test_what_was_judged_as_of_a_later_moment_has_spent_its_share(models: Registry) -> None:
    judged(models, "planned", AS_OF)
    for number in range(2):
        judged(models, f"later {number}", AS_OF + timedelta(days=1))
    assert looks_in_a_quarter(models.tries().values(), section(cadence="monthly"), windows(AS_OF), "j") == 4 * 6


def test_without_time_nothing_is_planned_and_every_decision_takes_less(models: Registry) -> None:
    gates = section(time=None, split={"tune": 0.1, "test": 0.2})
    found = []
    for number in range(3):
        found.append(looks_in_a_quarter(models.tries().values(), gates, windows(AS_OF), f"j{number}"))
        judged(models, f"j{number}", AS_OF)
    assert found == [2, 6, 12]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Sydney"])
@pytest.mark.parametrize("cadence", ["hourly", "daily", "weekly", "monthly"])
def test_no_quarter_of_the_calendar_has_more_planned_decisions_than_it_is_divided_by(cadence: Any, zone: str) -> None:
    """Eight years, so that weeks begin on every day of a quarter; clocks are set back in the fourth, or the second."""
    planned: Counter[tuple[int, int]] = Counter()
    moment, end = datetime(2019, 1, 1, tzinfo=ZoneInfo(zone)), datetime(2027, 1, 1, tzinfo=ZoneInfo(zone))
    for hour in range(int((end.astimezone(UTC) - moment.astimezone(UTC)) / timedelta(hours=1))):
        as_of = moment.astimezone(UTC) + timedelta(hours=hour)
        if floor(as_of, cadence, zone) == as_of:
            local = as_of.astimezone(ZoneInfo(zone))
            planned[local.year, (local.month - 1) // 3] += 1
    assert len(planned) == 32
    assert max(planned.values()) == PLANNED[cadence] - (cadence == "hourly" and zone != "Europe/Berlin")


@pytest.mark.parametrize(("cadence", "years"), [("daily", 1), ("weekly", 3), ("monthly", 3)])
def test_however_many_decisions_there_are_a_quarter_of_the_calendar_spends_no_more_than_it_has(
    cadence: Any, years: int
) -> None:
    """With experiments by hand each fifth day, all in one registry."""
    gates, spent = section(cadence=cadence), Counter[int]()
    days = [datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(years * 365)]
    planned = {floor(day, cadence, "UTC") for day in days}
    by_hand = [floor(day, cadence, "UTC") for day in days[::5]]
    attempts: list[Any] = []
    for number, as_of in enumerate(sorted([*planned, *by_hand])):
        looks = looks_in_a_quarter(attempts, gates, windows(as_of), f"j{number}")
        attempts.append(SimpleNamespace(judgement=f"j{number}", windows=windows(as_of)))
        spent[4 * (as_of.year - 2023) + (as_of.month - 1) // 3] += 1 / looks  # type: ignore[assignment]
    assert max(spent.values()) <= 1
    assert all(spent[quarter] > 0.9 for quarter in range(4 * years))
