"""Permutation importance: how much the loss grows when a feature's values are shuffled among the rows.

Breiman, Random forests, Machine Learning 45 (2001); for any model: Fisher, Rudin and Dominici, All models are wrong,
but many are useful, JMLR 20 (2019). A feature's values are shuffled among *all* rows that are asked, so its relation to
every other feature is broken as well as that to the label: rows appear that may not exist. Features that tell the same
share their importance.

The figure is a mean over pairs of rows, one that is predicted and one that gives its value. So both halves go into the
interval: a row's influence is the growth of its own loss, and that of the row which got its value. Where a whole day
has one value of the feature, it is the second half that tells how few days there are.

A row of weight w stands for w rows, whether it is predicted or gives its value: the mean is over two rows drawn apart
(Fisher, Rudin and Dominici, section 3), so a pair weighs the product of its rows' weights.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components._shared.evidence import Estimate
from components._shared.explanation import FeatureImportance, SliceImportance
from components._shared.measuring.intervals import FEWEST_CLUSTERS, cluster_sums, half_widths
from components._shared.measuring.metrics import Floats, Integers
from components._shared.task import FeatureKind, Problem
from components.explain.asking import Asked, AskedRows, row_losses, take

MOST_SLICES = 10
"""Slices of a column, the largest."""

FEWEST_SLICE_ROWS = 100
SHUFFLED_ROWS = 60_000
FEWEST_REPEATS, MOST_REPEATS = 3, 30

_SEED = 20010101


@dataclass(frozen=True)
class Shuffled:
    """What shuffling did to the loss of a feature.

    Attributes:
        importance: Mean growth of the loss.
        sums: Influences by cluster, one column.
    """

    importance: Estimate
    sums: Floats
    slices: tuple[SliceImportance, ...] = ()


@dataclass(frozen=True)
class _Slice:
    column: str
    value: str
    member: np.ndarray[tuple[int], np.dtype[np.bool_]]


def repeats_for(rows: int) -> int:
    """How often each feature is shuffled: more where rows are few and chance weighs more."""
    return min(MOST_REPEATS, max(FEWEST_REPEATS, SHUFFLED_ROWS // max(rows, 1)))


def base_loss(problem: Problem, model: Asked, rows: AskedRows) -> tuple[Floats, Estimate]:
    """The loss of each row as it is, and the mean."""
    losses = row_losses(problem, rows.label, model.scores())
    everywhere = np.ones((len(rows), 1), bool)
    values, influences = _means([losses], [None], everywhere, rows)
    return losses, _estimates(values, influences, everywhere, rows)[0]


def shuffled_losses(
    problem: Problem, model: Asked, rows: AskedRows, base: Floats, feature: str, repeats: int, *, sliced: bool
) -> Shuffled:
    """Shuffles one feature.

    Args:
        problem: Which loss.
        model: Who is asked.
        rows: The rows.
        base: Each row's loss as it is.
        feature: Whose values are shuffled; the same way for every model.
        repeats: How often.
        sliced: Whether slices are wanted too.
    """
    growths: list[Floats] = []
    orders: list[Integers | None] = []
    for repeat in range(repeats):
        order = np.random.default_rng([_SEED, zlib.crc32(feature.encode()), repeat]).permutation(len(rows))
        scores = model.scores({feature: take(model.values[feature], order)})
        growths.append(row_losses(problem, rows.label, scores) - base)
        orders.append(order)
    slices = _slices(rows) if sliced else []
    members = np.stack([np.ones(len(rows), bool), *(one.member for one in slices)], axis=1)
    values, influences = _means(growths, orders, members, rows)
    estimates = _estimates(values, influences, members, rows)
    return Shuffled(
        importance=estimates[0],
        sums=cluster_sums([influences[:, 0]], rows.cluster, rows.clusters),
        slices=tuple(
            SliceImportance(column=one.column, value=one.value, rows=int(one.member.sum()), importance=estimate)
            for one, estimate in zip(slices, estimates[1:], strict=True)
        ),
    )


def shares(found: dict[str, Shuffled], rows: AskedRows) -> dict[str, Estimate]:
    """Each feature's share of the sum of all importances above zero.

    An interval comes from how the share moves where it is now (the delta method), and may lie above zero where that of
    the importance holds zero. But the share of what may be nothing may be nothing: there the interval begins at zero.
    Where the sum itself may be nothing, by its own interval, there are none.
    """
    importance = {name: one.importance.value for name, one in found.items()}
    total = sum(value for value in importance.values() if value > 0)
    if not total:
        return dict.fromkeys(found, Estimate(value=0.0))
    moved = np.sum([one.sums for name, one in found.items() if importance[name] > 0], axis=0)
    sums = [(one.sums - importance[name] / total * moved) / total for name, one in found.items()]
    weight = cluster_sums([rows.weight / rows.weight.sum()], rows.cluster, rows.clusters)
    *widths, whole = half_widths(np.concatenate([*sums, moved], axis=1), weight).tolist()
    estimates = {}
    for (name, one), width in zip(found.items(), widths, strict=True):
        share = _estimate(importance[name] / total, width if whole < total else np.nan, low=0.0, high=1.0)
        if share.interval is not None and not surely_matters(one.importance):
            share = Estimate(value=share.value, interval=(0.0, share.interval[1]))
        estimates[name] = share
    return estimates


def surely_matters(importance: Estimate) -> bool | None:
    """Whether the interval lies above zero; none: there is no interval."""
    return None if importance.interval is None else importance.interval[0] > 0


def importance_table(
    found: dict[str, Shuffled],
    share: dict[str, Estimate],
    kinds: Mapping[str, FeatureKind],
    champion: dict[str, Shuffled],
    native: dict[str, dict[str, float]],
) -> tuple[FeatureImportance, ...]:
    """One line for each feature, the most important first."""
    ranked = sorted(found, key=lambda name: (-found[name].importance.value, name))
    return tuple(
        FeatureImportance(
            feature=name,
            kind=kinds[name],
            importance=found[name].importance,
            share=share[name].value,
            share_interval=share[name].interval,
            champion=champion[name].importance if name in champion else None,
            slices=found[name].slices,
            native=native.get(name, {}),
        )
        for name in ranked
    )


def _slices(rows: AskedRows) -> list[_Slice]:
    """The largest slices of each column, the largest first."""
    found = []
    for name, column in rows.slices.items():
        counts = np.bincount(column.code, minlength=len(column.values))
        for code in np.argsort(-counts, kind="stable")[:MOST_SLICES].tolist():
            if counts[code] >= FEWEST_SLICE_ROWS:
                found.append(_Slice(name, column.values[code], column.code == code))
    return found


def _means(
    growths: list[Floats], orders: list[Integers | None], members: Floats, rows: AskedRows
) -> tuple[Floats, Floats]:
    """The weighted mean of each set of rows, and each row's influence on it.

    Args:
        growths: Per repeat, one figure per row.
        orders: Per repeat, which row gave its value to each row; None: no row did.
        members: Rows × sets; which rows are predicted, whoever gives their values.

    Returns:
        Per set; rows × sets.
    """
    weight = rows.weight / rows.weight.max()
    pairs = [weight if order is None else weight * weight[order] for order in orders]
    total = np.sum(pairs, axis=0) @ members
    values: Floats = np.sum([pair * growth for pair, growth in zip(pairs, growths, strict=True)], axis=0) @ members
    values = values / total
    influences = np.zeros(members.shape)
    for growth, order, pair in zip(growths, orders, pairs, strict=True):
        own = members * pair[:, None] * (growth[:, None] - values) / total
        influences += own
        if order is not None:
            influences[order] += own
    return values, influences


def _estimates(values: Floats, influences: Floats, members: Floats, rows: AskedRows) -> list[Estimate]:
    weight = members * rows.weight[:, None]
    weight = weight / weight.sum(axis=0)
    columns = range(members.shape[1])
    sums = cluster_sums([influences[:, each] for each in columns], rows.cluster, rows.clusters)
    share = cluster_sums([weight[:, each] for each in columns], rows.cluster, rows.clusters)
    widths = half_widths(sums, share)
    enough = (share > 0).sum(axis=0) >= FEWEST_CLUSTERS
    return [
        _estimate(value, width if sure else np.nan)
        for value, width, sure in zip(values.tolist(), widths.tolist(), enough.tolist(), strict=True)
    ]


def _estimate(value: float, width: float, *, low: float = -np.inf, high: float = np.inf) -> Estimate:
    def within(figure: float) -> float:
        return rounded(min(high, max(low, figure)))

    interval = (within(value - width), within(value + width)) if np.isfinite(width) else None
    return Estimate(value=within(value), interval=interval)


def rounded(value: float) -> float:
    """The value to six significant digits: scores are 32-bit floats, whose last digits differ between processors."""
    return float(f"{value:.6g}")
