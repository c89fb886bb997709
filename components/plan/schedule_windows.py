"""Which rows a run looks at: the windows of a task as of a moment.

Days and hours are counted on the calendar of the task's time zone. Labels mature late: only whole periods (days; hours
for an hourly cadence) whose last row's label is known count as labelled.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from components._shared.errors import InputError, TaskError
from components._shared.task import Task
from components._shared.windows import Cadence, Span, Window, Windows, floor, parse_moment, parse_span, zone

_INSTANT = timedelta(microseconds=1)
_CHANGE = timedelta(hours=2)
"""By how much clocks change, at most."""


def schedule_windows(task: Task, *, as_of: str, now: datetime, newest: datetime) -> Windows:
    """The windows of a run.

    Args:
        task: The task.
        as_of: ISO 8601 moment, or empty for now; it is floored to the task's cadence.
        now: The clock.
        newest: When the newest source was written. In tasks without time it stands for an empty `as_of`, so that the
            same sources make the same experiment on any day.

    Raises:
        InputError: `as_of` is no moment, or lies in the future.
        TaskError: The window is too short for its parts, or the sizes of the parts do not fit the task.
    """
    if task.time is None:
        return _by_share(task, parse_moment(as_of, task.timezone) if as_of else newest)
    return _by_time(task, _moment(task, as_of, now))


def span_of(task: Task, *, as_of: str, now: datetime) -> Window | None:
    """The rows that a run looks at, by event time; none in tasks without time. Raises as `schedule_windows`."""
    return None if task.time is None else _by_time(task, _moment(task, as_of, now)).span


def _moment(task: Task, as_of: str, now: datetime) -> datetime:
    moment = floor(parse_moment(as_of, task.timezone) if as_of else now, task.cadence, task.timezone)
    if moment > now:
        raise InputError(
            f"as_of {as_of} lies in the future: its labels cannot be known yet",
            where="as_of",
            fix="leave it empty for now, or give a moment in the past",
        )
    return moment


def _by_share(task: Task, as_of: datetime) -> Windows:
    tune, test = task.split.tune, task.split.test
    if not isinstance(tune, float) or not isinstance(test, float):
        raise TaskError("split.tune and split.test are spans, but the task has no time column", where="split")
    if tune + test >= 1:
        raise TaskError(
            f"split.tune and split.test leave no rows to train on: {tune:g} + {test:g} is not below 1",
            where="split in the task file",
            fix="give smaller shares, for example tune: 0.1 and test: 0.2",
        )
    return Windows(as_of=as_of, timezone=task.timezone, tune_share=tune, test_share=test)


def _by_time(task: Task, as_of: datetime) -> Windows:
    timezone, embargo = task.timezone, parse_span(task.embargo)
    until = labelled_until(as_of, parse_span(task.label.known_after), task.cadence, timezone)
    test = Window(start=_size(task, "test").before(until, timezone), end=until)
    assert test.start is not None
    tune_end = embargo.before(test.start, timezone)
    tune = Window(start=_size(task, "tune").before(tune_end, timezone), end=tune_end)
    assert tune.start is not None
    train_end = embargo.before(tune.start, timezone)
    start = _start(task, as_of)
    if test.start >= test.end or tune.start >= tune.end:
        raise TaskError("split.tune and split.test need to be longer than zero", where="split in the task file")
    if start is not None and start >= as_of:
        raise TaskError(
            f"The window starts at {_local(start, timezone)}, which is not before its end {_local(as_of, timezone)}",
            where="window in the task file, and as_of",
            fix="give an earlier window.start or a later as_of",
        )
    if start is not None and start >= train_end:
        raise TaskError(
            f"The window is too short: from {_local(start, timezone)} on, no time is left to train. "
            f"Test takes {task.split.test} up to {_local(until, timezone)} (labels are known {task.label.known_after} "
            "late), "
            f"tune {task.split.tune} before it, with an embargo of {task.embargo} before each: train would end at "
            f"{_local(train_end, timezone)}",
            where="window, split and embargo in the task file, and as_of",
            fix="give an earlier window.start, a longer window.length, shorter parts, or a later as_of",
        )
    return Windows(
        as_of=as_of,
        timezone=timezone,
        span=Window(start=start, end=as_of),
        labelled_until=until,
        train=Window(start=start, end=train_end),
        tune=tune,
        test=test,
        embargo=task.embargo,
    )


def labelled_until(as_of: datetime, known_after: Span, cadence: Cadence, timezone: str) -> datetime:
    """The end of the last whole period of which every label is known at `as_of`."""
    period: Cadence = "hourly" if cadence == "hourly" else "daily"
    # Where clocks change, going back and then forth by calendar days may not come out where it began.
    until = floor(known_after.before(as_of, timezone) + _CHANGE, period, timezone)
    while max(known_after.after(until, timezone), known_after.after(until - _INSTANT, timezone)) > as_of:
        until = floor(until - _INSTANT, period, timezone)
    return until


def _size(task: Task, part: str) -> Span:
    size = task.split.tune if part == "tune" else task.split.test
    if isinstance(size, float):
        raise TaskError(
            f"split.{part} is the share {size:g}, but a task with a time column is split by time",
            where="split in the task file",
            fix=f"give a span, for example split: {{tune: 14d, test: 30d}} (or remove time: {task.time})",
        )
    return parse_span(size)


def _start(task: Task, as_of: datetime) -> datetime | None:
    starts = []
    if task.window.start is not None:
        try:
            starts.append(parse_moment(task.window.start, task.timezone))
        except InputError as cause:
            raise TaskError(cause.what, where="window.start in the task file", fix=cause.fix) from cause
    if task.window.length is not None:
        starts.append(parse_span(task.window.length).before(as_of, task.timezone))
    return max(starts, default=None)


def _local(moment: datetime, timezone: str) -> str:
    return moment.astimezone(zone(timezone)).strftime("%Y-%m-%d %H:%M")
