"""Fits a network by mini-batches of Adam: what `linear` and `mlp` have in common.

An epoch is one TensorFlow graph with a loop inside, over rows that are already encoded: returning to Python after every
step would cost more than the step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from components._shared.contract import Contract
from components._shared.errors import TrainerError
from components._shared.model_info import CurvePoint
from components.train.calibration import Calibration, calibrate
from components.train.export import write_saved_model
from components.train.feeding import HELD_BYTES, Feeder
from components.train.preprocessing import Encoding, learn_encoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from components.train.feeding import Block
    from components.train.job import TrainingJob

_EVALUATION_ROWS = 8_192
_MIN_STEPS = 2_000
_COMPILED_FROM = 4_000_000
"""Row visits from which compiling the loop (XLA: two to four seconds, 100 MB) is earned back."""


Count = Annotated[int, Field(ge=1)]


class FitParameters(Contract):
    """How a network is fitted.

    Attributes:
        epochs: Passes over *train*; auto: 10, more where rows are few (at least 2,000 steps, at most 100 passes).
        batch_size: Rows in a step; auto: 512, fewer where rows are few.
        learning_rate: Of Adam.
        l2: Penalty on the squares of the weights.
        patience: Epochs without a better loss on *tune* before it stops; the best one is kept. auto: a tenth of all.
        max_vocabulary: Most values of a categorical feature that have weights of their own.
        min_frequency: A value that fewer rows have shares the weights of the others.
        calibrate: Corrects the probabilities on *tune*: `temperature`, or `platt` (binary).
    """

    epochs: Count | Literal["auto"] = "auto"
    batch_size: Count | Literal["auto"] = "auto"
    learning_rate: float = Field(0.001, gt=0)
    l2: float = Field(0.0, ge=0)
    patience: Count | Literal["auto"] = "auto"
    max_vocabulary: int = Field(10_000, ge=1)
    min_frequency: int = Field(5, ge=1)
    calibrate: Literal["none", "temperature", "platt"] = "none"


@dataclass(frozen=True)
class FittedNetwork:
    """A fitted network.

    Attributes:
        network: Keras model from (dense, index) to logits, or to the standardised value.
        train_loss, tune_loss: Of the weights that were kept.
    """

    encoding: Encoding
    network: Any
    calibration: Calibration
    curve: tuple[CurvePoint, ...]
    best_epoch: int
    train_loss: float
    tune_loss: float | None
    notices: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Figures for the Kubeflow UI."""
        found = {"train_loss": self.train_loss, "epochs": len(self.curve), "best_epoch": self.best_epoch}
        if self.tune_loss is not None:
            found["tune_loss"] = self.tune_loss
        if self.calibration != Calibration():
            found["calibration_slope"], found["calibration_shift"] = self.calibration.slope, self.calibration.shift
        return found


