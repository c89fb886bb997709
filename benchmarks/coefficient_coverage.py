"""How often the interval of a linear model's coefficient holds the true coefficient, on rows clustered by day.

    python benchmarks/coefficient_coverage.py [TRIALS]

Rows of a day share an unseen effect and part of a number; the weekday is the same for the whole day, so that each
weekday is known from a seventh of the days. Every trial draws days, fits by Newton's method, and asks
`components/train/coefficients.py` for the intervals. The truth is a fit of as many days as all trials have together.
Beside it: the plain sandwich of Liang and Zeger with Student's quantile, and intervals that take rows as independent.
Needs numpy alone: any environment of the locks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from components._shared.measuring.student import quantile
from components._shared.saved_model import Strings
from components.train.coefficients import natural_terms
from components.train.job import LabelledBatch
from components.train.linear_function import LinearFunction
from components.train.preprocessing import CategoryEncoding, Encoding, NumberEncoding

SHOPS = (b"Oslo", b"Rome", b"Bern", b"Ulm")
WEEKDAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
ENCODING = Encoding(
    (
        NumberEncoding("number", mean=2.0, scale=3.0, filler=0.0, indicator=False),
        CategoryEncoding("shop", SHOPS, has_other=False, has_missing=False),
        CategoryEncoding("weekday", WEEKDAYS, has_other=False, has_missing=False),
    )
)


@dataclass(frozen=True)
class Drawn:
    """Rows that were drawn, in place of those of a manifest."""

    batch: LabelledBatch

    def batches(self, *, clusters: bool) -> Iterator[LabelledBatch]:
        """All in one batch."""
        yield self.batch if clusters else replace(self.batch, clusters=None)


def draw(problem: str, days: int, rows: int, random: np.random.Generator) -> Drawn:
    """Rows of some days."""
    day = np.repeat(np.arange(days), rows)
    number = 2 + 3 * (0.5 * random.normal(size=days)[day] + 0.9 * random.normal(size=len(day)))
    shop = random.choice(len(SHOPS), len(day), p=[0.5, 0.3, 0.17, 0.03])
    weekday = day % 7
    unseen = 0.5 * random.normal(size=days)[day]
    signal = 0.3 * (number - 2) + np.array([0, 0.5, -0.5, 1.0])[shop] + 0.3 * (weekday >= 5) + unseen - 1
    if problem == "regression":
        label = signal + random.normal(size=len(day))
    elif problem == "binary_classification":
        label = (random.random(len(day)) < 1 / (1 + np.exp(-signal))).astype(float)
    else:
        logits = np.stack([np.zeros(len(day)), signal, 0.5 * signal + 0.2 * (shop == 1)], axis=1)
        label = (logits + random.gumbel(size=logits.shape)).argmax(axis=1).astype(float)
    names = tuple(str(each).encode() for each in range(days))
    return Drawn(
        LabelledBatch(
            features={
                "number": number.astype("float32"),
                "shop": Strings(SHOPS, shop),
                "weekday": Strings(WEEKDAYS, weekday),
            },
            labels=label,
            weights=np.ones(len(day)),
            clusters=Strings(names, day),
        )
    )


def fitted(problem: str, drawn: Drawn) -> tuple[LinearFunction, np.ndarray[Any, Any]]:
    """The penalised optimum by Newton's method, and the inverse of the Hessian there."""
    batch = drawn.batch
    dense, index = ENCODING.encode(batch.features, batch.rows)
    size = dense.shape[1] + len(ENCODING.categories) + 1
    design = np.zeros((batch.rows, size))
    design[:, : dense.shape[1]] = dense
    np.put_along_axis(design, dense.shape[1] + index.astype(np.int64), 1.0, axis=1)
    design[:, -1] = 1.0
    outputs = 3 if problem == "multiclass_classification" else 1
    l2 = 1e-6
    penalty = np.full(size, 2 * l2 * batch.rows)
    penalty[-1] = 1e-9 * batch.rows
    point = np.zeros((outputs, size))
    for _ in range(30):
        z = design @ point.T
        score, curvature = _derivatives(problem, z)
        target = batch.labels[:, None] if outputs == 1 else (batch.labels[:, None] == np.arange(3)).astype(float)
        gradient = (score - target).T @ design + penalty * point
        hessian = np.zeros((outputs, size, outputs, size))
        for first in range(outputs):
            for second in range(outputs):
                hessian[first, :, second] = design.T @ (curvature(first, second)[:, None] * design)
        flat = hessian.reshape(outputs * size, -1) + np.diag(np.tile(penalty, outputs))
        step = np.linalg.solve(flat, gradient.reshape(-1)).reshape(point.shape)
        point -= step
        if np.abs(step).max() < 1e-10:
            break
    function = LinearFunction(
        problem=problem,  # type: ignore[arg-type]
        classes=("a", "b", "c") if outputs == 3 else None,
        encoding=ENCODING,
        kernel=point[:, : dense.shape[1]].T,
        table=point[:, dense.shape[1] : -1].T,
        bias=point[:, -1],
        l2=l2,
    )
    return function, flat


