"""Intervals: false alarms by simulation, rare classes and unequal days, and what they do at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.statistics_simulation import (
    LEVELS,
    SIZES,
    Shape,
    draw,
    false_alarms,
    luck_with_a_rare_class,
    luck_with_unequal_days,
    rare_class,
)
from components._shared.measuring.calibration_line import calibration_line
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.intervals import (
    MOST_GROUPS,
    cluster_sums,
    effective_clusters,
    half_widths,
    student_quantile,
)
from components._shared.measuring.metrics import measure
from components._shared.task import Problem
from components.evaluate.curves import draw as draw_curves


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
    rows = draw("binary_classification", Shape(days=8, rows=15, day=0.1), np.random.default_rng(8))
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


@pytest.mark.parametrize("mistakes", [1, 2, 4])
def test_a_few_mistakes_in_a_hundred_rows_give_the_interval_of_a_small_share(mistakes: int) -> None:
    """Every third resample is without the only mistake: it says of no bound how far the share may lie."""
    stats = pytest.importorskip("scipy.stats")
    wrong = np.arange(100) < mistakes
    sums = ((wrong - wrong.mean()) / 100)[:, None]
    upper = wrong.mean() + half_widths(sums, np.full((100, 1), 1 / 100))[0]
    assert upper == pytest.approx(stats.beta.ppf(0.975, mistakes + 1, 100 - mistakes), rel=0.2)


def test_three_positives_say_nothing_of_a_ranking_however_many_days_there_are() -> None:
    """Any two models differ by something, and the days without a positive make it look like much."""
    rows = rare_class(np.random.default_rng(1), positives=3)
    figures = figures_of(rows, "binary_classification", ()).metrics
    for metric in ("auc", "pr_auc"):
        assert figures[metric].candidate.interval is None
        assert figures[metric].difference is not None
        assert figures[metric].difference.error is None
    assert figures["log_loss"].difference is not None and figures["log_loss"].difference.interval is not None
    slope = calibration_line(rows, rows.scores["candidate"]).slope
    assert slope is not None and slope.interval is None


def test_eight_positives_make_luck_look_no_more_certain_than_it_is() -> None:
    """Counted as thirty days, luck passes three times as often as is allowed to one of fifteen looks."""
    luck = luck_with_a_rare_class(8, 3000, seed=2)
    assert (luck.ours / luck.trials <= LEVELS).all()
    assert luck.by_day[1] / luck.trials > 2 * LEVELS[1]
    difference = figures_of(rare_class(np.random.default_rng(1), positives=8), "binary_classification", ())
    found = difference.metrics["auc"].difference
    assert found is not None and found.clusters is not None and 5 <= found.clusters <= 8


def _days_of_a_rare_class(random: np.random.Generator) -> tuple[Rows, Rows, Rows]:
    """Twelve days: eight positives on seven of them, a rare class on seven, a label that varies most on seven."""
    day = np.repeat(np.arange(12), 40)

    def rows(label: Any, score: Any) -> Rows:
        return Rows(
            label=np.asarray(label, float),
            weight=random.uniform(0.5, 1.5, len(day)),
            cluster=day,
            clusters=12,
            time=None,
            slices={},
            scores={"candidate": score(), "champion": score()},
        )

    positive = np.isin(np.arange(len(day)), [(number % 7) * 40 + number for number in range(8)])
    several = np.where(random.random(len(day)) < 0.5, 0, 1)
    several[random.choice(np.flatnonzero(day < 7), 12, replace=False)] = 2
    spread = np.where(day < 7, 3, 0.5)
    value = random.normal(size=len(day)) * spread

    def of_classes() -> Any:
        logits = random.normal(size=(len(day), 3)) + 1.5 * np.eye(3)[several]
        return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    return (
        rows(positive, lambda: 1 / (1 + np.exp(3 - positive - random.normal(size=len(day))))),
        rows(several, of_classes),
        rows(value, lambda: value / 2 + random.normal(size=len(day)) * spread / 2),
    )


@pytest.mark.parametrize(
    ("problem", "metric", "most"),
    [
        ("binary_classification", "auc", 1.1),
        ("binary_classification", "pr_auc", 1.6),
        ("binary_classification", "log_loss", 1.1),
        ("multiclass_classification", "macro_f1", 1.3),
        ("regression", "r2", 1.1),
    ],
)
def test_a_standard_error_is_that_of_leaving_out_each_day_also_where_few_days_hold_what_counts(
    problem: Problem, metric: Any, most: float
) -> None:
    place = ("binary_classification", "multiclass_classification", "regression").index(problem)
    for seed in range(5):
        rows = _days_of_a_rare_class(np.random.default_rng(seed))[place]
        without = []
        for day in range(rows.clusters):
            kept = rows.cluster != day
            ours, theirs = (
                measure(problem, rows.label[kept], rows.scores[name][kept], rows.weight[kept])[metric].value
                for name in ("candidate", "champion")
            )
            without.append(ours - theirs)
        jackknife = np.std(without) * np.sqrt(rows.clusters - 1)
        difference = figures_of(rows, problem, ()).metrics[metric].difference
        assert difference is not None and difference.error is not None
        assert 0.9 < difference.error / jackknife < most


def test_days_of_very_different_size_make_luck_look_no_more_certain_than_it_is() -> None:
    """Days of 1, 1/2, 1/3 … of the rows tell as much as ten; counted as thirty, luck passes 1.8 times too often."""
    luck = luck_with_unequal_days(SIZES["30 days of 1, 1/2, 1/3 …"], 10_000, seed=3)
    assert luck.ours[0] / luck.trials <= LEVELS[0]
    assert luck.by_day[0] / luck.trials > 1.5 * LEVELS[0]


def test_an_interval_knows_as_many_days_as_hold_the_rows() -> None:
    sums = np.random.default_rng(4).normal(size=(30, 1)) / 30
    sums -= sums.mean()
    even = np.full((30, 1), 1 / 30)
    three = np.array([[100.0]] * 3 + [[1.0]] * 27) / 327
    assert effective_clusters(even)[0] == 30
    assert np.isfinite(half_widths(sums, even)[0])
    assert effective_clusters(three)[0] == 4
    assert np.isnan(half_widths(sums, three)[0]), "nearly all rows lie in three of thirty days"


def test_a_bin_of_scores_that_few_days_have_shows_no_interval(section: Any) -> None:
    """The other days have no rows in it: they are no clusters of its own."""
    day = np.repeat(np.arange(30), 40)
    random = np.random.default_rng(5)
    score = np.where(day < 4, random.uniform(0.8, 0.9, len(day)), random.uniform(0.1, 0.5, len(day)))
    rows = Rows(
        label=(random.random(len(day)) < score).astype(float),
        weight=np.ones(len(day)),
        cluster=day,
        clusters=30,
        time=None,
        slices={},
        scores={"candidate": score},
    )
    curve = draw_curves(
        "binary_classification", rows, score, decision=section().decision, classes=("0", "1")
    ).curves.calibration
    assert all((point.low is None) == (point.x > 0.8) for point in curve)
    assert {point.x > 0.8 for point in curve} == {True, False}
