"""As one of how many decisions of a quarter does this one count? Each has its share of the quarter's false alarms.

A quarter's false alarms are divided into equal shares: one for every planned decision, and one more for all that come
on top of them (another trainer by hand, a corrected gate). Of that last share the first unplanned decision takes a
half, the second a sixth, the j-th 1/(j (j + 1)): however many there are, they add up to no more than the share.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from components._shared.registry import Registry
from components._shared.task import Task
from components._shared.windows import Cadence, Windows

_QUARTER = timedelta(days=92)

PLANNED: dict[Cadence, int] = {"hourly": 2208, "daily": 92, "weekly": 14, "monthly": 3}
"""The most that a quarter of the calendar holds."""


def looks_in_a_quarter(models: Registry, task: Task, windows: Windows, judgement: str) -> int:
    """The number that the false alarms of a quarter are divided by for this decision.

    Args:
        models: Holds the attempts.
        task: Names the cadence; without time nothing is planned.
        windows: Of this run. The first judgement as of a moment is the planned one.
        judgement: Of this run: what was judged before is no further decision.
    """
    earlier: dict[str, datetime] = {
        attempt.judgement: attempt.windows.as_of
        for attempt in models.tries().values()
        if windows.as_of - _QUARTER < attempt.windows.as_of <= windows.as_of and attempt.judgement != judgement
    }
    moments = set(earlier.values())
    if task.time is not None and windows.as_of not in moments:
        return PLANNED[task.cadence] + 1
    unplanned = len(earlier) - (len(moments) if task.time is not None else 0) + 1
    return shares_of(task) * unplanned * (unplanned + 1)


def shares_of(task: Task) -> int:
    """Into how many equal shares a quarter's false alarms are divided."""
    return PLANNED[task.cadence] + 1 if task.time is not None else 1
