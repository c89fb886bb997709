"""Changes and expectations as a reader sees them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from components._shared.behaviour_tests import BehaviourTest
from components.behave.asking import Spread
from components.behave.wording import change_in_words, expectation_in_words, value_in_words
from tests.components.behave.conftest import section_of

SPREAD = {"size": Spread(deviation=280.0, low=0, high=1440), "height": Spread(deviation=0.5, low=0, high=2)}


def declared(change: dict[str, Any], expect: dict[str, Any] | None = None, *features: str) -> BehaviourTest:
    return BehaviourTest.from_value(
        {"name": "mine", "features": features or ["size"], "change": change, "expect": expect or {"within": 1}}
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jitter": 0.02}, "noise of 0.02 standard deviations (5.6, 0.01) on size and height"),
        ({"round_to": 5}, "size and height rounded to 5"),
        ({"add": -60}, "size and height minus 60"),
        ({"missing": True}, "size and height missing"),
        ({"set_to": 7}, "size and height set to 7"),
        ({"set_to": "new"}, "size and height set to new"),
        ({"swap": [["NYC", "New York"], ["LA", "Los Angeles"]]}, "(NYC = New York; LA = Los Angeles)"),
        ({"replace": True}, "size and height taken from another row"),
        ({"shift": "-30min"}, "size and height 30min earlier"),
        ({"shift": "1h"}, "size and height 1h later"),
    ],
)
def test_a_change_is_said_in_words(change: dict[str, Any], said: str) -> None:
    assert said in change_in_words(declared(change, None, "size", "height"), SPREAD)


def test_what_is_computed_from_a_changed_feature_is_said_to_stay_as_it_was() -> None:
    later = declared({"shift": "1d"}, None, "seen_at")
    rounded = declared({"round_to": 5}, None, "size", "height")

    assert change_in_words(later, {}, ("weekday",)) == "seen_at 1d later (weekday, computed from it, stays as it was)"
    assert change_in_words(rounded, {}, ("area", "volume")).endswith(
        "size and height rounded to 5 (area and volume, computed from them, stay as they were)"
    )


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"within": 0.05}, "the score moves by at most 0.05"),
        ({"same_decision": True}, "the decision stays the same (at 0.5)"),
        ({"direction": "up"}, "the score does not fall"),
        ({"direction": "down", "slack": 0.1}, "the score does not rise by more than 0.1"),
        ({"min": 0.1, "max": 0.9}, "the score is at least 0.1 and the score is at most 0.9"),
        ({"within": 0.1, "output": "high"}, "the score of high moves by at most 0.1"),
    ],
)
def test_an_expectation_is_said_in_words(expect: dict[str, Any], said: str) -> None:
    assert expectation_in_words(declared({"missing": True}, expect).expect, section_of()) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "(missing)"),
        (float("nan"), "(missing)"),
        (True, "true"),
        (7, "7"),
        (0.1 + 0.2, "0.3"),
        ("Zürich", "Zürich"),
        (date(1, 1, 1), "0001-01-01"),
        (datetime(2024, 3, 1, 23, 30, tzinfo=UTC), "2024-03-02 08:30"),
        (datetime(9999, 12, 31, 14, tzinfo=UTC), "9999-12-31 23:00"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), "9999-12-31 23:59 UTC"),
    ],
)
def test_a_value_is_written_as_a_reader_writes_it(value: Any, said: str) -> None:
    assert value_in_words(value, "Asia/Tokyo") == said
