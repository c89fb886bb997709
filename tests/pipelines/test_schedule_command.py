"""`saiki schedule` against the twin of the KFP API server, and against a real one where KFP_ENDPOINT names it."""

import functools
import io
import json
import os
import secrets
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kfp_server_api as api
import pytest
import yaml

from components._shared import storage
from components._shared.errors import InputError
from pipelines.cluster.compiled import compile_training
from pipelines.cluster.connection import KfpError, connect
from pipelines.cluster.recurring_runs import RecurringRuns
from pipelines.commands import schedule as schedule_command
from pipelines.commands.schedule import schedule
from tests.kfp_server import Fault, kfp_server
from tests.small_task import write_task


@dataclass
class Cluster:
    """A server, its settings, and names of schedules that nobody else has."""

    endpoint: str
    settings: Path
    mark: str
    task: Path
    root: str
    twin: object = None

    def call(self, command, *arguments, cluster=True):
        """Exit code, and what is printed: JSON."""
        out = io.StringIO()
        given = [command, *map(str, arguments), *(["--cluster", str(self.settings)] if cluster else []), "--json"]
        try:
            with redirect_stdout(out):
                schedule.main(given, standalone_mode=False)
        except SystemExit as ended:
            return ended.code, json.loads(out.getvalue())
        return 0, json.loads(out.getvalue())

    def file(self, *schedules, **others):
        path = self.settings.parent / f"{secrets.token_hex(4)}.yaml"
        path.write_text(yaml.safe_dump({"format": "saiki/schedules/v1", "schedules": list(schedules), **others}))
        return path

    def nightly(self, name="nightly", **others):
        given = {"name": f"{name}-{self.mark}", "cron": "30 3 * * *", **others}
        return {**given, "parameters": {"task": "task.yaml", **others.get("parameters", {})}}

    def ours(self):
        found = RecurringRuns(connect(self.endpoint, namespace="kubeflow")).kept()
        return [each for each in found if each.settled.name.endswith(self.mark)]


@functools.cache
def compiled(settings, profile, images):
    return compile_training(settings, profile, dict(images))


@pytest.fixture(params=["twin", "real"])
def cluster(request, tmp_path, gcs_root, monkeypatch):
    # The same settings give the same text: compiled once for all tests.
    without_roots = {"endpoint": "", "data_root": "gs://b/data", "registry": "gs://b/registry"}
    monkeypatch.setattr(
        schedule_command,
        "compile_training",
        lambda settings, profile, images: compiled(
            settings.model_copy(update=without_roots), profile, tuple(images.items())
        ),
    )
    mark = secrets.token_hex(4)
    settings = {"data_root": f"{gcs_root}/data", "registry": f"{gcs_root}/registry", "images": "registry.example/saiki"}
    task = write_task(tmp_path, task=lambda task: task["data"].update(sources=["gs://shop/*.csv"]))

    def write(endpoint):
        path = tmp_path / "settings.yaml"
        data = {"endpoint": endpoint, **settings}
        path.write_text(
            yaml.safe_dump({"kind": "ConfigMap", "metadata": {"name": "s", "namespace": "kubeflow"}, "data": data})
        )
        return path

    if request.param == "twin":
        with kfp_server() as twin:
            yield Cluster(twin.endpoint, write(twin.endpoint), mark, task, gcs_root, twin)
        return
    endpoint = os.environ.get("KFP_ENDPOINT", "")
    if not endpoint:
        pytest.skip("KFP_ENDPOINT is not set: give the URL of a Kubeflow Pipelines API server that tests may use")
    found = Cluster(endpoint, write(endpoint), mark, task, gcs_root)
    yield found
    recurring = RecurringRuns(connect(endpoint, namespace="kubeflow"))
    for kept in found.ours():
        recurring.remove(kept.id)


@pytest.fixture
def twin(cluster):
    if cluster.twin is None:
        pytest.skip("only the twin can be made to fail")
    return cluster.twin


def actions(result):
    return [(each["name"].rpartition("-")[0], each["action"]) for each in result["schedules"]]


