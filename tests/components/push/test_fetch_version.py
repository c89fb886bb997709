"""What the init container of a model server does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.errors import CorruptError, RegistryError
from components._shared.model_files import read_model_info, verify_model
from components._shared.records import Lineage
from components._shared.registry import Registry
from components._shared.windows import Windows
from components.push.fetch_version import fetch_version, main

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """model_config_list {{
  config {{
    name: "flights"
    base_path: "{base}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version} }} }}
  }}
}}
"""


def add(root: str, model: Path, judgement: str) -> int:
    models = Registry(root, "flights")
    models.open(create=True)
    lineage = Lineage(
        experiment="e", judgement=judgement, model_digest=read_model_info(model).digest, made_from={}, code={},
        windows=Windows(as_of=datetime(2013, 7, 1, tzinfo=UTC), timezone="UTC"), created=datetime.now(UTC),
    )  # fmt: skip
    beside = model.parent / f"samples-{judgement}.json"
    beside.write_text("{}")
    return models.add_version(model, lineage, {"samples.json": beside, "verdict.json": beside})


def promote(root: str, version: int) -> None:
    models = Registry(root, "flights")
    models.promote(version, generation=models.champion()[1], who="test", why="test")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.push.fetch_version", *arguments]
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_a_version_is_fetched_whole_from_any_store_with_a_configuration_pinned_to_it(
    any_root: str, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    for judgement in ("j1", "j2"):
        add(any_root, make_model(judgement), judgement)
    to = tmp_path / "models"
    to.mkdir()
    for version in (1, 2, 2):
        assert fetch_version(registry=any_root, task="flights", version=version, to=to) == version
        found = verify_model(to / "flights" / str(version))
        assert found.digest == Registry(any_root, "flights").version_ref(version).digest
        assert (to / "models.config").read_text() == CONFIG.format(base=to / "flights", version=version)
    assert {path.name for path in to.iterdir()} == {"flights", "models.config"}


def test_what_a_killed_try_left_is_completed_and_its_rubbish_removed(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, to = str(tmp_path / "registry"), tmp_path / "models"
    add(root, make_model("j1"), "j1")
    to.mkdir()
    fetched: list[str] = []
    real = storage.fetch

    def dying(uri: str, path: Path) -> None:
        if len(fetched) == 3:
            (path.parent / ".half-written").write_text("half")
            raise KeyboardInterrupt
        fetched.append(uri)
        real(uri, path)

    monkeypatch.setattr(storage, "fetch", dying)
    with pytest.raises(KeyboardInterrupt):
        fetch_version(registry=root, task="flights", version=1, to=to)
    assert not (to / "models.config").exists()
    assert not (to / "flights").exists()
    monkeypatch.setattr(storage, "fetch", lambda uri, path: (fetched.append(uri), real(uri, path)))
    fetch_version(registry=root, task="flights", version=1, to=to)
    assert len(fetched) == len(set(fetched))
    assert fetched[-1].endswith("saved_model.pb")
    verify_model(to / "flights" / "1")


def test_a_version_that_was_changed_or_is_gone_is_refused_and_nothing_is_configured(
    make_model: Callable[..., Path], tmp_path: Path
) -> None:
    root, to = str(tmp_path / "registry"), tmp_path / "models"
    model = make_model("j1")
    add(root, model, "j1")
    to.mkdir()
    weights = tmp_path / "registry/flights/versions/1/variables/variables.data"
    good = weights.read_text()
    weights.write_text("X" * len(good))
    for _ in range(2):
        with pytest.raises(CorruptError, match="not those that were trained"):
            fetch_version(registry=root, task="flights", version=1, to=to)
    assert list(to.rglob("*")) == []
    weights.write_text(good)
    fetch_version(registry=root, task="flights", version=1, to=to)
    with pytest.raises(RegistryError, match="There is no version 7 of 'flights'"):
        fetch_version(registry=root, task="flights", version=7, to=to)
    # Another model under the same number: whole, but not the one that was promoted.
    shutil.copytree(make_model("other"), tmp_path / "registry/flights/versions/1", dirs_exist_ok=True)
    shutil.rmtree(to / "flights")
    with pytest.raises(CorruptError, match="not the model that it was"):
        fetch_version(registry=root, task="flights", version=1, to=to)


def test_the_command_takes_options_or_the_environment_and_says_what_is_wrong(
    make_model: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, to = str(tmp_path / "registry"), tmp_path / "models"
    add(root, make_model("j1"), "j1")
    to.mkdir()
    done = run("--to", str(to), SAIKI_REGISTRY=root, SAIKI_TASK="flights", SAIKI_VERSION="1")
    assert (done.returncode, done.stdout) == (0, f"version 1 of 'flights' is at {to}\n")
    for arguments, said in (
        (("--registry", root), "No task is given"),
        (("--registry", root, "--task", "flights", "--version", "../1"), "not the number of a version"),
        (("--registry", root, "--task", "../x", "--version", "1"), "not the name of a task"),
        (("--registry", root, "--task", "flights", "--version", "9"), "There is no version 9"),
        (("--registry", root, "--task", "flights", "--version", "1", "--to", str(tmp_path / "no")), "No such file"),
    ):
        assert main(list(arguments)) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert said in printed.err


def test_without_a_version_it_waits_for_the_first_champion_and_ends_when_told_to(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, to = str(tmp_path / "registry"), tmp_path / "models"
    add(root, make_model("j1"), "j1")
    add(root, make_model("j2"), "j2")
    to.mkdir()
    command = [sys.executable, "-u", "-m", "components.push.fetch_version", "--registry", root, "--task", "flights"]
    given = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        assert "waiting for the first promotion" in waiting.stdout.readline()
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(10) == 143

    def promoted(_: float) -> None:
        promote(root, 2)

    monkeypatch.setattr(time, "sleep", promoted)
    assert fetch_version(registry=root, task="flights", version=None, to=to) == 2


def test_names_that_lead_out_of_the_folder_are_refused(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, to = str(tmp_path / "registry"), tmp_path / "models"
    add(root, make_model("j1"), "j1")
    to.mkdir()
    real = storage.list_objects

    def hostile(uri: str) -> Any:
        for found in real(uri):
            yield found
            if "versions/1" in uri:
                yield type(found)(**{**vars(found), "uri": f"{uri}/../../../escaped"})

    monkeypatch.setattr(storage, "list_objects", hostile)
    with pytest.raises(CorruptError, match="not the name of a model's file"):
        fetch_version(registry=root, task="flights", version=1, to=to)
    assert list(to.rglob("*")) == []
