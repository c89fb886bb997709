"""As one of how many decisions of a quarter does this one count? Each has its share of the quarter's false alarms.

A quarter's false alarms are divided into equal shares: one for every planned decision, and one more for all that come
on top of them (another trainer by hand, a corrected gate). Of that last share the first unplanned decision takes a
half, the second a sixth, the j-th 1/(j (j + 1)): however many there are, they add up to no more than the share.

A quarter is one of the calendar, January to March and so on, in the task's time zone: its planned decisions are as many
as a calendar can hold. (Any 92 days may hold four firsts of a month: February to May.) The first judgement as of a
moment is the planned one, whoever made it: an experiment by hand that comes before the schedule's run takes its share.

`plan` counts, and `push` counts again before it moves the pointer: of two runs that were planned at the same time both
were told that they are the planned one, and the later of them is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from components._shared.records import Attempt
from components._shared.task import EvaluationSection
from components._shared.windows import Cadence, Windows, zone

PLANNED: dict[Cadence, int] = {"hourly": 2209, "daily": 92, "weekly": 14, "monthly": 3}
"""The most that a quarter of the calendar holds: 92 days, and where clocks are set back in them one hour more."""


def looks_in_a_quarter(
    attempts: Iterable[Attempt], section: EvaluationSection, windows: Windows, judgement: str
) -> int:
    """The number that the false alarms of a quarter are divided by for this decision.

    Args:
        attempts: All records of the task.
        section: Names the cadence; without time nothing is planned.
        windows: Of this run. The first judgement as of a moment is the planned one. Later moments of the quarter count
            as earlier ones do: in whatever order they were judged, no share is given twice.
        judgement: Of this run: what was judged before is no further decision.
    """
    quarter = _quarter(windows.as_of, section)
    others: dict[str, datetime] = {
        attempt.judgement: attempt.windows.as_of
        for attempt in attempts
        if attempt.judgement != judgement and _quarter(attempt.windows.as_of, section) == quarter
    }
    moments = set(others.values())
    shares = PLANNED[section.cadence] + 1 if section.has_time else 1
    if section.has_time and windows.as_of not in moments:
        return shares
    unplanned = len(others) - (len(moments) if section.has_time else 0) + 1
    return shares * unplanned * (unplanned + 1)


def _quarter(moment: datetime, section: EvaluationSection) -> tuple[int, int]:
    """The year, and which quarter of it: 0 to 3."""
    local = moment.astimezone(zone(section.timezone))
    return local.year, (local.month - 1) // 3
