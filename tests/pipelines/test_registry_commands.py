from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from components._shared import storage
from components._shared.errors import InputError, RegistryError
from components._shared.evidence import Estimate
from components._shared.model_info import ModelInfo
from components._shared.records import Attempt, Baseline, Lineage, Promise
from components._shared.registry import Registry
from components._shared.windows import Windows
from components.push.promises import loser_files
from pipelines.__main__ import saiki

WINDOWS = Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC")


@pytest.fixture
def registry(any_root: str, make_model: Callable[..., Path], tmp_path: Path) -> Registry:
    """Two versions, the second the champion, and a rejected attempt."""
    found = Registry(any_root, "flights")
    found.open(create=True)
    page = tmp_path / "page.html"
    for judgement in ("aaaa", "bbbb", "bbcc"):
        page.write_text(f"<html>{judgement}")
        made: dict[str, Any] = {
            "experiment": "e", "judgement": judgement, "made_from": {}, "windows": WINDOWS,
            "created": datetime.now(UTC),
        }  # fmt: skip
        if judgement != "bbcc":
            model = make_model(judgement)
            digest = ModelInfo.from_json((model / "model.json").read_text()).digest
            number = found.add_version(model, Lineage(model_digest=digest, code={}, **made))
            _, generation = found.champion()
            found.promote(number, generation=generation, who="push", why=f"{judgement} is good", judgement=judgement)
        attempt = Attempt(
            task="flights", model_digest="d", baseline=Baseline(), reason=f"{judgement} was looked at",
            outcome="failed" if judgement == "bbcc" else "passed",
            result="rejected" if judgement == "bbcc" else "promoted", **made,
        )  # fmt: skip
        found.record_attempt(attempt, {"report.html": page})
    return found


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(saiki, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.stdout


def test_models_shows_champion_versions_attempts_and_moves(registry: Registry) -> None:
    text = run("models", "--registry", registry.root)
    assert "champion is version 2, reference is version 1" in text
    assert "bbbb is good" in text
    assert "bbcc was looked at" in text
    facts = run("models", "--registry", registry.root, "--json")
    assert facts["champion"]["version"] == 2
    assert [each["version"] for each in facts["versions"]] == [1, 2]
    assert [each["result"] for each in facts["attempts"].values()] == ["promoted", "promoted", "rejected"]
    assert [each["version"] for each in facts["moves"]] == [2, 1]


def test_roll_back_release_and_promote_again(registry: Registry) -> None:
    where = ("--registry", registry.root, "--json", "--why", "for a test")
    assert run("rollback", *where)["champion"]["version"] == 1
    assert "held: for a test" in run("models", "--registry", registry.root)
    assert run("release", *where)["champion"]["hold"] == ""
    champion = run("promote", "2", "--pin", *where)["champion"]
    assert (champion["version"], champion["reference"]) == (2, 2)
    assert [move.action for move in registry.moves()] == [
        "pin", "promotion", "release", "rollback", "promotion", "promotion",
    ]  # fmt: skip
    assert all(move.who and move.why == "for a test" for move in registry.moves()[:4])


def test_an_unreadable_pointer_is_repaired_with_the_command_that_the_error_names(registry: Registry) -> None:
    uri = storage.join(registry.root, "flights/champion.json")
    storage.replace(uri, b"{", generation=storage.read_versioned(uri)[1])
    with pytest.raises(RegistryError, match="saiki promote 2 --repair"):
        run("models", "--registry", registry.root)
    run("promote", "2", "--repair", "--registry", registry.root, "--why", "broken")
    assert "champion is version 2" in run("models", "--registry", registry.root)


def test_every_command_finds_the_registry_of_the_cluster(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"apiVersion: v1\nkind: ConfigMap\ndata: {{registry: {registry.root}}}\n")
    monkeypatch.setenv("SAIKI_CLUSTER", str(settings))
    assert "champion is version 2" in run("models")
    assert run("rollback", "--why", "complaints", "--json")["champion"]["hold"] == "complaints"
    assert run("release", "--why", "repaired", "--json")["champion"]["hold"] == ""
    assert run("report", "--version", "2", "--out", str(tmp_path / "two.html")) == f"{tmp_path / 'two.html'}\n"


def test_a_reason_is_required(registry: Registry) -> None:
    result = CliRunner().invoke(saiki, ["rollback", "--registry", registry.root])
    assert result.exit_code == 2
    assert "--why" in result.output


@pytest.mark.parametrize(
    ("choice", "expected"),
    [((), "bbcc"), (("--version", "1"), "aaaa"), (("--judgement", "bbb"), "bbbb")],
)
def test_a_recorded_report_is_copied_here(
    choice: tuple[str, ...], expected: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = run("report", "--registry", registry.root, *choice).strip()
    assert path == f"flights-{expected}.html"
    assert Path(path).read_text() == f"<html>{expected}"
    facts = run("report", "--registry", registry.root, *choice, "--out", "x/y.html", "--json")
    assert (facts["path"], facts["attempt"]["judgement"]) == ("x/y.html", expected)
    assert Path("x/y.html").read_text() == f"<html>{expected}"


@pytest.mark.parametrize(
    ("choice", "problem"),
    [(("--version", "9"), "no such report"), (("--judgement", "zz"), "no such"), (("--judgement", "bb"), "Several")],
)
def test_a_report_that_is_not_there_is_said(choice: tuple[str, ...], problem: str, registry: Registry) -> None:
    with pytest.raises(InputError, match=problem):
        run("report", "--registry", registry.root, *choice)


def test_a_task_or_registry_that_is_not_there_is_said(tmp_path: Path) -> None:
    root = str(tmp_path / "registry")
    with pytest.raises(RegistryError, match="There is no registry here"):
        run("models", "--registry", root)
    Registry(root, "flights").open(create=True)
    with pytest.raises(InputError, match="Which task"):
        run("models", "--registry", root)
    for task in ("flights", "wine"):
        storage.create(storage.join(root, task, "champion.json"), b"")
    with pytest.raises(InputError, match="flights, wine"):
        run("models", "--registry", root)
    with pytest.raises(InputError, match="no task 'cars'"):
        run("models", "--registry", root, "--task-name", "cars")


def test_gc_says_what_it_would_remove_and_removes_it_on_request(registry: Registry, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    shard = storage.join(data, "shards", "0" * 64 + ".parquet")
    storage.create(shard, b"rows")
    os.utime(shard, (0, 0))
    where = ("gc", "--data-root", data, "--registry", registry.root)
    assert "Nothing was removed: add --delete" in run(*where)
    assert run(*where, "--json")["shards"] == [shard]
    assert storage.exists(shard)
    assert "Removed 1 objects" in run(*where, "--delete")
    assert not storage.exists(shard)
    for grace in ("1h", "soon"):
        with pytest.raises(InputError, match=r"grace|span"):
            run(*where, "--grace", grace)


def test_gc_tells_of_rejected_models_whose_book_is_closed_and_removes_them_on_request(
    tmp_path: Path, make_model: Callable[..., Path]
) -> None:
    found = Registry(str(tmp_path / "registry"), "flights")
    found.open(create=True)
    model = make_model()
    files = loser_files(model)
    for month in (1, 9):
        as_of = datetime(2013, month, 1, tzinfo=UTC)
        attempt = Attempt(
            task="flights", experiment="e", judgement=f"m{month}", model_digest="d", made_from={}, reason="worse",
            baseline=Baseline(), outcome="failed", result="rejected", created=as_of,
            windows=Windows(as_of=as_of, timezone="UTC"),
            promise=Promise(metric="auc", candidate=Estimate(value=0.7), closed=as_of + timedelta(days=120)),
        )  # fmt: skip
        found.record_attempt(attempt, files)
    old, young = found.tries().values()
    for path in tmp_path.joinpath("registry").rglob("*"):
        os.utime(path, (0, 0))
    where = ("gc", "--data-root", str(tmp_path / "data"), "--registry", found.root)
    assert "5 of rejected models whose book is closed" in run(*where)
    listed = run(*where, "--json")["rejected_models"]
    assert sorted(listed) == sorted(found.file_of(old, name) for name in files)
    assert found.attempted_model(old) is not None
    assert "Removed 5 objects" in run(*where, "--delete")
    assert found.attempted_model(old) is None
    assert found.attempted_model(young) is not None


def test_gc_looks_at_the_cluster_whose_settings_are_given(registry: Registry, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    storage.create(storage.join(data, "shards", "0" * 64 + ".parquet"), b"rows")
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"kind: ConfigMap\ndata: {{data_root: {data}, registry: {registry.root}}}\n")
    assert run("gc", "--cluster", str(settings)).startswith(f"{data}: 0 shards, ")
    assert run("gc", "--cluster", str(settings), "--data-root", str(tmp_path / "other")).startswith(
        f"{tmp_path}/other:"
    )
