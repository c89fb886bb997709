"""Which columns a task reads, and whether it may: names, types, and features that would give the label away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from components._shared.contract import digest_of
from components._shared.errors import TaskError
from components._shared.expressions import CheckedExpression, check, near
from components._shared.task import ColumnType, DataSection, FeatureKind, Schema, Task, data_section

_TYPES_OF_KIND: dict[FeatureKind, tuple[ColumnType, ...]] = {
    "numeric": ("int64", "float64"),
    "categorical": ("string", "int64", "bool"),
    "boolean": ("bool",),
    "datetime": ("timestamp", "date"),
}


@dataclass(frozen=True)
class CheckedColumns:
    """The columns and expressions of a task, checked.

    Attributes:
        types: Name → declared type of all source and derived columns, sorted by name.
        derived: Name → expression, in an order in which each reads only columns before it.
        cluster: None where the task names none.
    """

    types: dict[str, ColumnType]
    derived: dict[str, CheckedExpression]
    label: CheckedExpression
    population: CheckedExpression | None
    cluster: CheckedExpression | None

    def sources_of(self, names: Iterable[str]) -> frozenset[str]:
        """The columns, and all columns that they are derived from, at any depth."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.derived[name].columns_read if name in self.derived else ()
        return frozenset(found)


def check_columns(task: Task, schema: Schema) -> CheckedColumns:
    """Checks that a task and its pinned schema fit together.

    Returns:
        The columns that there are.

    Raises:
        TaskError: An unknown column, one of the wrong type, an expression that cannot be evaluated, or a feature that
            the label is derived from, or that is derived from a column known later.
    """
    checked = check_data(data_section(task, schema))
    for name in task.features:
        _known(name, checked.types, f"features.{name}")
    for name, kind in task.used_features().items():
        if checked.types[name] not in _TYPES_OF_KIND[kind]:
            fits = [other for other, types in _TYPES_OF_KIND.items() if checked.types[name] in types]
            raise TaskError(
                f"The feature {name!r} is {kind}, but the column is of type {checked.types[name]}",
                where=f"features.{name}.kind",
                fix=f"use {' or '.join(fits)}; or correct the type of the column" if fits else "leave it out",
            )
    for name in task.slices:
        _known(name, checked.types, "slices")
    _check_leaks(task, checked)
    _check_known_before(task, checked)
    return checked


def check_data(data: DataSection) -> CheckedColumns:
    """Checks the columns and expressions that make the rows.

    Raises:
        TaskError: An unknown column, one of the wrong type, or an expression that cannot be evaluated.
    """
    types: dict[str, ColumnType] = {name: column.type for name, column in data.columns.items()}
    derived = _check_derived(data, types)
    types |= {name: column.type for name, column in data.derived.items()}
    label = check(data.label.expression, types, "label.expression")
    _check_label(data, label)
    population = None
    if data.population is not None:
        population = check(data.population, types, "population")
        if population.type != "bool":
            raise TaskError(
                f"The population is of type {population.sql_type}",
                where="population",
                fix="write a condition: true or false",
            )
    cluster = None
    if data.cluster is not None:
        text = _quoted(data.cluster) if data.cluster in types else data.cluster
        cluster = check(text, types, "cluster")
    for name in data.key:
        _known(name, types, "key")
    if len(set(data.key)) < len(data.key):
        raise TaskError("A key column stands twice", where="key", fix="name each column once")
    _check_type(data.time, types, ("timestamp", "date"), "time")
    _check_type(data.weight, types, ("float64", "int64"), "weight")
    return CheckedColumns(
        types=dict(sorted(types.items())), derived=derived, label=label, population=population, cluster=cluster
    )


def meaning_of(data: DataSection, checked: CheckedColumns) -> str:
    """Digest of what a row and its label are: an edit of anything here asks another question.

    The label, the population, key, time and weight, and the derived columns that these read, at any depth; not what
    features, slices, clusters and gates are made of.

    Args:
        data: What the task says about rows.
        checked: Its columns and expressions.
    """
    expressions = [checked.label, *([] if checked.population is None else [checked.population])]
    read = {*data.key, *(name for name in (data.time, data.weight) if name is not None)}
    read |= {name for expression in expressions for name in expression.columns_read}
    return digest_of(
        {
            "problem": data.problem,
            # When a label is known is no part of what it says.
            "label": data.label.model_dump(mode="json", exclude={"known_after"}),
            "population": data.population,
            "key": list(data.key),
            "time": data.time,
            "timezone": data.timezone,
            "weight": data.weight,
            "derived": {
                name: data.derived[name].model_dump(mode="json")
                for name in sorted(checked.sources_of(read) & data.derived.keys())
            },
        }
    )


