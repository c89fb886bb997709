from __future__ import annotations

import pytest

from components._shared.errors import TaskError
from components._shared.expressions import check, column_id, connect
from components._shared.task import ColumnType

COLUMNS: dict[str, ColumnType] = {
    "delay": "float64",
    "moment": "timestamp",
    "day": "date",
    "count": "int64",
    "Count": "int64",
    "town": "string",
    "unit price": "float64",
    "a.b": "int64",
}


@pytest.mark.parametrize(
    ("text", "read", "kind"),
    [
        ("delay > 15", {"delay"}, "bool"),
        ("count // 100 * 60 + Count % 100", {"count", "Count"}, "int64"),
        ("dayname(moment)", {"moment"}, "string"),
        ("extract(hour FROM moment) BETWEEN 6 AND 9", {"moment"}, "bool"),
        ("moment >= TIMESTAMP '2013-01-01' AND day IS NOT NULL", {"moment", "day"}, "bool"),
        ("CASE WHEN town IN ('Ulm', 'Bonn') THEN 1.5 ELSE NULL END", {"town"}, "float64"),
        ("CAST(count AS DOUBLE) / 2", {"count"}, "float64"),
        ('"unit price" * count', {"unit price", "count"}, "float64"),
        ('"a.b" + 1', {"a.b"}, "int64"),
        ("town LIKE 'U%' OR lower(town) = 'bonn'", {"town"}, "bool"),
        ("moment + INTERVAL 3 DAY", {"moment"}, "timestamp"),
        ("coalesce(nullif(town, ''), 'none') -- a remark", {"town"}, "string"),
    ],
)
def test_what_an_expression_reads_and_gives(text, read, kind):
    checked = check(text, COLUMNS, "derived.x")
    assert (set(checked.columns_read), checked.type) == (read, kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("delya > 15", "no column 'delya'"),
        ("DELAY > 15", "no column 'DELAY'"),
        ("a.b", "double quotes"),
        ("delay >", "not a SQL expression"),
        ("at > 1", "not a SQL expression"),
        ("delay > 1; DROP TABLE x", "not a SQL expression"),
        ("1) FROM other WHERE (1", "more than one expression"),
        ("1), (2", "more than one expression"),
        ("(SELECT 1)", "a subquery"),
        ("EXISTS (SELECT 1)", "a subquery"),
        ("sum(count)", "'sum' is not part"),
        ("random() < 0.5", "'random' is not part"),
        ("now() > moment", "'now' is not part"),
        ("current_date > day", "current_date"),
        ("read_text('/etc/passwd')", "'read_text' is not part"),
        ("getenv('HOME')", "'getenv' is not part"),
        ("row_number() OVER ()", "a window function"),
        ("*", "'\\*'"),
        ("$1", "not part of the language"),
        ("town > 15", "cannot be evaluated"),
        ("delay > 'late'", "cannot be evaluated"),
        ("count(DISTINCT count)", "'count' is not part"),
        ("CAST(town AS BLOB)", "type BLOB is not part"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(TaskError, match=message) as caught:
        check(text, COLUMNS, "label.expression")
    assert caught.value.where == "label.expression" and caught.value.fix
    assert "c_" not in caught.value.what


def test_a_near_match_is_offered():
    with pytest.raises(TaskError) as caught:
        check("delya > 15", COLUMNS, "label.expression")
    assert caught.value.fix == "did you mean 'delay'?"


def test_an_expression_reads_the_calendar_of_the_zone():
    sql = check("dayname(moment) || ' ' || hour(moment)", COLUMNS, "x").sql
    row = f"SELECT TIMESTAMPTZ '2024-01-06 03:00:00+00' AS {column_id('moment')}"
    assert connect("America/New_York").execute(f"SELECT {sql} FROM ({row})").fetchone() == ("Friday 22",)
    assert connect("UTC").execute(f"SELECT {sql} FROM ({row})").fetchone() == ("Saturday 3",)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('{file}')",
        "COPY (SELECT 1) TO '{file}'",
        "ATTACH '{file}.db'",
        "SET enable_external_access = true",
    ],
)
def test_the_database_reaches_no_files_even_if_asked(tmp_path, statement):
    import duckdb

    file = tmp_path / "secret"
    file.write_text("secret")
    with pytest.raises(duckdb.Error):
        connect().execute(statement.format(file=file))
    assert file.read_text() == "secret"
