"""What a task file could say about a data file: label, problem, key, time, features, parts, gates.

Whatever cannot be read from the data is asked, or decided in the way that harms least and said so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Protocol, get_args

from components._shared.errors import DataError, InputError, TaskError
from components._shared.expressions import check, column_id, near
from components._shared.gates import MetricGates
from components._shared.task import FeatureKind, Problem, SplitRule
from components._shared.windows import zone
from pipelines.label_strength import Sample, movement, strength, take_sample
from pipelines.table_profile import ColumnProfile, Table, moment

FEWEST_ROWS = 50
LEAK = 0.95
_LABEL_NAMES = (
    "label", "target", "y", "outcome", "class", "response", "churn", "churned", "survived", "default", "fraud",
    "quality", "price", "result", "diagnosis", "converted", "clicked",
)  # fmt: skip
_TIME_NAMES = ("time", "timestamp", "datetime", "date", "created", "created_at", "event_time", "ts", "day")
_OTHER_TIMES = re.compile(r"birth|dob|expir|due|valid|end", re.IGNORECASE)
_POSITIVE = (
    "yes",
    "y",
    "true",
    "t",
    "1",
    "positive",
    "pos",
    "churned",
    "fraud",
    "spam",
    "malignant",
    "bad",
    "late",
    "good",
)
_ID = re.compile(r"(^|[_ .-])(id|uuid|guid|key|index|idx|rowid)$|[a-z]I[dD]$|^unnamed: ?\d+$", re.IGNORECASE)
_MOST_CLASSES = 50
_MOST_CATEGORIES = 1000
_SLICE_VALUES = (2, 20)
_MOST_SLICES = 3
_FEWEST_DAYS = 15
_STEADY_PSI = 0.25


class Asker(Protocol):
    """Asks a person, or takes the default where there is none."""

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """One of the options."""

    def confirm(self, question: str) -> bool:
        """Yes or no; no by default."""

    def text(self, question: str, default: str) -> str:
        """A line."""


@dataclass(frozen=True)
class Wishes:
    """What the command line says; empty: to be found."""

    label: str = ""
    time: str = ""
    problem: str = ""
    positive: str = ""
    timezone: str = ""
    known_after: str = ""


@dataclass(frozen=True)
class FeatureChoice:
    """A model input, and what a reader should check about it."""

    name: str
    kind: FeatureKind
    available: str
    note: str


@dataclass
class Proposal:
    """The content of a task file and of its schema.

    Attributes:
        label: SQL expression; `label_columns` are the source columns that it reads.
        derived: Name → (expression, type).
        left_out: Column → why it is no feature.
        as_of: Moment for the first run where the data ends in the past, or empty.
        notes: Field → comment.
    """

    problem: Problem
    label: str
    label_columns: frozenset[str]
    label_std: float | None = None
    positive: str | int | None = None
    classes: tuple[str | int, ...] = ()
    population: str = ""
    time: str = ""
    timezone: str = "UTC"
    known_after: str = "0d"
    key: tuple[str, ...] = ()
    cluster: str = ""
    derived: dict[str, tuple[str, str]] = field(default_factory=dict)
    features: list[FeatureChoice] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    tune: str | float = 0.1
    test: str | float = 0.2
    test_days: int = 0
    embargo: str = "0d"
    as_of: str = ""
    min_rows: int = 100
    judge_rows: int = 200
    malformed: float | None = None
    psi: float | None = _STEADY_PSI
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Label:
    column: str
    sql: str
    expression: str
    type: str
    reads: frozenset[str]
    values: tuple[tuple[str, int], ...]
    distinct: int
    missing: int


def propose(table: Table, wishes: Wishes, ask: Asker) -> Proposal:
    """A proposal for the table.

    Raises:
        InputError: No label is given and nobody can be asked, or a wish does not fit the data.
        DataError: Too few rows, or a label that says nothing.
    """
    if table.rows < FEWEST_ROWS:
        raise DataError(
            f"There are {table.rows} rows: too few to train, tune and test a model on",
            fix=f"collect at least {FEWEST_ROWS}; a few hundred are a start",
        )
    label = _label(table, wishes, ask)
    proposal = _problem(table, label, wishes, ask)
    _time(table, label, proposal, wishes, ask)
    _parts(table, proposal)
    _key(table, proposal)
    sample = take_sample(table, label.sql, _moment_sql(table, proposal))
    _features(table, label, proposal, sample, ask)
    _drift(proposal, sample)
    return proposal


def sql_name(name: str) -> str:
    """A column in an expression: in double quotes where it has to be."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        try:
            if check(name, {name: "int64"}, name).columns_read == {name}:
                return name
        except TaskError:
            pass
    return '"' + name.replace('"', '""') + '"'


