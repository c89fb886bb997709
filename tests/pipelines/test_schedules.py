"""What schedules.yaml may say, and what turns what KFP has into it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from components._shared.errors import InputError
from pipelines.cluster.schedules import (
    Kept,
    Settled,
    Wanted,
    differences,
    first_start,
    iso,
    marker_of,
    read_schedules,
    settle,
    steps_to,
)

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)


def schedule(**others):
    return {"name": "nightly", "cron": "30 3 * * *", "parameters": {"task": "gs://b/task.yaml"}, **others}


def read(tmp_path, *schedules, **others):

    path = tmp_path / "schedules.yaml"
    path.write_text(yaml.safe_dump({"format": "saiki/schedules/v1", "schedules": list(schedules), **others}))
    return read_schedules(path)


REFUSED = [
    (schedule(crn="0 3 * * *"), "unknown field 'schedules.0.crn' (did you mean 'cron'?)"),
    (schedule(cron="0 25 * * *"), "field 'schedules.0.cron': hour: '25' is not 0 to 23"),
    (schedule(cron=None), "give cron (such as 30 3 * * *) or interval (such as 6h), one of the two"),
    (schedule(interval="6h"), "one of the two"),
    (schedule(cron=None, interval="30s"), "'30s' is not a span"),
    (schedule(start="tomorrow"), "'tomorrow' is not a date or moment"),
    (schedule(start="2024-06-02", end="2024-06-01"), "nightly: end is not after start"),
    (schedule(concurrency=11), "less than or equal to 10"),
    (schedule(name="Nightly run"), "schedules.0.name"),
    (schedule(pipeline="sweep"), "schedules.0.pipeline"),
    (schedule(profile="gpuu"), "there is no profile 'gpuu'; give one of: laptop, cpu, gpu"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_a_schedule_that_is_wrong_is_refused(given, said, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, given)
    assert said in caught.value.what
    assert "at least 1 item" not in caught.value.what
    assert "schedules.yaml" in caught.value.where
    assert "docs/schedules.md" in caught.value.fix


def test_a_file_without_schedules_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is none; to delete what is on the cluster"):
        read(tmp_path)


def test_two_schedules_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="'nightly' stands twice"):
        read(tmp_path, schedule(), schedule())


def test_a_zone_that_is_none_and_a_file_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="not an IANA time zone"):
        read(tmp_path, schedule(), timezone="Mars")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_schedules(tmp_path / "none.yaml")


def settled(**others):
    known = {"name": "nightly", "experiment": "training", "version": "ab" * 32, "cron": "0 30 3 * * *"}
    return Settled(**{**known, "parameters": {"task": "gs://b/task.yaml"}, **others})


def kept(identifier, wanted, *, paused=False, age=1, **others):
    """A recurring run; the others are what KFP has in place of what its description was written for."""

    created = NOW - timedelta(days=age)
    return Kept(identifier, created, created, paused, wanted.digest(), replace(wanted, **others))


def only(wanted, there, paused=None, **options):
    (step,) = steps_to([Wanted(wanted, paused)], there, **options)
    return step


def test_what_is_there_already_is_left_alone():
    step = only(settled(), [kept("a", settled())])
    assert (step.action, step.keep, step.remove, step.changes) == ("unchanged", "a", (), ())


def test_a_change_makes_a_new_one_and_removes_the_old_one_after_it():
    after = settled(cron="0 0 4 * * *", parameters={"task": "gs://b/task.yaml", "budget": 2})
    step = only(after, [kept("a", settled())])
    assert (step.action, step.wanted, step.remove, step.paused) == ("replace", after, ("a",), False)
    assert [(each.field, each.before, each.after) for each in step.changes] == [
        ("cron", "0 30 3 * * *", "0 0 4 * * *"),
        ("parameters.budget", None, 2),
    ]


def test_new_code_is_a_new_pipeline_version():
    (change,) = only(settled(version="cd" * 32), [kept("a", settled())]).changes
    assert (change.field, change.before, change.after) == ("pipeline version", "ab" * 6, "cd" * 6)


def test_numbers_that_kfp_has_made_floats_are_no_change():
    wanted = settled(parameters={"budget": 2, "parameters": {"hidden": [64, 32]}})
    there = kept("a", wanted, parameters={"budget": 2.0, "parameters": {"hidden": [64.0, 32.0]}})
    assert only(wanted, [there]).action == "unchanged"


def test_values_that_kfp_fills_in_are_no_change_but_taking_one_away_is():
    assert only(settled(), [kept("a", settled(), service_account="pipeline-runner")]).action == "unchanged"
    before = settled(service_account="saiki")
    step = only(settled(), [kept("a", before)])
    assert step.action == "replace"
    assert [each.field for each in step.changes] == ["content"]


@pytest.mark.parametrize(
    ("there", "file", "action", "paused"),
    [
        (True, None, "unchanged", True),
        (True, False, "resume", False),
        (True, True, "unchanged", True),
        (False, None, "unchanged", False),
        (False, True, "pause", True),
    ],
)
def test_paused_stays_paused_unless_the_file_says_otherwise(there, file, action, paused):
    step = only(settled(), [kept("a", settled(), paused=there)], paused=file)
    assert (step.action, step.paused) == (action, paused)
    changed = only(settled(concurrency=2), [kept("a", settled(), paused=there)], paused=file)
    assert (changed.action, changed.paused) == ("replace", paused)


def test_an_apply_that_was_cut_between_create_and_delete_is_finished():
    new = settled(cron="0 0 4 * * *")
    step = only(new, [kept("old", settled(), age=9), kept("new", new)])
    assert (step.action, step.keep, step.remove) == ("tidy", "new", ("old",))


def test_two_of_the_same_become_one_and_an_enabled_one_stays():
    step = only(settled(), [kept("a", settled(), paused=True, age=3), kept("b", settled(), age=2)])
    assert (step.action, step.keep, step.remove, step.paused) == ("tidy", "b", ("a",), False)


def test_what_the_file_does_not_name_goes_only_if_asked():
    other = kept("x", settled(name="other"))
    assert [step.name for step in steps_to([Wanted(settled(), None)], [other])] == ["nightly"]
    steps = steps_to([Wanted(settled(), None)], [other], prune=True)
    assert [(step.name, step.action, step.remove) for step in steps[1:]] == [("other", "delete", ("x",))]


def test_the_description_says_whose_it_is_and_fits_into_kfps_database():
    longest = settled(name="a" * 48, start="2024-06-01T00:00:00Z")
    text = longest.description()
    assert len(text) <= 255
    marker = marker_of("a" * 48, text)
    assert (marker.content, marker.version, marker.start) == (longest.digest(), "ab" * 6, longest.start)


def test_a_clone_under_another_name_and_anything_else_is_not_ours():
    assert marker_of("Clone of nightly", settled().description()) is None
    assert marker_of("nightly", "my own nightly") is None


def test_moments_are_settled_in_the_zone_of_the_file(tmp_path):
    given = read(tmp_path, schedule(start="2024-06-01", end="2024-07-01T06:00+02:00"), timezone="Asia/Tokyo")
    found = settle(
        given.schedules[0],
        {},
        timezone=given.timezone,
        version="ab" * 32,
        experiment="training",
        pipeline_root="",
        service_account="",
    )
    assert (found.start, found.end) == ("2024-05-31T15:00:00Z", "2024-07-01T04:00:00Z")
    assert differences(found, found) == ()


PAST, FUTURE = "2024-05-01T00:00:00Z", "2024-07-01T00:00:00Z"


@pytest.mark.parametrize(
    ("fields", "since", "start"),
    [
        ({}, None, ""),
        ({}, NOW - timedelta(days=9), ""),
        # KFP leaves out what is due at the very start.
        ({"start": FUTURE}, None, "2024-06-30T23:59:59Z"),
        # From a start that has passed it would run at once.
        ({"start": PAST}, None, ""),
        ({"start": PAST, "catch_up": True}, None, "2024-04-30T23:59:59Z"),
        ({"start": PAST, "catch_up": True}, NOW, ""),
        # The first run of an interval comes one interval after the start.
        ({"start": FUTURE, "cron": "", "every": 3600}, None, "2024-06-30T23:00:00Z"),
        ({"start": "2024-06-01T00:20:00Z", "cron": "", "every": 3600}, None, "2024-06-01T11:20:00Z"),
        # One that takes the place of another goes on where that one was; a new one counts from now on.
        ({"cron": "", "every": 3600}, None, ""),
        ({"cron": "", "every": 3600}, NOW - timedelta(minutes=150), "2024-06-01T11:30:00Z"),
        ({"cron": "", "every": 86400}, NOW - timedelta(hours=23), "2024-05-31T13:00:00Z"),
        ({"cron": "", "every": 3600}, NOW + timedelta(days=90), "2024-06-01T12:00:00Z"),
    ],
)
def test_kfp_is_given_the_start_from_which_the_first_run_is_the_one_meant(fields, since, start):
    assert first_start(settled(**fields), NOW, since=since) == start
    assert iso(NOW) == "2024-06-01T12:00:00Z"


def test_the_example_is_one():
    example = read_schedules(Path(__file__).resolve().parents[2] / "examples" / "schedules.yaml")
    assert [(each.name, each.cron) for each in example.schedules] == [
        ("orders-nightly", "0 30 3 * * *"),
        ("orders-sunday-mlp", "0 0 6 * * sun"),
    ]
