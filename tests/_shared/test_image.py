"""The image tag changes with what the component's code imports, and with nothing else."""

import ast
import shutil
from pathlib import Path

import pytest

from components._shared import image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the source whose files can be edited."""
    for name in ("components", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Dockerfile", tmp_path)
    monkeypatch.setattr(image, "_ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget():
    image._tag.cache_clear()
    image._imports.cache_clear()


def tags():
    forget()
    return {name: image.image_of(name) for name in image.ENVIRONMENT_OF}


def changed(tree, path):
    before = tags()
    with (tree / path).open("a") as file:
        file.write("# edited\n")
    after = tags()
    assert before["plan"] != after["plan"], "it plans with the digests of the other steps' code"
    return {name for name in before if before[name] != after[name]} - {"plan"}


def test_an_edited_component_changes_its_own_tag_alone(tree):
    assert changed(tree, "components/evaluate/executor.py") == {"evaluate"}


def test_an_edited_shared_module_changes_the_tags_of_those_that_import_it(tree):
    assert changed(tree, "components/_shared/expressions.py") == {"ingest"}
    assert changed(tree, "components/_shared/contract.py") == set(image.ENVIRONMENT_OF) - {"plan"}


def test_an_edited_lock_changes_the_tags_of_its_environment(tree):
    assert changed(tree, "requirements/tensorflow.txt") == {
        "train",
        "predict",
        "smoke_test",
        "behave",
        "explain",
        "settle",
    }


def test_an_edited_page_template_changes_the_tag_of_judge(tree):
    template = next((tree / "components/judge").rglob("*.jinja")).relative_to(tree)
    assert changed(tree, template) == {"judge"}


@pytest.mark.parametrize("path", image._RECIPE)
def test_an_edited_recipe_changes_all_tags(tree, path):
    assert changed(tree, path) == set(image.ENVIRONMENT_OF) - {"plan"}


def test_no_import_is_overlooked():
    for path in (ROOT / "components").rglob("*.py"):
        wanted = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                wanted.add(node.module)
        files = {
            ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in wanted if name.startswith("components.")
        }
        assert {file for file in files if file.is_file()} <= image._imports(path), path
