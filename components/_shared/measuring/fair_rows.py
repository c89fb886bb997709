"""The rows that judge: labelled, the same for every model, and fair to all of them.

A row is fair to a model if its moment is not before the model's `fit_until` plus the embargo: no label of that time, or
of the time just before, has been used to fit, tune or calibrate it. Without moments, rows are divided by a hash of
their key, and those of the test part are fair to every model that was made with at least as large a one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.measuring.metrics import Floats, Integers
from components._shared.task import RESERVED_PREFIX, EvaluationSection, Problem
from components._shared.windows import parse_span

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "(missing)"
_PREDICT_AGAIN = "run predict again for both models on the same test part"


@dataclass(frozen=True)
class Column:
    """A slice column: for each row the number of its value in `values`."""

    code: Integers
    values: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """Rows of a predictions table, one array per column.

    Attributes:
        cluster: 0 … clusters - 1.
        time: Microseconds UTC; absent in tasks without time.
        scores: Model (`candidate`, `champion`, `reference`) → score per row (multiclass: rows × classes).
    """

    label: Floats
    weight: Floats
    cluster: Integers
    clusters: int
    time: Integers | None
    slices: dict[str, Column]
    scores: dict[str, Floats]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.label)

    def take(self, which: npt.NDArray[np.bool_] | Integers) -> Rows:
        """Some of the rows, their clusters numbered anew."""
        present, cluster = _numbered(self.cluster[which], self.clusters)
        return Rows(
            label=self.label[which],
            weight=self.weight[which],
            cluster=cluster,
            clusters=present,
            time=None if self.time is None else self.time[which],
            slices={name: Column(column.code[which], column.values) for name, column in self.slices.items()},
            scores={name: score[which] for name, score in self.scores.items()},
        )

    def only(self, *models: str) -> Rows:
        """The same rows with the scores of some models."""
        return replace(self, scores={name: score for name, score in self.scores.items() if name in models})


def fair_from(models: tuple[Manifest, ...], section: EvaluationSection) -> datetime | None:
    """The first moment whose rows are fair to all the models; none if they have no moments, or no row is unfair.

    Args:
        models: Their predictions.
        section: Says the embargo and the time zone that its days are counted in.
    """
    used = [manifest.fit_until for manifest in models if manifest.fit_until is not None]
    if not section.has_time or not used:
        return None
    return parse_span(section.embargo).after(max(used), section.timezone)


def unfair(model: Manifest, candidate: Manifest, section: EvaluationSection) -> str:
    """Why a model may have learnt from any of the rows, whatever their moment; empty: it has not.

    Args:
        model: Its predictions.
        candidate: The candidate's, of the same rows.
        section: Says whether they have moments.
    """
    if section.has_time:
        return "" if model.fit_until else "it was made when the task had no time column"
    if model.held_out is None:
        return "it was made when the task had a time column"
    if candidate.shares is None or candidate.shares[1] > model.held_out:
        return f"its test part was the share {model.held_out:g} of the rows, and was made larger since"
    return ""


def fair(rows: Rows, start: datetime | None) -> npt.NDArray[np.bool_]:
    """Which rows are at or after the moment."""
    if start is None or rows.time is None:
        return np.ones(len(rows), bool)
    from components._shared.tables import microseconds_of

    return rows.time >= microseconds_of(start)


def read_rows(manifests: dict[str, Manifest], section: EvaluationSection) -> Rows:
    """Reads the predictions of all models and lays them side by side.

    Args:
        manifests: Model → its predictions; `candidate` is one of them.
        section: Problem, classes and slices.

    Returns:
        The labelled rows.

    Raises:
        DataError: The predictions are not of the same rows, or a label or weight is not what the problem asks for.
    """
    from components._shared.tables import read_table

    candidate = manifests["candidate"]
    scores = _score_columns(section, candidate)
    fixed = ["_key", "_label", "_cluster", "_weight", *(["_time"] if section.has_time else [])]
    sliced = [name for name in section.slices if name in candidate.columns and name not in fixed]
    table = read_table(candidate, columns=list(dict.fromkeys([*fixed, *sliced, *scores])))
    found = {"candidate": _scores(table, scores)}
    for name, manifest in manifests.items():
        if name == "candidate":
            continue
        other = read_table(manifest, columns=["_key", *_score_columns(section, manifest)])
        where = _positions(table.column("_key"), other.column("_key"), name)
        score = _scores(other, scores)
        found[name] = score if where is None else score[where]

    return labelled_rows(table, found, section)


def labelled_rows(table: pa.Table, scores: dict[str, Floats], section: EvaluationSection) -> Rows:
    """The rows of a table that have a label and a weight, with what models say of them.

    Args:
        table: With `_label`, `_weight`, `_cluster`, in tasks with time `_time`, and slice columns if they are wanted.
        scores: Model → score of each row of the table (multiclass: rows × classes).
        section: Problem, classes and slices.

    Raises:
        DataError: A label or weight is not what the problem asks for.
    """
    label = _numbers(table, "_label")
    clusters, cluster = _encoded(table.column("_cluster"))
    rows = Rows(
        label=label,
        weight=_numbers(table, "_weight"),
        cluster=cluster,
        clusters=len(clusters),
        time=_moments(table) if section.has_time else None,
        slices={
            name: _column(table.column(name))
            for name in section.slices
            if name in table.column_names and not name.startswith(RESERVED_PREFIX)
        },
        scores=scores,
    )
    _check_weights(rows)
    rows = rows.take(np.isfinite(label) & (rows.weight > 0))
    check_labels(rows.label, section)
    return rows


def broken_scores(score: Floats) -> int:
    """How many rows have a score that is not a finite number."""
    finite = np.isfinite(score)
    return int((~(finite if finite.ndim == 1 else finite.all(axis=1))).sum())


def check_probabilities(name: str, score: Floats, problem: Problem) -> None:
    """Refuses scores that are no probabilities where the problem asks for them.

    Raises:
        DataError: One is below 0 or above 1, or the classes of a row do not add up to 1.
    """
    if problem == "regression" or not len(score):
        return
    fix = "the model's output must be a probability: end it with a sigmoid or a softmax"
    slack = 1e-6
    if score.min() < -slack or score.max() > 1 + slack:
        worst = float(score.min() if score.min() < -slack else score.max())
        raise DataError(f"The {name}'s scores are no probabilities: one is {worst:.6g}", where="column score", fix=fix)
    if score.ndim == 2 and np.abs(score.sum(axis=1) - 1).max() > 1e-3:
        raise DataError(f"The {name}'s class probabilities do not add up to 1", where="columns score_0 …", fix=fix)


def check_labels(label: Floats, section: EvaluationSection) -> None:
    """Refuses labels that are no class of the task.

    Args:
        label: Of each row that has one.
        section: Problem and classes.

    Raises:
        DataError: One is none of the classes' numbers.
    """
    match section.problem:
        case "regression":
            return
        case "binary_classification":
            classes = 2
        case "multiclass_classification":
            classes = len(section.classes or ())
    wrong = ~np.isin(label, np.arange(classes))
    if wrong.any():
        raise DataError(
            f"A label is {label[wrong][0]:g}, where 0 to {classes - 1} are the classes",
            where="column _label",
            fix="correct the task's label",
        )


def _score_columns(section: EvaluationSection, manifest: Manifest) -> list[str]:
    if section.problem == "multiclass_classification":
        wanted = [f"score_{index}" for index in range(len(section.classes or ()))]
    else:
        wanted = ["score"]
    missing = [name for name in wanted if name not in manifest.columns]
    if missing:
        raise DataError(
            f"The predictions have no column {missing[0]!r}, which {section.problem} asks for",
            where=f"predictions of model {manifest.model or '(none)'}",
            fix=_PREDICT_AGAIN,
        )
    return wanted


def _positions(keys: pa.ChunkedArray, others: pa.ChunkedArray, name: str) -> Integers | None:
    """Where in `others` each key stands; none if both are in the same order."""
    import pyarrow.compute as pc

    if keys.equals(others):
        return None
    where = pc.index_in(keys, value_set=others.combine_chunks())
    if len(keys) != len(others) or where.null_count or pc.count_distinct(where).as_py() != len(keys):
        common = len(keys) - where.null_count
        raise DataError(
            f"The {name}'s predictions are not of the candidate's rows: "
            f"{len(keys)} and {len(others)} rows, {common} of the candidate's are among the {name}'s",
            where=f"predictions of the {name}",
            fix=_PREDICT_AGAIN,
        )
    found: Integers = _values(where, np.int32).astype(np.int64)
    return found


def _numbers(table: pa.Table, name: str) -> Floats:
    """A column of 64-bit floats; missing ones are NaN."""
    column = table.column(name)
    numbers: Floats = _values(column.fill_null(float("nan")) if column.null_count else column, np.float64)
    return numbers


def _values(column: pa.ChunkedArray | pa.Array, kind: type) -> Any:
    """The values of a column that misses none, from its buffer: Arrow's `to_numpy` would import pandas for them."""
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(array):
        return np.empty(0, kind)
    first = array.offset
    return np.frombuffer(array.buffers()[1], kind)[first : first + len(array)]


