"""The runner of all checks and tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import run

TESTS = """
import pytest

def test_that_passes():
    pass

@pytest.mark.parametrize("number", [1, 2])
def test_that_cannot_run(number):
    pytest.skip("no engine\\nis here")
"""


def test_the_summary_says_what_was_skipped_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    stage = run.Stage("tests, some", run.pytest(sys.executable, [str(tmp_path)]))
    monkeypatch.setattr(run, "tests", lambda python, arguments: [[stage]])

    assert run.main(["-k", "that"]) == 0

    summary = capsys.readouterr().out.partition("── summary")[2].splitlines()[1:]
    assert summary[0].endswith("1 passed, 0 failed, 2 skipped")
    assert summary[1:] == ["skipped 2: no engine is here", "1 passed, 0 failed, 2 skipped"]
