"""The rows: when they happened, what tells them apart, and how they are divided into parts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations

from components._shared.errors import InputError
from components._shared.expressions import near
from components._shared.gates import MetricGates
from components._shared.task import SplitRule
from components._shared.windows import parse_span, zone
from pipelines.proposal.contents import ID_NAME, Asker, Proposal, Wishes, quoted, sql_name
from pipelines.proposal.label import Label
from pipelines.proposal.table_profile import ColumnProfile, Table, moment

_TIME_NAMES = ("time", "timestamp", "datetime", "date", "created", "created_at", "event_time", "ts", "day")
_OTHER_TIMES = re.compile(r"birth|dob|expir|due|valid|end", re.IGNORECASE)
_FEWEST_DAYS = 15


def choose_time(table: Table, label: Label, proposal: Proposal, wishes: Wishes, ask: Asker) -> None:
    """Sets the time column, its zone, and when labels are known."""
    candidates = [column for column in table.columns.values() if _could_be_time(column, label)]
    candidates.sort(key=lambda column: (_time_rank(column.name), not column.zoned))
    names = [column.name for column in candidates]
    if wishes.time and wishes.time != "none" and wishes.time not in names:
        known = table.columns.get(wishes.time)
        why = (
            near(wishes.time, table.columns)
            if known is None
            else "it is no moment, or not in every row, or spans few days"
        )
        raise InputError(f"The column {wishes.time!r} cannot be the time of the rows", where="--time", fix=why)
    default = next((name for name in names if not _OTHER_TIMES.search(name)), "none")
    chosen = wishes.time or (
        ask.choose("Which column says when a row happened?", [*names, "none"], default) if names else "none"
    )
    if chosen == "none":
        proposal.notes["time"] = (
            "no column says when a row happened: the parts are drawn at random, by the hash of the key"
        )
        return
    column = table.columns[chosen]
    proposal.time = chosen
    proposal.notes["time"] = "when a row happened, and a prediction was asked for" + (
        f" (also possible: {', '.join(name for name in names if name != chosen)})" if len(names) > 1 else ""
    )
    if column.type not in ("date", "timestamp"):
        _derive_time(column, proposal, ask)
    proposal.timezone = _checked(wishes.timezone, zone, "--timezone") or ask.text(
        "In which time zone are its days?", "UTC", zone
    )
    proposal.known_after = _checked(wishes.known_after, parse_span, "--known-after") or ask.text(
        "How long after it is the label known (0d, 12h, 30d)?", "0d", parse_span
    )


def _checked(text: str, check: Callable[[str], object], where: str) -> str:
    try:
        if text:
            check(text)
    except ValueError as cause:
        raise InputError(str(cause), where=where) from cause
    return text


def _could_be_time(column: ColumnProfile, label: Label) -> bool:
    if column.name in label.reads or column.missing_share > 0.001:
        return False
    if column.written_as:
        return column.distinct >= _FEWEST_DAYS
    if column.type not in ("date", "timestamp") or column.minimum is None or column.maximum is None:
        return False
    return column.maximum - column.minimum >= timedelta(days=_FEWEST_DAYS).total_seconds() * 1e6


def _time_rank(name: str) -> int:
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next((at for at, known in enumerate(_TIME_NAMES) if known in words), len(_TIME_NAMES))


def _derive_time(column: ColumnProfile, proposal: Proposal, ask: Asker) -> None:
    """Dates that are not written in ISO 8601 become a column of their own."""
    form = column.written_as[0]
    if len(column.written_as) > 1:
        form = ask.choose(f"How are the dates of {column.name} written?", column.written_as, form)
        proposal.notes["derived"] = f"also possible: {', '.join(f for f in column.written_as if f != form)}. Check it"
    text = sql_name(column.name) if column.type == "string" else f"CAST({sql_name(column.name)} AS VARCHAR)"
    name = re.sub(r"\W+", "_", column.name.lower()).strip("_") + "_parsed"
    proposal.derived[name] = (f"strptime({text}, '{form}')", "timestamp")
    proposal.left_out[column.name] = f"read as the moment {name}"
    proposal.time = name


def moment_sql(table: Table, proposal: Proposal) -> str:
    """The time as a TIMESTAMP over the table `typed`, or empty."""
    if not proposal.time:
        return ""
    if proposal.time in table.columns:
        return f"{quoted(proposal.time)}::TIMESTAMP"
    return proposal.derived[proposal.time][0]


def choose_key(table: Table, proposal: Proposal) -> None:
    """The smallest set of columns that tells all rows apart, if one looks meant for it."""
    columns = [c for c in table.columns.values() if not c.missing and c.name not in proposal.label_columns]
    unique = [c for c in columns if c.distinct == table.rows and _like_key(c)]
    if unique:
        best = min(unique, key=lambda c: not ID_NAME.search(c.name))
        proposal.key = (best.name,)
        proposal.notes["key"] = "its value is different in every row"
        return
    likely = [c for c in columns if c.type not in ("float64", "bool") and c.distinct > 1]
    time = [c for c in likely if c.name == proposal.time]
    likely = [c for c in likely if c not in time]
    likely.sort(key=lambda c: (c.type != "string" and not ID_NAME.search(c.name), -c.distinct))
    likely = likely[:8]
    likely = [c for c in likely if c.type == "string" or ID_NAME.search(c.name) or time]
    for size in (1, 2):
        for others in combinations(likely, size if time else size + 1):
            names = [c.name for c in (*time, *others)]
            if not time and not any(ID_NAME.search(name) for name in names):
                continue
            together = math.prod(c.distinct for c in (*time, *others))
            if together >= table.rows and _tells_apart(table, names):
                proposal.key = tuple(names)
                proposal.notes["key"] = "together different in every row. Check that this is meant, and not by chance"
                return
    proposal.notes["key"] = "no columns identify a row: its position in the file does"


def _like_key(column: ColumnProfile) -> bool:
    if column.type in ("float64", "bool", "date"):
        return False
    if ID_NAME.search(column.name):
        return True
    if column.type == "int64":
        return counts_rows(column)
    return column.type == "string" and column.length <= 40


def counts_rows(column: ColumnProfile) -> bool:
    """Whether whole numbers without a gap, each once: a running number."""
    assert column.minimum is not None and column.maximum is not None
    return column.distinct == column.rows and column.maximum - column.minimum + 1 == column.rows


def _tells_apart(table: Table, names: Sequence[str]) -> bool:
    columns = ", ".join(map(quoted, names))
    for source in ("typed LIMIT 20000", "typed"):
        read = f"(SELECT {columns} FROM {source})"
        rows, different = table.query(
            f"SELECT (SELECT count(*) FROM {read}), (SELECT count(*) FROM (SELECT DISTINCT * FROM {read}))"
        )[0]
        if rows != different:
            return False
    return True


def choose_parts(table: Table, proposal: Proposal) -> None:
    """Sets the sizes of the parts, and the limits that follow from the number of rows."""
    proposal.min_rows = max(1, min(1000, table.rows // 2))
    if table.rejected or any(column.unparsed for column in table.columns.values()):
        share = (table.rejected + max(column.unparsed for column in table.columns.values())) / table.rows
        if share > 0.0005:
            proposal.malformed = math.ceil(2000 * share) / 1000
            proposal.notes["malformed"] = f"{share:.2%} of the rows do not parse now"
    if not proposal.time:
        small = table.rows < 1000
        proposal.tune, proposal.test = (0.15, 0.3) if small else (SplitRule().tune, SplitRule().test)
        proposal.judge_rows = _judge_rows(int(table.rows * float(proposal.test)))
        return
    first, last = table.query(
        f"SELECT epoch_us(min(m)), epoch_us(max(m)) FROM (SELECT {moment_sql(table, proposal)} AS m FROM typed)"
    )[0]
    days = (last - first) / 86_400e6
    daily = table.rows / days
    test = _days(days, share=0.2, fewest=5, enough=max(30, math.ceil(300 / daily)))
    tune = _days(days, share=0.1, fewest=2, enough=max(14, math.ceil(150 / daily)))
    proposal.test_days, proposal.test, proposal.tune = test, f"{test}d", f"{tune}d"
    proposal.embargo = "1d" if days >= 60 else "0d"
    proposal.notes["split"] = f"the data spans {days:.0f} days"
    proposal.judge_rows = _judge_rows(round(daily * test))
    column = table.columns.get(proposal.time)
    end = moment(last)
    if column is not None and column.zoned:
        end = end.astimezone(zone(proposal.timezone))
    if end.replace(tzinfo=UTC) < datetime.now(UTC) - timedelta(days=3):
        proposal.as_of = str(end.date() + timedelta(days=1))


def _days(days: float, *, share: float, fewest: int, enough: int) -> int:
    """A share of the days, but no more than are enough."""
    return min(enough, max(fewest, round(share * days)))


def _judge_rows(test_rows: int) -> int:
    return max(10, min(MetricGates().min_rows, test_rows // 2))
