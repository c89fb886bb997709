"""The step as KFP runs it, and what it leaves for the Kubeflow UI."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.evidence import Evaluation
from components._shared.verdict import Verdict
from tests import kubeflow_ui
from tests.kfp_step import run_step

OUTPUTS = {
    "verdict": "Artifact",
    "evidence": "Artifact",
    "metrics": "Metrics",
    "classification": "ClassificationMetrics",
    "report": "HTML",
    "summary": "Markdown",
    "eval_result": "Artifact",
}


def _run(folder: Path, gates: Any, **predictions: Any) -> dict[str, dict[str, Any]]:
    """Runs the step; gives the metadata of each output."""
    for name, manifest in predictions.items():
        (folder / name).write_text(manifest.to_json(), encoding="utf-8")
    written = run_step(
        "evaluate",
        folder,
        parameters={"gates": gates.to_json(), "looks": 1, "engine": "vectorised", "runner": ""},
        inputs=dict.fromkeys(predictions, "Dataset"),
        outputs=OUTPUTS,
    )["artifacts"]
    assert all((folder / name).is_file() for name in OUTPUTS)
    return {name: written[name]["artifacts"][0].get("metadata", {}) for name in OUTPUTS}


def test_the_kubeflow_ui_gets_scalars_a_roc_curve_a_confusion_matrix_and_a_page(
    predictions: Any, section: Any, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    day = np.arange(1000) % 12
    label = (random.random(1000) < 0.3).astype(float)
    scores = [np.clip(random.normal(0.3 + 0.2 * label, 0.2), 0, 1) for _ in range(2)]
    slices = {"place <b>": random.choice(["<script>", "b"], 1000).tolist()}
    candidate = predictions(scores[0], label, day, model="new", base=(0.3,), slices=slices)
    champion = predictions(scores[1], label, day, model="old", slices=slices)

    gates = section(slices=("place <b>",))
    out = _run(tmp_path, gates, candidate=candidate, champion=champion, reference=champion)

    evaluation = Evaluation.from_json((tmp_path / "evidence").read_text())
    verdict = Verdict.from_json((tmp_path / "verdict").read_text())
    assert out["verdict"]["outcome"] == verdict.outcome
    auc = evaluation.overall.metrics["auc"]
    assert auc.champion is not None and auc.difference is not None
    assert out["metrics"]["auc"] == pytest.approx(auc.candidate.value, rel=1e-5)
    assert out["metrics"]["auc_champion"] == pytest.approx(auc.champion.value, rel=1e-5)
    assert out["metrics"]["auc_difference"] == pytest.approx(auc.difference.value, rel=1e-5)
    kubeflow_ui.check_scalars(out["metrics"])
    kubeflow_ui.check_roc_curve(out["classification"]["confidenceMetrics"])
    matrix = out["classification"]["confusionMatrix"]
    kubeflow_ui.check_confusion_matrix(matrix)
    assert sum(sum(row["row"]) for row in matrix["rows"]) == 1000
    page = (tmp_path / "report").read_text()
    HTMLParser().feed(page)
    assert "&lt;script&gt;" in page and "<script>" not in page and "http" not in page
    kubeflow_ui.check_html(page)
    summary = (tmp_path / "summary").read_text()
    kubeflow_ui.check_markdown(summary)
    assert summary.startswith("## metrics:")


def test_regression_and_an_empty_champion_leave_every_output(
    predictions: Any, section: Any, nobody: Any, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    value = random.normal(0, 1, 400)
    candidate = predictions(value + random.normal(0, 0.3, 400), value, np.arange(400) % 8, base=(0.0,))
    out = _run(tmp_path, section("regression"), candidate=candidate, champion=nobody, reference=nobody)
    assert not out["classification"].get("confidenceMetrics")
    assert "rmse" in out["metrics"] and "champion_rmse" not in out["metrics"]
