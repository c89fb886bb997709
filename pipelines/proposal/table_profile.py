"""What is in a data file: types, missing values, distinct values, found by reading all of it.

Types are found here once, to be pinned in a schema; a run never infers them.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.errors import DataError, NotFoundError
from components._shared.task import RESERVED_PREFIX, ColumnType, CsvOptions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MALFORMED = 0.001
"""Largest share of values that do not parse, for a column to be taken for a number or a date all the same."""
_ALSO_MISSING = ("?", "-", "--", ".", "N/A", "n/a", "#N/A", "None", "none", "NULL", "Null", "missing")
_INTEGER = r"^[+-]?(0|[1-9]\d{0,17})$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_MOMENT = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?$"
_WRITTEN_DATES = (
    "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d",
    "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S",
)  # fmt: skip
_MOST_VALUES = 200


@dataclass(frozen=True)
class ColumnProfile:
    """One column.

    Attributes:
        missing: Rows without a value.
        unparsed: Values that are not of the type: their rows are malformed.
        values: The most frequent values with their counts, as text; all of them if `distinct` is no more than 200.
        minimum, maximum: Of a number, or of a moment (microseconds UTC).
        std: Of a number.
        length: Mean length of a text.
        written_as: Dates in a text column: how they are written, for `strptime`; several if that is not certain.
        zoned: Moments that say their offset from UTC; others are local.
    """

    name: str
    type: ColumnType
    rows: int
    missing: int
    unparsed: int
    distinct: int
    values: tuple[tuple[str, int], ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    std: float | None = None
    length: float = 0.0
    written_as: tuple[str, ...] = ()
    zoned: bool = False

    @property
    def missing_share(self) -> float:
        """0 to 1."""
        return self.missing / self.rows

    @property
    def is_constant(self) -> bool:
        """Whether it tells rows apart at all; missing counts as a value."""
        return self.distinct + (self.missing > 0) < 2


@dataclass
class Table:
    """A file, read into typed columns.

    Attributes:
        columns: In the file's order.
        unusable: Columns that cannot be used, with the reason.
        rejected: Lines that do not have as many fields as the header.
    """

    connection: DuckDBPyConnection
    rows: int
    csv: CsvOptions
    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    rejected: int = 0

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query over the table `typed`."""
        return self.connection.execute(sql).fetchall()

    def numpy(self, sql: str) -> dict[str, Any]:
        """Columns of a query over the table `typed`, as numpy arrays."""
        return dict(self.connection.execute(sql).fetchnumpy())


def read_table(path: Path) -> Table:
    """Reads CSV (plain, gz, zip), Parquet or JSON Lines.

    Raises:
        NotFoundError: There is no such file.
        DataError: It cannot be read as a table.
    """
    import duckdb

    if not path.is_file():
        raise NotFoundError("There is no such file", where=str(path), fix="give the path of a data file")
    connection = duckdb.connect()
    try:
        if path.suffix == ".parquet":
            _load(connection, f"read_parquet({_text(str(path))})")
            return _profile_typed(connection)
        if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
            _load(connection, f"read_json({_text(str(path))}, format='newline_delimited', sample_size=-1)")
            return _profile_typed(connection)
        with ExitStack() as stack:
            return _read_csv(connection, _unzipped(path, stack))
    except duckdb.Error as cause:
        first = str(cause).strip().splitlines()[0]
        raise DataError(
            f"This file cannot be read as a table: {first}",
            where=str(path),
            fix="give a CSV with a header line (plain, .gz, .zip; UTF-8), Parquet (.parquet) or JSON Lines (.jsonl)",
        ) from cause
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError) as cause:
        raise DataError(
            f"This file cannot be read: {cause}",
            where=str(path),
            fix="see that it is whole: fetch or unpack it again",
        ) from cause


def _load(connection: DuckDBPyConnection, source: str) -> None:
    connection.execute(f"CREATE TABLE raw AS SELECT * FROM {source}")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _unzipped(path: Path, stack: ExitStack) -> Path:
    if path.suffix != ".zip":
        return path
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
    if len(members) != 1:
        raise DataError(
            f"The archive holds {len(members)} files, not one",
            where=str(path),
            fix="unpack it and give one of them: " + ", ".join(members[:5]),
        )
    # By the last part of its name: a member's path may lead anywhere.
    target = Path(stack.enter_context(tempfile.TemporaryDirectory())) / Path(members[0].replace("\\", "/")).name
    with archive.open(members[0]) as member, target.open("wb") as stream:
        shutil.copyfileobj(member, stream)
    return target


