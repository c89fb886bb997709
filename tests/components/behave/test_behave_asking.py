"""Which rows are changed, found in one pass over many shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.decision_rule import DecisionRule
from components.behave.asking import QUANTILE_ROWS, Spread, distance, rows_to_ask
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


def spread_of(tmp_path: Path, values: list[float | None]) -> Spread:
    columns: dict[str, Any] = {**rows(len(values), seed=3), TEMPERATURE: values}
    columns["score"] = np.random.default_rng(1).random(len(values)).tolist()
    kept = {name: TYPES[name] for name in ("_time", "_key")}
    asked = rows_to_ask(
        manifest(tmp_path, columns, "predictions", types={**kept, "score": "float64"}),
        manifest(tmp_path, columns, "test"),
        section_of(rows=400),
        learning(),
        [TEMPERATURE],
        [TEMPERATURE],
    )
    return asked.spread[TEMPERATURE]


def ordinary() -> np.ndarray:
    """More values than the quantiles are taken of."""
    values = np.random.default_rng(2).normal(15, 8, COUNT)
    assert len(values) > QUANTILE_ROWS
    return values


@pytest.mark.parametrize("extreme", [1e9, -1e30, 1e300, float("inf")])
def test_one_extreme_value_hardly_changes_the_spread(extreme: float, tmp_path: Path) -> None:
    values = ordinary()
    plain = values.std(ddof=1)
    values[COUNT // 3] = extreme

    spread = spread_of(tmp_path, values.tolist())

    # At most as if it lay ten standard deviations away.
    assert plain * 0.999 < spread.deviation < plain * (1 + 0.51 * 10**2 / COUNT)
    finite = values if abs(extreme) < 1e38 else np.delete(values, COUNT // 3)
    assert (spread.low, spread.high) == (finite.min(), finite.max())


def test_values_that_stand_for_missing_ones_count_as_extreme(tmp_path: Path) -> None:
    values = ordinary()
    values[::50] = -9999.0
    assert values.std() > 1000

    # One in fifty at ten standard deviations: twice the variance and more.
    assert 8 * 1.3 < spread_of(tmp_path, values.tolist()).deviation < 8 * 2


def test_where_nearly_all_values_are_the_same_none_is_extreme(tmp_path: Path) -> None:
    values = np.zeros(COUNT)
    values[::50] = 1000.0

    assert spread_of(tmp_path, values.tolist()).deviation == pytest.approx(values.std(ddof=1), rel=1e-12)


@pytest.mark.parametrize("values", [[None] * 40, [float("inf")] * 40, [3.0] + [None] * 39])
def test_without_values_there_is_no_spread(values: list[float | None], tmp_path: Path) -> None:
    assert spread_of(tmp_path, values).deviation == 0


def test_of_classes_that_cost_differently_the_boundary_lies_where_the_costs_are_equal() -> None:
    rule = DecisionRule(costs={"low": {"high": 4.0}, "high": {"low": 1.0}})
    scores = np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])

    found = distance(scores, rule, "multiclass_classification", ("low", "high"))

    assert found is not None and found.tolist() == pytest.approx([0.0, 1.5, 3.5])


def test_where_nothing_is_decided_there_is_no_distance() -> None:
    assert distance(np.array([[3.0]]), DecisionRule(), "regression", None) is None
