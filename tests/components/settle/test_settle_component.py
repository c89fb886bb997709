from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from components._shared.gates import DataGates
from components._shared.ledger import Decisions, Settlement, Settlements
from components._shared.manifest import Manifest
from components._shared.windows import Window, Windows
from components.settle.outputs import scalars_of
from tests.components.settle.settling import decision, section
from tests.components.settle.test_settle_outcomes import around, block
from tests.kfp_step import run_step

OUTPUTS = {"verdict": "Artifact", "settlements": "Artifact", "metrics": "Metrics", "summary": "Markdown"}


def test_every_output_has_content_also_where_there_is_nothing_to_settle(tmp_path: Path) -> None:
    empty = Manifest(role="examples", digest="0", columns={}, shards=(), count=0)
    (tmp_path / "examples").write_text(empty.to_json(), encoding="utf-8")
    until = datetime(2024, 6, 1, tzinfo=UTC)
    windows = Windows(as_of=until, timezone="UTC", span=Window(start=None, end=until), labelled_until=until)

    written = run_step(
        "settle",
        tmp_path,
        parameters={
            "decisions": Decisions().to_json(),
            "windows": windows.to_json(),
            "gates": section().to_json(),
            "data_gates": DataGates().to_json(),
        },
        inputs={"examples": "Dataset"},
        outputs=OUTPUTS,
    )

    assert (tmp_path / "settlements").read_text() == Settlements().to_json()
    assert json.loads((tmp_path / "metrics").read_text()) == {"decisions": 0}
    assert (tmp_path / "summary").read_text().startswith("## promises: passed")
    metadata = {name: written["artifacts"][name]["artifacts"][0]["metadata"] for name in OUTPUTS}
    assert metadata["verdict"] == {"outcome": "passed"}
    assert metadata["metrics"] == {"decisions": 0}


def test_the_metrics_are_counts_of_outcomes_and_the_gain_of_the_newest_decision() -> None:
    whole = block(around(-0.03, 0.01))
    made = Settlement(
        decision=decision(), number=1, blocks=(whole,), whole=whole, gain=around(-0.03, 0.01), outcome="broken",
        reason="", settled_as_of=whole.window.end,
    )  # fmt: skip
    assert scalars_of(Settlements(settlements=(made, made))) == {
        "decisions": 2, "broken": 2, "newest_promised": 0.02, "newest_came_true": -0.03,
    }  # fmt: skip
