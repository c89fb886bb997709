"""How often the interval of a permutation importance holds the true importance, on rows clustered by day.

    python benchmarks/importance_coverage.py [TRIALS]

The model is fixed: it knows the rates but not the unseen effect of each day. One feature is a number of the row, one is
the same for the whole day, one is noise that the model uses a little. The truth is the mean over many samples. Beside
it: intervals that count only the rows that are predicted, and not those whose values they got. Needs numpy alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from components._shared.measuring.intervals import cluster_sums, half_widths
from components.explain.asking import Asked, AskedRows, row_losses
from components.explain.importance import shuffled_losses

FEATURES = ("of the row", "of the day", "noise")


class Fixed:
    """A model that is known, over some rows."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def scores(self, replaced: Mapping[str, Any] | None = None) -> Any:
        """Its probabilities."""
        given = {**self.values, **(replaced or {})}
        z = given["of the row"] + 0.5 * given["of the day"] + 0.05 * given["noise"] - 1
        return (1 / (1 + np.exp(-z)))[:, None]


def draw(days: int, rows: int, random: np.random.Generator) -> tuple[Fixed, AskedRows]:
    """Rows of some days."""
    day = np.repeat(np.arange(days), rows)
    values = {
        "of the row": random.normal(size=len(day)),
        "of the day": random.normal(size=days)[day],
        "noise": random.normal(size=len(day)),
    }
    model = Fixed(values)
    z = values["of the row"] + 0.5 * values["of the day"] - 1 + 0.4 * random.normal(size=days)[day]
    label = (random.random(len(day)) < 1 / (1 + np.exp(-z))).astype(float)
    return model, AskedRows(
        batch=cast(Any, None), label=label, weight=np.ones(len(day)), cluster=day, clusters=days, slices={}
    )


def one_sided(
    model: Fixed, rows: AskedRows, base: Any, feature: str, random: np.random.Generator
) -> tuple[float, float]:
    """Importance and half the width of its interval, counting only the rows that are predicted."""
    growths = []
    for _ in range(3):
        shuffled = {feature: model.values[feature][random.permutation(len(rows))]}
        growths.append(row_losses("binary_classification", rows.label, model.scores(shuffled)) - base)
    growth = np.mean(growths, axis=0)
    sums = cluster_sums([(growth - growth.mean()) / len(rows)], rows.cluster, rows.clusters)
    share = cluster_sums([rows.weight / len(rows)], rows.cluster, rows.clusters)
    return float(growth.mean()), float(half_widths(sums, share)[0])


def main(trials: int) -> None:
    """Prints a table."""
    for days, rows in ((30, 100), (90, 100)):
        random = np.random.default_rng([20010101, days])
        found: dict[str, list[tuple[float, float]]] = {
            f"{name}, {way}": [] for name in FEATURES for way in ("both", "one")
        }
        for _ in range(trials):
            model, asked = draw(days, rows, random)
            base = row_losses("binary_classification", asked.label, model.scores())
            for name in FEATURES:
                got = shuffled_losses(
                    "binary_classification", cast(Asked, model), asked, base, name, 3, sliced=False
                ).importance
                low, high = got.interval or (np.nan, np.nan)
                found[f"{name}, both"].append((got.value, (high - low) / 2))
                found[f"{name}, one"].append(one_sided(model, asked, base, name, random))
        for name, pairs in found.items():
            value, width = np.array(pairs).T
            held = np.mean(np.abs(value - value.mean()) <= width)
            print(f"{days} days of {rows} rows, {name}: {100 * held:.1f} % of intervals hold the truth", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