def _derivatives(problem: str, z: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], Any]:
    if problem == "regression":
        return z, lambda first, second: np.ones(len(z))
    if problem == "binary_classification":
        score = 1 / (1 + np.exp(-z))
        return score, lambda first, second: (score * (1 - score))[:, 0]
    score = np.exp(z - z.max(axis=1, keepdims=True))
    score /= score.sum(axis=1, keepdims=True)
    return score, lambda first, second: score[:, first] * ((first == second) - score[:, second])


def plain_widths(drawn: Drawn, function: LinearFunction, hessian: Any, share: Any, *, by_day: bool) -> Any:
    """Half the widths by Liang and Zeger's sandwich (or rows as clusters): terms × outputs, without the intercept."""
    batch = drawn.batch
    dense, index = ENCODING.encode(batch.features, batch.rows)
    size, outputs = dense.shape[1] + len(ENCODING.categories) + 1, len(function.bias)
    design = np.zeros((batch.rows, size))
    design[:, : dense.shape[1]] = dense
    np.put_along_axis(design, dense.shape[1] + index.astype(np.int64), 1.0, axis=1)
    design[:, -1] = 1.0
    score, _ = _derivatives(function.problem, design @ function.parameters)
    target = batch.labels[:, None] if outputs == 1 else (batch.labels[:, None] == np.arange(outputs)).astype(float)
    cluster = batch.clusters.codes if by_day and batch.clusters is not None else np.arange(batch.rows)
    clusters = int(cluster.max()) + 1
    sums = np.zeros((clusters, outputs, size))
    np.add.at(sums, cluster, (score - target)[:, :, None] * design[:, None, :])
    contrast = np.eye(size)[:-1]
    contrast[0] /= ENCODING.features[0].scale  # type: ignore[union-attr]
    start = 1
    for feature in ENCODING.features[1:]:
        own = slice(start, start + len(feature.categories()))
        contrast[own, own] -= share[own]
        start = own.stop
    across = np.eye(outputs) - (1 / outputs if outputs > 1 else 0.0)
    effects = np.kron(across, contrast) @ np.linalg.pinv(hessian, hermitian=True)
    variance = ((sums.reshape(clusters, -1) @ effects.T) ** 2).sum(axis=0) * clusters / (clusters - 1)
    return quantile(0.025, clusters - 1) * np.sqrt(variance).reshape(outputs, -1).T


def coverage(problem: str, days: int, rows: int, trials: int) -> dict[str, dict[str, float]]:
    """Method → feature → share of intervals that hold the truth; `worst`: of the single term that is held least."""
    random = np.random.default_rng([20240101, days, len(problem)])
    truth, _ = fitted(problem, draw(problem, 7 * 300, rows, random))
    held: dict[str, list[Any]] = {"jackknife": [], "sandwich": [], "rows": []}
    for _ in range(trials):
        drawn = draw(problem, days, rows, random)
        function, hessian = fitted(problem, drawn)
        terms = natural_terms(function, drawn).terms[: -len(function.bias)]
        # The same average row for both: that of the days that were drawn.
        alone = Drawn(replace(drawn.batch, clusters=None))
        true = np.array([term.weight for term in natural_terms(truth, alone).terms[: -len(function.bias)]])
        weight = np.array([term.weight for term in terms])
        width = np.array([(term.interval[1] - term.interval[0]) / 2 if term.interval else 0.0 for term in terms])
        share = np.array([term.share or 0.0 for term in terms[:: len(function.bias)]])
        held["jackknife"].append(np.abs(weight - true) <= width)
        for name, by_day in (("sandwich", True), ("rows", False)):
            plain = plain_widths(drawn, function, hessian, share, by_day=by_day).reshape(-1)
            held[name].append(np.abs(weight - true) <= plain)
    result = {}
    for name, found in held.items():
        rates = np.mean(found, axis=0)
        # No row says what the weight of values is that *train* does not have.
        of = ["" if term.share == 0 else term.feature for term in terms]
        result[name] = {
            feature: float(rates[[n for n, own in enumerate(of) if own == feature]].mean())
            for feature in dict.fromkeys(filter(None, of))
        }
        result[name]["worst"] = float(rates[[n for n, own in enumerate(of) if own]].min())
    return result


def main(trials: int) -> None:
    """Prints a table."""
    print(f"{trials} trials each; share of 95 % intervals that hold the truth")
    for problem in ("regression", "binary_classification", "multiclass_classification"):
        for days in (28, 84, 140):
            for method, found in coverage(problem, days, 60, trials).items():
                figures = ", ".join(f"{name} {100 * rate:.1f} %" for name, rate in found.items())
                print(f"{problem}, {days} days of 60 rows, {method}: {figures}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