def _scores(table: pa.Table, columns: list[str]) -> Floats:
    if columns == ["score"]:
        return _numbers(table, "score")
    return np.stack([_numbers(table, name) for name in columns], axis=1)


def _moments(table: pa.Table) -> Integers:
    """Microseconds UTC, as manifests keep them."""
    moments: Integers = _values(table.column("_time"), np.int64)
    return moments


def _encoded(column: pa.ChunkedArray) -> tuple[list[object], Integers]:
    """Distinct values and, per row, the number of its value; missing is a value of its own."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.dictionary.to_pylist(), _values(encoded.indices, np.int32).astype(np.int64)


def _column(column: pa.ChunkedArray) -> Column:
    values, code = _encoded(column)
    return Column(code, tuple(slice_text(value) for value in values))


def slice_text(value: object) -> str:
    """How a value of a slice column is written."""
    match value:
        case None:
            return MISSING
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _numbered(cluster: Integers, clusters: int) -> tuple[int, Integers]:
    present = np.bincount(cluster, minlength=clusters) > 0
    return int(present.sum()), (np.cumsum(present) - 1)[cluster]


def _check_weights(rows: Rows) -> None:
    if not (np.isfinite(rows.weight).all() and (rows.weight >= 0).all()):
        fix = "correct the task's weight column"
        raise DataError("A weight is missing or negative", where="column _weight", fix=fix)