def test_applied_twice_nothing_changes(cluster):
    file = cluster.file(
        cluster.nightly(concurrency=2, catch_up=True, end="2099-01-01", paused=True),
        cluster.nightly("often", cron=None, interval="6h", start="2099-01-01", profile="laptop"),
    )
    assert cluster.call("diff", file)[0] == 1
    code, first = cluster.call("apply", file)
    assert (code, actions(first)) == (0, [("nightly", "create"), ("often", "create")])
    before = cluster.ours()
    code, second = cluster.call("apply", file)
    assert (code, actions(second), second["changed"]) == (0, [("nightly", "unchanged"), ("often", "unchanged")], 0)
    assert cluster.ours() == before
    assert cluster.call("diff", file)[0] == 0


def test_kfp_is_given_what_the_file_says(cluster):
    given = cluster.nightly(
        concurrency=3,
        end="2099-01-01",
        experiment=f"nights {cluster.mark}",
        parameters={"budget": 2, "sample": 0.5, "parameters": {"hidden": [64, 32]}},
    )
    cluster.call("apply", cluster.file(given))
    (kept,) = cluster.ours()
    found = connect(cluster.endpoint, namespace="kubeflow").client.get_recurring_run(kept.id)
    assert (found.display_name, found.mode, found.no_catchup) == (given["name"], "ENABLE", True)
    assert (found.trigger.cron_schedule.cron, found.max_concurrency) == ("0 30 3 * * *", "3")
    assert found.trigger.cron_schedule.end_time.year == 2099
    sent = found.runtime_config.parameters
    assert {name: sent[name] for name in ("budget", "sample", "parameters")} == {
        "budget": 2,
        "sample": 0.5,
        "parameters": {"hidden": [64, 32]},
    }
    assert (sent["data_root"], sent["registry"]) == (f"{cluster.root}/data", f"{cluster.root}/registry")
    assert storage.read(sent["task"]) == cluster.task.read_bytes(), "the task file was put where the cluster reads it"
    assert found.pipeline_version_reference.pipeline_version_id
    assert kept.settled.experiment == f"nights {cluster.mark}"


def test_an_image_of_ones_own_is_in_the_version_that_runs_at_night(cluster):
    image = "registry.example/team/trainer@sha256:" + "ab" * 32
    cluster.call("apply", cluster.file(cluster.nightly(), cluster.nightly("team", images={"train": image})))
    found = {}
    for kept in cluster.ours():
        client = connect(cluster.endpoint, namespace="kubeflow").client
        version = client.get_recurring_run(kept.id).pipeline_version_reference
        spec = client.get_pipeline_version(version.pipeline_id, version.pipeline_version_id).pipeline_spec
        found[kept.settled.name.rpartition("-")[0]] = image in str(spec)
    assert found == {"nightly": False, "team": True}
    with pytest.raises(InputError, match="There is no step 'trian'") as caught:
        cluster.call("diff", cluster.file(cluster.nightly(images={"trian": image})))
    assert f"nightly-{cluster.mark} in " in caught.value.where


def test_only_what_differs_is_replaced_and_diff_says_what(cluster):
    cluster.call("apply", cluster.file(cluster.nightly(), cluster.nightly("other")))
    before = {each.settled.name: each.id for each in cluster.ours()}
    changed = cluster.nightly(cron="0 4 * * *", parameters={"budget": 2})
    file = cluster.file(changed, cluster.nightly("other"))
    code, found = cluster.call("diff", file)
    assert (code, actions(found)) == (1, [("nightly", "replace"), ("other", "unchanged")])
    assert found["schedules"][0]["changes"] == [
        {"field": "cron", "before": "0 30 3 * * *", "after": "0 0 4 * * *"},
        {"field": "parameters.budget", "before": None, "after": 2},
    ]
    assert {each.settled.name: each.id for each in cluster.ours()} == before, "diff only looks"
    cluster.call("apply", file, "--dry-run")
    assert {each.settled.name: each.id for each in cluster.ours()} == before, "a dry run only looks"
    cluster.call("apply", file)
    after = {each.settled.name: each.id for each in cluster.ours()}
    assert len(cluster.ours()) == 2
    assert after[f"other-{cluster.mark}"] == before[f"other-{cluster.mark}"]
    assert after[f"nightly-{cluster.mark}"] != before[f"nightly-{cluster.mark}"]


