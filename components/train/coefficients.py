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

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from components._shared.measuring.intervals import FEWEST_CLUSTERS, MOST_GROUPS
from components._shared.measuring.metrics import Floats
from components._shared.measuring.student import quantile
from components._shared.model_info import Term
from components._shared.task import Problem
from components.train.linear_function import Chunk, ClusteredRows, Groups, LinearFunction, chunks, curvature, moments
from components.train.preprocessing import (
    MISSING,
    OTHER,
    CategoryEncoding,
    Encoding,
    FeatureEncoding,
    MomentEncoding,
    NumberEncoding,
)

MOST_TERMS = 1_000
"""Terms that get intervals: the Hessian has as many rows and columns."""

_ABOVE = 0.025
"""Chance on either side of a 95 % interval."""

_FAR = 0.5
"""Halves of an interval's width."""

_CHUNK_VALUES = 4_000_000

_Bucket = Literal["", "other", "missing"]


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

    Up to `MOST_TERMS` three passes over the rows, and memory that grows with the square of the number of terms; beyond,
    one pass and memory that grows with their number. It never grows with the rows.

    Args:
        function: The model.
        rows: *train*.
    """
    missing, shares = _shares(function, rows)
    lines = _lines(function.encoding, missing, shares)
    average = _average(function.encoding, shares)
    weights = _combined(function.encoding, lines, average, function.parameters) * function.scale
    weights[-1] += function.offset
    weights -= weights.mean(axis=1, keepdims=True) if function.classes else 0.0
    widths, distance, notices = _intervals(function, rows, lines, average)
    if distance is not None and distance > _FAR:
        notices = (
            *notices,
            "The coefficients are not those of the optimum on train, and their intervals do not say how far they are "
            f"from it: up to {distance:.2g} times half an interval.",
        )
    terms = []
    for line, own, width in zip(lines, weights.tolist(), widths.tolist(), strict=True):
        for output, weight, half in zip(function.classes or ("",), own, width, strict=True):
            sure = bool(np.isfinite(half)) and line.share != 0
            terms.append(
                Term(
                    name=f"{line.name} → {output}" if function.classes else line.name,
                    feature=line.feature,
                    category=line.category,
                    bucket=line.bucket,
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
        place: The parameter that it is made of.
        factor: What that is multiplied with.
    """

    name: str
    place: int
    factor: float = 1.0
    feature: str = ""
    category: str = ""
    bucket: _Bucket = ""
    unit: str = ""
    share: float | None = None


def _lines(encoding: Encoding, missing: Floats, shares: Floats) -> list[_Line]:
    """The terms in the order of the features, last the intercept.

    Args:
        encoding: How rows are encoded.
        missing: Shares of the weight of *train*, per number of a row: where it says that a value is missing.
        shares: The same, per row of the table of categories.
    """
    numbers = len(encoding.dense_terms)
    lines: list[_Line] = []
    column, position = 0, numbers
    for feature in encoding.features:
        for name in feature.dense_terms():
            if _is_indicator(feature, name):
                share = float(missing[column])
                lines.append(_Line(name, column, 1.0, feature.name, MISSING, "missing", "when missing", share))
            else:
                scale = feature.scale if isinstance(feature, NumberEncoding) else 1.0
                lines.append(_Line(name, column, 1 / scale, feature.name, unit="per unit"))
            column += 1
        for own, name in enumerate(feature.categories()):
            category, share = _category(feature, name), float(shares[position - numbers])
            bucket = _bucket(feature, own, category)
            lines.append(_Line(name, position, 1.0, feature.name, category, bucket, "against the average", share))
            position += 1
    return [*lines, _Line("(intercept)", position)]


def _average(encoding: Encoding, shares: Floats) -> Floats:
    """What the intercept is made of: numbers are 0 on the raw scale, categories as often as in *train*.

    Args:
        encoding: How rows are encoded.
        shares: Of the weight of *train*, per row of the table of categories.

    Returns:
        One factor per parameter.
    """
    zeros: list[float] = []
    for feature in encoding.features:
        own = [0.0] * len(feature.dense_terms())
        if isinstance(feature, NumberEncoding):
            own[0] = -feature.mean / feature.scale
        zeros += own
    return np.concatenate([zeros, shares, [1.0]])


def _combined(encoding: Encoding, lines: list[_Line], average: Floats, values: Floats) -> Floats:
    """What each term is made of, of values of the parameters; of the unit matrix these are the terms' contrasts.

    Args:
        encoding: How rows are encoded.
        lines: The terms.
        average: What the intercept is made of.
        values: Parameters × any number of columns.

    Returns:
        Terms × columns.
    """
    centred = values.copy()
    start = len(encoding.dense_terms)
    for feature in encoding.features:
        own = slice(start, start + len(feature.categories()))
        centred[own] -= average[own] @ values[own]
        start = own.stop
    found: Floats = centred[[line.place for line in lines]] * np.array([line.factor for line in lines])[:, None]
    found[-1] = average @ values
    return found


