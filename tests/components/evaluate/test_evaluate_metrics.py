"""Metrics against scikit-learn, and influences against derivatives taken by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components._shared.decision_rule import DecisionRule
from components._shared.measuring.metrics import calibration_bins, constant, measure

sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn lives in the analysis environment")

COSTS: dict[str, Any] = {
    "binary_classification": {"false_positive": 1, "false_negative": 4},
    "multiclass_classification": {"a": {"b": 5}},
    "regression": {"under": 2, "over": 1},
}
_SOME = settings(max_examples=60, deadline=None)
_seeds = st.integers(0, 2**32 - 1)


def _weights(random: np.random.Generator, rows: int, weighted: bool) -> Any:
    return random.integers(1, 5, rows) * 0.5 if weighted else np.ones(rows)


@_SOME
@given(seed=_seeds, rows=st.integers(2, 60), levels=st.integers(1, 12), weighted=st.booleans())
def test_binary_metrics_equal_those_of_scikit_learn_ties_and_weights_included(
    seed: int, rows: int, levels: int, weighted: bool
) -> None:
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, rows).astype(float)
    label[:2] = [0, 1]
    score = random.integers(0, levels, rows) / levels
    weight = _weights(random, rows, weighted)

    found = {name: one.value for name, one in measure("binary_classification", label, score, weight).items()}

    clipped = np.clip(score, 1e-7, 1 - 1e-7)
    assert found == pytest.approx(
        {
            "auc": sklearn.roc_auc_score(label, score, sample_weight=weight),
            "pr_auc": sklearn.average_precision_score(label, score, sample_weight=weight),
            "log_loss": sklearn.log_loss(label, clipped, sample_weight=weight),
            "brier": sklearn.brier_score_loss(label, score, sample_weight=weight),
            "calibration_error": found["calibration_error"],
            "accuracy": sklearn.accuracy_score(label, score > 0.5, sample_weight=weight),
        },
        rel=1e-9,
        abs=1e-12,
    )


@_SOME
@given(seed=_seeds, rows=st.integers(1, 60), classes=st.integers(2, 5), weighted=st.booleans())
def test_multiclass_metrics_equal_those_of_scikit_learn(seed: int, rows: int, classes: int, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, rows)
    score = random.dirichlet(np.ones(classes), rows)
    weight = _weights(random, rows, weighted)

    found = measure("multiclass_classification", label.astype(float), score, weight)

    chosen = score.argmax(axis=1)
    squares = ((score - np.eye(classes)[label]) ** 2).sum(axis=1)
    assert found["accuracy"].value == pytest.approx(sklearn.accuracy_score(label, chosen, sample_weight=weight))
    assert found["macro_f1"].value == pytest.approx(
        sklearn.f1_score(label, chosen, average="macro", sample_weight=weight)
    )
    assert found["brier"].value == pytest.approx(np.average(squares, weights=weight))
    assert found["log_loss"].value == pytest.approx(
        sklearn.log_loss(label, np.clip(score, 1e-7, 1 - 1e-7), labels=range(classes), sample_weight=weight), rel=1e-5
    )


@_SOME
@given(seed=_seeds, rows=st.integers(2, 60), weighted=st.booleans())
def test_regression_metrics_equal_those_of_scikit_learn(seed: int, rows: int, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    label = random.normal(5, 3, rows)
    score = label + random.normal(0.5, 2, rows)
    weight = _weights(random, rows, weighted)

    found = {name: one.value for name, one in measure("regression", label, score, weight).items()}

    assert found == pytest.approx(
        {
            "rmse": sklearn.mean_squared_error(label, score, sample_weight=weight) ** 0.5,
            "mae": sklearn.mean_absolute_error(label, score, sample_weight=weight),
            "r2": sklearn.r2_score(label, score, sample_weight=weight),
            "bias": np.average(score - label, weights=weight),
        }
    )


@pytest.mark.parametrize("problem", ["binary_classification", "multiclass_classification", "regression"])
def test_the_influence_of_a_row_is_what_the_metric_moves_by_when_its_weight_grows(problem: Any) -> None:
    random = np.random.default_rng(1)
    rows = 200
    label = random.integers(0, 2, rows).astype(float)
    score = np.round(random.random(rows), 1)
    if problem == "multiclass_classification":
        score = random.dirichlet([1, 1], rows)
    weight = random.uniform(0.5, 2, rows)
    decision = DecisionRule(costs=COSTS[problem])

    def measured(weight: Any) -> Any:
        return measure(problem, label, score, weight, decision=decision, classes=("a", "b"))

    found = measured(weight)
    assert "cost" in found
    for row in range(10):
        heavier = weight.copy()
        heavier[row] *= 1 + 1e-6
        moved = measured(heavier)
        for metric, one in found.items():
            slope = (moved[metric].value - one.value) / 1e-6
            assert slope == pytest.approx(one.influence[row], abs=1e-6), metric
    for metric, one in found.items():
        assert one.influence.sum() == pytest.approx(0, abs=1e-9), metric


def test_calibration_error_is_the_gap_between_score_and_rate_by_bins_of_equal_mass() -> None:
    random = np.random.default_rng(2)
    score = random.random(10_000)
    label = (random.random(10_000) < score**2).astype(float)
    by_hand = np.mean(
        [abs(label[part].mean() - score[part].mean()) for part in np.array_split(np.argsort(score, kind="stable"), 10)]
    )
    found = measure("binary_classification", label, score, np.ones(10_000))
    assert found["calibration_error"].value == pytest.approx(by_hand)


@_SOME
@given(scores=st.lists(st.integers(0, 5), min_size=1, max_size=80))
def test_equal_scores_share_a_bin_and_bins_follow_the_score(scores: list[int]) -> None:
    score = np.array(scores, float)
    bins = calibration_bins(score, np.ones(len(score)))
    assert bins.min() >= 0 and bins.max() <= 9
    for value in set(scores):
        assert len(set(bins[score == value])) == 1
    assert (np.diff(bins[np.argsort(score, kind="stable")]) >= 0).all()


def test_scores_of_zero_and_one_have_a_finite_log_loss() -> None:
    found = measure("binary_classification", np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.ones(2))
    assert found["log_loss"].value == pytest.approx(-np.log(1e-7))


def test_rows_of_one_class_have_no_ranking_metrics_and_no_rows_have_none() -> None:
    found = measure("binary_classification", np.ones(5), np.full(5, 0.4), np.ones(5))
    assert found.keys() == {"log_loss", "brier", "calibration_error", "accuracy"}
    assert measure("binary_classification", np.empty(0), np.empty(0), np.empty(0)) == {}
    assert "r2" not in measure("regression", np.ones(3), np.arange(3.0), np.ones(3))


def test_a_perfect_regression_has_no_nan() -> None:
    found = measure("regression", np.arange(4.0), np.arange(4.0), np.ones(4))
    assert {name: one.value for name, one in found.items()} == {"rmse": 0, "mae": 0, "r2": 1, "bias": 0}
    assert all(np.isfinite(one.influence).all() for one in found.values())


def test_the_constant_competitor_ranks_by_chance_and_knows_the_rate() -> None:
    label = np.array([1.0, 0, 0, 0])
    found = constant("binary_classification", label, (0.25,), np.ones(4))
    assert found["auc"] == 0.5
    assert found["pr_auc"] == 0.25
    assert found["calibration_error"] == pytest.approx(0)
    assert found["log_loss"] == pytest.approx(sklearn.log_loss(label, np.full(4, 0.25)))
    assert constant("binary_classification", label, (), np.ones(4)) == {}
    rates = constant("multiclass_classification", np.array([0.0, 1, 2, 2]), (0.2, 0.3, 0.5), np.ones(4))
    assert rates["accuracy"] == 0.5
    assert constant("regression", label, (0.25,), np.ones(4))["r2"] == pytest.approx(0)
