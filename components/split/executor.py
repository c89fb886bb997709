"""Divides a manifest into *train*, *tune*, *test* and *recent*. The parts refer to ranges of the same shards.

Rows with time are divided by the windows that `plan` fixed. Rows without are divided by their key, which is a hash and
so is spread evenly from 0 to 1::

    0        test_share          test_share + tune_share                    1
    |--- test ---|-------- tune --------|-------------- train --------------|

So a row keeps its part for as long as the shares stay the same, whatever rows come along.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from components._shared.digests import manifest_digest
from components._shared.errors import DataError
from components._shared.manifest import Manifest, Shard
from components._shared.tables import iter_batches, row_range, rows_below, save_manifest
from components._shared.windows import Window, Windows, zone


@dataclass(frozen=True)
class Parts:
    """The parts of a dataset."""

    train: Manifest
    tune: Manifest
    test: Manifest
    recent: Manifest


def split(*, examples: Manifest, windows: Windows) -> Parts:
    """Divides the rows.

    Args:
        examples: All rows.
        windows: The parts, by time or by share.

    Raises:
        DataError: A part that must not be empty is, or its labels are all the same.
        CorruptError: A shard changed since it was written.
        NotFoundError: A shard vanished.
    """
    by_time = "_time" in examples.columns
    parts = _by_time(examples, windows) if by_time else _by_key(examples, windows)
    for part in (parts.train, parts.tune, parts.test):
        _check_part(part, examples, windows)
    if examples.shards:
        root = examples.shards[0].uri.rsplit("/shards/", 1)[0]
        for part in (parts.train, parts.tune, parts.test, parts.recent):
            save_manifest(part, root)
    return parts


def _by_time(examples: Manifest, windows: Windows) -> Parts:
    train, tune, test, mature = windows.train, windows.tune, windows.test, windows.labelled_until
    if train is None or tune is None or test is None or mature is None:
        raise DataError(
            "The rows have a time, but the plan has no windows to divide them by",
            where="windows",
            fix="start the run again, so that it is planned anew",
        )

    def part(role: str, window: Window) -> Manifest:
        found = _part(examples, role, lambda shard: row_range(shard, window))
        return found.model_copy(update={"window": window})

    recent = Window(start=mature, end=max(windows.as_of, mature))
    return Parts(part("train", train), part("tune", tune), part("test", test), part("recent", recent))


def _by_key(examples: Manifest, windows: Windows) -> Parts:
    if windows.test_share is None or windows.tune_share is None:
        raise DataError(
            "The rows have no time, but the plan has no shares to divide them by",
            where="windows",
            fix="start the run again, so that it is planned anew",
        )
    tune_from, train_from = windows.test_share, windows.test_share + windows.tune_share

    def part(role: str, start: float, stop: float) -> Manifest:
        found = _part(examples, role, lambda shard: (_rows_below(shard, start), _rows_below(shard, stop)))
        return found.model_copy(update={"shares": (start, stop)})

    return Parts(
        train=part("train", train_from, 1.0),
        tune=part("tune", tune_from, train_from),
        test=part("test", 0.0, tune_from),
        recent=_part(examples, "recent", lambda shard: (0, 0)),
    )


def _rows_below(shard: Shard, share: float) -> int:
    """How many of the shard's rows have a key in the first so much of all keys."""
    if share <= 0:
        return 0
    if share >= 1:
        return shard.rows
    return rows_below(shard, f"{round(share * 2**53) << 75:032x}")


def _part(examples: Manifest, role: str, rows_of: Callable[[Shard], tuple[int, int]]) -> Manifest:
    shards = []
    for shard in examples.shards:
        start, stop = rows_of(shard)
        if start < stop:
            shards.append(shard.model_copy(update={"start": start, "stop": stop}))
    return Manifest(
        role=role,
        digest=manifest_digest(examples.columns, shards),
        columns=examples.columns,
        shards=tuple(shards),
        count=sum(shard.stop - shard.start for shard in shards),
        rows=examples.rows,
        timezone=examples.timezone,
        made_from={"examples": examples.digest},
    )


def _check_part(part: Manifest, examples: Manifest, windows: Windows) -> None:
    where = f"{part.role}: {_told(part, windows)}"
    if not part.count:
        rows = examples.rows
        if not rows.kept:
            raise DataError(
                f"No row has a mature label: all {rows.label_pending} rows in the window are too young",
                where=f"labels are mature until {_day(windows.labelled_until)}, as of {_day(windows.as_of)}",
                fix="choose a later as_of, a longer window, or correct label.known_after",
            )
        raise DataError(
            f"The {part.role} part is empty: none of {rows.kept} labelled rows lies in it",
            where=f"{where}; the rows: {_reach(examples)}",
            fix=_as_of_for(part, examples, windows) or "change window, split or embargo in the task file, or as_of",
        )
    first = None
    for batch in iter_batches(part, ["_label"]):
        for value in batch.column(0).unique().to_pylist():
            if first is None:
                first = value
            elif value != first:
                return
    raise DataError(
        f"The label is {first:g} in all {part.count} rows of the {part.role} part: nothing to learn or to judge"
        if first is not None
        else f"No row of the {part.role} part has a label",
        where=where,
        fix="check label.expression and label.positive, or take a longer window",
    )


def _as_of_for(part: Manifest, examples: Manifest, windows: Windows) -> str:
    """Where the rows end before a part begins, most often because nobody said as of when: the moment to give."""
    latest = examples.shards[-1].max_time if examples.shards else None
    if latest is None or part.window is None or part.window.start is None or latest >= part.window.start:
        return ""
    assert windows.labelled_until is not None
    known = latest + timedelta(days=1) + (windows.as_of - windows.labelled_until)
    return f"the rows end before it begins: run as of then, as_of={known.astimezone(zone(windows.timezone)):%Y-%m-%d}"


def _told(part: Manifest, windows: Windows) -> str:
    if part.window is None:
        return f"test is the share {windows.test_share}, tune {windows.tune_share}, train the rest"
    return f"{_day(part.window.start)} to {_day(part.window.end)}"


def _reach(examples: Manifest) -> str:
    if not examples.shards or examples.shards[0].min_time is None:
        return str(examples.count)
    return f"{_day(examples.shards[0].min_time)} to {_day(examples.shards[-1].max_time)}"


def _day(moment: datetime | None) -> str:
    return "the beginning" if moment is None else moment.isoformat()