def fit(
    job: TrainingJob,
    parameters: FitParameters,
    *,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    strategy: Any = None,
    held_bytes: float = HELD_BYTES,
    finish: Callable[[Encoding, Any], float | None] | None = None,
) -> FittedNetwork:
    """Fits a network, resuming from the last checkpoint of the same experiment if there is one.

    Args:
        job: The rows, and the rest.
        parameters: How.
        hidden: Units of the hidden layers; none: a linear model.
        dropout: Share of hidden units left out in each step.
        strategy: `tf.distribute` strategy; by default all GPUs, or the CPU.
        held_bytes: Largest size of encoded rows that are held in memory.
        finish: Given the encoding and the network of the best epoch, may set other weights. Answers how large their
            loss on *tune* may be, as a multiple of the best epoch's, for them to be kept; none: it has set none.

    Raises:
        TrainerError: The loss is not a number.
    """
    import keras
    import tensorflow as tf

    if parameters.calibrate != "none" and job.problem == "regression":
        raise TrainerError("calibrate is for classification", where="trainer.parameters.calibrate")
    if parameters.calibrate == "platt" and job.problem != "binary_classification":
        raise TrainerError("calibrate: platt is for binary classification", where="trainer.parameters.calibrate")
    strategy = strategy or _all_devices()
    keras.utils.set_random_seed(job.seed)
    tf.config.experimental.enable_op_determinism()

    encoding = learn_encoding(job.train, parameters.max_vocabulary, parameters.min_frequency)
    mean, std = (job.labels.base[0], job.labels.std or 1.0) if job.problem == "regression" else (0.0, 1.0)
    given = {"label_mean": mean, "label_std": std, "mean_weight": job.labels.mean_weight, "held_bytes": held_bytes}
    train = Feeder(job.train, job.labels.rows, encoding, **given)
    tune = Feeder(job.tune, job.tune_rows, encoding, **given) if job.tune_rows else None
    plan = _plan(job, parameters, strategy.num_replicas_in_sync)

    with strategy.scope():
        network = _network(job, encoding, hidden, dropout)
        optimizer = keras.optimizers.Adam(parameters.learning_rate)
        optimizer.build(network.trainable_variables)
    steps = _Steps(job, network, optimizer, parameters.l2, strategy, compiled=plan.compiled)
    state = _State.start(job, network, optimizer)
    while not state.finished(plan):
        started = time.monotonic()
        epoch = len(state.curve) + 1
        train_loss = steps.train(train, epoch, plan.batch_size) * std**2
        tune_loss = None if tune is None else steps.evaluate(tune) * std**2
        state.add(
            CurvePoint(epoch=epoch, train_loss=train_loss, tune_loss=tune_loss, seconds=time.monotonic() - started)
        )
        state.save()
        print(_progress(state.curve[-1], plan.epochs), flush=True)
    state.restore_best()
    best = state.curve[state.best_epoch - 1]
    losses = (best.train_loss, best.tune_loss)
    notices = _notices(job, encoding, parameters, tuned=tune is not None)
    if finish is not None and (most := finish(encoding, network)) is not None:
        finished = (steps.evaluate(train) * std**2, None if tune is None else steps.evaluate(tune) * std**2)
        if finished[1] is not None and losses[1] is not None and finished[1] > most * losses[1]:
            state.restore_best()
            notices = (
                *notices,
                "Few rows for so many weights, and the optimum on train is worse on tune: the best epoch's were kept.",
            )
        else:
            losses = finished

    calibration = Calibration()
    if parameters.calibrate != "none" and tune is not None:
        calibration, found = calibrate(
            parameters.calibrate, *steps.logits(tune), binary=job.problem == "binary_classification"
        )
        notices = (*notices, *found)
    return FittedNetwork(
        encoding=encoding,
        network=network,
        calibration=calibration,
        curve=tuple(state.curve),
        best_epoch=state.best_epoch,
        train_loss=losses[0],
        tune_loss=losses[1],
        notices=notices,
    )


def export(job: TrainingJob, fitted: FittedNetwork) -> None:
    """Writes the SavedModel: raw columns, preprocessing, network, probabilities or natural scale."""
    import tensorflow as tf

    tables = fitted.encoding.tables()
    calibration, mean, std = fitted.calibration, job.labels.base[0], job.labels.std or 1.0

    def score(arguments: dict[str, Any]) -> Any:
        dense, index = fitted.encoding.tensors(arguments, job.inputs, tables)
        logits = fitted.network([dense, index], training=False)
        match job.problem:
            case "regression":
                return logits * std + mean
            case "binary_classification":
                return tf.sigmoid(calibration.slope * logits + calibration.shift)
            case "multiclass_classification":
                return tf.nn.softmax(calibration.slope * logits)

    variables = [variable.value for variable in fitted.network.variables]
    write_saved_model(job.model_dir, job.inputs, score, [*variables, *tables.values()])


@dataclass(frozen=True)
class _Plan:
    """The parameters with `auto` decided."""

    epochs: int
    batch_size: int
    patience: int
    compiled: bool


