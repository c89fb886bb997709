"""Distributions of columns, read off TFDV statistics, and how far two of them lie apart.

Population stability index, over bins `i` with shares `a_i` now and `e_i` before (N. Siddiqi, *Credit Risk Scorecards*,
2006)::

    PSI = Σ (a_i − e_i) · ln(a_i / e_i),   shares floored at 0.0001

Bins of numbers are the tenths of the earlier distribution, each edge once; a category is a bin if it has a share of 1 %
on either side, the others are one bin together; missing values are a bin of their own. Were both sets of rows drawn
from the same distribution, PSI would be about χ² with `bins − 1` degrees of freedom times `1/n + 1/m` (B. Yurdakul and
J. Naranjo, *Statistical properties of the population stability index*, 2020): what lies within its 99.9 % quantile may
be chance.

Kolmogorov-Smirnov distance: the largest difference between the two cumulative distributions of numbers, over the
quantiles that the statistics hold. For categories half the sum of absolute differences between the shares. Both over
the values that are there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components._shared.evidence import FeatureDrift
from components.validate.quantiles import NAME

if TYPE_CHECKING:
    import numpy as np

FLOOR = 1e-4
CATEGORY_SHARE = 0.01
TENTHS = 10

_CHI_SQUARE_NORMAL_QUANTILE = 3.0902  # of 99.9 %


@dataclass(frozen=True)
class Distribution:
    """The values of one column.

    Attributes:
        rows: Rows, with and without a value.
        missing: Share of rows without a value.
        distinct: Of categories.
        bounds, cumulative: Numbers: what share of the values lies at or below each bound.
        histogram: Numbers: (low, high, share) of bins of equal width.
        categories: Value → share of the values, the most frequent first, ten thousand at most.
    """

    name: str
    rows: int
    missing: float
    numeric: bool
    distinct: int | None = None
    mean: float | None = None
    std: float | None = None
    min: float | None = None
    median: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    cumulative: tuple[float, ...] = ()
    histogram: tuple[tuple[float, float, float], ...] = ()
    categories: Mapping[str, float] = field(default_factory=dict)

    @property
    def values(self) -> int:
        """How many rows have a value."""
        return round(self.rows * (1 - self.missing))


def distributions(statistics: Any) -> dict[str, Distribution]:
    """Column → distribution, of the first dataset of a `DatasetFeatureStatisticsList`."""
    if not statistics.datasets:
        return {}
    dataset = statistics.datasets[0]
    return {
        found.name: found for found in (_distribution(feature, dataset.num_examples) for feature in dataset.features)
    }


def _distribution(feature: Any, rows: int) -> Distribution:
    name = feature.path.step[0] if feature.path.step else feature.name
    text = feature.HasField("string_stats")
    found = feature.string_stats if text else feature.num_stats
    present = found.common_stats.num_non_missing
    missing = 1 - present / rows if rows else 0.0
    if not present:
        return Distribution(name=name, rows=rows, missing=missing, numeric=not text)
    if text:
        return Distribution(
            name=name,
            rows=rows,
            missing=missing,
            numeric=False,
            distinct=found.unique,
            categories={b.label: b.sample_count / present for b in found.rank_histogram.buckets},
        )
    own = [stat.histogram.buckets for stat in feature.custom_stats if stat.name == NAME]
    bounds, cumulative = _cumulative(own[0] if own else _buckets(found, "QUANTILES"))
    return Distribution(
        name=name,
        rows=rows,
        missing=missing,
        numeric=True,
        mean=found.mean,
        std=found.std_dev,
        min=found.min,
        median=found.median,
        max=found.max,
        bounds=bounds,
        cumulative=cumulative,
        histogram=tuple((b.low_value, b.high_value, b.sample_count / present) for b in _buckets(found, "STANDARD")),
    )


def _buckets(numbers: Any, histogram_type: str) -> Any:
    wanted = next((h for h in numbers.histograms if h.HistogramType.Name(h.type) == histogram_type), None)
    return wanted.buckets if wanted is not None else ()


def _cumulative(buckets: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    total = sum(bucket.sample_count for bucket in buckets)
    upto: dict[float, float] = {}
    below = 0.0
    for bucket in buckets:
        below += bucket.sample_count
        upto[bucket.high_value] = min(1.0, below / total)
    return tuple(upto), tuple(upto.values())


def drift(now: Distribution, before: Distribution) -> FeatureDrift:
    """How the values moved."""
    shares_now, shares_before = binned(now, before)
    psi = sum(
        (a - e) * math.log(a / e)
        for a, e in zip((max(s, FLOOR) for s in shares_now), (max(s, FLOOR) for s in shares_before), strict=True)
    )
    return FeatureDrift(psi=max(0.0, psi), ks=_ks(now, before))


def chance_psi(now: Distribution, before: Distribution) -> float:
    """What PSI stays below in 99.9 % of cases if nothing moved (χ² by the Wilson-Hilferty approximation)."""
    freedom = max(1, len(binned(now, before)[0]) - 1)
    spread = 2 / (9 * freedom)
    chi_square = freedom * (1 - spread + _CHI_SQUARE_NORMAL_QUANTILE * math.sqrt(spread)) ** 3
    return chi_square * (1 / max(1, now.rows) + 1 / max(1, before.rows))


def binned(now: Distribution, before: Distribution) -> tuple[list[float], list[float]]:
    """The shares of rows in the bins of PSI, now and before; the last bin is the missing values."""
    if now.numeric and before.numeric:
        edges = _edges(before) if before.values else _edges(now)
        shares = [_shares_between(side, edges) for side in (now, before)]
    else:
        large = sorted(
            name
            for name in {*now.categories, *before.categories}
            if max(now.categories.get(name, 0.0), before.categories.get(name, 0.0)) >= CATEGORY_SHARE
        )
        shares = [
            [*(side.categories.get(name, 0.0) for name in large), _rest(side, large)]
            if side.values
            else [0.0] * (len(large) + 1)
            for side in (now, before)
        ]
    return (
        [*(share * (1 - now.missing) for share in shares[0]), now.missing],
        [*(share * (1 - before.missing) for share in shares[1]), before.missing],
    )


def _rest(side: Distribution, named: list[str]) -> float:
    return max(0.0, 1 - sum(side.categories.get(name, 0.0) for name in named))


def _edges(side: Distribution) -> list[float]:
    import numpy as np

    if not side.bounds:
        return []
    wanted = np.arange(1, TENTHS) / TENTHS
    first = np.searchsorted(np.asarray(side.cumulative), wanted - 1e-9)
    return sorted({side.bounds[i] for i in np.minimum(first, len(side.bounds) - 1).tolist()})


def _shares_between(side: Distribution, edges: list[float]) -> list[float]:
    """Shares of the values at or below the first edge, between edges (the upper one included), and above the last."""
    import numpy as np

    if not side.bounds:
        return [0.0] * (len(edges) + 1)
    return [float(share) for share in np.diff([0.0, *_share_at_or_below(side, np.asarray(edges, dtype=float)), 1.0])]


def _share_at_or_below(side: Distribution, at: np.ndarray) -> np.ndarray:
    import numpy as np

    bounds, cumulative = np.asarray(side.bounds), np.asarray(side.cumulative)
    above = np.searchsorted(bounds, at, side="right")
    low, high = np.clip(above - 1, 0, None), np.clip(above, None, len(bounds) - 1)
    with np.errstate(all="ignore"):
        part = np.nan_to_num((at - bounds[low]) / (bounds[high] - bounds[low]), nan=1.0, posinf=1.0, neginf=0.0)
    between = cumulative[low] + part * (cumulative[high] - cumulative[low])
    return np.where(above == 0, 0.0, np.where(above == len(bounds), 1.0, between))


def _ks(now: Distribution, before: Distribution) -> float:
    if not now.values or not before.values:
        return 0.0 if now.values == before.values else 1.0
    if now.numeric and before.numeric:
        import numpy as np

        at = np.unique([*now.bounds, *before.bounds])
        return float(np.max(np.abs(_share_at_or_below(now, at) - _share_at_or_below(before, at))))
    names = sorted({*now.categories, *before.categories})
    apart = sum(abs(now.categories.get(name, 0.0) - before.categories.get(name, 0.0)) for name in names)
    return min(1.0, (apart + abs(_rest(now, names) - _rest(before, names))) / 2)
