"""Shares that are near 0 or exactly 0, with intervals that hold for clustered rows."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from components.behave.rates import clopper_pearson, share_of


@pytest.mark.parametrize(
    ("count", "rows", "interval"),
    [
        # By SciPy 1.15: beta.ppf(0.025, x, n - x + 1), beta.ppf(0.975, x + 1, n - x).
        (0, 100, (0.0, 0.03621669264517641)),
        (3, 100, (0.006229971538306395, 0.08517605297428002)),
        (0.5, 20, (2.4246478459242733e-05, 0.2108186362492652)),
        (100, 100, (1 - 0.03621669264517641, 1.0)),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(count: float, rows: float, interval: tuple[float, float]) -> None:
    assert clopper_pearson(count, rows) == pytest.approx(interval, rel=1e-9)


def rows_of(share: float, together: float, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves of rows that share a part with their cluster, broken above a limit."""
    random = np.random.default_rng(seed)
    cluster = random.integers(0, clusters, 2000)
    common = random.normal(size=clusters)[cluster]
    move = np.sqrt(together) * common + np.sqrt(1 - together) * random.normal(size=2000)
    limit = NormalDist().inv_cdf(1 - share)
    return (move > limit).astype(float), np.maximum(move, 0), cluster


def test_none_broken_is_not_none_ever() -> None:
    broken, moved, cluster = rows_of(1e-9, 0.0, 30, 1)
    found = share_of(broken, moved, cluster)

    assert found is not None and found.value == 0 and found.interval is not None
    assert found.interval[0] == 0
    # The rule of three (of 3.7, for two sides) over 2,000 rows, and a little for having 30 clusters.
    assert 3.6 / 2000 < found.interval[1] < 3 * 3.7 / 2000


def test_rows_that_move_together_count_for_less() -> None:
    apart, together = (share_of(*rows_of(1e-9, common, 30, 1)) for common in (0.0, 0.2))

    assert apart is not None and together is not None and apart.interval is not None and together.interval is not None
    assert together.interval[1] > 4 * apart.interval[1]


def test_few_clusters_count_as_few_rows() -> None:
    found = share_of(np.zeros(1000), np.zeros(1000), np.arange(1000) % 3)

    assert found is not None and found.interval == pytest.approx(clopper_pearson(0, 3))


def test_without_rows_there_is_no_share() -> None:
    assert share_of(np.empty(0), np.empty(0), np.empty(0, np.int64)) is None


@pytest.mark.parametrize(("share", "together"), [(0.002, 0.0), (0.01, 0.05), (0.05, 0.2)])
def test_nineteen_of_twenty_intervals_hold_the_true_share(share: float, together: float) -> None:
    held = 0
    for seed in range(100):
        found = share_of(*rows_of(share, together, 30, seed))
        assert found is not None and found.interval is not None
        held += found.interval[0] <= share <= found.interval[1]

    assert held >= 91
