"""`conclude` as KFP runs it: green, or red with the reason in its log."""

from pathlib import Path

import pytest
from kfp import dsl, local

from components._shared.records import Pointer
from components.conclude.component import conclude

POINTER = Pointer(task="flights", generation=None, history=0, hold="", replayed=False).to_json()


@dsl.pipeline(name="ending")
def ending(result: str, fail_on: str):
    conclude(
        result=result, reason="it is worse", fail_on=fail_on, registry="/models", pointer=POINTER, judgement="0" * 64
    )


@pytest.fixture(autouse=True)
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "runs"))


def test_a_promotion_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    ending(result="promoted", fail_on="rejected,not_served")


def test_a_rejection_ends_the_run_as_failed_with_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="FAILURE"):
        ending(result="rejected", fail_on="rejected,not_served")

    said = capfd.readouterr()
    assert "turned the candidate down. It is worse" in said.out + said.err
    assert "saiki report" in said.out + said.err


def test_a_rejection_ends_well_where_nothing_is_to_fail() -> None:
    ending(result="rejected", fail_on="")
