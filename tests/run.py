"""Runs the checks and all tests, each by the interpreter of its environment, and sums them up.

Use::

    python tests/run.py                  everything
    python tests/run.py --checks-only    lint, types, import rules, generated files, advisories
    python tests/run.py -k windows       tests only, with these arguments for pytest
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from components._shared.image import ENVIRONMENT_OF  # noqa: E402 - found by the line above

PYTEST_FOUND_NO_TESTS = 5

_WHOLE = ("tests/end_to_end", "tests/images")
_printing = threading.Lock()


@dataclass
class Stage:
    """A command and what came of it.

    Attributes:
        reasons: Why tests were skipped, and how many for that.
    """

    name: str
    command: list[str]
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    succeeded: bool = True
    reasons: Counter[str] = field(default_factory=Counter)


def checks(python: str) -> list[Stage]:
    """What `make check` looks at, the quickest first."""
    return [
        Stage("lint", [python, "-m", "ruff", "check", "."]),
        Stage("format", [python, "-m", "ruff", "format", "--check", "."]),
        Stage("generated files", [python, "-m", "pipelines.readmes", "--check"]),
        Stage("types", [python, "-m", "mypy"]),
        Stage("architecture", pytest(python, ["tests/architecture"])),
    ]


def audit(python: str) -> Stage:
    """Looks for known vulnerabilities: not with the tests, which an advisory of today must not turn red."""
    return Stage("advisories", [python, "requirements/audit.py"])


def tests(python: str, arguments: list[str]) -> list[list[Stage]]:
    """The tests of each environment; those of the light one stand everywhere but in the folders of the other steps.

    Returns:
        Lanes that run side by side: whole pipelines and containers, which mostly wait for their steps to start; and
        the rest.
    """
    folders = {
        name: f"tests/components/{name}" for name in ENVIRONMENT_OF if (ROOT / "tests/components" / name).is_dir()
    }
    heavy = [folder for name, folder in folders.items() if ENVIRONMENT_OF[name] != "light"]
    # The digest of the same rows must be the same with the library versions of every lock.
    everywhere = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").glob("_shared/test_*golden*.py")]
    ignored = [f"--ignore={folder}" for folder in [*heavy, "tests/architecture", *_WHOLE]]
    stages = [Stage("tests, light", pytest(python, ["tests", *ignored, *arguments]))]
    whole = [Stage("tests, end to end", pytest(python, [*_WHOLE, *arguments]))]
    for environment in ("tensorflow", "analysis"):
        mine = [folder for name, folder in folders.items() if ENVIRONMENT_OF[name] == environment]
        interpreter = str(ROOT / ".venvs" / environment / "bin" / "python")
        stages.append(Stage(f"tests, {environment}", pytest(interpreter, [*mine, *everywhere, *arguments])))
    return [whole, stages]


def pytest(python: str, arguments: list[str]) -> list[str]:
    """The command of a stage that runs tests."""
    return [python, "-m", "pytest", "-p", "no:cacheprovider", "--durations=5", *arguments]


def run(stage: Stage, *, some_may_find_none: bool) -> None:
    """Run a stage, print what it printed when it is over, and note what came of it."""
    started = time.monotonic()
    with _printing:
        print(f"{stage.name} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        results, printed = Path(folder, "results.xml"), Path(folder, "output.txt")
        counted = "pytest" in stage.command
        with printed.open("wb") as output:
            code = subprocess.run(
                [*stage.command, *([f"--junitxml={results}"] if counted else [])],
                cwd=ROOT,
                check=False,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode
        if counted and results.exists():
            found = ET.parse(results).getroot()
            stage.reasons.update(skipped.get("message", "") for skipped in found.iter("skipped"))
            for suite in found.iter("testsuite"):
                number = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
                stage.failed += number["failures"] + number["errors"]
                stage.skipped += number["skipped"]
                stage.passed += number["tests"] - number["failures"] - number["errors"] - number["skipped"]
        text = printed.read_text(encoding="utf-8", errors="replace")
    stage.succeeded = code == 0 or (some_may_find_none and code == PYTEST_FOUND_NO_TESTS)
    stage.seconds = time.monotonic() - started
    with _printing:
        print(f"\n── {stage.name} " + "─" * max(0, 76 - len(stage.name)))
        print(text, end="", flush=True)


def run_lanes(lanes: list[list[Stage]], *, some_may_find_none: bool) -> None:
    """Run the stages of each lane one after the other, and the lanes side by side."""

    def through(lane: list[Stage]) -> None:
        for stage in lane:
            run(stage, some_may_find_none=some_may_find_none)

    with ThreadPoolExecutor(max_workers=len(lanes)) as pool:
        list(pool.map(through, lanes))


def main(arguments: list[str]) -> int:
    """Run what is asked for; 0 if all of it passed."""
    checks_only = arguments == ["--checks-only"]
    first = checks(sys.executable) if checks_only or not arguments else []
    lanes = [[audit(sys.executable)]] if checks_only else tests(sys.executable, arguments)
    run_lanes([first], some_may_find_none=bool(arguments))
    run_lanes(lanes, some_may_find_none=bool(arguments))
    stages = [*first, *(stage for lane in lanes for stage in lane)]
    print("\n── summary " + "─" * 69)
    for stage in stages:
        counts = (
            f"{stage.passed} passed, {stage.failed} failed, {stage.skipped} skipped"
            if "pytest" in stage.command
            else ""
        )
        print(f"{'ok    ' if stage.succeeded else 'FAILED'}  {stage.name:<18} {stage.seconds:6.1f} s  {counts}")
    for reason, number in sum((stage.reasons for stage in stages), Counter[str]()).most_common():
        print(f"skipped {number}: {' '.join(reason.split())}")
    # Checks count too, so that a failed one is not overlooked in the last line.
    others = [stage for stage in stages if "pytest" not in stage.command]
    passed = sum(stage.passed for stage in stages) + sum(stage.succeeded for stage in others)
    failed = sum(stage.failed for stage in stages) + sum(not stage.succeeded for stage in others)
    print(f"{passed} passed, {failed} failed, {sum(stage.skipped for stage in stages)} skipped")
    return 0 if all(stage.succeeded for stage in stages) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
