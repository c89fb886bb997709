"""Spans of time on a calendar whose days have 23, 24 or 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from components._shared.windows import Span

NEW_YORK = "America/New_York"
# On 3 November 2024 its clocks go from 01:59:59 (UTC-4) back to 01:00 (UTC-5), at 06:00 UTC.
FIRST_HALF_PAST_ONE, SECOND_HALF_PAST_ONE = (datetime(2024, 11, 3, hour, 30, tzinfo=UTC) for hour in (5, 6))


@pytest.mark.parametrize("moment", [FIRST_HALF_PAST_ONE, SECOND_HALF_PAST_ONE])
@pytest.mark.parametrize("minutes", [0, 30, 60, 120])
def test_hours_and_minutes_pass_whatever_the_clocks_show(moment: datetime, minutes: int) -> None:
    span, passed = Span(seconds=60 * minutes), timedelta(minutes=minutes)

    assert span.after(moment, NEW_YORK) == moment + passed
    assert span.before(moment, NEW_YORK) == moment - passed


def test_a_day_from_the_hour_that_comes_twice_is_the_same_time_of_another_day() -> None:
    day = Span(days=1)

    for moment in (FIRST_HALF_PAST_ONE, SECOND_HALF_PAST_ONE):
        assert day.after(moment, NEW_YORK) == datetime(2024, 11, 4, 6, 30, tzinfo=UTC)
        assert day.before(moment, NEW_YORK) == datetime(2024, 11, 2, 5, 30, tzinfo=UTC)
    assert day.after(datetime(2024, 11, 2, 5, 30, tzinfo=UTC), NEW_YORK) == FIRST_HALF_PAST_ONE
    assert day.before(datetime(2024, 11, 4, 6, 30, tzinfo=UTC), NEW_YORK) == FIRST_HALF_PAST_ONE
