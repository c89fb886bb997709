"""`saiki diff`: from names to models, and from what changed to lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from components._shared import storage
from components._shared.errors import InputError, RegistryError
from components._shared.evidence import DataEvidence, Estimate, Evaluation, Figures, SliceFigures
from components._shared.facts import DatasetFacts, Facts
from components._shared.manifest import Rows
from components._shared.model_changes import Judged, MetricChange, ModelChanges, Side
from components._shared.model_files import model_digest, read_model_info
from components._shared.model_info import FeatureEncodingInfo, ModelInfo, Term
from components._shared.records import Attempt, Baseline, Lineage, ModelRef
from components._shared.registry import Registry
from components._shared.task import LearningSection, TrainerChoice, evaluation_section
from components._shared.verdict import Verdict
from components._shared.windows import Window, Windows
from pipelines.__main__ import saiki
from pipelines.commands.diff import _lines
from tests.small_task import write_task

TRAIN = Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=datetime(2013, 5, 1, tzinfo=UTC))
WINDOWS = Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC", train=TRAIN)


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(saiki, ["diff", *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def described(model: Path, **fields: Any) -> ModelInfo:
    """Writes a model's description anew."""
    info = read_model_info(model).model_copy(update={**fields, "digest": model_digest(model)})
    (model / "model.json").write_text(info.to_json(), encoding="utf-8")
    return info


def linear(features: dict[str, Any], values: tuple[str, ...], weight: float, **parameters: Any) -> dict[str, Any]:
    """What a linear model says of itself; a hundred weights of no interest, and one."""
    terms = [
        Term(name=f"shop={number}", feature="shop", weight=weight / 100 + number, share=0.01) for number in range(99)
    ]
    clear = Term(name="x", feature="x", weight=weight, interval=(weight - 0.1, weight + 0.1), unit="per unit")
    return {
        "learning": LearningSection(
            problem="binary_classification", classes=None, features=features,
            trainer=TrainerChoice(name="linear", parameters=parameters),
        ),
        "terms": (*terms, clear),
        "encoding": {
            "shop": FeatureEncodingInfo(values=values),
            "x": FeatureEncodingInfo(figures={"scale": 1.0 + weight}),
        },
    }  # fmt: skip


def facts(task: Any, info: ModelInfo, champion: ModelRef | None, metric: Figures, rows: int) -> Facts:
    verdict = Verdict(subject="candidate", outcome="passed", checks=(), summary="fine")
    whole = SliceFigures(column="", value="", rows=rows, clusters=3, label_mean=0.2, metrics={"auc": metric})
    return Facts(
        experiment="e",
        verdict=verdict,
        windows=WINDOWS,
        learning=info.learning,
        gates=evaluation_section(task),
        champion=champion,
        dataset=DatasetFacts(digest="0" * 64, columns={}, rows=rows),
        data=DataEvidence(rows=Rows(), parts={}, features=()),
        model=info,
        evaluation=Evaluation(
            engine="vectorised", problem="binary_classification", rows=rows, clusters=3, overall=whole
        ),
    )


@pytest.fixture
def registry(any_root: str, make_model: Callable[..., Path], tmp_path: Path) -> Registry:
    """A champion, and a rejected challenger that was judged beside it."""
    from components._shared.task import Task

    task = Task.from_json(write_task(tmp_path / "task").read_bytes())
    found = Registry(any_root, "shops")
    found.open(create=True)
    champion: ModelRef | None = None
    for number, judgement in enumerate(("aaaa11", "bb22")):
        model = make_model(judgement)
        features = {"x": "numeric", "shop": "categorical", **({"y": "boolean"} if number else {})}
        values = ("Rome", "Oslo") if number else ("Rome", "Bern")
        info = described(model, **linear(features, values, 1.0 + number, **({"epochs": 3} if number else {})))
        made: dict[str, Any] = {
            "experiment": "e", "judgement": judgement, "made_from": {}, "windows": WINDOWS,
            "created": datetime.now(UTC),
        }  # fmt: skip
        metric = Figures(
            candidate=Estimate(value=0.7 + number / 10),
            champion=Estimate(value=0.65) if number else None,
            difference=Estimate(value=0.15, interval=(0.05, 0.25)) if number else None,
        )
        evidence = tmp_path / "evidence.json"
        evidence.write_text(facts(task, info, champion, metric, 100 + number).to_json(), encoding="utf-8")
        attempt = Attempt(
            task="shops", model_digest=info.digest, baseline=Baseline(), reason="looked at",
            outcome="failed" if number else "passed", result="rejected" if number else "promoted", **made,
        )  # fmt: skip
        found.record_attempt(attempt, {"evidence.json": evidence})
        if not number:
            version = found.add_version(model, Lineage(model_digest=info.digest, code={}, **made))
            found.promote(version, generation=None, who="push", why="the first")
            champion = found.version_ref(version)
    return found


def test_a_challenger_beside_the_champion_reads_like_a_code_diff(registry: Registry) -> None:
    lines = run("champion", "bb2", "--registry", registry.root).splitlines()
    assert lines[0].startswith("--- version 1, the champion: linear, fitted on 10 rows")
    assert lines[1].startswith("+++ attempt bb22 (rejected): linear")
    for line in (
        "+ y (boolean)",
        "+ epochs: 3",
        "metrics, on the same 101 rows in 3 days",
        "~ AUC: 0.650 → 0.800, +0.150 [0.050, 0.250], better",
        "~ x: scale 2 → 3",
        "+ shop: Oslo",
        "- shop: Bern",
        "  92 more: --all",
    ):
        assert line in lines
    first = lines[next(place for place, line in enumerate(lines) if line.startswith("weights")) + 1]
    assert first == "~ x: 1.000 [0.900, 1.100] → 2.000 [1.900, 2.100], per unit; the intervals do not meet"