def _check_derived(data: DataSection, sources: Mapping[str, ColumnType]) -> dict[str, CheckedExpression]:
    for name in data.derived:
        if name in sources:
            raise TaskError(
                f"{name!r} is a source column and a derived one",
                where=f"derived.{name}",
                fix="give the derived one another name",
            )
    types = {**sources, **{name: column.type for name, column in data.derived.items()}}
    checked = {
        name: check(column.expression, types, f"derived.{name}.expression")
        for name, column in sorted(data.derived.items())
    }
    for name, expression in checked.items():
        declared = data.derived[name].type
        if expression.type != declared:
            raise TaskError(
                f"The expression gives {expression.sql_type}, but the column is declared {declared}",
                where=f"derived.{name}",
                fix="declare the type that it gives, or convert it with CAST(… AS …)",
            )
    ordered: dict[str, CheckedExpression] = {}
    while len(ordered) < len(checked):
        ready = [
            name
            for name, expression in checked.items()
            if name not in ordered and not (expression.columns_read & checked.keys()) - ordered.keys()
        ]
        if not ready:
            circle = sorted(checked.keys() - ordered.keys())
            raise TaskError(
                f"Derived columns read each other in a circle: {', '.join(circle)}", where=f"derived.{circle[0]}"
            )
        ordered |= {name: checked[name] for name in ready}
    return ordered


def _check_label(data: DataSection, label: CheckedExpression) -> None:
    where = "label.expression"
    match data.problem:
        case "regression":
            if label.type not in ("int64", "float64"):
                raise TaskError(
                    f"The label is of type {label.sql_type}, not a number", where=where, fix="convert it with CAST"
                )
        case "binary_classification":
            positive = data.label.positive
            if positive is None and label.type not in ("bool", "int64", "float64"):
                raise TaskError(
                    f"The label is of type {label.sql_type}: which value counts as 1 is not said",
                    where="label.positive",
                    fix="name the value, or write a condition such as status = 'late'",
                )
            if positive is not None:
                _check_values([positive], label, "label.positive")
        case "multiclass_classification":
            classes = data.label.classes or ()
            if len(classes) < 2 or len(set(map(str, classes))) < len(classes):
                raise TaskError("label.classes needs two different values or more", where="label.classes")
            _check_values(classes, label, "label.classes")


def _check_values(values: Iterable[str | int | bool], label: CheckedExpression, where: str) -> None:
    """Refuses label values that the expression can never give."""
    for value in values:
        kind = "bool" if isinstance(value, bool) else "int64" if isinstance(value, int) else "string"
        fits = label.type in ("int64", "float64") if kind == "int64" else label.type == kind
        if not fits:
            raise TaskError(
                f"The label is of type {label.sql_type} and is never {value!r}",
                where=where,
                fix="write texts in quotes, numbers and true/false without",
            )


def _check_leaks(task: Task, checked: CheckedColumns) -> None:
    parents = checked.sources_of(checked.label.columns_read)
    for name in task.used_features():
        shared = sorted(checked.sources_of([name]) & parents)
        if shared:
            via = "" if name in shared else f" (through {', '.join(shared)})"
            raise TaskError(
                f"The label is derived from the feature {name!r}{via}: a model would see the answer",
                where=f"features.{name}",
                fix="remove the feature, or say available: after",
            )


def _check_known_before(task: Task, checked: CheckedColumns) -> None:
    """What is computed from a value is known no earlier than the value."""
    left_out = task.left_out()
    for name in task.used_features():
        for source in sorted((checked.sources_of([name]) - {name}) & left_out.keys()):
            raise TaskError(
                f"The feature {name!r} is said to be available before the prediction, but it is derived from "
                f"{source!r}, which is {left_out[source]}",
                where=f"features.{name}",
                fix=f"say available: before of {source!r} if its value is really there in time, else leave the "
                f"feature {name!r} out",
            )


def _check_type(name: str | None, types: Mapping[str, ColumnType], wanted: tuple[ColumnType, ...], where: str) -> None:
    if name is None:
        return
    _known(name, types, where)
    if types[name] not in wanted:
        raise TaskError(
            f"The column {name!r} is of type {types[name]}, not {' or '.join(wanted)}",
            where=where,
            fix="correct its type in the schema, or derive a column of the right type",
        )


def _known(name: str, types: Mapping[str, ColumnType], where: str) -> None:
    if name not in types:
        raise TaskError(
            f"There is no column {name!r} in the schema or among the derived ones", where=where, fix=near(name, types)
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
