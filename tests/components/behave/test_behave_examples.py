"""The tests of behaviour of the flights example: each catches a model that is broken in the way that it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.manifest import Manifest
from components._shared.task import BehaviourSection, Task, behaviour_section, evaluation_section, scoring_section
from components.behave.executor import behave
from components.behave.markdown import summary
from components.predict.executor import predict
from tests.components.behave.conftest import plant
from tests.synthetic_rows import START, learning, manifest

ROOT = Path(__file__).resolve().parents[3]
TASK = Task.from_json((ROOT / "examples/flights/task.yaml").read_text(encoding="utf-8"))
SECTION: BehaviourSection = behaviour_section(evaluation_section(TASK), {})
COUNT = 1500

TYPES = {
    "_time": "timestamp",
    "_key": "string",
    "_label": "float64",
    "_cluster": "string",
    "_weight": "float64",
    "carrier": "string",
    "origin": "string",
    "dest": "string",
    "weekday": "string",
    "distance": "float64",
    "sched_dep_minute": "int64",
    "sched_arr_minute": "int64",
}


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Flights of thirty days that never took off."""
    random = np.random.default_rng(7)
    departs = random.integers(300, 1380, COUNT)
    moments = [START + timedelta(minutes=29 * number) for number in range(COUNT)]
    columns = {
        "_time": moments,
        "_key": [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(COUNT)],
        "_label": (random.random(COUNT) < 0.2).astype(float).tolist(),
        "_cluster": [moment.date().isoformat() for moment in moments],
        "_weight": [1.0] * COUNT,
        "carrier": random.choice(["AA", "UA", "EV"], COUNT).tolist(),
        "origin": random.choice(["EWR", "JFK", "LGA"], COUNT).tolist(),
        "dest": random.choice(["ORD", "LAX", "BOS"], COUNT).tolist(),
        "weekday": random.choice(["Monday", "Sunday"], COUNT).tolist(),
        "distance": random.integers(90, 2600, COUNT).astype(float).tolist(),
        "sched_dep_minute": departs.tolist(),
        "sched_arr_minute": ((departs + random.integers(60, 400, COUNT)) % 1440).tolist(),
    }
    return manifest(tmp_path_factory.mktemp("flights"), columns, "test", types=TYPES)


def sound(given: dict[str, Any]) -> Any:
    """About the base rate, more in the evening."""
    import tensorflow as tf

    minute = given["sched_dep_minute"]
    return tf.sigmoid(tf.where(tf.math.is_nan(minute), 0.0, (minute - 840) / 600) - 1.4)


def where(feature: str, test: Callable[[Any], Any], score: float) -> Callable[[dict[str, Any]], Any]:
    """A sound model that has one score of its own where a feature is so."""
    import tensorflow as tf

    return lambda given: tf.where(test(given[feature]), score, sound(given))


def every_other(feature: str, step: float) -> Callable[[dict[str, Any]], Any]:
    """A model that has memorised what happened in every other step of a feature."""
    import tensorflow as tf

    return where(feature, lambda value: tf.math.floormod(value // step, 2.0) == 1, 0.45)


def nan() -> Callable[[Any], Any]:
    import tensorflow as tf

    return tf.math.is_nan


BROKEN: dict[str, Callable[[], Callable[[dict[str, Any]], Any]]] = {
    "schedule-noise": lambda: every_other("sched_dep_minute", 1),
    "schedule-noise-decision": lambda: every_other("sched_arr_minute", 3),
    "schedule-rounded": lambda: every_other("sched_dep_minute", 1),
    "an-hour-later": lambda: lambda given: 1 - sound(given),
    "distance-rounded": lambda: every_other("distance", 10),
    "distance-missing": lambda: where("distance", nan(), 0.9),
    "new-destination": lambda: where("dest", lambda dest: dest == "???", 0.9),
    "new-carrier": lambda: where("carrier", lambda carrier: carrier == "??", 0.9),
    "nothing-known": lambda: where("distance", nan(), 0.01),
}


def outcomes(flights: Manifest, folder: Path, score: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
    model = plant(folder / "model", score, learning(features=TASK.used_features()))
    scoring = scoring_section(TASK)
    made = predict(examples=flights, data_root=str(folder / "data"), scoring=scoring, model=model)
    found = behave(model=model, predictions=made, examples=flights, section=SECTION)
    assert len(summary(found.verdict, found.evidence)) < 40_000
    return {check.name.rpartition(".")[2]: check.outcome for check in found.verdict.checks}


def test_a_sound_model_holds_them_all(flights: Manifest, tmp_path: Path) -> None:
    assert set(outcomes(flights, tmp_path, sound).values()) == {"passed"}


def test_every_one_of_them_has_a_model_that_it_catches() -> None:
    assert set(BROKEN) == {test.name for test in SECTION.gates.tests}


@pytest.mark.parametrize("test", BROKEN)
def test_a_broken_model_is_caught(test: str, flights: Manifest, tmp_path: Path) -> None:
    assert outcomes(flights, tmp_path, BROKEN[test]())[test] == "failed"