def test_a_paused_schedule_stays_paused_until_someone_resumes_it(cluster):
    name = cluster.nightly()["name"]
    cluster.call("apply", cluster.file(cluster.nightly()))
    assert cluster.call("pause", name) == (0, {"name": name, "state": "paused", "ids": [cluster.ours()[0].id]})
    cluster.call("apply", cluster.file(cluster.nightly()))
    cluster.call("apply", cluster.file(cluster.nightly(concurrency=2)))
    (kept,) = cluster.ours()
    assert (kept.paused, kept.settled.concurrency) == (True, 2)
    assert cluster.call("resume", name)[1]["state"] == "enabled"
    assert not cluster.ours()[0].paused
    cluster.call("pause", name)
    assert actions(cluster.call("apply", cluster.file(cluster.nightly(concurrency=2, paused=False)))[1]) == [
        ("nightly", "resume")
    ]
    assert not cluster.ours()[0].paused


def test_list_says_when_it_runs_and_delete_removes_it(cluster):
    name = cluster.nightly()["name"]
    cluster.call("apply", cluster.file(cluster.nightly(), cluster.nightly("still", paused=True)))
    found = {each["name"]: each for each in cluster.call("list")[1]["schedules"]}
    mine, still = found[name], found[f"still-{cluster.mark}"]
    assert (mine["state"], mine["when"], mine["last_run"]) == ("enabled", "0 30 3 * * *", "")
    assert mine["next"].endswith("T03:30:00Z")
    assert (still["state"], still["next"]) == ("paused", "")
    assert mine["id"] in mine["link"]
    cluster.call("apply", cluster.file(cluster.nightly("hourly", cron=None, interval="1h", start="2024-01-01T00:10Z")))
    hourly = next(each for each in cluster.call("list")[1]["schedules"] if each["name"] == f"hourly-{cluster.mark}")
    assert hourly["next"].endswith(":10:00Z")
    cluster.call("delete", hourly["name"])
    assert cluster.call("delete", name)[1]["state"] == "deleted"
    assert [each.settled.name for each in cluster.ours()] == [f"still-{cluster.mark}"]
    with pytest.raises(InputError, match=f"There is no schedule '{name}'"):
        cluster.call("delete", name)


def test_recurring_runs_of_others_are_never_touched(cluster):
    cluster.call("apply", cluster.file(cluster.nightly()))
    (kept,) = cluster.ours()
    client = connect(cluster.endpoint, namespace="kubeflow").client
    mine = client.get_recurring_run(kept.id)
    made = []
    for display_name, description in (
        (f"Clone of {mine.display_name}", mine.description),
        (mine.display_name, "made by hand"),
    ):
        other = api.V2beta1RecurringRun(
            display_name=display_name,
            description=description,
            pipeline_version_reference=mine.pipeline_version_reference,
            runtime_config=mine.runtime_config,
            experiment_id=mine.experiment_id,
            trigger=mine.trigger,
            max_concurrency="1",
            mode="DISABLE",
        )
        made.append(client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=other))
    try:
        cluster.call("apply", cluster.file(cluster.nightly(concurrency=2)))
        cluster.call("delete", mine.display_name)
        assert cluster.ours() == []
        assert [client.get_recurring_run(each.recurring_run_id).mode for each in made] == ["DISABLE", "DISABLE"]
    finally:
        for each in made:
            client.delete_recurring_run(each.recurring_run_id)


def test_prune_removes_what_the_file_no_longer_names(cluster, twin):
    cluster.call("apply", cluster.file(cluster.nightly(), cluster.nightly("old")))
    file = cluster.file(cluster.nightly())
    assert actions(cluster.call("apply", file)[1]) == [("nightly", "unchanged")]
    assert len(cluster.ours()) == 2
    assert actions(cluster.call("apply", file, "--prune")[1]) == [("nightly", "unchanged"), ("old", "delete")]
    assert [each.settled.name for each in cluster.ours()] == [f"nightly-{cluster.mark}"]


def test_a_replacement_that_is_cut_short_leaves_no_gap_and_the_next_apply_finishes_it(cluster, twin):
    cluster.call("apply", cluster.file(cluster.nightly()))
    file = cluster.file(cluster.nightly(concurrency=2))
    twin.faults.append(Fault("DELETE", "recurringruns", times=9, cut="before"))
    with pytest.raises(KfpError):
        cluster.call("apply", file)
    # Both may be of the same second.
    assert sorted((each.settled.concurrency, each.paused) for each in cluster.ours()) == [(1, False), (2, False)]
    twin.faults.clear()
    assert actions(cluster.call("apply", file)[1]) == [("nightly", "tidy")]
    assert [each.settled.concurrency for each in cluster.ours()] == [2]


