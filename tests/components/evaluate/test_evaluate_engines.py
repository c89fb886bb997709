"""Both engines give the same figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.decision_rule import DecisionRule
from components._shared.evidence import SliceFigures
from components._shared.gates import Metric
from components.evaluate.executor import evaluate

pytest.importorskip("tensorflow_model_analysis", reason="TensorFlow Model Analysis lives in the analysis environment")

# TFMA's own: it converts arrays of one element, and divides by zero where a threshold has no rows.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow_model_analysis"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:tensorflow_model_analysis"),
]

EXACT = 1e-4
COSTS: dict[str, Any] = {
    "binary_classification": {"false_positive": 1, "false_negative": 4},
    "multiclass_classification": {"a": {"b": 5}},
    "regression": {"under": 2, "over": 1},
}
HISTOGRAM: dict[Metric, float] = {"auc": 2e-3, "pr_auc": 1e-2}


def _agree(one: SliceFigures, other: SliceFigures) -> None:
    assert (one.column, one.value, one.rows) == (other.column, other.value, other.rows)
    assert one.metrics.keys() == other.metrics.keys()
    for metric, found in one.metrics.items():
        wanted = other.metrics[metric]
        tolerance = HISTOGRAM.get(metric, EXACT)
        assert found.candidate.value == pytest.approx(wanted.candidate.value, abs=tolerance), metric
        if found.champion is not None and found.difference is not None:
            assert wanted.champion is not None and wanted.difference is not None
            assert found.champion.value == pytest.approx(wanted.champion.value, abs=tolerance), metric
            assert found.difference.value == pytest.approx(wanted.difference.value, abs=2 * tolerance), metric
            assert found.difference.interval is not None


@pytest.mark.parametrize("problem", ["binary_classification", "multiclass_classification", "regression"])
def test_tfma_gives_the_same_figures(problem: Any, predictions: Any, section: Any, nobody: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows = 900
    day = np.sort(random.integers(0, 12, rows))
    airport = random.choice(["EWR", None], rows).tolist()
    weight = random.uniform(0.5, 2, rows)
    classes = None
    if problem == "binary_classification":
        label = (random.random(rows) < 0.3).astype(float)
        scores = [np.clip(random.normal(0.3 + 0.2 * label, 0.15), 0, 1) for _ in range(2)]
    elif problem == "multiclass_classification":
        classes = ("a", "b", "c")
        label = random.integers(0, 3, rows).astype(float)
        scores = [random.dirichlet([1, 1, 1], rows) for _ in range(2)]
    else:
        label = random.normal(10, 3, rows)
        scores = [label + random.normal(0.2, 1, rows) for _ in range(2)]
    shared: dict[str, Any] = {"weight": weight, "slices": {"airport": airport}}
    candidate = predictions(scores[0], label, day, model="new", **shared)
    champion = predictions(scores[1], label, day, model="old", **shared) if classes is None else nobody
    decision = DecisionRule(costs=COSTS[problem])
    gates = section(problem, slices=("airport",), classes=classes, embargo="2d", decision=decision)
    arguments = {"candidate": candidate, "champion": champion, "reference": nobody, "section": gates}

    ours = evaluate(**arguments)
    theirs = evaluate(**arguments, engine="tfma", eval_result=tmp_path / "result")

    assert theirs.evaluation.engine == "tfma"
    assert "cost" in theirs.evaluation.overall.metrics
    assert theirs.evaluation.value == ours.evaluation.value
    assert theirs.evaluation.rows == ours.evaluation.rows == (day >= 2).sum()
    _agree(theirs.evaluation.overall, ours.evaluation.overall)
    assert len(theirs.evaluation.slices) == len(ours.evaluation.slices) == 2
    for one, other in zip(theirs.evaluation.slices, ours.evaluation.slices, strict=True):
        _agree(one, other)
    assert json.loads(theirs.evaluation.to_json())["engine"] == "tfma"
    assert (tmp_path / "result" / "candidate" / "eval_config.json").exists()
