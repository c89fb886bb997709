"""How often are two equal procedures called different? Prints the rates for data shaped like flights.

Each trial draws thirty days of rows. A day has an effect of its own on all its labels (weather), and each of two models
has an effect of its own on the day's scores and on how steep they are. Both models are drawn from one distribution, so
neither is better; a trial is a false alarm if the 95 % interval of their difference leaves out zero.

    .venvs/analysis/bin/python -m benchmarks.statistics_simulation --trials 2000
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np

from components._shared.gates import METRICS_OF, Metric
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import figures_of
from components._shared.task import Problem


@dataclass(frozen=True)
class Shape:
    """What the simulated data look like.

    Attributes:
        days, rows: How many days, and rows in a day on average (a quarter more or less).
        day: Standard deviation of a day's effect on the log-odds (regression: on the value).
        model: The same of a model's effect on a day's scores.
    """

    days: int = 30
    rows: int = 150
    day: float = 0.6
    model: float = 0.3


def false_alarms(problem: Problem, shape: Shape, trials: int, seed: int) -> dict[Metric, float]:
    """Metric → share of trials whose interval of the difference leaves out zero."""
    random = np.random.default_rng(seed)
    alarms: Counter[Metric] = Counter()
    for _ in range(trials):
        figures = figures_of(draw(problem, shape, random), problem, ())
        for metric, found in figures.metrics.items():
            assert found.difference is not None and found.difference.interval is not None
            low, high = found.difference.interval
            alarms[metric] += not low <= 0 <= high
    return {metric: alarms[metric] / trials for metric in METRICS_OF[problem]}


def draw(problem: Problem, shape: Shape, random: np.random.Generator) -> Rows:
    """Rows with the scores of two models of equal worth."""
    sizes = random.integers(int(shape.rows * 0.75), int(shape.rows * 1.25) + 1, shape.days)
    day = np.repeat(np.arange(shape.days), sizes)
    rows = len(day)
    mean = -1.3
    feature = random.normal(0, 0.7, rows)
    truth = random.normal(mean, shape.day, shape.days)[day] + feature
    binary = problem == "binary_classification"
    label = (random.random(rows) < _sigmoid(truth)).astype(float) if binary else truth + random.normal(0, 1, rows)

    def model() -> np.ndarray:
        steepness = 1 + random.normal(0, shape.model, shape.days)
        shift = random.normal(0, shape.model, shape.days)
        score = mean + feature * steepness[day] + shift[day] + random.normal(0, 0.3, rows)
        return _sigmoid(score) if binary else score

    return Rows(
        label=label,
        weight=np.ones(rows),
        cluster=day,
        clusters=shape.days,
        time=None,
        slices={},
        scores={"candidate": model(), "champion": model()},
    )


def _sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


def main() -> None:
    """Prints a table of false alarms in percent."""
    parser = argparse.ArgumentParser(description="How often two equal procedures are called different, in percent.")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    shapes = {
        "30 days, strong effects of days": Shape(),
        "30 days, the models differ little by day": Shape(model=0.1, day=0.8),
        "30 days, the models differ much by day": Shape(model=0.6),
        "10 days": Shape(days=10),
        "90 days": Shape(days=90, rows=60),
    }
    error = 100 * (0.05 * 0.95 / arguments.trials) ** 0.5
    print(f"{arguments.trials} trials each; 5 % is meant, and {error:.1f} is the standard error of such a figure\n")
    for title, shape in shapes.items():
        for problem in ("binary_classification", "regression"):
            rates = false_alarms(problem, shape, arguments.trials, arguments.seed)  # type: ignore[arg-type]
            print(f"{title:42}", "  ".join(f"{metric} {100 * rate:.1f}" for metric, rate in rates.items()), flush=True)


if __name__ == "__main__":
    main()
