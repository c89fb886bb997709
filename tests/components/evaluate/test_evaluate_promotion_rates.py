"""How often quarters of runs are mistaken: a small version of `benchmarks/promotion_simulation.py`."""

from __future__ import annotations

import pytest

from benchmarks.promotion_simulation import METRICS, Quarter, Shape, quarters, share_promoted, skewed_quarters


@pytest.fixture(scope="module")
def equal_nights() -> list[Quarter]:
    """Quarters of nightly runs (each third night judged) in which no candidate is better."""
    return quarters(Shape(rows=60), 20, seed=7, rules=True, every=3)


@pytest.fixture(scope="module")
def equal_months() -> list[Quarter]:
    """The same with monthly runs."""
    return quarters(Shape(rows=60), 60, seed=3, cadence="monthly")


@pytest.mark.parametrize("metric", METRICS)
def test_equal_models_replace_each_other_in_hardly_a_quarter_of_nightly_runs(
    metric: str, equal_nights: list[Quarter]
) -> None:
    assert share_promoted(equal_nights, metric) <= 0.05  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS)
def test_they_would_if_the_nights_did_not_share_the_false_alarms(metric: str, equal_nights: list[Quarter]) -> None:
    """The bound above tells a broken rule from ours."""
    assert share_promoted(equal_nights, metric, "each night alone") >= 0.25  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS)
def test_equal_models_replace_each_other_in_few_quarters_of_monthly_runs(
    metric: str, equal_months: list[Quarter]
) -> None:
    """Three decisions: less than 3.75 % is meant, and 60 quarters leave a standard error of 2.5 %."""
    assert share_promoted(equal_months, metric) <= 0.085  # type: ignore[arg-type]


def test_a_real_gain_is_found_in_nine_quarters_of_ten() -> None:
    """About 0.065 of AUC and 0.083 of log-loss; benchmarks/README.md says what the smallest such gain is."""
    nightly = quarters(Shape(rows=60, extra=1.0), 12, seed=8, every=3)
    monthly = quarters(Shape(rows=60, extra=1.0), 20, seed=9, cadence="monthly")
    for metric in METRICS:
        assert share_promoted(nightly, metric) >= 0.9
        assert share_promoted(monthly, metric) >= 0.9


def test_a_candidate_that_is_much_worse_on_a_few_days_is_no_winner_of_the_months_without_them() -> None:
    """A skewness of -2, and nights that have little in common: the worst that was tried."""
    assert skewed_quarters(40, 4, kinship=0.8) <= 0.1