def test_a_new_one_that_kfp_refuses_leaves_the_old_one(cluster, twin):
    cluster.call("apply", cluster.file(cluster.nightly()))
    twin.faults.append(Fault("POST", "recurringruns$", status=400, body='{"code": 3, "message": "no"}'))
    with pytest.raises(KfpError):
        cluster.call("apply", cluster.file(cluster.nightly(concurrency=2)))
    assert [each.settled.concurrency for each in cluster.ours()] == [1]


def test_an_answer_that_is_lost_makes_no_second_one(cluster, twin):
    twin.faults.append(Fault("POST", "recurringruns$", cut="after"))
    code, found = cluster.call("apply", cluster.file(cluster.nightly()))
    assert (code, actions(found), len(cluster.ours())) == (0, [("nightly", "create")], 1)


def test_an_answer_that_is_lost_does_not_pass_the_old_one_off_as_the_new_one(cluster, twin):
    cluster.call("apply", cluster.file(cluster.nightly()))
    (kept,) = cluster.ours()
    # Somebody has changed it behind our back, so it is to be replaced by one with the same content.
    twin.recurring_runs[kept.id]["max_concurrency"] = "5"
    twin.faults.append(Fault("POST", "recurringruns$", cut="before"))
    with pytest.raises(KfpError):
        cluster.call("apply", cluster.file(cluster.nightly()))
    assert [each.id for each in cluster.ours()] == [kept.id], "the night still has its run"


def test_an_interval_that_is_changed_before_it_is_due_is_not_put_off(cluster, twin):
    often = cluster.nightly(cron=None, interval="1d")
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=20)
    twin.now = lambda: begun
    cluster.call("apply", cluster.file(often))
    twin.now = lambda: datetime.now(UTC)
    for budget in (2, 3):
        cluster.call("apply", cluster.file({**often, "parameters": {"task": "task.yaml", "budget": budget}}))
        (kept,) = cluster.ours()
        assert (kept.settled.parameters["budget"], kept.began) == (budget, begun)


def test_a_run_that_is_under_way_survives_the_replacement_of_its_schedule(cluster, twin):
    cluster.call("apply", cluster.file(cluster.nightly()))
    (kept,) = cluster.ours()
    run_id = twin.start_scheduled_run(kept.id, index=1, scheduled_at=twin.now())
    twin.progress(run_id, {"plan": "RUNNING"})
    assert cluster.call("list")[1]["schedules"][0]["last_state"] == "RUNNING"
    cluster.call("apply", cluster.file(cluster.nightly(concurrency=2)))
    assert twin.runs[run_id]["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"budgt": 2}, "'budgt' is not a run parameter (did you mean 'budget'?)"),
        ({"budget": "two"}, "'two' is not a value for 'budget'"),
        ({"as_of": "2024-06-01"}, "'as_of' is not for a schedule"),
        ({"override": "I say so"}, "'override' is not for a schedule"),
        ({"task": ""}, "No task is given"),
        ({"registry": "/models"}, "'/models' lies on this machine"),
    ],
)
def test_parameters_that_no_run_could_have_are_refused_before_anything_is_changed(cluster, twin, parameters, said):
    with pytest.raises(InputError) as caught:
        cluster.call("apply", cluster.file(cluster.nightly(parameters=parameters)))
    assert said in caught.value.what
    assert f"nightly-{cluster.mark}" in caught.value.where
    assert twin.requests == []


def test_a_zone_other_than_the_schedulers_is_refused(cluster, twin):
    with pytest.raises(InputError, match=r"meant in Europe/Berlin, but this cluster's scheduler counts in UTC"):
        cluster.call("diff", cluster.file(cluster.nightly(), timezone="Europe/Berlin"))


def test_a_profile_that_is_none_is_refused(cluster, twin):
    with pytest.raises(InputError, match="huge"):
        cluster.call("diff", cluster.file(cluster.nightly(profile="huge")))
