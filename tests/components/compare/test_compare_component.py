"""The step as KFP runs it, and what it leaves for the Kubeflow UI and for the steps after it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.comparison import Comparison, ScoreSketches
from components._shared.errors import CorruptError, NotFoundError
from components._shared.manifest import Manifest
from components._shared.model_changes import ModelChanges
from components._shared.records import Lineage, ModelRef
from components._shared.verdict import Verdict
from components._shared.windows import Window, Windows
from components.compare.models import changes
from tests import kubeflow_ui
from tests.compared_rows import START, MakeTables, Tables, model_info, section_of
from tests.kfp_step import run_step

INPUTS = {"candidate": "Dataset", "champion": "Dataset", "examples": "Dataset", "model": "Model"}
OUTPUTS = {
    "verdict": "Artifact",
    "evidence": "Artifact",
    "changes": "Artifact",
    "sketches": "Artifact",
    "metrics": "Metrics",
    "summary": "Markdown",
}


def _run(folder: Path, made: Tables, *, registered: str = "", **section: Any) -> dict[str, dict[str, Any]]:
    """Runs the step; gives the metadata of each output."""
    for name in ("candidate", "champion", "examples"):
        manifest: Manifest = getattr(made, name)
        (folder / name).write_text(manifest.to_json(), encoding="utf-8")
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text(model_info().to_json(), encoding="utf-8")
    written = run_step(
        "compare",
        folder,
        parameters={
            "registered": registered,
            "gates": section_of(**section).to_json(),
            "windows": _windows(trained_from=10).to_json(),
        },
        inputs=INPUTS,
        outputs=OUTPUTS,
    )["artifacts"]
    assert all((folder / name).is_file() for name in OUTPUTS)
    return {name: written[name]["artifacts"][0].get("metadata", {}) for name in OUTPUTS}


def _windows(trained_from: int) -> Windows:
    """Of a run whose rows to fit begin so many days before the first one that judges."""
    train = Window(start=START - timedelta(days=trained_from), end=START)
    return Windows(as_of=START + timedelta(days=20), timezone="Europe/Rome", train=train)


def _registered(folder: Path) -> str:
    """A version in a registry that is a folder, as a parameter."""
    version = folder / "registry" / "task" / "versions" / "4"
    version.mkdir(parents=True)
    older = model_info({"place": "categorical", "hour": "numeric"}).model_copy(update={"digest": "old"})
    (version / "model.json").write_text(older.to_json(), encoding="utf-8")
    lineage = Lineage(
        experiment="e", judgement="j", model_digest="old", made_from={}, code={}, windows=_windows(trained_from=30),
        created=START,
    )  # fmt: skip
    (version / "lineage.json").write_text(lineage.to_json(), encoding="utf-8")
    return ModelRef(version=4, uri=version.as_uri(), digest="old").to_json()


def test_the_step_leaves_a_verdict_figures_changes_and_sketches(tables: MakeTables, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    champion = random.beta(2, 5, 1000)
    candidate = np.clip(champion + random.normal(0.05, 0.1, 1000), 0, 1)
    label = (random.random(1000) < champion).astype(float)
    place = random.choice(["<img src=x>", "![x](https://example.com/a|b.png)"], 1000)
    made = tables(candidate, champion, label=label, slices={"place": place})

    out = _run(
        tmp_path,
        made,
        registered=_registered(tmp_path),
        slices=("place",),
        gates={"difference": {"flipped": 0.5, "rank_agreement": 0.999}},
    )

    verdict = Verdict.from_json((tmp_path / "verdict").read_text())
    comparison = Comparison.from_json((tmp_path / "evidence").read_text())
    assert (verdict.subject, verdict.outcome, out["verdict"]["outcome"]) == ("difference", "failed", "failed")
    assert [check.name for check in verdict.checks] == ["difference.flipped", "difference.rank_agreement"]
    assert comparison.rows == 1000 and comparison.outputs[0].absolute.value > 0.05
    changed = ModelChanges.from_json((tmp_path / "changes").read_text())
    assert changed.features_lost == {"hour": "numeric"} and changed.before.name == "version 4"
    assert [(one.name, one.before, one.after) for one in changed.data] == [
        ("first row", "2013-05-02 02:00 Europe/Rome", "2013-05-22 02:00 Europe/Rome")
    ]
    sketches = ScoreSketches.from_json((tmp_path / "sketches").read_text())
    assert sketches.model == "new" and sketches.outputs[0].rows == 1000
    kubeflow_ui.check_scalars(out["metrics"])
    assert {"mean_difference", "flipped", "psi", "ks", "rank_agreement"} <= out["metrics"].keys()
    summary = (tmp_path / "summary").read_text()
    kubeflow_ui.check_markdown(summary)
    assert summary.startswith("## difference: failed") and "<img" not in summary and "![x]" not in summary
    assert "place = &lt;img src=x&gt;" in summary and r"place = !\[x\](https://example.com/a\|b.png)" in summary


def test_without_a_champion_every_output_is_there_too(tables: MakeTables, tmp_path: Path) -> None:
    out = _run(tmp_path, tables(np.linspace(0, 1, 100), None))
    assert (tmp_path / "changes").read_text() == "{}"
    assert out["verdict"]["outcome"] == "passed"
    assert Comparison.from_json((tmp_path / "evidence").read_text()) == Comparison()
    assert ScoreSketches.from_json((tmp_path / "sketches").read_text()).outputs[0].rows == 100
    kubeflow_ui.check_markdown((tmp_path / "summary").read_text())


def test_the_champion_of_the_registry_must_be_the_one_that_was_compared(tmp_path: Path) -> None:
    ref = ModelRef.from_json(_registered(tmp_path))
    with pytest.raises(CorruptError, match="Version 4 is not the model that it was"):
        changes(model_info(), ref.model_copy(update={"digest": "another"}), _windows(trained_from=10))
    with pytest.raises(NotFoundError):
        changes(model_info(), ref.model_copy(update={"uri": (tmp_path / "gone").as_uri()}), _windows(trained_from=10))


def test_the_same_inputs_give_the_same_bytes(tables: MakeTables, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    scores = random.random((2, 500))
    made = tables(scores[0], scores[1], day=random.integers(0, 10, 500), fit_until=(START, START + timedelta(days=2)))
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _run(tmp_path / name, made)
        texts.append([(tmp_path / name / output).read_bytes() for output in OUTPUTS if output != "metrics"])
    assert texts[0] == texts[1]
