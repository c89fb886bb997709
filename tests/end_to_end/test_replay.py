"""The same experiment again, after the champion has moved on."""

import json

from components._shared.registry import Registry
from tests.small_task import AS_OF, write_task


def test_a_replayed_promotion_does_not_pass_for_the_champion_of_today(saiki, tmp_path, make_model):
    task = write_task(tmp_path / "task")
    command = ("run", "training", "--state", tmp_path / "state", "--set", f"task={task}", "--set", f"as_of={AS_OF}")
    first = saiki(*command, "--json")
    assert (first.code, first.result["result"], first.result["champion"]) == (0, "promoted", 1), first.err

    registry = Registry(str(tmp_path / "state" / "registry"), "stands")
    lineage = json.loads((tmp_path / "state/registry/stands/versions/1/lineage.json").read_text())
    other = type(registry.versions()[0].lineage).from_value({**lineage, "judgement": "2" * 64, "model_digest": "other"})
    assert registry.add_version(make_model(), other) == 2
    registry.promote(2, generation=registry.champion()[1], who="test", why="better still")

    again = saiki(*command)
    assert again.code == 0, again.err
    line = next(line for line in again.out.splitlines() if line.startswith("champion "))
    assert line == "champion  version 2; this experiment made version 1"
