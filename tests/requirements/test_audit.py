"""The audit of the locks, with what pip-audit would report."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "requirements" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


audit = _load()

CONTROL = {"dependencies": [{"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-2019-217"}]}]}
VULNERABLE = {
    "name": "requests", "version": "2.33.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.34"], "description": ""}],
}  # fmt: skip


def reports(**locks: Any) -> Any:
    """An auditor that knows these reports."""

    def run(lock: Path, service: str, patience: float) -> dict[str, Any] | None:
        if lock.name == "known.txt":
            return CONTROL
        return locks.get(lock.stem.replace("-", "_"), {"dependencies": [{"name": "a", "version": "1", "vulns": []}]})

    return run


def entries(folder: Path, text: str) -> Path:
    path = folder / "advisories.yaml"
    path.write_text(text)
    return path


ENTRY = "accepted:\n- {id: CVE-1, package: requests, locks: [light], reason: not called, date: 2026-11-22}\n"


def test_locks_without_advisories_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(reports(), entries(tmp_path, "accepted: []\n")) == 0
    assert "light.txt: 1 packages, 0 advisories" in capsys.readouterr().out


def test_a_new_advisory_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(reports(light={"dependencies": [VULNERABLE]}), entries(tmp_path, "accepted: []\n")) == 1
    assert "NEW  light.txt: requests 2.33.0: CVE-1, PYSEC-1; repaired in 2.34" in capsys.readouterr().out


def test_an_accepted_advisory_passes_in_its_locks_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = entries(tmp_path, ENTRY)
    found = {"dependencies": [VULNERABLE]}
    assert audit.main(reports(light=found), path) == 0
    assert audit.main(reports(light=found, analysis=found), path) == 1
    assert audit.main(reports(), path) == 0
    assert "CVE-1 is needed no more" in capsys.readouterr().out


def test_an_audit_that_cannot_take_place_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = entries(tmp_path, ENTRY)
    # pip-audit's own words where it reaches nothing: all is skipped, nothing is vulnerable.
    skipped = {"dependencies": [{"name": "jinja2", "skip_reason": "not found"}]}
    for answer in (None, skipped):
        assert audit.main(lambda *_, answer=answer: answer, path) == 0
        assert "No source of advisories is reachable: skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "accepted:\n- {id: CVE-1, package: requests, locks: [light], date: 2026-11-22}\n",
        "accepted:\n- {id: CVE-1, package: requests, locks: [light], reason: '', date: 2026-11-22}\n",
        "accepted:\n- {id: CVE-1, package: requests, locks: light, reason: x, date: 2026-11-22}\n",
    ],
)
def test_an_entry_without_reason_or_date_is_refused(text: str, tmp_path: Path) -> None:
    assert audit.main(reports(), entries(tmp_path, text)) == 2


def test_the_entries_of_the_repository_can_be_read() -> None:
    assert isinstance(audit.accepted(audit.ACCEPTED), list)


def test_pip_audit_reads_every_lock_without_resolving_it() -> None:
    if importlib.util.find_spec("pip_audit") is None:
        pytest.skip("pip-audit is not installed: make setup-tests")
    locks = [part for lock in sorted(audit.REQUIREMENTS.glob("*.txt")) for part in ("--requirement", str(lock))]
    # Without the advisories: only the reading of the locks.
    command = [sys.executable, "-m", "pip_audit", *locks[:2], "--disable-pip", "--no-deps", "--dry-run"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "would have audited" in done.stderr
