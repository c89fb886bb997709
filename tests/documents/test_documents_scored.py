"""The documents of linear models, held against their schemas and scored by engines that are not ours, on all rows.

The light steps make the rows here; models are trained and asked by the interpreter of `tensorflow`, documents by that
of `engines`, all of them once for all tests. What is not here (the flights, the engines) skips its own tests alone.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared import storage
from components._shared.manifest import Listing, Manifest
from components._shared.task import DataSection
from components._shared.windows import Windows
from components.ingest.executor import ingest
from components.plan.executor import plan
from components.split.executor import split
from tests.synthetic_rows import FEATURES, TYPES, learning, manifest, rows, scoring

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ROOT / ".venvs" / "engines"
TENSORFLOW = ROOT / ".venvs" / "tensorflow" / "bin" / "python"

EXAMPLES = {"flights": "2013-07-01", "penguins": "", "weather": "2016-01-02"}
PROBLEMS = ("binary_classification", "multiclass_classification", "regression")
MODELS = (*EXAMPLES, *PROBLEMS)

ODD = (
    " leading", "trailing ", "two  spaces", "a\ttab", "a\nline", "a\rreturn", "<&>\"'", "日本 🎉", "naïve", "1", "1.0",
    "true", "NaN", "null", "NA", "(other)", "(missing)", "@", "=", "=@",
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each model whose rows are here: the model, the test rows and the scores stored for them."""
    root = tmp_path_factory.mktemp("documents")
    for name, as_of in EXAMPLES.items():
        if _are_here(name):
            _example(root / name, name, as_of)
    for problem in PROBLEMS:
        _every_kind(root / problem, problem)
    command = [TENSORFLOW, "-m", "tests.documents.scored_models", root]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: root / name for name in MODELS if _are_here(name)}


@pytest.fixture(scope="module")
def engine_scores(folders: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Engine → model → scores. They work at the same time."""
    if not (ENGINES / "saiki-environment.json").exists():
        pytest.skip(f"no engine but ours scored the documents, there is no environment `engines`: {_why_not()}")
    here = ROOT / "tests" / "documents"
    scripts = {
        "titus": [here / "score_with_titus.py"],
        "jpmml": [here / "score_with_java.py", "jpmml"],
        "pmml4s": [here / "score_with_java.py", "pmml4s"],
    }
    started = {
        engine: subprocess.Popen(
            [ENGINES / "bin" / "python", "-W", "ignore", *script, *folders.values()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for engine, script in scripts.items()
    }
    found = {}
    for engine, process in started.items():
        out, err = process.communicate()
        assert process.returncode == 0, f"{engine}: {err[-2000:]}"
        found[engine] = {Path(folder).name: scores for folder, scores in json.loads(out).items()}
    return found


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("engine", ["titus", "jpmml", "pmml4s"])
def test_an_engine_gives_the_scores_of_the_saved_model_on_all_test_rows(
    engine: str, name: str, folders: dict[str, Path], engine_scores: dict[str, dict[str, Any]]
) -> None:
    if name not in folders:
        pytest.skip("the flights are not here: make setup-tests fetches them")
    given = json.loads((folders[name] / "rows.json").read_text())
    stored = np.array(given["scores"])
    found = np.array(engine_scores[engine][name])
    assert found.shape == stored.shape
    if name == "flights":
        assert len(found) == 27_212
    difference = np.abs(found - stored)
    # A regression's scores are 32-bit floats of any size: each is held to its own, and to the spread of the label.
    scale = np.maximum(np.abs(stored), given["label_std"]) if given["label_std"] else np.ones_like(stored)
    relative = float((difference / scale).max())
    print(
        f"{engine} on {name}: {len(found)} rows, largest difference {difference.max():.3g}, of its scale {relative:.3g}"
    )
    assert relative <= 1e-6


def _why_not() -> str:
    """What the set-up wrote down when it could not make the engines' environment."""
    written = ENGINES.with_name("engines.missing.txt")
    said = written.read_text(encoding="utf-8") if written.exists() else "make setup-tests makes it"
    return " ".join(said.split())[:300]


def _are_here(name: str) -> bool:
    """The rows of the flights are fetched, all others lie in the repository or are made up."""
    return name != "flights" or (ROOT / "examples" / name / "data" / "flights.csv.zip").exists()


def _example(folder: Path, name: str, as_of: str) -> None:
    """The rows of an example as the pipeline's first steps make them."""
    source = ROOT / "examples" / name
    root = str(folder / "data")
    planned = plan(
        task_uri=str(source / "task.yaml"),
        as_of=as_of,
        data_root=root,
        registry=str(folder / "registry"),
        trainer="linear",
        parameters={},
        sample=1.0,
        budget=10,
    )
    windows = Windows.from_json(planned.windows)
    examples = ingest(
        listing=Listing.from_json(storage.read(planned.listing)),
        data=DataSection.from_json(planned.data),
        windows=windows,
        data_root=root,
    )
    parts = split(examples=examples, windows=windows)
    _write(folder, vars(parts), planned.learning, planned.scoring)


def _every_kind(folder: Path, problem: str) -> None:
    """Rows with every kind of feature, odd values, missing ones, ones never seen, and a feature called as an answer."""
    called = {"class": "score_0" if problem == "multiclass_classification" else "score"}
    train, test = rows(600, problem), rows(400, problem, seed=3)
    for place in range(300):
        train["shop"][place] = ODD[place % len(ODD)]
        test["shop"][place] = ODD[place % len(ODD)] if place < 280 else f"never seen {place}"
    train["shop"][300:303] = ["rare", "rarer", ""]
    test["shop"][300:303] = ["rare", "", "(other)-"]
    test["temperature (°C)"][:3] = [1e300, -1e300, 300.1]
    calibrate = {"binary_classification": "platt", "multiclass_classification": "temperature", "regression": "none"}
    data = folder / "data"
    given = {"train": train, "tune": rows(200, problem, seed=2), "test": test}
    parts = {
        role: manifest(data, _called(columns, called), role, _called(TYPES, called)) for role, columns in given.items()
    }
    features = _called(FEATURES, called)
    section = learning(problem, features=features, budget=2, parameters={"calibrate": calibrate[problem]})
    _write(folder, parts, section.to_json(), scoring(problem).to_json())


def _called(columns: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The columns, some of them by another name."""
    return {names.get(name, name): column for name, column in columns.items()}


def _write(folder: Path, parts: Mapping[str, Manifest], learning_json: str, scoring_json: str) -> None:
    for role in ("train", "tune", "test"):
        (folder / f"{role}.json").write_text(parts[role].to_json(), encoding="utf-8")
    (folder / "learning.json").write_text(learning_json, encoding="utf-8")
    (folder / "scoring.json").write_text(scoring_json, encoding="utf-8")
