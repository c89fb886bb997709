"""The statistics are those of TFDV's public functions, in memory and on a Beam runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components._shared.errors import InputError
from components._shared.task import Column
from components.validate import pinned, statistics
from components.validate.distributions import distributions


def test_in_memory_equals_the_public_functions_of_tfdv(case: Any) -> None:
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl

    manifest = case.manifest("train", case.train)
    kinds = {"carrier": "categorical", "distance": "numeric", "minute": "numeric", "_label": "boolean"}
    ours = statistics.in_memory(manifest, kinds)
    (batch,) = statistics.measured_batches(manifest, kinds)
    options = tfdv.StatsOptions(num_histogram_buckets=20, num_rank_histogram_buckets=10_000)
    theirs = statistics.in_order(stats_impl.generate_statistics_in_memory(batch, options))
    for feature in ours.datasets[0].features:
        del feature.custom_stats[:]
    assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)


def test_the_pinned_schema_becomes_one_that_tfdv_objects_by(case: Any) -> None:
    import tensorflow_data_validation as tfdv

    columns = {
        "carrier": Column(type="string", domain=("UA",), max_missing=0),
        "distance": Column(type="float64", min=500, max_missing=0.01),
        "minute": Column(type="int64"),
        "_label": Column(type="float64"),
    }
    kinds = {"carrier": "categorical", "distance": "numeric", "minute": "numeric", "_label": "boolean"}
    measured = statistics.in_memory(case.manifest("train", case.train), kinds)
    found = tfdv.validate_statistics(measured, pinned.metadata_schema(columns, kinds, 0.05))
    assert set(found.anomaly_info) == {"carrier", "distance"}


@pytest.mark.parametrize("flags", ["--runner=DirectRunner", "--runner=DirectRunner --direct_num_workers=2"])
def test_a_beam_runner_gives_the_same_statistics(case: Any, moved: Callable[..., Any], flags: str) -> None:
    # Two shards, so that something is merged.
    one, two = case.manifest("train", case.train), case.manifest("train", moved(case.test))
    both = one.model_copy(update={"shards": (*one.shards, *two.shards), "count": one.count + two.count})
    kinds = {"carrier": "categorical", "distance": "numeric", "minute": "numeric", "_label": "boolean"}
    from components.validate.beam import with_beam

    ours = distributions(statistics.in_memory(both, kinds))
    beams = distributions(with_beam(both, kinds, flags))
    assert ours.keys() == beams.keys()
    for name, expected in ours.items():
        got = beams[name]
        assert (got.rows, got.missing, got.distinct) == (expected.rows, expected.missing, expected.distinct)
        assert got.categories == expected.categories
        if expected.numeric:
            assert (got.min, got.max) == (expected.min, expected.max)
            assert got.mean == pytest.approx(expected.mean)
            assert got.std == pytest.approx(expected.std)
            assert got.median == pytest.approx(expected.median, rel=0.01)
    assert not list((case.folder / "data" / "scratch").glob("*.pb"))


def test_a_whole_validation_on_a_beam_runner(case: Any) -> None:
    on_beam, in_memory = case.run(runner="--runner=DirectRunner"), case.run()
    assert on_beam.verdict == in_memory.verdict


def test_flags_that_are_no_runner_are_refused(case: Any) -> None:
    with pytest.raises(InputError, match="does not accept these options"):
        case.run(runner="--runner=NoSuchRunner")


def test_a_schema_is_complete(case: Any) -> None:
    schema = pinned.metadata_schema(dict(case.pinned), case.kinds, 0.05)
    assert [feature.name for feature in schema.feature] == ["carrier"]
    assert schema.feature[0].distribution_constraints.min_domain_mass == pytest.approx(0.95)
