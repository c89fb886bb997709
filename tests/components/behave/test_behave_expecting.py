"""Which answers break an expectation, by how much, and of which class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components._shared.behaviour_tests import Expectation
from components.behave.expecting import Held, hold
from tests.components.behave.conftest import section_of

NAN = float("nan")


def held(expect: dict[str, Any], before: list[list[float]], after: list[list[float]]) -> Held:
    section = section_of(problem="multiclass_classification")
    return hold(Expectation.from_value(expect), np.array(before), np.array(after), section)


def test_the_class_that_is_named_is_the_one_that_broke_the_expectation() -> None:
    found = held({"within": 0.5, "max": 0.6}, [[0.5, 0.4, 0.1]], [[0.05, 0.65, 0.3]])

    # The first class moved by 0.45, and was allowed to; the second ended 0.05 above the bound.
    assert (found.broken.tolist(), found.output.tolist()) == ([True], [1])
    assert found.excess.tolist() == pytest.approx([0.05])
    assert found.amount.tolist() == pytest.approx([0.45])


def test_of_several_classes_the_one_that_exceeds_its_limit_by_most_is_named() -> None:
    found = held({"within": 0.3, "max": 0.4}, [[0.1, 0.4, 0.5]], [[0.5, 0.5, 0.0]])

    # Moves of 0.4, 0.1, 0.5 where 0.3 is allowed; 0.1, 0.1 and nothing above the bound.
    assert (found.output.tolist(), found.excess.tolist()) == ([2], pytest.approx([0.2]))


def test_a_decision_that_turns_is_as_bad_as_the_move_that_turned_it() -> None:
    found = held({"same_decision": True, "within": 0.9}, [[0.5, 0.4, 0.1]] * 2, [[0.3, 0.6, 0.1], [0.45, 0.15, 0.4]])

    assert (found.broken.tolist(), found.output[0]) == ([True, False], 0)
    assert found.excess.tolist() == [pytest.approx(0.2), -np.inf]
    assert found.amount.tolist() == pytest.approx([0.2, 0.3])


def test_what_is_no_number_is_worse_than_everything_and_named() -> None:
    found = held({"within": 0.1, "output": "low"}, [[0.5, 0.4, 0.1]] * 2, [[0.9, 0.1, 0.0], [0.5, NAN, 0.1]])

    assert found.broken.all()
    assert found.output.tolist() == [0, 1]
    assert found.excess.tolist() == [pytest.approx(0.3), np.inf]
