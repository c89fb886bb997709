"""The weights of a linear model as a reader wants them: per unit of the raw feature, with intervals.

The served function is `scale * z + offset` with `z` the sum of standardised numbers and categories; it is the log-odds
(binary), the logits (multiclass) or the value (regression). On the natural scale it reads

    intercept + Σ weight · number + Σ weight of the category + Σ weight of being missing

where a missing number counts as the average. A category's weight is against the average row of *train*: only such
differences are determined, a constant could go from one feature to another. Softmax logits are determined up to a
constant as well: they are given against the mean of the classes.

Intervals, 95 %: with β the parameters, `H` the penalised Hessian of the loss and `s_g` the sum of the gradients of the
rows of cluster g, a term `ℓ·β` moves by `u_g = ℓ·H⁻¹·s_g` with that cluster (the sandwich of Liang and Zeger,
Longitudinal data analysis using generalized linear models, 1986). A term may be known from few of the clusters, as a
weekday is from a seventh of the days, so

* each cluster's part is divided by `1 - h_g`, with `h_g = ℓ·H⁻¹·H_g·H⁻¹·ℓ / ℓ·H⁻¹·ℓ` its share of what is known of the
  term: the jackknife that leaves out one cluster after the other, `s² = (G - 1)/G · Σ (u_g / (1 - h_g))²`
  (Bell and McCaffrey, Bias reduction in standard errors for linear regression with multi-stage samples, 2002);
* Student's distribution has `(Σ h_g)² / Σ h_g² - 1` degrees of freedom, the effective number of clusters in place of
  all (after Carter, Schnepel and Steigerwald, Asymptotic behavior of a t test robust to cluster heterogeneity, 2017).

`benchmarks/coefficient_coverage.py` prints how often they hold the truth. They say how the weights would differ with
other days of the same kind; they know nothing of how *tune* chose the epoch or the calibration.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from components._shared.measuring.intervals import FEWEST_CLUSTERS, MOST_GROUPS
from components._shared.measuring.metrics import Floats, Integers
from components._shared.measuring.student import quantile
from components._shared.model_info import Term
from components._shared.saved_model import Strings
from components._shared.task import Problem
from components.train.preprocessing import MISSING, CategoryEncoding, Encoding, MomentEncoding, NumberEncoding

if TYPE_CHECKING:
    from components.train.job import LabelledBatch

MOST_TERMS = 1_000
"""Terms that get intervals: the Hessian has as many rows and columns."""

_ABOVE = 0.025
"""Chance on either side of a 95 % interval."""

_CHUNK_ROWS = 32_768
_CHUNK_VALUES = 4_000_000


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


@dataclass(frozen=True)
class NaturalTerms:
    """The terms of a linear model.

    Attributes:
        distance: How far the furthest term lies from the optimum of the penalised loss on *train*, in halves of its
            interval's width, by one step of Newton's method; none: there are no intervals.
    """

    terms: tuple[Term, ...]
    distance: float | None = None
    notices: tuple[str, ...] = ()


def natural_terms(function: LinearFunction, rows: ClusteredRows) -> NaturalTerms:
    """The terms of a linear model on the natural scale.

    Two passes over the rows; memory grows with the square of the number of terms, and not with the rows.

    Args:
        function: The model.
        rows: *train*.
    """
    shares = _shares(function, rows)
    lines = _lines(function.encoding, shares)
    weights = np.stack([line.contrast for line in lines]) @ function.parameters * function.scale
    weights[-1] += function.offset
    weights -= weights.mean(axis=1, keepdims=True) if function.classes else 0.0
    widths, distance, notices = _intervals(function, rows, lines)
    terms = []
    for line, own, width in zip(lines, weights.tolist(), widths.tolist(), strict=True):
        for output, weight, half in zip(function.classes or ("",), own, width, strict=True):
            sure = bool(np.isfinite(half)) and line.share != 0
            terms.append(
                Term(
                    name=f"{line.name} → {output}" if function.classes else line.name,
                    feature=line.feature,
                    category=line.category,
                    output=str(output),
                    weight=_rounded(weight),
                    interval=(_rounded(weight - half), _rounded(weight + half)) if sure else None,
                    unit=line.unit,
                    share=None if line.share is None else _rounded(line.share),
                )
            )
    return NaturalTerms(tuple(terms), distance, notices)


@dataclass(frozen=True)
class _Line:
    """A term, before it has a weight.

    Attributes:
        contrast: What it is made of: one factor per parameter.
    """

    name: str
    contrast: Floats
    feature: str = ""
    category: str = ""
    unit: str = ""
    share: float | None = None


def _lines(encoding: Encoding, shares: Floats) -> list[_Line]:
    """The terms in the order of the features, last the intercept.

    Args:
        encoding: How rows are encoded.
        shares: Of the weight of *train*, per row of the table of categories.
    """
    numbers, size = len(encoding.dense_terms), len(encoding.dense_terms) + len(shares) + 1
    eye = np.eye(size)
    intercept = eye[-1].copy()
    lines: list[_Line] = []
    column, position = 0, numbers
    for feature in encoding.features:
        for name in feature.dense_terms():
            missing = isinstance(feature, NumberEncoding) and name != feature.name
            scale = feature.scale if isinstance(feature, NumberEncoding) and not missing else 1.0
            unit = "when missing" if missing else "per unit"
            lines.append(_Line(name, eye[column] / scale, feature.name, MISSING if missing else "", unit))
            if isinstance(feature, NumberEncoding) and not missing:
                intercept[column] -= feature.mean / feature.scale
            column += 1
        names = feature.categories()
        own = np.zeros(size)
        own[position : position + len(names)] = shares[position - numbers : position - numbers + len(names)]
        intercept += own
        for number, name in enumerate(names):
            lines.append(
                _Line(
                    name,
                    eye[position + number] - own,
                    feature.name,
                    _category(feature, name),
                    "against the average",
                    float(own[position + number]),
                )
            )
        position += len(names)
    return [*lines, _Line("(intercept)", intercept)]


def _category(feature: CategoryEncoding | MomentEncoding | NumberEncoding, name: str) -> str:
    """The value in the name of a category: `carrier=UA`, `seen at: Monday`."""
    separator = ": " if isinstance(feature, MomentEncoding) else "="
    return name.removeprefix(feature.name + separator)


@dataclass(frozen=True)
class _Chunk:
    """Some rows.

    Attributes:
        dense: Rows × numbers, with a 1 as the last.
        index: Rows × positions: rows of the table of categories.
        residual: Rows × outputs: weight times the derivative of the loss to z.
        score: Rows × outputs: probabilities; regression: z.
        group: Per row, the group of clusters that it belongs to.
    """

    dense: Floats
    index: Integers
    residual: Floats
    score: Floats
    weight: Floats
    group: Integers


def _shares(function: LinearFunction, rows: ClusteredRows) -> Floats:
    """The share of the weight that each row of the table of categories has."""
    counts, total = np.zeros(len(function.table)), 0.0
    for batch in rows.batches(clusters=False):
        _, index = function.encoding.encode(batch.features, batch.rows)
        total += float(batch.weights.sum())
        for position in index.T:
            counts += np.bincount(position, weights=batch.weights, minlength=len(counts))
    return counts / total if total else counts


class _Groups:
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


def _chunks(function: LinearFunction, rows: ClusteredRows, groups: _Groups, size: int) -> Iterator[_Chunk]:
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
            score = _answer(function.problem, z)
            target = label[:, None]
            if function.problem == "multiclass_classification":
                target = (label.astype(np.int64)[:, None] == np.arange(score.shape[1])).astype(float)
            weight = batch.weights[part] / function.mean_weight
            yield _Chunk(numbers, own, weight[:, None] * (score - target), score, weight, group[part])


def _answer(problem: Problem, z: Floats) -> Floats:
    match problem:
        case "binary_classification":
            rate: Floats = 1 / (1 + np.exp(-z))
            return rate
        case "multiclass_classification":
            exponents = np.exp(z - z.max(axis=1, keepdims=True))
            shares: Floats = exponents / exponents.sum(axis=1, keepdims=True)
            return shares
        case "regression":
            return z


@dataclass(frozen=True)
class _Moments:
    """What the intervals need of the rows; parameters are laid out output by output.

    Attributes:
        hessian: Of the penalised loss, summed over the rows.
        gradients: Groups × parameters, of the loss without the penalty.
        gradient: Of the penalised loss.
    """

    hessian: Floats
    gradients: Floats
    gradient: Floats


def _intervals(
    function: LinearFunction, rows: ClusteredRows, lines: list[_Line]
) -> tuple[Floats, float | None, tuple[str, ...]]:
    """Half the width of each term's interval (terms × outputs, NaN where there is none), the distance, and notices."""
    outputs = len(function.bias)
    none = np.full((len(lines), outputs), np.nan)
    if (count := len(lines) * outputs) > MOST_TERMS:
        return none, None, (f"The {count:,} coefficients have no intervals: there are more than {MOST_TERMS:,}.",)
    groups = _Groups()
    found = _moments(function, rows, groups)
    if len(groups) < FEWEST_CLUSTERS:
        return none, None, ("The coefficients have no intervals: there are too few clusters of rows in train.",)
    across = np.eye(outputs) - (1 / outputs if function.classes else 0.0)
    contrasts = np.kron(across, np.stack([line.contrast for line in lines]) * function.scale)
    effects = contrasts @ np.linalg.pinv(found.hessian, hermitian=True)
    known = np.einsum("ij,ij->i", effects, contrasts)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.minimum(_leverages(function, rows, groups, effects) / known, 1.0)
        sums = found.gradients[: len(groups)] @ effects.T
        # Away from the optimum they do not add up to zero.
        widths = _half_widths(sums - shares * sums.sum(axis=0), shares)
        away = np.abs(effects @ found.gradient) / widths
    distance = float(np.max(away[np.isfinite(away)], initial=0.0))
    return widths.reshape(outputs, -1).T, _rounded(distance), ()


