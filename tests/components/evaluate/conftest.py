"""Predictions tables for the tests of `evaluate`, written as `predict` writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components._shared.digests import manifest_digest
from components._shared.gates import GateChoice, resolve_gates
from components._shared.manifest import Manifest
from components._shared.tables import ShardWriter
from components._shared.task import EvaluationSection
from components._shared.windows import Window

START = datetime(2013, 6, 1, tzinfo=UTC)
MakePredictions = Callable[..., Manifest]
MakeSection = Callable[..., EvaluationSection]


@pytest.fixture
def predictions(tmp_path: Path) -> MakePredictions:
    """Writes predictions: scores (rows or rows × classes), labels, the day of each row, and what else differs."""

    def write(
        score: Any,
        label: Any,
        day: Any,
        *,
        model: str = "model",
        weight: Any = None,
        key: Any = None,
        slices: dict[str, list[Any]] | None = None,
        fit_until: datetime | None = START,
        base: tuple[float, ...] = (),
        has_time: bool = True,
        order: Any = None,
        test_share: float = 0.2,
        held_out: float | None = 0.2,
    ) -> Manifest:
        score, day = np.asarray(score, float), np.asarray(day)
        rows = len(day)
        order = np.arange(rows) if order is None else order
        found: dict[str, tuple[str, Any]] = {
            "_time": ("timestamp", [START + timedelta(days=int(d), hours=5) for d in day]),
            "_key": ("string", [f"{i:032x}" for i in (np.arange(rows) if key is None else key)]),
            "_label": ("float64", list(label)),
            "_cluster": ("string", [f"day {int(d):04d}" for d in day]),
            "_weight": ("float64", np.ones(rows) if weight is None else weight),
        }
        if not has_time:
            del found["_time"]
        for name, values in (slices or {}).items():
            found[name] = ("string", values)
        if score.ndim == 1:
            found["score"] = ("float64", score)
        else:
            found |= {f"score_{i}": ("float64", score[:, i]) for i in range(score.shape[1])}
        columns: Any = {name: kind for name, (kind, _) in found.items()}
        table = pa.table({name: pa.array(values).take(pa.array(order)) for name, (_, values) in found.items()})
        with ShardWriter(str(tmp_path / "data"), columns) as writer:
            writer.write(table)
            shards = writer.close()
        last = int(day.max()) + 1 if rows else 0
        return Manifest(
            role="predictions",
            digest=manifest_digest(columns, shards),
            columns=columns,
            shards=shards,
            count=rows,
            window=Window(start=START, end=START + timedelta(days=last)) if has_time else None,
            model=model,
            fit_until=fit_until if has_time else None,
            shares=None if has_time else (0.0, test_share),
            held_out=None if has_time else held_out,
            base=base,
        )

    return write


@pytest.fixture
def nobody() -> Manifest:
    """Empty predictions: there is no such model."""
    return Manifest(role="predictions", digest="0" * 64, columns={}, shards=(), count=0, model="")


@pytest.fixture
def section() -> MakeSection:
    """The gates of a task."""

    def make(problem: Any = "binary_classification", *, gates: dict[str, Any] | None = None, **changes: Any) -> Any:
        decision = changes.get("decision")
        costs = decision is not None and bool(decision.costs)
        found = resolve_gates(GateChoice.from_value(gates or {}), problem, costs=costs)
        fields: dict[str, Any] = {
            "problem": problem,
            "classes": None,
            "slices": (),
            "metric": found.metric,
            "champion": found.champion,
            "behaviour": found.behaviour,
            "embargo": "0d",
            "timezone": "UTC",
            "has_time": True,
        }
        return EvaluationSection(**(fields | changes))

    return make
