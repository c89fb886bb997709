"""Windows of event time: spans, floors, and the parts of a training window.

::

    start                                              labelled_until   as_of
      |--- train ---|emb|-- tune --|emb|----- test -----|--- recent ------|

All windows are half-open, `[start, end)`. Days are calendar days in the task's time zone, so a day may have 23 or 25
hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime

from components._shared.contract import Contract
from components._shared.errors import InputError

Cadence = Literal["hourly", "daily", "weekly", "monthly"]

_SPAN = re.compile(r"(\d+)(min|h|d|w)")


@dataclass(frozen=True)
class Span:
    """A length of time: calendar days, then seconds."""

    days: int = 0
    seconds: int = 0

    def before(self, moment: datetime, timezone: str) -> datetime:
        """The moment that lies this span earlier, days counted on the calendar of the zone."""
        return self._shift(moment, timezone, -1)

    def after(self, moment: datetime, timezone: str) -> datetime:
        """The moment that lies this span later."""
        return self._shift(moment, timezone, 1)

    def _shift(self, moment: datetime, timezone: str, sign: int) -> datetime:
        if self.days:
            local = moment.astimezone(zone(timezone))
            # Of the hour that a clock shows twice, the second one stays the second.
            moment = (local + sign * timedelta(days=self.days)).replace(fold=local.fold)
        return moment.astimezone(UTC) + sign * timedelta(seconds=self.seconds)


PERIODS: dict[Cadence, Span] = {
    "hourly": Span(seconds=3600),
    "daily": Span(days=1),
    "weekly": Span(days=7),
    "monthly": Span(days=31),
}
"""How long the period of a cadence is, at most."""


def parse_span(text: str) -> Span:
    """Reads `30d`, `12h`, `90min`, `2w`, or several of them in a row such as `1d12h`.

    Raises:
        ValueError: It is none of them.
    """
    found = _SPAN.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise ValueError(f"{text!r} is not a span; write for example 30d, 12h, 90min, 2w or 1d12h")
    days = sum(int(number) * (7 if unit == "w" else 1) for number, unit in found if unit in "dw")
    seconds = sum(int(number) * (3600 if unit == "h" else 60) for number, unit in found if unit in ("h", "min"))
    return Span(days=days, seconds=seconds)


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as cause:
        raise ValueError(f"{name!r} is not an IANA time zone such as UTC or America/New_York") from cause


def parse_moment(text: str, timezone: str) -> datetime:
    """Reads an ISO 8601 date or moment; without an offset it is local to the zone.

    Raises:
        InputError: It is not ISO 8601.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as cause:
        raise InputError(
            f"{text!r} is not a date or moment", where="as_of", fix="write ISO 8601, for example 2013-07-01"
        ) from cause
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))).astimezone(UTC)


def floor(moment: datetime, cadence: Cadence, timezone: str) -> datetime:
    """The last start of an hour, day, week (Monday) or month of the zone that is not after the moment."""
    local = moment.astimezone(zone(timezone))
    match cadence:
        case "hourly":
            return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        case "daily":
            start = local.replace(hour=0, minute=0, second=0, microsecond=0)
        case "weekly":
            start = (local - timedelta(days=local.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
        case "monthly":
            start = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return start.replace(fold=0).astimezone(UTC)


def ceil(moment: datetime, cadence: Cadence, timezone: str) -> datetime:
    """The first start of an hour, day, week (Monday) or month of the zone that is not before the moment."""
    start = floor(moment, cadence, timezone)
    return start if start == moment else floor(PERIODS[cadence].after(start, timezone), cadence, timezone)


class Window(Contract):
    """Half-open interval of event time; a missing start reaches back without end."""

    start: AwareDatetime | None
    end: AwareDatetime

    def holds(self, moment: datetime) -> bool:
        """Whether the moment lies in it."""
        return (self.start is None or self.start <= moment) and moment < self.end


class Windows(Contract):
    """What `plan` decided about time, as values.

    Attributes:
        as_of: Nothing at or after it is looked at.
        span: The rows that `ingest` keeps.
        labelled_until: Labels of rows before it are mature; later rows are kept as *recent*, without their label.
        train, tune, test: Parts by time; absent in tasks without time.
        tune_share, test_share: Parts by hash of the key; absent in tasks with time.
        embargo: Span between parts, and between `fit_until` and the rows that judge.
    """

    as_of: AwareDatetime
    timezone: str
    span: Window | None = None
    labelled_until: AwareDatetime | None = None
    train: Window | None = None
    tune: Window | None = None
    test: Window | None = None
    tune_share: float | None = None
    test_share: float | None = None
    embargo: str = "0d"
