"""`improve: evidence`: better, worse, or the data cannot tell; and what the gate's policy makes of that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components._shared.evidence import Estimate, Evaluation, Figures, SliceFigures
from components._shared.measuring.fair_rows import Column, Rows
from components._shared.measuring.figures import slices_of
from components._shared.verdict import Check
from components.evaluate.gate_checks import judge
from components.evaluate.notes import Notes
from components.evaluate.promotion_check import odds

AUC = {"primary": "auc", "tolerance": {"auc": {"worse_by": 0.005}}, "reference": {}}


def _figures(difference: float, error: float | None, *, skewness: float = 0.0, candidate: float = 0.7) -> Figures:
    """A difference with its standard error; the interval is about that of thirty days."""

    def estimate(value: float, factor: float = 2.05) -> Estimate:
        pair = None if error is None else (value - factor * error, value + factor * error)
        return Estimate(value=value, interval=pair)

    found = estimate(difference)
    if error is not None:
        found = found.model_copy(update={"error": error, "skewness": skewness})
    return Figures(candidate=estimate(candidate), champion=estimate(candidate - difference), difference=found)


def _check(
    section: Any,
    figures: Figures,
    *,
    metric: str = "auc",
    looks: int = 1,
    clusters: int = 30,
    problem: str = "binary_classification",
    gates: dict[str, Any] = AUC,
    **changes: Any,
) -> Check:
    every: Any = {metric: figures}
    overall = SliceFigures(column="", value="", rows=1000, clusters=clusters, label_mean=0.2, metrics=every)
    evaluation = Evaluation(
        engine="vectorised", problem=problem, rows=1000, clusters=clusters, champion="c", overall=overall, looks=looks
    )  # fmt: skip
    found = section(problem, gates={"metric": {"beats_base_rate": []}, "champion": gates}, **changes)
    checks = judge(evaluation, found, Notes(broken={})).checks
    assert f"champion.{metric}" not in [check.name for check in checks], "its tolerance stands in the one check"
    return next(check for check in checks if check.name == f"champion.improve.{metric}")


def test_what_is_better_beyond_doubt_passes_and_says_how_sure_that_is(section: Any) -> None:
    check = _check(section, _figures(0.027, 0.0095), looks=4)
    assert check.outcome == "passed"
    assert check.limit == "better, hardly by luck: at most 1 of 80 cases"
    assert check.reason == (
        "AUC is better than the champion's by 0.027 [0.008, 0.046], hardly by luck: were it no better, luck would show "
        "as much in 1 of 140 cases, and at most 1 of 80 cases is allowed (5 % in a quarter of the calendar, divided "
        "by 4 looks)."
    )
    assert (check.observed, check.interval) == (0.027, pytest.approx((0.007525, 0.046475)))


def test_the_same_difference_is_not_enough_for_one_of_the_looks_of_every_night(section: Any) -> None:
    check = _check(section, _figures(0.027, 0.0095), looks=93)
    assert check.outcome == "cannot_judge"
    assert check.reason == (
        "AUC is better than the champion's by 0.027 [0.008, 0.046], but the data cannot tell that from luck: were it "
        "no better, luck would show as much in 1 of 140 cases, and at most 1 of 1,900 cases is allowed (5 % in a "
        "quarter of the calendar, divided by 93 looks); an effect of 0.005 would need about 6 more years."
    )


@pytest.mark.parametrize(
    ("metric", "difference", "outcome"),
    [("auc", 0.03, "passed"), ("auc", -0.03, "failed"), ("log_loss", -0.03, "passed"), ("log_loss", 0.03, "failed")],
)
def test_better_is_higher_or_lower_as_the_metric_has_it(
    metric: str, difference: float, outcome: str, section: Any
) -> None:
    gates = {"primary": metric, "tolerance": {}, "reference": {}}
    check = _check(section, _figures(difference, 0.005), metric=metric, gates=gates)
    assert check.outcome == outcome
    if outcome == "failed":
        assert check.reason.endswith("; it must be better, and hardly by luck.")


def test_days_that_lean_to_the_bad_side_count_for_less(section: Any) -> None:
    """A month of small gains without one of the bad days proves little."""
    evenly = _check(section, _figures(0.027, 0.0095), looks=6)
    leaning = _check(section, _figures(0.027, 0.0095, skewness=-1.5), looks=6)
    other = _check(section, _figures(0.027, 0.0095, skewness=1.5), looks=6)
    assert (evenly.outcome, leaning.outcome, other.outcome) == ("passed", "cannot_judge", "passed")


@pytest.mark.parametrize(
    ("error", "clusters", "words"),
    [
        (0.004, 30, "an effect of 0.005 needs about 170 more days of test rows."),
        (0.0095, 30, "an effect of 0.005 would need about 3 more years."),
        (5.0, 30, "an effect of 0.005 is too small to be seen by waiting."),
        (0.001, 30, "in at least four cases of five 30 days find an effect of 0.005."),
    ],
)
def test_what_the_data_cannot_tell_says_how_many_days_would(
    error: float, clusters: int, words: str, section: Any
) -> None:
    check = _check(section, _figures(0.0, error), clusters=clusters, looks=4)
    assert check.outcome == "cannot_judge"
    assert check.reason.endswith(words)


def test_the_smallest_effect_may_be_declared_and_without_one_it_is_said_what_the_days_find(section: Any) -> None:
    declared = _check(section, _figures(0.001, 0.004), gates={**AUC, "smallest": 0.01}, looks=4)
    assert "an effect of 0.01 needs about 22 more days" in declared.reason
    none = _check(section, _figures(0.001, 0.004), gates={**AUC, "tolerance": {}}, looks=4)
    assert none.reason.endswith("in four cases of five 30 days find an effect of 0.014.")


def test_without_days_it_counts_rows(section: Any) -> None:
    check = _check(section, _figures(0.001, 0.004), clusters=1000, has_time=False)
    assert check.reason.endswith("an effect of 0.005 needs about 3,200 more rows.")


@pytest.mark.parametrize(
    ("difference", "tolerance", "outcome", "words"),
    [
        (
            0.004,
            {"worse_by": 0.005},
            "passed",
            "in doubt the task promotes a candidate that is worse by at most 0.005.",
        ),
        (-0.004, {"worse_by": 0.005}, "passed", "that is worse by at most 0.005."),
        (-0.006, {"worse_by": 0.005}, "failed", "that is worse by at most 0.005, which this is not."),
        (0.004, {"worse_by": 0.005, "evidence": "interval"}, "failed", "over the whole interval, which this is not."),
        (-0.001, None, "failed", "that is not worse, which this is not."),
        (0.001, None, "passed", "that is not worse."),
    ],
)
def test_the_policy_may_promote_in_doubt_what_is_not_worse_beyond_its_tolerance(
    difference: float, tolerance: Any, outcome: str, words: str, section: Any
) -> None:
    gates = {"primary": "auc", "undecided": "promote", "reference": {}, "tolerance": {}}
    gates["tolerance"] = {} if tolerance is None else {"auc": tolerance}
    check = _check(section, _figures(difference, 0.01), gates=gates)
    assert check.outcome == outcome
    assert check.reason.endswith(words)


def test_what_is_clearly_worse_fails_whatever_the_policy_for_doubt(section: Any) -> None:
    assert _check(section, _figures(-0.004, 0.001), gates={**AUC, "undecided": "promote"}).outcome == "failed"


def test_the_same_answers_are_no_improvement(section: Any) -> None:
    kept = _check(section, _figures(0.0, 0.0))
    assert (kept.outcome, kept.reason) == (
        "failed",
        "AUC is the same as the champion's; it must be better, and hardly by luck.",
    )
    assert _check(section, _figures(0.0, 0.0), gates={**AUC, "undecided": "promote"}).outcome == "passed"


def test_too_few_clusters_for_an_interval_cannot_be_judged(section: Any) -> None:
    check = _check(section, _figures(0.1, None))
    assert check.outcome == "cannot_judge"
    assert check.reason == "AUC has no interval here: the rows, or those of one class, lie in too few clusters."


def test_with_few_days_nothing_is_said_of_what_they_can_see(section: Any) -> None:
    """However many days there are, if what counts lies on few of them."""
    few = _check(section, _figures(0.001, 0.004), clusters=19, looks=4)
    uneven = _figures(0.001, 0.004)
    difference = uneven.difference.model_copy(update={"clusters": 19})  # type: ignore[union-attr]
    for check in (few, _check(section, uneven.model_copy(update={"difference": difference}), looks=4)):
        assert check.outcome == "cannot_judge"
        assert check.reason.endswith("1 of 80 cases is allowed (5 % in a quarter of the calendar, divided by 4 looks).")


def test_days_that_are_as_uneven_as_these_are_needed_the_more(section: Any) -> None:
    """Sixty days that tell as much as thirty: twice as many more of them (two times 165)."""
    even = _figures(0.0, 0.004)
    uneven = even.difference.model_copy(update={"clusters": 30})  # type: ignore[union-attr]
    check = _check(section, even.model_copy(update={"difference": uneven}), clusters=60, looks=4)
    plain = _check(section, even, clusters=30, looks=4)
    assert plain.reason.endswith("an effect of 0.005 needs about 170 more days of test rows.")
    assert check.reason.endswith("an effect of 0.005 needs about 330 more days of test rows.")


@pytest.mark.parametrize(
    ("chance", "words"),
    [
        (0.5, "50 % of cases"),
        (0.0125, "1 of 80 cases"),
        (0.05 / 93, "1 of 1,900 cases"),
        (1e-9, "less than 1 of a million cases"),
    ],
)
def test_a_chance_is_said_in_cases(chance: float, words: str) -> None:
    assert odds(chance) == words


def _slice(value: str, difference: float, error: float = 0.01, rows: int = 900) -> SliceFigures:
    figures: Any = {"auc": _figures(difference, error)}
    return SliceFigures(column="carrier", value=value, rows=rows, clusters=30, label_mean=0.2, metrics=figures)


def _slices(section: Any, *slices: SliceFigures, **rule: Any) -> list[Check]:
    every: Any = {"auc": _figures(0.03, 0.005)}
    overall = SliceFigures(column="", value="", rows=1000, clusters=30, label_mean=0.2, metrics=every)
    evaluation = Evaluation(
        engine="vectorised", problem="binary_classification", rows=1000, clusters=30, champion="c", overall=overall,
        slices=slices,
    )  # fmt: skip
    gates = {**AUC, "slices": [{"metric": "auc", **rule}]}
    found = section(gates={"metric": {"beats_base_rate": []}, "champion": gates})
    checks = judge(evaluation, found, Notes(broken={})).checks
    return [check for check in checks if check.name == "champion.slices.auc"]


def test_the_slices_that_are_worse_are_named_and_small_or_joined_ones_are_not(section: Any) -> None:
    found = _slices(
        section,
        _slice("AA", 0.01),
        _slice("UA", -0.05),
        _slice("DL", -0.06),
        _slice("OO", -0.5, rows=40),
        _slice("(other small values: 70)", -0.5),
    )
    assert [(check.slice, check.outcome) for check in found] == [("carrier=DL", "failed"), ("carrier=UA", "failed")]
    assert found[0].reason == (
        "AUC is worse than the champion's by 0.06 where carrier is DL (900 rows), hardly by luck; it "
        "must not be worse. 3 slices were looked at together; of those that are named, at most 5 % are so by luck."
    )


def test_one_doubtful_slice_of_many_does_not_cry_wolf(section: Any) -> None:
    doubtful = _slice("UA", -0.022)
    assert [check.outcome for check in _slices(section, doubtful)] == ["failed"], "alone it would be called worse"
    among = _slices(section, doubtful, *(_slice(f"C{number}", 0.0) for number in range(19)))
    assert [(check.slice, check.outcome) for check in among] == [("carrier=UA", "passed")]
    assert "no slice clearly breaks the limit" in among[0].reason.lower()


def test_a_slice_may_be_worse_within_its_tolerance(section: Any) -> None:
    assert [check.outcome for check in _slices(section, _slice("UA", -0.05), worse_by=0.04)] == ["passed"]
    assert [check.outcome for check in _slices(section, _slice("UA", -0.05), worse_by=0.01)] == ["failed"]


def _rows(random: np.random.Generator, *, reversed_on: str) -> Rows:
    """Thirty days of two models that are alike, but the candidate ranks one weekday's rows the wrong way round."""
    day = np.repeat(np.arange(30), 200)
    weekday, names = day % 7, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    feature = random.normal(size=len(day))
    label = (random.random(len(day)) < 1 / (1 + np.exp(1.3 - feature))).astype(float)
    turned = np.where(weekday == names.index(reversed_on), -feature, feature) if reversed_on else feature

    def model(logit: Any) -> Any:
        return 1 / (1 + np.exp(1.3 - logit - random.normal(0, 0.1, len(day))))

    return Rows(
        label=label,
        weight=np.ones(len(day)),
        cluster=day,
        clusters=30,
        time=None,
        slices={"weekday": Column(weekday, names)},
        scores={"candidate": model(turned), "champion": model(feature)},
    )


