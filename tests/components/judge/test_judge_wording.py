from __future__ import annotations

from datetime import UTC, datetime

import pytest

from components._shared.evidence import Estimate
from components._shared.windows import Window
from components.judge.report.plots import Range, tick_text, ticks
from components.judge.report.wording import decimals_of, gate_name, listed, number, percent, period, signed


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0, None, "0"),
        (27012, None, "27,012"),
        (-0.00005, 3, "0.000"),
        (-0.0091, 3, "−0.009"),
        (1234567.891, 1, "1,234,567.9"),
        (0.64831, None, "0.6483"),
        (2.4e-7, None, "2.4 × 10⁻⁷"),
        (float("inf"), None, "∞"),
        (None, None, "–"),
    ],
)
def test_numbers_are_written_for_people(value: float | None, decimals: int | None, text: str) -> None:
    assert number(value, decimals) == text


@pytest.mark.parametrize(
    ("interval", "decimals"),
    [((0.010, 0.039), 3), ((0.001, 0.017), 3), ((-1632.7, 83.2), 0), ((10.1, 12.4), 1), ((0.5, 0.5), None)],
)
def test_the_interval_says_how_many_decimals_mean_something(
    interval: tuple[float, float], decimals: int | None
) -> None:
    assert decimals_of(Estimate(value=0.0, interval=interval)) == decimals


def test_small_shares_are_not_rounded_to_nothing_nor_large_ones_to_all() -> None:
    assert [percent(share).replace("\u00a0", " ") for share in (0.0, 3e-5, 0.0004, 0.1332, 0.99999, 1.0)] == [
        "0 %", "< 0.01 %", "0.04 %", "13.3 %", "99.99 %", "100 %",
    ]  # fmt: skip


def test_signs_are_shown_but_not_of_nothing() -> None:
    assert [signed(value, 2) for value in (0.5, -0.5, 0.001)] == ["+0.50", "−0.50", "0.00"]


def test_whole_days_are_written_by_their_first_and_last_in_the_zone_of_the_task() -> None:
    september = Window(start=datetime(2013, 9, 1, 4, tzinfo=UTC), end=datetime(2013, 10, 1, 4, tzinfo=UTC))

    assert period(september, "America/New_York") == "1 – 30 Sep 2013"
    assert period(september, "UTC") == "1 Sep 2013, 04:00 – 1 Oct 2013, 04:00"


def test_gates_are_named_in_words() -> None:
    assert gate_name("champion.log_loss") == "Log-loss, against the champion"
    assert gate_name("metric.beats_base_rate.auc") == "AUC, better than a constant"
    assert gate_name("data.drift_psi") == "Drift (PSI)"


def test_lists_end_with_and() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdefgh"), most=2) == "a, b and 6 more"


@pytest.mark.parametrize("axis", [Range(0, 1), Range(-3.2, 4.9), Range(1e-7, 3e-6), Range(5e6, 5.1e6), Range(1, 10)])
def test_ticks_are_few_inside_and_tell_apart(axis: Range) -> None:
    found = ticks(axis)

    assert 2 <= len(found) <= 7
    assert all(axis.low - 1e-9 <= value <= axis.high + 1e-9 for value in found)
    assert len({tick_text(value, axis) for value in found}) == len(found)
