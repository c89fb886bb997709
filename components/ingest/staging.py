"""Decides what becomes of each row, in a DuckDB table that spills to disk: memory does not grow with the source.

::

    typed rows ─ expressions ─┬─ out of window, not sampled: counted
                              └─ staged ─┬─ duplicate, out of population, label missing, malformed: set aside
                                         └─ kept, label pending ─ sorted by (_time, _key)

The state of a row is decided in this order: out of window; a derived column, the time or the weight cannot be used
(malformed); not sampled; duplicate; label pending; out of population; label missing; the label cannot be used
(malformed); kept. Whatever depends on the outcome is looked at only once labels are mature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.expressions import SQL_TYPES, column_id, connect
from components._shared.tables import microseconds_of
from components._shared.task import RESERVED_PREFIX, ColumnType, DataSection

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.columns import CheckedColumns
    from components._shared.windows import Windows

MEMORY = "300MB"
SET_ASIDE: dict[str, ColumnType] = {
    "reason": "string",
    "source": "string",
    "row": "int64",
    "detail": "string",
    "values": "string",
}
WITHOUT_LABEL: dict[str, ColumnType] = {"_time": "timestamp"}

_OUTPUT_ROWS = 32_768


class Staging:
    """The rows of an ingestion on their way.

    Args:
        data: What the task says about rows.
        checked: Its columns and expressions.
        windows: What is looked at, and where labels are mature.
        sample: Share of the rows to keep, by a hash of the key.
        folder: For what does not fit into memory.
    """

    def __init__(
        self, data: DataSection, checked: CheckedColumns, windows: Windows, sample: float, folder: Path
    ) -> None:
        self._data = data
        self._checked = checked
        self._windows = windows
        self._sample = sample
        self._database = connect(
            data.timezone,
            str(folder / "staged.duckdb"),
            memory_limit=MEMORY,
            temp_directory=str(folder).replace("'", "''"),
        )
        self._files: list[str] = []
        self.out_of_window = 0
        self.not_sampled = 0
        self._database.execute("CREATE TABLE aside (reason VARCHAR, position BIGINT, detail VARCHAR, contents VARCHAR)")
        self._select = self._expressions_sql()
        self._created = False
        self.has_time = data.time is not None
        self.columns: dict[str, ColumnType] = {
            **({"_time": "timestamp"} if self.has_time else {}),
            "_key": "string",
            "_label": "float64",
            "_cluster": "string",
            "_weight": "float64",
            **checked.types,
        }

    def close(self) -> None:
        """Drops everything."""
        self._database.close()

    def set_aside(self, file: int, rows: list[tuple[int, str, str]]) -> None:
        """Malformed rows: number, detail, values as JSON."""
        import pyarrow as pa

        if not rows:
            return
        numbers, details, contents = zip(*rows, strict=True)
        table = pa.table(
            {
                "position": pa.array([_position(file, number) for number in numbers], pa.int64()),
                "detail": pa.array(details, pa.string()),
                "contents": pa.array(contents, pa.string()),
            }
        )
        self._database.register("block", table)
        self._database.execute("INSERT INTO aside SELECT 'malformed', * FROM block")
        self._database.unregister("block")

    def add(self, file: int, name: str, rows: Any, columns: Mapping[str, pa.Array]) -> None:
        """Typed rows of a file.

        Args:
            file: Its place among the files.
            name: What the file is called wherever it lies; it stands for the key's part in tasks without one.
            rows: The number of each row.
            columns: All declared columns.
        """
        import pyarrow as pa

        table = pa.table(
            {
                "position": pa.array(_position(file, rows), pa.int64()),
                "number": pa.array(rows, pa.int64()),
                **{column_id(column): array for column, array in columns.items()},
            }
        )
        self._database.register("block", table)
        self._database.execute("SET VARIABLE file_name = ?", [name])
        if not self._created:
            self._database.execute(f"CREATE TABLE staged AS {self._select} LIMIT 0")
            self._created = True
        staged = self._one(f"INSERT INTO staged {self._select} WHERE state NOT IN ('out_of_window', 'not_sampled')")
        out_of_window = self._one(f"SELECT count(*) FROM ({self._select} WHERE state = 'out_of_window')")
        self.out_of_window += out_of_window
        self.not_sampled += table.num_rows - staged - out_of_window
        self._database.unregister("block")

    def settle(self) -> dict[str, int]:
        """Finds duplicates once all rows are there; returns the number of rows in each state."""
        if not self._created:
            return {"malformed": self._count("aside")}
        self._database.execute(
            """
            CREATE TABLE repeated AS
            SELECT _key AS again, min(position) AS first FROM staged WHERE state <> 'malformed'
            GROUP BY _key HAVING count(*) > 1
            """
        )
        if self._count("repeated"):
            self._database.execute(
                """
                UPDATE staged SET state = 'duplicate', detail = 'the key was seen before'
                FROM repeated WHERE _key = again AND position > first AND state <> 'malformed'
                """
            )
        pairs = ", ".join(f"{_literal(name)}, {column_id(name)}" for name in self._checked.types)
        self._database.execute(
            f"""
            INSERT INTO aside SELECT state, position, detail, json_object({pairs})
            FROM staged WHERE state NOT IN ('kept', 'label_pending')
            """
        )
        counts = dict(self._database.execute("SELECT reason, count(*) FROM aside GROUP BY reason").fetchall())
        counts |= dict(
            self._database.execute(
                "SELECT state, count(*) FROM staged WHERE state IN ('kept', 'label_pending') GROUP BY state"
            ).fetchall()
        )
        return counts

    def rows(self) -> Iterator[pa.RecordBatch]:
        """The rows that stay, sorted by (`_time`, `_key`)."""
        if not self._created:
            return
        ours = [name for name in self.columns if name.startswith(RESERVED_PREFIX)]
        columns = [*ours, *(f"{column_id(n)} AS {_quoted(n)}" for n in self._checked.types)]
        order = "_time, _key" if self.has_time else "_key"
        yield from self._database.sql(
            f"SELECT {', '.join(columns)} FROM staged WHERE state IN ('kept', 'label_pending') ORDER BY {order}"
        ).to_arrow_reader(_OUTPUT_ROWS)

    def set_aside_rows(self, files: list[str], each: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows that were set aside, by reason and position; `each`: only so many of a reason."""
        import pyarrow as pa

        self._database.register(
            "files", pa.table({"file": pa.array(range(len(files)), pa.int64()), "source": pa.array(files, pa.string())})
        )
        first = f"QUALIFY row_number() OVER (PARTITION BY reason ORDER BY position) <= {each}" if each else ""
        yield from self._database.sql(
            f"""
            SELECT reason, source, position & {_ROWS - 1} AS row, coalesce(detail, '') AS detail, contents AS values
            FROM aside JOIN files ON file = position >> {_ROW_BITS} {first} ORDER BY reason, position
            """
        ).to_arrow_reader(_OUTPUT_ROWS)

    def moments_without_label(self) -> Iterator[pa.RecordBatch]:
        """When the rows were whose label is missing though it should be known, in order; none in tasks without time."""
        if self._created and self.has_time:
            yield from self._database.sql(
                "SELECT _time FROM staged WHERE state = 'label_missing' ORDER BY _time"
            ).to_arrow_reader(_OUTPUT_ROWS)

    def _count(self, table: str) -> int:
        return self._one(f"SELECT count(*) FROM {table}")

    def _one(self, sql: str) -> int:
        return int(self._database.execute(sql).fetchall()[0][0])

    def _expressions_sql(self) -> str:
        """The query from the typed rows of a block to rows with their state."""
        data, checked, windows = self._data, self._checked, self._windows
        query = "SELECT * FROM block"
        problems = []
        for name, expression in checked.derived.items():
            tried = _tried(f"CAST({expression.sql} AS {SQL_TYPES[checked.types[name]]})")
            query = f"SELECT *, {tried} AS tried_{column_id(name)} FROM ({query})"
            query = f"SELECT *, tried_{column_id(name)}.v AS {column_id(name)} FROM ({query})"
            problems.append(
                (f"tried_{column_id(name)} IS NULL", _literal(f"the expression of {name!r} cannot be evaluated"))
            )
        parts = {"tried_label": _tried(checked.label.sql)}
        problems_of_label: list[tuple[str, str]] = [("tried_label IS NULL", "'the label cannot be evaluated'")]
        if checked.population is not None:
            parts["tried_population"] = _tried(checked.population.sql)
        if checked.cluster is not None:
            parts["tried_cluster"] = _tried(f"CAST({checked.cluster.sql} AS VARCHAR)")
            problems.append(("tried_cluster IS NULL", "'the cluster cannot be evaluated'"))
        if data.time is not None:
            parts["_time"] = f"CAST({column_id(data.time)} AS TIMESTAMP WITH TIME ZONE)"
            problems.append(("_time IS NULL", _literal(f"the time {data.time!r} is missing")))
        parts["_weight"] = f"CAST({column_id(data.weight)} AS DOUBLE)" if data.weight else "CAST(1 AS DOUBLE)"
        problems.append(
            (
                "_weight IS NULL OR NOT isfinite(_weight) OR _weight < 0",
                _literal(f"the weight {data.weight!r} is missing, negative or infinite"),
            )
        )
        query = f"SELECT *, {_listed(parts)} FROM ({query})"
        label, label_problem = self._label_sql()
        keyed = {
            "label": label,
            "_key": f"substr(sha256({self._key_sql()}), 1, 32)",
            "problem": _first_of(problems),
        }
        query = f"SELECT *, {_listed(keyed)} FROM ({query})"
        problems_of_label += label_problem
        if checked.population is not None:
            problems_of_label.insert(0, ("tried_population IS NULL", "'the population cannot be evaluated'"))
        cluster = (
            "coalesce(tried_cluster.v, '')"
            if checked.cluster is not None
            else "CAST(NULL AS VARCHAR)"
            if data.time
            else "_key"
        )
        last = {
            "_cluster": cluster,
            "label_problem": _first_of(problems_of_label),
            "mature": "true"
            if windows.labelled_until is None or data.time is None
            else f"epoch_us(_time) < {microseconds_of(windows.labelled_until)}",
            "looked_at": self._looked_at_sql(),
        }
        query = f"SELECT *, {_listed(last)} FROM ({query})"
        outside = "NOT coalesce(tried_population.v, false)" if checked.population is not None else "false"
        unreadable = "tried_population IS NULL" if checked.population is not None else "false"
        state = f"""
            CASE WHEN NOT looked_at THEN 'out_of_window'
                 WHEN problem IS NOT NULL THEN 'malformed'
                 WHEN {self._left_out_sql()} THEN 'not_sampled'
                 WHEN NOT mature THEN 'label_pending'
                 WHEN {unreadable} THEN 'malformed'
                 WHEN {outside} THEN 'out_of_population'
                 WHEN tried_label IS NOT NULL AND tried_label.v IS NULL THEN 'label_missing'
                 WHEN label_problem IS NOT NULL THEN 'malformed'
                 ELSE 'kept' END
        """
        query = f"SELECT *, {state} AS state FROM ({query})"
        ours = ["position", "state", *(["_time"] if data.time else []), "_key", "_cluster", "_weight"]
        kept = [*ours, *(column_id(name) for name in checked.types)]
        return f"""
            SELECT {", ".join(kept)}, CASE state WHEN 'kept' THEN label END AS _label,
                   CASE state WHEN 'malformed' THEN coalesce(problem, label_problem)
                              WHEN 'out_of_population' THEN 'not in the population'
                              WHEN 'label_missing' THEN 'mature, but without a label' END AS detail
            FROM ({query})
        """

    def _label_sql(self) -> tuple[str, list[tuple[str, str]]]:
        """The label as a number, and what can be wrong with it."""
        value, rule = "tried_label.v", self._data.label
        shown = "left(CAST(tried_label.v AS VARCHAR), 100)"
        match self._data.problem:
            case "binary_classification" if rule.positive is not None:
                return f"CAST({value} = {_literal(rule.positive)} AS DOUBLE)", []
            case "binary_classification":
                number = f"CAST({value} AS DOUBLE)"
                wrong = [(f"{number} NOT IN (0, 1)", f"'the label ' || {shown} || ' is neither 0 nor 1'")]
                return number, wrong
            case "multiclass_classification":
                cases = " ".join(
                    f"WHEN {value} = {_literal(name)} THEN {index}" for index, name in enumerate(rule.classes or ())
                )
                number = f"CAST(CASE {cases} END AS DOUBLE)"
                return number, [(f"{number} IS NULL", f"'the label ' || {shown} || ' is an unknown class'")]
            case _:
                number = f"CAST({value} AS DOUBLE)"
                return number, [(f"NOT isfinite({number})", f"'the label ' || {shown} || ' is not finite'")]

    def _key_sql(self) -> str:
        """The text whose hash is the key: every part with its kind and length, so that no two keys have the same."""
        if not self._data.key:
            return "'row:' || getvariable('file_name') || ':' || CAST(number AS VARCHAR)"
        parts = []
        for name in self._data.key:
            column = column_id(name)
            text = {
                "int64": f"CAST({column} AS VARCHAR)",
                "float64": f"CASE WHEN {column} = 0 THEN '0' ELSE printf('%.17g', {column}) END",
                "string": column,
                "bool": f"CASE WHEN {column} THEN '1' ELSE '0' END",
                "timestamp": f"CAST(epoch_us({column}) AS VARCHAR)",
                "date": f"CAST({column} - DATE '1970-01-01' AS VARCHAR)",
            }[self._checked.types[name]]
            parts.append(f"coalesce('{self._checked.types[name]}:' || strlen({text}) || ':' || {text}, 'null:')")
        return " || ".join(parts)

    def _looked_at_sql(self) -> str:
        """Rows whose time is missing are looked at: they are malformed, and have to be shown."""
        span = self._windows.span
        if span is None or self._data.time is None:
            return "true"
        moment = "epoch_us(_time)"
        start = "true" if span.start is None else f"{moment} >= {microseconds_of(span.start)}"
        return f"coalesce({start} AND {moment} < {microseconds_of(span.end)}, true)"

    def _left_out_sql(self) -> str:
        if self._sample >= 1:
            return "false"
        limit = f"{int(self._sample * 2**32):08x}"
        return f"substr(sha256('sample:' || _key), 1, 8) >= '{limit}'"


_ROW_BITS = 40
_ROWS = 1 << _ROW_BITS


def _position(file: int, rows: Any) -> Any:
    """One number that orders rows by file and row."""
    return rows + (file << _ROW_BITS)


def _tried(sql: str) -> str:
    """A value in a struct, or no struct if the value cannot be evaluated."""
    return f"TRY(struct_pack(v := {sql}))"


def _first_of(problems: list[tuple[str, str]]) -> str:
    cases = " ".join(f"WHEN {condition} THEN {text}" for condition, text in problems)
    return f"CASE {cases} ELSE NULL END"


def _listed(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{sql} AS {name}" for name, sql in parts.items())


def _literal(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
