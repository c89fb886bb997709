"""Cron expressions: checked here, written as KFP's scheduler reads them, and when they come next.

KFP takes six fields, with seconds first, and reads five as if the last were left out: `0 2 * * *`, every night at two
anywhere else, starts a run every hour there. So the usual five are translated. Sunday is 0 there and never 7; `L`, `W`
and `#` are unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from components._shared.windows import zone

_YEARS = 5
"""How far KFP looks ahead."""


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()

    def numbers(self, text: str) -> frozenset[int]:
        return frozenset(number for part in text.split(",") for number in self._range(part))

    def _range(self, text: str) -> range:
        span, slash, step_text = text.partition("/")
        first, dash, last = span.partition("-")
        every = first in ("*", "?")
        if every and dash:
            raise ValueError(f"{self.name}: '{text}' is no range")
        low = self.low if every else self._number(first)
        high = self._number(last) if dash else self.high if every or slash else low
        step = int(step_text) if step_text.isdecimal() else 0
        if slash and step < 1:
            raise ValueError(f"{self.name}: a step is a whole number above 0, not '{step_text}'")
        if low > high:
            raise ValueError(f"{self.name}: the range {span} ends before it begins")
        return range(low, high + 1, step or 1)

    def _number(self, text: str) -> int:
        words = {word: self.low + position for position, word in enumerate(self.words)}
        number = words.get(text.lower(), int(text) if text.isdecimal() else None)
        if number is None or not self.low <= number <= self.high:
            or_words = f" or {self.words[0]} to {self.words[-1]}" if self.words else ""
            raise ValueError(f"{self.name}: '{text}' is not {self.low} to {self.high}{or_words}")
        return number


_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SECOND = _Field("second", 0, 59)
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True)
class Cron:
    """A checked expression.

    Attributes:
        text: The six fields that KFP takes.
    """

    text: str
    _second: frozenset[int]
    _minute: frozenset[int]
    _hour: frozenset[int]
    _day: frozenset[int]
    _month: frozenset[int]
    _weekday: frozenset[int]

    def after(self, moment: datetime, timezone: str) -> datetime | None:
        """The first time later than the moment, as KFP finds it; None: never within five years.

        Where clocks go forward a time that does not exist is left out; where they go back it comes twice.

        Args:
            timezone: The one that KFP's scheduler counts in.
        """
        place = zone(timezone)
        found = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        limit = found + timedelta(days=366 * _YEARS)
        while found < limit:
            local = found.astimezone(place)
            if local.month not in self._month or not self._is_day(local):
                midnight = datetime.combine(local.date() + timedelta(days=1), time(), place).astimezone(UTC)
                found = max(midnight, found + timedelta(seconds=1))
            elif local.hour not in self._hour:
                found += timedelta(minutes=60 - local.minute, seconds=-local.second)
            elif local.minute not in self._minute:
                found += timedelta(seconds=60 - local.second)
            elif local.second not in self._second:
                found += timedelta(seconds=1)
            else:
                return found
        return None

    def times(self, start: datetime, timezone: str) -> Iterator[datetime]:
        """All times later than the start, in order."""
        found = self.after(start, timezone)
        while found is not None:
            yield found
            found = self.after(found, timezone)

    def _is_day(self, local: datetime) -> bool:
        day = local.day in self._day
        weekday = local.isoweekday() % 7 in self._weekday
        either = not any(text.startswith(("*", "?")) for text in (self.text.split()[3], self.text.split()[5]))
        return day or weekday if either else day and weekday


def parse_cron(text: str) -> Cron:
    """Reads the usual five fields, or KFP's six with seconds first.

    Raises:
        ValueError: A field is not one that KFP knows, or the expression never comes true.
    """
    fields = text.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise ValueError(
            f"'{text}' has {len(fields)} fields; write five (minute, hour, day of month, month, day of week), "
            "such as 30 3 * * *, or six with seconds first"
        )
    fields[5] = _sunday_first(fields[5])
    numbers = [kind.numbers(field) for kind, field in zip((_SECOND, *_FIELDS), fields, strict=True)]
    cron = Cron(" ".join(fields), *numbers)
    if cron.after(datetime(2024, 1, 1, tzinfo=UTC), "UTC") is None:
        raise ValueError(f"'{text}' names a day that no month has")
    return cron


def _sunday_first(weekdays: str) -> str:
    """The day of week with 0 for Sunday, where 7 is usual too."""
    parts = []
    for part in weekdays.split(","):
        first, dash, last = part.partition("-")
        if part == "7":
            parts.append("0")
        elif dash and last == "7" and first.isdecimal() and int(first) < 7:
            parts += ["0", f"{first}-6"]
        else:
            parts.append(part)
    return ",".join(parts)
