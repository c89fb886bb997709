"""Who may import whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from components._shared.image import ENVIRONMENT_OF
from tests.architecture.sources import (
    COMPONENTS,
    ROOT,
    STEPS,
    all_imports,
    imports_when_loaded,
    python_files,
    reached,
    relative,
    top_levels,
)

HEAVY = {
    "apache_beam",
    "boto3",
    "botocore",
    "duckdb",
    "google",
    "keras",
    "kubernetes",
    "matplotlib",
    "pandas",
    "scipy",
    "sklearn",
    "tensorflow",
    "tensorflow_data_validation",
    "tensorflow_model_analysis",
}
NOT_IN_LIGHT = {
    "apache_beam",
    "keras",
    "pandas",
    "sklearn",
    "tensorflow",
    "tensorflow_data_validation",
    "tensorflow_model_analysis",
}


def what_runs(step: str) -> list[Path]:
    """The files of a step but the one that KFP reads."""
    return [path for path in python_files(f"components/{step}") if path.name != "component.py"]


@pytest.mark.parametrize("step", STEPS)
def test_what_a_step_runs_imports_no_kfp(step: str) -> None:
    offenders = {relative(path) for path in reached(*what_runs(step)) if "kfp" in top_levels(all_imports(path))}

    assert not offenders


@pytest.mark.parametrize("step", [step for step in STEPS if ENVIRONMENT_OF[step] == "light"])
def test_a_light_step_imports_no_tensorflow_at_any_depth(step: str) -> None:
    files = reached(*what_runs(step))

    offenders = {relative(path): found for path in files if (found := NOT_IN_LIGHT & top_levels(all_imports(path)))}

    assert not offenders


def test_heavy_libraries_are_imported_inside_the_functions_that_need_them() -> None:
    offenders = {
        relative(path): found
        for path in python_files("components")
        if (found := HEAVY & top_levels(imports_when_loaded(path)))
    }

    assert not offenders


def test_kfp_is_imported_only_where_components_are_declared() -> None:
    files = [path for path in python_files("components") if path.name != "component.py"]

    offenders = {relative(path) for path in files if "kfp" in top_levels(all_imports(path))}

    assert not offenders


def test_imports_point_from_pipelines_to_components_and_not_back() -> None:
    offenders = {
        relative(path) for path in python_files("components") if {"pipelines", "tests"} & top_levels(all_imports(path))
    }

    assert not offenders


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_imports_its_own_folder_and_shared_code_only(component: str) -> None:
    allowed = (f"components.{component}", "components._shared")

    offenders = {
        relative(path): strange
        for path in python_files(f"components/{component}")
        if (
            strange := {
                name
                for name in all_imports(path)
                if name.startswith("components.") and not f"{name}.".startswith(tuple(f"{base}." for base in allowed))
            }
        )
    }

    assert not offenders


def test_no_import_is_relative() -> None:
    from ast import ImportFrom, walk

    from tests.architecture.sources import tree

    offenders = [
        relative(path)
        for path in python_files("components", "pipelines")
        for node in walk(tree(path))
        if isinstance(node, ImportFrom) and node.level
    ]

    assert not offenders


def test_the_set_up_needs_nothing_but_the_standard_library() -> None:
    import sys

    foreign = top_levels(all_imports(ROOT / "requirements" / "environments.py")) - set(sys.stdlib_module_names)

    assert not foreign
