"""Trains linear models and writes down what they answer, run by the interpreter of `tensorflow`.

    python -m tests.documents.scored_models FOLDER

Each folder in FOLDER that holds `train.json`, `tune.json`, `test.json` (manifests), `learning.json` and `scoring.json`
gets a model, and `rows.json`: the test rows as a document takes them, the stored scores, and what PMML calls its
answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

from components._shared.manifest import Manifest
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import score_columns
from components._shared.tables import read_table
from components._shared.task import LearningSection, ScoringSection
from components.predict.executor import predict
from components.train.executor import train


def write(folder: Path) -> None:
    """One model, and its answers to all test rows."""
    parts = {role: Manifest.from_json((folder / f"{role}.json").read_text()) for role in ("train", "tune", "test")}
    learning = LearningSection.from_json((folder / "learning.json").read_text())
    info = train(train=parts["train"], tune=parts["tune"], learning=learning, model_dir=folder / "model")
    scoring = ScoringSection.from_json((folder / "scoring.json").read_text())
    made = predict(examples=parts["test"], data_root=str(folder / "data"), scoring=scoring, model=folder / "model")
    stored = read_table(made, score_columns(learning))
    answers = {
        "features": dict(learning.features),
        "arguments": {name: given.name for name, given in info.inputs.items()},
        "columns": raw_columns(parts["test"], info),
        "answers": [_free(name, learning) for name in score_columns(learning)],
        "label_std": info.label_std,
        "scores": [list(row) for row in zip(*(column.to_pylist() for column in stored.columns), strict=True)],
    }
    (folder / "rows.json").write_text(json.dumps(answers), encoding="utf-8")


def _free(name: str, learning: LearningSection) -> str:
    """The name, or with dashes behind it one that no feature has."""
    return _free(f"{name}-", learning) if name in learning.features else name


def raw_columns(examples: Manifest, info: ModelInfo) -> dict[str, list[Any]]:
    """The feature columns as JSON has them: texts as they are written out, moments as microseconds; null is missing."""
    columns = {}
    for name, kind in info.learning.features.items():
        column = read_table(examples, [name]).column(0)
        match kind:
            case "numeric":
                column = column.cast(pa.float64())
            case "categorical":
                column = column.cast(pa.string())
            case "datetime":
                column = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        columns[name] = column.to_pylist()
    return columns


if __name__ == "__main__":
    for each in sorted(Path(sys.argv[1]).iterdir()):
        if (each / "learning.json").exists():
            write(each)
