from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from kfp import dsl

from components._shared.ledger import Decisions, Settlement, Settlements
from components._shared.manifest import Manifest
from components._shared.windows import Window, Windows
from components.settle.component import settle
from components.settle.outputs import scalars_of
from tests.components.settle.settling import decision, section
from tests.components.settle.test_settle_outcomes import around, block

OUTPUTS = {"verdict": dsl.Artifact, "settlements": dsl.Artifact, "metrics": dsl.Metrics, "summary": dsl.Markdown}


def test_every_output_has_content_also_where_there_is_nothing_to_settle(tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    examples.write_text(Manifest(role="examples", digest="0", columns={}, shards=(), count=0).to_json())
    given = {name: kind(uri=str(tmp_path / name)) for name, kind in OUTPUTS.items()}
    until = datetime(2024, 6, 1, tzinfo=UTC)
    windows = Windows(as_of=until, timezone="UTC", span=Window(start=None, end=until), labelled_until=until)

    settle.python_func(
        examples=dsl.Dataset(uri=str(examples)), decisions=Decisions().to_json(), windows=windows.to_json(),
        gates=section().to_json(), **given,
    )  # fmt: skip

    assert (tmp_path / "settlements").read_text() == Settlements().to_json()
    assert json.loads((tmp_path / "metrics").read_text()) == {"decisions": 0}
    assert (tmp_path / "summary").read_text().startswith("## promises: passed")
    assert given["verdict"].metadata["outcome"] == "passed"
    assert given["metrics"].metadata["decisions"] == 0


def test_the_metrics_are_counts_of_outcomes_and_the_gain_of_the_newest_decision() -> None:
    whole = block(around(-0.03, 0.01))
    made = Settlement(
        decision=decision(), number=1, blocks=(whole,), whole=whole, gain=around(-0.03, 0.01), outcome="broken",
        reason="", settled_as_of=whole.window.end,
    )  # fmt: skip
    assert scalars_of(Settlements(settlements=(made, made))) == {
        "decisions": 2, "broken": 2, "newest_promised": 0.02, "newest_came_true": -0.03,
    }  # fmt: skip
