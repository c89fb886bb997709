from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components._shared.evidence import Estimate, Figures
from components._shared.gates import BehaviourGates, ChampionGates, Metric, MetricGates, PromiseGates
from components._shared.ledger import (
    blocks_after,
    blocks_to_settle,
    closes,
    first_as_of,
    gain_of,
    gain_over_constant,
    promised_gain,
)
from components._shared.records import ModelRef, Promise
from components._shared.task import EvaluationSection
from components._shared.windows import Cadence, Window, Windows, ceil, parse_span, zone
from components.plan.schedule_windows import labelled_until

NEW_YORK = "America/New_York"
CHAMPION = ModelRef(version=1, uri="file:///1", digest="d")


def section(**fields: Any) -> EvaluationSection:
    return EvaluationSection.from_value(
        {
            "problem": "binary_classification", "classes": None, "slices": (), "metric": MetricGates(),
            "champion": ChampionGates(primary="auc"), "behaviour": BehaviourGates(), "embargo": "1d",
            "timezone": NEW_YORK, "has_time": True, "test_length": "30d", **fields,
        }
    )  # fmt: skip


def day(year: int, month: int, number: int) -> datetime:
    return datetime(year, month, number, tzinfo=zone(NEW_YORK)).astimezone(UTC)


def windows(until: datetime, start: datetime | None = None) -> Windows:
    return Windows(as_of=until, timezone=NEW_YORK, span=Window(start=start, end=until), labelled_until=until)


def test_blocks_are_as_long_as_test_and_follow_the_calendar_where_clocks_change() -> None:
    blocks = blocks_after(day(2013, 10, 1), section())
    assert [(block.start, block.end) for block in blocks] == [
        (day(2013, 10, 1), day(2013, 10, 31)),
        (day(2013, 10, 31), day(2013, 11, 30)),
        (day(2013, 11, 30), day(2013, 12, 30)),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"promises": {"blocks": 0}},
        {"has_time": False},
        {"test_length": ""},
    ],
)
def test_without_time_or_length_or_blocks_nothing_is_settled(fields: dict[str, Any]) -> None:
    assert blocks_after(day(2013, 10, 1), section(**fields)) == ()


def test_blocks_that_hold_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="a block of 0d holds no rows"):
        PromiseGates(every="0d")


def test_their_length_and_number_can_be_declared() -> None:
    blocks = blocks_after(day(2013, 10, 1), section(promises={"every": "1w", "blocks": 2}))
    assert [block.end for block in blocks] == [day(2013, 10, 8), day(2013, 10, 15)]


@pytest.mark.parametrize(
    ("until", "start", "numbers"),
    [
        (day(2013, 10, 30), None, []),
        (day(2013, 10, 31), None, [1]),
        (day(2014, 1, 29), None, [1, 2, 3]),
        # A block's time after the last one the book is closed.
        (day(2014, 1, 30), None, []),
        # The rows of a short window begin after the first block did.
        (day(2013, 12, 30), day(2013, 10, 2), [2, 3]),
        (day(2013, 12, 30), day(2013, 10, 1), [1, 2, 3]),
    ],
)
def test_only_blocks_of_which_every_row_and_label_is_there_are_settled(
    until: datetime, start: datetime | None, numbers: list[int]
) -> None:
    assert list(blocks_to_settle(day(2013, 10, 1), section(), windows(until, start))) == numbers


CADENCES: list[Cadence] = ["hourly", "daily", "weekly", "monthly"]


def runs(cadence: Cadence, known_after: str, first: datetime, days: int) -> list[Windows]:
    """As `plan` makes them, one after the other."""
    found = []
    as_of = ceil(first, cadence, NEW_YORK)
    while as_of < first + timedelta(days=days):
        until = labelled_until(as_of, parse_span(known_after), cadence, NEW_YORK)
        found.append(Windows(as_of=as_of, timezone=NEW_YORK, labelled_until=until))
        as_of = ceil(as_of + timedelta(microseconds=1), cadence, NEW_YORK)
    return found


@pytest.mark.parametrize("cadence", CADENCES)
@pytest.mark.parametrize("known_after", ["0d", "90min", "12h", "1d", "2d6h"])
@pytest.mark.parametrize("around", [day(2013, 3, 8), day(2013, 11, 1)])
def test_the_first_moment_as_of_which_labels_are_known_is_that_of_the_first_run_that_has_them_where_clocks_change(
    cadence: Cadence, known_after: str, around: datetime
) -> None:
    gates = section(cadence=cadence, known_after=known_after)
    planned = runs(cadence, known_after, around, days=70)
    for hours in range(0, 24 * 5, 1 if cadence == "hourly" else 24):
        until = around + timedelta(hours=hours)
        first = next(run for run in planned if run.labelled_until is not None and run.labelled_until >= until)
        assert first_as_of(until, gates) == first.as_of


