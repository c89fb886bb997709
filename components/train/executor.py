"""Trains a model: finds the trainer, gives it the rows, and writes what it made with `model.json` beside it."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components._shared import storage
from components._shared.contract import digest_of
from components._shared.errors import DataError, ModelError, SaikiError, TrainerError
from components._shared.image import image_of
from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import check_features, model_inputs
from components._shared.saved_model import SavedModel
from components._shared.task import LearningSection
from components._shared.trainers import KNOWN, TRAINERS, target_of
from components.train.checkpoints import Checkpoints
from components.train.job import LabelledRows, LabelStatistics, TrainedModel, TrainingJob

Trainer = Callable[[TrainingJob], TrainedModel]


def train(
    *, train: Manifest, tune: Manifest, learning: LearningSection, model_dir: Path, checkpoints: str = ""
) -> ModelInfo:
    """Trains a model.

    Args:
        train: Rows to fit on.
        tune: Rows to stop early and calibrate on; may be empty.
        learning: Problem, features, trainer.
        model_dir: Where the model goes; it is there whole or not at all.
        checkpoints: Root of checkpoints; empty: none.

    Raises:
        TrainerError: The trainer is unknown, raises, diverges, or writes a model that does not honour the contract.
        DataError: There are no labelled rows, labels of one class only, or a feature without a fitting column.
    """
    trainer = find_trainer(learning.trainer.name)
    for part in (train, tune):
        check_features(learning.features, part.columns, where=f"{part.role} rows")
    inputs = model_inputs(learning.features)
    parts = {part.role: LabelledRows(part, dict(learning.features), inputs) for part in (train, tune)}
    labels = label_statistics(train, learning)
    tune_rows = label_statistics(tune, learning).rows if tune.count else 0
    made_from = {"train": train.digest, "tune": tune.digest, "learning": learning.content_digest()}
    code = image_of("train")
    folder = storage.join(checkpoints, digest_of([made_from, code])) if checkpoints else ""

    model_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".model-", dir=model_dir.parent) as scratch:
        job = TrainingJob(
            problem=learning.problem,
            classes=learning.classes,
            features=dict(learning.features),
            inputs=inputs,
            parameters=dict(learning.trainer.parameters),
            seed=learning.trainer.seed,
            budget=learning.budget,
            train=parts[train.role],
            tune=parts[tune.role],
            labels=labels,
            tune_rows=tune_rows,
            checkpoints=Checkpoints(folder),
            model_dir=Path(scratch) / "model",
        )
        trained = _run(trainer, job, learning.trainer.name)
        _check_signature(job, learning.trainer.name)
        latest = tune if tune_rows else train
        info = ModelInfo(
            digest=model_digest(job.model_dir),
            learning=learning,
            inputs=inputs,
            fit_until=None if latest.window is None else latest.window.end,
            held_out=None if latest.shares is None else latest.shares[0],
            base=labels.base,
            label_std=labels.std if learning.problem == "regression" else None,
            rows={"train": labels.rows, "tune": tune_rows},
            metrics=trained.metrics,
            curve=trained.curve,
            made_from=made_from,
            code=code,
            coefficients=trained.coefficients,
            terms=trained.terms,
            encoding=trained.encoding,
            native=trained.native,
            documents=trained.documents,
            notices=(*trained.notices, *_unknown_source(learning)),
        )
        (job.model_dir / MODEL_JSON).write_text(info.to_json(), encoding="utf-8")
        shutil.rmtree(model_dir, ignore_errors=True)
        job.model_dir.rename(model_dir)
    job.checkpoints.remove()
    return info


def find_trainer(name: str) -> Trainer:
    """The callable of a trainer's name.

    Raises:
        TrainerError: There is none, or its module cannot be imported.
    """
    module_name, function_name = target_of(name)
    try:
        module = importlib.import_module(module_name)
    except Exception as cause:
        raise TrainerError(
            f"The trainer's module {module_name} cannot be imported: {type(cause).__name__}: {cause}",
            where=_last_frame(cause) or "trainer.name",
            fix=KNOWN,
        ) from cause
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TrainerError(
            f"The module {module_name} has no function {function_name!r}", where="trainer.name", fix=KNOWN
        )
    return function  # type: ignore[no-any-return]


def _unknown_source(learning: LearningSection) -> list[str]:
    name = learning.trainer.name
    if learning.trainer_source or ":" not in name or name in TRAINERS.values():
        return []
    return [
        f"The source of the trainer {name} was not found when the run was planned, so an edit of it alone is no other "
        "experiment: change its name or a parameter with it."
    ]


def label_statistics(part: Manifest, learning: LearningSection) -> LabelStatistics:
    """Looks at the labels of a part.

    Raises:
        DataError: None are there, they are not numbers, not those of the problem, or (in *train*) all the same.
    """
    import numpy as np

    from components._shared.tables import iter_batches

    where, classes = f"{part.role} rows", max(len(learning.classes or ()), 2)
    rows, total, shares = 0, 0.0, np.zeros(classes)
    sums = np.zeros(2)
    lowest, highest, origin = np.inf, -np.inf, 0.0
    for batch in iter_batches(part, ["_label", "_weight"]):
        batch = batch.filter(batch.column(0).is_valid())
        labels = batch.column(0).to_numpy(zero_copy_only=False)
        weights = batch.column(1).fill_null(1.0).to_numpy(zero_copy_only=False)
        if not len(labels):
            continue
        _check_labels(labels, weights, learning, where)
        origin = origin if rows else float(labels[0])
        rows, total = rows + len(labels), total + float(weights.sum())
        # Moments are taken about the first label: of large labels, squares would lose all digits.
        sums += [((labels - origin) * weights).sum(), ((labels - origin) ** 2 * weights).sum()]
        lowest, highest = min(lowest, labels.min()), max(highest, labels.max())
        if learning.problem == "multiclass_classification":
            shares += np.bincount(labels.astype("int64"), weights, classes)
    if not rows:
        fix = "take a longer window, or look at the label's expression"
        raise DataError("No row has a label", where=where, fix=fix)
    if not total:
        raise DataError("All rows have the weight 0", where=where, fix="look at the weight column")
    if part.role == "train" and lowest == highest:
        kind = "value" if learning.problem == "regression" else "class"
        raise DataError(
            f"All {rows} labels are of one {kind}: there is nothing to learn",
            where=where,
            fix="take a longer window, or look at the label's expression",
        )
    mean, square = sums / total
    base = tuple((shares / total).tolist()) if learning.problem == "multiclass_classification" else (origin + mean,)
    std = float(np.sqrt(max(square - mean**2, 0.0)))
    return LabelStatistics(rows=rows, base=tuple(map(float, base)), std=std, mean_weight=total / rows)


def _check_labels(labels: Any, weights: Any, learning: LearningSection, where: str) -> None:
    import numpy as np

    if not np.isfinite(weights).all() or weights.min() < 0:
        raise DataError("Some weights are negative, or no numbers", where=where, fix="look at the weight column")
    expected = "finite numbers"
    fine = np.isfinite(labels).all()
    if learning.problem == "binary_classification":
        fine, expected = np.isin(labels, (0.0, 1.0)).all(), "0 or 1"
    elif learning.problem == "multiclass_classification":
        last = len(learning.classes or ()) - 1
        fine, expected = np.isin(labels, np.arange(last + 1)).all(), f"class indices from 0 to {last}"
    if not fine:
        raise DataError(f"Some labels are not {expected}", where=where, fix="look at the label of the task file")


def _run(trainer: Trainer, job: TrainingJob, name: str) -> TrainedModel:
    try:
        trained = trainer(job)
    except SaikiError:
        raise
    except Exception as cause:
        raise TrainerError(
            f"The trainer {name!r} raised {type(cause).__name__}: {cause}",
            where=_last_frame(cause),
            fix="the traceback is shown with --debug",
        ) from cause
    if not isinstance(trained, TrainedModel):
        raise TrainerError(
            f"The trainer {name!r} returned {type(trained).__name__}, not TrainedModel", fix="see docs/trainers.md"
        )
    return trained


def _check_signature(job: TrainingJob, name: str) -> None:
    """A model that breaks the contract is found here, not by the steps that ask it."""
    try:
        signature = SavedModel(job.model_dir).signature
    except (ModelError, OSError) as cause:
        raise TrainerError(
            f"The trainer {name!r} has not written a usable model: {getattr(cause, 'what', cause)}",
            where=str(job.model_dir),
            fix="write it with components.train.export.write_saved_model; see docs/trainers.md",
        ) from cause
    expected = {given.name: given.dtype for given in job.inputs.values()}
    found = {argument: spec.dtype for argument, spec in signature.inputs.items()}
    if found != expected or "score" not in signature.outputs:
        raise TrainerError(
            f"The model's signature takes {_listed(found)} and answers {', '.join(signature.outputs)}; "
            f"it must take {_listed(expected)} and answer score",
            where=f"trainer {name!r}",
            fix="write it with components.train.export.write_saved_model; see docs/trainers.md",
        )


def _listed(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name} ({dtype})" for name, dtype in sorted(arguments.items()))


def _last_frame(cause: BaseException) -> str:
    """The line that raised, unless it is the one that asked for the module."""
    frames = [
        frame
        for frame in traceback.extract_tb(cause.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
