"""The main job on real data: a year of flights, from the first champion to a challenger."""

import json
from pathlib import Path

import pytest

PURE = {
    "ingest",
    "split",
    "validate",
    "train",
    "predict: candidate",
    "predict: champion",
    "predict: reference",
    "evaluate",
    "compare",
    "behave",
    "smoke-test",
    "explain",
    "settle",
    "judge",
}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("flights")


@pytest.fixture(scope="module")
def july(saiki, flights, state):
    """The first run."""
    return run(saiki, flights / "task.yaml", state, "2013-07-01")


def run(saiki, task, state, as_of, *more):
    settings = [f"task={task}", f"as_of={as_of}", "budget=2", *more]
    return saiki("run", "training", "--json", "--state", state, *(x for s in settings for x in ("--set", s)))


def champion(state):
    return json.loads((state / "registry" / "flights" / "champion.json").read_text())


def test_the_first_run_makes_a_champion_and_a_report(july, state):
    assert july.code == 0, july.err
    assert july.result["result"] == "promoted"
    assert july.result["version"] == 1
    assert not any(step["cached"] for step in july.steps.values())
    assert july.steps["ingest"]["rows_out"]["examples"] > 150_000
    assert "<html" in Path(july.result["report"]).read_text()
    version = state / "registry" / "flights" / "versions" / "1"
    assert {"saved_model.pb", "model.json", "lineage.json", "verdict.json"} <= {p.name for p in version.iterdir()}


def test_the_same_experiment_again_is_all_hits_and_changes_nothing(saiki, flights, state, july):
    before = {path: path.stat().st_mtime_ns for path in (state / "registry").rglob("*") if path.is_file()}
    again = run(saiki, flights / "task.yaml", state, "2013-07-01")
    assert again.code == 0, again.err
    assert again.result["replayed"]
    assert {name for name, step in again.steps.items() if step["cached"]} == PURE
    after = {path: path.stat().st_mtime_ns for path in (state / "registry").rglob("*") if path.is_file()}
    assert {k: v for k, v in after.items() if ".lock" not in k.name} == {
        k: v for k, v in before.items() if ".lock" not in k.name
    }


def test_an_edited_gate_judges_again_but_does_not_train_again(saiki, flights, state, july, tmp_path, copy_task):
    task = copy_task(flights, tmp_path, task={"  preset: balanced": "  preset: balanced\n  data: {drift_psi: 9.0}"})
    edited = run(saiki, task, state, "2013-07-01")
    missed = {name for name, step in edited.steps.items() if not step["cached"]}
    assert {"plan", "validate", "judge"} <= missed
    assert "train" not in missed
    assert "ingest" not in missed
    assert edited.result["result"] in ("already_champion", "rejected")
    assert champion(state)["version"] == 1


def test_another_trainer_reads_the_same_rows_and_trains_anew(saiki, flights, state, july):
    other = run(saiki, flights / "task.yaml", state, "2013-07-01", "trainer=constant")
    missed = {name for name, step in other.steps.items() if not step["cached"]}
    assert "train" in missed
    assert not {"ingest", "split"} & missed
    assert other.code == 1, "a constant does not beat the base rate"
    assert champion(state)["version"] == 1


def test_a_challenger_is_judged_against_the_champion_on_rows_fair_to_both(saiki, flights, state, july):
    october = run(saiki, flights / "task.yaml", state, "2013-10-01")
    assert october.code in (0, 1), october.err
    attempt = json.loads(
        (state / "registry" / "flights" / "attempts" / f"{october.result['judgement']}.json").read_text()
    )
    assert attempt["baseline"]["champion"]["version"] == 1
    assert october.steps["predict: champion"]["rows_out"]["predictions"] > 20_000
    assert "log-loss" in october.result["summary"] or "AUC" in october.result["summary"]
    if october.code == 1:
        assert champion(state)["version"] == 1
        assert not (state / "registry" / "flights" / "versions" / "2").exists()
