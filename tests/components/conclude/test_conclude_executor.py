"""A run ends red exactly when it was told to, and says who decided, why, where the report is and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from components._shared.errors import InputError, SaikiError
from components._shared.records import Pointer
from components.conclude.executor import RESULTS, conclude

POINTER = Pointer(task="flights", generation=None, history=0, hold="", replayed=False)
REGISTRY = "s3://models/registry"


def concluded(result: str, fail_on: str, reason: str = "log-loss is worse", log: Path = Path("nowhere/log")) -> str:
    return conclude(
        result=result,
        reason=reason,
        fail_on=fail_on,
        registry=REGISTRY,
        pointer=POINTER,
        judgement="0123456789abcdef" * 4,
        termination_log=log,
    )


@pytest.mark.parametrize("result", RESULTS)
def test_nothing_fails_when_no_result_is_named(result: str) -> None:
    assert concluded(result, "") == f"{result}: log-loss is worse"


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_that_is_named_fails(result: str) -> None:
    with pytest.raises(SaikiError, match="Log-loss is worse"):
        concluded(result, f"rejected, {result}")


def test_a_promotion_passes_where_rejections_fail() -> None:
    assert concluded("promoted", "rejected,not_served").startswith("promoted")


def test_a_rejection_says_who_decided_why_where_the_report_is_and_what_to_do() -> None:
    with pytest.raises(SaikiError) as raised:
        concluded("rejected", "rejected,not_served")

    assert str(raised.value).splitlines() == [
        "The gates of the task turned the candidate down. Log-loss is worse",
        "  where: the report: step judge in this run, or "
        "saiki report --registry s3://models/registry --task-name flights --judgement 0123456789ab",
        "  do:    change the data, the features or the trainer; or promote the candidate on record, with the run "
        "parameter override",
    ]


def test_kubernetes_is_told_the_reason_and_not_more_than_it_keeps(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()

    with pytest.raises(SaikiError):
        concluded("not_served", "not_served", reason="ß" * 9000, log=log)

    assert 3000 < log.stat().st_size < 4096
    assert log.read_text().startswith("The server did not answer well")


def test_a_result_that_push_does_not_have_is_refused_before_it_hides_a_rejection() -> None:
    with pytest.raises(InputError, match="'rejcted' is not a result of push"):
        concluded("rejected", "rejcted")
