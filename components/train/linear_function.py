"""A linear model without TensorFlow: its loss on rows, and the loss's first and second derivatives.

Rows stream by, and the design is never written out: categories are counted, not multiplied. Memory grows with the
square of the number of parameters, and not with the rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from components._shared.measuring.intervals import MOST_GROUPS
from components._shared.measuring.metrics import Floats, Integers
from components._shared.saved_model import Strings
from components._shared.task import Problem
from components.train.preprocessing import Encoding

if TYPE_CHECKING:
    from components.train.job import LabelledBatch

_CHUNK_ROWS = 32_768


class ClusteredRows(Protocol):
    """Labelled rows that say their clusters, such as `LabelledRows`."""

    def batches(self, *, clusters: bool) -> Iterator[LabelledBatch]:
        """The rows in order, in batches."""


@dataclass(frozen=True)
class LinearFunction:
    """A fitted linear model.

    Attributes:
        kernel, table, bias: [numbers, outputs], [categories, outputs], [outputs]; standardised, as `FirstLayer` has.
        scale, offset: The served function is `scale * z + offset`.
        label_mean, label_std: What labels were standardised by.
        mean_weight: What weights were divided by.
        l2: Penalty on the squares of the weights, beside the mean loss.
    """

    problem: Problem
    classes: tuple[str | int, ...] | None
    encoding: Encoding
    kernel: Floats
    table: Floats
    bias: Floats
    scale: float = 1.0
    offset: float = 0.0
    label_mean: float = 0.0
    label_std: float = 1.0
    mean_weight: float = 1.0
    l2: float = 0.0

    @property
    def parameters(self) -> Floats:
        """All of them: [numbers + categories + 1, outputs]."""
        return np.concatenate([self.kernel, self.table, self.bias[None, :]]).astype(np.float64)


class Groups:
    """Numbers the clusters; those beyond the first `MOST_GROUPS` join one of these by the hash of their name."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def of(self, clusters: Strings) -> Integers:
        """The group of each row."""
        return np.array([self._number(value) for value in clusters.values], np.int64)[clusters.codes]

    def _number(self, value: bytes) -> int:
        if value not in self._numbers and len(self._numbers) < MOST_GROUPS:
            self._numbers[value] = len(self._numbers)
        return self._numbers.get(value, zlib.crc32(value) % MOST_GROUPS)


def chunks(function: LinearFunction, rows: ClusteredRows, groups: Groups, size: int) -> Iterator[Chunk]:
    """The rows, in chunks of at most so many."""
    kernel = np.concatenate([function.kernel, function.bias[None, :]])
    for batch in rows.batches(clusters=True):
        dense, index = function.encoding.encode(batch.features, batch.rows)
        group = np.zeros(batch.rows, np.int64) if batch.clusters is None else groups.of(batch.clusters)
        labels = (batch.labels - function.label_mean) / function.label_std
        for start in range(0, batch.rows, size):
            part = slice(start, start + size)
            label, own = labels[part], index[part].astype(np.int64)
            numbers = np.concatenate([dense[part], np.ones((len(label), 1))], axis=1, dtype=np.float64)
            z = numbers @ kernel
            for position in own.T:
                z += function.table[position]
            score, target, loss = _answer(function.problem, z, label)
            weight = batch.weights[part] / function.mean_weight
            yield Chunk(numbers, own, loss, weight[:, None] * (score - target), score, weight, group[part])


def _answer(problem: Problem, z: Floats, label: Floats) -> tuple[Floats, Floats, Floats]:
    """Scores and what they should have been (rows × outputs each), and the loss of each row."""
    match problem:
        case "binary_classification":
            loss = np.logaddexp(0, z[:, 0]) - label * z[:, 0]
            return 1 / (1 + np.exp(-z)), label[:, None], loss
        case "multiclass_classification":
            shifted = z - z.max(axis=1, keepdims=True)
            total = np.exp(shifted).sum(axis=1, keepdims=True)
            target = (label.astype(np.int64)[:, None] == np.arange(z.shape[1])).astype(float)
            return np.exp(shifted) / total, target, np.log(total[:, 0]) - (shifted * target).sum(axis=1)
        case "regression":
            return z, label[:, None], (z[:, 0] - label) ** 2 / 2


