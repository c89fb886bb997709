"""What became of a promise: every rule, on figures that are made up."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from components._shared.evidence import Estimate, Figures
from components._shared.ledger import Block, Outcome
from components._shared.windows import Window
from components.settle.outcomes import Settled, outcome_of
from tests.components.settle.settling import decision, section

Pair = tuple[float, float]


def around(value: float, half: float) -> Estimate:
    return Estimate(value=value, interval=(value - half, value + half))


def block(gain: Estimate | None, over: Estimate | None = None, *, rows: int = 5000, clusters: int = 30) -> Block:
    """A block on which the AUC is that much better than the champion's, and than a constant's."""
    over = over or around(0.2, 0.05)
    figures = Figures(
        candidate=Estimate(value=0.5 + over.value), reference=Estimate(value=0.5), reference_difference=over,
        champion=None if gain is None else Estimate(value=0.6), difference=gain,
    )  # fmt: skip
    window = Window(start=decision().as_of, end=decision().as_of)
    return Block(window=window, rows=rows, clusters=clusters, metrics={"auc": figures})


def settled(gain: Estimate | None, over: Estimate | None = None, **fields: Any) -> Settled:
    return outcome_of(decision(**fields), block(gain, over), section())


@pytest.mark.parametrize(
    ("came", "half", "outcome"),
    [
        (0.020, 0.010, "kept"),
        # Less than promised, but not clearly less: √(0.01² + 0.01²) = 0.0141.
        (0.007, 0.010, "kept"),
        (0.005, 0.010, "short"),
        (-0.003, 0.010, "short"),
        # Worse beyond doubt, but by no more than is tolerated.
        (-0.004, 0.002, "short"),
        (-0.010, 0.0045, "broken"),
        (0.100, 0.010, "kept"),
    ],
)
def test_a_promoted_model_that_promised_0_02_and_may_be_0_005_worse(came: float, half: float, outcome: Outcome) -> None:
    assert settled(around(came, half)).outcome == outcome


def test_an_interval_that_is_too_wide_tells_nothing_however_good_the_estimate_is() -> None:
    found = settled(around(0.02, 0.05))
    assert found.outcome == "cannot_tell"
    assert "too wide to say that it is not worse than version 1 by more than the tolerated 0.005" in found.reason


def test_at_the_very_limit_a_promise_is_not_broken() -> None:
    assert settled(Estimate(value=-0.01, interval=(-0.015, -0.005))).outcome != "broken"


def test_a_model_clearly_worse_than_a_constant_broke_its_promise_to_be_better() -> None:
    found = settled(around(0.02, 0.01), around(-0.1, 0.02))
    assert found.outcome == "broken"
    assert "A constant is better by 0.100 [0.080, 0.120]" in found.reason
    assert found.proposal == "", "the version before is worse still: rolling back would not help"


def test_who_never_promised_to_beat_a_constant_does_not_break_that_promise() -> None:
    assert settled(around(0.02, 0.01), around(-0.1, 0.02), constant=0.9).outcome == "kept"


def test_a_broken_promise_proposes_the_command_that_rolls_it_back() -> None:
    found = settled(around(-0.03, 0.01))
    assert found.reason == (
        "On 5,000 later rows (30 days), AUC is worse than version 1’s by 0.030 [0.020, 0.040]; better by "
        "0.020 [0.010, 0.030] was promised. That is clearly worse than version 1, which it replaced, and by more than "
        "the 0.005 that is tolerated: the promise is broken."
    )
    assert shlex.split(found.proposal) == [
        "saiki", "rollback", "--task-name", "stands", "--to", "1", "--why",
        "version 2, promoted as of 2024-06-01: AUC worse by 0.030 [0.020, 0.040] on 5,000 later rows",
    ]  # fmt: skip


def test_what_was_promoted_in_spite_of_the_verdict_was_expected_and_not_promised() -> None:
    expected = Estimate(value=-0.03, interval=(-0.04, -0.02))
    found = settled(around(-0.031, 0.01), promised=expected, overridden="we need it")
    assert found.outcome == "broken"
    assert "by 0.031 [0.021, 0.041]; 0.030 [0.020, 0.040] was expected." in found.reason


@pytest.mark.parametrize(
    ("gain", "outcome", "conclusion"),
    [
        (around(-0.003, 0.0015), "broken", "clearly worse than version 1, which it replaced: the promise is broken."),
        (
            around(0.000, 0.004),
            "short",
            "That is clearly less than was promised, but not clearly worse than version 1.",
        ),
        (around(0.010, 0.011), "cannot_tell", "too wide to say that it is not worse than version 1."),
        (around(0.010, 0.010), "kept", "The promise was kept."),
    ],
)
def test_who_had_to_be_better_beyond_doubt_breaks_the_promise_by_being_clearly_worse_however_little(
    gain: Estimate, outcome: Outcome, conclusion: str
) -> None:
    found = settled(gain, tolerated=0.0)
    assert found.outcome == outcome
    assert found.reason.endswith(conclusion)
    assert bool(found.proposal) == (outcome == "broken")


@pytest.mark.parametrize(
    ("gain", "promised", "outcome", "conclusion"),
    [
        (
            around(-0.003, 0.001), around(-0.001, 0.004), "kept",
            "That is clearly worse than version 1, but within the tolerated 0.005: the promise was kept.",
        ),
        (
            around(-0.003, 0.001), around(0.02, 0.01), "short",
            "That is clearly less than was promised, and clearly worse than version 1, but within the tolerated 0.005.",
        ),
        (
            around(-0.005, 0.002), around(0.02, 0.01), "short",
            "That is clearly less than was promised, and clearly worse than version 1, but not clearly by more than "
            "the tolerated 0.005.",
        ),
        (
            around(-0.005, 0.002), around(-0.001, 0.004), "cannot_tell",
            "That is clearly worse than version 1, but not clearly by more than the tolerated 0.005.",
        ),
    ],
)  # fmt: skip
def test_who_was_allowed_to_be_slightly_worse_is_said_to_be_clearly_worse_within_what_is_tolerated(
    gain: Estimate, promised: Estimate, outcome: Outcome, conclusion: str
) -> None:
    found = settled(gain, promised=promised)
    assert (found.outcome, found.proposal) == (outcome, "")
    assert found.reason.endswith(conclusion)


def test_of_a_version_that_is_champion_no_more_nothing_is_proposed() -> None:
    found = settled(around(-0.03, 0.01), current=False)
    assert (found.outcome, found.proposal) == ("broken", "")


def test_who_replaced_another_than_it_was_judged_against_cannot_fall_short_but_can_be_clearly_worse() -> None:
    assert settled(around(0.001, 0.001), promised=None).outcome == "kept"
    found = settled(around(-0.03, 0.01), promised=None)
    assert found.outcome == "broken"
    assert found.reason.startswith(
        "On 5,000 later rows (30 days), AUC is worse than version 1’s by 0.030 [0.020, 0.040]. "
    )


@pytest.mark.parametrize(
    ("came", "half", "outcome"),
    [
        (-0.020, 0.010, "kept"),
        (0.000, 0.004, "kept"),
        (0.000, 0.010, "cannot_tell"),
        (0.020, 0.010, "missed"),
        (0.006, 0.002, "missed"),
        # Better beyond doubt, but by less than matters.
        (0.004, 0.002, "kept"),
    ],
)
def test_a_rejected_model(came: float, half: float, outcome: Outcome) -> None:
    found = settled(around(came, half), result="rejected", promised=around(-0.001, 0.005))
    assert found.outcome == outcome
    assert "on the rows that judged it, it was worse by 0.001 [−0.004, 0.006]" in found.reason


def test_of_a_missed_model_it_is_said_where_it_lies_and_no_command_is_proposed_that_might_promote_another() -> None:
    found = settled(around(0.02, 0.01), result="rejected")
    assert (found.outcome, found.proposal) == ("missed", "")
    assert found.reason.endswith(
        f"version 1, which was kept. Its model and its report lie in attempts/{'a' * 64} of the registry; a new run, "
        "with the trainer and the parameters that the report names, is judged anew."
    )
    assert "saiki" not in found.reason
    assert len(found.reason) < 600, "the report shows no more"


def test_a_model_that_a_constant_beats_was_not_missed() -> None:
    found = settled(around(0.02, 0.01), around(-0.1, 0.02), result="rejected")
    assert found.outcome == "cannot_tell"
    assert found.reason.endswith("It would have been better than version 1, but a constant is better than both.")


@pytest.mark.parametrize(
    ("over", "outcome"),
    [
        (around(0.20, 0.05), "kept"),
        (around(0.10, 0.02), "short"),
        (around(-0.10, 0.02), "broken"),
        (Estimate(value=0.0, interval=(0.0, 0.0)), "short"),
        (around(0.15, 0.2), "cannot_tell"),
    ],
)
def test_the_first_model_is_held_against_a_constant(over: Estimate, outcome: Outcome) -> None:
    found = settled(None, over, champion=None)
    assert found.outcome == outcome
    assert found.proposal == "", "it replaced nothing"


def test_a_constant_as_the_first_model_keeps_what_little_it_promised() -> None:
    level = Estimate(value=0.5, interval=(0.5, 0.5))
    found = settled(None, Estimate(value=0.0, interval=(0.0, 0.0)), champion=None, candidate_value=level)
    assert found.outcome == "kept"


@pytest.mark.parametrize(("over", "outcome"), [(0.2, "cannot_tell"), (-0.2, "kept")])
def test_a_first_model_that_was_rejected_is_no_miss_for_nothing_was_kept(over: float, outcome: Outcome) -> None:
    found = settled(None, around(over, 0.05), champion=None, result="rejected")
    assert found.outcome == outcome
    assert ("nothing to compare it with" in found.reason) == (outcome == "cannot_tell")


@pytest.mark.parametrize(
    ("rows", "clusters", "why"),
    [
        (99, 30, "Only 99 labelled rows have come since; at least 100 are needed."),
        (5000, 4, "The rows since lie in 4 days; 5 are needed."),
    ],
)
def test_too_few_rows_or_days_tell_nothing_whatever_the_figures_say(rows: int, clusters: int, why: str) -> None:
    found = outcome_of(decision(), block(around(-0.3, 0.01), rows=rows, clusters=clusters), section())
    assert (found.outcome, found.reason, found.proposal) == ("cannot_tell", why, "")


def test_a_metric_without_a_value_or_an_interval_tells_nothing() -> None:
    bare = Block(window=block(None).window, rows=5000, clusters=30)
    assert outcome_of(decision(), bare, section()).outcome == "cannot_tell"
    found = settled(Estimate(value=-0.3))
    assert (found.outcome, found.gain) == ("cannot_tell", Estimate(value=-0.3))