def test_all_shows_every_line(registry: Registry) -> None:
    text = run("1", "bb22", "--registry", registry.root, "--all")
    assert "--all" not in text
    assert len(re.findall(r"^~ shop=\d+: ", text, re.MULTILINE)) == 99


def test_the_other_way_round_everything_is_turned(registry: Registry) -> None:
    lines = run("bb22", "1", "--registry", registry.root).splitlines()
    assert "- y (boolean)" in lines
    assert "~ AUC: 0.800 → 0.650, −0.150 [−0.250, −0.050], worse" in lines


def test_a_script_reads_json(registry: Registry) -> None:
    found = json.loads(run("1", "bb22", "--registry", registry.root, "--json"))
    assert found["format"] == "saiki/model-changes/v1"
    assert found["features_gained"] == {"y": "boolean"}
    assert len(found["terms"]) == 100
    assert found["terms"][0]["clear"]
    assert found["before"]["data"]["start"] == "2013-01-01T00:00:00Z"
    assert found["metrics"][0]["difference"]["interval"] == [0.05, 0.25]
    assert (found["judged"]["rows"], found["judged"]["clusters"], found["judged"]["noun"]) == (101, 3, "day")


def test_colours_are_for_terminals_only(registry: Registry) -> None:
    coloured = CliRunner().invoke(saiki, ["diff", "1", "bb22", "--registry", registry.root], color=True).output
    assert "\x1b[32m+ y (boolean)" in coloured
    assert "\x1b[" not in run("1", "bb22", "--registry", registry.root)


def test_the_same_model_is_said_to_be_the_same(registry: Registry) -> None:
    assert "They are the same model, byte for byte." in run("1", "champion", "--registry", registry.root)


def test_directories_need_no_registry(make_model: Callable[..., Path], tmp_path: Path) -> None:
    one, other = make_model("one"), make_model("other")
    described(one, **linear({"x": "numeric"}, (), 1.0))
    text = run(str(one), str(other), "--registry", str(tmp_path / "none"))
    assert "The second model is not linear: there are no weights to compare." in text


def test_of_models_that_are_not_linear_it_says_why_there_are_no_weights(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    one, other = make_model("one"), make_model("other")
    for path in (one, other):
        learning = read_model_info(path).learning
        described(path, learning=learning.model_copy(update={"trainer": TrainerChoice(name="mlp")}))
    text = run(str(one), str(other), "--registry", str(tmp_path / "none"))
    assert "No coefficients to compare: mlp is not linear." in text


@pytest.mark.parametrize(
    ("metric", "difference", "says"),
    [
        ("log_loss", Estimate(value=-0.01, interval=(-0.02, -0.005)), "-0.010 [-0.020, -0.005], better"),
        ("log_loss", Estimate(value=0.01, interval=(-0.01, 0.03)), "+0.010 [-0.010, 0.030], may be luck"),
        ("bias", Estimate(value=0.01, interval=(0.005, 0.02)), "+0.010 [0.005, 0.020]"),
        ("auc", Estimate(value=0.01), "+0.01"),
    ],
)
def test_a_paired_difference_says_which_way_is_better(metric: str, difference: Estimate, says: str) -> None:
    change = MetricChange(metric=metric, before=Estimate(value=0.4), after=Estimate(value=0.41), difference=difference)
    side = Side(name="x", digest="0" * 64, trainer="mlp")
    window = Window(start=datetime(2013, 8, 31, 4, tzinfo=UTC), end=datetime(2013, 9, 30, 4, tzinfo=UTC))
    judged = Judged(rows=26_696, clusters=30, noun="day", window=window)
    changes = ModelChanges(
        before=side, after=side, metrics=(change,), same_rows=True, judged=judged, timezone="America/New_York"
    )
    lines = [click.unstyle(line).replace("−", "-") for line in _lines(changes, most=None)]
    assert "metrics, on the same 26,696 rows in 30 days, 2013-08-31 to 2013-09-29" in lines
    assert lines[-1].endswith(says)


def test_a_model_in_a_bucket_is_named_by_its_uri(registry: Registry) -> None:
    if "://" in registry.root:
        uri = storage.join(registry.root, "shops/versions/1")
        assert "byte for byte" in run(uri, "1", "--registry", registry.root)


@pytest.mark.parametrize(
    ("name", "said"), [("7", "versions: 1"), ("zz", "no version, attempt"), ("12345678", "saiki models")]
)
def test_what_is_not_there_is_said_with_what_is(name: str, said: str, registry: Registry) -> None:
    with pytest.raises(InputError) as raised:
        run(name, "1", "--registry", registry.root)
    assert said in str(raised.value)


def test_no_champion_no_registry_and_no_model_are_said(tmp_path: Path) -> None:
    root = str(tmp_path / "registry")
    with pytest.raises(RegistryError, match="There is no registry here"):
        run("1", "2", "--registry", root)
    Registry(root, "shops").open(create=True)
    storage.create(storage.join(root, "shops/attempts/x.note.json"), b"{}")
    with pytest.raises(InputError, match=r"model\.json is missing"):
        run(str(tmp_path), str(tmp_path), "--registry", root)
