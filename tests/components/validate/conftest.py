"""Rows for the tests of `validate`: real shards in a folder."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components._shared.gates import DataGates
from components._shared.manifest import Manifest, Rows
from components._shared.tables import ShardWriter, arrow_schema
from components._shared.task import (
    Column,
    ColumnType,
    FeatureKind,
    LearningSection,
    Problem,
    Schema,
    TrainerChoice,
)
from components.validate.executor import Validation, validate

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Case:
    """What `validate` is given, with what is not of interest filled in."""

    folder: Path
    columns: Mapping[str, ColumnType]
    kinds: Mapping[str, FeatureKind]
    train: Values
    test: Values
    pinned: Mapping[str, Column] = field(default_factory=dict)
    gates: DataGates = field(default_factory=DataGates)
    problem: Problem = "binary_classification"
    classes: tuple[str, ...] | None = None
    rows: Rows | None = None
    previous: str = ""
    runner: str = ""

    def manifest(self, role: str, values: Values) -> Manifest:
        """The rows as shards."""
        columns: dict[str, ColumnType] = {**self.columns, "_label": "float64", "_key": "string"}
        count = len(next(iter(values.values()), ()))
        filled = {
            "_label": [float(i % 2) for i in range(count)],
            "_key": [f"{i:032x}" for i in range(count)],
            **values,
        }
        schema = arrow_schema(columns)
        with ShardWriter(str(self.folder / "data"), columns) as writer:
            arrays = [pa.array(filled[name], schema.field(name).type) for name in columns]
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
            shards = writer.close()
        return Manifest(role=role, digest="0" * 64, columns=columns, shards=shards, count=count)  # type: ignore[arg-type]

    def run(self, **changes: Any) -> Validation:
        """What `validate` finds."""
        case = replace(self, **changes)
        train, test = case.manifest("train", case.train), case.manifest("test", case.test)
        total = train.count + test.count
        examples = train.model_copy(
            update={"role": "examples", "rows": case.rows or Rows(read=total, kept=total), "count": total}
        )
        schema = Schema(columns={name: Column(type=kind) for name, kind in case.columns.items()} | dict(case.pinned))
        return validate(
            examples=examples,
            train=train,
            test=test,
            learning=LearningSection(
                problem=case.problem, classes=case.classes, features=dict(case.kinds), trainer=TrainerChoice()
            ),
            gates=case.gates,
            schema=schema,
            previous=case.previous,
            runner=case.runner,
        )


def flights(count: int, seed: int) -> dict[str, list[Any]]:
    """Rows like those of the flights example."""
    draw = random.Random(seed)
    return {
        "carrier": draw.choices(["UA", "B6", "EV", "DL", "AA"], weights=[5, 4, 4, 4, 3], k=count),
        "distance": [None if draw.random() < 0.05 else draw.gauss(1000, 300) for _ in range(count)],
        "minute": [draw.choice(range(300, 1440, 5)) for _ in range(count)],
    }


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """Rows that hold every gate."""
    return Case(
        folder=tmp_path,
        columns={"carrier": "string", "distance": "float64", "minute": "int64"},
        kinds={"carrier": "categorical", "distance": "numeric", "minute": "numeric"},
        train=flights(4000, 1),
        test=flights(2000, 2),
        pinned={"carrier": Column(type="string", domain=("AA", "B6", "DL", "EV", "UA"), max_missing=0)},
    )


@pytest.fixture
def moved() -> Callable[[Values], dict[str, list[Any]]]:
    """Rows whose distances have moved."""

    def move(values: Values) -> dict[str, list[Any]]:
        distances = [None if value is None else value + 400 for value in values["distance"]]
        return {**{name: list(column) for name, column in values.items()}, "distance": distances}

    return move
