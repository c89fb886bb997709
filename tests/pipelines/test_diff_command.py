"""`saiki diff`: from names to models, and from what changed to lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import click
import pytest
from click.testing import CliRunner

from components._shared import storage
from components._shared.errors import CorruptError, InputError, RegistryError
from components._shared.evidence import DataEvidence, Estimate, Evaluation, Figures, SliceFigures
from components._shared.facts import DatasetFacts, Facts
from components._shared.garbage import find_garbage, remove_garbage
from components._shared.manifest import Rows
from components._shared.model_changes import Judged, MetricChange, ModelChanges, Side
from components._shared.model_files import model_digest, read_model_info
from components._shared.model_info import FeatureEncodingInfo, ModelInfo, Term
from components._shared.records import Attempt, Baseline, Lineage, ModelRef, Promise
from components._shared.registry import Registry
from components._shared.task import LearningSection, TrainerChoice, evaluation_section
from components._shared.verdict import Verdict
from components._shared.windows import Window, Windows
from components.push.promises import loser_files
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
        Term(
            name=f"shop={number}", feature="shop", category=str(number), weight=weight / 100 + number, share=0.01,
            unit="against the average",
        )
        for number in range(99)
    ]  # fmt: skip
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


def test_of_a_rejected_model_that_was_collected_it_says_so_and_shows_what_its_run_recorded(
    registry: Registry, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    (recorded,) = (each for each in registry.tries().values() if each.result == "rejected")
    model = make_model("x")
    files = loser_files(model)
    evidence = tmp_path / "evidence.json"
    for number, judgement in enumerate(("cc11", "dd22")):
        as_of = WINDOWS.as_of + timedelta(days=300 * number)
        made = {
            "judgement": judgement, "created": datetime.now(UTC), "files": "",
            "windows": WINDOWS.model_copy(update={"as_of": as_of}),
            "promise": Promise(
                metric="auc", candidate=Estimate(value=0.7), due=as_of, closed=as_of + timedelta(days=120)
            ),
        }  # fmt: skip
        registry.record_attempt(recorded.model_copy(update=made), {**files, "evidence.json": evidence})
    where = ("--registry", registry.root)
    assert "+++ attempt cc11 (rejected): linear" in run("1", "cc11", *where)
    older_than = datetime.now(UTC) + timedelta(minutes=5)
    garbage = find_garbage(str(tmp_path / "data"), [registry.root], older_than=older_than)
    assert remove_garbage(str(tmp_path / "data"), garbage) == len(files)
    after = run("1", "cc11", *where)
    assert "+++ attempt cc11 (rejected, its model was collected): linear" in after
    assert "+ y (boolean)" in after
    assert "+++ attempt dd22 (rejected): linear" in run("1", "dd22", *where)


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


def test_the_same_model_is_said_to_be_the_same_and_whether_its_files_were_looked_at(registry: Registry) -> None:
    last = run("1", "champion", "--registry", registry.root).splitlines()[-1]
    if "://" in registry.root:
        assert last == (
            "The digests of their files agree; the files of version 1 and version 1, the champion were not checked. "
            "Nothing else differs."
        )
    else:
        assert last == "They are the same model, byte for byte."


def test_a_model_whose_files_were_changed_is_not_compared(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model, copied = make_model(), tmp_path / "copied"
    copytree(model, copied)
    (copied / "variables/variables.data").write_bytes(b"")
    with pytest.raises(CorruptError, match="The model's files are not those that were trained"):
        run(str(model), str(copied))


def test_of_the_same_files_what_is_recorded_otherwise_is_shown(make_model: Callable[..., Path], tmp_path: Path) -> None:
    model, copied = make_model(), tmp_path / "copied"
    copytree(model, copied)
    described(copied, rows={"train": 5, "tune": 2})
    lines = run(str(model), str(copied)).splitlines()
    assert "Their files are the same, byte for byte. What is recorded of them differs:" in lines
    assert "~ rows to fit: 10 → 5" in lines


def test_models_that_differ_in_their_files_alone_are_said_to(make_model: Callable[..., Path]) -> None:
    text = run(str(make_model("one")), str(make_model("other")))
    assert "Nothing that is compared here differs, but their files do." in text


def test_a_short_number_is_a_version_and_never_the_start_of_a_judgement(registry: Registry, tmp_path: Path) -> None:
    attempt = list(registry.tries().values())[-1]
    evidence = tmp_path / "evidence.json"
    evidence.write_bytes(storage.read(registry.file_of(attempt, "evidence.json")))
    registry.record_attempt(
        attempt.model_copy(update={"judgement": "700000aa", "files": ""}), {"evidence.json": evidence}
    )
    with pytest.raises(InputError) as raised:
        run("1", "7", "--registry", registry.root)
    assert "'shops' has no version 7" in str(raised.value)
    assert "versions: 1; of a judgement give at least 6 digits" in str(raised.value)
    assert "+++ attempt 700000aa" in run("1", "700000", "--registry", registry.root)


def test_metrics_of_one_model_alone_are_said_to_be_and_are_no_gain(
    registry: Registry, make_model: Callable[..., Path]
) -> None:
    other = make_model("other")
    for arguments, title in (
        ((str(other), "1"), f"metrics, of version 1; of {other} none are known"),
        (("1", str(other)), f"metrics, of version 1; of {other} none are known"),
    ):
        lines = run(*arguments, "--registry", registry.root).splitlines()
        assert lines[lines.index(title) + 1] == "  AUC: 0.7"


FORGED = "B\n\nmetrics, on the same 26,696 rows\n~ AUC: 0.636 → 0.900, better\x1b[8m\x9b8m\u2028\u202e"


def test_what_rows_and_parameters_hold_writes_no_lines_and_no_colours(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    one, other = make_model("one"), make_model("other")
    described(one, **linear({"x": "numeric", "shop": "categorical"}, ("Rome",), 1.0))
    info = described(
        other, **linear({"x": "numeric", "shop": "categorical", FORGED: "numeric"}, ("Rome", FORGED), 2.0, note=FORGED)
    )
    forged = Term(
        name=f"shop={FORGED}", feature="shop", category=FORGED, weight=1.0, unit=FORGED, share=0.0
    )  # fmt: skip
    described(other, terms=(*info.terms, forged), native={"x": {FORGED: 1.0}}, made_from={"train": FORGED})
    text = run(str(one), str(other), "--all")
    assert not [line for line in re.split("[\n\x85\u2028]", text) if line.startswith(("metrics", "~ AUC"))]
    assert not set("\x1b\x9b\u2028\u202e") & set(text)
    assert (
        r"+ B\n\nmetrics, on the same 26,696 rows\n~ AUC: 0.636 → 0.900, better\x1b[8m\x9b8m\u2028\u202e (numeric)"
        in text
    )


def test_a_value_that_reads_like_several_stands_in_quotes_and_a_long_one_is_cut(
    make_model: Callable[..., Path],
) -> None:
    one, other = make_model("one"), make_model("other")
    described(one, **linear({"shop": "categorical"}, ("Rome",), 1.0))
    values = ("Rome", "Oslo, Bern", " ", 'the "Grand"', "x" * 200, *map(str, range(8)))
    described(other, **linear({"shop": "categorical"}, values, 1.0))
    shown = f'"Oslo, Bern", " ", "the \\"Grand\\"", {"x" * 99}…, 0, 1, 2, 3'
    assert f"+ shop: {shown} and 4 more\n" in run(str(one), str(other))
    assert f"+ shop: {shown}, 4, 5, 6, 7\n" in run(str(one), str(other), "--all")


def test_a_category_that_came_stands_beside_the_weight_of_the_others(make_model: Callable[..., Path]) -> None:
    def terms(*found: tuple[str, str, float, float]) -> tuple[Term, ...]:
        return tuple(
            Term(
                name=f"shop={value}", feature="shop", category=value, bucket=bucket, weight=weight,
                interval=(weight - 0.1, weight + 0.1), unit="against the average", share=share,
            )
            for value, bucket, weight, share in found
        )  # fmt: skip

    one, other = make_model("one"), make_model("other")
    given = linear({"shop": "categorical"}, (), 1.0)
    described(one, **{**given, "terms": terms(("Rome", "", -0.5, 0.5), ("(other)", "other", 0.5, 0.5))})
    now = terms(("Rome", "", -0.5, 0.5), ("Oslo", "", 1.1, 0.25), ("(other)", "other", -0.1, 0.25))
    described(other, **{**given, "terms": now})
    lines = run(str(one), str(other)).splitlines()
    assert "weights, the clear ones first; categories against the average row of the second model" in lines
    clear = "against the average; the intervals do not meet"
    assert f"~ shop=Oslo: (other) 0.500 [0.400, 0.600] → 1.100 [1.000, 1.200], {clear}" in lines


def test_the_trainers_own_figures_are_shown(make_model: Callable[..., Path]) -> None:
    one, other = make_model("one"), make_model("other")
    described(one, native={"x": {"gain": 12.5, "splits": 7.0}})
    described(other, native={"x": {"gain": 10.0}})
    lines = run(str(one), str(other)).splitlines()
    assert lines[lines.index("the trainer's own figures") + 1] == "~ x: gain 12.5 → 10, splits 7 → none"


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
        assert f"the files of {uri} and version 1 were not checked" in run(uri, "1", "--registry", registry.root)


@pytest.mark.parametrize(
    ("name", "said"),
    [("7", "versions: 1"), ("0", "no version 0"), ("zz", "no version, attempt"), ("12345678", "saiki models")],
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
