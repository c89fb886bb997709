"""Tests of behaviour as a task declares them: mistakes are found when a run is planned."""

from __future__ import annotations

from typing import Any

import pytest

from components._shared.behaviour_tests import BehaviourTest, check_tests, parse_shift
from components._shared.decision_rule import DecisionRule
from components._shared.errors import InputError, TaskError
from components._shared.windows import Span

FEATURES: dict[str, Any] = {"size": "numeric", "shop": "categorical", "open": "boolean", "seen": "datetime"}
CLASSES = ("low", "high")


def check(problem: str = "binary_classification", threshold: float | None = None, **fields: Any) -> None:
    value = {
        "name": "mine",
        "features": ["size"],
        "change": {"jitter": 0.1},
        "expect": {"within": 0.1},
        **fields,
    }
    test = BehaviourTest.from_value(value)
    classes = CLASSES if problem == "multiclass_classification" else None
    check_tests((test,), FEATURES, problem, classes, DecisionRule(threshold=threshold))


@pytest.mark.parametrize(
    ("fields", "where", "said"),
    [
        ({"features": ["shop"]}, "change.jitter", "jitter is for numeric features, and 'shop' is categorical"),
        ({"features": ["size", "seen"], "change": {"add": 1}}, "change.add", "'seen' is datetime"),
        ({"features": ["open"], "change": {"round_to": 1}}, "change.round_to", "'open' is boolean"),
        ({"change": {"swap": [["a", "b"]]}}, "change.swap", "swap is for categorical features"),
        ({"change": {"shift": "1h"}}, "change.shift", "shift is for datetime features"),
        ({"features": ["open"], "change": {"set_to": 1}}, "change.set_to", "numeric and categorical"),
        ({"features": ["shop"], "change": {"set_to": 5}}, "change.set_to", "no value of 'shop'"),
        ({"change": {"set_to": "new"}}, "change.set_to", "no value of 'size'"),
        ({"features": ["size", "size"]}, "features", "named twice"),
        ({"features": ["shop"], "change": {"swap": [["a"]]}}, "change.swap", "fewer than two"),
        ({"features": ["shop"], "change": {"swap": [["a", "a"]]}}, "change.swap", "fewer than two"),
        ({"features": ["shop"], "change": {"swap": []}}, "change.swap", "fewer than two"),
        ({"features": ["shop"], "change": {"swap": [["a", "b"], ["b", "c"]]}}, "change.swap", "'b' stands twice"),
        ({"features": ["seen"], "change": {"shift": "an hour"}}, "change.shift", "not a span"),
        ({"expect": {"min": 0.5, "max": 0.4}}, "expect.min", "above max"),
        ({"expect": {"within": 2}}, "expect.within", "probabilities"),
        ({"expect": {"max": -0.1}}, "expect.max", "probabilities"),
        ({"expect": {"within": 0.1, "output": "low"}}, "expect.output", "multiclass"),
        ({"expect": {"within": 0.1, "slack": 0.1}}, "expect.slack", "goes with direction"),
        ({"expect": {"direction": "up"}}, "expect.direction", "either way"),
        ({"change": {"set_to": 15}, "expect": {"direction": "up"}}, "expect.direction", "lowers that of others"),
        ({"change": {"set_to": 1e39}}, "change.set_to", "1e+39 is infinite to a model"),
        ({"change": {"add": -1e39}}, "change.add", "-1e+39 is infinite to a model"),
        ({"evidence": "interval"}, "violations", "above 0"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(fields: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(TaskError) as raised:
        check(**fields)

    assert raised.value.where == f"gates.behaviour.tests.mine.{where} in the task file"
    assert said in raised.value.what
    assert raised.value.fix


def test_classes_are_known_by_name_and_a_direction_is_of_one_of_them() -> None:
    problem = "multiclass_classification"
    up = {"change": {"add": 1}}
    with pytest.raises(TaskError, match="'middle' is not a class"):
        check(problem, expect={"within": 0.1, "output": "middle"})
    with pytest.raises(TaskError, match="direction of which class"):
        check(problem, **up, expect={"direction": "up"})
    check(problem, **up, expect={"direction": "up", "output": "low"})
    check(problem, expect={"within": 0.1})


def test_a_decision_stays_the_same_only_where_there_is_one() -> None:
    with pytest.raises(TaskError, match="Nothing is decided"):
        check("regression", expect={"same_decision": True})
    check("regression", threshold=3.0, expect={"same_decision": True})
    check("binary_classification", expect={"same_decision": True})


def test_values_may_be_of_any_size() -> None:
    check("regression", expect={"within": 20, "min": -40, "max": 60})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"change": {}}, "give exactly one of jitter, round_to, missing, set_to, swap, replace, shift, add, not none"),
        ({"change": {"jitter": 1, "missing": True}}, "not jitter, missing"),
        ({"change": {"jitter": float("inf")}}, "finite"),
        ({"expect": {}}, "say what is expected"),
        ({"expect": {"slack": 0.1}}, "say what is expected"),
        ({"features": []}, "at least 1"),
        ({"violations": 1.5}, "less than or equal to 1"),
        ({"name": "Not a name"}, "name"),
    ],
)
def test_one_change_and_at_least_one_expectation_are_declared(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(**fields)


def test_a_value_is_a_number_or_a_text_as_it_is_written() -> None:
    check(change={"set_to": 7})
    check(features=["shop"], change={"set_to": "7"})


def test_a_direction_may_follow_a_category_that_all_rows_get() -> None:
    check(features=["shop"], change={"set_to": "cheap"}, expect={"direction": "down"})


def test_an_extreme_is_a_number_that_a_model_can_take() -> None:
    check(change={"set_to": -3.4e38})
    check(change={"add": 1e19})


def test_a_clock_is_fast_or_slow() -> None:
    assert parse_shift("1h") == (1, Span(seconds=3600))
    assert parse_shift("-1d30min") == (-1, Span(days=1, seconds=1800))
