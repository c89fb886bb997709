from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components._shared.errors import InputError, TaskError
from components._shared.evidence import DataEvidence
from components._shared.manifest import Rows
from components._shared.records import Attempt, Baseline
from components._shared.registry import Registry
from components._shared.task import Column, Schema
from components._shared.windows import Windows
from components.validate.distributions import Distribution
from components.validate.proposal import propose
from pipelines.commands.schema import schema, with_columns

PINNED = """# What the airline sends.
format: saiki/schema/v1
columns:
  month: {type: int64, min: 1, max: 12}   # calendar month
  carrier: {type: string, domain: ["9E", AA], max_missing: 0}
  origin:            # where from
    type: string
    domain:
      - EWR          # Newark
      - JFK
    # never missing
    max_missing: 0

  "it's: odd": {type: float64}
# the end
"""

TASK = """
name: flights
problem: binary_classification
data: {sources: [data.csv]}
label: {expression: month > 6}
features: {carrier: {kind: categorical, available: before}}
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    (tmp_path / "schema.yaml").write_text(PINNED)
    (tmp_path / "task.yaml").write_text(TASK)
    return tmp_path / "task.yaml"


def proposal() -> str:
    seen = {
        "month": Distribution(name="month", rows=100, missing=0, numeric=True, min=1, max=13),
        "carrier": Distribution(
            name="carrier", rows=100, missing=0.0213, numeric=False, categories={"AA": 0.9, "1E": 0.05, "no": 0.05}
        ),
        "origin": Distribution(name="origin", rows=100, missing=0, numeric=False, categories={"LGA": 0.5, "EWR": 0.5}),
    }
    return propose(Schema.from_json(PINNED), [seen], frozenset({"month"}))


def record_run(root: Path, folder: Path, number: int, text: str) -> None:
    registry = Registry(str(root), "flights")
    registry.open(create=True)
    moment = datetime(2013, 7, 1 + number, tzinfo=UTC)
    attempt = Attempt(
        experiment="e",
        judgement=f"{number:064x}",
        task="flights",
        outcome="failed",
        result="rejected",
        reason="unseen categories",
        baseline=Baseline(),
        windows=Windows(as_of=moment, timezone="UTC"),
        model_digest="m",
        made_from={},
        created=moment,
    )
    evidence = DataEvidence(rows=Rows(), parts={}, features=(), proposal=text)
    (folder / "evidence.json").write_text(json.dumps({"data": evidence.model_dump(mode="json")}))
    registry.record_attempt(attempt, {"evidence.json": folder / "evidence.json"})


def run(*arguments: object) -> Result:
    return CliRunner().invoke(schema, [str(argument) for argument in arguments], catch_exceptions=False)


def test_accept_shows_the_difference_and_keeps_comments(task: Path, tmp_path: Path) -> None:
    (tmp_path / "proposal.yaml").write_text(proposal())
    done = run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml")
    assert done.exit_code == 0
    assert "+  month: {type: int64, min: 1, max: 13}   # calendar month" in done.output
    assert (
        (tmp_path / "schema.yaml").read_text()
        == """# What the airline sends.
format: saiki/schema/v1
columns:
  month: {type: int64, min: 1, max: 13}   # calendar month
  carrier: {type: string, domain: ["9E", AA, 1E, 'no'], max_missing: 0.022}
  origin:            # where from
    type: string
    domain:
      - EWR          # Newark
      - JFK
      - LGA
    # never missing
    max_missing: 0

  "it's: odd": {type: float64}
# the end
"""
    )
    again = run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml")
    assert again.exit_code == 0
    assert "Nothing to accept" in again.output


def test_diff_writes_nothing(task: Path, tmp_path: Path) -> None:
    (tmp_path / "proposal.yaml").write_text(proposal())
    assert "max: 13" in run("diff", "--task", task, "--proposal", tmp_path / "proposal.yaml").output
    assert (tmp_path / "schema.yaml").read_text() == PINNED


def test_only_the_named_columns_are_accepted(task: Path, tmp_path: Path) -> None:
    (tmp_path / "proposal.yaml").write_text(proposal())
    run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml", "--column", "month")
    after = Schema.from_json((tmp_path / "schema.yaml").read_text())
    assert after.columns["month"].max == 13
    assert after.columns["carrier"].domain == ("9E", "AA")
    run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml", "--column", "carrier")
    assert Schema.from_json((tmp_path / "schema.yaml").read_text()).columns["carrier"].domain == (
        "9E",
        "AA",
        "1E",
        "no",
    )
    with pytest.raises(InputError, match="changes no column 'typo'"):
        run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml", "--column", "typo")


def test_an_edit_since_the_run_is_not_reverted(task: Path, tmp_path: Path) -> None:
    (tmp_path / "proposal.yaml").write_text(proposal())
    (tmp_path / "schema.yaml").write_text(PINNED.replace("{type: float64}", "{type: float64, min: 0}"))
    run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml")
    after = Schema.from_json((tmp_path / "schema.yaml").read_text())
    assert (after.columns["it's: odd"].min, after.columns["month"].max) == (0, 13)


def test_the_proposal_of_the_latest_recorded_run_is_the_default(task: Path, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    with pytest.raises(InputError, match="No run of 'flights' is recorded"):
        run("accept", "--task", task, "--registry", registry)
    for number, text in enumerate(["", proposal()]):
        record_run(registry, tmp_path, number, text)
        done = run("accept", "--task", task, "--registry", registry)
        assert done.exit_code == 0
        assert ("Nothing to accept" in done.output) == (text == "")
    assert Schema.from_json((tmp_path / "schema.yaml").read_text()).columns["month"].max == 13


def test_a_proposal_that_is_none_is_refused(task: Path, tmp_path: Path) -> None:
    (tmp_path / "proposal.yaml").write_text("columns: {month: {type: number}}")
    with pytest.raises(InputError, match=r"columns\.month\.type"):
        run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml")
    (tmp_path / "schema.yaml").write_text("columns: 3")
    with pytest.raises(TaskError):
        run("accept", "--task", task, "--proposal", tmp_path / "proposal.yaml")


@pytest.mark.parametrize(
    "text",
    [
        PINNED,
        PINNED.replace("\n", "\r\n"),
        Schema.from_json(PINNED).to_json(),
        "format: saiki/schema/v1\ncolumns: {month: {type: int64}}",
        "columns:\n  month:\n    type: int64",
    ],
)
def test_any_shape_of_file_ends_as_the_wanted_schema(text: str) -> None:
    before = Schema.from_json(text)
    wanted = {
        "month": Column(type="int64", min=0, max=31, domain=("1", "yes"), max_missing=0.5, required=False),
        "new: one": Column(type="string", domain=("a", "ü", "true", "1")),
        "second": Column(type="date"),
    }
    after = Schema.from_json(with_columns(text, before, wanted))
    assert after == Schema(columns={**before.columns, **wanted})


def test_a_narrower_column_replaces_the_old_one() -> None:
    before = Schema.from_json(PINNED)
    wanted = {"origin": Column(type="string"), "month": Column(type="float64", max=3)}
    text = with_columns(PINNED, before, wanted)
    assert Schema.from_json(text) == Schema(columns={**before.columns, **wanted})
    assert "# the end" in text
