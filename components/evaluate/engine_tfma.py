"""The second engine: figures by TensorFlow Model Analysis on a Beam runner, with its standard EvalResult kept.

The predictions of each model are read shard by shard on the workers. What TFMA has no metric for (expected calibration
error over equal-mass bins, macro F1, R², the multiclass Brier score), and all intervals, come from `figures.py`: TFMA's
own intervals resample rows, and rows of a day are not independent. Its areas under curves are sums over 10,000
thresholds, so they differ from the exact ones in the fourth decimal or so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.errors import InputError
from components._shared.evidence import Estimate, Figures, SliceFigures
from components._shared.gates import Metric
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import slice_text
from components._shared.measuring.figures import rounded
from components._shared.measuring.metrics import CLIP
from components._shared.task import EvaluationSection
from components._shared.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

LABEL, WEIGHT, PREDICTION = "_label", "_weight", "_prediction"
_BATCH_ROWS = 8192
_METRICS = {
    "binary_classification": ("AUC", "AUCPrecisionRecall", "BinaryCrossEntropy", "MeanSquaredError", "BinaryAccuracy"),
    "multiclass_classification": ("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"),
    "regression": ("MeanSquaredError", "MeanAbsoluteError", "MeanPrediction", "MeanLabel"),
}

Values = dict[tuple[str, str], dict[Metric, float]]
"""Slice (column, value) → metric → value."""


def replace_figures(
    overall: SliceFigures,
    slices: list[SliceFigures],
    *,
    manifests: dict[str, Manifest],
    section: EvaluationSection,
    start: datetime | None,
    beam_options: str,
    output: Path | None,
) -> tuple[SliceFigures, list[SliceFigures]]:
    """The same figures with TFMA's values in place of ours; each interval moves along with its value.

    Args:
        overall, slices: Our figures.
        manifests: Model → its predictions.
        section: Problem and slices.
        start: The first moment that is fair to the models.
        beam_options: Flags of the Beam runner, separated by spaces.
        output: Folder for the EvalResults, one below it for each model; none: they are not kept.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if output is None else output
        found = {
            name: analyse(manifest, section, start=start, beam_options=beam_options, output=folder / name)
            for name, manifest in manifests.items()
        }
    return _replaced(overall, found), [_replaced(one, found) for one in slices]


def analyse(
    manifest: Manifest, section: EvaluationSection, *, start: datetime | None, beam_options: str, output: Path
) -> Values:
    """Runs TFMA over the predictions of one model.

    Args:
        manifest: The predictions.
        section: Problem, classes, slices.
        start: Earlier rows are left out.
        beam_options: Flags of the Beam runner.
        output: Where the EvalResult goes.

    Returns:
        TFMA's figures under our names.

    Raises:
        InputError: Beam does not take the flags.
    """
    import apache_beam as beam
    import tensorflow_model_analysis as tfma
    from apache_beam.options.pipeline_options import PipelineOptions

    sliced = [name for name in section.slices if name in manifest.columns]
    config = _config(section, sliced)
    try:
        options = PipelineOptions(beam_options.split())
    except (ValueError, SystemExit) as cause:
        raise InputError(
            f"Apache Beam does not take the flags {beam_options!r}", where="parameter runner", fix=str(cause)
        ) from cause
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create([shard.to_json() for shard in manifest.shards])
            | "Spread" >> beam.Reshuffle()
            | "Rows" >> beam.FlatMap(shard_batches, manifest.to_json(), section.to_json(), start)
            | "Analyse" >> tfma.ExtractEvaluateAndWriteResults(eval_config=config, output_path=str(output))
        )
    result = tfma.load_eval_result(str(output))
    return dict(_figures(result, section))


def shard_batches(shard: str, manifest: str, section: str, start: datetime | None) -> Iterator[pa.RecordBatch]:
    """Batches of one shard as TFMA takes them: every column a list per row. Runs on Beam's workers.

    Args:
        shard: JSON of the shard.
        manifest: JSON of the predictions that it belongs to.
        section: JSON of the evaluation section.
        start: Earlier rows are left out.
    """
    from components._shared.manifest import Shard
    from components._shared.tables import iter_batches

    whole = Manifest.from_json(manifest)
    part = whole.model_copy(update={"shards": (Shard.from_json(shard),)})
    gates = EvaluationSection.from_json(section)
    scores = [f"score_{i}" for i in range(len(gates.classes))] if gates.classes else ["score"]
    sliced = [name for name in gates.slices if name in whole.columns]
    columns = list(dict.fromkeys([LABEL, WEIGHT, *scores, *sliced]))
    window = None if start is None else Window(start=start, end=datetime.max.replace(tzinfo=UTC))
    for batch in iter_batches(part, columns, batch_rows=_BATCH_ROWS, window=window):
        yield _lists(batch, scores, sliced, regression=gates.problem == "regression")


