"""Examples, and two models' predictions of them, written as `ingest` and `predict` write them, to be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from components._shared.digests import manifest_digest
from components._shared.gates import GateChoice, resolve_gates
from components._shared.manifest import Manifest
from components._shared.model_info import ModelInfo
from components._shared.tables import ShardWriter
from components._shared.task import EvaluationSection, LearningSection, TrainerChoice
from components._shared.windows import Window
from components.compare.executor import Compared, compare

START = datetime(2013, 6, 1, tzinfo=UTC)


def key_of(number: int) -> str:
    """The key of a row, as a hash."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Tables:
    """What `compare` is given, and the order in which the rows were written."""

    examples: Manifest
    candidate: Manifest
    champion: Manifest
    order: Any


MakeTables = Callable[..., Tables]


def maker(root: str) -> MakeTables:
    """Writes the three tables of rows with a day, a label, two models' scores, slices and features under a root."""

    def manifest(role: Any, columns: dict[str, Any], table: pa.Table, **fields: Any) -> Manifest:
        with ShardWriter(root, columns) as writer:
            writer.write(table)
            shards = writer.close()
        digest = manifest_digest(columns, shards)
        return Manifest(role=role, digest=digest, columns=columns, shards=shards, count=len(table), **fields)

    def write(
        candidate: Any,
        champion: Any,
        *,
        label: Any = None,
        day: Any = None,
        cluster: Any = None,
        slices: dict[str, Any] | None = None,
        features: dict[str, tuple[str, Any]] | None = None,
        fit_until: tuple[datetime, datetime] = (START, START),
        has_time: bool = True,
        held_out: float = 0.2,
        windowed: Window | None = None,
    ) -> Tables:
        candidate = np.asarray(candidate, float)
        rows = len(candidate)
        day = np.arange(rows) % 20 if day is None else np.asarray(day)
        key = np.array([key_of(number) for number in range(rows)], dtype="U32")
        order = np.lexsort((key, day)) if has_time else np.argsort(key)
        found: dict[str, tuple[str, Any]] = {
            "_time": ("timestamp", [START + timedelta(days=int(one), hours=5) for one in day]),
            "_key": ("string", key.tolist()),
            "_label": ("float64", [None] * rows if label is None else list(label)),
            "_cluster": ("string", [f"day {int(one):04d}" for one in day] if cluster is None else list(cluster)),
            "_weight": ("float64", np.ones(rows)),
        }
        if not has_time:
            del found["_time"]
        for name, values in (slices or {}).items():
            found[name] = ("string", list(values))

        def table(columns: dict[str, tuple[str, Any]]) -> tuple[dict[str, Any], pa.Table]:
            arrays = {name: pa.array(values).take(pa.array(order)) for name, (_, values) in columns.items()}
            return {name: kind for name, (kind, _) in columns.items()}, pa.table(arrays)

        def predictions(model: str, score: Any, until: datetime) -> Manifest:
            if score is None:
                return Manifest(role="predictions", digest="0" * 64, columns={}, shards=(), count=0, model="")
            score = np.asarray(score, float)
            named = {"score": score} if score.ndim == 1 else {f"score_{i}": score[:, i] for i in range(score.shape[1])}
            columns = found | {name: ("float64", values) for name, values in named.items()}
            return manifest(
                "predictions",
                *table(columns),
                model=model,
                window=windowed,
                fit_until=until if has_time else None,
                shares=None if has_time else (0.0, 0.2),
                held_out=None if has_time else held_out,
            )

        return Tables(
            examples=manifest("test", *table(found | (features or {}))),
            candidate=predictions("new", candidate, fit_until[0]),
            champion=predictions("old", champion, fit_until[1]),
            order=order,
        )

    return write


def section_of(
    problem: Any = "binary_classification", *, gates: dict[str, Any] | None = None, **changes: Any
) -> EvaluationSection:
    """The gates of a task, and what else it says."""
    found = resolve_gates(GateChoice.from_value(gates or {}), problem)
    fields: dict[str, Any] = {
        "problem": problem,
        "classes": None,
        "slices": (),
        "metric": found.metric,
        "champion": found.champion,
        "difference": found.difference,
        "behaviour": found.behaviour,
        "embargo": "0d",
        "timezone": "UTC",
        "has_time": True,
    }
    return EvaluationSection(**(fields | changes))


def model_info(features: dict[str, Any] | None = None, problem: Any = "binary_classification") -> ModelInfo:
    """A `model.json` that says which features there are."""
    learning = LearningSection(
        problem=problem, classes=None, features=features or {"place": "categorical"}, trainer=TrainerChoice()
    )
    return ModelInfo(digest="new", learning=learning, inputs={}, fit_until=START, base=(0.3,), rows={})


def compared(tables: Tables, section: EvaluationSection, features: dict[str, Any] | None = None) -> Compared:
    """The executor's result."""
    return compare(
        candidate=tables.candidate,
        champion=tables.champion,
        examples=tables.examples,
        model=model_info(features, section.problem),
        section=section,
    )
