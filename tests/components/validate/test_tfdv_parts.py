"""What is imported around TFDV's `__init__` computes what its public functions compute."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components._shared.errors import InputError
from components.validate import pinned, statistics
from components.validate.distributions import distributions

ROOT = Path(__file__).resolve().parents[3]


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_loading_imports_neither_tensorflow_nor_beam_and_leaves_no_stand_in() -> None:
    out = run_python(
        "import sys\n"
        "from components.validate import tfdv_parts\n"
        "parts = tfdv_parts.load()\n"
        "print({'tensorflow', 'apache_beam', 'tensorflow_data_validation'} & set(sys.modules))\n"
    )
    assert out.strip() == "set()"


@pytest.mark.parametrize("loaded_first", ["parts", "tfdv"])
def test_in_memory_equals_the_public_functions_of_tfdv(case: Any, tmp_path: Path, loaded_first: str) -> None:
    """In a process of its own: also that the real TFDV can be imported before or after, and works."""
    manifest = tmp_path / "manifest.json"
    manifest.write_text(case.manifest("train", case.train).to_json(), encoding="utf-8")
    first = {"parts": "tfdv_parts.load()", "tfdv": "import tensorflow_data_validation"}[loaded_first]
    out = run_python(
        f"""
from pathlib import Path
import pyarrow as pa
from components._shared.manifest import Manifest
from components._shared.task import Column
from components.validate import pinned, statistics, tfdv_parts
{first}
manifest = Manifest.from_json(Path({str(manifest)!r}).read_text())
kinds = {{"carrier": "categorical", "distance": "numeric", "minute": "numeric", "_label": "boolean"}}
ours = statistics.in_memory(manifest, kinds)

import apache_beam
import tensorflow
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
assert apache_beam.__version__ and tensorflow.__version__ and tfdv.__version__
batches = list(statistics.measured_batches(manifest, kinds))
assert len(batches) == 1
options = tfdv.StatsOptions(num_histogram_buckets=20, num_rank_histogram_buckets=10_000)
theirs = statistics.in_order(stats_impl.generate_statistics_in_memory(batches[0], options))
for feature in ours.datasets[0].features:
    del feature.custom_stats[:]
assert ours.SerializeToString(deterministic=True) == theirs.SerializeToString(deterministic=True)

columns = {{"carrier": Column(type="string", domain=("UA",), max_missing=0),
            "distance": Column(type="float64", min=500, max_missing=0.01),
            "minute": Column(type="int64"), "_label": Column(type="float64")}}
schema = pinned.metadata_schema(columns, kinds, 0.05)
found = pinned.validate_statistics(ours, schema)
assert set(found.anomaly_info) == {{"carrier", "distance"}}, found.anomaly_info
assert found == tfdv.validate_statistics(theirs, schema)
print("equal")
"""
    )
    assert out.strip() == "equal"


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
