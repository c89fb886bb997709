"""Intervals: false alarms by simulation, and what they do at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics_simulation import Shape, draw, false_alarms
from components._shared.measuring.figures import figures_of
from components._shared.measuring.intervals import MOST_GROUPS, cluster_sums, half_widths, student_quantile


def test_two_equal_models_are_called_different_in_at_most_five_percent_of_trials() -> None:
    shape = Shape(rows=60)
    rates = false_alarms("binary_classification", shape, 400, seed=7)
    assert rates["auc"] <= 0.05
    assert rates["log_loss"] <= 0.05
    assert false_alarms("regression", shape, 400, seed=7)["rmse"] <= 0.05


def test_a_model_that_is_better_is_found_to_be() -> None:
    random = np.random.default_rng(4)
    found = 0
    for _ in range(40):
        rows = draw("binary_classification", Shape(rows=100, model=0.1), random)
        rows.scores["champion"] = np.clip(rows.scores["champion"] + random.normal(0, 0.15, len(rows)), 0, 1)
        difference = figures_of(rows, "binary_classification", ()).metrics["auc"].difference
        assert difference is not None and difference.interval is not None
        found += difference.interval[0] > 0
    assert found >= 38


def test_an_interval_of_a_mean_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    held = 0
    for _ in range(500):
        days = random.normal(0, 1, 12)
        sums = ((days - days.mean()) / 12)[:, None]
        held += abs(days.mean()) <= half_widths(sums, np.full((12, 1), 1 / 12))[0]
    assert held / 500 >= 0.94


@pytest.mark.parametrize("freedom", [4, 9, 29, 99])
def test_students_quantile_is_that_of_scipy(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)


def test_identical_models_differ_by_exactly_nothing() -> None:
    rows = draw("regression", Shape(rows=20), np.random.default_rng(6))
    rows.scores["champion"] = rows.scores["candidate"]
    difference = figures_of(rows, "regression", ()).metrics["rmse"].difference
    assert difference is not None
    assert difference.value == 0
    assert difference.interval == (0, 0)


def test_fewer_than_five_clusters_give_no_interval() -> None:
    rows = draw("binary_classification", Shape(days=4), np.random.default_rng(6))
    assert all(
        found.candidate.interval is None for found in figures_of(rows, "binary_classification", ()).metrics.values()
    )


def test_all_weight_in_one_cluster_gives_no_interval() -> None:
    sums = np.array([[0.1], [-0.1], [0], [0], [0]])
    share = np.array([[1.0], [0], [0], [0], [0]])
    assert np.isnan(half_widths(sums, share)).all()


def test_intervals_are_the_same_each_time_and_stay_within_what_a_metric_can_be() -> None:
    rows = draw("binary_classification", Shape(days=6, rows=10), np.random.default_rng(8))
    first = figures_of(rows, "binary_classification", (0.2,))
    assert first == figures_of(rows, "binary_classification", (0.2,))
    for metric, found in first.metrics.items():
        assert found.candidate.interval is not None
        low, high = found.candidate.interval
        assert low <= found.candidate.value <= high
        assert low >= 0 and (metric == "log_loss" or high <= 1)


def test_days_of_a_year_give_an_interval_that_knows_of_its_seasons() -> None:
    days = np.repeat(np.arange(365), 5)
    value = np.sin(2 * np.pi * days / 365) + np.random.default_rng(6).normal(0, 0.3, len(days))
    share = np.full((len(days),), 1 / len(days))
    sums = cluster_sums([(value - value.mean()) * share], days, 365)
    width = half_widths(sums, cluster_sums([share], days, 365))[0]
    of_single_days = 1.97 * np.array([value[days == day].mean() for day in range(365)]).std() / np.sqrt(365)
    assert width == pytest.approx(of_single_days, rel=0.3)


def test_single_rows_as_clusters_give_the_interval_that_they_would_have_one_by_one() -> None:
    random = np.random.default_rng(9)
    values = random.normal(0, 1, 20_000)
    influence = (values - values.mean()) / len(values)
    cluster = np.arange(len(values))
    sums = cluster_sums([influence], cluster, len(values))
    assert sums.shape == (MOST_GROUPS, 1)
    width = half_widths(sums, np.full((MOST_GROUPS, 1), 1 / MOST_GROUPS))[0]
    assert width == pytest.approx(1.96 / len(values) ** 0.5, rel=0.2)
