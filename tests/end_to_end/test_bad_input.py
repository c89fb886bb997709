"""Every bad input, through the command line: what is wrong, where, and what to do about it."""

import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from tests.small_task import AS_OF, sales, write_csv, write_task

FEATURE = {"kind": "numeric", "available": "before"}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """One data root, registry and cache for all cases."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def run(saiki, state):
    """Runs the constant trainer on a task; settings replace the defaults."""

    def call(task, *settings, options=(), cwd=None, state=state):
        given = [f"task={task}", f"as_of={AS_OF}", "trainer=constant", "budget=1", *settings]
        arguments = ["run", "training", "--state", state, *options, *(x for s in given for x in ("--set", s))]
        return saiki(*arguments, **({"cwd": cwd} if cwd else {}))

    return call


def refused(outcome, *said):
    """Exit code 2, no traceback, and a message that says what, where and what to do."""
    assert outcome.code == 2, outcome.out + outcome.err
    assert "Traceback" not in outcome.err
    assert "not one of the errors that Saiki expects" not in outcome.err
    assert outcome.err.startswith("error: ")
    assert "\n  where: " in outcome.err
    assert "\n  do:    " in outcome.err
    for text in said:
        assert str(text) in outcome.err


def change(*path, to=None):
    """Sets a field of a task or schema, or removes it."""

    def apply(values):
        for name in path[:-1]:
            values = values[name]
        if to is None:
            del values[path[-1]]
        else:
            values[path[-1]] = to

    return apply


def feature_of_label_at_second_hand(task):
    task["derived"] = {"busy": {"expression": "sold > 5", "type": "bool"}}
    task["features"]["busy"] = {"kind": "boolean", "available": "before"}


TASKS = {
    "a field is missing": (change("label"), ["missing field 'label'", "step plan"]),
    "a field is unknown": (change("slicez", to=["stand"]), ["unknown field 'slicez'", "did you mean 'slices'?"]),
    "an inner field is unknown": (change("label", "known_aftr", to="1d"), ["label.known_aftr", "known_after"]),
    "a cost is no number": (
        change("decision", to={"costs": {"false_positive": 1, "false_negative": float("nan")}}),
        ["Task is not valid: decision.costs.false_negative is not a finite number", "step plan"],
    ),
    "a gate is unknown": (change("gates", "metric", "min_row", to=3), ["'metric.min_row'", "'min_rows'"]),
    "a gate is on another problem's metric": (
        change("gates", "metric", "limits", to={"rmse": {"max": 3}}),
        ["rmse is not a metric of binary_classification", "gates.metric.limits", "auc"],
    ),
    "a feature is no column": (
        change("features", "temprature", to=FEATURE),
        ["no column 'temprature'", "features.temprature in /", "task.yaml", "'temperature'"],
    ),
    "an expression reads no column": (
        change("label", "expression", to="sould > 20"),
        ["no column 'sould'", "label.expression", "'sold'"],
    ),
    "a feature has another type": (change("features", "stand", to=FEATURE), ["'stand' is numeric", "type string"]),
    "the label is derived from a feature": (
        change("features", "sold", to=FEATURE),
        ["label is derived from the feature 'sold'", "features.sold", "available: after"],
    ),
    "the label is derived from the parent of a feature": (
        feature_of_label_at_second_hand,
        ["label is derived from the feature 'busy' (through sold)", "features.busy"],
    ),
    "the window is too short for its parts": (
        change("window", to={"length": "30d"}),
        ["window is too short", "2024-05-02 00:00", "task.yaml"],
    ),
    "the trainer is unknown": (
        change("trainer", "name", to="liner"),
        ["no trainer 'liner'", "did you mean 'linear'?", "step plan"],
    ),
    "nothing is where the source should be": (
        change("data", "sources", to=["sale.csv"]),
        ["No source matches sale.csv", "there are: sales.csv"],
    ),
    "no row lies in the population": (
        change("population", to="stand = 'airport'"),
        ["No row is left of 450: 450 out of population", "sales.csv, row 1", "`population`"],
    ),
    "the label is of one class": (
        change("label", "expression", to="sold > 2000"),
        ["The label is 0 in all 309 rows of the train part", "label.expression"],
    ),
    "the rows end before the parts begin": (
        change("split", to={"tune": "2d", "test": "2d"}),
        ["part is empty", "the rows end before it begins", "as_of=2024-05-30"],
    ),
    "all labels are immature": (
        change("label", "known_after", to="400d"),
        ["No row has a mature label", "450", "known_after"],
    ),
}


@pytest.mark.parametrize("case", TASKS)
def test_a_task_that_is_wrong_is_refused(case, run, tmp_path):
    wrong, said = TASKS[case]
    task = write_task(tmp_path, task=wrong)
    refused(run(task, "trainer=" if "trainer" in case else "trainer=constant"), *said)


TEXTS = {
    "not YAML": (b"name: [a\nb: c", ["not readable YAML", "line 2, column 2"]),
    "a list": (b"- a\n- b", ["Task is not valid", "a list"]),
    "empty": (b"", ["Task is not valid", "nothing"]),
    "not text": (b"\x80\x81\x82", ["not UTF-8 text"]),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_task_file_that_is_none_is_refused(case, run, tmp_path):
    content, said = TEXTS[case]
    task = write_task(tmp_path)
    task.write_bytes(content)
    refused(run(task), task, *said)


SETTINGS = {
    "an unknown parameter": (["asof=2024-01-01"], ["'asof' is not a run parameter", "did you mean 'as_of'?"]),
    "no value": (["as_of"], ["'as_of' is not NAME=VALUE", "--set as_of=VALUE"]),
    "unreadable YAML": (["parameters={"], ["not readable YAML", "--set parameters={"]),
    "two meanings": (["parameters=5", "parameters.epochs=2"], ["'parameters' is set to 5"]),
    "not a number": (["sample=lots"], ["'lots' is not a value for 'sample'", "a number"]),
    "a share above one": (["sample=2"], ["sample is 2", "a share"]),
    "negative epochs": (["budget=-1"], ["budget is -1"]),
    "an unknown engine": (["engine=tfm"], ["no engine 'tfm'", "vectorised or tfma"]),
    "no moment": (["as_of=yesterday"], ["'yesterday' is not a date", "ISO 8601"]),
    "a moment to come": (["as_of=2099-01-01"], ["lies in the future"]),
    "a moment before all rows": (["as_of=2023-01-01"], ["No row lies in the window", "2023-01-01", "as_of"]),
    "no such task": (["task=/there/is/no/task.yaml"], ["There is no task file", "/there/is/no/task.yaml"]),
    "no such store": (["data_root=ftp://a/b"], ["cannot reach 'ftp://'", "gs://"]),
    "no bucket": (["registry=gs://"], ["names no bucket"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_run_parameter_that_is_wrong_is_refused(case, run, tmp_path):
    settings, said = SETTINGS[case]
    refused(run(write_task(tmp_path), *settings), *said)


def test_a_folder_in_place_of_a_file_is_refused(run, tmp_path):
    task = write_task(tmp_path)
    refused(run(tmp_path), "This is a folder, not a file", tmp_path)
    refused(run(task, f"data_root={task}"), "There is a file where a folder is needed", task)


def test_a_file_of_run_parameters_that_is_none_is_refused(run, tmp_path):
    task = write_task(tmp_path)
    refused(run(task, options=["--params", tmp_path / "none.yaml"]), "no such file", tmp_path / "none.yaml")
    (tmp_path / "run.yaml").write_text("as_of: [")
    refused(run(task, options=["--params", tmp_path / "run.yaml"]), "not readable YAML", "run.yaml", "line 1")


def test_a_state_folder_that_cannot_be_made_is_refused(run, tmp_path):
    task = write_task(tmp_path)
    refused(run(task, state=task / "state"), "Nothing can be written here", task / "state", "--state")


# Files and their rows.


def without(column):
    return [{name: value for name, value in row.items() if name != column} for row in sales()]


ROWS = {
    "the label's column is missing": (without("sold"), ["The column 'sold' is missing", "schema"]),
    "no row has a label": (
        [{**row, "sold": ""} for row in sales()],
        ["No row is left of 450: 450 without a label", "row 1", "label.expression"],
    ),
    "a column is of the wrong type": (
        [{**row, "temperature": "warm"} for row in sales()],
        ["No row is left of 450: 450 malformed", "row 1: temperature: 'warm'", "types"],
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_file_whose_rows_cannot_be_used_is_refused(case, run, tmp_path):
    rows, said = ROWS[case]
    task = write_task(tmp_path, rows=rows)
    refused(run(task), "step ingest", tmp_path / "sales.csv", *said)


@pytest.mark.parametrize(
    ("content", "said"), [("", "The file is empty"), ("day,stand,temperature,sold\n", "The sources hold no rows")]
)
def test_a_file_without_rows_is_refused(content, said, run, tmp_path):
    task = write_task(tmp_path)
    (tmp_path / "sales.csv").write_text(content)
    refused(run(task), said, tmp_path / "sales.csv")


def test_files_of_different_schemas_are_refused(run, tmp_path):
    task = write_task(tmp_path, task=change("data", "sources", to=["*.csv"]))
    write_csv(tmp_path / "winter.csv", [{"date": row.pop("day"), **row} for row in sales(3)])
    refused(run(task), "The column 'day' is missing", tmp_path / "winter.csv", "date, sold, stand, temperature")


def parquet(path, rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([{**row, "day": datetime.fromisoformat(row["day"])} for row in rows]), path)


def test_a_truncated_parquet_file_is_refused(run, tmp_path):
    task = write_task(tmp_path, task=change("data", "sources", to=["sales.parquet"]))
    path = tmp_path / "sales.parquet"
    parquet(path, sales())
    path.write_bytes(path.read_bytes()[:-100])
    refused(run(task), "truncated, damaged or not Parquet", path, "again")


def test_a_parquet_column_of_another_type_is_refused(run, tmp_path):
    task = write_task(tmp_path, task=change("data", "sources", to=["sales.parquet"]))
    parquet(tmp_path / "sales.parquet", [{**row, "temperature": [1.0]} for row in sales()])
    refused(run(task), "'temperature' is of type list", "declared float64", tmp_path / "sales.parquet")


@pytest.mark.parametrize("what", ["vanished", "changed"])
def test_a_source_that_is_not_as_it_was_planned_is_refused(what, run, tmp_path):
    task = write_task(tmp_path)
    source = tmp_path / "sales.csv"
    listings = tmp_path / "data" / "listings"

    def interfere():
        while not list(listings.glob("*.json")):
            time.sleep(0.005)
        if what == "vanished":
            source.unlink()
        else:
            write_csv(source, sales(days=149))

    meanwhile = threading.Thread(target=interfere, daemon=True)
    meanwhile.start()
    refused(run(task, f"data_root={tmp_path / 'data'}"), f"The source {what}", "step ingest", source, "again")


@pytest.fixture(scope="module")
def dirty(saiki, state, tmp_path_factory):
    """A run on rows that can be used but for a few of every kind of fault; its verdict's checks by name."""
    folder = tmp_path_factory.mktemp("dirty")
    rows = sales()
    rows[8]["temperature"] = "warm"
    rows[30]["sold"] = rows[33]["sold"] = rows[36]["sold"] = rows[39]["sold"] = rows[42]["sold"] = ""
    task = write_task(folder, rows=[*rows, rows[100]])
    lines = (folder / "sales.csv").read_text().splitlines(keepends=True)
    lines[6] = lines[6].replace(",", ',"stray', 1)
    lines[7] = "1,2,3,4,5,6\n"
    (folder / "sales.csv").write_text("".join(lines))
    settings = [f"task={task}", f"as_of={AS_OF}", "trainer=linear", "budget=1"]
    outcome = saiki("run", "training", "--json", "--state", state, *(x for s in settings for x in ("--set", s)))
    assert outcome.code == 1, outcome.out + outcome.err
    home = state / "registry" / "stands"
    attempt = json.loads((home / "attempts" / f"{outcome.result['judgement']}.json").read_text())
    verdict = json.loads((home / attempt["files"] / "verdict.json").read_text())
    return outcome, {check["name"]: check for check in verdict["checks"]}


