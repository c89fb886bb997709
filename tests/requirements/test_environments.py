"""The set-up, apart from what it downloads."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def set_up() -> ModuleType:
    spec = importlib.util.spec_from_file_location("environments", ROOT / "requirements" / "environments.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(set_up: ModuleType, tmp_path: Path) -> object:
    made = set_up.Environment("test", tmp_path / "venv", ("test.txt",))
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    return made


def test_pip_s_index_is_handed_on_to_uv(set_up: ModuleType, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex_url = https://first.example/simple\nextra_index_url =\n  https://a.example\n  https://b.example\n"
    )
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(config)}

    handed_on = set_up.installer_environ(environ, set_up.pip_settings(environ))

    assert handed_on["UV_DEFAULT_INDEX"] == "https://first.example/simple"
    assert handed_on["UV_INDEX"] == "https://a.example https://b.example"


def test_a_variable_of_pip_wins_over_its_file(set_up: ModuleType, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex_url = https://first.example/simple\n")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(config), "PIP_INDEX_URL": "https://second.example"}

    assert set_up.pip_settings(environ)["index_url"] == "https://second.example"


@pytest.mark.parametrize("own", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_uv_s_own_index_is_left_alone(set_up: ModuleType, tmp_path: Path, own: str) -> None:
    environ = {"HOME": str(tmp_path), own: "https://uv.example"}

    handed_on = set_up.installer_environ(environ, {"index_url": "https://pip.example", "find_links": str(tmp_path)})

    assert handed_on[own] == "https://uv.example"
    assert "https://pip.example" not in handed_on.values()
    assert "UV_FIND_LINKS" not in handed_on


def test_uv_s_own_configuration_file_is_left_alone(set_up: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".config" / "uv").mkdir(parents=True)
    (tmp_path / ".config" / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://uv.example"\n')

    handed_on = set_up.installer_environ({"HOME": str(tmp_path)}, {"index_url": "https://pip.example"})

    assert "https://pip.example" not in handed_on.values()


def test_a_folder_of_wheels_that_is_not_there_is_not_handed_on(set_up: ModuleType, tmp_path: Path) -> None:
    links = f"{tmp_path} {tmp_path / 'missing'} https://wheels.example"

    handed_on = set_up.installer_environ({"HOME": str(tmp_path)}, {"find_links": links})

    assert handed_on["UV_FIND_LINKS"] == f"{tmp_path},https://wheels.example"


def test_an_activated_environment_does_not_lead_the_installer_astray(set_up: ModuleType, tmp_path: Path) -> None:
    handed_on = set_up.installer_environ({"HOME": str(tmp_path), "VIRTUAL_ENV": "/elsewhere", "PYTHONPATH": "/x"}, {})

    assert not {"VIRTUAL_ENV", "PYTHONPATH"} & set(handed_on)


def test_an_environment_without_its_marker_is_not_complete(set_up: ModuleType, environment) -> None:
    assert not set_up.is_complete(environment)


def test_an_environment_is_complete_once_its_marker_is_written(set_up: ModuleType, environment) -> None:
    set_up.complete(environment, seconds=1.0, locks=environment.locks)

    assert set_up.is_complete(environment)


def test_a_truncated_marker_counts_as_none(set_up: ModuleType, environment) -> None:
    set_up.complete(environment, seconds=1.0, locks=environment.locks)
    environment.marker.write_text(environment.marker.read_text()[:20])

    assert not set_up.is_complete(environment)


def test_a_changed_lock_makes_an_environment_incomplete(set_up: ModuleType, environment) -> None:
    set_up.complete(environment, seconds=1.0, locks=environment.locks)
    marker = json.loads(environment.marker.read_text())
    marker["made_from"]["test.txt"] = "0" * 64
    environment.marker.write_text(json.dumps(marker))

    assert not set_up.is_complete(environment)


def test_test_tools_that_are_there_besides_do_no_harm(set_up: ModuleType, environment) -> None:
    set_up.complete(environment, seconds=1.0, locks=(*environment.locks, "dev.txt"))

    assert set_up.is_complete(environment)


def test_an_environment_that_was_moved_is_not_complete(set_up: ModuleType, environment, tmp_path: Path) -> None:
    set_up.complete(environment, seconds=1.0, locks=environment.locks)
    environment.path.rename(tmp_path / "moved")

    assert not set_up.is_complete(set_up.Environment("test", tmp_path / "moved", environment.locks))


def test_an_environment_whose_python_is_gone_is_not_complete(set_up: ModuleType, environment) -> None:
    set_up.complete(environment, seconds=1.0, locks=environment.locks)
    environment.python.unlink()

    assert not set_up.is_complete(environment)


def test_a_file_that_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    there = tmp_path / "data.zip"
    there.write_bytes(b"as it was")

    command = [sys.executable, str(ROOT / "requirements" / "environments.py"), "fetch", "package/data.zip", str(there)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)

    assert (answer.stdout, there.read_bytes()) == ("", b"as it was")


def test_without_a_fitting_python_the_set_up_says_which_to_install(
    set_up: ModuleType, environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    class NoDownloads:
        def ask(self, *arguments: str) -> None:
            return None

    with pytest.raises(set_up.SetUpError, match=r"needs Python 3\.11 or 3\.12 or 3\.13.*apt-get install python3\.13"):
        set_up.interpreter_for(environment, NoDownloads())


def test_without_a_compiler_and_without_root_the_set_up_says_the_command(
    set_up: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(set_up.os, "geteuid", lambda: 1000)
    bare = set_up.Interpreter("/usr/bin/python3", (3, 12), str(tmp_path))

    with pytest.raises(set_up.SetUpError, match=r"sudo apt-get install .*g\+\+ python3\.12-dev"):
        set_up.need_compiler(bare)


@pytest.mark.parametrize("optional", [True, False])
def test_only_what_tests_can_do_without_is_passed_over_where_it_cannot_be_had(
    set_up: ModuleType,
    tmp_path: Path,
    optional: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(environment: object, uv: object) -> None:
        raise set_up.SetUpError("there is no Python for it")

    monkeypatch.setattr(set_up, "VENVS", tmp_path)
    missing = set_up.Environment("engines", tmp_path / "engines", ("test.txt",), optional=optional)
    monkeypatch.setattr(set_up, "environments", lambda *, tests: (missing,))
    monkeypatch.setattr(set_up, "make", fails)
    monkeypatch.setattr(set_up.Installer, "find", lambda lock: None)

    if optional:
        set_up.install(tests=True)
        assert "engines cannot be had here, so some tests are skipped: there is no Python" in capsys.readouterr().out
        assert missing.missing == tmp_path / "engines.missing.txt"
        assert missing.missing.read_text() == "there is no Python for it\n"
        monkeypatch.setattr(set_up, "make", lambda environment, uv: None)
        set_up.install(tests=True)
        assert not missing.missing.exists()
    else:
        with pytest.raises(set_up.SetUpError):
            set_up.install(tests=True)


def test_the_engines_are_for_tests_alone(set_up: ModuleType) -> None:
    names = {tests: [each.name for each in set_up.environments(tests=tests)] for tests in (True, False)}
    assert "engines" in names[True]
    assert "engines" not in names[False]