@dataclass(frozen=True)
class Chunk:
    """Some rows.

    Attributes:
        dense: Rows × numbers, with a 1 as the last.
        index: Rows × positions: rows of the table of categories.
        loss: Per row; log-loss, or half the squared error.
        residual: Rows × outputs: weight times the derivative of the loss to z.
        score: Rows × outputs: probabilities; regression: z.
        group: Per row, the group of clusters that it belongs to.
    """

    dense: Floats
    index: Integers
    loss: Floats
    residual: Floats
    score: Floats
    weight: Floats
    group: Integers


@dataclass(frozen=True)
class Moments:
    """The derivatives of the loss, summed over the rows; parameters are laid out output by output.

    Attributes:
        loss: With the penalty.
        hessian: Of the penalised loss, summed over the rows.
        gradients: Groups × parameters, of the loss without the penalty.
        gradient: Of the penalised loss.
    """

    loss: float
    hessian: Floats
    gradients: Floats
    gradient: Floats


def moments(function: LinearFunction, rows: ClusteredRows, groups: Groups) -> Moments:
    """The loss and its derivatives, in one pass over the rows."""
    size, outputs = function.parameters.shape
    hessian = np.zeros((outputs, size, outputs, size))
    gradients = np.zeros((MOST_GROUPS, outputs, size))
    total = loss = 0.0
    for chunk in chunks(function, rows, groups, _CHUNK_ROWS):
        total += float(chunk.weight.sum())
        loss += float(chunk.weight @ chunk.loss)
        for first in range(outputs):
            gradients[:, first] += _by_group(chunk, chunk.residual[:, first], size)
            for second in range(first, outputs):
                block = _products(chunk, curvature(function.problem, chunk, first, second), size)
                hessian[first, :, second] += block
                if second > first:
                    hessian[second, :, first] += block
    # The mean loss has the penalty l2 · Σ weight² beside it, biases left out.
    penalty = np.full(size, 2 * function.l2 * total)
    penalty[-1] = 0.0
    flat = hessian.reshape(outputs * size, outputs * size)
    flat[np.diag_indices(len(flat))] += np.tile(penalty, outputs)
    gradient = gradients.sum(axis=0) + penalty * function.parameters.T
    loss += float(penalty @ (function.parameters**2).sum(axis=1)) / 2
    return Moments(loss, flat, gradients.reshape(MOST_GROUPS, -1), gradient.reshape(-1))


def _products(chunk: Chunk, weight: Floats, size: int) -> Floats:
    """`Xᵀ·diag(weight)·X` of the design X = [numbers, categories as zeros and ones, 1], without writing X out."""
    numbers = chunk.dense.shape[1] - 1
    table = size - numbers - 1
    places = [*range(numbers), size - 1]
    weighted = weight[:, None] * chunk.dense
    result = np.zeros((size, size))
    result[np.ix_(places, places)] = chunk.dense.T @ weighted
    inner = result[numbers : size - 1, numbers : size - 1]
    for number, first in enumerate(chunk.index.T):
        cross = np.stack([np.bincount(first, column, table) for column in weighted.T], axis=1)
        result[numbers : size - 1, places] += cross
        result[np.ix_(places, range(numbers, size - 1))] += cross.T
        inner[np.diag_indices(table)] += cross[:, -1]
        for second in chunk.index.T[number + 1 :]:
            pairs = np.bincount(first * table + second, weight, table * table).reshape(table, table)
            inner += pairs + pairs.T
    return result


def _by_group(chunk: Chunk, residual: Floats, size: int) -> Floats:
    """`Xᵀ·residual` of the rows of each group: groups × parameters."""
    numbers = chunk.dense.shape[1] - 1
    table = size - numbers - 1
    result = np.zeros((MOST_GROUPS, size))
    for place, column in zip([*range(numbers), size - 1], chunk.dense.T, strict=True):
        result[:, place] = np.bincount(chunk.group, residual * column, MOST_GROUPS)
    for position in chunk.index.T:
        found = np.bincount(chunk.group * table + position, residual, MOST_GROUPS * table)
        result[:, numbers : size - 1] += found.reshape(MOST_GROUPS, table)
    return result


def curvature(problem: Problem, chunk: Chunk, first: int, second: int) -> Floats:
    """Per row, the second derivative of its loss to two outputs of z."""
    match problem:
        case "binary_classification":
            return chunk.weight * chunk.score[:, 0] * (1 - chunk.score[:, 0])
        case "multiclass_classification":
            return chunk.weight * chunk.score[:, first] * ((first == second) - chunk.score[:, second])
        case "regression":
            return chunk.weight
