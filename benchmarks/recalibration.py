"""Whether correcting a classifier's probabilities on *tune* pays: models of some months, each corrected in every way.

    for month in 06 07 08 09 10 11 12; do
      saiki run training --params pipelines/training/params/flights.yaml \\
        --set as_of=2013-$month-01 --set registry=/tmp/months/$month --state /tmp/months
    done
    .venvs/tensorflow/bin/python benchmarks/recalibration.py /tmp/months

Every model is fitted without correction, asked for *tune* and *test*, and corrected on *tune* by `temperature` and
`platt` as the trainers do it, and by isotonic regression, which they do not offer. A registry for each month: no model
is the champion of another, so all rows of *test* judge.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import Rows, labelled_rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.metrics import Floats
from components._shared.model_info import ModelInfo
from components._shared.task import EvaluationSection
from components.train.calibration import calibrate

METHODS = ("none", "temperature", "platt", "isotonic")
SHOWN = ("calibration_error", "log_loss", "cost")
_NEAREST = 1e-3
"""Isotonic probabilities are held so far from 0 and 1: a bin without a single case would have an infinite loss."""


def main(state: Path) -> None:
    """Prints a row for each run and method, and the means."""
    found: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    print("| as of | rate on tune | rate on test | method | calibration error | log-loss | cost |")
    print("|---|---|---|---|---|---|---|")
    for run in sorted((state / "runs").iterdir()):
        if not (run / "train" / "model" / "model.json").exists():
            continue
        plan = json.loads((run / "plan" / "executor_output.json").read_text())["parameterValues"]
        section = EvaluationSection.from_json(plan["gates"])
        tune, test = (_scored(run, part, section) for part in ("tune", "test"))
        for method, score in _corrected(tune, test):
            rows = Rows(**{**vars(test), "scores": {"candidate": score}})
            figures = figures_of(rows, section.problem, (), decision=section.decision, classes=section.classes).metrics
            values = [figures[metric].candidate.value if metric in figures else np.nan for metric in SHOWN]  # type: ignore[index,call-overload]
            found[method].append(values)
            rates = f"{tune.label.mean():.3f} | {test.label.mean():.3f}"
            shown = " | ".join(f"{value:.4f}" for value in values)
            print(f"| {json.loads(plan['windows'])['as_of'][:10]} | {rates} | {method} | {shown} |", flush=True)
    for method, rows_of_method in found.items():
        means = " | ".join(f"{value:.4f}" for value in np.mean(rows_of_method, axis=0))
        print(f"| mean of {len(rows_of_method)} | | | {method} | {means} |")


def _scored(run: Path, part: str, section: EvaluationSection) -> Rows:
    """The labelled rows of a part, scored by the run's model."""
    import pyarrow as pa

    from components._shared.saved_model import SavedModel
    from components._shared.scoring import score_batch
    from components._shared.tables import read_table

    folder = run / "train" / "model"
    info, model = ModelInfo.from_json((folder / "model.json").read_text()), SavedModel(folder)
    manifest = Manifest.from_json((run / "split" / part).read_text())
    wanted = ["_label", "_weight", "_cluster", "_time", *info.learning.features]
    table = read_table(manifest, columns=wanted, window=manifest.window).combine_chunks()
    (batch,) = pa.Table.to_batches(table)
    return labelled_rows(table, {"candidate": score_batch(model, info, batch)[:, 0]}, section)


def _corrected(tune: Rows, test: Rows) -> Iterator[tuple[str, Floats]]:
    score = test.scores["candidate"]
    yield "none", score
    for method in ("temperature", "platt"):
        found, _ = calibrate(method, _logit(tune.scores["candidate"])[:, None], tune.label, tune.weight, binary=True)
        yield method, 1 / (1 + np.exp(-(found.slope * _logit(score) + found.shift)))
    levels, rates = _isotonic(tune.scores["candidate"], tune.label, tune.weight)
    yield "isotonic", np.clip(np.interp(score, levels, rates), _NEAREST, 1 - _NEAREST)


def _logit(score: Floats) -> Floats:
    clipped = np.clip(score, 1e-7, 1 - 1e-7)
    logit: Floats = np.log(clipped / (1 - clipped))
    return logit


def _isotonic(score: Floats, label: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The rising steps of the least squares, by pooling adjacent violators (Ayer et al. 1955): scores and rates."""
    levels, group = np.unique(score, return_inverse=True)
    weights = np.bincount(group, weight)
    means = np.bincount(group, weight * label) / weights
    pools: list[tuple[float, float, int]] = []
    for mean, mass in zip(means, weights, strict=True):
        pool = (float(mean), float(mass), 1)
        while pools and pools[-1][0] >= pool[0]:
            value, other, count = pools.pop()
            total = pool[1] + other
            pool = ((pool[0] * pool[1] + value * other) / total, total, pool[2] + count)
        pools.append(pool)
    return levels, np.repeat([pool[0] for pool in pools], [pool[2] for pool in pools])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
