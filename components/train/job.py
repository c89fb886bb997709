"""What a trainer is given and what it returns. `docs/trainers.md` shows how to write one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from components._shared.contract import Contract
from components._shared.errors import TrainerError
from components._shared.manifest import Manifest
from components._shared.model_info import CurvePoint, FeatureEncodingInfo, ModelInput, Term
from components._shared.task import FeatureKind, Problem
from components.train.checkpoints import Checkpoints

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from components._shared.saved_model import Strings

Parameters = TypeVar("Parameters", bound=Contract)


@dataclass(frozen=True)
class LabelledBatch:
    """Some rows, column by column.

    Attributes:
        features: Feature column → values, missing ones as `components/_shared/model_inputs.py` says.
        labels: 0/1, class index, or value.
        weights: Row weights.
        clusters: Which rows are not independent of each other, if that was asked for.
    """

    features: dict[str, NDArray[np.float32] | NDArray[np.int64] | Strings]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]
    clusters: Strings | None = None

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.labels)


@dataclass(frozen=True)
class LabelledRows:
    """The labelled rows of *train* or *tune*, which stay in their shards until they are read."""

    manifest: Manifest
    features: dict[str, FeatureKind]
    inputs: dict[str, ModelInput]

    def batches(
        self, batch_rows: int = 32_768, manifest: Manifest | None = None, *, clusters: bool = False
    ) -> Iterator[LabelledBatch]:
        """The rows in order, in batches of at most so many; rows without a label are left out.

        Args:
            batch_rows: Rows in a batch, at most.
            manifest: Some of the rows, or another order of them.
            clusters: Whether to read the rows' clusters too.
        """
        from components._shared.model_inputs import input_columns, input_values
        from components._shared.tables import iter_batches

        clusters = clusters and "_cluster" in self.manifest.columns
        own = ["_label", "_weight", *(["_cluster"] if clusters else [])]
        names = list(dict.fromkeys([*self.features, *own]))
        for batch in iter_batches(manifest or self.manifest, names, batch_rows):
            position = batch.schema.get_field_index("_label")
            if batch.column(position).null_count:
                batch = batch.filter(batch.column(position).is_valid())
            if batch.num_rows:
                yield LabelledBatch(
                    features=input_columns(batch, self.features.items()),
                    labels=batch.column(position).to_numpy(zero_copy_only=False),
                    weights=batch.column(position + 1).fill_null(1.0).to_numpy(zero_copy_only=False),
                    clusters=input_values(batch.column(position + 2), "categorical") if clusters else None,  # type: ignore[arg-type]
                )

    def dataset(self, batch_size: int, shuffle_seed: int | None = None) -> Any:
        """A `tf.data.Dataset` of (signature argument → [batch, 1] tensor, labels, weights).

        Args:
            batch_size: Rows in a batch; the last one of a block of 32,768 rows may have fewer.
            shuffle_seed: Shuffles the blocks of rows, and the rows within each; None: in order of time.
        """
        from components.train.feeding import raw_dataset

        return raw_dataset(self, batch_size, shuffle_seed)


@dataclass(frozen=True)
class LabelStatistics:
    """The training labels at a glance; shares and moments are weighted.

    Attributes:
        base: The constant competitor: (rate of the positive class,), class rates, or (mean,).
        std: Standard deviation.
        mean_weight: Mean of the row weights.
    """

    rows: int
    base: tuple[float, ...]
    std: float
    mean_weight: float


@dataclass(frozen=True)
class TrainingJob:
    """What a trainer is given.

    Attributes:
        features: Feature column → kind, in the order of the task file.
        inputs: Feature column → argument of the `serving_default` signature that the model must have.
        parameters: From the task file or the run; read them with `read_parameters`.
        budget: Largest number of epochs; 0: the trainer's own.
        checkpoints: Where the state after each epoch is kept, if anywhere.
        model_dir: Where the SavedModel goes; the directory does not exist yet.
    """

    problem: Problem
    classes: tuple[str | int, ...] | None
    features: dict[str, FeatureKind]
    inputs: dict[str, ModelInput]
    parameters: dict[str, Any]
    seed: int
    budget: int
    train: LabelledRows
    tune: LabelledRows
    labels: LabelStatistics
    tune_rows: int
    checkpoints: Checkpoints
    model_dir: Path

    def read_parameters(self, accepted: type[Parameters]) -> Parameters:
        """The parameters, checked against the fields of a contract.

        Raises:
            TrainerError: One is unknown or has a value that it cannot take; the message lists the accepted ones.
        """
        known = {name: model_field.get_default() for name, model_field in accepted.model_fields.items()}
        choice = ", ".join(f"{name} ({_plain(default)})" for name, default in known.items()) or "none"
        fix = f"this trainer accepts, with its defaults: {choice}"
        unknown = [name for name in self.parameters if name not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise TrainerError(
                f"The trainer has no parameter {', '.join(repr(name) for name in unknown)}{hint}",
                where="trainer.parameters",
                fix=fix,
            )
        try:
            return accepted.from_value(self.parameters, where="trainer.parameters", error=TrainerError)
        except TrainerError as cause:
            raise TrainerError(cause.what, where=cause.where, fix=fix) from cause


@dataclass(frozen=True)
class TrainedModel:
    """What a trainer returns besides the SavedModel that it wrote to `model_dir`.

    Attributes:
        metrics: Figures for the Kubeflow UI, such as `tune_loss`.
        coefficients: Linear models: term → weight on the standardised scale.
        terms: Linear models: the same on the natural scale, with intervals.
        encoding: Feature → how it is prepared.
        native: Feature → the model's own figures, such as `gain` and `splits` of trees.
        documents: `pmml`, `pfa` → name of a file in `model_dir` that holds the same function.
        notices: What a reader of the report should know.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    coefficients: dict[str, float] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    encoding: dict[str, FeatureEncodingInfo] = field(default_factory=dict)
    native: dict[str, dict[str, float]] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
