from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from components._shared import storage
from components._shared.contract import load_yaml
from components._shared.errors import DataError, InputError, NotFoundError, SaikiError
from components._shared.manifest import Listing, Manifest
from components._shared.task import DataSection, Schema, Task
from components._shared.windows import Windows
from components.ingest.executor import ingest
from components.plan.executor import Plan, plan
from components.split.executor import split
from pipelines.commands.init import init
from pipelines.proposal.task_text import yaml_text

ROOT = Path(__file__).parents[2]
Rows = list[dict[str, Any]]


def csv_text(rows: Rows, delimiter: str = ",") -> str:
    import csv

    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def customers(count: int = 300) -> Rows:
    """Who leaves: a bit of everything that a file from a stranger holds."""
    draw = random.Random(1)
    rows: Rows = []
    for number in range(count):
        months = draw.randint(1, 60)
        leaves = draw.random() < 0.7 - months / 100
        rows.append(
            {
                "Customer ID": f"C{number:05d}",
                "Monthly fee (€)": f"{draw.uniform(10, 90):.2f}",
                'months.with "us"': months,
                "plan": draw.choice(["basic", "plus", "no", ""]),
                "paperless": draw.choice(["true", "false"]),
                "zip": f"0{draw.randint(1000, 1040)}",
                "remarks": " ".join(draw.choice(["good", "bad", "asks", "pays", "late"]) for _ in range(12)),
                "country": "DE",
                "refund after leaving": f"{draw.uniform(5, 9):.2f}" if leaves else "0",
                "churned": "yes" if leaves else "no",
            }
        )
    return rows


def readings(days: int = 120) -> Rows:
    draw = random.Random(2)
    start = datetime(2024, 1, 1)
    return [
        {
            "taken_at": (start + timedelta(hours=3 * number)).isoformat(sep=" "),
            "month": (start + timedelta(hours=3 * number)).month,
            "sensor": draw.choice("abc"),
            "level": draw.gauss(0, 1),
            "flow": "" if draw.random() < 0.1 else draw.gauss(5, 2),
        }
        for number in range(days * 8)
    ]


