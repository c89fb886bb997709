"""Models that are planted to behave or not, and rows to change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import model_inputs
from components._shared.records import ModelRef
from components._shared.task import BehaviourSection, LearningSection
from components._shared.windows import Window
from components.behave.executor import Behaved, behave
from components.predict.executor import predict
from components.train.export import write_saved_model
from tests.synthetic_rows import FEATURES, learning, manifest, rows, scoring

Score = Callable[[dict[str, Any]], Any]


def plant(folder: Path, score: Score, learned: LearningSection) -> Path:
    """A model that answers by a function of TensorFlow."""
    inputs = model_inputs(learned.features)
    write_saved_model(folder, inputs, score)
    info = ModelInfo(
        digest=model_digest(folder),
        learning=learned,
        inputs=inputs,
        fit_until=datetime(2024, 1, 1, tzinfo=UTC),
        base=tuple(1 / len(learned.classes) for _ in learned.classes) if learned.classes else (0.5,),
        rows={"train": 10, "tune": 2},
    )
    (folder / MODEL_JSON).write_text(info.to_json(), encoding="utf-8")
    return folder


def section_of(*tests: dict[str, Any], problem: str = "binary_classification", **fields: Any) -> BehaviourSection:
    """The tests as a task would declare them, over 200 rows."""
    named = [{"name": f"test-{number}", **test} for number, test in enumerate(tests)]
    return BehaviourSection.from_value(
        {
            "problem": problem,
            "classes": ["low", "middle", "high"] if problem == "multiclass_classification" else None,
            "timezone": "Europe/Zurich",
            "decision": fields.pop("decision", {}),
            "gates": {"rows": fields.pop("rows", 200), "tests": named},
            **fields,
        }
    )


@pytest.fixture
def examples_of(tmp_path: Path) -> Callable[..., Manifest]:
    """The test part: rows an hour apart."""

    def of(problem: str = "binary_classification", count: int = 600, **columns: Any) -> Manifest:
        made = {**rows(count, problem, seed=3), **columns}
        window = Window(start=made["_time"][0], end=made["_time"][-1])
        return manifest(tmp_path / "data", made, "test", window=window)

    return of


@pytest.fixture
def behaved(tmp_path: Path, examples_of: Callable[..., Manifest]) -> Callable[..., Behaved]:
    """What a planted model does under some tests."""
    number = iter(range(100))

    def of(
        score: Score,
        *tests: dict[str, Any],
        problem: str = "binary_classification",
        examples: Manifest | None = None,
        champion: Score | None = None,
        features: dict[str, str] = FEATURES,
        champion_features: dict[str, str] = FEATURES,
        **fields: Any,
    ) -> Behaved:
        given = examples_of(problem) if examples is None else examples
        model = plant(tmp_path / f"model-{next(number)}", score, learning(problem, features=features))
        made = predict(examples=given, data_root=str(tmp_path / "data"), scoring=scoring(problem), model=model)
        registered = None
        if champion is not None:
            place = plant(tmp_path / f"model-{next(number)}", champion, learning(problem, features=champion_features))
            registered = ModelRef(version=1, uri=str(place), digest=model_digest(place))
        section = section_of(*tests, problem=problem, **fields)
        return behave(model=model, predictions=made, examples=given, section=section, registered=registered)

    return of
