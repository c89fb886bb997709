"""Manifests and trained models, made once per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components._shared.manifest import Manifest
from components._shared.model_info import ModelInfo
from components.train.executor import train
from tests.synthetic_rows import learning, manifest, rows

Parts = Callable[..., tuple[Manifest, Manifest]]
Train = Callable[..., ModelInfo]


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def parts(data_root: Path) -> Parts:
    """*train* and *tune* of a problem."""
    made: dict[Any, tuple[Manifest, Manifest]] = {}

    def of(
        problem: str = "binary_classification", count: int = 1500, missing: bool = True
    ) -> tuple[Manifest, Manifest]:
        key = (problem, count, missing)
        if key not in made:
            made[key] = (
                manifest(data_root, rows(count, problem, missing=missing), "train"),
                manifest(data_root, rows(400, problem, seed=2, missing=missing), "tune"),
            )
        return made[key]

    return of


@pytest.fixture(scope="session")
def trained(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, ModelInfo]]:
    """A model of a problem and a trainer."""
    made: dict[tuple[str, str], tuple[Path, ModelInfo]] = {}

    def of(problem: str, trainer: str) -> tuple[Path, ModelInfo]:
        if (problem, trainer) not in made:
            first, second = parts(problem)
            folder = tmp_path_factory.mktemp("models") / trainer
            section = learning(problem, trainer, budget=0 if trainer == "constant" else 4)
            made[problem, trainer] = (folder, train(train=first, tune=second, learning=section, model_dir=folder))
        return made[problem, trainer]

    return of


@pytest.fixture
def fit(parts: Parts, tmp_path: Path) -> Train:
    """Trains on the synthetic rows: `fit(trainer="mlp", parameters={…})`."""

    def run(problem: str = "binary_classification", count: int = 600, **fields: Any) -> ModelInfo:
        first, second = parts(problem, count)
        checkpoints = fields.pop("checkpoints", "")
        section = learning(problem, **fields)
        return train(train=first, tune=second, learning=section, model_dir=tmp_path / "model", checkpoints=checkpoints)

    return run
