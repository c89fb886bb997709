"""Small tables of every kind of column, written as manifests, for the tests of training, prediction and behaviour."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from components._shared.digests import manifest_digest
from components._shared.manifest import Manifest
from components._shared.tables import ShardWriter
from components._shared.task import LearningSection, ScoringSection
from components._shared.windows import Window

START = datetime(2024, 1, 1, tzinfo=UTC)

FEATURES = {
    "temperature (°C)": "numeric",
    "shop": "categorical",
    "class": "categorical",
    "open on Sunday": "boolean",
    "seen at": "datetime",
}

TYPES = {
    "_time": "timestamp",
    "_key": "string",
    "_label": "float64",
    "_cluster": "string",
    "_weight": "float64",
    "temperature (°C)": "float64",
    "shop": "string",
    "class": "int64",
    "open on Sunday": "bool",
    "seen at": "timestamp",
}


def rows(
    count: int, problem: str = "binary_classification", seed: int = 1, missing: bool = True
) -> dict[str, list[Any]]:
    """Rows an hour apart from 2024 on, whose label depends on every feature."""
    random = np.random.default_rng(seed)
    temperature = random.normal(15, 8, count)
    shop = random.choice(
        ["Zürich", "Oslo", "Rome", "a shop with quite a long name, in Berlin"], count, p=[0.4, 0.3, 0.2, 0.1]
    )
    number = random.integers(0, 3, count)
    sunday = random.random(count) < 0.5
    moments = [START + timedelta(hours=int(hour)) for hour in range(count)]
    signal = (temperature - 15) / 8 + (shop == "Oslo") * 1.5 - (number == 2) + sunday * 0.7
    signal = signal + np.array([1.0 if moment.weekday() >= 5 else 0.0 for moment in moments])
    noise = random.logistic(0, 0.5, count)
    match problem:
        case "binary_classification":
            label = (signal + noise > 0.5).astype(float)
        case "multiclass_classification":
            label = np.digitize(signal + noise, [0.0, 1.5]).astype(float)
        case _:
            label = 1000 + 50 * (signal + noise)

    def holes(values: Any) -> list[Any]:
        return [
            None if missing and gone else value for value, gone in zip(values, random.random(count) < 0.05, strict=True)
        ]

    return {
        "_time": moments,
        "_key": [hashlib.sha256(f"{seed}-{row}".encode()).hexdigest()[:32] for row in range(count)],
        "_label": label.tolist(),
        "_cluster": [moment.date().isoformat() for moment in moments],
        "_weight": [1.0] * count,
        "temperature (°C)": holes(temperature.tolist()),
        "shop": holes(shop.tolist()),
        "class": holes(number.tolist()),
        "open on Sunday": holes(sunday.tolist()),
        "seen at": holes(moments),
    }


def manifest(
    root: Any,
    columns: dict[str, list[Any]],
    role: Any = "train",
    types: dict[str, Any] | None = None,
    window: Window | None = None,
) -> Manifest:
    """The rows as shards below a data root."""
    from components._shared.tables import arrow_schema

    types = types or TYPES
    table = pa.table({name: columns[name] for name in types}, schema=arrow_schema(types))
    with ShardWriter(str(root), types) as writer:
        writer.write(table)
        shards = writer.close()
    if window is None and "_time" in columns and columns["_time"]:
        window = Window(start=columns["_time"][0], end=columns["_time"][-1] + timedelta(hours=1))
    return Manifest(
        role=role,
        digest=manifest_digest(types, shards),
        columns=types,
        shards=shards,
        count=table.num_rows,
        window=window,
    )


def learning(problem: str = "binary_classification", trainer: str = "linear", **fields: Any) -> LearningSection:
    """A learning section over `FEATURES`."""
    return LearningSection.from_value(
        {
            "problem": problem,
            "classes": ["low", "middle", "high"] if problem == "multiclass_classification" else None,
            "features": fields.pop("features", FEATURES),
            "trainer": {"name": trainer, "parameters": fields.pop("parameters", {}), "seed": fields.pop("seed", 17)},
            **fields,
        }
    )


def scoring(problem: str = "binary_classification", **fields: Any) -> ScoringSection:
    """A scoring section, shops as slices."""
    classes = ["low", "middle", "high"] if problem == "multiclass_classification" else None
    return ScoringSection.from_value({"problem": problem, "classes": classes, "slices": ["shop"], **fields})