def _read_csv(connection: DuckDBPyConnection, path: Path) -> Table:
    import duckdb

    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as stream:
        head = stream.read(1 << 20)
    if not head.strip():
        raise DataError("The file is empty", where=str(path), fix="give a file with a header line and rows")
    try:
        delimiter, quote = connection.execute(f"SELECT Delimiter, Quote FROM sniff_csv({_text(str(path))})").fetchall()[
            0
        ]
    except duckdb.Error:
        delimiter, quote = ",", '"'
    quote = quote if len(quote) == 1 else '"'
    names = _header(head.decode("utf-8-sig", errors="ignore"), delimiter, quote, path)
    options = CsvOptions(delimiter=delimiter, quote=quote)
    columns = ", ".join(f"{_text(name or f'_unnamed_{at}')}: 'VARCHAR'" for at, name in enumerate(names))
    source = (
        f"read_csv({_text(str(path))}, auto_detect=false, header=true, columns={{{columns}}}, "
        f"delim={_text(delimiter)}, quote={_text(quote)}, "
        f"escape={_text(quote)}, nullstr=[{', '.join(map(_text, options.null_values))}], "
        "store_rejects=true)"
    )
    _load(connection, source)
    table = _profile_text(connection, options)
    table.rejected, wrong_text = connection.execute(
        "SELECT count(DISTINCT line), count(*) FILTER (error_type LIKE '%ENCODING%' OR error_type LIKE '%UNICODE%') "
        "FROM reject_errors"
    ).fetchall()[0]
    if wrong_text:
        raise DataError(
            f"The text of {wrong_text} fields is not UTF-8",
            where=str(path),
            fix="convert the file, for example: iconv -f latin1 -t utf-8 old.csv > new.csv",
        )
    if table.rejected > table.rows:
        raise DataError(
            f"Most lines ({table.rejected}) do not have as many fields as the first one, which has {len(names)}: "
            f"{', '.join(names[:5])}",
            where=str(path),
            fix="see that the first line holds the column names, and that one character separates the fields",
        )
    return table


def _header(head: str, delimiter: str, quote: str, path: Path) -> list[str]:
    names = next(csv.reader(io.StringIO(head), delimiter=delimiter, quotechar=quote))
    if all(re.match(_NUMBER, name) for name in names):
        raise DataError(
            f"The first line holds no column names: {', '.join(names[:5])}",
            where=f"{path}, line 1",
            fix="put a header line in front",
        )
    counts = Counter(name.lower() for name in names if name)
    double = sorted({name for name in names if counts[name.lower()] > 1})
    if double:
        raise DataError(
            f"Column names stand more than once (capitals make no difference): {', '.join(map(repr, double))}",
            where=f"{path}, line 1",
            fix="give each column a name of its own",
        )
    return names


