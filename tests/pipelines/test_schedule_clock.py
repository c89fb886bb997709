"""Recurring runs of the twin come when KFP's own controller of schedules would start them."""

from datetime import UTC, datetime

import kfp_server_api as api
import pytest
from kfp import compiler

from pipelines.cluster.connection import connect
from tests.cluster import hello_pipeline
from tests.kfp_clock import Scheduler
from tests.kfp_server import kfp_server


class Clock:
    def __init__(self, server):
        self.server = server
        self.at("2024-06-01 12:00")
        server.now = lambda: self.now
        self.scheduler = Scheduler(server)

    def at(self, text):
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return self

    def recurring(self, trigger, **others):
        """A recurring run that is made now."""
        client = connect(self.server.endpoint).client
        wanted = {"display_name": "nightly", "max_concurrency": "1", "mode": "ENABLE", "no_catchup": True, **others}
        spec = {"pipeline_version_reference": api.V2beta1PipelineVersionReference(pipeline_id=self.pipeline_id)}
        job = api.V2beta1RecurringRun(**wanted, **spec, trigger=trigger)
        return client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=job).recurring_run_id

    def due(self, text):
        """When the runs that start at this moment were due; each ends at once."""
        self.at(text)
        moments = []
        while started := self.scheduler.start_due():
            for run_id in started:
                moments.append(self.server.runs[run_id]["scheduled_at"])
                self.server.finish(run_id)
        return [f"{datetime.fromisoformat(moment):%d %H:%M}" for moment in moments]


@pytest.fixture
def clock(tmp_path):
    with kfp_server() as server:
        path = str(tmp_path / "hello.yaml")
        compiler.Compiler().compile(hello_pipeline.hello, path, pipeline_parameters={"text": "good night"})
        made = Clock(server)
        made.pipeline_id = connect(server.endpoint).client.pipeline_uploads.upload_pipeline(path).pipeline_id
        yield made


def cron(text, **others):
    return api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=text, **others))


def every(seconds, **others):
    return api.V2beta1Trigger(periodic_schedule=api.V2beta1PeriodicSchedule(interval_second=str(seconds), **others))


def test_a_cron_comes_at_its_times_and_not_before(clock):
    clock.recurring(cron("0 30 3 * * *"))
    assert clock.due("2024-06-02 03:29") == []
    assert clock.due("2024-06-02 03:30") == ["02 03:30"]
    assert clock.due("2024-06-02 12:00") == []


def test_of_the_times_that_were_missed_only_the_last_counts_unless_it_catches_up(clock):
    clock.recurring(cron("0 30 3 * * *"))
    assert clock.due("2024-06-05 12:00") == ["05 03:30"]
    clock.at("2024-06-05 12:00").recurring(cron("0 30 3 * * *"), no_catchup=False)
    assert clock.due("2024-06-07 12:00") == ["07 03:30", "06 03:30", "07 03:30"]


def test_a_start_that_has_passed_makes_a_run_at_once(clock):
    clock.recurring(cron("0 30 3 * * *", start_time="2024-05-01T00:00:00Z"))
    assert clock.due("2024-06-01 12:00") == ["01 03:30"]


def test_an_end_ends_it(clock):
    clock.recurring(cron("0 30 3 * * *", end_time="2024-06-02T03:30:00Z"))
    assert clock.due("2024-06-02 04:00") == ["02 03:30"]
    assert clock.due("2024-06-03 04:00") == []


def test_an_interval_counts_from_its_start_or_else_from_when_it_was_made(clock):
    clock.recurring(every(3600))
    assert clock.due("2024-06-01 12:59") == []
    assert clock.due("2024-06-01 13:00") == ["01 13:00"]
    assert clock.due("2024-06-01 16:30") == ["01 16:30"], "those that were missed move it"


def test_the_first_run_of_an_interval_comes_one_interval_after_its_start(clock):
    clock.recurring(every(3600, start_time="2024-06-01T14:00:00Z"))
    assert clock.due("2024-06-01 14:00") == []
    assert clock.due("2024-06-01 15:00") == ["01 15:00"]


def test_no_second_run_starts_while_the_first_is_under_way(clock):
    clock.recurring(cron("0 30 3 * * *"))
    (first,) = clock.at("2024-06-02 03:30").scheduler.start_due()
    assert clock.at("2024-06-03 03:30").scheduler.start_due() == []
    clock.server.finish(first)
    assert clock.due("2024-06-03 05:00") == ["03 03:30"]


def test_a_paused_one_starts_nothing(clock):
    clock.recurring(cron("0 30 3 * * *"), mode="DISABLE")
    assert clock.due("2024-06-05 12:00") == []
