"""The arithmetic of evidence: Student's distribution, chances of luck, power, false discoveries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from components._shared.evidence import Estimate, Figures, SliceFigures
from components._shared.measuring.evidence_of_gain import (
    chance_of_luck,
    errors_needed,
    gain_of,
    level_of_a_look,
    turned,
)
from components._shared.measuring.false_discoveries import adjusted, worsened_slices
from components._shared.measuring.intervals import MOST_GROUPS, skewness, standard_errors
from components._shared.measuring.power import FEWEST_FOR_POWER, MOST_CLUSTERS, clusters_needed, detectable
from components._shared.measuring.student import quantile, upper_tail


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 29, 30, 99, 5000])
def test_students_distribution_is_that_of_scipy(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for chance in (0.9, 0.5, 0.2, 0.05, 0.025, 0.0125, 5e-4, 2e-5, 1e-7):
        # SciPy's own quantile is right to about 1e-9: its tail probability says more.
        assert quantile(chance, freedom) == pytest.approx(stats.t.isf(chance, freedom), rel=1e-8, abs=1e-8)
        assert stats.t.sf(quantile(chance, freedom), freedom) == pytest.approx(chance, rel=1e-8)
    for t in (-40.0, -1.3, 0.0, 0.7, 3.6, 12.0):
        assert upper_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-6, abs=1e-14)


def test_an_infinite_difference_is_no_luck() -> None:
    assert (upper_tail(math.inf, 9), upper_tail(-math.inf, 9)) == (0.0, 1.0)


def test_standard_error_and_skewness_are_those_of_the_mean_of_days() -> None:
    stats = pytest.importorskip("scipy.stats")
    days = np.random.default_rng(3).exponential(size=30)
    sums = ((days - days.mean()) / 30)[:, None]
    share = np.full((30, 1), 1 / 30)
    assert standard_errors(sums, share)[0] == pytest.approx(days.std(ddof=1) / math.sqrt(30))
    assert skewness(sums, share)[0] == pytest.approx(stats.skew(days, bias=False))
    assert skewness(np.zeros((30, 1)), share)[0] == 0


@pytest.mark.parametrize(("lean", "at_most"), [("evenly", 1.0), ("to the left", 1.2), ("to the right", 1.0)])
def test_luck_shows_a_gain_as_often_as_its_chance_says(lean: str, at_most: float) -> None:
    """At a level of 0.005, thirty days; Student's distribution alone is wrong five times as often if days lean left."""
    random = np.random.default_rng(11)
    trials, level = 20_000, 0.005
    days: Any = random.normal(size=(trials, 30))
    if lean != "evenly":
        days = random.exponential(size=(trials, 30)) - 1
        days = -days if lean == "to the left" else days
    share = np.full((30, 1), 1 / 30)
    means = days.mean(axis=1)
    sums = ((days - means[:, None]) / 30).T
    errors, bent = standard_errors(sums, share), skewness(sums, share)
    found, alone = 0, 0
    for mean, error, bend in zip(means, errors, bent, strict=True):
        if mean <= 2 * error:
            continue
        found += (chance_of_luck(Estimate(value=mean, error=error, skewness=bend), 30) or 0) <= level
        alone += upper_tail(mean / error, 29) <= level
    assert found / trials <= at_most * level
    if lean == "to the left":
        assert alone / trials > 4 * level


def test_a_chance_is_of_more_than_what_is_asked_for() -> None:
    found = Estimate(value=0.03, error=0.01, skewness=0.0)
    assert chance_of_luck(found, 30) == pytest.approx(0.0053, abs=2e-4)
    assert chance_of_luck(found, 30, above=0.03) == pytest.approx(0.5, abs=0.01)
    assert chance_of_luck(Estimate(value=0.03), 30) is None
    assert chance_of_luck(Estimate(value=0.03, error=0.0), 30) == 0
    assert chance_of_luck(Estimate(value=0.0, error=0.0), 30) == 1


def test_many_clusters_count_as_the_groups_that_they_are_joined_to() -> None:
    found = Estimate(value=0.03, error=0.01, skewness=0.0)
    assert chance_of_luck(found, 5000) == chance_of_luck(found, MOST_GROUPS)


def test_a_look_has_its_share_of_the_false_alarms() -> None:
    assert level_of_a_look(0.05, 4) == 0.0125
    assert level_of_a_look(0.05, 0) == 0.05


@pytest.mark.parametrize("clusters", [5, 10, 30, 100, 5000])
@pytest.mark.parametrize("level", [0.05, 0.0125, 0.05 / 93])
def test_the_errors_that_are_needed_are_those_that_suffice(level: float, clusters: int) -> None:
    errors = errors_needed(level, clusters)
    assert chance_of_luck(Estimate(value=errors, error=1.0, skewness=0.0), clusters) == pytest.approx(level, rel=1e-6)


def test_without_a_champion_there_is_no_gain() -> None:
    assert gain_of("auc", Figures(candidate=Estimate(value=0.7))) is None


def test_a_difference_that_rests_on_few_of_the_days_is_held_against_few() -> None:
    found = Estimate(value=0.03, error=0.01, skewness=0.0)
    few = found.model_copy(update={"clusters": 8})
    assert chance_of_luck(few, 30) == chance_of_luck(found, 8)
    assert chance_of_luck(turned(turned(few)), 30) == chance_of_luck(few, 30)