def test_more_malformed_rows_than_the_limit_are_a_verdict_that_says_no(dirty):
    outcome, checks = dirty
    assert outcome.result["outcome"] == "failed"
    assert outcome.result["result"] == "rejected"
    assert "3 of 451 rows read could not be used" in outcome.result["summary"]
    check = checks["data.malformed"]
    assert check["outcome"] == "failed"
    assert "at most 0.100% is allowed" in check["reason"]
    # A stray quote, a line with too many fields, and a value of the wrong type: the first of them is named.
    assert "such as row 6 of sales.csv: a quote is opened and not closed" in check["reason"]


def test_duplicate_keys_beyond_the_limit_are_a_verdict_that_says_no(dirty):
    check = dirty[1]["data.duplicates"]
    assert check["outcome"] == "failed"
    assert "1 of 448 rows have a key that was seen before" in check["reason"]
    assert "such as row 451 of sales.csv" in check["reason"]


def test_missing_labels_beyond_the_limit_are_a_verdict_that_says_no(dirty):
    check = dirty[1]["data.label_missing"]
    assert check["outcome"] == "failed"
    assert "5 of 447 rows old enough for a label have none" in check["reason"]
    assert "such as row 31 of sales.csv" in check["reason"]


@pytest.mark.parametrize("what", ["changed", "missing"])
def test_a_shard_that_is_not_as_it_was_ingested_is_refused(what, run, tmp_path):
    state = tmp_path / "state"
    task = write_task(tmp_path, task=change("label", "expression", to="sold > 2000"))
    refused(run(task, state=state), "step split")
    shard = max((state / "data" / "shards").glob("*.parquet"), key=lambda path: path.stat().st_size)
    if what == "changed":
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 255
        shard.chmod(0o644)
        shard.write_bytes(content)
    else:
        shard.unlink()
    refused(run(task, state=state), "shard", shard)


