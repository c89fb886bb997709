"""The rows that are changed: those nearest to the decision boundary, and some from everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components._shared.decision_rule import DecisionRule
from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.measuring.metrics import Floats, Integers
from components._shared.model_inputs import numbers, score_columns
from components._shared.tables import iter_batches
from components._shared.task import BehaviourSection, LearningSection

if TYPE_CHECKING:
    import pyarrow as pa


EXTREME = 10
"""A value farther from the median than so many times half of what lies between the quantiles of 16 % and 84 % (of a
normal distribution: its standard deviation) counts as if it lay there, or one row would say what noise all others get.
"""

QUANTILE_ROWS = 10_000
"""Rows, those of the smallest keys, of which these quantiles are taken: they only say from where on a value is extreme.
"""


@dataclass(frozen=True)
class Spread:
    """How a numeric column's values lie, over all rows, those that are finite as a model takes them.

    Attributes:
        deviation: Standard deviation of the values, winsorised (`EXTREME`).
        low, high: The smallest and the largest value.
    """

    deviation: float
    low: float
    high: float


@dataclass(frozen=True)
class Asked:
    """Rows that a model is asked.

    Attributes:
        rows: Raw feature columns, and `_key`.
        near: Which of them are the nearest to the boundary.
        cluster: Number of each row's cluster.
        farthest: Distance from the boundary of the farthest of the nearest.
        spread: Of the numeric features.
    """

    rows: pa.RecordBatch
    near: npt.NDArray[np.bool_]
    cluster: Integers
    farthest: float | None
    spread: dict[str, Spread]

    @property
    def keys(self) -> list[str]:
        """`_key` of each row."""
        return self.rows.column(self.rows.schema.get_field_index("_key")).to_pylist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Candidates:
    """Rows that may be chosen: the first of an order."""

    order: Floats
    key: npt.NDArray[np.str_]
    position: Integers

    def first(self, count: int) -> _Candidates:
        """By `order`, then by key."""
        if len(self.key) <= count:
            return self
        return self.take(np.lexsort((self.key, self.order))[:count])

    def take(self, which: Integers | npt.NDArray[np.bool_]) -> _Candidates:
        return _Candidates(self.order[which], self.key[which], self.position[which])

    def merged(self, other: _Candidates, count: int) -> _Candidates:
        """The first of both, `count` at most."""
        if len(self.key) == count:
            last = np.lexsort((self.key, self.order))[-1]
            before = (other.order < self.order[last]) | (
                (other.order == self.order[last]) & (other.key < self.key[last])
            )
            other = other.take(before)
        return _Candidates(
            np.concatenate([self.order, other.order]),
            np.concatenate([self.key, other.key]),
            np.concatenate([self.position, other.position]),
        ).first(count)


_NONE = _Candidates(np.empty(0), np.empty(0, dtype="U32"), np.empty(0, dtype=np.int64))


def rows_to_ask(
    predictions: Manifest,
    examples: Manifest,
    section: BehaviourSection,
    learning: LearningSection,
    features: Sequence[str],
    numeric: Sequence[str],
) -> Asked:
    """Chooses the rows by the candidate's predictions, and reads them.

    Args:
        predictions: Of the candidate.
        examples: The rows that it predicted.
        section: How many, and what is decided by a score.
        learning: Of the candidate.
        features: Columns to read.
        numeric: Those among them whose spread is wanted.

    Raises:
        DataError: The predictions are not of these rows.
    """
    near, others, sample = _chosen(predictions, section, score_columns(learning))
    position = np.concatenate([near.position, others.position])
    order = np.argsort(position)
    keys = np.concatenate([near.key, others.key])[order]
    columns = list(dict.fromkeys(["_key", "_cluster", *features]))
    rows, spread = _read(examples, columns, position[order], numeric, sample)
    if rows.column(0).to_pylist() != keys.tolist():
        raise DataError("The predictions stand in another order than the rows", where="behave")
    _, cluster = np.unique(np.asarray(rows.column(1).to_pylist(), dtype=str), return_inverse=True)
    return Asked(
        rows=rows,
        near=(np.arange(len(position)) < len(near.position))[order],
        cluster=cluster.astype(np.int64),
        farthest=float(near.order.max()) if len(near.order) else None,
        spread=spread,
    )


def distance(score: Floats, rule: DecisionRule, problem: str, classes: tuple[str | int, ...] | None) -> Floats | None:
    """How far a row is from where the decision turns; none: nothing is decided.

    Args:
        score: Rows × outputs.
        rule: Of the task.
        problem, classes: Of the task.
    """
    if problem == "multiclass_classification":
        expected = np.sort(score @ np.asarray(rule.cost_matrix(classes or ())), axis=1)
        return np.asarray(expected[:, 1] - expected[:, 0])
    threshold = rule.threshold_of(problem)
    return None if threshold is None else np.abs(score[:, 0] - threshold)


def _chosen(
    predictions: Manifest, section: BehaviourSection, scores: Sequence[str]
) -> tuple[_Candidates, _Candidates, Integers]:
    """The nearest rows, and as many others as are wanted: those of the smallest keys, which are hashes.

    Returns:
        Them, and the positions of the `QUANTILE_ROWS` of the smallest keys, ascending.
    """
    wanted = min(section.gates.rows, predictions.count)
    nearest = wanted // 2
    near, others, start = _NONE, _NONE, 0
    for batch in iter_batches(predictions, ["_key", *scores]):
        key = np.asarray(batch.column(0).to_pylist(), dtype="U32")
        position = np.arange(start, start + batch.num_rows)
        start += batch.num_rows
        score = np.stack([batch.column(1 + number).to_numpy() for number in range(len(scores))], axis=1)
        far = distance(score, section.decision, section.problem, section.classes)
        if far is None:
            nearest = 0
        else:
            near = near.merged(_Candidates(far, key, position), nearest)
        others = others.merged(_Candidates(np.zeros(len(key)), key, position), max(wanted, QUANTILE_ROWS))
    sample = np.sort(others.first(QUANTILE_ROWS).position)
    return near, others.take(~np.isin(others.position, near.position)).first(wanted - nearest), sample


def _read(
    examples: Manifest, columns: list[str], positions: Integers, numeric: Sequence[str], sample: Integers
) -> tuple[pa.RecordBatch, dict[str, Spread]]:
    """The rows at some positions, and the spread of all; a sample tells which values are extreme."""
    import pyarrow as pa

    found, start = [], 0
    moments = {name: _Moments() for name in numeric}
    sampled: dict[str, list[Floats]] = {name: [] for name in numeric}
    for batch in iter_batches(examples, columns):
        found.append(batch.take(pa.array(_within(positions, start, batch.num_rows))))
        some = pa.array(_within(sample, start, batch.num_rows))
        start += batch.num_rows
        for name, seen in moments.items():
            column = batch.column(columns.index(name))
            seen.add(_finite(column))
            sampled[name].append(_finite(column.take(some)))
    rows = pa.Table.from_batches(found).combine_chunks().to_batches()[0]
    ends = {name: _ends(np.concatenate(sampled[name])) for name in numeric}
    beyond = {
        name: (low, high)
        for name, (low, high) in ends.items()
        if not low <= moments[name].low <= moments[name].high <= high
    }
    winsorised = _winsorised(examples, beyond)
    return rows, {
        name: Spread(deviation=winsorised.get(name, seen).deviation, low=seen.low, high=seen.high)
        for name, seen in moments.items()
    }


def _within(positions: Integers, start: int, rows: int) -> Integers:
    """Those of the positions, ascending, that lie in a batch, counted from its start."""
    first, last = np.searchsorted(positions, [start, start + rows])
    return positions[first:last] - start


def _finite(column: pa.Array) -> Floats:
    """The numbers of a column that are finite as a model takes them."""
    import pyarrow as pa

    values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values[np.isfinite(numbers(column))]


def _ends(sample: Floats) -> tuple[float, float]:
    """Beyond them a value is extreme; none is where most values are one and the same."""
    low, median, high = np.quantile(sample, [0.16, 0.5, 0.84]).tolist() if len(sample) else (0.0, 0.0, 0.0)
    if low == high:
        return -np.inf, np.inf
    reach = EXTREME * (high - low) / 2
    return median - reach, median + reach


def _winsorised(examples: Manifest, ends: dict[str, tuple[float, float]]) -> dict[str, _Moments]:
    """Moments of columns of which values beyond the ends count as if they lay there."""
    moments = {name: _Moments() for name in ends}
    if not ends:
        return moments
    for batch in iter_batches(examples, list(ends)):
        for number, (name, between) in enumerate(ends.items()):
            moments[name].add(np.clip(_finite(batch.column(number)), *between))
    return moments


class _Moments:
    """Mean and squared deviations of values that come in batches (Chan, Golub & LeVeque 1983, equation 2.1)."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, values: Floats) -> None:
        if not len(values):
            return
        count, mean = len(values), float(values.mean())
        total, apart = self._count + count, mean - self._mean
        self._squares += float(((values - mean) ** 2).sum()) + apart**2 * self._count * count / total
        self._mean += apart * count / total
        self._count = total
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    @property
    def deviation(self) -> float:
        return (self._squares / (self._count - 1)) ** 0.5 if self._count > 1 else 0.0