def _is_indicator(feature: FeatureEncoding, name: str) -> bool:
    """Whether a number of a row says that a value is missing."""
    return isinstance(feature, NumberEncoding) and name != feature.name


def _category(feature: FeatureEncoding, name: str) -> str:
    """The value in the name of a category: `carrier=UA`, `seen at: Monday`."""
    separator = ": " if isinstance(feature, MomentEncoding) else "="
    return name.removeprefix(feature.name + separator)


def _bucket(feature: FeatureEncoding, own: int, category: str) -> _Bucket:
    """What a category stands for, if it is no value.

    Args:
        feature: Whose category.
        own: Its place among the feature's categories: those of values come first, whatever they are called.
        category: Its name.
    """
    if isinstance(feature, CategoryEncoding) and own < len(feature.values):
        return ""
    return "other" if category == OTHER else "missing" if category == MISSING else ""


def _shares(function: LinearFunction, rows: ClusteredRows) -> tuple[Floats, Floats]:
    """The share of the weight where each number of a row says that a value is missing (0: it is no such number), and
    the share that each row of the table of categories has.
    """
    numbers = [(feature, name) for feature in function.encoding.features for name in feature.dense_terms()]
    indicators = [column for column, number in enumerate(numbers) if _is_indicator(*number)]
    missing, counts, total = np.zeros(len(numbers)), np.zeros(len(function.table)), 0.0
    for batch in rows.batches(clusters=False):
        dense, index = function.encoding.encode(batch.features, batch.rows)
        total += float(batch.weights.sum())
        for column in indicators:
            missing[column] += batch.weights @ dense[:, column]
        for position in index.T:
            counts += np.bincount(position, weights=batch.weights, minlength=len(counts))
    return (missing / total, counts / total) if total else (missing, counts)


def _intervals(
    function: LinearFunction, rows: ClusteredRows, lines: list[_Line], average: Floats
) -> tuple[Floats, float | None, tuple[str, ...]]:
    """Half the width of each term's interval (terms × outputs, NaN where there is none), the distance, and notices."""
    outputs = len(function.bias)
    none = np.full((len(lines), outputs), np.nan)
    if (count := len(lines) * outputs) > MOST_TERMS:
        return none, None, (f"The {count:,} coefficients have no intervals: there are more than {MOST_TERMS:,}.",)
    groups = Groups()
    found = moments(function, rows, groups)
    if len(groups) < FEWEST_CLUSTERS:
        return none, None, ("The coefficients have no intervals: there are too few clusters of rows in train.",)
    across = np.eye(outputs) - (1 / outputs if function.classes else 0.0)
    own = _combined(function.encoding, lines, average, np.eye(len(average)))
    contrasts = np.kron(across, own * function.scale)
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


def _leverages(function: LinearFunction, rows: ClusteredRows, groups: Groups, effects: Floats) -> Floats:
    """Another pass: `ℓ·H⁻¹·H_g·H⁻¹·ℓ`, groups × terms.

    Args:
        effects: Terms × parameters: `ℓ·H⁻¹`.
    """
    outputs, numbers = len(function.bias), len(function.kernel)
    found = np.zeros((MOST_GROUPS, len(effects)))
    # A share needs few digits: 32-bit numbers are half the work. Parameters × terms, for each output.
    by_output = [part.T.astype("float32") for part in effects.reshape(len(effects), outputs, -1).transpose(1, 0, 2)]
    for chunk in chunks(function, rows, groups, max(64, _CHUNK_VALUES // (len(effects) * outputs))):
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


def _squares(problem: Problem, chunk: Chunk, moved: list[Any]) -> Any:
    """`zᵀ·V·z` of each row and term, with V the second derivatives of the row's loss: rows × terms.

    Args:
        problem: Which loss.
        chunk: The rows.
        moved: Per output z, rows × terms.
    """
    if problem != "multiclass_classification":
        return moved[0] ** 2 * curvature(problem, chunk, 0, 0)[:, None].astype("float32")
    score = chunk.score.astype("float32")
    mean = sum(z * score[:, output, None] for output, z in enumerate(moved))
    square = sum(z**2 * score[:, output, None] for output, z in enumerate(moved))
    return (square - mean**2) * chunk.weight[:, None].astype("float32")


def _rounded(value: float) -> float:
    """To eight significant digits: a sum in another order differs in the last ones."""
    return float(f"{value:.8g}")
