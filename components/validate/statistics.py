"""Statistics of TensorFlow Data Validation over the rows of a manifest.

A column enters by its kind: categories as strings, booleans as 0 and 1, dates and moments as microseconds since 1970
(UTC), numbers as they are. Nulls and NaN are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components._shared.tables import iter_batches
from components.validate.quantiles import FineQuantiles

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.manifest import Manifest
    from components._shared.task import ColumnType, FeatureKind

BATCH_ROWS = 131_072
_BARS = 20
_CATEGORIES = 10_000

_KIND_OF: dict[ColumnType, FeatureKind] = {
    "int64": "numeric",
    "float64": "numeric",
    "string": "categorical",
    "bool": "boolean",
    "timestamp": "datetime",
    "date": "datetime",
}


def kind_of(column_type: ColumnType) -> FeatureKind:
    """The kind under which a column that is no feature is measured."""
    return _KIND_OF[column_type]


def in_memory(manifest: Manifest, kinds: Mapping[str, FeatureKind]) -> Any:
    """The statistics of some columns, batch by batch, as `tfdv.GenerateStatistics` would give them.

    Args:
        manifest: The rows.
        kinds: Column → kind under which it is measured.

    Returns:
        A `DatasetFeatureStatisticsList` with one dataset.
    """
    from tfx_bsl.statistics.merge_util import merge_dataset_feature_statistics

    made = generators(FineQuantiles())
    states = [generator.create_accumulator() for generator in made]
    for batch in measured_batches(manifest, kinds):
        states = [generator.add_input(state, batch) for generator, state in zip(made, states, strict=True)]
    outputs = [
        generator.extract_output(generator.compact(state)) for generator, state in zip(made, states, strict=True)
    ]
    return in_order(merge_dataset_feature_statistics(outputs))


def generators(fine: Any) -> list[Any]:
    """What measures: TFDV's own two with settings under which up to 10,000 categories are counted exactly, and ours."""
    from tensorflow_data_validation.statistics.generators.basic_stats_generator import BasicStatsGenerator
    from tensorflow_data_validation.statistics.generators.top_k_uniques_sketch_stats_generator import (
        TopKUniquesSketchStatsGenerator,
    )

    top = TopKUniquesSketchStatsGenerator(
        num_top_values=_BARS,
        num_rank_histogram_buckets=_CATEGORIES,
        num_misragries_buckets=16_384,
        num_kmv_buckets=16_384,
    )
    return [BasicStatsGenerator(num_histogram_buckets=_BARS), top, fine]


def in_order(statistics: Any) -> Any:
    """The same statistics with their columns sorted by name."""
    for dataset in statistics.datasets:
        by_name = sorted(dataset.features, key=lambda feature: feature.path.step[0])
        del dataset.features[:]
        dataset.features.extend(by_name)
    return statistics


def measured_batches(manifest: Manifest, kinds: Mapping[str, FeatureKind]) -> Iterator[pa.RecordBatch]:
    """Batches as TFDV takes them: every column a list column, missing values null lists."""
    import pyarrow as pa

    names = list(kinds)
    for batch in iter_batches(manifest, names, batch_rows=BATCH_ROWS):
        columns = [_listed(_by_kind(batch.column(i), kinds[name])) for i, name in enumerate(names)]
        yield pa.RecordBatch.from_arrays(columns, names)


def _by_kind(values: pa.Array, kind: FeatureKind) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind == "categorical" or pa.types.is_string(values.type):
        return values.cast(pa.string())
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("us", tz=values.type.tz)).cast(pa.int64())
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int64())
    if kind == "boolean":
        # Numbers that stand for a boolean: anything but 0 is true, as it is for the model.
        return pc.not_equal(values, pa.scalar(0, values.type)).cast(pa.int64())
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return values


def _listed(values: pa.Array) -> pa.Array:
    """One list per row, null where the value is missing."""
    import numpy as np
    import pyarrow as pa

    present = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(present, out=offsets[1:])
    if values.null_count == 0:
        return pa.LargeListArray.from_arrays(pa.array(offsets), values)
    missing = np.append(~present, False)
    return pa.LargeListArray.from_arrays(pa.array(offsets, mask=missing), values.drop_null())
