"""How often are quarters of runs mistaken? Prints false promotions and real gains found, for data shaped like flights.

A quarter is 91 nights. Each night a new candidate is judged beside the champion on the last thirty days of rows, by the
code of `evaluate`: its figures and its gate `improve: evidence`. Neighbouring nights share 29 of 30 days, and most of
the candidate's errors. Days have effects of their own on all labels (weather, which lasts: the correlation from day to
day, 0.43, and the spread are those of flights) on top of a slow drift of the rate, and every model has a response of
its own to a day, stronger on wild days.

* *equal*: champion and candidates come from one procedure. A quarter is mistaken if any candidate is promoted.
* *better*: the candidates' scores are less noisy than the champion's. A quarter is a find if one is promoted.

Beside our rule (each night has its share of the quarter's false alarms) three others are tried on the same rows: each
night alone; fresh blocks, which judge every thirtieth night only; and a sequence of intervals that is valid at any time
(Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform central limit theory and asymptotic confidence sequences,
2024), over the newest day of each night.

    .venvs/analysis/bin/python -m benchmarks.promotion_simulation --quarters 1000
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components._shared.evidence import Estimate, Evaluation
from components._shared.gates import HIGHER_IS_BETTER, GateChoice, Metric, resolve_gates
from components._shared.looks import PLANNED
from components._shared.measuring.evidence_of_gain import chance_of_luck, level_of_a_look
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.intervals import cluster_sums, standard_errors
from components._shared.measuring.metrics import measure
from components._shared.task import EvaluationSection
from components._shared.windows import Cadence
from components.evaluate.gate_checks import judge
from components.evaluate.notes import Notes

Floats = npt.NDArray[np.float64]

NIGHTS = 91
TEST_DAYS = 30
FALSE_ALARMS = 0.05
METRICS: tuple[Metric, ...] = ("auc", "log_loss")
MODELS = ("candidate", "champion")
RULES = ("ours", "each night alone", "fresh blocks", "valid at any time")
_NO_RULE_BELOW = 1.4
"""Standard errors: at a chance of 0.05, thirty days ask for 1.7."""


@dataclass(frozen=True)
class Shape:
    """What the simulated data look like; spreads are standard deviations on the log-odds.

    Attributes:
        rows: In a day, on average (a quarter more or less).
        day, lasting: Spread of a day's effect on the labels, and its correlation with that of the day before.
        drift: Spread of a day's step of the slow drift.
        response: Spread of a model's own response to a day: a shift of its scores, and how steep they are.
        noise: Spread of a candidate's error on a row.
        kinship: Correlation of a candidate's errors with those of the night before.
        extra: Spread of the champion's error on top of that; 0: it is equal.
    """

    rows: int = 150
    day: float = 0.7
    lasting: float = 0.43
    drift: float = 0.02
    response: float = 0.1
    noise: float = 0.3
    kinship: float = 0.8
    extra: float = 0.0


@dataclass(frozen=True)
class Quarter:
    """What one simulated quarter came to.

    Attributes:
        promoted: Rule and metric → the first night, counted from 1, on which a candidate was promoted.
        gain: Metric → mean difference of candidate and champion over the nights.
    """

    promoted: dict[tuple[str, Metric], int]
    gain: dict[Metric, float]


def section(metric: Metric) -> EvaluationSection:
    """The preset's gates with a primary metric."""
    champion = {"primary": metric, "false_alarms": FALSE_ALARMS, "tolerance": {}, "reference": {}}
    gates = resolve_gates(GateChoice(metric={"beats_base_rate": ()}, champion=champion), "binary_classification")
    return EvaluationSection(
        problem="binary_classification",
        classes=None,
        slices=(),
        metric=gates.metric,
        champion=gates.champion,
        behaviour=gates.behaviour,
        embargo="1d",
        timezone="UTC",
        has_time=True,
    )


SECTIONS = {metric: section(metric) for metric in METRICS}


def evaluation_of(rows: Rows) -> Evaluation:
    """The evidence of one night, as `evaluate` makes it."""
    return Evaluation(
        engine="vectorised",
        problem="binary_classification",
        rows=len(rows),
        clusters=rows.clusters,
        champion="champion",
        overall=figures_of(rows, "binary_classification", ()),
    )


def promotes(evaluation: Evaluation, metric: Metric, looks: int) -> bool:
    """Whether the gates let the candidate pass."""
    found = evaluation.model_copy(update={"looks": looks})
    return judge(found, SECTIONS[metric], Notes(broken={})).outcome == "passed"


