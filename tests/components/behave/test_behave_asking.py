"""Which rows are changed, found in one pass over many shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.decision_rule import DecisionRule
from components.behave.asking import distance, rows_to_ask
from tests.components.behave.conftest import section_of
from tests.synthetic_rows import TYPES, learning, manifest, rows

COUNT = 20_000
TEMPERATURE = "temperature (°C)"


@pytest.mark.parametrize("ties", [False, True])
def test_the_rows_of_many_shards_are_those_that_sorting_all_would_find(ties: bool, tmp_path: Path) -> None:
    columns: dict[str, Any] = rows(COUNT, seed=3)
    score = np.random.default_rng(1).random(COUNT)
    columns["score"] = (np.round(score, 2) if ties else score).tolist()
    kept = {name: TYPES[name] for name in ("_time", "_key")}
    examples = manifest(tmp_path, columns, "test")
    predictions = manifest(tmp_path, columns, "predictions", types={**kept, "score": "float64"})
    assert len(examples.shards) > 2
    section = section_of(rows=400, decision={"threshold": 0.3})

    asked = rows_to_ask(predictions, examples, section, learning(), [TEMPERATURE, "shop"], [TEMPERATURE])

    far, key = np.abs(np.array(columns["score"]) - 0.3), np.array(columns["_key"])
    order = np.lexsort((key, far))
    nearest, others = set(key[order[:200]]), set(sorted(key[order[200:]])[:200])
    assert {each for each, near in zip(asked.keys, asked.near, strict=True) if near} == nearest
    assert {each for each, near in zip(asked.keys, asked.near, strict=True) if not near} == others
    assert asked.farthest == far[order[199]]
    assert asked.rows.schema.names == ["_key", "_cluster", TEMPERATURE, "shop"]
    given = np.array([value for value in columns[TEMPERATURE] if value is not None])
    spread = asked.spread[TEMPERATURE]
    assert spread.deviation == pytest.approx(given.std(ddof=1), rel=1e-12)
    assert (spread.low, spread.high) == (given.min(), given.max())
    by_key = dict(zip(columns["_key"], columns["shop"], strict=True))
    assert asked.rows.column(3).to_pylist() == [by_key[each] for each in asked.keys]


def test_of_classes_that_cost_differently_the_boundary_lies_where_the_costs_are_equal() -> None:
    rule = DecisionRule(costs={"low": {"high": 4.0}, "high": {"low": 1.0}})
    scores = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])

    found = distance(scores, rule, "multiclass_classification", ("low", "high"))

    assert found is not None and found.tolist() == pytest.approx([0.0, 1.5, 3.5])


def test_where_nothing_is_decided_there_is_no_distance() -> None:
    assert distance(np.array([[3.0]]), DecisionRule(), "regression", None) is None
