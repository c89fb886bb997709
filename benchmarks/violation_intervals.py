"""How often the interval of `behave` holds the true share of rows that break an expectation, on rows clustered by day.

    python benchmarks/violation_intervals.py [TRIALS]

2,000 rows lie in days of unequal size. How far a score moves has a part that the rows of a day share; a row breaks the
expectation where it moves beyond a limit. Beside it: the interval of Clopper and Pearson for independent rows. The last
lines are what no interval can know: days that break the expectation as a whole, and moves that say nothing of it.
Needs numpy alone: any environment of the locks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from components.behave.rates import clopper_pearson, share_of

ROWS = 2000
DAYS = (10, 30, 90)
TOGETHER = (0.0, 0.05, 0.2)
SHARES = (0.0005, 0.002, 0.01, 0.05, 0.2)


def main(trials: int) -> None:
    """Prints a line for each number of days, share of the moves that a day has in common, and true share."""
    print("days  together  share    holds it  upper end, mean  as if independent")
    for days in DAYS:
        for together in TOGETHER:
            for share in SHARES:
                _line(days, f"{together:.2f}", share, [_trial(days, together, share, trial) for trial in range(trials)])
    for days in DAYS:
        _line(days, "whole", 0.02, [_whole_days(days, 0.02, trial) for trial in range(trials)])


def _line(days: int, together: str, share: float, found: list[tuple[bool, float, bool]]) -> None:
    ours, upper, naive = (np.mean([each[place] for each in found]) for place in range(3))
    print(f"{days:4}  {together:>8}  {share:6.2%}  {ours:8.1%}  {upper:15.2%}  {naive:17.1%}", flush=True)


def _trial(days: int, together: float, share: float, seed: int) -> tuple[bool, float, bool]:
    random = np.random.default_rng([days, round(1000 * together), round(1e6 * share), seed])
    day = random.choice(days, ROWS, p=random.dirichlet(np.full(days, 20.0)))
    common = random.normal(size=days)[day]
    move = np.sqrt(together) * common + np.sqrt(1 - together) * random.normal(size=ROWS)
    return _held(move > NormalDist().inv_cdf(1 - share), np.maximum(move, 0), day, share)


def _whole_days(days: int, share: float, seed: int) -> tuple[bool, float, bool]:
    random = np.random.default_rng([days, seed])
    day = random.choice(days, ROWS)
    return _held((random.random(days) < share)[day], np.abs(random.normal(size=ROWS)), day, share)


def _held(broken: np.ndarray, moved: np.ndarray, day: np.ndarray, share: float) -> tuple[bool, float, bool]:
    found = share_of(broken.astype(float), moved, day.astype(np.int64))
    assert found is not None and found.interval is not None
    low, high = found.interval
    naive = clopper_pearson(float(broken.sum()), ROWS)
    return low <= share <= high, high, naive[0] <= share <= naive[1]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
