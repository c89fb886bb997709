"""The small examples to a champion each, and two runs at once of which one can win."""

import json
import threading
from pathlib import Path

import pytest

from tests.small_task import AS_OF, write_task

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(saiki, state, task, *settings):
    given = [f"task={task}", *settings]
    return saiki("run", "training", "--json", "--state", state, *(x for s in given for x in ("--set", s)))


@pytest.mark.parametrize(
    ("example", "settings", "plots"),
    [
        ("penguins", [], ["Calibration", "Adelie", "Chinstrap", "Gentoo"]),
        ("weather", ["as_of=2016-01-01"], ["Residual", "RMSE"]),
    ],
)
def test_an_example_ends_with_a_champion_and_a_second_run_is_all_hits(example, settings, plots, saiki, tmp_path):
    task = EXAMPLES / example / "task.yaml"

    first = run(saiki, tmp_path, task, *settings)

    assert first.code == 0, first.err + first.out
    assert (first.result["result"], first.result["version"]) == ("promoted", 1)
    page = Path(first.result["report"]).read_text()
    assert "<svg" in page
    for text in plots:
        assert text in page

    second = run(saiki, tmp_path, task, *settings)

    assert second.code == 0, second.err
    assert second.result["replayed"]
    assert {name for name, step in second.steps.items() if not step["cached"]} == {"plan", "push: promote"}


def test_of_two_runs_at_once_only_one_promotes_and_the_other_is_judged_anew(saiki, tmp_path):
    task = write_task(tmp_path / "task")
    trainers = {"linear": ["trainer=linear"], "mlp": ["trainer=mlp", "parameters.epochs=3"]}
    ended = {}

    def start(name):
        ended[name] = run(saiki, tmp_path, task, f"as_of={AS_OF}", *trainers[name])

    threads = [threading.Thread(target=start, args=(name,)) for name in trainers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    results = {name: outcome.result["result"] for name, outcome in ended.items()}
    assert list(results.values()).count("promoted") == 1, results
    winner = next(name for name in results if results[name] == "promoted")
    loser = next(name for name in results if name != winner)
    home = tmp_path / "registry" / "stands"
    assert [path.name for path in (home / "versions").iterdir()] == ["1"]
    assert json.loads((home / "champion.json").read_text())["version"] == 1
    # Planned before the other's promotion it is superseded; else it was judged against it.
    assert results[loser] in ("superseded", "rejected")

    again = run(saiki, tmp_path, task, f"as_of={AS_OF}", *trainers[loser])

    attempt = json.loads((home / "attempts" / f"{again.result['judgement']}.json").read_text())
    assert attempt["result"] in ("promoted", "rejected")
    assert attempt["baseline"]["champion"]["version"] == 1
    for path in [path for path in home.rglob("*.json") if not path.name.startswith(".")]:
        json.loads(path.read_text())
    champion = json.loads((home / "champion.json").read_text())
    history = json.loads((home / "history" / f"{champion['history']}.json").read_text())
    assert history["version"] == champion["version"]
