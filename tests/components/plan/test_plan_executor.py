from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared import storage
from components._shared.errors import DataError, InputError, RegistryError, StorageError, TaskError
from components._shared.evidence import Estimate
from components._shared.ledger import Decisions
from components._shared.manifest import Listing
from components._shared.model_files import read_model_info
from components._shared.records import Attempt, Baseline, Champion, Lineage, ModelRef, Pointer, Promise
from components._shared.registry import Registry
from components._shared.task import DataSection, EvaluationSection, LearningSection, Schema
from components._shared.windows import Windows
from components.plan.executor import Plan, plan

NOW = datetime(2024, 7, 10, 12, tzinfo=UTC)
TASK: dict[str, Any] = {
    "name": "late",
    "problem": "binary_classification",
    "data": {"sources": ["data/*.csv"]},
    "label": {"expression": "delay > 15", "known_after": "1d"},
    "time": "moment",
    "features": {
        "carrier": {"kind": "categorical", "available": "before"},
        "distance": {"kind": "numeric", "available": "before"},
    },
    "split": {"tune": "7d", "test": "14d"},
    "trainer": {"name": "mlp", "parameters": {"epochs": 3, "layers": [64, 32]}},
    "gates": {"metric": {"min_rows": 50}},
}
SCHEMA = {
    "columns": {
        "moment": {"type": "timestamp"},
        "delay": {"type": "float64"},
        "carrier": {"type": "string"},
        "distance": {"type": "float64"},
    }
}


