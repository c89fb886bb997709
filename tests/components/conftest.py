"""Small models and rows to predict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from components._shared.manifest import Manifest
from components.train.executor import train
from tests.synthetic_rows import learning, manifest, rows


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The directory of a small model of a problem."""
    made: dict[str, Path] = {}

    def of(problem: str = "binary_classification") -> Path:
        if problem not in made:
            root = tmp_path_factory.mktemp("models")
            train(
                train=manifest(root, rows(300, problem), "train"),
                tune=manifest(root, rows(100, problem, seed=2), "tune"),
                learning=learning(problem, budget=2),
                model_dir=root / "model",
            )
            made[problem] = root / "model"
        return made[problem]

    return of


@pytest.fixture
def test_rows(tmp_path: Path) -> Callable[..., Manifest]:
    """The test part of a problem."""

    def of(problem: str = "binary_classification", count: int = 500) -> Manifest:
        return manifest(tmp_path / "data", rows(count, problem, seed=3), "test")

    return of
