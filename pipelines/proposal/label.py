"""Which column is predicted, and what kind of problem that is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from components._shared.errors import DataError, InputError
from components._shared.expressions import check, column_id, near
from components._shared.task import Problem
from pipelines.proposal.contents import Asker, Proposal, Wishes, quoted, sql_name
from pipelines.proposal.table_profile import Table

FEWEST_ROWS = 50
_LABEL_NAMES = (
    "label", "target", "y", "outcome", "class", "response", "churn", "churned", "survived", "default", "fraud",
    "quality", "price", "result", "diagnosis", "converted", "clicked",
)  # fmt: skip
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
MOST_CLASSES = 50


@dataclass(frozen=True)
class Label:
    """The column or expression to predict.

    Attributes:
        column: Empty if it is an expression.
        sql: Over the table `typed`.
        expression: For the task file.
        values: With their counts, the most frequent first, as text.
    """

    column: str
    sql: str
    expression: str
    type: str
    reads: frozenset[str]
    values: tuple[tuple[str, int], ...]
    distinct: int
    missing: int


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
        few = column.distinct if column.distinct <= MOST_CLASSES else MOST_CLASSES + 1
        return named, 0 if name == names[-1] else 1, few

    useful = [n for n in names if table.columns[n].type != "string" or table.columns[n].distinct <= MOST_CLASSES]
    return sorted(useful, key=rank)


def choose_label(table: Table, wishes: Wishes, ask: Asker) -> Label:
    """The label that is wished for, or that a person chooses.

    Raises:
        InputError: Neither, or there is no such column.
        DataError: It says nothing, or too few rows have one.
    """
    candidates = label_candidates(table)
    if not candidates:
        raise DataError("No column could be a label: all are constant, moments, or free text")
    chosen = wishes.label or ask.choose("Which column is to be predicted?", candidates, candidates[0])
    types = {name: column.type for name, column in table.columns.items()}
    expression = chosen if chosen not in types else sql_name(chosen)
    if chosen not in types and re.fullmatch(r"[\w .-]+", chosen):
        raise InputError(f"There is no column {chosen!r}", where="--label", fix=near(chosen, types))
    checked = check(expression, types, "--label")
    ids = ", ".join(f"{quoted(name)} AS {column_id(name)}" for name in sorted(checked.columns_read))
    # As a view, since an expression names its columns by their ids.
    sql = f"(SELECT {checked.sql} FROM (SELECT {ids}))"
    values = table.query(
        f"SELECT l::VARCHAR, count(*) FROM (SELECT {sql} AS l FROM typed) GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    known = tuple((str(value), count) for value, count in values if value is not None)
    label = Label(
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


def choose_problem(table: Table, label: Label, wishes: Wishes, ask: Asker) -> Proposal:
    """A proposal with problem, label and population; the rest is still empty.

    Raises:
        InputError: A wish does not fit the label.
        DataError: The label fits no problem.
    """
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


def _problems(label: Label) -> list[str]:
    """The problems that the label fits, the likeliest first."""
    binary, multiclass, regression = get_args(Problem)
    texts = [value for value, _ in label.values]
    match label.type:
        case "bool":
            return [binary]
        case "string":
            return [binary] if label.distinct == 2 else [multiclass] if label.distinct <= MOST_CLASSES else []
        case "int64":
            if label.distinct == 2:
                return [binary, regression]
            few = label.distinct <= 10 and max(map(int, texts)) - min(map(int, texts)) < 2 * label.distinct
            return [multiclass, regression] if few else [regression, multiclass][: 1 + (label.distinct <= MOST_CLASSES)]
        case "float64":
            return [binary, regression] if {float(text) for text in texts} == {0.0, 1.0} else [regression]
        case _:
            return []


def _positive(label: Label, proposal: Proposal, wishes: Wishes, ask: Asker) -> None:
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


def _classes(label: Label, proposal: Proposal) -> None:
    texts = [value for value, _ in label.values]
    proposal.classes = tuple(sorted(map(int, texts))) if label.type == "int64" else tuple(sorted(texts))
    rare = [f"{value} ({count})" for value, count in label.values if count < 10]
    proposal.notes["classes"] = "in the order of the model's outputs" + (
        f"; with few rows, hard to learn and to judge: {', '.join(rare)}" if rare else ""
    )
