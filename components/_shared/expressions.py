"""The expression language of the task file: one SQL scalar expression over named columns, evaluated by DuckDB.

An expression is parsed to DuckDB's own syntax tree, and only what is listed here may stand in it: columns, constants,
comparisons, arithmetic, CASE, CAST and pure scalar functions. So it reads nothing but its row, and gives the same value
on every run. Columns are named exactly, in upper and lower case; names that are not plain words stand in double quotes.

Timestamps are moments, and functions such as `hour` or `dayname` read them on the calendar of the task's time zone.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from components._shared.errors import TaskError

if TYPE_CHECKING:
    import duckdb

    from components._shared.task import ColumnType

SQL_TYPES: dict[ColumnType, str] = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "date": "DATE",
}

_INTEGERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}
)

_CALLED = """
    + - * / // % ** ^ & | ~ << >> || ~~ !~~ ~~* !~~* ~~~ ^@
    abs ceil ceiling floor round trunc sign sqrt cbrt exp ln log log2 log10 pow power greatest least
    isnan isinf isfinite
    mod fmod add subtract multiply divide pi sin cos tan asin acos atan atan2 radians degrees
    length len strlen lower upper lcase ucase trim ltrim rtrim left right substr substring replace concat concat_ws
    contains starts_with prefix ends_with suffix strpos instr position reverse repeat lpad rpad split_part translate
    regexp_matches regexp_full_match regexp_replace regexp_extract like_escape not_like_escape
    ilike_escape not_ilike_escape
    ascii unicode chr strip_accents levenshtein hamming
    if ifnull nullif coalesce constant_or_null
    year month day hour minute second millisecond microsecond quarter week weekday isodow isoyear dow doy dayofweek
    dayofmonth dayofyear weekofyear yearweek dayname monthname decade century era epoch epoch_ms epoch_us last_day
    date_part datepart date_trunc datetrunc date_diff datediff date_sub datesub date_add
    make_date make_timestamp make_timestamptz make_time strftime strptime try_strptime timezone
    to_years to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds
    md5 sha256 bit_count
"""
FUNCTIONS: frozenset[str] = frozenset(_CALLED.split())
"""What may be called. Pure, of one row; their values do not depend on the clock, on chance or on files."""

_CAST_TO = """
    bigint int8 long integer int int4 signed smallint int2 short tinyint int1 hugeint
    ubigint uinteger usmallint utinyint
    double float8 real float4 float decimal numeric boolean bool logical varchar char bpchar text string
    date time timestamp datetime timestamptz interval
"""
_TYPES: frozenset[str] = frozenset(_CAST_TO.split()) | {"timestamp with time zone"}

_OPERATORS: frozenset[str] = frozenset(
    {
        "OPERATOR_NOT",
        "OPERATOR_IS_NULL",
        "OPERATOR_IS_NOT_NULL",
        "OPERATOR_COALESCE",
        "OPERATOR_NULLIF",
        "OPERATOR_TRY",
        "COMPARE_IN",
        "COMPARE_NOT_IN",
    }
)

_CHILDREN: dict[str, tuple[str, ...]] = {
    "COMPARISON": ("left", "right"),
    "CONJUNCTION": ("children",),
    "OPERATOR": ("children",),
    "FUNCTION": ("arguments",),
    "CASE": ("case_checks", "else_expr"),
    "CAST": ("child",),
    "BETWEEN": ("input", "lower", "upper"),
    "CONSTANT": (),
    "COLUMN_REF": (),
}


_QUOTES = (
    "write one scalar expression such as price > 15; "
    'a name with spaces, or one that is a word of SQL (at, order), stands in double quotes: "unit price"'
)


@dataclass(frozen=True)
class CheckedExpression:
    """An expression that may be evaluated.

    Attributes:
        sql: The expression with every column under its `column_id`.
        columns_read: The columns that stand in it, by their own names.
        type: The declared type that its value fits, or None for another (an interval, a decimal, NULL).
        sql_type: DuckDB's type of the value.
    """

    sql: str
    columns_read: frozenset[str]
    type: ColumnType | None
    sql_type: str


def column_id(name: str) -> str:
    """The SQL identifier of a column: safe without quotes, and different for names that differ in case alone."""
    return "c_" + name.encode().hex()


def near(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: the nearest one, or all of them if they are few."""
    names = sorted(known)
    found = difflib.get_close_matches(name, names, n=1) or [n for n in names if n.lower() == name.lower()]
    if found:
        return f"did you mean {found[0]!r}?"
    return f"known are: {', '.join(names[:30])}{', …' if len(names) > 30 else ''}" if names else "there are none"