# Trainers.


def test_a_trainer_that_raises_is_told_by_its_line_and_its_traceback_only_with_debug(run, tmp_path):
    task = write_task(tmp_path)
    module = tmp_path / "my_trainer.py"
    module.write_text("def train(job):\n    return 1 / 0\n")
    outcome = run(task, "trainer=my_trainer:train", cwd=tmp_path)
    refused(outcome, "'my_trainer:train' raised ZeroDivisionError", f"{module}:2", "step train", "--debug")

    debugged = run(task, "trainer=my_trainer:train", cwd=tmp_path, options=["--debug"])
    assert debugged.code == 2
    assert "Traceback" in debugged.err
    assert "return 1 / 0" in debugged.err
    assert "error: The trainer 'my_trainer:train' raised" in debugged.err


def test_a_trainer_that_is_not_there_is_refused(run, tmp_path):
    task = write_task(tmp_path)
    refused(run(task, "trainer=nowhere.at_all:train"), "nowhere.at_all cannot be imported", "trainer.name", "linear")


# Stores and the registry.


def only_whole_objects(data_root):
    """What can be seen in a data root is complete."""
    found = [path for path in data_root.rglob("*.*") if not path.name.startswith(".")]
    assert found
    for path in found:
        if path.suffix == ".parquet":
            assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            yaml.safe_load(path.read_text())