def _unusable(names: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in names:
        if name.startswith("_unnamed_"):
            found[name] = "has no name"
        elif name.startswith(RESERVED_PREFIX):
            found[name] = "its name starts with '_', which is Saiki's own: rename it to use it"
        elif re.search(r"[\x00-\x1f]", name):
            found[name] = "its name holds control characters"
    return found


def _profile_text(connection: DuckDBPyConnection, options: CsvOptions) -> Table:
    names = [row[0] for row in connection.execute("DESCRIBE raw").fetchall()]
    unusable = _unusable(names)
    more = _other_nulls(connection, [name for name in names if name not in unusable])
    if more:
        options = options.model_copy(update={"null_values": (*options.null_values, *more)})
        for mark in more:
            sets = ", ".join(f"{q} = nullif({q}, {_text(mark)})" for q in map(_quoted, names))
            connection.execute(f"UPDATE raw SET {sets}")
    types = {name: _text_type(connection, name) for name in names if name not in unusable}
    expressions = {name: _cast(name, kind) for name, kind in types.items()}
    return _finish(connection, types, expressions, options, unusable)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _other_nulls(connection: DuckDBPyConnection, names: list[str]) -> list[str]:
    """Words that stand for a missing value in columns that hold nothing but numbers otherwise."""
    found: set[str] = set()
    marks = ", ".join(map(_text, _ALSO_MISSING))
    for name in names:
        q = _quoted(name)
        rows = connection.execute(f"SELECT DISTINCT {q} FROM raw WHERE {q} IN ({marks})").fetchall()
        if not rows:
            continue
        numbers, others = connection.execute(
            f"SELECT count(*) FILTER (regexp_matches(v, '{_NUMBER}')), "
            f"count(*) FILTER (NOT regexp_matches(v, '{_NUMBER}')) "
            f"FROM (SELECT DISTINCT {q} AS v FROM raw) WHERE v NOT IN ({marks})"
        ).fetchall()[0]
        if numbers and not others:
            found |= {row[0] for row in rows}
    return sorted(found)


def _text_type(connection: DuckDBPyConnection, name: str) -> ColumnType:
    is_date = f"regexp_matches(v, '{_DATE}') AND try_cast(v AS DATE) IS NOT NULL"
    is_moment = (
        f"regexp_matches(v, '{_MOMENT}') AND (try_cast(v AS TIMESTAMP) IS NOT NULL "
        "OR try_cast(v AS TIMESTAMPTZ) IS NOT NULL)"
    )
    tests = (
        f"regexp_matches(v, '{_INTEGER}')",
        # A leading zero tells a code from a number.
        f"regexp_matches(v, '{_NUMBER}') AND NOT regexp_matches(v, '^[+-]?0\\d')",
        "lower(v) IN ('true', 'false')",
        is_date,
        is_moment,
    )
    counts = ", ".join(f"coalesce(sum(n) FILTER ({test}), 0)" for test in tests)
    present, integers, numbers, booleans, dates, moments = connection.execute(
        f"SELECT coalesce(sum(n), 0), {counts} FROM "
        f"(SELECT {_quoted(name)} AS v, count(*) AS n FROM raw GROUP BY 1) WHERE v IS NOT NULL"
    ).fetchall()[0]
    needed = present * (1 - _MALFORMED)
    if not present:
        return "string"
    if integers >= needed:
        return "int64"
    if numbers >= needed:
        return "float64"
    if booleans >= needed:
        return "bool"
    if dates >= needed:
        return "date"
    return "timestamp" if moments >= needed else "string"


def _cast(name: str, kind: ColumnType) -> str:
    q = _quoted(name)
    match kind:
        case "int64":
            # A cast alone would round 3.7 to 4.
            return f"CASE WHEN contains({q}, '.') THEN NULL ELSE try_cast({q} AS BIGINT) END"
        case "float64":
            return f"try_cast({q} AS DOUBLE)"
        case "bool":
            return f"try_cast({q} AS BOOLEAN)"
        case "date":
            return f"try_cast({q} AS DATE)"
        case "timestamp":
            offset = r"(Z|[+-]\d{2}(:?\d{2})?)$"
            return (
                f"CASE WHEN regexp_matches(substr({q}, 11), '{offset}') "
                f"THEN make_timestamp(epoch_us(try_cast({q} AS TIMESTAMPTZ))) ELSE try_cast({q} AS TIMESTAMP) END"
            )
        case "string":
            return q


_NATIVE: tuple[tuple[str, ColumnType], ...] = (
    (r"(U?(TINY|SMALL|BIG)INT|U?INTEGER)", "int64"),
    (r"(FLOAT|DOUBLE|DECIMAL.*|HUGEINT|UHUGEINT)", "float64"),
    (r"BOOLEAN", "bool"),
    (r"DATE", "date"),
    (r"TIMESTAMP.*", "timestamp"),
    (r"(VARCHAR|ENUM.*|UUID)", "string"),
)


def _profile_typed(connection: DuckDBPyConnection) -> Table:
    described = connection.execute("DESCRIBE raw").fetchall()
    unusable = _unusable([row[0] for row in described])
    types: dict[str, ColumnType] = {}
    expressions: dict[str, str] = {}
    for name, native, *_ in described:
        kind = next((kind for pattern, kind in _NATIVE if re.fullmatch(pattern, native)), None)
        if name in unusable:
            continue
        if kind is None:
            unusable[name] = f"is of type {native}, not a single value"
            continue
        types[name] = kind
        q = _quoted(name)
        sql = {"int64": "BIGINT", "float64": "DOUBLE", "bool": "BOOLEAN", "date": "DATE", "string": "VARCHAR"}.get(kind)
        expressions[name] = f"make_timestamp(epoch_us({q}))" if sql is None else f"{q}::{sql}"
    return _finish(connection, types, expressions, CsvOptions(), unusable)


def _finish(
    connection: DuckDBPyConnection,
    types: dict[str, ColumnType],
    expressions: dict[str, str],
    options: CsvOptions,
    unusable: dict[str, str],
) -> Table:
    if not types:
        raise DataError("The file has no column that could be used", fix="see that the first line holds column names")
    selected = ", ".join(f"{expression} AS {_quoted(name)}" for name, expression in expressions.items())
    connection.execute(f"CREATE TABLE typed AS SELECT {selected} FROM raw")
    rows = connection.execute("SELECT count(*) FROM raw").fetchall()[0][0]
    table = Table(connection=connection, rows=rows, csv=options, unusable=unusable)
    if rows:
        table.columns.update({name: _profile_column(table, name, kind) for name, kind in types.items()})
    connection.execute("DROP TABLE raw")
    return table


def _profile_column(table: Table, name: str, kind: ColumnType) -> ColumnProfile:
    q = _quoted(name)
    table.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE counted AS SELECT {q} AS v, count(*) AS n FROM typed GROUP BY 1"
    )
    present, parsed, distinct = table.query(
        f"SELECT (SELECT count({q}) FROM raw), coalesce(sum(n), 0), count(*) FROM counted WHERE v IS NOT NULL"
    )[0]
    values = table.query(
        f"SELECT v::VARCHAR, n FROM counted WHERE v IS NOT NULL ORDER BY n DESC, v LIMIT {_MOST_VALUES}"
    )
    minimum = maximum = std = None
    length = 0.0
    if kind in ("int64", "float64"):
        minimum, maximum, std = table.query(
            f"SELECT min({q})::DOUBLE, max({q})::DOUBLE, "
            f"stddev_pop({q}::DOUBLE) FILTER (isfinite({q}::DOUBLE)) FROM typed"
        )[0]
    elif kind in ("date", "timestamp"):
        minimum, maximum = table.query(
            f"SELECT epoch_us(min({q}::TIMESTAMP)), epoch_us(max({q}::TIMESTAMP)) FROM typed"
        )[0]
    elif kind == "string":
        length = table.query(f"SELECT avg(length({q})) FROM typed")[0][0] or 0.0
    return ColumnProfile(
        name=name,
        type=kind,
        rows=table.rows,
        missing=table.rows - present,
        unparsed=present - parsed,
        distinct=distinct,
        values=tuple((str(value), count) for value, count in values),
        minimum=minimum,
        maximum=maximum,
        std=std,
        length=length,
        zoned=kind == "timestamp" and _zoned(table, q),
        written_as=_written_as(table, name, distinct) if kind == "string" or _like_date(kind, minimum, maximum) else (),
    )


