"""How often are two equal procedures called different? Prints the rates for data shaped like flights.

Each trial draws thirty days of rows. A day has an effect of its own on all its labels (weather), and each of two models
has an effect of its own on the day's scores and on how steep they are. Both models are drawn from one distribution, so
neither is better; a trial is a false alarm if the 95 % interval of their difference leaves out zero.

Then, how often luck passes at the levels of single looks where a class is rare, or days are of very different size: by
our rule, and by the days that there are.

    .venvs/analysis/bin/python -m benchmarks.statistics_simulation --trials 2000
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from components._shared.evidence import Estimate
from components._shared.gates import METRICS_OF, Metric
from components._shared.measuring.evidence_of_gain import chance_of_luck, level_of_a_look
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.intervals import (
    FEWEST_CLUSTERS,
    cluster_sums,
    effective_clusters,
    shares_of,
    skewness,
    standard_errors,
)
from components._shared.measuring.metrics import Floats, measure
from components._shared.task import Problem

LEVELS = tuple(level_of_a_look(0.05, looks) for looks in (4, 15, 93))


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


def rare_class(
    random: np.random.Generator, *, positives: int, days: int = 30, rows: int = 20, noise: float = 0.6
) -> Rows:
    """Rows of which a few are positive, on days by chance, with the scores of two models of equal worth.

    Args:
        random: Where they come from.
        positives: How many, in all.
        days, rows: How many days, and rows in each.
        noise: Standard deviation of a model's own error in a row's log-odds.
    """
    count = days * rows
    feature = random.normal(size=count)
    label = np.zeros(count)
    label[random.choice(count, positives, replace=False, p=np.exp(feature) / np.exp(feature).sum())] = 1

    def model() -> np.ndarray:
        return _sigmoid(feature - 4 + random.normal(0, noise, count))

    return Rows(
        label=label,
        weight=np.ones(count),
        cluster=np.repeat(np.arange(days), rows),
        clusters=days,
        time=None,
        slices={},
        scores={"candidate": model(), "champion": model()},
    )


@dataclass
class Luck:
    """How often a difference that is none passed, at each of `LEVELS`.

    Attributes:
        ours: By our rule.
        by_day: By the share of all rows that a day has, and as many degrees of freedom as there are days, less one.
        judged: Trials that have an interval.
        trials: All.
    """

    ours: Floats
    by_day: Floats
    judged: int = 0
    trials: int = 0

    @classmethod
    def none(cls) -> Luck:
        """Before the first trial."""
        return cls(np.zeros(len(LEVELS)), np.zeros(len(LEVELS)))

    def add(self, value: float, sums: Floats, rows: Floats, shares: Floats) -> None:
        """Notes a trial.

        Args:
            value: The difference.
            sums: Its influences by day: days × 1.
            rows: Each day's share of all rows: days × 1.
            shares: Each day's share of every average that the difference is made of: days × averages.
        """
        days, rests_on = len(sums), int(effective_clusters(shares).min())
        ours, by_day = (
            Estimate(value=value, error=float(standard_errors(sums, each)[0]), skewness=float(skewness(sums, each)[0]))
            for each in (shares.max(axis=1, keepdims=True), rows)
        )
        ours = ours.model_copy(update={"clusters": rests_on})
        if rests_on < FEWEST_CLUSTERS:
            ours = Estimate(value=value)
        self.trials += 1
        self.judged += ours.error is not None
        for found, estimate in ((self.ours, ours), (self.by_day, by_day)):
            chance = chance_of_luck(estimate, days)
            found += [chance is not None and chance <= level for level in LEVELS]


def luck_with_a_rare_class(positives: int, trials: int, seed: int) -> Luck:
    """Of two models' difference in AUC, thirty days."""
    random, result = np.random.default_rng([seed, positives]), Luck.none()
    for _ in range(trials):
        rows = rare_class(random, positives=positives)
        ours, theirs = (
            measure("binary_classification", rows.label, rows.scores[name], rows.weight)["auc"]
            for name in ("candidate", "champion")
        )
        sums = cluster_sums([ours.influence - theirs.influence], rows.cluster, rows.clusters)
        whole, shares = (
            shares_of(averages, rows.weight, rows.cluster, rows.clusters) for averages in ((), ours.averages)
        )
        result.add(ours.value - theirs.value, sums, whole, shares)
    return result


def luck_with_unequal_days(sizes: Callable[[np.random.Generator], Floats], trials: int, seed: int) -> Luck:
    """Of a mean over days, each of which has a mean of its own, and none a spread within it."""
    random, result = np.random.default_rng(seed), Luck.none()
    for _ in range(trials):
        share = sizes(random)[:, None]
        share = share / share.sum()
        day = random.normal(size=share.shape)
        mean = float((share * day).sum())
        result.add(mean, share * (day - mean), share, share)
    return result


SIZES: dict[str, Callable[[np.random.Generator], Floats]] = {
    "30 days, a quarter more or less": lambda random: random.uniform(0.75, 1.25, 30),
    "30 days, sizes lognormal (1)": lambda random: random.lognormal(0, 1, 30),
    "30 days of 1, 1/2, 1/3 …": lambda random: 1 / np.arange(1, 31),
    "30 days, sizes lognormal (2)": lambda random: random.lognormal(0, 2, 30),
    "100 days, sizes lognormal (1)": lambda random: random.lognormal(0, 1, 100),
}


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

    levels = "  ".join(f"1 of {1 / level:,.0f}" for level in LEVELS)
    print(f"\nluck that passes, as a multiple of what is allowed, {4 * arguments.trials} trials each: {levels}\n")
    for positives in (3, 5, 8, 15, 40):
        _printed(
            f"AUC, {positives} positives on 30 days",
            luck_with_a_rare_class(positives, 4 * arguments.trials, arguments.seed),
        )
    for title, sizes in SIZES.items():
        _printed(title, luck_with_unequal_days(sizes, 4 * arguments.trials, arguments.seed))


def _printed(title: str, luck: Luck) -> None:
    ours, by_day = (
        "  ".join(f"{share / luck.trials / level:5.1f}" for share, level in zip(found, LEVELS, strict=True))
        for found in (luck.ours, luck.by_day)
    )
    judged = 100 * luck.judged / luck.trials
    print(f"{title:42} {ours}   (by the days that there are: {by_day}; {judged:.0f} % are judged)", flush=True)


if __name__ == "__main__":
    main()
