from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components._shared.errors import InputError, TaskError
from components._shared.task import Task
from components._shared.windows import Window, Windows, parse_span
from components.plan.schedule_windows import schedule_windows, span_of

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"]


def task(**changes: Any) -> Task:
    value: dict[str, Any] = {
        "name": "flights",
        "problem": "binary_classification",
        "data": {"sources": ["a.csv"]},
        "label": {"expression": "late", "known_after": "12h"},
        "time": "moment",
        "timezone": "America/New_York",
        "features": {"x": {"kind": "numeric", "available": "before"}},
        "split": {"tune": "14d", "test": "30d"},
        "embargo": "1d",
        "cadence": "monthly",
    }
    return Task.from_value({**value, **changes})


def schedule(task: Task, as_of: str = "", now: datetime = NOW) -> Windows:
    return schedule_windows(task, as_of=as_of, now=now, newest=now)


def local(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=ZoneInfo("America/New_York"))


def test_the_parts_of_the_flights_example_as_of_july() -> None:
    windows = schedule(task(), "2013-07-01")
    assert windows.as_of == local(2013, 7, 1)
    assert windows.labelled_until == local(2013, 6, 30), (
        "labels of 30 June are known 12 hours late: it is left out whole"
    )
    assert windows.test == Window(start=local(2013, 5, 31), end=local(2013, 6, 30))
    assert windows.tune == Window(start=local(2013, 5, 16), end=local(2013, 5, 30))
    assert windows.train == Window(start=None, end=local(2013, 5, 15))
    assert windows.span == Window(start=None, end=local(2013, 7, 1))


@pytest.mark.parametrize(
    ("cadence", "floored"),
    [
        ("hourly", local(2013, 7, 18, 15)),
        ("daily", local(2013, 7, 18)),
        ("weekly", local(2013, 7, 15)),
        ("monthly", local(2013, 7, 1)),
    ],
)
def test_as_of_is_floored_to_the_cadence_in_the_zone_of_the_task(cadence: str, floored: datetime) -> None:
    assert schedule(task(cadence=cadence), "2013-07-18T15:42:10").as_of == floored
    assert schedule(task(cadence=cadence), "", local(2013, 7, 18, 15) + timedelta(minutes=42)).as_of == floored


def test_a_moment_in_the_future_is_refused() -> None:
    with pytest.raises(InputError, match="lies in the future"):
        schedule(task(), "2031-07-01")


def test_the_running_month_is_not_in_the_future() -> None:
    assert schedule(task(), "2029-12-31").as_of == local(2029, 12, 1)


def test_a_length_and_a_start_both_limit_the_window() -> None:
    assert schedule(task(window={"length": "100d"}), "2013-07-01").span == Window(
        start=local(2013, 3, 23), end=local(2013, 7, 1)
    )
    both = task(window={"length": "100d", "start": "2013-04-01"})
    assert schedule(both, "2013-07-01").train == Window(start=local(2013, 4, 1), end=local(2013, 5, 15))


def test_a_window_too_short_for_its_parts_says_so() -> None:
    with pytest.raises(TaskError, match=r"too short.*no time is left to train"):
        schedule(task(window={"length": "40d"}), "2013-07-01")


def test_a_window_that_starts_after_its_end_says_so() -> None:
    with pytest.raises(TaskError, match="starts at 2013-08-01 00:00, which is not before its end 2013-07-01"):
        schedule(task(window={"start": "2013-08-01"}), "2013-07-01")


def test_a_start_that_is_no_moment_names_its_field() -> None:
    with pytest.raises(TaskError, match=r"window\.start"):
        schedule(task(window={"start": "last year"}), "2013-07-01")


def test_shares_in_a_task_with_time_are_refused() -> None:
    with pytest.raises(TaskError, match=r"split\.test is the share 0.2"):
        schedule(task(split={"tune": "14d"}), "2013-07-01")


def test_parts_of_no_length_are_refused() -> None:
    with pytest.raises(TaskError, match="longer than zero"):
        schedule(task(split={"tune": "0d", "test": "3d"}), "2013-07-01")