def _zoned(table: Table, quoted: str) -> bool:
    """Whether the first moment says its offset from UTC."""
    found = table.query(f"SELECT {quoted}::VARCHAR FROM raw WHERE {quoted} IS NOT NULL LIMIT 1")
    return bool(found and re.search(r":\d{2}(\.\d+)? ?(Z|[+-]\d{2}(:?\d{2})?)$", found[0][0]))


def _like_date(kind: ColumnType, minimum: float | None, maximum: float | None) -> bool:
    """Whether integers may be dates written as 20240131."""
    return kind == "int64" and minimum is not None and maximum is not None and minimum > 1.9e7 and maximum < 2.1e7


def _written_as(table: Table, name: str, distinct: int) -> tuple[str, ...]:
    if distinct < 2:
        return ()
    values = f"SELECT DISTINCT {_quoted(name)}::VARCHAR AS v FROM typed WHERE {_quoted(name)} IS NOT NULL"
    fits: tuple[str, ...] = _WRITTEN_DATES
    for source in (f"{values} LIMIT 50", values):
        counts = ", ".join(f"count(try_strptime(v, '{form}'))" for form in fits)
        present, *parsed = table.query(f"SELECT count(*), {counts} FROM ({source})")[0]
        fits = tuple(form for form, count in zip(fits, parsed, strict=True) if count == present)
        if not fits:
            break
    return fits


def moment(microseconds: float) -> datetime:
    """Microseconds since 1970 as a moment."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)