def _plan(job: TrainingJob, parameters: FitParameters, replicas: int) -> _Plan:
    import tensorflow as tf

    rows = job.labels.rows
    batch_size = min(512, max(16, rows // 64)) if parameters.batch_size == "auto" else parameters.batch_size
    batch_size = -(-batch_size // replicas) * replicas
    enough = min(100, max(10, math.ceil(_MIN_STEPS / math.ceil(rows / batch_size))))
    epochs = enough if parameters.epochs == "auto" else parameters.epochs
    epochs = min(epochs, job.budget or epochs)
    patience = max(2, math.ceil(epochs / 10)) if parameters.patience == "auto" else parameters.patience
    on_cpu = not tf.config.list_physical_devices("GPU") and replicas == 1
    return _Plan(epochs, batch_size, patience, compiled=on_cpu and rows * epochs >= _COMPILED_FROM)


class _Steps:
    """The two graphs: an epoch of training over a block of rows, and the loss of a block."""

    def __init__(
        self, job: TrainingJob, network: Any, optimizer: Any, l2: float, strategy: Any, *, compiled: bool
    ) -> None:
        import tensorflow as tf

        self._seed = job.seed
        self._network = network
        replicas = strategy.num_replicas_in_sync
        variables = network.trainable_variables
        penalised = [variable for variable in variables if not variable.path.endswith("bias")]

        def row_losses(logits: Any, labels: Any) -> Any:
            match job.problem:
                case "binary_classification":
                    return tf.nn.sigmoid_cross_entropy_with_logits(labels, logits[:, 0])
                case "multiclass_classification":
                    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)
                case "regression":
                    return tf.square(logits[:, 0] - labels)

        def forward(block: Sequence[Any], chosen: Any, *, training: bool) -> tuple[Any, Any, Any, Any]:
            dense, index, labels, weights = (tf.gather(column, chosen) for column in block)
            logits = network([dense, index], training=training)
            return logits, labels, weights, row_losses(logits, labels) * weights

        def step(block: Sequence[Any], chosen: Any) -> tuple[Any, Any]:
            """One replica's part of a step: its loss and its weight."""
            part = chosen.shape[0] // replicas
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            chosen = tf.gather(chosen, tf.range(part) + replica * part)
            with tf.GradientTape() as tape:
                _, _, weights, losses = forward(block, chosen, training=True)
                total = tf.reduce_sum(losses)
                objective = total / (part * replicas)
                if l2:
                    objective += l2 / replicas * tf.add_n([tf.reduce_sum(tf.square(v)) for v in penalised])
            gradients = tape.gradient(objective, [variable.value for variable in variables])
            optimizer.apply([tf.convert_to_tensor(gradient) for gradient in gradients], variables)
            return tf.cast(total, tf.float64), tf.reduce_sum(tf.cast(weights, tf.float64))

        def train_block(dense: Any, index: Any, labels: Any, weights: Any, order: Any, steps: Any) -> tuple[Any, ...]:
            block = (dense, index, labels, weights)

            def body(number: Any, total: Any, weight: Any, wrong: Any) -> tuple[Any, ...]:
                losses, own = strategy.run(step, args=(block, order[number]))
                losses = strategy.reduce("SUM", losses, axis=None) if replicas > 1 else losses
                own = strategy.reduce("SUM", own, axis=None) if replicas > 1 else own
                first = tf.logical_and(wrong < 0, tf.logical_not(tf.math.is_finite(losses)))
                return number + 1, total + losses, weight + own, tf.where(first, number, wrong)

            start = (tf.constant(0), tf.constant(0.0, tf.float64), tf.constant(0.0, tf.float64), tf.constant(-1))
            return tf.while_loop(lambda number, *_: number < steps, body, start)[1:]  # type: ignore[no-any-return]

        def evaluate(dense: Any, index: Any, labels: Any, weights: Any, chosen: Any) -> tuple[Any, ...]:
            logits, labels, weights, losses = forward((dense, index, labels, weights), chosen, training=False)
            return logits, labels, weights, tf.reduce_sum(tf.cast(losses, tf.float64))

        self._train = tf.function(train_block, autograph=False, jit_compile=compiled or None)
        self._evaluate = tf.function(evaluate, autograph=False, reduce_retracing=True)

    def train(self, feeder: Feeder, epoch: int, batch_size: int) -> float:
        """One epoch; returns the mean loss on the way."""
        import tensorflow as tf

        total = weight = 0.0
        for number, block in enumerate(feeder.blocks((self._seed, epoch))):
            order = _shuffled(block, batch_size, (self._seed, epoch, number))
            steps = tf.constant(-(-block.rows // batch_size))
            losses, weights, wrong = self._train(*block.columns, tf.constant(order), steps)
            if int(wrong) >= 0:
                raise _diverged(f"the loss is not a number in epoch {epoch}, step {int(wrong) + 1}")
            total += float(losses)
            weight += float(weights)
        if not all(np.isfinite(variable.numpy()).all() for variable in self._network.variables):
            raise _diverged(f"weights are not numbers after epoch {epoch}")
        return total / weight if weight else 0.0

    def evaluate(self, feeder: Feeder) -> float:
        """The mean loss of a part."""
        total = weight = 0.0
        for _, _, weights, losses in self._passes(feeder):
            total += float(losses)
            weight += float(weights.sum())
        return total / weight if weight else 0.0

    def logits(self, feeder: Feeder) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Logits, labels and weights of a part."""
        logits, labels, weights, _ = zip(*self._passes(feeder), strict=True)
        return np.concatenate(logits), np.concatenate(labels), np.concatenate(weights)

    def _passes(self, feeder: Feeder) -> Any:
        import tensorflow as tf

        for block in feeder.blocks():
            for start in range(0, block.rows, _EVALUATION_ROWS):
                chosen = np.arange(start, min(block.rows, start + _EVALUATION_ROWS), dtype="int32")
                yield tuple(found.numpy() for found in self._evaluate(*block.columns, tf.constant(chosen)))


class _State:
    """Where a training stands: everything that a checkpoint holds."""

    def __init__(self, job: TrainingJob, network: Any, optimizer: Any) -> None:
        self.curve: list[CurvePoint] = []
        self.best_epoch = 0
        self._job = job
        self._network = network
        self._variables = [*network.variables, *optimizer.variables]
        self._best = [variable.numpy() for variable in network.variables]

    @classmethod
    def start(cls, job: TrainingJob, network: Any, optimizer: Any) -> _State:
        """The state of the last checkpoint, or the beginning."""
        state = cls(job, network, optimizer)
        found = job.checkpoints.load()
        if found is not None:
            values, arrays = found
            for variable, array in zip(state._variables, arrays, strict=False):
                variable.assign(array)
            state._best = arrays[len(state._variables) :]
            state.curve = [CurvePoint.from_value(point) for point in values["curve"]]
            state.best_epoch = values["best_epoch"]
            print(f"resuming after epoch {len(state.curve)}", flush=True)
        return state

    def finished(self, plan: _Plan) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        waited = len(self.curve) - self.best_epoch
        return len(self.curve) >= plan.epochs or (bool(self.curve) and waited >= plan.patience)

    def add(self, point: CurvePoint) -> None:
        """Notes an epoch; keeps its weights if it is the best so far, which without *tune* every epoch is."""
        best = self.curve[self.best_epoch - 1].tune_loss if self.curve else None
        if point.tune_loss is not None and not math.isfinite(point.tune_loss):
            raise _diverged(f"the loss on tune is not a number after epoch {point.epoch}")
        self.curve.append(point)
        if point.tune_loss is None or best is None or point.tune_loss < best:
            self.best_epoch = point.epoch
            self._best = [variable.numpy() for variable in self._network.variables]

    def save(self) -> None:
        values = {"curve": [point.model_dump() for point in self.curve], "best_epoch": self.best_epoch}
        self._job.checkpoints.save(values, [*(variable.numpy() for variable in self._variables), *self._best])

    def restore_best(self) -> None:
        for variable, array in zip(self._network.variables, self._best, strict=True):
            variable.assign(array)


def _network(job: TrainingJob, encoding: Encoding, hidden: Sequence[int], dropout: float) -> Any:
    """A Keras model from (dense, index) to logits. A linear model starts at zero, and every model at the base rate."""
    import keras

    outputs = len(job.classes) if job.problem == "multiclass_classification" and job.classes else 1
    match job.problem:
        case "binary_classification":
            rate = min(max(job.labels.base[0], 1e-6), 1 - 1e-6)
            bias = [math.log(rate / (1 - rate))]
        case "multiclass_classification":
            bias = [math.log(max(rate, 1e-6)) for rate in job.labels.base]
        case "regression":
            bias = [0.0]
    dense = keras.Input((len(encoding.dense_terms),), name="dense")
    index = keras.Input((encoding.positions,), dtype="int32", name="index")
    first, *others = [*hidden, outputs]
    layers = _first_layer(encoding, job.seed, zero=not hidden)
    value = layers(first, bias if not hidden else None)([dense, index])
    for number, units in enumerate(others):
        value = keras.layers.Activation("relu")(value)
        if dropout:
            value = keras.layers.Dropout(dropout, seed=job.seed + number)(value)
        last = number == len(others) - 1
        value = keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(job.seed + 1 + number),
            bias_initializer=keras.initializers.Constant(bias) if last else "zeros",
            name=f"layer_{number + 2}",
        )(value)
    return keras.Model([dense, index], value)


def _first_layer(encoding: Encoding, seed: int, *, zero: bool) -> Any:
    """The class of the first layer, which needs Keras to be imported to exist."""
    import keras
    import tensorflow as tf

    random = np.random.default_rng(seed)
    inputs = len(encoding.dense_terms) + encoding.positions

    def initial(rows: int, units: int) -> NDArray[np.float32]:
        limit = 0.0 if zero else math.sqrt(6 / (inputs + units))
        return random.uniform(-limit, limit, (rows, units)).astype("float32")

    class FirstLayer(keras.layers.Layer):  # type: ignore[misc]
        """`dense @ kernel + sum of the table's rows at index + bias`: a dense layer over one-hot columns."""

        def __init__(self, units: int, bias: list[float] | None) -> None:
            super().__init__(name="layer_1")
            kernel = initial(len(encoding.dense_terms), units)
            table = initial(len(encoding.categories), units)
            # Noise there would be added to every row with a value that *train* has not seen.
            table[encoding.untrained()] = 0.0
            constant = keras.initializers.Constant
            self.kernel = self.add_weight(shape=kernel.shape, initializer=constant(kernel), name="kernel")
            self.table = self.add_weight(shape=table.shape, initializer=constant(table), name="table")
            start = np.asarray(bias or [0.0] * units, dtype="float32")
            self.bias = self.add_weight(shape=(units,), initializer=constant(start), name="bias")

        def call(self, inputs: Any) -> Any:
            dense, index = inputs
            return tf.matmul(dense, self.kernel) + tf.reduce_sum(tf.gather(self.table, index), axis=1) + self.bias

    return FirstLayer


def _shuffled(block: Block, batch_size: int, seed: tuple[int, ...]) -> NDArray[np.int32]:
    """The order of the rows in an epoch, one line per step, filled up with the padding row.

    All blocks of a part have orders of one shape, so that the graph is made once.
    """
    padding = int(block.columns[0].shape[0]) - 1
    filled = np.full(-(-padding // batch_size) * batch_size, padding, dtype="int32")
    filled[: block.rows] = np.random.default_rng(seed).permutation(block.rows)
    return filled.reshape(-1, batch_size)


def _all_devices() -> Any:
    """Every GPU, sharing memory with other processes; else the CPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def _diverged(how: str) -> TrainerError:
    return TrainerError(
        f"The training diverged: {how}",
        where="trainer",
        fix="lower learning_rate; look for extreme values in the label, the weights or a numeric feature",
    )


def _progress(point: CurvePoint, epochs: int) -> str:
    tuned = "" if point.tune_loss is None else f", on tune {point.tune_loss:.5g}"
    return f"epoch {point.epoch} of at most {epochs}: loss {point.train_loss:.5g}{tuned} ({point.seconds:.1f} s)"


def _notices(job: TrainingJob, encoding: Encoding, parameters: FitParameters, *, tuned: bool) -> tuple[str, ...]:
    notices = [] if tuned else ["There are no rows to tune on: no early stopping and no calibration."]
    if "datetime" in job.features.values():
        notices.append("Hours, days and weekdays of datetime features are those of UTC.")
    notices += [
        f"'{feature.name}' has more than {parameters.max_vocabulary} values: the rarest share their weights."
        for feature in encoding.features
        if len(getattr(feature, "values", ())) == parameters.max_vocabulary
    ]
    return tuple(notices)