def nights(shape: Shape, random: np.random.Generator, every: int = 1) -> Iterator[tuple[int, Rows]]:
    """The rows that judge each night's candidate.

    Args:
        shape: Of the data.
        random: Where they come from.
        every: Only each so many nights; the others' candidates are made, and not judged.

    Yields:
        The night, from 1, and its rows: of its last thirty days.
    """
    days = TEST_DAYS + NIGHTS - 1
    sizes = random.integers(int(shape.rows * 0.75), int(shape.rows * 1.25) + 1, days)
    day = np.repeat(np.arange(days), sizes)
    first = np.concatenate(([0], np.cumsum(sizes)))
    effect = _lasting(random, days, shape.lasting) * shape.day + np.cumsum(random.normal(0, shape.drift, days))
    wild = np.exp(0.5 * np.abs(effect) / max(shape.day, 1e-9)) / 1.6
    feature = random.normal(0, 0.7, len(day))
    label = (random.random(len(day)) < _sigmoid(-1.3 + effect[day] + feature)).astype(float)

    def scores(row: Floats, shift: Floats, steep: Floats, noise: float, of: slice) -> Floats:
        response = shape.response * wild[day[of]]
        logit = -1.3 + feature[of] * (1 + response * steep[day[of]]) + response * shift[day[of]] + noise * row[of]
        return _sigmoid(logit)

    whole = slice(0, len(day))
    champion = scores(*_errors(random, len(day), days), math.hypot(shape.noise, shape.extra), whole)
    row, shift, steep = _errors(random, len(day), days)
    for night in range(1, NIGHTS + 1):
        # Only what lies in the window has to change: a day that enters it has never been seen.
        part = slice(first[night - 1], first[night - 1 + TEST_DAYS])
        row[part] = _changed(random, row[part], shape.kinship)
        shift, steep = _changed(random, shift, shape.kinship), _changed(random, steep, shape.kinship)
        if night % every:
            continue
        yield (
            night,
            Rows(
                label=label[part],
                weight=np.ones(len(label[part])),
                cluster=day[part] - (night - 1),
                clusters=TEST_DAYS,
                time=None,
                slices={},
                scores={"candidate": scores(row, shift, steep, shape.noise, part), "champion": champion[part]},
            ),
        )


def quarter(
    shape: Shape, random: np.random.Generator, *, cadence: Cadence = "daily", rules: bool = False, every: int = 1
) -> Quarter:
    """Runs one quarter.

    Args:
        shape: Of the data.
        random: Where they come from.
        cadence: daily, or monthly: every thirtieth night.
        rules: Try the other rules too; else the quarter ends when all metrics have promoted.
        every: Judge only each so many nights, as if all were judged: quicker, and nearly the same.
    """
    looks = PLANNED[cadence] + 1
    promoted: dict[tuple[str, Metric], int] = {}
    gains: dict[Metric, list[float]] = {metric: [] for metric in METRICS}
    newest: dict[Metric, list[float]] = {metric: [] for metric in METRICS}
    for night, rows in nights(shape, random, TEST_DAYS if cadence == "monthly" else every):
        seen = _seen_at_a_glance(rows)
        # What no rule can promote need not be judged; the gate has the last word on all the rest.
        evaluation = evaluation_of(rows) if max(t for _, t in seen.values()) > _NO_RULE_BELOW else None
        for metric in METRICS:
            gains[metric].append(seen[metric][0])
            decided = {"ours": evaluation is not None and promotes(evaluation, metric, looks)}
            if rules:
                newest[metric].append(_seen_at_a_glance(rows.take(rows.cluster == TEST_DAYS - 1))[metric][0])
                decided["each night alone"] = evaluation is not None and promotes(evaluation, metric, 1)
                decided["fresh blocks"] = decided["each night alone"] and (
                    evaluation is not None and night % TEST_DAYS == 0 and promotes(evaluation, metric, 3)
                )
                decided["valid at any time"] = _beyond_doubt_at_any_time(newest[metric])
            for rule, yes in decided.items():
                if yes:
                    promoted.setdefault((rule, metric), night)
        if not rules and all(("ours", metric) in promoted for metric in METRICS):
            break
    return Quarter(promoted, {metric: float(np.mean(values)) for metric, values in gains.items()})


def _seen_at_a_glance(rows: Rows) -> dict[Metric, tuple[float, float]]:
    """Metric → the gain, and how many standard errors that is."""
    found = [measure("binary_classification", rows.label, rows.scores[name], rows.weight) for name in MODELS]
    result: dict[Metric, tuple[float, float]] = {}
    for metric in METRICS:
        if metric not in found[0]:
            result[metric] = (0.0, 0.0)
            continue
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        ours, theirs = (each[metric] for each in found)
        sums = cluster_sums([ours.influence - theirs.influence], rows.cluster, rows.clusters)
        error = float(standard_errors(sums, np.full((len(sums), 1), 1 / max(len(sums), 2)))[0])
        gain = sign * (ours.value - theirs.value)
        result[metric] = (gain, gain / error if error > 0 else 0.0)
    return result


def quarters(shape: Shape, count: int, seed: int, **how: object) -> list[Quarter]:
    """Several quarters, each from a seed of its own."""
    return [quarter(shape, np.random.default_rng([seed, number]), **how) for number in range(count)]  # type: ignore[arg-type]


def share_promoted(found: list[Quarter], metric: Metric, rule: str = "ours") -> float:
    """In how many of the quarters a candidate was promoted."""
    return sum((rule, metric) in one.promoted for one in found) / len(found)