def _half_widths(sums: Floats, shares: Floats) -> Floats:
    """Half the width of each term's interval, NaN for one that is known from a single group.

    Args:
        sums: What each term moves by with each group: groups × terms.
        shares: Each group's share of what is known of the term.
    """
    groups = len(sums)
    error = np.sqrt((groups - 1) / groups * ((sums / (1 - shares)) ** 2).sum(axis=0))
    effective = np.nan_to_num(shares.sum(axis=0) ** 2 / (shares**2).sum(axis=0))
    critical = [quantile(_ABOVE, round(each) - 1) if round(each) > 1 else np.nan for each in effective.tolist()]
    widths: Floats = error * np.array(critical)
    return widths


def _moments(function: LinearFunction, rows: ClusteredRows, groups: _Groups) -> _Moments:
    """One pass: Hessian and gradients."""
    size, outputs = function.parameters.shape
    hessian = np.zeros((outputs, size, outputs, size))
    gradients = np.zeros((MOST_GROUPS, outputs, size))
    total = 0.0
    for chunk in _chunks(function, rows, groups, _CHUNK_ROWS):
        total += float(chunk.weight.sum())
        for first in range(outputs):
            gradients[:, first] += _by_group(chunk, chunk.residual[:, first], size)
            for second in range(first, outputs):
                block = _products(chunk, _curvature(function.problem, chunk, first, second), size)
                hessian[first, :, second] += block
                if second > first:
                    hessian[second, :, first] += block
    # The mean loss has the penalty l2 · Σ weight² beside it, biases left out.
    penalty = np.full(size, 2 * function.l2 * total)
    penalty[-1] = 0.0
    flat = hessian.reshape(outputs * size, outputs * size)
    flat[np.diag_indices(len(flat))] += np.tile(penalty, outputs)
    gradient = gradients.sum(axis=0) + penalty * function.parameters.T
    return _Moments(flat, gradients.reshape(MOST_GROUPS, -1), gradient.reshape(-1))