def test_a_task_without_time_is_split_by_shares_as_of_its_newest_source() -> None:
    timeless = task(time=None, split={"tune": 0.1, "test": 0.3})
    newest = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    windows = schedule_windows(timeless, as_of="", now=NOW, newest=newest)
    assert windows == Windows(as_of=newest, timezone="America/New_York", tune_share=0.1, test_share=0.3)
    assert span_of(timeless, as_of="", now=NOW) is None
    assert schedule(timeless, "2013-07-01").as_of == local(2013, 7, 1)


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    with pytest.raises(TaskError, match="leave no rows to train on"):
        schedule(task(time=None, split={"tune": 0.5, "test": 0.5}))


spans = st.one_of(
    st.integers(1, 40).map(lambda n: f"{n}d"),
    st.integers(1, 80).map(lambda n: f"{n}h"),
    st.tuples(st.integers(0, 3), st.integers(0, 30)).filter(any).map(lambda p: f"{p[0]}d{p[1]}h"),
    st.integers(1, 5000).map(lambda n: f"{n}min"),
)
lags = st.one_of(st.just("0d"), spans)
moments = st.one_of(
    st.datetimes(datetime(2012, 1, 1), datetime(2025, 1, 1)),
    # Around changes of the clocks.
    st.builds(
        lambda day, minutes: day + timedelta(minutes=minutes),
        st.sampled_from([datetime(2013, 3, 10), datetime(2013, 11, 3), datetime(2013, 10, 27), datetime(2013, 4, 6)]),
        st.integers(-3 * 1440, 5 * 1440),
    ),
).map(lambda moment: moment.replace(tzinfo=UTC))


@given(
    zone=st.sampled_from(ZONES),
    cadence=st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    known_after=lags,
    embargo=lags,
    tune=spans,
    test=spans,
    length=st.one_of(st.none(), st.integers(1, 400).map(lambda n: f"{n}d")),
    now=moments,
    back=st.integers(1, 3 * 86_400_000_000),
)
def test_the_parts_are_mature_ordered_disjoint_and_apart(
    zone: str,
    cadence: str,
    known_after: str,
    embargo: str,
    tune: str,
    test: str,
    length: str | None,
    now: datetime,
    back: int,
) -> None:
    planned = task(
        timezone=zone,
        cadence=cadence,
        label={"expression": "late", "known_after": known_after},
        embargo=embargo,
        split={"tune": tune, "test": test},
        window={"length": length},
    )
    try:
        windows = schedule(planned, now=now)
    except TaskError as cause:
        assert length is not None and "too short" in cause.what
        assume(False)
    assert windows.span and windows.train and windows.tune and windows.test and windows.labelled_until
    assert windows.tune.start and windows.test.start
    assert windows.as_of <= now
    # Ordered and disjoint, test up to the last mature label.
    assert windows.train.end <= windows.tune.start < windows.tune.end <= windows.test.start < windows.test.end
    assert windows.test.end == windows.labelled_until <= windows.as_of == windows.span.end
    assert windows.train.start == windows.span.start
    if windows.train.start:
        assert windows.train.start < windows.train.end
    # The embargo lies between them.
    assert parse_span(embargo).before(windows.test.start, zone) == windows.tune.end
    assert parse_span(embargo).before(windows.tune.start, zone) == windows.train.end
    # Whole periods.
    until = windows.labelled_until.astimezone(ZoneInfo(zone))
    assert (until.minute, until.second, until.microsecond) == (0, 0, 0) or cadence == "hourly"
    if cadence != "hourly":
        # Where midnight is skipped, the day starts at one o'clock.
        before = (until.astimezone(UTC) - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
        assert before.date() < until.date()
    # No label that is not mature: neither at the end nor anywhere before it.
    for earlier in (timedelta(microseconds=1), timedelta(microseconds=back)):
        assert parse_span(known_after).after(windows.labelled_until - earlier, zone) <= windows.as_of
    # And no whole period of mature labels is left out, but where the clocks change.
    later = until.astimezone(UTC) + timedelta(days=1 if cadence != "hourly" else 0, hours=3)
    assert parse_span(known_after).after(later, zone) > windows.as_of