def skewed_quarters(count: int, seed: int, *, kinship: float) -> float:
    """Share of quarters with a false promotion where differences of days lean far to the left.

    A candidate is a little better on most days and much worse on a few, and no better in all: the difference of a day
    is 1 minus an exponential variate (skewness -2). Only `evidence_of_gain.py` runs here.
    """
    random = np.random.default_rng(seed)
    level = level_of_a_look(FALSE_ALARMS, PLANNED["daily"] + 1)
    mistaken = 0
    for _ in range(count):
        day = random.normal(size=(TEST_DAYS + NIGHTS - 1, 2))
        for night in range(NIGHTS):
            day = kinship * day + math.sqrt(1 - kinship**2) * random.normal(size=day.shape)
            # The sum of two squares of normal variates is exponential: it stays so as its parts change.
            difference = 1 - (day[night : night + TEST_DAYS] ** 2).sum(axis=1) / 2
            chance = chance_of_luck(_mean(difference), TEST_DAYS)
            if chance is not None and chance <= level:
                mistaken += 1
                break
    return mistaken / count


def _mean(values: Floats) -> Estimate:
    count = len(values)
    from_mean = values - values.mean()
    second, third = (from_mean**2).mean(), (from_mean**3).mean()
    return Estimate(
        value=float(values.mean()),
        error=float(values.std(ddof=1) / math.sqrt(count)),
        skewness=float(third / second**1.5 * math.sqrt(count * (count - 1)) / (count - 2)),
    )


def _beyond_doubt_at_any_time(gains: list[float]) -> bool:
    """Whether a one-sided asymptotic confidence sequence of their running mean lies above zero; tuned for 60 days."""
    count = len(gains)
    if count < 10:
        return False
    best = 60
    tuned = (-2 * math.log(2 * FALSE_ALARMS) + math.log(-2 * math.log(2 * FALSE_ALARMS) + 1)) / best
    grown = count * tuned + 1
    width = float(np.std(gains, ddof=1)) * math.sqrt(
        2 * grown / (count**2 * tuned) * math.log(1 + math.sqrt(grown) / (2 * FALSE_ALARMS))
    )
    return float(np.mean(gains)) > width


def _errors(random: np.random.Generator, rows: int, days: int) -> tuple[Floats, Floats, Floats]:
    """A model's errors: of rows, and its shift and steepness by day; all in standard units."""
    return random.normal(size=rows), random.normal(size=days), random.normal(size=days)


def _changed(random: np.random.Generator, errors: Floats, kinship: float) -> Floats:
    return kinship * errors + math.sqrt(1 - kinship**2) * random.normal(size=errors.shape)


def _lasting(random: np.random.Generator, days: int, correlation: float) -> Floats:
    steps = random.normal(size=days)
    for day in range(1, days):
        steps[day] = correlation * steps[day - 1] + math.sqrt(1 - correlation**2) * steps[day]
    return steps


def _sigmoid(value: Floats) -> Floats:
    return 1 / (1 + np.exp(-value))


def _printed(title: str, found: list[Quarter], rule: str = "ours") -> None:
    cells = []
    for metric in METRICS:
        share = share_promoted(found, metric, rule)
        error = math.sqrt(max(share * (1 - share), 1 / len(found)) / len(found))
        gain = float(np.mean([one.gain[metric] for one in found]))
        night = [one.promoted[rule, metric] for one in found if (rule, metric) in one.promoted]
        when = f", night {np.median(night):.0f}" if night else ""
        cells.append(f"{metric} {100 * share:5.1f} ± {100 * error:.1f} % (gain {gain:.4f}{when})")
    print(f"{title:44}", "   ".join(cells), flush=True)


def main() -> None:
    """Prints the share of quarters with a promotion, and its standard error."""
    parser = argparse.ArgumentParser(description="Quarters with a promotion: false ones, and real gains found.")
    parser.add_argument("--quarters", type=int, default=200)
    parser.add_argument("--rows", type=int, default=150, help="a day; flights has 900")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cadence", nargs="*", choices=["daily", "monthly"], default=["daily", "monthly"])
    parser.add_argument("--extra", type=float, nargs="*", default=[0, 0.4, 0.5, 0.6, 0.7], help="0: equal")
    parser.add_argument("--rules", action="store_true", help="try the other rules too, with the daily cadence")
    arguments = parser.parse_args()
    for cadence in arguments.cadence:
        for extra in arguments.extra:
            shape = Shape(rows=arguments.rows, extra=extra)
            rules = arguments.rules and cadence == "daily"
            found = quarters(shape, arguments.quarters, arguments.seed, cadence=cadence, rules=rules)
            title = f"{cadence}, {f'better by {extra:g} of noise' if extra else 'equal'}"
            for rule in RULES if rules else RULES[:1]:
                _printed(f"{title}, {rule}", found, rule)
    for kinship in (0.0, 0.8, 1.0):
        share = skewed_quarters(arguments.quarters, arguments.seed, kinship=kinship)
        print(f"daily, equal, skewness -2, kinship {kinship:g}: {100 * share:.1f} % of quarters")


if __name__ == "__main__":
    main()