def _products(chunk: _Chunk, weight: Floats, size: int) -> Floats:
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


def _by_group(chunk: _Chunk, residual: Floats, size: int) -> Floats:
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


def _curvature(problem: Problem, chunk: _Chunk, first: int, second: int) -> Floats:
    """Per row, the second derivative of its loss to two outputs of z."""
    match problem:
        case "binary_classification":
            return chunk.weight * chunk.score[:, 0] * (1 - chunk.score[:, 0])
        case "multiclass_classification":
            return chunk.weight * chunk.score[:, first] * ((first == second) - chunk.score[:, second])
        case "regression":
            return chunk.weight


def _leverages(function: LinearFunction, rows: ClusteredRows, groups: _Groups, effects: Floats) -> Floats:
    """Another pass: `ℓ·H⁻¹·H_g·H⁻¹·ℓ`, groups × terms.

    Args:
        effects: Terms × parameters: `ℓ·H⁻¹`.
    """
    outputs, numbers = len(function.bias), len(function.kernel)
    found = np.zeros((MOST_GROUPS, len(effects)))
    # A share needs few digits: 32-bit numbers are half the work. Parameters × terms, for each output.
    by_output = [part.T.astype("float32") for part in effects.reshape(len(effects), outputs, -1).transpose(1, 0, 2)]
    for chunk in _chunks(function, rows, groups, max(64, _CHUNK_VALUES // (len(effects) * outputs))):
        moved = []
        for own in by_output:
            z = chunk.dense.astype("float32") @ np.concatenate([own[:numbers], own[-1:]])
            for position in chunk.index.T:
                z += own[numbers + position]
            moved.append(z)
        squares = _squares(function.problem, chunk, moved)
        order = np.argsort(chunk.group, kind="stable")
        present, starts = np.unique(chunk.group[order], return_index=True)
        found[present] += np.add.reduceat(squares[order], starts, axis=0)
    return found[: len(groups)]


def _squares(problem: Problem, chunk: _Chunk, moved: list[Any]) -> Any:
    """`zᵀ·V·z` of each row and term, with V the second derivatives of the row's loss: rows × terms.

    Args:
        problem: Which loss.
        chunk: The rows.
        moved: Per output z, rows × terms.
    """
    if problem != "multiclass_classification":
        return moved[0] ** 2 * _curvature(problem, chunk, 0, 0)[:, None].astype("float32")
    score = chunk.score.astype("float32")
    mean = sum(z * score[:, output, None] for output, z in enumerate(moved))
    square = sum(z**2 * score[:, output, None] for output, z in enumerate(moved))
    return (square - mean**2) * chunk.weight[:, None].astype("float32")


def _rounded(value: float) -> float:
    """To eight significant digits: a sum in another order differs in the last ones."""
    return float(f"{value:.8g}")
