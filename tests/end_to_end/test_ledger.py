"""Promises over half a year: a good model, a worse one that somebody insisted on, a good one that was turned down.

Of one delivery labels are missing.
"""

import json
import shlex
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from components._shared import storage
from components._shared.facts import Facts
from components._shared.garbage import find_garbage, remove_garbage
from components._shared.registry import Registry
from pipelines.__main__ import saiki
from pipelines.training.config import UNCACHED
from tests.end_to_end.warm_runs import warm_runs
from tests.small_task import sales, write_task

NOW = datetime(2024, 12, 1, tzinfo=UTC)


def ledger(registry, *arguments):
    return CliRunner().invoke(saiki, ["ledger", "--registry", registry.root, *arguments], catch_exceptions=False)


def content(root):
    return {info.uri: info.generation for info in storage.list_objects(root)}


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """The registry after five runs, their outcomes, and a way to run again."""
    folder = tmp_path_factory.mktemp("ledger")
    registry = Registry(str(folder / "registry"), "stands")
    rows = sales(240)
    # Of June, every other label comes later.
    late = [{**row, "sold": ""} if row["day"][:7] == "2024-06" and n % 2 else row for n, row in enumerate(rows)]

    def gates(task):
        task["gates"].update(promises={"blocks": 2})

    task = write_task(folder / "task", rows=rows, task=gates)
    incomplete = write_task(folder / "incomplete", rows=late, task=gates)
    with warm_runs(folder / "state") as runs:

        def run(as_of, task=task, **parameters):
            given = {"task": str(task), "data_root": str(folder / "data"), "registry": registry.root, "as_of": as_of}
            outcome = runs.run({**given, **parameters}, NOW)
            assert outcome.code in (0, 1), outcome.error
            return outcome

        outcomes = {
            "good": run("2024-04-01"),
            "insisted": run("2024-05-01", trainer="constant", override="the other one is too warm for me"),
            "turned down": run("2024-06-01", parameters={"l2": 0.001}, override=""),
            "incomplete": run("2024-07-10", task=incomplete),
            "settles": run("2024-07-24"),
        }
        yield registry, folder, outcomes, run


def test_each_decision_is_settled_on_the_blocks_after_it(year):
    registry, _, outcomes, _ = year
    assert [outcome.result["result"] for outcome in outcomes.values()] == [
        "promoted", "promoted", "rejected", "rejected", "rejected",
    ]  # fmt: skip
    told = ledger(registry, "--json")
    found = json.loads(told.stdout)
    assert [(each["as_of"][:10], each["outcome"]) for each in found["decisions"]] == [
        ("2024-07-24", ""),
        ("2024-07-10", ""),
        ("2024-06-01", "missed"),
        ("2024-05-01", "broken"),
        ("2024-04-01", "kept"),
    ]
    # Each was settled by the runs that came while its book was open: that of April is closed since 24 June.
    numbers = [[each["number"] for each in decision["settlements"]] for decision in found["decisions"]]
    assert numbers == [[], [], [1], [1, 2], [1, 2]]
    last = found["decisions"][3]["settlements"][-1]
    assert [(block["window"]["start"], block["rows"]) for block in last["blocks"]] == [
        ("2024-05-01T00:00:00Z", 84),
        ("2024-05-29T00:00:00Z", 84),
    ]
    assert last["whole"]["metrics"]["auc"]["champion"]["value"] > 0.9
    assert last["whole"]["metrics"]["auc"]["candidate"]["value"] == 0.5 == last["whole"]["metrics"]["auc"]["constant"]


def test_blocks_of_which_labels_are_missing_were_left_to_a_later_run(year):
    registry, _, outcomes, _ = year
    assert outcomes["incomplete"].steps["settle"]["outcome"] == "cannot judge"
    attempt = next(each for each in registry.tries().values() if each.windows.as_of.day == 10)
    facts = Facts.from_json(storage.read(registry.file_of(attempt, "evidence.json")))
    reasons = {promise.decision.as_of.month: promise.reason for promise in facts.promises}
    assert sorted(reasons) == [5, 6]
    for month, block in (
        (5, "37 of 84 rows from 2024-05-29 to before 2024-06-26"),
        (6, "42 of 84 rows from 2024-06-01"),
    ):
        assert f"for labels are missing: {block}" in reasons[month]
    assert [promise.whole.rows for promise in facts.promises] == [0, 0]


def test_the_broken_promise_of_the_champion_is_said_by_the_run_and_by_the_ledger(year):
    registry, folder, outcomes, _ = year
    assert outcomes["settles"].steps["settle"]["outcome"] == "failed"
    told = ledger(registry)
    assert told.exit_code == 1
    assert "the promise is broken." in told.output
    page = folder / "page.html"
    done = CliRunner().invoke(saiki, ["report", "--registry", registry.root, "--version", "2", "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert "promise broken" in page.read_text(encoding="utf-8").lower()


def test_again_everything_is_a_hit_and_nothing_is_written_and_after_a_collection_it_is_the_same(year):
    registry, folder, _, run = year
    before = content(registry.root)
    again = run("2024-07-24")
    assert {name for name, step in again.steps.items() if not step["cached"]} <= UNCACHED | {"push: record"}
    assert content(registry.root) == before

    data = str(folder / "data")
    garbage = find_garbage(data, [registry.root], older_than=datetime(2100, 1, 1, tzinfo=UTC))
    assert not [info.uri for info in garbage.objects if info.uri in before]
    assert remove_garbage(data, garbage) == len(garbage.objects) > 0
    assert content(registry.root) == before
    collected = run("2024-07-24")
    assert not collected.steps["ingest"]["cached"]
    assert content(registry.root) == before


def test_the_command_that_the_ledger_proposes_rolls_back(year):
    registry, _, _, _ = year
    proposal = json.loads(ledger(registry, "--json").stdout)["proposal"]
    done = CliRunner().invoke(saiki, shlex.split(proposal)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    champion, _ = registry.champion()
    assert champion.version == 1
    assert "version 2, promoted as of 2024-05-01: AUC worse by" in champion.hold
    assert ledger(registry).exit_code == 0