def connect(timezone: str = "UTC", database: str = ":memory:", **settings: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB that reaches neither other files nor the network, and whose settings an expression cannot change.

    Args:
        timezone: In which calendar timestamps are read.
        database: Its own file, by default none.
        settings: More DuckDB settings.
    """
    import duckdb

    connection = duckdb.connect(database)
    for name, value in {
        "TimeZone": timezone,
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "enable_progress_bar": "false",
        **settings,
        "enable_external_access": "false",
        "lock_configuration": "true",
    }.items():
        connection.execute(f"SET {name} = '{value}'")
    return connection


def check(text: str, columns: Mapping[str, ColumnType], where: str) -> CheckedExpression:
    """Checks an expression of the task file.

    Args:
        text: One SQL scalar expression.
        columns: The columns that it may read, name → declared type.
        where: The field of the task file, for the message.

    Raises:
        TaskError: It does not parse, reads an unknown column, calls what may not be called, or mixes types.
    """
    tree = _parse(text, where)
    read: set[str] = set()
    _walk(tree["statements"][0]["node"]["select_list"][0], columns, where, read)
    sql = (
        _connection()
        .execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)])
        .fetchone()[0]
        .removeprefix("SELECT ")
    )
    sql_type = _bind(sql, {name: columns[name] for name in sorted(read)}, where)
    return CheckedExpression(sql=sql, columns_read=frozenset(read), type=_declared(sql_type), sql_type=sql_type)


@cache
def _connection() -> Any:
    return connect()


def _parse(text: str, where: str) -> Any:
    tree = json.loads(_connection().execute("SELECT json_serialize_sql(?)", [f"SELECT (\n{text}\n)"]).fetchone()[0])
    if tree["error"]:
        problem = str(tree.get("error_message", "")).removeprefix("syntax error ")
        raise TaskError(
            f"{text!r} is not a SQL expression: {problem}",
            where=where,
            fix=_QUOTES,
        )
    node = tree["statements"][0]["node"] if len(tree["statements"]) == 1 else {}
    plain = (
        node.get("type") == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not node["modifiers"]
        and not node["cte_map"]["map"]
        and not any(node.get(part) for part in ("where_clause", "group_expressions", "having", "qualify", "sample"))
    )
    if not plain:
        raise TaskError(f"{text!r} is more than one expression", where=where, fix="write one scalar expression")
    return tree


def _walk(node: Any, columns: Mapping[str, ColumnType], where: str, read: set[str]) -> None:
    """Checks a node of the syntax tree and all below it, and puts column identifiers in place of names."""
    kind = node["class"]
    if kind not in _CHILDREN or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
        what = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "'*'", "LAMBDA": "a lambda"}
        raise TaskError(
            f"The expression holds {what.get(kind, node['type'].lower())}, which is not part of the language",
            where=where,
            fix="use columns, constants, comparisons, arithmetic, CASE, CAST and scalar functions of one row",
        )
    if kind == "COLUMN_REF":
        _name_column(node, columns, where, read)
    if kind == "FUNCTION":
        _check_function(node, where)
    if kind == "CAST" and node["type_expr"]["type_name"].lower() not in _TYPES:
        raise TaskError(
            f"The type {node['type_expr']['type_name']} is not part of the language",
            where=where,
            fix="use BIGINT, DOUBLE, VARCHAR, BOOLEAN, TIMESTAMP or DATE",
        )
    for field in _CHILDREN[kind]:
        for child in node[field] if isinstance(node[field], list) else [node[field]]:
            for part in (child.get("expression"), child.get("when_expr"), child.get("then_expr")):
                if part is not None:
                    _walk(part, columns, where, read)
            if "class" in child:
                _walk(child, columns, where, read)


def _name_column(node: Any, columns: Mapping[str, ColumnType], where: str, read: set[str]) -> None:
    names = node["column_names"]
    name = ".".join(names)
    if name not in columns:
        raise TaskError(f"There is no column {name!r}", where=where, fix=near(name, columns))
    if len(names) > 1:
        raise TaskError(f"The name {name} has a dot", where=where, fix=f'write it in double quotes: "{name}"')
    read.add(name)
    node["column_names"] = [column_id(name)]


def _check_function(node: Any, where: str) -> None:
    name = node["function_name"].lower()
    if name not in FUNCTIONS or node["schema"] or node["catalog"]:
        raise TaskError(
            f"The function {node['function_name']!r} is not part of the language",
            where=where,
            fix=near(name, [known for known in FUNCTIONS if known[0].isalpha()]),
        )
    if node["distinct"] or node["filter"] or node["order_bys"]["orders"]:
        raise TaskError(f"{name} is called as an aggregate", where=where, fix="an expression sees one row only")


def _bind(sql: str, columns: Mapping[str, ColumnType], where: str) -> str:
    import duckdb

    database = _connection()
    row = ", ".join(f"{column_id(name)} {SQL_TYPES[kind]}" for name, kind in columns.items())
    database.execute(f"CREATE OR REPLACE TEMP TABLE one_row ({row or 'nothing INTEGER'})")
    database.execute("INSERT INTO one_row DEFAULT VALUES")
    try:
        described = database.execute(f"DESCRIBE SELECT {sql} FROM one_row").fetchone()
        # Even a row of nulls finds constants that are not of the type that they are compared with.
        database.execute(f"SELECT CAST({sql} AS VARCHAR) FROM one_row").fetchone()
    except duckdb.Error as cause:
        problem = str(cause).split("\n")[0].split(": ", 1)[-1]
        for name in columns:
            problem = problem.replace(column_id(name), name)
        raise TaskError(
            f"The expression cannot be evaluated: {problem}", where=where, fix="mind the columns' types"
        ) from cause
    return str(described[1])


def _declared(sql_type: str) -> ColumnType | None:
    if sql_type in _INTEGERS:
        return "int64"
    if sql_type in ("DOUBLE", "FLOAT") or sql_type.startswith("DECIMAL"):
        return "float64"
    if sql_type == "TIMESTAMP":
        return "timestamp"
    return next((name for name, sql in SQL_TYPES.items() if sql == sql_type), None)
