from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

from components._shared.facts import Facts
from components._shared.verdict import Verdict
from components.judge.component import judge
from tests import kubeflow_ui


def artifact(kind: type[Any], path: Path, text: str | None = None) -> Any:
    if text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return kind(uri=str(path))


@pytest.mark.parametrize("champion", [True, False])
def test_the_component_reads_artifacts_and_writes_what_the_next_step_reads(
    make_inputs: Callable[..., dict[str, Any]], tmp_path: Path, champion: bool
) -> None:
    inputs = make_inputs(champion=champion)
    artifact(dsl.Model, tmp_path / "model" / "model.json", inputs["model"].to_json())
    outputs = {
        "verdict": artifact(dsl.Artifact, tmp_path / "verdict"),
        "report": artifact(dsl.HTML, tmp_path / "report"),
        "card": artifact(dsl.Markdown, tmp_path / "card"),
        "facts": artifact(dsl.Artifact, tmp_path / "facts"),
        "summary": artifact(dsl.Markdown, tmp_path / "summary"),
        "metrics": artifact(dsl.Metrics, tmp_path / "metrics"),
    }
    given = {
        "data_verdict": inputs["verdicts"].data,
        "metrics_verdict": inputs["verdicts"].metrics,
        "difference_verdict": inputs["verdicts"].difference,
        "behaviour_verdict": inputs["verdicts"].smoke,
        "tests_verdict": inputs["verdicts"].tests,
        "explanation_verdict": inputs["verdicts"].explanation,
        "data_evidence": inputs["data_evidence"],
        "evaluation": inputs["evaluation"],
        "comparison": inputs["comparison"],
        "behaviour": inputs["behaviour"],
        "explanation": inputs["explanation"],
        "settlements": inputs["settlements"],
        "examples": inputs["examples"],
    }
    changes = inputs["changes"].to_json() if champion else "{}"

    (outcome,) = judge.python_func(
        experiment=inputs["experiment"],
        windows=inputs["windows"].to_json(),
        learning=inputs["learning"].to_json(),
        gates=inputs["gates"].to_json(),
        champion=inputs["champion"].to_json() if champion else "",
        changes=artifact(dsl.Artifact, tmp_path / "in" / "changes", changes),
        model=dsl.Model(uri=str(tmp_path / "model")),
        **{name: artifact(dsl.Artifact, tmp_path / "in" / name, value.to_json()) for name, value in given.items()},
        **outputs,
    )

    verdict = Verdict.from_json((tmp_path / "verdict").read_bytes())
    assert outcome == verdict.outcome
    assert Facts.from_json((tmp_path / "facts").read_bytes()).verdict == verdict
    page = (tmp_path / "report").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    kubeflow_ui.check_html(page)
    card = (tmp_path / "card").read_text(encoding="utf-8")
    assert card.startswith("# Model card")
    kubeflow_ui.check_markdown(f"#{card}")
    summary = (tmp_path / "summary").read_text(encoding="utf-8")
    kubeflow_ui.check_markdown(summary)
    assert summary.splitlines()[0].startswith(("## Accepted: ", "## Rejected: ", "## Cannot be judged: "))
    kubeflow_ui.check_scalars(outputs["metrics"].metadata)
    assert outputs["metrics"].metadata["auc"] == 0.671
    assert json.loads((tmp_path / "metrics").read_text())["auc"] == 0.671
    assert outputs["verdict"].metadata == {"outcome": verdict.outcome, "summary": verdict.summary}


def test_the_component_compiles(tmp_path: Path) -> None:
    compiler.Compiler().compile(judge, str(tmp_path / "judge.yaml"))

    assert "outcome" in (tmp_path / "judge.yaml").read_text()
