"""The same statistics on an Apache Beam runner, for rows that are too many for one machine."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components._shared import storage
from components._shared.errors import InputError
from components._shared.manifest import Manifest
from components.validate.quantiles import FineQuantiles
from components.validate.statistics import generators, in_order, measured_batches

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.task import FeatureKind


def with_beam(manifest: Manifest, kinds: Mapping[str, FeatureKind], flags: str) -> Any:
    """The statistics of some columns; each worker reads the shards that it is given.

    Args:
        manifest: The rows, at least one.
        kinds: Column → kind under which it is measured.
        flags: Pipeline options, such as `--runner=DirectRunner --direct_num_workers=2`.

    Returns:
        A `DatasetFeatureStatisticsList` with one dataset.

    Raises:
        InputError: The flags name no runner.
    """
    import apache_beam as beam
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import statistics_pb2

    options = tfdv.StatsOptions(add_default_generators=False, generators=generators(_fine_quantiles()))
    # Workers share nothing with this process but the store where the shards lie: the result comes back through it.
    data_root = manifest.shards[0].uri.rsplit("/", 2)[0]
    uri = storage.join(data_root, "scratch", f"statistics-{secrets.token_hex(8)}.pb")
    alone = {"sources": (), "examples": (), "set_aside": ()}
    shards = [manifest.model_copy(update={**alone, "shards": (shard,)}).to_json() for shard in manifest.shards]
    with _pipeline(flags) as pipeline:
        _ = (
            pipeline
            | "shards" >> beam.Create(shards)
            | "spread" >> beam.Reshuffle()
            | "read" >> beam.FlatMap(_read, kinds=dict(kinds))
            | "measure" >> tfdv.GenerateStatistics(options)
            | "write" >> beam.Map(_write, uri=uri)
        )
    try:
        result = statistics_pb2.DatasetFeatureStatisticsList()
        result.ParseFromString(storage.read(uri))
    finally:
        storage.delete(uri)
    return in_order(result)


def _pipeline(flags: str) -> Any:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        return beam.Pipeline(options=PipelineOptions(shlex.split(flags)))
    except (ValueError, SystemExit) as cause:
        raise InputError(
            f"Apache Beam does not accept these options: {flags}",
            where="the parameter runner",
            fix="give the flags of a runner, for example --runner=DirectRunner, or nothing to compute in memory",
        ) from cause


def _read(shard: str, kinds: Mapping[str, FeatureKind]) -> Iterator[pa.RecordBatch]:
    yield from measured_batches(Manifest.from_json(shard), kinds)


def _write(statistics: Any, uri: str) -> None:
    # A runner may do it twice: the statistics are the same.
    storage.ensure(uri, statistics.SerializeToString(deterministic=True))


def _fine_quantiles() -> Any:
    from tensorflow_data_validation.statistics.generators.stats_generator import CombinerStatsGenerator

    class Generator(FineQuantiles, CombinerStatsGenerator):  # type: ignore[misc]
        """The fine quantiles as one of TFDV's generators."""

    return Generator("fine_quantiles")
