from __future__ import annotations

from pathlib import Path

import pytest

from components._shared.errors import InputError
from pipelines.cluster.compiled import CompiledPipeline, RunParameter
from pipelines.cluster.settings import ClusterSettings
from pipelines.run_parameters import MOST_BYTES, check_run_parameters, cluster_parameters, read_run_parameters

KNOWN = {
    "task": str,
    "as_of": str,
    "sample": float,
    "budget": int,
    "parameters": dict,
    "loud": bool,
    "fail_on": str,
    "names": list,
}
SETTINGS = ClusterSettings(data_root="gs://b/data", registry="s3://b/registry")


def pipeline(**parameters: RunParameter) -> CompiledPipeline:
    required = {name: RunParameter(str, None, "") for name in ("task", "data_root", "registry")}
    return CompiledPipeline("training", "", "", required | parameters, ())


def test_the_settings_come_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("task: gs://b/task.yaml\nbudget: 1\nparameters: {epochs: 1, seed: 2}\n")
    found = read_run_parameters(KNOWN, path, ("budget=3", "parameters.epochs=4"))
    assert found == {"task": "gs://b/task.yaml", "budget": 3, "parameters": {"epochs": 4, "seed": 2}}


def test_values_are_of_their_types() -> None:
    given = ("task=2024-01-01", "sample=1", "loud=true", "names=[a, b]", "fail_on=")
    found = read_run_parameters(KNOWN, None, given)
    assert found == {"task": "2024-01-01", "sample": 1.0, "loud": True, "names": ["a", "b"], "fail_on": ""}
    assert isinstance(found["sample"], float)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sample=true", "True is not a value for 'sample'"),
        ("budget=1.5", "1.5 is not a value for 'budget'"),
        ("loud=1", "1 is not a value for 'loud'"),
        ("names=a", "'a' is not a value for 'names'"),
        ("parameters=a", "'a' is not a value for 'parameters'"),
        ("fail_on=rejected,lost", "There is no result 'lost'"),
        ("tasc=a", "did you mean 'task'"),
        ("budget", "is not NAME=VALUE"),
        ("budget=[", "not readable YAML"),
        ("as_of=2013-13-01", "'2013-13-01' is not a date or moment"),
    ],
)
def test_what_cannot_be_is_refused(given: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_run_parameters(KNOWN, None, (given,))
    assert said in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("text", ["- a\n", "a: [\n"])
def test_a_file_that_is_none_of_parameters(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError):
        read_run_parameters(KNOWN, tmp_path / "params.yaml", ())
    with pytest.raises(InputError, match="no such file"):
        read_run_parameters(KNOWN, tmp_path / "none.yaml", ())


def test_another_source_of_parameters_is_named() -> None:
    with pytest.raises(InputError) as caught:
        check_run_parameters(KNOWN, {"bugdet": 3}, where="parameters of nightly in schedules.yaml")
    assert caught.value.where == "parameters of nightly in schedules.yaml"


def test_on_a_cluster_the_roots_come_from_its_settings() -> None:
    found = cluster_parameters(pipeline(), {"task": "gs://b/task.yaml"}, SETTINGS)
    assert found == {"task": "gs://b/task.yaml", "data_root": "gs://b/data", "registry": "s3://b/registry"}
    found = cluster_parameters(pipeline(), {"task": "gs://b/task.yaml", "registry": "gs://other"}, SETTINGS)
    assert found["registry"] == "gs://other"


@pytest.mark.parametrize("place", ["/home/anna/task.yaml", "task.yaml", "file:///task.yaml"])
def test_on_a_cluster_nothing_lies_on_this_machine(place: str) -> None:
    with pytest.raises(InputError, match="lies on this machine"):
        cluster_parameters(pipeline(), {"task": place}, SETTINGS)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="No task is given"):
        cluster_parameters(pipeline(), {}, SETTINGS)
    with pytest.raises(InputError, match="No data_root is given"):
        cluster_parameters(pipeline(), {"task": "gs://b/t.yaml"}, ClusterSettings())


def test_parameters_have_a_size() -> None:
    given = {"task": "gs://b/task.yaml", "note": "x" * (MOST_BYTES - 120)}
    assert cluster_parameters(pipeline(note=RunParameter(str, "", "")), given, SETTINGS)
    with pytest.raises(InputError, match="takes 10,000") as caught:
        cluster_parameters(pipeline(note=RunParameter(str, "", "")), given | {"note": "x" * MOST_BYTES}, SETTINGS)
    assert "note" in caught.value.where
