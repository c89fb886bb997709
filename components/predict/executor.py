"""Scores rows with a model: one table that evaluation, comparison and drift all read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from components._shared.digests import manifest_digest
from components._shared.errors import DataError, ModelError, TaskError
from components._shared.manifest import Manifest, Shard
from components._shared.model_files import registered_model, verify_model
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import check_features, score_columns
from components._shared.records import ModelRef
from components._shared.saved_model import SavedModel
from components._shared.scoring import BATCH_ROWS, check_finite, score_batch
from components._shared.tables import ShardWriter, arrow_schema, iter_batches, save_manifest
from components._shared.task import RESERVED_PREFIX, ColumnType, ScoringSection


def predict(
    *,
    examples: Manifest,
    data_root: str,
    scoring: ScoringSection,
    model: Path | None = None,
    registered: ModelRef | None = None,
) -> Manifest:
    """Scores every row, in the order of the rows.

    Args:
        examples: The rows.
        data_root: Where the predictions' shards go.
        scoring: Names the problem, its classes, and the slices whose columns the predictions carry.
        model: Directory of a model.
        registered: A version in the registry, in its place; neither of them: the predictions are empty.

    Raises:
        CorruptError, NotFoundError: The model is not the one that was trained, or is gone.
        ModelError: The model does not load, does not answer, or answers with something else than scores.
        DataError: The rows lack a feature, or a score is not a finite number.
    """
    kept = _kept(examples, scoring)
    columns: dict[str, ColumnType] = {**kept, **dict.fromkeys(score_columns(scoring), "float64")}
    place: AbstractContextManager[Path]
    if model is not None:
        place = nullcontext(model)
    elif registered is not None:
        place = registered_model(registered)
    else:
        return _manifest(examples, data_root, columns, (), None)
    with place as folder:
        info = verify_model(folder)
        check_features(info.learning.features, examples.columns, where=f"{examples.role} rows")
        shards = _score(examples, data_root, columns, list(kept), folder, info)
    return _manifest(examples, data_root, columns, shards, info)


def _score(
    examples: Manifest,
    data_root: str,
    columns: Mapping[str, ColumnType],
    kept: Sequence[str],
    folder: Path,
    info: ModelInfo,
) -> tuple[Shard, ...]:
    import pyarrow as pa

    scores = [name for name in columns if name not in kept]
    read = list(dict.fromkeys([*kept, *info.learning.features]))
    model = SavedModel(folder)
    with ShardWriter(data_root, columns) as writer:
        for batch in iter_batches(examples, read, BATCH_ROWS):
            found = score_batch(model, info, batch)
            if found.shape[1] != len(scores):
                raise ModelError(
                    f"The model answers {found.shape[1]} scores for a row, the task has {len(scores)} of them",
                    where=f"model {info.digest}",
                    fix="its classes are not those of the task: roll back, or start a task of another name",
                )
            check_finite(batch, found, "predict")
            arrays = [batch.column(batch.schema.get_field_index(name)) for name in kept]
            arrays += [pa.array(found[:, number]) for number in range(len(scores))]
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns)))
        return writer.close()


def _kept(examples: Manifest, scoring: ScoringSection) -> dict[str, ColumnType]:
    """The columns that predictions take over from the rows: Saiki's own, and the slices'."""
    for name in scoring.slices:
        if name not in examples.columns:
            raise DataError(f"The rows have no column for the slice '{name}'", where=f"{examples.role} rows")
    for name in set(score_columns(scoring)) & set(scoring.slices):
        raise TaskError(
            f"A slice column is called '{name}', as the model's output is",
            where="slices",
            fix="give it another name with a derived column",
        )
    own = [name for name in examples.columns if name.startswith(RESERVED_PREFIX)]
    return {name: examples.columns[name] for name in dict.fromkeys([*own, *scoring.slices])}


def _manifest(
    examples: Manifest,
    data_root: str,
    columns: dict[str, ColumnType],
    shards: tuple[Shard, ...],
    info: ModelInfo | None,
) -> Manifest:
    made_from = {"examples": examples.digest, **({} if info is None else {"model": info.digest})}
    predictions = Manifest(
        role="predictions",
        digest=manifest_digest(columns, shards),
        columns=columns,
        shards=shards,
        count=sum(shard.stop - shard.start for shard in shards),
        window=examples.window,
        shares=examples.shares,
        timezone=examples.timezone,
        made_from=made_from,
        model="" if info is None else info.digest,
        fit_until=None if info is None else info.fit_until,
        held_out=None if info is None else info.held_out,
        base=() if info is None else info.base,
    )
    save_manifest(predictions, data_root)
    return predictions