def test_a_large_slice_that_collapses_on_too_few_days_is_no_silent_pass(section: Any) -> None:
    """Mondays and Tuesdays come five times in thirty days, the others four times: these have no interval."""
    rows = _rows(np.random.default_rng(1), reversed_on="Wed")
    slices = slices_of(rows, "binary_classification", (0.25,), gated_rows=500)
    found = _slices(section, *slices, worse_by=0.02)
    assert [(check.slice, check.outcome) for check in found][1:] == [("weekday=Wed", "cannot_judge")]
    assert found[0].outcome == "passed"
    assert found[0].reason.endswith("(4 more of at least 500 rows lie in too few clusters, or have no value.)")
    assert (found[1].observed or 0) < -0.3
    assert "lie in too few clusters to tell that from luck; worse by at most 0.02 is allowed." in found[1].reason


def test_large_slices_that_could_not_be_looked_at_are_counted(section: Any) -> None:
    """Four weekdays of four days each, and one whose labels are all alike."""
    rows = _rows(np.random.default_rng(1), reversed_on="")
    rows.label[rows.cluster % 7 == 1] = 0
    slices = slices_of(rows, "binary_classification", (0.25,), gated_rows=500)
    found = _slices(section, *slices, worse_by=0.02)
    assert [check.outcome for check in found] == ["passed"]
    assert "1 slice was looked at together" in found[0].reason
    assert found[0].reason.endswith("(6 more of at least 500 rows lie in too few clusters, or have no value.)")


def test_where_there_is_no_slice_to_look_at_it_cannot_be_judged(section: Any) -> None:
    assert [check.outcome for check in _slices(section, _slice("UA", -0.05, rows=40))] == ["cannot_judge"]