Run = Callable[..., tuple[Task, Schema, str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Writes a file, runs the command, and reads what it wrote."""

    def call(content: str | bytes | Rows, *options: str, name: str = "data.csv") -> tuple[Task, Schema, str]:
        data = tmp_path / name
        text = csv_text(content) if isinstance(content, list) else content
        data.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = CliRunner().invoke(init, [str(data), "--out", str(tmp_path / "out"), *options], standalone_mode=False)
        if result.exception:
            raise result.exception
        return (
            Task.from_json((tmp_path / "out/task.yaml").read_text()),
            Schema.from_json((tmp_path / "out/schema.yaml").read_text()),
            result.output,
        )

    yield call


def looked_at(tmp_path: Path, as_of: str = "") -> tuple[Plan, Manifest]:
    """The rows that a run would read."""
    planned = plan(
        task_uri=str(tmp_path / "out/task.yaml"),
        as_of=as_of,
        data_root=str(tmp_path / "data"),
        registry=str(tmp_path / "registry"),
        trainer="",
        parameters={},
        sample=1.0,
        budget=0,
    )
    manifest = ingest(
        listing=Listing.from_json(storage.read(planned.listing)),
        data=DataSection.from_json(planned.data),
        windows=Windows.from_json(planned.windows),
        data_root=str(tmp_path / "data"),
    )
    return planned, manifest


def test_a_file_of_customers_becomes_a_task_that_a_run_reads_without_loss(run: Run, tmp_path: Path) -> None:
    task, schema, said = run(customers(), "--label", "churned")
    assert (task.name, task.problem, task.label.positive) == ("data", "binary_classification", "yes")
    assert task.key == ("Customer ID",)
    assert task.used_features() == {
        "Monthly fee (€)": "numeric",
        'months.with "us"': "numeric",
        "plan": "categorical",
        "paperless": "boolean",
        "zip": "categorical",
    }
    assert schema.columns["zip"].type == "string", "a leading zero makes a code"
    assert schema.columns["plan"].domain == ("basic", "no", "plus")
    assert task.slices[0] == "plan"
    assert f"saiki run training --set task={tmp_path}/out/task.yaml" in said
    assert "as_of" not in said
    planned, manifest = looked_at(tmp_path)
    assert (manifest.rows.read, manifest.rows.kept) == (300, 300)
    parts = split(examples=manifest, windows=Windows.from_json(planned.windows))
    assert parts.test.count >= task_rows(task)


def task_rows(task: Task) -> int:
    found = task.gates.metric["min_rows"]
    assert isinstance(found, int)
    return found


def test_what_gives_the_label_away_is_left_out_with_the_reason(run: Run, tmp_path: Path) -> None:
    task, _, said = run(customers(), "--label", "churned")
    assert task.left_out() == {"refund after leaving": "unknown"}
    assert "refund after leaving is left out: it alone predicts the label (AUC 1.000)" in said
    assert "# Check: it alone predicts the label" in (tmp_path / "out/task.yaml").read_text()


def test_constants_identifiers_and_free_text_are_no_features_and_it_says_why(run: Run) -> None:
    _, schema, said = run(customers(), "--label", "churned")
    assert "country: always the same" in said
    assert "Customer ID: identifies the row" in said
    assert re.search(r"remarks: \d+ different texts", said)
    assert not schema.columns["country"].required


def test_a_column_that_is_missing_where_the_label_is_is_left_out(run: Run) -> None:
    rows = customers()
    for row in rows[:40]:
        row["churned"] = row["Monthly fee (€)"] = ""
    task, _, said = run(rows, "--label", "churned")
    assert task.left_out()["Monthly fee (€)"] == "unknown"
    assert task.population == "churned IS NOT NULL"
    assert "40 of 300 rows have no label" in said


def test_rows_with_a_time_are_split_by_time_and_the_next_command_says_when(run: Run, tmp_path: Path) -> None:
    task, _, said = run(readings(), "--label", "flow", "--timezone", "Europe/Berlin")
    assert (task.problem, task.time, task.timezone) == ("regression", "taken_at", "Europe/Berlin")
    assert (task.split.tune, task.split.test, task.embargo) == ("12d", "24d", "1d")
    assert "--set as_of=2024-04-30" in said
    assert task.left_out() == {"month": "unknown"}, "the last month was never seen before"
    planned, manifest = looked_at(tmp_path, "2024-04-30")
    assert manifest.rows.malformed == 0
    assert manifest.rows.label_missing == 0
    parts = split(examples=manifest, windows=Windows.from_json(planned.windows))
    assert min(parts.train.count, parts.tune.count, parts.test.count) >= 80


def test_tolerances_of_a_regression_are_in_the_unit_of_its_label(run: Run) -> None:
    task, _, _ = run(readings(), "--label", "level")
    tolerance = task.gates.champion["tolerance"]
    assert isinstance(tolerance, dict)
    assert tolerance["rmse"]["worse_by"] == pytest.approx(0.02, rel=0.2)


def test_time_can_be_refused(run: Run) -> None:
    task, _, _ = run(readings(), "--label", "level", "--time", "none")
    assert task.time is None
    assert isinstance(task.split.test, float)


def test_dates_that_are_not_iso_become_a_derived_column(run: Run, tmp_path: Path) -> None:
    rows = [
        {"Day": (date(2024, 1, 1) + timedelta(n)).strftime("%d.%m.%Y"), "x": n % 7, "y": (n * 37) % 11 / 3}
        for n in range(200)
    ]
    task, _, _ = run(rows, "--label", "y")
    assert task.time == "day_parsed"
    assert task.derived["day_parsed"].expression == "strptime(\"Day\", '%d.%m.%Y')"
    _, manifest = looked_at(tmp_path, "2024-07-19")
    assert manifest.rows.kept == 200
    assert manifest.window is not None


def test_moments_with_an_offset_are_read(run: Run, tmp_path: Path) -> None:
    rows = readings(60)
    for row in rows:
        row["taken_at"] = row["taken_at"].replace(" ", "T") + "+02:00"
    task, _, _ = run(rows, "--label", "level")
    assert task.time == "taken_at"
    assert looked_at(tmp_path, "2024-03-01")[1].rows.malformed == 0


def test_three_classes_are_listed_in_order(run: Run) -> None:
    draw = random.Random(3)
    rows = [{"kind": draw.choice(["b", "a", "yes"]), "x": draw.random()} for _ in range(90)]
    task, _, _ = run(rows, "--label", "kind")
    assert (task.problem, task.label.classes) == ("multiclass_classification", ("a", "b", "yes"))


def test_whole_numbers_may_be_classes_or_amounts(run: Run) -> None:
    draw = random.Random(3)
    rows = [{"grade": draw.randint(3, 8), "x": draw.random()} for _ in range(200)]
    assert run(rows, "--label", "grade")[0].label.classes == (3, 4, 5, 6, 7, 8)
    assert run(rows, "--label", "grade", "--problem", "regression", "--force")[0].problem == "regression"


def test_a_label_of_zero_and_one_needs_no_positive_value(run: Run, tmp_path: Path) -> None:
    draw = random.Random(3)
    task, _, _ = run([{"hit": draw.randint(0, 1), "x": draw.random()} for _ in range(90)], "--label", "hit")
    assert (task.problem, task.label.positive) == ("binary_classification", None)
    assert looked_at(tmp_path)[1].rows.kept == 90


def test_a_label_may_be_an_expression(run: Run) -> None:
    task, _, _ = run(readings(), "--label", "flow > 5")
    assert (task.problem, task.label.expression) == ("binary_classification", "flow > 5")
    assert "flow" not in task.features
    assert task.population == "(flow > 5) IS NOT NULL"


def test_other_words_for_missing_are_found_in_columns_of_numbers(run: Run, tmp_path: Path) -> None:
    rows = customers()
    for row in rows[:20]:
        row['months.with "us"'] = "?"
    task, schema, _ = run(rows, "--label", "churned")
    assert schema.columns['months.with "us"'].type == "int64"
    assert "?" in task.data.csv.null_values
    assert looked_at(tmp_path)[1].rows.kept == 300


def test_other_separators_are_found(run: Run, tmp_path: Path) -> None:
    task, _, _ = run(csv_text(customers(), ";"), "--label", "churned")
    assert task.data.csv.delimiter == ";"
    assert looked_at(tmp_path)[1].rows.kept == 300


def test_compressed_files_are_read(run: Run, tmp_path: Path) -> None:
    text = csv_text(customers()).encode()
    assert run(gzip.compress(text), "--label", "churned", name="a.csv.gz")[0].name == "a"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("inside.csv", text)
    task, _, _ = run(packed.getvalue(), "--label", "churned", "--force", name="b.csv.zip")
    assert task.name == "b"
    assert looked_at(tmp_path)[1].rows.kept == 300


def test_parquet_and_json_lines_keep_their_types(run: Run, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = customers()
    for row in rows:
        row["paperless"] = row["paperless"] == "true"
        row["tags"] = ["a", "b"]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    _, schema, said = run(stream.getvalue(), "--label", "churned", name="c.parquet")
    assert schema.columns["paperless"].type == "bool"
    assert "tags" not in schema.columns
    assert "not a single value" in said
    assert looked_at(tmp_path)[1].rows.kept == 300
    lines = "\n".join(json.dumps(row) for row in rows)
    assert run(lines, "--label", "churned", "--force", name="c.jsonl")[1].columns["paperless"].type == "bool"
    assert looked_at(tmp_path)[1].rows.kept == 300


def test_without_a_label_the_likely_ones_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"likely ones first: churned, .*--label churned") as caught:
        run(customers())
    assert not (tmp_path / "out").exists()
    assert "remarks" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "options", "kind", "message"),
    [
        (customers(30), ("--label", "churned"), DataError, "30 rows: too few"),
        (customers(), ("--label", "churn"), InputError, "did you mean 'churned'"),
        (customers(), ("--label", "country"), DataError, "one value only: DE"),
        (customers(), ("--label", "remarks"), DataError, "too many for classes"),
        (customers(), ("--label", "plan", "--problem", "regression"), InputError, "does not fit regression"),
        (customers(), ("--label", "churned", "--positive", "maybe"), InputError, "never 'maybe'"),
        (customers(), ("--label", "churned", "--time", "plan"), InputError, "cannot be the time"),
        (readings(), ("--label", "flow", "--timezone", "Mars"), InputError, "not an IANA time zone"),
        (readings(), ("--label", "flow", "--known-after", "soon"), InputError, "not a span"),
        ("a,A,b\n" + "1,2,3\n" * 60, ("--label", "b"), DataError, "stand more than once"),
        ("1,2,3\n" * 60, ("--label", "b"), DataError, "no column names"),
        ("", ("--label", "b"), DataError, "empty"),
        ("a,b\n" + "1,2,3\n" * 60, ("--label", "b"), DataError, "as many fields"),
        (b"a,b\n" + b"\xff\xfe\xe9,1\n" * 60, ("--label", "b"), DataError, "UTF-8"),
    ],
)
def test_bad_input_gets_a_clear_answer(
    run: Run, tmp_path: Path, content: Any, options: tuple[str, ...], kind: type[SaikiError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(content, *options)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(init, [str(tmp_path / "nothing.csv")], standalone_mode=False)
    assert isinstance(result.exception, NotFoundError)


def test_a_task_that_is_there_is_not_overwritten_unless_asked(run: Run, tmp_path: Path) -> None:
    run(customers(), "--label", "churned")
    (tmp_path / "out/task.yaml").write_text("mine")
    with pytest.raises(InputError, match="There is a task already"):
        run(customers(), "--label", "churned")
    assert (tmp_path / "out/task.yaml").read_text() == "mine"
    run(customers(), "--label", "churned", "--force")


def test_at_a_terminal_it_asks(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(csv_text(customers()))
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "pipelines", "init", "people.csv", "--time", "none"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    # Label: the first one. Positive value: 'no'. The refund is known, says the person.
    os.write(ours, b"\nno\ny\n")
    said, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, said
    assert "Which column is to be predicted?" in said
    task = Task.from_json((tmp_path / "people/task.yaml").read_text())
    assert (task.label.expression, task.label.positive) == ("churned", "no")
    assert "refund after leaving" in task.used_features()


@given(st.text())
def test_any_text_survives_yaml(text: str) -> None:
    assert load_yaml(f"[{{a: {yaml_text(text)}}}, {{{yaml_text(text)}: 1}}]") == [{"a": text}, {text: 1}]


@pytest.mark.parametrize(
    "word", ["yes", "No", "on", "null", "~", "1e3", "2024-01-01", "0x1f", "1_000", "", " a", "a: b", "#"]
)
def test_words_that_yaml_would_read_as_something_else_are_quoted(word: str) -> None:
    assert yaml_text(word).startswith('"')