def test_a_registry_that_is_none_is_refused(run, tmp_path):
    task = write_task(tmp_path)
    registry = tmp_path / "registry"
    registry.mkdir()
    (registry / "thesis.doc").write_text("precious")
    refused(run(task, f"registry={registry}"), "This is not a registry", registry)
    assert [path.name for path in registry.iterdir() if not path.name.startswith(".")] == ["thesis.doc"]


def test_an_unreadable_champion_pointer_is_refused(run, tmp_path):
    task = write_task(tmp_path)
    pointer = tmp_path / "registry" / "stands" / "champion.json"
    refused(run(task, f"registry={tmp_path / 'registry'}", "as_of=2023-01-01"), "No row lies in the window")
    pointer.parent.mkdir()
    pointer.write_text('{"version": 1, "hist')
    refused(run(task, f"registry={tmp_path / 'registry'}"), "champion pointer cannot be read", pointer, "--repair")


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root and the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(run, tmp_path, small_disk):
    task = write_task(tmp_path, rows=sales(days=1500, start=date(2020, 1, 1)))
    refused(run(task, f"data_root={small_disk / 'data'}", "as_of=2024-01-01"), "The disk is full", small_disk, "free")
    only_whole_objects(small_disk / "data")


def test_a_write_that_fails_in_the_middle_is_told_and_leaves_nothing_half_written(tmp_path):
    task = write_task(tmp_path, rows=sales(days=1500, start=date(2020, 1, 1)))
    settings = [f"task={task}", "as_of=2024-01-01", f"data_root={tmp_path / 'data'}"]
    command = [sys.executable, "-m", "pipelines", "run", "--state", tmp_path / "state"]

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*command, *(x for setting in settings for x in ("--set", setting))],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        preexec_fn=limit_files,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "\n  do:    " in done.stderr
    only_whole_objects(tmp_path / "data")
