"""The step as KFP runs it, and what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.evidence import DataEvidence
from components._shared.gates import DataGates
from components._shared.manifest import Example, Rows
from components._shared.task import Column, LearningSection, Schema, TrainerChoice
from components._shared.verdict import Verdict
from components.validate.report import html, markdown
from tests.kfp_step import run_step

INPUTS = {"examples": "Dataset", "train": "Dataset", "test": "Dataset"}
OUTPUTS = {
    "statistics": "Artifact",
    "proposal": "Artifact",
    "evidence": "Artifact",
    "anomalies": "Artifact",
    "report": "HTML",
    "summary": "Markdown",
    "verdict": "Artifact",
}


def test_the_step_reads_artifacts_and_writes_all_outputs(case: Any, tmp_path: Path) -> None:
    train, test = case.manifest("train", case.train), case.manifest("test", case.test)
    examples = train.model_copy(update={"role": "examples", "rows": Rows(read=6000, kept=6000)})
    for name, manifest in {"examples": examples, "train": train, "test": test}.items():
        (tmp_path / name).write_text(manifest.to_json(), encoding="utf-8")
    columns = {name: Column(type=kind) for name, kind in case.columns.items()}
    schema = Schema(columns={**columns, "carrier": Column(type="string", domain=("UA",))})
    pinned = str(tmp_path / "schema.yaml")
    storage.create(pinned, schema.to_json().encode())
    learning = LearningSection(
        problem="binary_classification", classes=None, features=case.kinds, trainer=TrainerChoice()
    )
    written = run_step(
        "validate",
        tmp_path,
        parameters={
            "learning": learning.to_json(),
            "data_gates": DataGates().to_json(),
            "schema": pinned,
            "previous": "",
            "runner": "",
        },
        inputs=INPUTS,
        outputs=OUTPUTS,
    )
    texts = {name: (tmp_path / name).read_text("utf-8") for name in OUTPUTS if name != "statistics"}
    verdict = Verdict.from_json(texts["verdict"])
    assert (verdict.subject, verdict.outcome) == ("data", "failed")
    assert written["artifacts"]["verdict"]["artifacts"][0]["metadata"]["outcome"] == "failed"
    evidence = DataEvidence.from_json(texts["evidence"])
    assert texts["proposal"] == evidence.proposal != ""
    assert Schema.from_json(texts["proposal"]).columns["carrier"].domain == ("UA", "AA", "B6", "DL", "EV")
    assert "anomaly_info" in texts["anomalies"]
    assert "## data: failed" in texts["summary"]
    # What the step wrote is what drift is measured against the next time.
    again = case.run(previous=str(tmp_path / "statistics"))
    assert again.verdict.outcome == "passed"


def test_the_report_is_one_page_that_escapes_what_the_data_hold(case: Any) -> None:
    found = case.run(train={**case.train, "carrier": ["<script>alert(1)</script>"] * 4000})
    evidence = found.evidence.model_copy(
        update={"set_aside": (Example(reason="malformed", source="a.csv", row=3, detail="<b>"),)}
    )
    page = html(evidence, found.verdict)
    assert "<script" not in page
    assert not re.search(r"(src|href)=|https?://", page)
    assert len(page) < 300_000
    assert "Rows set aside" in page or "rows set aside" in page
    for feature in found.evidence.features:
        assert f"<h3>{feature.name}</h3>" in page


@pytest.mark.parametrize("rows", [Rows(read=6000, kept=6000), Rows(read=6010, kept=6000, malformed=10)])
def test_the_summary_says_where_the_rows_went(case: Any, rows: Rows) -> None:
    found = case.run(rows=rows)
    text = markdown(found.evidence, found.verdict)
    assert "| read | 6,0" in text
    assert ("| malformed | 10 |" in text) == bool(rows.malformed)
