"""Writes small SavedModels with all that stands beside them, run by the interpreter of `tensorflow`.

    python -m tests.small_models FOLDER WEIGHT...      → FOLDER/<weight>/ and FOLDER/<weight>.samples.json

They take a number, a text and a moment, each of which may be missing.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from components._shared.model_files import model_digest
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import MISSING_MOMENT, model_inputs
from components._shared.task import FeatureKind, LearningSection, TrainerChoice
from components.train.export import write_saved_model

FEATURES: dict[str, FeatureKind] = {"temperature": "numeric", "shop": "categorical", "seen at": "datetime"}
ROWS = {"temperature": (1.5, None, -20.25), "shop": ("Zürich", "", "Oslo"), "seen_at": (1, MISSING_MOMENT, 2)}


def write(folder: Path, weight: float) -> None:
    """A model whose scores depend on a weight."""
    import tensorflow as tf

    from components._shared.saved_model import SavedModel

    def score(given):
        warm = tf.where(tf.math.is_nan(given["temperature"]), 0.0, given["temperature"])
        known = tf.cast(given["shop"] == "Zürich", tf.float32) + tf.cast(given["seen_at"] > 0, tf.float32)
        return tf.sigmoid(weight * warm + known)

    model, inputs = folder / f"{weight:g}", model_inputs(FEATURES)
    write_saved_model(model, inputs, score)
    info = ModelInfo(
        digest=model_digest(model),
        learning=LearningSection(
            problem="binary_classification", classes=None, features=FEATURES, trainer=TrainerChoice()
        ),
        inputs=inputs,
        fit_until=datetime(2013, 6, 1, tzinfo=UTC),
        base=(0.25,),
        rows={"train": 10, "tune": 2},
    )
    (model / "model.json").write_text(info.to_json(), encoding="utf-8")
    serve = SavedModel(model)._serve
    nan = float("nan")
    columns = {
        "temperature": tf.constant([[nan if value is None else value] for value in ROWS["temperature"]], tf.float32),
        "shop": tf.constant([[text] for text in ROWS["shop"]]),
        "seen_at": tf.constant([[moment] for moment in ROWS["seen_at"]], tf.int64),
    }
    samples = {
        "inputs": ROWS,
        "dtypes": {"temperature": "float32", "shop": "string", "seen_at": "int64"},
        "scores": serve(**columns)["score"].numpy().tolist(),
        "tolerance": 1e-5,
    }
    (folder / f"{weight:g}.samples.json").write_text(json.dumps(samples), encoding="utf-8")


if __name__ == "__main__":
    for each in sys.argv[2:]:
        write(Path(sys.argv[1]), float(each))