class World:
    """A task, its data and two roots, on disk or on an emulated bucket."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.task_uri = f"{home}/task/task.yaml"
        self.data_root = f"{home}/data"
        self.registry = f"{home}/registry"
        self.write("task/task.yaml", yaml.safe_dump(TASK))
        self.write("task/schema.yaml", yaml.safe_dump(SCHEMA))
        self.write("task/data/a.csv", "moment,delay,carrier,distance\n2024-07-01 10:00:00,3,AA,200\n")

    def write(self, name: str, text: str) -> None:
        uri = f"{self.home}/{name}"
        found = storage.stat(uri)
        storage.replace(uri, text.encode(), generation=found.generation if found else None)

    def change_task(self, **changes: Any) -> None:
        self.write("task/task.yaml", yaml.safe_dump({**TASK, **changes}))

    def plan(self, **changes: Any) -> Plan:
        arguments: dict[str, Any] = {
            "task_uri": self.task_uri,
            "as_of": "",
            "data_root": self.data_root,
            "registry": self.registry,
            "trainer": "",
            "parameters": {},
            "sample": 1.0,
            "budget": 0,
            "now": NOW,
        }
        return plan(**{**arguments, **changes})

    def record(self, planned: Plan, **changes: Any) -> Attempt:
        attempt = Attempt(
            **{
                "experiment": planned.experiment,
                "judgement": planned.judgement,
                "task": "late",
                "outcome": "passed",
                "result": "promoted",
                "reason": "",
                "baseline": Baseline(),
                "windows": Windows.from_json(planned.windows),
                "model_digest": "0" * 64,
                "made_from": {},
                "created": NOW,
                **changes,
            }
        )
        self.write(f"registry/late/attempts/{attempt.judgement}.json", attempt.to_json())
        return attempt


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(str(tmp_path))


def differing(one: Plan, two: Plan) -> set[str]:
    return {name for name in Plan._fields if getattr(one, name) != getattr(two, name)}


def test_the_outputs_are_the_contracts_that_the_steps_read(world: World) -> None:
    planned = world.plan()
    listing = Listing.from_json(storage.read(planned.listing))
    assert [source.uri for source in listing.sources] == [f"{world.home}/task/data/a.csv"]
    assert planned.listing == f"{world.data_root}/listings/{listing.content_digest()}.json"
    assert Schema.from_json(storage.read(planned.schema)).columns["delay"].type == "float64"
    assert DataSection.from_json(planned.data).time == "moment"
    assert Windows.from_json(planned.windows).as_of == datetime(2024, 7, 10, tzinfo=UTC)
    assert LearningSection.from_json(planned.learning).features == {"carrier": "categorical", "distance": "numeric"}
    assert EvaluationSection.from_json(planned.gates).metric.min_rows == 50
    assert json.loads(planned.data_gates)["min_rows"] == 100
    assert (planned.champion, planned.reference, planned.previous) == ("", "", "")
    assert Pointer.from_json(planned.pointer) == Pointer(
        task="late", generation=None, history=0, hold="", replayed=False
    )
    assert planned.looks == 93, "a quarter of daily decisions, and one share for what is not planned"
    assert all(isinstance(value, str) for name, value in planned._asdict().items() if name != "looks")


def test_the_same_world_gives_the_same_plan_also_later_on_the_day(world: World) -> None:
    first = world.plan()
    world.write("task/notes.txt", "not a source")
    assert world.plan(now=NOW.replace(hour=23)) == first


def test_a_changed_source_changes_the_listing_and_the_digests_alone(world: World) -> None:
    first = world.plan()
    world.write("task/data/a.csv", "moment,delay,carrier,distance\n2024-07-01 10:00:00,4,AA,200\n")
    assert differing(first, world.plan()) == {"listing", "experiment", "judgement"}


def test_a_new_source_is_seen(world: World) -> None:
    world.write("task/data/b.csv", "moment,delay,carrier,distance\n")
    assert len(Listing.from_json(storage.read(world.plan().listing)).sources) == 2


def test_editing_a_gate_changes_no_experiment(world: World) -> None:
    first = world.plan()
    world.change_task(gates={"metric": {"min_rows": 60}})
    assert differing(first, world.plan()) == {"gates", "judgement"}
    world.change_task(gates={"metric": {"min_rows": 50}, "data": {"min_rows": 5}})
    assert differing(first, world.plan()) == {"data_gates", "judgement"}
    world.change_task(gates={"metric": {"min_rows": 50}, "behaviour": {"score_difference": 0.1}})
    assert differing(first, world.plan()) == {"gates", "smoke_test", "behaviour", "judgement"}


def test_a_test_of_behaviour_knows_which_features_are_computed_from_what_it_changes(world: World) -> None:
    used = {"available": "before"}
    world.change_task(
        derived={
            "day": {"expression": "dayname(moment)", "type": "string"},
            "weekend": {"expression": "day IN ('Saturday', 'Sunday')", "type": "bool"},
            "far": {"expression": "distance > 1000", "type": "bool"},
            "hour": {"expression": "hour(moment)", "type": "int64"},
        },
        features={
            **TASK["features"],
            "moment": {"kind": "datetime", **used},
            "day": {"kind": "categorical", **used},
            "weekend": {"kind": "boolean", **used},
            "far": {"kind": "boolean", **used},
            "hour": {"kind": "numeric", "available": "unknown"},
        },
        gates={
            "behaviour": {
                "tests": [
                    {"name": name, "features": features, "change": change, "expect": {"within": 0.1}}
                    for name, features, change in [
                        ("clock", ["moment"], {"shift": "1d"}),
                        ("no-day", ["moment", "day"], {"missing": True}),
                        ("no-weekend", ["day"], {"missing": True}),
                        ("odometer", ["distance"], {"jitter": 0.1}),
                        ("carrier", ["carrier"], {"missing": True}),
                    ]
                ]
            }
        },
    )

    # What is not used by the model does not count, and what is computed from something computed does.
    assert json.loads(world.plan().behaviour)["stale"] == {
        "clock": ["day", "weekend"],
        "no-day": ["weekend"],
        "no-weekend": ["weekend"],
        "odometer": ["far"],
    }


def test_editing_the_slices_predicts_again(world: World) -> None:
    first = world.plan()
    world.change_task(slices=["carrier"])
    assert differing(first, world.plan()) == {"gates", "scoring", "explanation", "judgement"}


def test_a_limit_in_the_schema_judges_again_but_makes_no_other_rows(world: World) -> None:
    first = world.plan()
    columns = SCHEMA["columns"]
    wider = {"columns": {**columns, "carrier": {"type": "string", "domain": ["AA", "UA"], "max_missing": 0.1}}}
    world.write("task/schema.yaml", yaml.safe_dump(wider))
    assert differing(first, world.plan()) == {"schema", "judgement"}


def test_editing_comments_and_the_order_of_fields_changes_nothing(world: World) -> None:
    first = world.plan()
    world.write("task/task.yaml", "# a comment\n" + yaml.safe_dump(dict(reversed(TASK.items())), sort_keys=False))
    assert differing(first, world.plan()) == set()


def test_the_experiment_follows_sample_trainer_and_schema(world: World) -> None:
    plans = [world.plan(), world.plan(sample=0.5), world.plan(budget=1), world.plan(parameters={"epochs": 4})]
    world.write("task/schema.yaml", yaml.safe_dump(SCHEMA).replace("float64", "int64"))
    plans.append(world.plan())
    assert len({planned.experiment for planned in plans}) == 5


def test_numbers_that_kfp_made_floats_are_whole_again(world: World) -> None:
    whole = world.plan(parameters={"epochs": 5, "layers": [64, 32], "deep": {"a": [1]}, "rate": 0.5}, budget=2)
    floats = world.plan(
        parameters={"epochs": 5.0, "layers": [64.0, 32.0], "deep": {"a": [1.0]}, "rate": 0.5}, budget=2.0
    )
    assert floats == whole
    trainer = LearningSection.from_json(floats.learning).trainer
    assert trainer.parameters == {"epochs": 5, "layers": [64, 32], "deep": {"a": [1]}, "rate": 0.5}
    assert isinstance(trainer.parameters["epochs"], int)


def test_parameters_replace_those_of_the_task_by_name(world: World) -> None:
    trainer = LearningSection.from_json(world.plan(parameters={"epochs": 9}).learning).trainer
    assert trainer.parameters == {"epochs": 9, "layers": [64, 32]}


def test_another_trainer_does_not_inherit_the_parameters_of_the_first(world: World) -> None:
    trainer = LearningSection.from_json(world.plan(trainer="linear", parameters={"l2": 0.1}).learning).trainer
    assert (trainer.name, trainer.parameters) == ("linear", {"l2": 0.1})


def test_an_edit_of_a_trainer_that_is_not_ours_is_another_experiment(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_trainer.py").write_text("def train(job): ...\n")
    first = world.plan(trainer="own_trainer:train")
    (tmp_path / "own_trainer.py").write_text("def train(job): return 1\n")
    assert differing(first, world.plan(trainer="own_trainer:train")) == {"experiment", "judgement", "learning"}


def test_another_image_of_train_is_another_experiment_and_stands_for_the_source_of_its_trainer(world: World) -> None:
    ours = world.plan(trainer="theirs.trainer:fit")
    first, second = (world.plan(trainer="theirs.trainer:fit", images={"train": f"mine:{tag}"}) for tag in "12")

    assert len({ours.experiment, first.experiment, second.experiment}) == 3
    sources = [LearningSection.from_json(found.learning).trainer_source for found in (ours, first, second)]
    assert sources[0] == ""
    assert len(set(sources)) == 3


def test_another_image_of_a_step_that_judges_judges_again_and_trains_not(world: World) -> None:
    ours, theirs = world.plan(), world.plan(images={"evaluate": "mine:1"})

    assert theirs.experiment == ours.experiment
    assert theirs.judgement != ours.judgement


def test_a_judged_experiment_replays_its_baseline(world: World) -> None:
    planned = world.plan()
    baseline = Baseline(
        champion=ModelRef(version=3, uri="gs://r/late/versions/3", digest="1" * 64),
        reference=ModelRef(version=1, uri="gs://r/late/versions/1", digest="2" * 64),
        previous="gs://r/late/attempts/x/statistics.pb",
        looks=120,
    )
    world.record(planned, baseline=baseline)
    again = world.plan()
    assert differing(planned, again) == {"champion", "reference", "previous", "looks", "pointer"}
    assert again.looks == 120
    assert ModelRef.from_json(again.champion).version == 3
    assert ModelRef.from_json(again.reference).version == 1
    assert again.previous == "gs://r/late/attempts/x/statistics.pb"
    assert Pointer.from_json(again.pointer).replayed
    assert world.plan() == again


def test_drift_is_measured_against_the_latest_attempt_as_of_an_earlier_moment(world: World) -> None:
    for day in ("2024-07-08", "2024-07-06", "2024-07-09", "2024-07-10"):
        planned = world.plan(as_of=day)
        files = f"attempts/{planned.judgement}/0f"
        world.record(planned, result="rejected", outcome="failed", files=files)
        if day != "2024-07-09":
            world.write(f"registry/late/attempts/{planned.judgement}/0f/statistics.pb", day)
    world.change_task(gates={"metric": {"min_rows": 51}})
    previous = world.plan().previous
    assert storage.read(previous) == b"2024-07-08", "the 9th has no statistics; the 10th is not earlier"


def test_the_record_of_every_earlier_attempt_is_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    promise = Promise(metric="auc", candidate=Estimate(value=0.7))
    records = []
    for day in range(1, 10):
        planned = world.plan(as_of=f"2024-07-0{day}")
        files = f"attempts/{planned.judgement}/0f"
        world.record(planned, result="rejected", outcome="failed", files=files, promise=promise)
        world.write(f"registry/late/{files}/model/variables/1", "weights")
        records.append(f"{world.registry}/late/attempts/{planned.judgement}.json")
    read: list[str] = []
    real = storage.read
    monkeypatch.setattr(storage, "read", lambda uri: read.append(uri) or real(uri))
    world.plan()
    assert sorted(uri for uri in read if "/attempts/" in uri) == sorted(records)


def test_a_repeated_run_settles_the_same_though_it_has_made_another_champion(
    world: World, make_model: Callable[..., Path]
) -> None:
    models = Registry(world.registry, "late")

    def promote(planned: Plan) -> None:
        made = {"experiment": planned.experiment, "judgement": planned.judgement, "made_from": {}, "created": NOW}
        model = make_model(planned.judgement)
        windows, digest = Windows.from_json(planned.windows), read_model_info(model).digest
        version = models.add_version(model, Lineage(**made, code={}, windows=windows, model_digest=digest))
        _, generation = models.champion()
        models.promote(version, generation=generation, who="push", why="better", judgement=planned.judgement)
        champion = ModelRef.from_json(planned.champion) if planned.champion else None
        meaning = EvaluationSection.from_json(planned.gates).meaning
        promise = Promise(metric="auc", candidate=Estimate(value=0.7), meaning=meaning)
        files = f"attempts/{planned.judgement}/0f"
        world.record(planned, version=version, baseline=Baseline(champion=champion), promise=promise, files=files)

    promote(world.plan(as_of="2024-06-10"))
    planned = world.plan(as_of="2024-07-05")
    assert [each.current for each in Decisions.from_json(planned.decisions).decisions] == [True]
    promote(planned)
    assert world.plan(as_of="2024-07-05").decisions == planned.decisions
    assert [each.current for each in Decisions.from_json(world.plan(as_of="2024-07-06").decisions).decisions] == [False]


def test_champion_and_hold_come_from_the_pointer(world: World) -> None:
    world.plan()
    champion = Champion(version=2, history=4, hold="bad on Mondays", reference=2)
    world.write("registry/late/champion.json", champion.to_json())
    with pytest.raises(RegistryError, match="no version 2"):
        world.plan()


def test_an_unreadable_pointer_is_named(world: World) -> None:
    world.plan()
    world.write("registry/late/champion.json", "{")
    with pytest.raises(RegistryError, match=r"(?s)pointer cannot be read.*champion\.json"):
        world.plan()


def test_a_folder_that_is_no_registry_is_refused(world: World) -> None:
    world.write("registry/photo.jpg", "x")
    with pytest.raises(RegistryError, match="not a registry"):
        world.plan()


def test_a_root_that_cannot_be_written_is_refused_first(world: World) -> None:
    world.write("data", "a file, not a folder")
    world.write("task/task.yaml", "nonsense")
    with pytest.raises(StorageError):
        world.plan()


def test_the_cache_epoch_is_read_from_the_data_root(world: World) -> None:
    world.write("data/cache-epoch.json", '{"format":"saiki/cache-epoch/v1","epoch":7,"root":"ab"}')
    assert world.plan().cache_epoch == "7-ab"


def test_a_task_without_time_is_the_same_experiment_on_another_day(world: World) -> None:
    world.change_task(time=None, split={"tune": 0.1, "test": 0.2})
    first = world.plan()
    assert world.plan(now=NOW.replace(year=2025)) == first
    assert Windows.from_json(first.windows).span is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": {"carier": {"kind": "categorical", "available": "before"}}}, "did you mean 'carrier'"),
        ({"features": {"delay": {"kind": "numeric", "available": "before"}}}, "label is derived from"),
        ({"schema": "types.yaml"}, "There is no pinned schema"),
        ({"lable": {}}, "unknown field 'lable'"),
        ({"window": {"length": "10d"}}, "too short"),
        ({"gates": {"metric": {"limits": {"rmse2": {"min": 1}}}}}, "rmse2"),
    ],
)
def test_a_wrong_task_says_what_is_wrong(world: World, changes: dict[str, Any], message: str) -> None:
    world.change_task(**changes)
    with pytest.raises(TaskError, match=message):
        world.plan()


def test_a_table_that_is_too_wide_for_a_steps_parameters_is_refused(world: World) -> None:
    wide = {f"sensor_{number:04d}": {"type": "float64"} for number in range(2500)}
    world.write("task/schema.yaml", yaml.safe_dump({"columns": {**SCHEMA["columns"], **wide}}))
    with pytest.raises(TaskError, match="too many columns"):
        world.plan()


def test_a_missing_task_file_is_named(world: World) -> None:
    with pytest.raises(TaskError, match=r"(?s)no task file.*nowhere\.yaml"):
        world.plan(task_uri=f"{world.home}/nowhere.yaml")


def test_no_sources_is_an_error(world: World) -> None:
    world.change_task(data={"sources": ["data/*.parquet"]})
    with pytest.raises(DataError, match=r"(?s)No source matches data/\*\.parquet.*a\.csv"):
        world.plan()


@pytest.mark.parametrize("sample", [0.0, -1.0, 1.5])
def test_a_sample_is_a_share(world: World, sample: float) -> None:
    with pytest.raises(InputError, match="sample"):
        world.plan(sample=sample)


def test_it_works_on_a_bucket(gcs_root: str) -> None:
    world = World(gcs_root)
    planned = world.plan()
    assert planned.listing.startswith("gs://")
    assert [s.uri for s in Listing.from_json(storage.read(planned.listing)).sources] == [f"{gcs_root}/task/data/a.csv"]
    assert world.plan() == planned


def test_a_relative_path_is_made_absolute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = world.plan()
    monkeypatch.chdir(world.home)
    assert world.plan(task_uri=os.path.relpath(world.task_uri, world.home)) == absolute
