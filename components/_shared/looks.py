"""As one of how many decisions of a quarter does this one count? Each has its share of the quarter's false alarms.

A quarter's false alarms are divided into equal shares: one for every planned decision, and one more for all that come
on top of them (another trainer by hand, a corrected gate). Of that last share the first unplanned decision takes a
half, the second a sixth, the j-th 1/(j (j + 1)): however many there are, they add up to no more than the share.

`plan` counts, and `push` counts again before it moves the pointer: of two runs that were planned at the same time both
were told that they are the planned one, and the later of them is not.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from components._shared.registry import Registry
from components._shared.task import EvaluationSection
from components._shared.windows import Cadence, Windows

_QUARTER = timedelta(days=92)

PLANNED: dict[Cadence, int] = {"hourly": 2208, "daily": 92, "weekly": 14, "monthly": 3}
"""The most that a quarter of the calendar holds."""


def looks_in_a_quarter(models: Registry, section: EvaluationSection, windows: Windows, judgement: str) -> int:
    """The number that the false alarms of a quarter are divided by for this decision.

    Args:
        models: Holds the attempts.
        section: Names the cadence; without time nothing is planned.
        windows: Of this run. The first judgement as of a moment is the planned one. Later moments count as earlier ones
            do: whichever quarter one looks at, and in whatever order it was judged, no share is given twice.
        judgement: Of this run: what was judged before is no further decision.
    """
    others: dict[str, datetime] = {
        attempt.judgement: attempt.windows.as_of
        for attempt in models.tries().values()
        if abs(windows.as_of - attempt.windows.as_of) < _QUARTER and attempt.judgement != judgement
    }
    moments = set(others.values())
    shares = PLANNED[section.cadence] + 1 if section.has_time else 1
    if section.has_time and windows.as_of not in moments:
        return shares
    unplanned = len(others) - (len(moments) if section.has_time else 0) + 1
    return shares * unplanned * (unplanned + 1)
