"""A task of a few hundred rows, for tests that run whole pipelines: will more than 20 be sold at this stand today?"""

from __future__ import annotations

import copy
import csv
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

AS_OF = "2024-06-01"

Row = dict[str, Any]

TASK: dict[str, Any] = {
    "format": "saiki/task/v1",
    "name": "stands",
    "problem": "binary_classification",
    "data": {"sources": ["sales.csv"]},
    "label": {"expression": "sold > 20"},
    "time": "day",
    "key": ["day", "stand"],
    "features": {
        "stand": {"kind": "categorical", "available": "before"},
        "temperature": {"kind": "numeric", "available": "before"},
    },
    "split": {"tune": "21d", "test": "28d"},
    "trainer": {"name": "linear"},
    "gates": {
        "data": {"min_rows": 50, "drift_psi": None, "skew_psi": None},
        "metric": {"min_rows": 20, "min_days": 5},
        # A few hundred rows prove nothing; what these tests ask is what becomes of a candidate that may be promoted.
        "champion": {"improve": "no"},
    },
}

SCHEMA: dict[str, Any] = {
    "format": "saiki/schema/v1",
    "columns": {
        "day": {"type": "timestamp"},
        "stand": {"type": "string", "domain": ["beach", "market", "station"]},
        "temperature": {"type": "float64"},
        "sold": {"type": "int64"},
    },
}


def sales(days: int = 150, start: date = date(2024, 1, 1)) -> list[Row]:
    """A row for each stand and day; more is sold when it is warm, and at the beach."""
    chance = random.Random(7)
    rows = []
    for number in range(days):
        for stand, extra in (("beach", 6), ("market", 0), ("station", -2)):
            temperature = round(chance.gauss(18, 6), 1)
            sold = max(0, round(temperature + extra + chance.gauss(0, 3)))
            day = (start + timedelta(days=number)).isoformat()
            rows.append({"day": day, "stand": stand, "temperature": temperature, "sold": sold})
    return rows


def write_csv(path: Path, rows: list[Row]) -> Path:
    """The rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_task(
    folder: Path,
    *,
    rows: list[Row] | None = None,
    task: Callable[[dict[str, Any]], object] = lambda task: None,
    schema: Callable[[dict[str, Any]], object] = lambda schema: None,
) -> Path:
    """A folder with `task.yaml`, `schema.yaml` and `sales.csv`.

    Args:
        rows: Those of the CSV; none: `sales()`.
        task, schema: Change the plain values of the files before they are written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, change, value in (("task", task, TASK), ("schema", schema, SCHEMA)):
        changed = copy.deepcopy(value)
        change(changed)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    write_csv(folder / "sales.csv", sales() if rows is None else rows)
    return folder / "task.yaml"
