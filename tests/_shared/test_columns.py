from __future__ import annotations

from typing import Any

import pytest

from components._shared.columns import check_columns, check_data, meaning_of
from components._shared.errors import TaskError
from components._shared.task import Schema, Task, data_section

SCHEMA = Schema.from_value(
    {
        "columns": {
            "id": {"type": "int64"},
            "at": {"type": "timestamp"},
            "delay": {"type": "float64"},
            "town": {"type": "string"},
            "size": {"type": "int64"},
        }
    }
)


def task(**changes: Any) -> Task:
    values: dict[str, Any] = {
        "name": "example",
        "problem": "binary_classification",
        "data": {"sources": ["x.csv"]},
        "label": {"expression": "delay > 15"},
        "time": "at",
        "key": ["id"],
        "split": {"tune": "1d", "test": "1d"},
        "features": {"town": {"kind": "categorical", "available": "before"}},
    }
    return Task.from_value({**values, **changes})


def feature(kind: str = "numeric", available: str = "before") -> dict[str, str]:
    return {"kind": kind, "available": available}


def test_a_task_that_fits_its_schema_passes():
    check_columns(
        task(
            derived={"half": {"expression": "size / 2", "type": "float64"}},
            features={"half": feature(), "town": feature("categorical"), "delay": feature(available="after")},
            population="delay IS NOT NULL",
            cluster="town",
            slices=["town"],
            weight="size",
        ),
        SCHEMA,
    )


QUESTION: dict[str, Any] = {
    "label": {"expression": "waited > 15"},
    "derived": {
        "hours": {"expression": "delay / 60", "type": "float64"},
        "waited": {"expression": "hours * 60", "type": "float64"},
        "half": {"expression": "size / 2", "type": "float64"},
    },
    "population": "size > 0",
}


def meaning(**changes: Any) -> str:
    data = data_section(task(**{**QUESTION, **changes}), SCHEMA)
    return meaning_of(data, check_data(data))


@pytest.mark.parametrize(
    "changes",
    [
        {"label": {"expression": "waited > 30"}},
        {"label": {"expression": "town", "positive": "Oslo"}},
        {"population": "size > 1"},
        {"population": None},
        {"weight": "size"},
        {"key": ["id", "town"]},
        {"timezone": "Europe/Berlin"},
        # Two steps away from the label.
        {"derived": {**QUESTION["derived"], "hours": {"expression": "delay / 3600", "type": "float64"}}},
    ],
)
def test_what_says_what_a_row_and_its_label_are_is_another_question_when_it_is_edited(changes: dict[str, Any]) -> None:
    assert meaning(**changes) != meaning()