@pytest.mark.parametrize(
    ("candidate", "champion", "gain", "sure"),
    [(0.1, 0.5, 0.4, True), (-0.1, -0.5, 0.4, True), (0.1, -0.3, 0.2, False), (0.02, 0.3, 0.28, False)],
)
def test_how_sure_it_is_that_a_bias_shrank_is_said_only_where_both_lie_on_one_side_of_zero(
    candidate: float, champion: float, gain: float, sure: bool
) -> None:
    def estimate(value: float, **more: Any) -> Estimate:
        return Estimate(value=value, interval=(value - 0.05, value + 0.05), **more)

    difference = estimate(candidate - champion, error=0.025, skewness=0.0)
    found = gain_of("bias", Figures(candidate=estimate(candidate), champion=estimate(champion), difference=difference))
    assert found is not None
    assert found.value == pytest.approx(gain)
    assert (found.interval is not None) == (found.error is not None) == sure
    if found.interval is not None:
        assert found.interval == pytest.approx((gain - 0.05, gain + 0.05))


def _found(effect: float, days: int, level: float, trials: int = 3000) -> float:
    """Share of trials in which the gate's own test finds an effect; days have a standard deviation of 1."""
    drawn = np.random.default_rng(4).normal(effect, 1, size=(trials, days))
    means = drawn.mean(axis=1)
    sums, share = ((drawn - means[:, None]) / days).T, np.full((days, 1), 1 / days)
    errors, bent = standard_errors(sums, share), skewness(sums, share)
    estimates = [
        Estimate(value=mean, error=error, skewness=bend)
        for mean, error, bend in zip(means.tolist(), errors.tolist(), bent.tolist(), strict=True)
    ]
    return float(np.mean([(chance_of_luck(one, days) or 0) <= level for one in estimates]))


@pytest.mark.parametrize(("days", "level"), [(30, 0.0125), (30, 0.05 / 93), (60, 0.05 / 93), (100, 0.05 / 93)])
def test_an_effect_that_days_are_said_to_find_is_found_about_four_times_in_five(days: int, level: float) -> None:
    """Of thirty days and nightly runs it would be 0.73 if the bound were taken as known, and not as estimated."""
    assert 0.75 < _found(detectable(1 / math.sqrt(days), days, level), days, level) < 0.83


def test_the_days_that_are_asked_for_find_the_effect_four_times_in_five() -> None:
    """Days of a standard deviation of 0.05, an effect of 0.01, and thirty days to begin with."""
    error, level = 0.05 / math.sqrt(30), 0.0125
    days = clusters_needed(0.01, error, 30, level)
    assert days is not None
    # Normal quantiles: (2.24 + 0.84)² · 25 = 237; a little more for Student's, and for a skewness that may be.
    assert 237 <= days <= 270
    assert (
        detectable(0.05 / math.sqrt(days), days, level)
        <= 0.01
        < detectable(0.05 / math.sqrt(days - 1), days - 1, level)
    )


def test_a_smaller_effect_takes_four_times_the_days_for_half_of_it_and_some_take_for_ever() -> None:
    one, half = clusters_needed(0.005, 0.01, 30, 0.01), clusters_needed(0.0025, 0.01, 30, 0.01)
    assert one is not None and half is not None
    assert half / one == pytest.approx(4, rel=0.02)
    assert clusters_needed(1e-6, 0.01, 30, 0.01) is None
    assert clusters_needed(10.0, 0.01, 30, 0.01) == FEWEST_FOR_POWER < MOST_CLUSTERS


def test_adjusted_chances_are_those_of_benjamini_and_hochberg() -> None:
    stats = pytest.importorskip("scipy.stats")
    chances = [0.001, 0.9, 0.012, 0.04, 0.039, 0.2, 0.012]
    if not hasattr(stats, "false_discovery_control"):
        pytest.skip("an older SciPy")
    assert adjusted(chances) == pytest.approx(list(stats.false_discovery_control(chances)))
    assert adjusted([]) == []


def _slices(random: np.random.Generator, worse: int, same: int) -> list[SliceFigures]:
    result = []
    for number in range(worse + same):
        days = random.normal(-0.06 if number < worse else 0.0, 0.1, 30)
        error = float(days.std(ddof=1) / math.sqrt(30))
        difference = Estimate(value=float(days.mean()), error=error, skewness=0.0)
        figures: Any = {
            "auc": Figures(candidate=Estimate(value=0.7), champion=Estimate(value=0.7), difference=difference)
        }
        result.append(
            SliceFigures(column="c", value=str(number), rows=900, clusters=30, label_mean=None, metrics=figures)
        )
    return result


def test_of_the_slices_that_are_named_few_are_named_by_luck() -> None:
    random = np.random.default_rng(8)
    shares, found_of, alarms = [], [], 0
    for _ in range(120):
        named = [
            int(one.found.value)
            for one in worsened_slices(
                _slices(random, 5, 45), "auc", worse_by=0.0, min_rows=500, false_discoveries=0.05
            )
            if one.worse
        ]
        shares.append(sum(number >= 5 for number in named) / max(1, len(named)))
        found_of.append(sum(number < 5 for number in named) / 5)
        alarms += any(
            one.worse
            for one in worsened_slices(
                _slices(random, 0, 50), "auc", worse_by=0.0, min_rows=500, false_discoveries=0.05
            )
        )
    assert np.mean(shares) <= 0.06, "false discoveries"
    assert np.mean(found_of) >= 0.5, "and the worse ones are found"
    assert alarms / 120 <= 0.09, "where no slice is worse, wolf is cried in 5 % of runs, not in 92 %"