def test_a_monthly_task_is_settled_by_the_run_of_the_next_month() -> None:
    flights = section(cadence="monthly", known_after="12h")
    (block, *_) = blocks_after(day(2014, 1, 1), flights)
    assert first_as_of(block.end, flights) == day(2014, 2, 1)
    # The day on which clocks go back has 25 hours: twelve hours after its midnight is eleven o'clock.
    assert first_as_of(day(2013, 11, 3), section(known_after="12h")) == day(2013, 11, 4)
    assert first_as_of(day(2013, 11, 4), section(known_after="1d")) == day(2013, 11, 5)


@pytest.mark.parametrize("cadence", CADENCES)
@pytest.mark.parametrize("every", ["6h", "1d", "10d", "30d"])
def test_every_block_is_settled_by_some_run_however_seldom_they_are_and_then_the_book_is_closed(
    cadence: Cadence, every: str
) -> None:
    decided = ceil(day(2013, 10, 25), cadence, NEW_YORK)
    gates = section(cadence=cadence, known_after="12h", promises={"every": every, "blocks": 2})
    planned = runs(cadence, "12h", decided, days=150)
    settling = [run for run in planned if blocks_to_settle(decided, gates, run)]
    assert list(blocks_to_settle(decided, gates, settling[-1])) == [1, 2]
    assert settling[0].as_of == first_as_of(blocks_after(decided, gates)[0].end, gates)
    end = closes(decided, gates)
    assert end is not None
    assert settling[-1].as_of <= first_as_of(end, gates)
    assert 1 <= len(settling) < len(planned), "not for ever"


def test_a_task_without_labelled_rows_settles_nothing() -> None:
    bare = Windows(as_of=day(2014, 1, 1), timezone=NEW_YORK)
    assert blocks_to_settle(day(2013, 10, 1), section(), bare) == {}


def figures(candidate: float, other: float, low: float, high: float) -> Figures:
    difference = Estimate(value=candidate - other, interval=(low, high))
    return Figures(
        candidate=Estimate(value=candidate), champion=Estimate(value=other), difference=difference,
        reference=Estimate(value=other), reference_difference=difference,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "candidate", "other", "pair", "gain"),
    [
        ("auc", 0.75, 0.5, (0.125, 0.375), (0.25, (0.125, 0.375))),
        ("log_loss", 0.5, 0.25, (0.125, 0.375), (-0.25, (-0.375, -0.125))),
        # A bias is the better the nearer it is to zero.
        ("bias", 1.0, 3.0, (-2.5, -1.5), (2.0, (1.5, 2.5))),
        ("bias", -1.0, -3.0, (1.5, 2.5), (2.0, (1.5, 2.5))),
        ("bias", 1.0, -3.0, (3.5, 4.5), (2.0, None)),
    ],
)
def test_a_gain_is_positive_where_the_candidate_is_better(
    metric: Metric, candidate: float, other: float, pair: tuple[float, float], gain: tuple[float, Any]
) -> None:
    given = figures(candidate, other, *pair)
    for found in (gain_of(metric, given), gain_over_constant(metric, given)):
        assert found is not None
        assert (found.value, found.interval) == gain


def test_without_the_other_there_is_no_gain() -> None:
    alone = Figures(candidate=Estimate(value=0.7))
    assert gain_of("auc", alone) is None
    assert gain_over_constant("auc", alone) is None


def test_the_first_model_promises_to_be_better_than_a_constant() -> None:
    promise = Promise(metric="log_loss", candidate=Estimate(value=0.5, interval=(0.375, 0.625)), constant=0.75)
    found = promised_gain(promise, None)
    assert found is not None
    assert (found.value, found.interval) == (0.25, (0.125, 0.375))


def test_a_challenger_promises_to_be_better_than_the_champion() -> None:
    gain = Estimate(value=0.02, interval=(0.01, 0.03))
    promise = Promise(metric="auc", candidate=Estimate(value=0.7), gain=gain, constant=0.5)
    assert promised_gain(promise, CHAMPION) == gain
