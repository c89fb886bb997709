#!/usr/bin/env python3
"""How long `compare` takes over many pairs of predictions, and how much memory: it is meant to be flat.

Run in the environment of the light steps::

    .venv/bin/python -m benchmarks.compare_speed [--rows 1000000 10000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.digests import manifest_digest
from components._shared.manifest import Manifest
from components._shared.tables import ShardWriter
from components._shared.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS = (1_000_000, 10_000_000)
DAYS = 30
START = datetime(2024, 1, 1, tzinfo=UTC)
PIECE = 262_144
PLACES, SHOPS = 12, 200

_FEATURES: dict[str, Any] = {"distance": "float64", "shop": "string"}
_OWN: dict[str, Any] = {
    "_time": "timestamp",
    "_key": "string",
    "_label": "float64",
    "_cluster": "string",
    "_weight": "float64",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables, compare them in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="pairs to compare")
    parser.add_argument("--compare", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.compare:
        print(json.dumps(measured(Path(options.compare))))
        return
    print(f"{'pairs':>12} {'wall':>9} {'processor':>10} {'pairs/s':>12} {'peak memory':>12}")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="saiki-compare-") as folder:
            write(Path(folder), rows)
            command = [sys.executable, "-m", "benchmarks.compare_speed", "--compare", folder]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
        print(
            f"{rows:>12,} {found['seconds']:>7.1f} s {found['processor']:>8.1f} s {rows / found['seconds']:>12,.0f} "
            f"{found['bytes'] / 1e6:>9,.0f} MB",
            flush=True,
        )


def measured(folder: Path) -> dict[str, float]:
    """Seconds of `compare` on the clock and of the processors, imports included; the largest memory in bytes."""
    started = time.monotonic()
    from components._shared.gates import GateChoice, resolve_gates
    from components._shared.model_info import ModelInfo
    from components._shared.task import EvaluationSection, LearningSection, TrainerChoice
    from components.compare.executor import compare

    gates = resolve_gates(GateChoice(), "binary_classification")
    learning = LearningSection(
        problem="binary_classification",
        classes=None,
        features={"distance": "numeric", "shop": "categorical"},
        trainer=TrainerChoice(),
    )
    found = compare(
        candidate=Manifest.from_json((folder / "candidate.json").read_text()),
        champion=Manifest.from_json((folder / "champion.json").read_text()),
        examples=Manifest.from_json((folder / "examples.json").read_text()),
        model=ModelInfo(digest="new", learning=learning, inputs={}, fit_until=START, base=(0.3,), rows={}),
        section=EvaluationSection(
            problem="binary_classification",
            classes=None,
            slices=("place", "shop"),
            metric=gates.metric,
            champion=gates.champion,
            behaviour=gates.behaviour,
            embargo="0d",
            timezone="UTC",
            has_time=True,
        ),
    )
    print(found.comparison.story, file=sys.stderr)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.monotonic() - started,
        "processor": used.ru_utime + used.ru_stime,
        "bytes": used.ru_maxrss * 1024,
    }


def write(folder: Path, rows: int) -> None:
    """Examples and both models' predictions of them, as `predict` writes them."""
    tables: dict[str, dict[str, Any]] = {
        "examples": {**_OWN, **_FEATURES, "place": "string"},
        "candidate": {**_OWN, "place": "string", "shop": "string", "score": "float64"},
        "champion": {**_OWN, "place": "string", "shop": "string", "score": "float64"},
    }
    writers = {name: ShardWriter(str(folder / "data"), columns) for name, columns in tables.items()}
    for first in range(0, rows, PIECE):
        columns = _columns(first, min(first + PIECE, rows), rows)
        for name, writer in writers.items():
            score = columns[f"{name} score"] if name != "examples" else None
            writer.write(_table(columns, score, tables[name]))
    for name, writer in writers.items():
        shards = writer.close()
        manifest = Manifest(
            role="test" if name == "examples" else "predictions",
            digest=manifest_digest(tables[name], shards),
            columns=tables[name],
            shards=shards,
            count=rows,
            window=Window(start=START, end=START + timedelta(days=DAYS)),
            model={"candidate": "new", "champion": "old"}.get(name),
            fit_until=START,
        )
        (folder / f"{name}.json").write_text(manifest.to_json())


def _columns(first: int, last: int, rows: int) -> dict[str, Any]:
    """Rows in the order of time, whose scores differ by place and by day."""
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng([first, 7])
    count = last - first
    microseconds = np.arange(first, last) * (DAYS * 86_400 * 10**6 // rows)
    day = microseconds // (86_400 * 10**6)
    place, shop = random.integers(0, PLACES, count), random.integers(0, SHOPS, count)
    logit = random.normal(-1.2, 1, count)
    candidate = logit + random.normal(0.02, 0.15, count) + 0.1 * (place == 3) + 0.05 * np.sin(day)
    label = (random.random(count) < 1 / (1 + np.exp(-logit))).astype(float)
    start = int(START.timestamp()) * 10**6
    return {
        "_time": pa.array(microseconds + start, pa.timestamp("us", "UTC")),
        "_key": _keys(random.integers(0, 256, (count, 16), dtype=np.uint8)),
        "_label": pa.array(label),
        "_cluster": pa.array([f"day {number:02d}" for number in range(DAYS)]).take(pa.array(day)),
        "_weight": pa.array(np.ones(count)),
        "distance": pa.array(random.gamma(2, 300, count)),
        "shop": pa.array([f"shop {number}" for number in range(SHOPS)]).take(pa.array(shop)),
        "place": pa.array([f"place {number}" for number in range(PLACES)]).take(pa.array(place)),
        "champion score": pa.array((1 / (1 + np.exp(-logit))).astype(np.float32).astype(np.float64)),
        "candidate score": pa.array((1 / (1 + np.exp(-candidate))).astype(np.float32).astype(np.float64)),
    }


def _keys(values: NDArray[Any]) -> pa.Array:
    """The hexadecimal digits of 16 bytes for each row."""
    import numpy as np
    import pyarrow as pa

    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.stack([digits[values >> 4], digits[values & 15]], axis=2).reshape(len(values), 32)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text)))


def _table(columns: dict[str, Any], score: Any, names: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: score if name == "score" else columns[name] for name in names})


if __name__ == "__main__":
    main()