@pytest.mark.parametrize(
    "changes",
    [
        {"features": {"half": feature(), "town": feature("categorical")}},
        {"derived": {**QUESTION["derived"], "half": {"expression": "size / 3", "type": "float64"}}},
        {"slices": ["town"]},
        {"gates": {"preset": "conservative", "promises": {"blocks": 1}}},
        {"trainer": {"name": "mlp", "seed": 3}},
        {"cluster": "town"},
        {"split": {"tune": "2d", "test": "3d"}},
        {"label": {"expression": "waited > 15", "known_after": "1d"}},
        {"cadence": "weekly"},
        {"data": {"sources": ["another.csv"]}},
    ],
)
def test_a_gate_a_feature_a_trainer_or_a_slice_leaves_the_question_as_it_is(changes: dict[str, Any]) -> None:
    assert meaning(**changes) == meaning()


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"features": {"twon": feature("categorical")}}, "features.twon", "no column 'twon'"),
        ({"features": {"town": feature()}}, "features.town.kind", "is numeric, but the column is of type string"),
        ({"features": {"size": feature("boolean")}}, "features.size.kind", "is boolean"),
        ({"key": ["ident"]}, "key", "no column 'ident'"),
        ({"key": ["id", "id"]}, "key", "stands twice"),
        ({"time": "when"}, "time", "no column 'when'"),
        ({"time": "size"}, "time", "type int64, not timestamp or date"),
        ({"weight": "town"}, "weight", "type string, not float64 or int64"),
        ({"slices": ["city"]}, "slices", "no column 'city'"),
        ({"cluster": "city"}, "cluster", "no column 'city'"),
        ({"population": "delay"}, "population", "type DOUBLE"),
        ({"population": "late"}, "population", "no column 'late'"),
        ({"label": {"expression": "dely > 1"}}, "label.expression", "no column 'dely'"),
        ({"label": {"expression": "town"}}, "label.positive", "which value counts as 1"),
        ({"label": {"expression": "town", "positive": 1}}, "label.positive", "never 1"),
        ({"problem": "regression", "label": {"expression": "town"}}, "label.expression", "not a number"),
        (
            {"problem": "multiclass_classification", "label": {"expression": "town", "classes": [1, 2]}},
            "label.classes",
            "never 1",
        ),
        (
            {"problem": "multiclass_classification", "label": {"expression": "town", "classes": ["a", "a"]}},
            "label.classes",
            "two different values",
        ),
        ({"derived": {"town": {"expression": "'x'", "type": "string"}}}, "derived.town", "source column and a derived"),
        ({"derived": {"x": {"expression": "size / 2", "type": "int64"}}}, "derived.x", "gives DOUBLE"),
        ({"derived": {"x": {"expression": "sizes", "type": "int64"}}}, "derived.x.expression", "no column 'sizes'"),
        (
            {"derived": {"x": {"expression": "y", "type": "int64"}, "y": {"expression": "x", "type": "int64"}}},
            "derived.x",
            "in a circle: x, y",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes, where, message):
    with pytest.raises(TaskError, match=message) as caught:
        check_columns(task(**changes), SCHEMA)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        ("delay", {}),
        ("hint", {"hint": {"expression": "delay * 2", "type": "float64"}}),
        (
            "second",
            {
                "first": {"expression": "-delay", "type": "float64"},
                "second": {"expression": "first", "type": "float64"},
            },
        ),
    ],
)
def test_a_feature_that_the_label_is_derived_from_is_refused(name, derived):
    with pytest.raises(TaskError, match="The label is derived from the feature") as caught:
        check_columns(task(features={name: feature()}, derived=derived), SCHEMA)
    assert caught.value.where == f"features.{name}"


def test_a_feature_that_shares_a_source_with_a_derived_label_is_refused():
    derived = {"late": {"expression": "delay > 15", "type": "bool"}}
    with pytest.raises(TaskError, match="from the feature 'delay'"):
        check_columns(task(features={"delay": feature()}, derived=derived, label={"expression": "late"}), SCHEMA)


@pytest.mark.parametrize("available", ["after", "unknown"])
def test_a_feature_that_is_derived_from_a_column_known_later_is_refused(available):
    derived = {"first": {"expression": "size + 1", "type": "int64"}, "half": {"expression": "first", "type": "int64"}}
    features = {"half": feature(), "size": feature(available=available)}
    with pytest.raises(TaskError, match="from 'size'") as caught:
        check_columns(task(features=features, derived=derived), SCHEMA)
    assert caught.value.where == "features.half"


def test_a_leak_that_is_left_out_as_known_later_is_fine():
    features = {"town": feature("categorical"), "delay": feature(available="after")}
    check_columns(task(features=features), SCHEMA)


def test_derived_columns_come_in_an_order_in_which_they_can_be_computed():
    derived = {
        "a": {"expression": "b + 1", "type": "int64"},
        "b": {"expression": "c + 1", "type": "int64"},
        "c": {"expression": "size + 1", "type": "int64"},
    }
    checked = check_data(data_section(task(derived=derived), SCHEMA))
    assert list(checked.derived) == ["c", "b", "a"]
    assert checked.sources_of(["a"]) == {"a", "b", "c", "size"}
