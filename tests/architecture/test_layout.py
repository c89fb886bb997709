"""The same files in every folder, and names that say what a module holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components._shared.image import ENVIRONMENT_OF
from pipelines import readmes
from tests.architecture.sources import ROOT, STEPS, python_files, relative, tracked_files, tree

# Words of the calendar are everybody's.
EVERYBODYS_WORDS = {"year", "month", "day", "hour", "minute", "weekday", "date"}


def test_every_step_has_an_environment() -> None:
    assert set(STEPS) == set(ENVIRONMENT_OF)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["component.py", "executor.py", "README.md"])
def test_every_step_has_the_same_files(step: str, name: str) -> None:
    assert (ROOT / "components" / step / name).is_file()


def test_the_readmes_of_components_say_what_their_signatures_say() -> None:
    assert not readmes.stale(write=False), "run `make format`"


@pytest.mark.parametrize("step", STEPS)
def test_every_parameter_and_artifact_is_explained(step: str) -> None:
    text = readmes.readme((ROOT / "components" / step / "component.py").read_text(), step)

    unexplained = re.findall(r"^\| `(\w+)` \|.*\|  \|$", text, flags=re.MULTILINE)

    assert not unexplained, "say in the docstring of component.py what they are"


def test_packages_hold_a_docstring_only() -> None:
    offenders = [
        relative(path)
        for path in python_files("components", "pipelines")
        if path.name == "__init__.py" and (len(tree(path).body) != 1 or ast.get_docstring(tree(path)) is None)
    ]

    assert not offenders


def test_modules_are_named_for_what_they_hold() -> None:
    empty_names = {"utils", "util", "helpers", "helper", "common", "types", "misc", "base", "core"}

    offenders = [relative(path) for path in python_files("components", "pipelines") if path.stem in empty_names]

    assert not offenders


def test_annotations_are_lazy_except_where_kfp_reads_them() -> None:
    read_by_kfp = {"component.py", "pipeline.py", "__init__.py"}

    offenders = [
        relative(path)
        for path in python_files("components", "pipelines")
        if ("from __future__ import annotations" in path.read_text()) == (path.name in read_by_kfp)
    ]

    assert not offenders


def strings_and_names(path: Path) -> Iterator[tuple[int, str]]:
    """What the code says: the words of its strings, and its identifiers of several words; docstrings are no code."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(path)):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in prose:
                yield from ((node.lineno, word) for word in re.findall(r"\w+", text))
            case ast.Name(id=name) | ast.arg(arg=name) if "_" in name:
                yield getattr(node, "lineno", 0), name


@pytest.mark.parametrize(
    "example", sorted(path.parent for path in ROOT.glob("examples/*/task.yaml")), ids=lambda path: path.name
)
def test_no_column_of_an_example_is_named_in_components_or_pipelines(example: Path) -> None:
    task = yaml.safe_load((example / "task.yaml").read_text())
    schema = yaml.safe_load((example / "schema.yaml").read_text())
    columns = {*schema["columns"], *task.get("derived", {}), *task["features"]} - EVERYBODYS_WORDS

    offenders = [
        f"{relative(path)}:{line}: {word}"
        for path in python_files("components", "pipelines")
        for line, word in strings_and_names(path)
        if word in columns
    ]

    assert not offenders


def test_no_file_says_where_packages_come_from() -> None:
    """Each machine has its own configuration for that; a name written here would break those that use another."""
    hosts = "|".join(
        [
            "pypi" + r"\.(?:org|python)",
            "python" + "hosted",
            "registry" + r"\.npmjs",
            "deb" + r"\.debian",
            "ubuntu" + r"\.com",
        ]
    )
    forbidden = re.compile(
        rf"https?://[^\s/]*(?:{hosts})|^\s*--?(?:i|(?:extra.)?index.url|find.links)[ =]", re.MULTILINE
    )

    offenders = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if forbidden.search(text):
            offenders.append(relative(path))

    assert not offenders


def test_every_lock_pins_every_package_with_its_hashes() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        pinned = re.findall(
            r"^[A-Za-z0-9][^\n#]*(?:\n(?: +--hash=sha256:[0-9a-f]{64}[ \\]*))+", path.read_text(), flags=re.MULTILINE
        )
        listed = re.findall(r"^[A-Za-z0-9].*$", path.read_text(), flags=re.MULTILINE)
        assert len(pinned) == len(listed) > 0, path.name


def test_every_lock_has_its_source() -> None:
    folder = ROOT / "requirements"

    assert {path.stem for path in folder.glob("*.txt")} == {path.stem for path in folder.glob("*.in")}
