"""How many decisions a quarter of a year holds: each has its share of the false alarms that a quarter may have."""

from __future__ import annotations

from datetime import timedelta

from components._shared.registry import Registry
from components._shared.task import Task
from components._shared.windows import Cadence, Windows

_QUARTER = timedelta(days=91)
_IN_A_QUARTER: dict[Cadence, int] = {"hourly": 2184, "daily": 91, "weekly": 13, "monthly": 3}


def looks_in_a_quarter(models: Registry, task: Task, windows: Windows, judgement: str) -> int:
    """As many as the cadence gives, or as there were, this one included, if those are more.

    Args:
        models: Holds the attempts.
        task: Names the cadence; without time only the attempts count.
        windows: Of this run.
        judgement: Of this run: what was judged before is no further look.
    """
    earlier = {
        attempt.judgement
        for attempt in models.tries().values()
        if windows.as_of - _QUARTER < attempt.windows.as_of <= windows.as_of
    }
    there = len(earlier - {judgement}) + 1
    return max(there, _IN_A_QUARTER[task.cadence]) if task.time is not None else there
