"""What we rely on in a KFP API server. The twin and the real one must agree, or the other tests prove nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kfp_server_api as api
import pytest
import yaml

from pipelines.cluster.connection import Connection, KfpError, equals

Later = Callable[[Callable[[], Any]], None]


@pytest.fixture
def experiment_id(connection: Connection, name: str, later: Later) -> str:
    made = connection.experiment_id(name)
    later(lambda: connection.client.delete_experiment(made))
    return made


@pytest.fixture
def version(connection: Connection, name: str, hello: Path, later: Later) -> Any:
    """A pipeline with one version, `v1`."""
    pipeline_id = connection.pipeline_id(name, "what a contract test needs")
    later(lambda: connection.client.delete_pipeline(pipeline_id))
    made = upload(connection, hello, pipeline_id, "v1")
    later(lambda: connection.client.delete_pipeline_version(pipeline_id, made.pipeline_version_id))
    return made


def upload(connection: Connection, path: Path, pipeline_id: str, name: str) -> Any:
    return connection.client.pipeline_uploads.upload_pipeline_version(
        str(path), name=name, display_name=name, pipelineid=pipeline_id, description="made by a test"
    )


def reference(version: Any) -> api.V2beta1PipelineVersionReference:
    return api.V2beta1PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id=version.pipeline_version_id
    )


def run_of(version: Any, experiment_id: str, **changes: Any) -> api.V2beta1Run:
    parameters = changes.pop("parameters", {"text": "hello"})
    given: dict[str, Any] = {
        "display_name": "a run",
        "experiment_id": experiment_id,
        "pipeline_version_reference": reference(version),
        "runtime_config": api.V2beta1RuntimeConfig(parameters=parameters),
    }
    return api.V2beta1Run(**given | changes)


def start(connection: Connection, later: Later, run: api.V2beta1Run) -> Any:
    made = connection.client.runs.run_service_create_run(run=run)
    later(lambda: connection.client.delete_run(made.run_id))
    later(lambda: stop(connection, made.run_id))
    return made


def stop(connection: Connection, run_id: str) -> None:
    try:
        connection.client.terminate_run(run_id)
    except KfpError as error:
        assert error.status == 400, error  # it has ended


def refused(status: int, call: Callable[[], Any]) -> KfpError:
    with pytest.raises(KfpError) as caught:
        call()
    assert caught.value.status == status, caught.value
    return caught.value


def test_the_server_says_how_it_is(connection: Connection) -> None:
    assert connection.client.healthzs.healthz_service_get_healthz().multi_user is not None


def test_names_of_pipelines_and_versions_are_unique(
    connection: Connection, version: Any, name: str, hello: Path
) -> None:
    pipeline = api.V2beta1Pipeline(name=name, display_name=name)
    if connection.namespace:
        pipeline.namespace = connection.namespace
    refused(409, lambda: connection.client.pipelines.pipeline_service_create_pipeline(pipeline=pipeline))
    refused(409, lambda: upload(connection, hello, version.pipeline_id, "v1"))
    other = upload(connection, hello, version.pipeline_id, "v2")
    assert other.pipeline_version_id != version.pipeline_version_id
    connection.client.delete_pipeline_version(version.pipeline_id, other.pipeline_version_id)


def test_a_version_keeps_its_pipeline(connection: Connection, version: Any, hello: Path) -> None:
    found = connection.client.get_pipeline_version(version.pipeline_id, version.pipeline_version_id)
    assert (found.name, found.display_name) == ("v1", "v1")
    assert found.description == "made by a test"
    wanted = next(yaml.safe_load_all(hello.read_text()))
    assert found.pipeline_spec["root"] == wanted["root"]
    assert found.pipeline_spec["pipelineInfo"] == wanted["pipelineInfo"]


# Text that is not YAML at all is not among them: KFP 2.17.0 never stops reading it.
@pytest.mark.parametrize("text", ["just text", "a: b", "pipelineInfo: {name: x}\nschemaVersion: 2.0.0\nroot: {}\n"])
def test_what_is_no_pipeline_is_not_taken(connection: Connection, version: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    refused(400, lambda: upload(connection, path, version.pipeline_id, "v2"))


def test_a_version_needs_its_pipeline(connection: Connection, hello: Path) -> None:
    refused(400, lambda: upload(connection, hello, "4c5cb7cd-1111-4222-8333-000000000000", "v1"))


def test_a_pipeline_with_versions_is_not_deleted(connection: Connection, version: Any) -> None:
    refused(400, lambda: connection.client.delete_pipeline(version.pipeline_id))


def test_what_is_not_there_is_not_found(connection: Connection) -> None:
    nobody = "4c5cb7cd-1111-4222-8333-000000000000"
    client = connection.client
    for call in (
        client.get_pipeline,
        client.get_run,
        client.get_recurring_run,
        client.delete_run,
        client.terminate_run,
    ):
        assert nobody in refused(404, lambda call=call: call(nobody)).what  # type: ignore[misc]
    refused(404, lambda: client.get_experiment(experiment_id=nobody))
    refused(404, lambda: client.list_runs(experiment_id=nobody))


def test_an_experiment_is_one_of_its_name(connection: Connection, experiment_id: str, name: str) -> None:
    again = api.V2beta1Experiment(display_name=name, namespace=connection.namespace or None)
    refused(409, lambda: connection.client.experiments.experiment_service_create_experiment(experiment=again))
    assert connection.experiment_id(name) == experiment_id


def test_a_run_begins_as_it_was_ordered(connection: Connection, version: Any, experiment_id: str, later: Later) -> None:
    wanted = {"text": "hello", "number": 4, "share": 0.25, "options": {"a": [1, "b"]}, "loud": True}
    made = start(connection, later, run_of(version, experiment_id, parameters=wanted, description="told apart by this"))
    found = connection.client.get_run(made.run_id)
    assert (found.display_name, found.description) == ("a run", "told apart by this")
    assert found.experiment_id == experiment_id
    assert found.runtime_config.parameters == wanted
    assert found.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert found.state in ("PENDING", "RUNNING", "FAILED")
    assert found.service_account
    assert found.storage_state == "AVAILABLE"


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({}, "text"),
        ({"text": 3}, "text"),
        ({"text": "a", "number": "many"}, "number"),
        ({"text": "a", "options": [1]}, "options"),
        ({"text": "a", "txet": "b"}, "txet"),
    ],
    ids=["missing", "not text", "not a number", "not a mapping", "unknown"],
)
def test_parameters_of_a_run_must_be_those_of_the_pipeline(
    connection: Connection, version: Any, experiment_id: str, parameters: dict[str, Any], problem: str
) -> None:
    run = run_of(version, experiment_id, parameters=parameters)
    error = refused(400, lambda: connection.client.runs.run_service_create_run(run=run))
    assert problem in error.what
    assert not error.unsure


def test_a_run_of_what_is_not_there_is_an_internal_error(
    connection: Connection, version: Any, experiment_id: str
) -> None:
    nobody = api.V2beta1PipelineVersionReference(
        pipeline_id=version.pipeline_id, pipeline_version_id="4c5cb7cd-1111-4222-8333-000000000000"
    )
    run = run_of(version, experiment_id, pipeline_version_reference=nobody)
    error = refused(500, lambda: connection.client.runs.run_service_create_run(run=run))
    assert not error.unsure


def test_runs_are_found_by_name_and_page_by_page(
    connection: Connection, version: Any, experiment_id: str, later: Later
) -> None:
    names = [f"run {number}" for number in range(5)]
    for each in names:
        start(connection, later, run_of(version, experiment_id, display_name=each))
    listed = connection.client.runs.run_service_list_runs
    found = listed(experiment_id=experiment_id, page_size=2, sort_by="display_name desc")
    assert [run.display_name for run in found.runs] == ["run 4", "run 3"]
    assert found.total_size == 5
    found = listed(
        experiment_id=experiment_id, page_size=2, sort_by="display_name desc", page_token=found.next_page_token
    )
    assert [run.display_name for run in found.runs] == ["run 2", "run 1"]
    [one] = connection.pages(listed, "runs", experiment_id=experiment_id, filter=equals("display_name", "run 3"))
    assert one.display_name == "run 3"
    part = json.dumps({"predicates": [{"operation": "IS_SUBSTRING", "key": "name", "string_value": "n 3"}]})
    assert listed(experiment_id=experiment_id, filter=part).total_size == 1
    assert not listed(experiment_id=experiment_id, filter=equals("display_name", "none")).runs
    refused(400, lambda: listed(experiment_id=experiment_id, filter=equals("colour", "red")))
    refused(400, lambda: listed(experiment_id=experiment_id, filter="{"))
    refused(400, lambda: listed(experiment_id=experiment_id, sort_by="colour"))
    refused(400, lambda: listed(experiment_id=experiment_id, page_token="not one"))
    refused(400, lambda: listed(experiment_id=experiment_id, page_size=-1))


def test_a_run_is_stopped_once(connection: Connection, version: Any, experiment_id: str, later: Later) -> None:
    made = start(connection, later, run_of(version, experiment_id))
    connection.client.terminate_run(made.run_id)
    assert connection.client.get_run(made.run_id).state in ("CANCELING", "CANCELED", "FAILED")
    refused(400, lambda: connection.client.terminate_run(made.run_id))


def recurring(version: Any, experiment_id: str, **changes: Any) -> api.V2beta1RecurringRun:
    given: dict[str, Any] = {
        "display_name": "every night",
        "description": "made by a test",
        "experiment_id": experiment_id,
        "pipeline_version_reference": reference(version),
        "runtime_config": api.V2beta1RuntimeConfig(parameters={"text": "hello"}, pipeline_root="s3://bucket/root"),
        "trigger": api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron="0 0 2 1 1 *")),
        "max_concurrency": "1",
        "no_catchup": True,
        "mode": "DISABLE",
    }
    return api.V2beta1RecurringRun(**given | changes)


def test_a_recurring_run_is_kept_as_it_was_ordered(
    connection: Connection, version: Any, experiment_id: str, later: Later
) -> None:
    calls = connection.client.recurring_runs
    made = calls.recurring_run_service_create_recurring_run(recurring_run=recurring(version, experiment_id))
    later(lambda: connection.client.delete_recurring_run(made.recurring_run_id))
    found = connection.client.get_recurring_run(made.recurring_run_id)
    assert (found.display_name, found.description) == ("every night", "made by a test")
    assert found.trigger.cron_schedule.cron == "0 0 2 1 1 *"
    assert (found.max_concurrency, found.no_catchup) == ("1", True)
    assert (found.mode, found.status) == ("DISABLE", "DISABLED")
    assert found.runtime_config.parameters == {"text": "hello"}
    assert found.runtime_config.pipeline_root == "s3://bucket/root"
    assert found.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert found.experiment_id == experiment_id
    assert found.service_account
    connection.client.enable_recurring_run(made.recurring_run_id)
    connection.client.enable_recurring_run(made.recurring_run_id)
    assert connection.client.get_recurring_run(made.recurring_run_id).status == "ENABLED"
    connection.client.disable_recurring_run(made.recurring_run_id)
    [listed] = connection.client.list_recurring_runs(experiment_id=experiment_id).recurring_runs
    assert (listed.recurring_run_id, listed.status) == (made.recurring_run_id, "DISABLED")
    connection.client.delete_recurring_run(made.recurring_run_id)
    refused(404, lambda: connection.client.get_recurring_run(made.recurring_run_id))


def test_recurring_runs_may_have_the_same_name(
    connection: Connection, version: Any, experiment_id: str, later: Later
) -> None:
    calls = connection.client.recurring_runs
    for _ in range(2):
        made = calls.recurring_run_service_create_recurring_run(recurring_run=recurring(version, experiment_id))
        later(lambda key=made.recurring_run_id: connection.client.delete_recurring_run(key))  # type: ignore[misc]
    assert connection.client.list_recurring_runs(experiment_id=experiment_id).total_size == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"max_concurrency": "0"},
        {"max_concurrency": "11"},
        {"trigger": api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron="0 2 * *"))},
        {"trigger": api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron="0 0 25 * * *"))},
        {"trigger": api.V2beta1Trigger(periodic_schedule=api.V2beta1PeriodicSchedule(interval_second="0"))},
        {"runtime_config": api.V2beta1RuntimeConfig(parameters={"text": "a", "txet": "b"})},
        {"runtime_config": api.V2beta1RuntimeConfig(parameters={})},
    ],
    ids=["no concurrency", "too much of it", "four fields", "25 o'clock", "no interval", "unknown", "missing"],
)
def test_a_recurring_run_that_cannot_be_is_refused(
    connection: Connection, version: Any, experiment_id: str, changes: dict[str, Any]
) -> None:
    wanted = recurring(version, experiment_id, **changes)
    refused(
        400,
        lambda: connection.client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=wanted),
    )


def test_an_interval_starts_and_ends(connection: Connection, version: Any, experiment_id: str, later: Later) -> None:
    schedule = api.V2beta1PeriodicSchedule(
        interval_second="3600", start_time="2031-01-01T00:00:00Z", end_time="2032-01-01T00:00:00Z"
    )
    wanted = recurring(version, experiment_id, trigger=api.V2beta1Trigger(periodic_schedule=schedule))
    made = connection.client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=wanted)
    later(lambda: connection.client.delete_recurring_run(made.recurring_run_id))
    found = connection.client.get_recurring_run(made.recurring_run_id).trigger.periodic_schedule
    assert found.interval_second == "3600"
    assert (found.start_time.year, found.end_time.year) == (2031, 2032)


def test_fields_that_nobody_knows_are_refused(connection: Connection, experiment_id: str) -> None:
    refused(
        400,
        lambda: connection.client.runs.run_service_create_run(run={"display_name": "a", "colour": "red"}),
    )
