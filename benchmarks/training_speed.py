"""Time and memory of a whole `training` run: set-up excluded, nothing cached.

The job: predict late arrivals from eleven raw columns of the 2013 flights with a 64-32-1 network, 2 epochs of
batch 512, a fifth of the rows held out, metrics overall and by origin and carrier, push. Larger sizes repeat the rows
with shifted days.

    python benchmarks/training_speed.py --sizes 1 3 10 --runs 3
    python benchmarks/training_speed.py --runs 3 --against 'podman run … python pipeline.py {data} {out}'

With `--against` each of our runs is followed by one of the other command, on the same CSV, so that a drift of the
machine's speed falls on both; `{data}` is the folder with data.csv, `{out}` a fresh folder. Prints medians, and ratios
pair by pair.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

ROOT = Path(__file__).resolve().parents[1]
NUMERIC = ("month", "day", "hour", "minute", "sched_dep_time", "sched_arr_time", "dep_delay", "distance")
CATEGORICAL = ("carrier", "origin", "dest")


def make_csv(source: Path, target: Path, size: int) -> int:
    """Writes data.csv with `size` copies of the rows that have an arrival delay; returns the number of rows."""
    with zipfile.ZipFile(source) as archive, archive.open(archive.namelist()[0]) as file:
        table = pcsv.read_csv(
            file, convert_options=pcsv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
        )
    table = table.filter(pc.is_valid(table["arr_delay"]))
    late = pc.cast(pc.greater(table["arr_delay"], 15), pa.int64())
    table = table.select([*NUMERIC, *CATEGORICAL]).append_column("late", late)
    # One decimal, so that a tool which infers types sees a float.
    delay = pc.cast(pc.cast(table["dep_delay"], pa.float64()), pa.decimal128(9, 1))
    table = table.set_column(table.schema.get_field_index("dep_delay"), "dep_delay", delay)
    target.mkdir(parents=True, exist_ok=True)
    plain = pcsv.WriteOptions(include_header=False, quoting_style="none")
    with (target / "data.csv").open("wb") as file, pcsv.CSVWriter(file, table.schema, write_options=plain) as writer:
        file.write((",".join(table.column_names) + "\n").encode())
        for copy in range(size):
            day = pc.add(pc.subtract(table["day"], 1), copy)
            shifted = pc.add(pc.subtract(day, pc.multiply(pc.divide(day, 28), 28)), 1) if copy else table["day"]
            writer.write_table(table.set_column(table.schema.get_field_index("day"), "day", shifted))
    return table.num_rows * size


def write_task(folder: Path) -> None:
    """The task file and the schema of the job."""
    features = {name: {"kind": "numeric", "available": "before"} for name in NUMERIC}
    features |= {name: {"kind": "categorical", "available": "before"} for name in CATEGORICAL}
    task = {
        "format": "saiki/task/v1",
        "name": "speed",
        "problem": "binary_classification",
        "data": {"sources": ["data.csv"]},
        "label": {"expression": "late"},
        "features": features,
        "slices": ["origin", "carrier"],
        "split": {"tune": 0.02, "test": 0.2},
        "trainer": {"name": "mlp", "parameters": {"hidden": [64, 32], "epochs": 2, "batch_size": 512}},
    }
    kinds = {name: "float64" if name == "dep_delay" else "int64" for name in NUMERIC}
    kinds |= dict.fromkeys(CATEGORICAL, "string") | {"late": "int64"}
    schema = {"format": "saiki/schema/v1", "columns": {name: {"type": kind} for name, kind in kinds.items()}}
    (folder / "task.yaml").write_text(json.dumps(task, indent=1))
    (folder / "schema.yaml").write_text(json.dumps(schema, indent=1))


class Watch:
    """Follows the largest resident set of any process below this one, and the largest sum of proportional sets."""

    def __init__(self) -> None:
        self.one = 0
        self.all = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(0.25):
            total = 0
            for pid in _descendants(os.getpid()):
                with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended, or is a zombie
                    status = Path(f"/proc/{pid}/status").read_text()
                    self.one = max(self.one, int(status.split("VmHWM:")[1].split()[0]))
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    total += int(rollup.split("Pss:")[1].split()[0])
            self.all = max(self.all, total)


def _descendants(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {root}


def timed(command: list[str], log: Path, accepted: tuple[int, ...]) -> tuple[float, int, int]:
    """Runs a command; returns seconds, largest resident set of one process (MB), largest sum (MB)."""
    with log.open("w") as file, Watch() as watch:
        begin = time.monotonic()
        code = subprocess.call(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
        seconds = time.monotonic() - begin
    if code not in accepted:
        sys.exit(f"exit code {code}: {shlex.join(command)}\n{log.read_text()[-3000:]}")
    return seconds, watch.one // 1024, watch.all // 1024


def ours(data: Path, out: Path, log: Path) -> tuple[tuple[float, int, int], dict[str, float]]:
    """One run of Saiki in a fresh state folder; also the seconds of each step."""
    command = [str(ROOT / ".venv/bin/python"), "-m", "pipelines", "run", "training", "--json"]
    command += ["--state", str(out), "--set", f"task={data / 'task.yaml'}"]
    figures = timed(command, log, (0, 1))
    text = log.read_text()
    steps = json.loads(text[text.index("{\n") :])["steps"]
    return figures, {step["step"]: step["seconds"] for step in steps}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--against", help="another command doing the same job; {data} and {out} are filled in")
    parser.add_argument("--source", type=Path, default=ROOT / "examples/flights/data/flights.csv.zip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="saiki-speed-") as name:
        for size in arguments.sizes:
            data = Path(name) / f"x{size}"
            rows = make_csv(arguments.source, data, size)
            write_task(data)
            mine, steps, other = [], [], []
            for number in range(arguments.runs):
                figures, step_seconds = ours(data, Path(name) / "saiki", Path(name) / "saiki.log")
                mine.append(figures)
                steps.append(step_seconds)
                shutil.rmtree(Path(name) / "saiki")
                line = f"size {size} run {number + 1}: saiki {figures[0]:.1f} s"
                if arguments.against:
                    out = Path(name) / "other"
                    out.mkdir()
                    command = [part.format(data=data, out=out) for part in shlex.split(arguments.against)]
                    other.append(timed(command, Path(name) / "other.log", (0,)))
                    shutil.rmtree(out)
                    line += f", other {other[-1][0]:.1f} s, ratio {figures[0] / other[-1][0]:.3f}"
                print(line, flush=True)
            _print(size, rows, mine, steps, other)


def _print(
    size: int,
    rows: int,
    mine: list[tuple[float, int, int]],
    steps: list[dict[str, float]],
    other: list[tuple[float, int, int]],
) -> None:
    def median(figures: list[tuple[float, int, int]], which: int) -> float:
        return statistics.median(figure[which] for figure in figures)

    print(f"\n{size}x: {rows:,} rows, {len(mine)} runs, medians")
    for name, figures in (("saiki", mine), ("other", other)):
        if figures:
            print(
                f"  {name:<6} {median(figures, 0):7.1f} s   largest process {median(figures, 1):6.0f} MB"
                f"   all together (PSS) {median(figures, 2):6.0f} MB"
            )
    if other:
        ratios = [a[0] / b[0] for a, b in zip(mine, other, strict=True)]
        print(
            f"  ratio saiki/other, pair by pair: median {statistics.median(ratios):.3f}, "
            f"{min(ratios):.3f}–{max(ratios):.3f}"
        )
    print(
        "  steps: " + ", ".join(f"{name} {statistics.median(s[name] for s in steps):.1f}" for name in steps[0]) + "\n"
    )


if __name__ == "__main__":
    main()