def label_candidates(table: Table) -> list[str]:
    """Columns that could be the label, the likeliest first."""
    names = [
        name
        for name, column in table.columns.items()
        if not column.is_constant and column.type not in ("date", "timestamp")
    ]

    def rank(name: str) -> tuple[int, int, int]:
        column, words = table.columns[name], re.split(r"[^a-z0-9]+", name.lower())
        named = next((at for at, known in enumerate(_LABEL_NAMES) if known in words), len(_LABEL_NAMES))
        few = column.distinct if column.distinct <= _MOST_CLASSES else _MOST_CLASSES + 1
        return named, 0 if name == names[-1] else 1, few

    useful = [n for n in names if table.columns[n].type != "string" or table.columns[n].distinct <= _MOST_CLASSES]
    return sorted(useful, key=rank)


def _label(table: Table, wishes: Wishes, ask: Asker) -> _Label:
    candidates = label_candidates(table)
    if not candidates:
        raise DataError("No column could be a label: all are constant, moments, or free text")
    chosen = wishes.label or ask.choose("Which column is to be predicted?", candidates, candidates[0])
    types = {name: column.type for name, column in table.columns.items()}
    expression = chosen if chosen not in types else sql_name(chosen)
    if chosen not in types and re.fullmatch(r"[\w .-]+", chosen):
        raise InputError(f"There is no column {chosen!r}", where="--label", fix=near(chosen, types))
    checked = check(expression, types, "--label")
    ids = ", ".join(f"{_q(name)} AS {column_id(name)}" for name in sorted(checked.columns_read))
    # As a view, since an expression names its columns by their ids.
    sql = f"(SELECT {checked.sql} FROM (SELECT {ids}))"
    values = table.query(
        f"SELECT l::VARCHAR, count(*) FROM (SELECT {sql} AS l FROM typed) GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    known = tuple((str(value), count) for value, count in values if value is not None)
    label = _Label(
        column=chosen if chosen in types else "",
        sql=sql,
        expression=expression,
        type=checked.type or checked.sql_type,
        reads=checked.columns_read,
        values=known,
        distinct=len(known),
        missing=sum(count for value, count in values if value is None),
    )
    present = table.rows - label.missing
    if label.distinct < 2:
        said = f"has one value only: {known[0][0]}" if known else "has no value at all"
        raise DataError(f"The label {chosen} {said}", where="--label", fix="choose another column, or other data")
    if present < FEWEST_ROWS:
        raise DataError(
            f"Only {present} rows have a label ({chosen}): too few", where="--label", fix="choose another column"
        )
    return label


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _problem(table: Table, label: _Label, wishes: Wishes, ask: Asker) -> Proposal:
    fits = _problems(label)
    if wishes.problem and wishes.problem not in fits:
        raise InputError(
            f"The label {label.expression} ({label.type}, {label.distinct} values) does not fit {wishes.problem}",
            where="--problem",
            fix=f"it fits {' or '.join(fits)}" if fits else "choose another label",
        )
    if not fits:
        raise DataError(
            f"The label {label.expression} has {label.distinct} different texts: too many for classes",
            where="--label",
            fix="choose another column, or group the values with an expression",
        )
    problem = wishes.problem or (ask.choose("What kind of problem is it?", fits, fits[0]) if len(fits) > 1 else fits[0])
    proposal = Proposal(problem=problem, label=label.expression, label_columns=label.reads)  # type: ignore[arg-type]
    match problem:
        case "binary_classification":
            _positive(label, proposal, wishes, ask)
        case "multiclass_classification":
            _classes(label, proposal)
        case _:
            proposal.label_std = table.query(f"SELECT stddev_pop({label.sql}::DOUBLE) FROM typed")[0][0]
    share = label.missing / table.rows
    if share > 0.01:
        proposal.population = f"{label.expression} IS NOT NULL" if label.column else f"({label.expression}) IS NOT NULL"
        proposal.notes["population"] = (
            f"{label.missing} of {table.rows} rows have no label and are left out. "
            "Check why: are they another question?"
        )
    return proposal


def _problems(label: _Label) -> list[str]:
    """The problems that the label fits, the likeliest first."""
    binary, multiclass, regression = get_args(Problem)
    texts = [value for value, _ in label.values]
    match label.type:
        case "bool":
            return [binary]
        case "string":
            return [binary] if label.distinct == 2 else [multiclass] if label.distinct <= _MOST_CLASSES else []
        case "int64":
            if label.distinct == 2:
                return [binary, regression]
            few = label.distinct <= 10 and max(map(int, texts)) - min(map(int, texts)) < 2 * label.distinct
            return (
                [multiclass, regression] if few else [regression, multiclass][: 1 + (label.distinct <= _MOST_CLASSES)]
            )
        case "float64":
            return [binary, regression] if {float(text) for text in texts} == {0.0, 1.0} else [regression]
        case _:
            return []


def _positive(label: _Label, proposal: Proposal, wishes: Wishes, ask: Asker) -> None:
    texts = [value for value, _ in label.values]
    if label.type in ("bool", "float64") or (label.type == "int64" and set(texts) == {"0", "1"}):
        return
    by_name = [text for word in _POSITIVE for text in texts if text.lower() == word]
    rarer = texts[-1]
    default = by_name[0] if by_name else max(texts, key=int) if label.type == "int64" else rarer
    chosen = wishes.positive or ask.choose("Which value counts as 1?", texts, default)
    if chosen not in texts:
        raise InputError(f"The label is never {chosen!r}", where="--positive", fix=f"it is {' or '.join(texts)}")
    proposal.positive = int(chosen) if label.type == "int64" else chosen
    counts = ", ".join(f"{value}: {count} rows" for value, count in label.values)
    proposal.notes["positive"] = f"the value that counts as 1 ({counts})"


def _classes(label: _Label, proposal: Proposal) -> None:
    texts = [value for value, _ in label.values]
    proposal.classes = tuple(sorted(map(int, texts))) if label.type == "int64" else tuple(sorted(texts))
    rare = [f"{value} ({count})" for value, count in label.values if count < 10]
    proposal.notes["classes"] = "in the order of the model's outputs" + (
        f"; with few rows, hard to learn and to judge: {', '.join(rare)}" if rare else ""
    )


def _time(table: Table, label: _Label, proposal: Proposal, wishes: Wishes, ask: Asker) -> None:
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
    proposal.timezone = wishes.timezone or ask.text("In which time zone are its days?", "UTC")
    try:
        zone(proposal.timezone)
    except ValueError as cause:
        raise InputError(str(cause), where="--timezone") from cause
    proposal.known_after = wishes.known_after or ask.text("How long after it is the label known (0d, 12h, 30d)?", "0d")


def _could_be_time(column: ColumnProfile, label: _Label) -> bool:
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


def _moment_sql(table: Table, proposal: Proposal) -> str:
    """The time as a TIMESTAMP over the table `typed`, or empty."""
    if not proposal.time:
        return ""
    if proposal.time in table.columns:
        return f"{_q(proposal.time)}::TIMESTAMP"
    return proposal.derived[proposal.time][0]


def _key(table: Table, proposal: Proposal) -> None:
    """The smallest set of columns that tells all rows apart, if one looks meant for it."""
    columns = [c for c in table.columns.values() if not c.missing and c.name not in proposal.label_columns]
    unique = [c for c in columns if c.distinct == table.rows and _like_key(c)]
    if unique:
        best = min(unique, key=lambda c: not _ID.search(c.name))
        proposal.key = (best.name,)
        proposal.notes["key"] = "its value is different in every row"
        return
    likely = [c for c in columns if c.type not in ("float64", "bool") and c.distinct > 1]
    time = [c for c in likely if c.name == proposal.time]
    likely = [c for c in likely if c not in time]
    likely.sort(key=lambda c: (c.type != "string" and not _ID.search(c.name), -c.distinct))
    likely = likely[:8]
    likely = [c for c in likely if c.type == "string" or _ID.search(c.name) or time]
    for size in (1, 2):
        for others in combinations(likely, size if time else size + 1):
            names = [c.name for c in (*time, *others)]
            if not time and not any(_ID.search(name) for name in names):
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
    if _ID.search(column.name):
        return True
    if column.type == "int64":
        return _counts_rows(column)
    return column.type == "string" and column.length <= 40


def _counts_rows(column: ColumnProfile) -> bool:
    assert column.minimum is not None and column.maximum is not None
    return column.distinct == column.rows and column.maximum - column.minimum + 1 == column.rows


def _tells_apart(table: Table, names: Sequence[str]) -> bool:
    columns = ", ".join(map(_q, names))
    for source in ("typed LIMIT 20000", "typed"):
        read = f"(SELECT {columns} FROM {source})"
        rows, different = table.query(
            f"SELECT (SELECT count(*) FROM {read}), (SELECT count(*) FROM (SELECT DISTINCT * FROM {read}))"
        )[0]
        if rows != different:
            return False
    return True


def _features(table: Table, label: _Label, proposal: Proposal, sample: Sample, ask: Asker) -> None:
    for column in table.columns.values():
        if column.name in proposal.label_columns or column.name in proposal.left_out or column.name == proposal.time:
            continue
        reason = _no_feature(column, proposal)
        if reason:
            proposal.left_out[column.name] = reason
            continue
        proposal.features.append(_feature(table, label, column, proposal, sample, ask))
    for name in sorted(proposal.label_columns):
        proposal.left_out[name] = "the label is made of it"
    if proposal.time in table.columns:
        proposal.left_out[proposal.time] = (
            "the moment itself; what returns with it is a column to derive, such as "
            f"dayname({sql_name(proposal.time)}) or hour({sql_name(proposal.time)})"
        )
    proposal.left_out.update(
        {name: reason for name, reason in table.unusable.items() if not name.startswith("_unnamed_")}
    )
    if not any(feature.available == "before" for feature in proposal.features):
        raise DataError(
            "No column is left to predict from: "
            + "; ".join(f"{name}: {reason}" for name, reason in proposal.left_out.items()),
            fix="add columns that are known before the prediction",
        )
    used = {feature.name for feature in proposal.features if feature.available == "before"}
    low, high = _SLICE_VALUES
    slices = [
        c
        for c in table.columns.values()
        if c.name in used and c.type in ("string", "bool") and low <= c.distinct <= high
    ]
    proposal.slices = tuple(c.name for c in slices[:_MOST_SLICES])


def _no_feature(column: ColumnProfile, proposal: Proposal) -> str:
    present = column.rows - column.missing
    if column.is_constant:
        return "always the same" if column.distinct else "always missing"
    if proposal.key == (column.name,):
        return "identifies the row"
    if column.written_as:
        return f"dates as text: derive a column, such as strptime({sql_name(column.name)}, '{column.written_as[0]}')"
    if column.type == "string" and (column.distinct > _MOST_CATEGORIES or column.distinct > max(50, present / 2)):
        return f"{column.distinct} different texts: free text or an identifier"
    if column.type == "int64" and _counts_rows(column):
        return "counts the rows"
    if _ID.search(column.name) and column.distinct > _MOST_CLASSES:
        if not proposal.cluster and column.distinct < 0.9 * present:
            proposal.cluster = column.name
            proposal.notes["cluster"] = "rows that share it are not independent of each other"
        return f"an identifier, by its name ({column.distinct} different values)"
    return ""


def _feature(
    table: Table, label: _Label, column: ColumnProfile, proposal: Proposal, sample: Sample, ask: Asker
) -> FeatureChoice:
    kinds: dict[str, FeatureKind] = {
        "bool": "boolean",
        "string": "categorical",
        "date": "datetime",
        "timestamp": "datetime",
    }
    kind = kinds.get(column.type, "numeric")
    suspicion = _suspicion(table, label, column, proposal, sample)
    if suspicion:
        known = ask.confirm(f"{column.name}: {suspicion}. Is its value known before the prediction?")
        return FeatureChoice(column.name, kind, "before" if known else "unknown", suspicion)
    new = movement(sample, column.name, proposal.test_days)[1] if proposal.time else 0.0
    if new > 0.5:
        note = f"it moves with time: {new:.0%} of the test rows have values that were all but unknown before"
        return FeatureChoice(column.name, kind, "unknown", note)
    notes = [f"{column.missing_share:.0%} missing"] if column.missing_share >= 0.005 else []
    if column.unparsed:
        notes.append(f"{column.unparsed} values are no {column.type}: their rows are set aside")
    return FeatureChoice(column.name, kind, "before", "; ".join(notes))


def _suspicion(table: Table, label: _Label, column: ColumnProfile, proposal: Proposal, sample: Sample) -> str:
    """Why a column may be known only after the label."""
    if label.missing >= 10 and column.missing:
        both = table.query(f"SELECT count(*) FROM typed WHERE {_q(column.name)} IS NULL AND {label.sql} IS NULL")[0][0]
        if both > 0.8 * label.missing and both > 0.8 * column.missing:
            return "it is missing where the label is"
    found = strength(sample, column.name, proposal.problem)
    if found > LEAK:
        measure = {"binary_classification": "AUC", "multiclass_classification": "accuracy beyond chance"}
        return f"it alone predicts the label ({measure.get(proposal.problem, 'explained variance')} {found:.3f})"
    return ""


def _parts(table: Table, proposal: Proposal) -> None:
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
        f"SELECT epoch_us(min(m)), epoch_us(max(m)) FROM (SELECT {_moment_sql(table, proposal)} AS m FROM typed)"
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


def _drift(proposal: Proposal, sample: Sample) -> None:
    """A limit on PSI that chance alone does not reach, nor what moves anyway."""
    noise = sample.noise(
        [feature.name for feature in proposal.features if feature.available == "before"], proposal.test
    )
    worst = 0.0
    if proposal.time:
        used = [feature.name for feature in proposal.features if feature.available == "before"]
        moving = {name: movement(sample, name, proposal.test_days)[0] for name in used}
        worst = max(moving.values(), default=0.0)
        named = [f"{name} ({psi:.2f})" for name, psi in moving.items() if psi > _STEADY_PSI]
        if named:
            proposal.notes["psi"] = f"move in this data already: {', '.join(named)}"
    limit = max(_STEADY_PSI, worst * 1.5, _STEADY_PSI * (noise > 0.1) + 2 * noise * (noise > 0.1))
    if limit > 2:
        proposal.psi = None
        reason = proposal.notes.get("psi", "too few rows to tell drift from chance")
        proposal.notes["psi"] = f"{reason}: reported, not judged"
    elif limit > _STEADY_PSI:
        proposal.psi = math.ceil(limit * 20) / 20
        proposal.notes.setdefault("psi", "with few rows or many categories, chance alone makes it large")