def _lists(batch: pa.RecordBatch, scores: list[str], sliced: list[str], *, regression: bool) -> pa.RecordBatch:
    import numpy as np
    import pyarrow as pa

    def column(name: str) -> Any:
        return batch.column(batch.schema.get_field_index(name))

    label = column(LABEL).to_numpy(zero_copy_only=False)
    weight = column(WEIGHT).to_numpy(zero_copy_only=False)
    kept = np.isfinite(label) & (weight > 0)
    score = np.stack([column(name).to_numpy(zero_copy_only=False)[kept] for name in scores], axis=1)
    if not regression:
        score = np.clip(score, CLIP, 1 - CLIP)  # TFMA's binary cross entropy takes the logarithm of 0
    rows = int(kept.sum())

    def singles(values: Any) -> Any:
        return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1), pa.int32()), values)

    arrays = [
        singles(pa.array(label[kept])),
        singles(pa.array(weight[kept])),
        pa.ListArray.from_arrays(
            pa.array(np.arange(rows + 1) * len(scores), pa.int32()), pa.array(np.ascontiguousarray(score).ravel())
        ),
    ]
    mask = pa.array(kept)
    for name in sliced:
        texts = [slice_text(value).encode() for value in column(name).filter(mask).to_pylist()]
        arrays.append(singles(pa.array(texts, pa.binary())))
    return pa.RecordBatch.from_arrays(arrays, [LABEL, WEIGHT, PREDICTION, *sliced])


def _config(section: EvaluationSection, sliced: list[str]) -> Any:
    # TFMA 0.52 no longer has these at its top level.
    from tensorflow_model_analysis.proto import config_pb2

    metrics = [config_pb2.MetricConfig(class_name=name) for name in ("ExampleCount", *_METRICS[section.problem])]
    config = config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(label_key=LABEL, prediction_key=PREDICTION, example_weight_key=WEIGHT),
        ],
        slicing_specs=[
            config_pb2.SlicingSpec(),
            *[config_pb2.SlicingSpec(feature_keys=[name]) for name in sliced],
        ],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
    )
    config.options.include_default_metrics.value = False
    return config


def _figures(result: Any, section: EvaluationSection) -> Iterator[tuple[tuple[str, str], dict[Metric, float]]]:
    for key, outputs in result.slicing_metrics:
        column, value = key[0] if key else ("", "")
        found = {
            name: one["doubleValue"]
            for names in outputs.values()
            for metrics in names.values()
            for name, one in metrics.items()
            if "doubleValue" in one
        }
        text = value.decode() if isinstance(value, bytes) else str(value)
        yield (column, text), _named(found, section)


def _named(found: dict[str, float], section: EvaluationSection) -> dict[Metric, float]:
    match section.problem:
        case "binary_classification":
            return {
                "auc": found["auc"],
                "pr_auc": found["auc_precision_recall"],
                "log_loss": found["binary_crossentropy"],
                "brier": found["mean_squared_error"],
                "accuracy": found["binary_accuracy"],
            }
        case "multiclass_classification":
            return {
                "accuracy": found["sparse_categorical_accuracy"],
                "log_loss": found["sparse_categorical_crossentropy"],
            }
        case "regression":
            return {
                "rmse": found["mean_squared_error"] ** 0.5,
                "mae": found["mean_absolute_error"],
                "bias": found["mean_prediction"] - found["mean_label"],
            }


def _replaced(figures: SliceFigures, found: dict[str, Values]) -> SliceFigures:
    place = (figures.column, figures.value)
    metrics = {}
    for metric, ours in figures.metrics.items():
        theirs = {name: values[place][metric] for name, values in found.items() if metric in values.get(place, {})}
        metrics[metric] = _moved(ours, theirs) if theirs else ours
    return figures.model_copy(update={"metrics": metrics})


def _moved(ours: Figures, theirs: dict[str, float]) -> Figures:
    candidate = theirs["candidate"]
    update: dict[str, Estimate | None] = {"candidate": _at(ours.candidate, candidate)}
    if "champion" in theirs:
        update["champion"] = _at(ours.champion, theirs["champion"])
        update["difference"] = _at(ours.difference, candidate - theirs["champion"])
    if "reference" in theirs:
        update["reference"] = _at(ours.reference, theirs["reference"])
        update["reference_difference"] = _at(ours.reference_difference, candidate - theirs["reference"])
    return ours.model_copy(update=update)


def _at(ours: Estimate | None, value: float) -> Estimate | None:
    if ours is None:
        return None
    pair = ours.interval
    by = value - ours.value
    moved = None if pair is None else (rounded(pair[0] + by), rounded(pair[1] + by))
    return ours.model_copy(update={"value": rounded(value), "interval": moved})
