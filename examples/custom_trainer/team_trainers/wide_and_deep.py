"""Wide and deep: a linear model that remembers single categories, beside a network that generalises over them.

After Cheng et al., "Wide & Deep Learning for Recommender Systems" (2016), without crossed features. It uses the suite's
preprocessing and its way of writing a model; everything between is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from components._shared.contract import Contract
from components._shared.errors import TrainerError
from components.train.export import write_saved_model
from components.train.job import LabelledRows, TrainedModel, TrainingJob
from components.train.preprocessing import Encoding, learn_encoding


class WideAndDeepParameters(Contract):
    """Parameters, with their defaults.

    Attributes:
        embedding: Numbers that stand for a category in the deep part.
        hidden: Units of the deep part's layers.
        patience: Epochs without a better loss on *tune* before it stops.
    """

    embedding: int = Field(8, ge=1)
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((64, 32), min_length=1)
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(256, ge=1)
    patience: int = Field(3, ge=1)
    learning_rate: float = Field(0.002, gt=0)


def train(job: TrainingJob) -> TrainedModel:
    """Fits on *train*, stops early on *tune*, writes the model."""
    import keras
    import tensorflow as tf

    if job.problem != "binary_classification":
        raise TrainerError(
            f"wide_and_deep is for binary classification, and the problem is {job.problem}", where="trainer.name"
        )
    parameters = job.read_parameters(WideAndDeepParameters)
    keras.utils.set_random_seed(job.seed)
    tf.config.experimental.enable_op_determinism()

    encoding = learn_encoding(job.train, max_vocabulary=10_000, min_frequency=5)
    network = _network(encoding, parameters)
    network.compile(keras.optimizers.Adam(parameters.learning_rate), "binary_crossentropy")
    inputs, labels, weights = _encoded(job.train, encoding)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=parameters.patience, restore_best_weights=True)
    history = network.fit(
        inputs,
        labels,
        sample_weight=weights,
        batch_size=parameters.batch_size,
        epochs=min(parameters.epochs, job.budget or parameters.epochs),
        validation_data=_encoded(job.tune, encoding),
        callbacks=[stop],
        verbose=2,
    ).history
    best = int(np.argmin(history["val_loss"]))

    tables = encoding.tables()

    def score(arguments: Mapping[str, Any]) -> Any:
        dense, index = encoding.tensors(arguments, job.inputs, tables)
        return network([dense, index], training=False)

    tracked = [*(variable.value for variable in network.variables), *tables.values()]
    write_saved_model(job.model_dir, job.inputs, score, tracked)
    return TrainedModel(
        metrics={
            "train_loss": history["loss"][best],
            "tune_loss": history["val_loss"][best],
            "epochs": len(history["loss"]),
        }
    )


def _network(encoding: Encoding, parameters: WideAndDeepParameters) -> Any:
    import keras

    dense = keras.Input((len(encoding.dense_terms),), name="numbers")
    index = keras.Input((encoding.positions,), dtype="int32", name="categories")
    rows = max(1, len(encoding.categories))
    flat = keras.layers.Flatten()
    wide = keras.layers.Concatenate()([dense, flat(keras.layers.Embedding(rows, 1)(index))])
    deep = keras.layers.Concatenate()([dense, flat(keras.layers.Embedding(rows, parameters.embedding)(index))])
    for units in parameters.hidden:
        deep = keras.layers.Dense(units, activation="relu")(deep)
    joined = keras.layers.Concatenate()([wide, deep])
    return keras.Model([dense, index], keras.layers.Dense(1, activation="sigmoid")(joined))


def _encoded(rows: LabelledRows, encoding: Encoding) -> tuple[list[Any], Any, Any]:
    """All rows at once: this trainer is for what fits into memory."""
    batches = [(encoding.encode(batch.features, batch.rows), batch) for batch in rows.batches()]
    inputs = [np.concatenate([encoded[part] for encoded, _ in batches]) for part in (0, 1)]
    labels = np.concatenate([batch.labels for _, batch in batches]).astype("float32")
    weights = np.concatenate([batch.weights for _, batch in batches]).astype("float32")
    return inputs, labels, weights
