"""Rows, and what small models predicted of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components._shared.manifest import Manifest
from components.predict.executor import predict
from tests.synthetic_rows import manifest, rows, scoring


@pytest.fixture(scope="session")
def predicted(model_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Manifest, Manifest]]:
    """Rows, and what the small model of a problem predicted of them."""
    made: dict[str, tuple[Manifest, Manifest]] = {}

    def of(problem: str = "binary_classification") -> tuple[Manifest, Manifest]:
        if problem not in made:
            root = tmp_path_factory.mktemp("predicted")
            examples = manifest(root, rows(3000, problem, seed=3), "test")
            section = scoring(problem)
            made[problem] = (
                examples,
                predict(examples=examples, data_root=str(root), scoring=section, model=model_of(problem)),
            )
        return made[problem]

    return of
