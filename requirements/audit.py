#!/usr/bin/env python3
"""Looks for known vulnerabilities in every lock, by pip-audit; `make check` runs it.

Locks are read as they are: nothing is resolved, installed or downloaded but the advisories. An audit that could not
take place says so, and fails nothing: pip-audit calls a package that it cannot look up "skipped" and finds no
vulnerabilities, so a version that is known to be vulnerable is looked up first.

Exit code: 0 nothing new, or not reachable; 1 an advisory that `advisories.yaml` does not accept; 2 that file is wrong,
or pip-audit does not run.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REQUIREMENTS = Path(__file__).resolve().parent
ACCEPTED = REQUIREMENTS / "advisories.yaml"
SERVICES = ("pypi", "osv")

_KNOWN_TO_BE_VULNERABLE = "jinja2==2.10\n"
_FIELDS = {"id", "package", "locks", "reason", "date"}
_PATIENCE = 900.0
_GLANCE = 60.0

Auditor = Callable[..., dict[str, Any] | None]


class AdvisoriesError(Exception):
    """Nothing can be audited, and why."""


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a package in a lock.

    Attributes:
        names: The advisory and its aliases.
        fixed_in: Versions without it.
    """

    lock: str
    package: str
    version: str
    names: frozenset[str]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        repaired = f"repaired in {', '.join(self.fixed_in)}" if self.fixed_in else "not repaired yet"
        return f"{self.lock}.txt: {self.package} {self.version}: {', '.join(sorted(self.names))}; {repaired}"


def accepted(path: Path) -> list[dict[str, Any]]:
    """The entries of `advisories.yaml`.

    Raises:
        AdvisoriesError: A field is missing, unknown, or empty.
    """
    entries: list[dict[str, Any]] = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("accepted") or []
    for entry in entries:
        wrong = _FIELDS ^ set(entry) or {name for name in _FIELDS if not entry[name]}
        if wrong:
            raise AdvisoriesError(
                f"{path.name}: {entry.get('id', entry)}: wrong or missing: {', '.join(sorted(wrong))}"
            )
        if not isinstance(entry["date"], datetime.date) or not isinstance(entry["locks"], list):
            raise AdvisoriesError(f"{path.name}: {entry['id']}: `date` is a date and `locks` a list")
    return entries


def check_auditor() -> None:
    """A pip-audit that is broken must not be taken for a source that is not reachable.

    Raises:
        AdvisoriesError: It does not start.
    """
    done = subprocess.run([sys.executable, "-m", "pip_audit", "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AdvisoriesError(f"pip-audit does not run here (make setup-tests):\n{done.stderr[-500:]}")


def pip_audit(lock: Path, service: str, patience: float) -> dict[str, Any] | None:
    """What pip-audit reports of a lock; None: nothing that can be read."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--no-deps"]
    command += ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
        report: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return report


def reachable_service(audit: Auditor) -> str | None:
    """The first source of advisories that knows of a vulnerability that everybody knows."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "known.txt")
        known.write_text(_KNOWN_TO_BE_VULNERABLE, encoding="utf-8")
        for service in SERVICES:
            report = audit(known, service, _GLANCE)
            if report and any(each.get("vulns") for each in report["dependencies"]):
                return service
    return None


def findings(lock: Path, report: dict[str, Any]) -> list[Finding]:
    """The vulnerabilities in a report."""
    return [
        Finding(
            lock=lock.stem,
            package=each["name"],
            version=each.get("version", "?"),
            names=frozenset({found["id"], *found.get("aliases", [])}),
            fixed_in=tuple(found.get("fix_versions", [])),
        )
        for each in report["dependencies"]
        for found in each.get("vulns", [])
    ]


def covers(entry: dict[str, Any], finding: Finding) -> bool:
    """Whether an entry accepts a finding."""
    return entry["id"] in finding.names and entry["package"] == finding.package and finding.lock in entry["locks"]


def main(audit: Auditor = pip_audit, path: Path = ACCEPTED) -> int:
    """Audits every lock and says what it found."""
    try:
        entries = accepted(path)
        check_auditor()
    except AdvisoriesError as error:
        print(error)
        return 2
    service = reachable_service(audit)
    if service is None:
        print("No source of advisories is reachable: skipped. Nothing is known of vulnerabilities in the locks.")
        return 0
    new: list[Finding] = []
    used: list[dict[str, Any]] = []
    for lock in sorted(REQUIREMENTS.glob("*.txt")):
        report = audit(lock, service, _PATIENCE)
        if report is None:
            print(f"{lock.name}: the source of advisories did not answer: skipped.")
            used += [entry for entry in entries if lock.stem in entry["locks"]]
            continue
        skipped = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
        found = findings(lock, report)
        covering = [(finding, [entry for entry in entries if covers(entry, finding)]) for finding in found]
        new += [finding for finding, by in covering if not by]
        used += [entry for _, by in covering for entry in by]
        not_known = f", {len(skipped)} not known there ({', '.join(skipped[:5])})" if skipped else ""
        print(f"{lock.name}: {len(report['dependencies'])} packages, {len(found)} advisories{not_known}")
    for entry in entries:
        if entry not in used:
            print(f"{path.name}: {entry['id']} is needed no more: remove it")
    for finding in new:
        print(f"NEW  {finding}")
    if new:
        print("`make lock` takes repaired versions; what has none is accepted with a reason in advisories.yaml.")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
