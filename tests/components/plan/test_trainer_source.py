from __future__ import annotations

from pathlib import Path

import pytest

from components.plan.trainer_source import source_digest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path: a trainer in a package, what it imports, and what it does not."""
    files = {
        "mine/__init__.py": "",
        "mine/trainer.py": "import no_such_library\nfrom . import network\nfrom beside import layers\n",
        "mine/network.py": "import mine.losses\n",
        "mine/losses.py": "raise RuntimeError('nobody imports a trainer to plan a run')\n",
        "mine/other.py": "",
        "beside.py": "layers = 3\n",
        "elsewhere.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    return tmp_path / "src"


@pytest.mark.parametrize(
    ("edited", "counts"),
    [
        ("mine/trainer.py", True),
        ("mine/__init__.py", True),
        ("mine/network.py", True),
        ("mine/losses.py", True),
        ("beside.py", True),
        ("mine/other.py", False),
        ("elsewhere.py", False),
    ],
)
def test_an_edit_of_what_the_trainer_imports_counts(home: Path, edited: str, counts: bool) -> None:
    before = source_digest("mine.trainer:train")
    (home / edited).write_text((home / edited).read_text() + "# edited\n")
    assert len(before) == 64
    assert (source_digest("mine.trainer:train") != before) == counts


def test_the_same_source_has_the_same_digest_in_another_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source_digest("mine.trainer:train")
    home.rename(tmp_path / "moved")
    monkeypatch.syspath_prepend(str(tmp_path / "moved"))
    assert source_digest("mine.trainer:train") == before


def test_a_file_that_cannot_be_parsed_still_counts(home: Path) -> None:
    (home / "mine" / "trainer.py").write_text("def train(:\n")
    assert len(source_digest("mine.trainer:train")) == 64


@pytest.mark.parametrize(
    "trainer",
    ["mlp", "components.train.trainers.mlp:train", "nowhere.to_be:found", "beside.not_a_package:train", "..:x", ":x"],
)
def test_ours_and_those_that_are_not_found_have_none(home: Path, trainer: str) -> None:
    assert source_digest(trainer) == ""
