"""A logistic regression on temperature and stand, by Newton's method: a trainer that takes a moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from components.train.export import write_saved_model
from components.train.job import TrainedModel, TrainingJob

STANDS = ("beach", "market", "station")


def train(job: TrainingJob) -> TrainedModel:
    """Fits it; the parameter `iterations` makes another experiment."""
    tables, labels = [], []
    for arguments, answers, _ in job.train.dataset(4096):
        tables.append(_inputs(arguments).numpy())
        labels.append(np.asarray(answers, np.float64).reshape(-1))
    rows, wanted = np.concatenate(tables).astype(np.float64), np.concatenate(labels)
    weights = np.zeros(rows.shape[1])
    for _ in range(int(job.parameters.get("iterations", 8))):
        chance = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (wanted - chance) - 0.01 * weights
        curve = (rows * (chance * (1 - chance))[:, None]).T @ rows + 0.01 * np.eye(len(weights))
        weights = weights + np.linalg.solve(curve, slope)
    fitted = tf.constant(weights[:, None], tf.float32)
    write_saved_model(job.model_dir, job.inputs, lambda arguments: tf.sigmoid(_inputs(arguments) @ fitted))
    return TrainedModel()


def _inputs(arguments: dict[str, Any]) -> Any:
    degrees = tf.cast(arguments["temperature"], tf.float32)
    known = tf.where(tf.math.is_nan(degrees), 0.0, (degrees - 18.0) / 6.0)
    stands = [tf.cast(arguments["stand"] == stand, tf.float32) for stand in STANDS]
    return tf.concat([known, *stands, tf.ones_like(known)], axis=1)
