"""Predictions in, evidence and verdict out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from components._shared.errors import DataError, InputError
from components._shared.evidence import Evaluation
from components._shared.verdict import Verdict
from components._shared.wording import number
from components.evaluate.executor import evaluate

DAYS = 20
ROWS = 2000


def _sigmoid(value: Any) -> Any:
    return 1 / (1 + np.exp(-value))


class World:
    """Days of rows with a label, and a good and a bad way to score them."""

    def __init__(self, seed: int = 1, rows: int = ROWS, days: int = DAYS) -> None:
        random = np.random.default_rng(seed)
        self.day = np.sort(random.integers(0, days, rows))
        signal = random.normal(0, 1, rows)
        self.label = (random.random(rows) < _sigmoid(signal - 1.2)).astype(float)
        self.good = _sigmoid(signal - 1.2)
        self.bad = _sigmoid(0.3 * signal + random.normal(0, 1, rows) - 1.2)
        self.rate = (float(self.label.mean()),)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def _outcomes(verdict: Verdict) -> dict[str, str]:
    return {check.name + (f" {check.slice}" if check.slice else ""): check.outcome for check in verdict.checks}


def test_a_better_candidate_passes_and_a_worse_one_fails(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day, model="good", base=world.rate)
    bad = predictions(world.bad, world.label, world.day, model="bad", base=world.rate)

    won = evaluate(candidate=good, champion=bad, reference=nobody, section=section())
    lost = evaluate(candidate=bad, champion=good, reference=nobody, section=section())

    assert won.verdict.subject == "metrics"
    assert won.verdict.outcome == "passed"
    assert lost.verdict.outcome == "failed"
    assert won.evaluation.champion == "bad"
    auc = won.evaluation.overall.metrics["auc"]
    assert auc.champion is not None and auc.difference is not None and auc.difference.interval is not None
    assert auc.difference.value == pytest.approx(auc.candidate.value - auc.champion.value)
    assert auc.difference.interval[0] > 0
    assert lost.evaluation.overall.metrics["auc"].difference.value == pytest.approx(-auc.difference.value)
    assert won.evaluation.reference == "" and auc.reference is None
    assert won.evaluation.window == good.window
    assert Evaluation.from_json(won.evaluation.to_json()) == won.evaluation


def test_the_same_predictions_give_the_same_evidence(world: World, predictions: Any, section: Any, nobody: Any) -> None:
    good = predictions(world.good, world.label, world.day)
    bad = predictions(world.bad, world.label, world.day, model="bad")
    arguments = {"candidate": good, "champion": bad, "reference": nobody, "section": section()}
    assert evaluate(**arguments).evaluation.to_json() == evaluate(**arguments).evaluation.to_json()


def test_without_a_champion_there_is_nothing_to_compare_with_and_the_summary_says_so(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day, base=world.rate)
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section())
    assert result.verdict.outcome == "passed"
    assert not [check for check in result.verdict.checks if check.name.startswith(("champion", "reference"))]
    assert "no champion yet" in result.verdict.summary
    assert result.evaluation.champion_curves is None
    assert result.evaluation.overall.metrics["auc"].difference is None


def test_rows_that_a_model_has_seen_labels_of_do_not_judge(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    start = predictions(world.good, world.label, world.day).fit_until
    candidate = predictions(world.good, world.label, world.day, fit_until=start + timedelta(days=7))
    champion = predictions(world.bad, world.label, world.day, model="bad", fit_until=start + timedelta(days=4))

    result = evaluate(candidate=candidate, champion=champion, reference=nobody, section=section(embargo="1d12h"))

    # Rows stand at five in the morning, so the embargo ends after those of day 8.
    assert result.evaluation.fair_from == start + timedelta(days=8, hours=12)
    assert result.evaluation.rows == (world.day >= 9).sum()
    assert result.evaluation.left_out == (world.day < 9).sum()
    assert result.evaluation.clusters == DAYS - 9
    assert result.evaluation.window is not None and result.evaluation.window.start == result.evaluation.fair_from


def test_the_embargo_counts_days_in_the_tasks_time_zone(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    candidate = predictions(world.good, world.label, world.day)
    before_change = candidate.fit_until.replace(month=3, day=9, hour=12)
    candidate = candidate.model_copy(update={"fit_until": before_change})
    result = evaluate(
        candidate=candidate,
        champion=nobody,
        reference=nobody,
        section=section(embargo="1d", timezone="America/New_York"),
    )
    assert result.evaluation.fair_from == before_change + timedelta(hours=23)


def test_a_champion_that_has_seen_all_test_labels_cannot_be_compared_with(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    candidate = predictions(world.good, world.label, world.day, base=world.rate)
    champion = predictions(
        world.bad, world.label, world.day, model="bad", fit_until=candidate.fit_until + timedelta(days=99)
    )
    result = evaluate(candidate=candidate, champion=champion, reference=nobody, section=section())
    assert result.verdict.outcome == "cannot_judge"
    assert result.evaluation.rows == 0
    assert result.evaluation.left_out == ROWS
    assert result.evaluation.overall.metrics == {}
    assert "labels of that time were used" in result.verdict.summary
    assert Evaluation.from_json(result.evaluation.to_json()) == result.evaluation


@pytest.mark.parametrize(
    ("gates", "name"), [({"min_rows": ROWS + 1}, "metric.min_rows"), ({"min_days": DAYS + 1}, "metric.min_days")]
)
def test_too_few_rows_or_days_cannot_judge_however_good_the_figures(
    gates: Any, name: str, world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day, base=world.rate)
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section(gates={"metric": gates}))
    assert result.verdict.outcome == "cannot_judge"
    assert _outcomes(result.verdict)[name] == "cannot_judge"
    assert result.evaluation.overall.metrics["auc"].candidate.value > 0.5


def test_without_time_every_test_row_judges_and_rows_are_their_own_clusters(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, np.arange(ROWS), base=world.rate, has_time=False)
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section(has_time=False))
    assert result.verdict.outcome == "passed"
    assert result.evaluation.rows == result.evaluation.clusters == ROWS
    assert result.evaluation.window is None and result.evaluation.fair_from is None
    assert "metric.min_days" not in _outcomes(result.verdict)


@pytest.mark.parametrize(
    ("held_out", "outcome", "why"),
    [
        (0.2, "passed", ""),
        (0.5, "passed", ""),
        (0.1, "cannot_judge", "made larger"),
        (None, "cannot_judge", "had a time"),
    ],
)
def test_without_time_a_champion_of_a_smaller_test_part_may_have_learnt_from_what_judges(
    held_out: Any, outcome: str, why: str, world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    day = np.arange(ROWS)
    good = predictions(world.good, world.label, day, base=world.rate, has_time=False)
    champion = predictions(world.bad, world.label, day, model="bad", has_time=False, held_out=held_out)
    result = evaluate(candidate=good, champion=champion, reference=nobody, section=section(has_time=False))
    assert result.verdict.outcome == outcome
    assert why in result.verdict.summary


def test_a_champion_that_does_not_say_what_it_has_seen_cannot_be_compared_with(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day, base=world.rate)
    champion = predictions(world.bad, world.label, world.day, model="bad", fit_until=None)
    result = evaluate(candidate=good, champion=champion, reference=nobody, section=section())
    assert _outcomes(result.verdict)["champion.fair_rows"] == "cannot_judge"


def test_rows_without_a_label_or_a_weight_do_not_judge(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    label = world.label.tolist()
    label[:100] = [None] * 100
    weight = np.ones(ROWS)
    weight[100:150] = 0
    good = predictions(world.good, label, world.day, weight=weight)
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section())
    assert result.evaluation.rows == ROWS - 150
    assert result.evaluation.left_out == 0


def test_the_champions_rows_may_come_in_another_order(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day)
    plain = predictions(world.bad, world.label, world.day, model="bad")
    mixed = predictions(
        world.bad, world.label, world.day, model="bad", order=np.random.default_rng(3).permutation(ROWS)
    )
    results = [
        evaluate(candidate=good, champion=champion, reference=nobody, section=section()) for champion in (plain, mixed)
    ]
    assert results[0].evaluation == results[1].evaluation


@pytest.mark.parametrize("key", [np.arange(ROWS) + 1, np.zeros(ROWS, int)])
def test_predictions_of_other_rows_are_refused(
    key: Any, world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day)
    other = predictions(world.bad, world.label, world.day, model="bad", key=key)
    with pytest.raises(DataError, match="not of the candidate's rows"):
        evaluate(candidate=good, champion=other, reference=nobody, section=section())


def test_a_candidate_with_nan_scores_fails_and_a_champion_with_them_cannot_be_compared_with(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    broken = world.bad.copy()
    broken[3] = np.nan
    good = predictions(world.good, world.label, world.day, base=world.rate)
    bad = predictions(broken, world.label, world.day, model="bad", base=world.rate)

    failed = evaluate(candidate=bad, champion=good, reference=nobody, section=section())
    unclear = evaluate(candidate=good, champion=bad, reference=nobody, section=section())

    assert failed.verdict.outcome == "failed"
    assert _outcomes(failed.verdict)["metric.finite_scores"] == "failed"
    assert failed.evaluation.overall.metrics == {}
    assert unclear.verdict.outcome == "cannot_judge"
    assert _outcomes(unclear.verdict)["champion.finite_scores"] == "cannot_judge"
    assert _outcomes(unclear.verdict)["metric.beats_base_rate.auc"] == "passed"


def test_scores_that_are_no_probabilities_are_refused(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    logits = predictions(world.good * 4 - 2, world.label, world.day)
    with pytest.raises(DataError, match="no probabilities"):
        evaluate(candidate=logits, champion=nobody, reference=nobody, section=section())


def test_labels_and_weights_that_make_no_sense_are_refused(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    twos = predictions(world.good, world.label * 2, world.day)
    with pytest.raises(DataError, match="A label is 2"):
        evaluate(candidate=twos, champion=nobody, reference=nobody, section=section())
    debts = predictions(world.good, world.label, world.day, weight=np.full(ROWS, -1.0))
    with pytest.raises(DataError, match="weight is missing or negative"):
        evaluate(candidate=debts, champion=nobody, reference=nobody, section=section())


def test_an_unknown_engine_a_missing_candidate_and_a_missing_score_are_refused(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day)
    with pytest.raises(InputError, match="no engine 'spark'"):
        evaluate(candidate=good, champion=nobody, reference=nobody, section=section(), engine="spark")
    with pytest.raises(DataError, match="no predictions of a candidate"):
        evaluate(candidate=nobody, champion=good, reference=nobody, section=section())
    classes = section("multiclass_classification", classes=("a", "b"))
    with pytest.raises(DataError, match="no column 'score_0'"):
        evaluate(candidate=good, champion=nobody, reference=nobody, section=classes)


def test_slices_show_every_value_and_join_the_small_ones(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    carrier = np.random.default_rng(2).choice(["AA", "UA", "DL"], ROWS).tolist()
    carrier[:10] = ["OO"] * 10
    carrier[10:15] = ["HA"] * 5
    carrier[100:200] = [None] * 100
    good = predictions(world.good, world.label, world.day, slices={"carrier": carrier})
    gates = section(slices=("carrier", "not there"))
    found = evaluate(candidate=good, champion=nobody, reference=nobody, section=gates).evaluation.slices
    assert {one.value for one in found} == {"AA", "UA", "DL", "(missing)", "(other small values: 2)"}
    assert sum(one.rows for one in found) == ROWS
    assert [one.rows for one in found[:4]] == sorted((one.rows for one in found[:4]), reverse=True)
    ours = next(one for one in found if one.value == "AA")
    inside = np.array([value == "AA" for value in carrier])
    assert ours.metrics["accuracy"].candidate.value == pytest.approx(
        ((world.good > 0.5) == world.label)[inside].mean(), rel=1e-9
    )


def test_a_slice_of_one_class_has_no_auc_and_fails_no_gate(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    kind = np.where(world.label == 1, "late", np.where(world.day % 2 == 0, "even", "odd"))
    mixed = np.where(np.arange(ROWS) < 1000, "mixed", kind).tolist()
    good = predictions(world.good, world.label, world.day, base=world.rate, slices={"kind": mixed})
    gates = {"metric": {"worst_slice": [{"metric": "auc", "limit": {"min": 0.6}, "min_rows": 50}]}}
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section(slices=("kind",), gates=gates))
    late = next(one for one in result.evaluation.slices if one.value == "late")
    assert "auc" not in late.metrics and "log_loss" in late.metrics
    assert _outcomes(result.verdict)["metric.worst_slice.auc kind=mixed"] == "passed"
    check = next(check for check in result.verdict.checks if check.slice)
    assert "3 more have labels of one class" in check.reason


def test_labels_of_one_class_everywhere_cannot_be_judged(predictions: Any, section: Any, nobody: Any) -> None:
    world = World(3)
    good = predictions(world.good, np.zeros(ROWS), world.day, base=world.rate)
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section())
    assert result.verdict.outcome == "cannot_judge"
    assert _outcomes(result.verdict)["metric.beats_base_rate.auc"] == "cannot_judge"
    assert result.evaluation.curves.roc == ()


def test_the_reference_is_compared_on_rows_that_are_fair_to_it_too(
    world: World, predictions: Any, section: Any
) -> None:
    good = predictions(world.good, world.label, world.day, base=world.rate)
    champion = predictions(world.bad, world.label, world.day, model="bad")
    later = good.fit_until + timedelta(days=10)
    reference = predictions(world.bad, world.label, world.day, model="pinned", fit_until=later)

    result = evaluate(candidate=good, champion=champion, reference=reference, section=section())

    assert result.evaluation.rows == ROWS
    assert result.evaluation.reference == "pinned"
    auc = result.evaluation.overall.metrics["auc"]
    assert auc.reference is not None and auc.champion is not None
    assert auc.reference.value != auc.champion.value
    assert _outcomes(result.verdict)["reference.auc"] == "passed"

    unseen = predictions(world.bad, world.label, world.day, model="pinned", fit_until=later + timedelta(days=8))
    result = evaluate(candidate=good, champion=champion, reference=unseen, section=section())
    assert _outcomes(result.verdict)["reference.min_rows"] == "cannot_judge"
    assert result.verdict.outcome == "cannot_judge"


def test_weights_count(world: World, predictions: Any, section: Any, nobody: Any) -> None:
    weight = np.where(world.label == 1, 3.0, 1.0)
    twice = predictions(world.good, world.label, world.day, weight=weight)
    found = evaluate(candidate=twice, champion=nobody, reference=nobody, section=section()).evaluation.overall
    assert found.label_mean == pytest.approx(weight @ world.label / weight.sum(), rel=1e-9)
    hit = (world.good > 0.5) == world.label
    assert found.metrics["accuracy"].candidate.value == pytest.approx(weight @ hit / weight.sum(), rel=1e-9)


def test_a_conflict_is_said_plainly(predictions: Any, section: Any, nobody: Any) -> None:
    """As on the flights of September: trained on more, it ranks better; a calm month makes its scores too high."""
    random = np.random.default_rng(5)
    rows, days = 12_000, 30
    day = np.sort(random.integers(0, days, rows))
    signal = random.normal(0, 0.4, rows)
    label = (random.random(rows) < _sigmoid(signal - 2.1 + random.normal(0, 0.3, days)[day])).astype(float)
    candidate = predictions(_sigmoid(signal - 1.0), label, day, model="new", base=(0.17,))
    champion = predictions(_sigmoid(0.6 * signal + random.normal(0, 0.4, rows) - 1.25), label, day, model="old")

    verdict = evaluate(candidate=candidate, champion=champion, reference=nobody, section=section()).verdict

    assert verdict.outcome == "failed"
    outcomes = _outcomes(verdict)
    assert (outcomes["champion.improve.auc"], outcomes["champion.log_loss"]) == ("passed", "failed")
    assert "ranks better (AUC" in verdict.summary
    assert "but gives worse probabilities (log-loss" in verdict.summary
    assert "The base rate beats both in log-loss" in verdict.summary
    reason = next(check.reason for check in verdict.checks if check.name == "champion.log_loss")
    assert reason.startswith("Log-loss is worse than the champion's by 0.0")
    assert reason.endswith("; worse by at most 0.005 is allowed.")


def test_multiclass_and_regression_are_judged_too(predictions: Any, section: Any, nobody: Any) -> None:
    random = np.random.default_rng(6)
    day = np.arange(600) % 10
    truth = random.integers(0, 3, 600)
    score = np.full((600, 3), 0.2) + 0.4 * np.eye(3)[truth]
    many = predictions(score, truth.astype(float), day, base=(0.3, 0.3, 0.4))
    classes = section("multiclass_classification", classes=("on time", "late", "cancelled"))
    result = evaluate(candidate=many, champion=nobody, reference=nobody, section=classes)
    assert result.verdict.outcome == "passed"
    assert result.evaluation.overall.label_mean is None
    assert result.evaluation.curves.classes == ("on time", "late", "cancelled")
    assert sum(map(sum, result.evaluation.curves.confusion)) == 600
    assert result.evaluation.overall.metrics["macro_f1"].candidate.value == 1

    value = random.normal(10, 2, 600)
    near = predictions(value + random.normal(0, 0.5, 600), value, day, base=(9.0,))
    far = predictions(value + random.normal(0, 1.5, 600), value, day, model="far", base=(9.0,))
    won = evaluate(candidate=near, champion=far, reference=nobody, section=section("regression"))
    lost = evaluate(candidate=far, champion=near, reference=nobody, section=section("regression"))
    assert (won.verdict.outcome, lost.verdict.outcome) == ("passed", "failed")
    assert _outcomes(lost.verdict)["champion.improve.rmse"] == "failed"
    assert sum(point.y for point in won.evaluation.curves.residuals) == pytest.approx(1)
    assert len(won.evaluation.curves.predicted) == 15
    assert "has smaller errors" in won.verdict.summary


def test_curves_have_few_points_and_end_where_they_should(
    world: World, predictions: Any, section: Any, nobody: Any
) -> None:
    good = predictions(world.good, world.label, world.day)
    result = evaluate(candidate=good, champion=nobody, reference=nobody, section=section())
    curves = result.evaluation.curves
    assert 50 < len(curves.roc) <= 200 and len(curves.pr) <= 200
    assert len(result.thresholds) == len(curves.roc)
    assert np.isfinite(result.thresholds).all()
    assert (curves.roc[0].x, curves.roc[0].y, curves.roc[-1].x, curves.roc[-1].y) == (0, 0, 1, 1)
    area = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    auc = result.evaluation.overall.metrics["auc"].candidate.value
    assert area([p.y for p in curves.roc], [p.x for p in curves.roc]) == pytest.approx(auc, abs=0.01)
    assert len(curves.calibration) == 15
    for point in curves.calibration:
        assert point.low is not None and point.high is not None
        assert 0 <= point.low <= point.y <= point.high <= 1
    hits = int(((world.good > 0.5) & (world.label == 1)).sum())
    assert curves.confusion[1][1] == hits
    assert sum(point.y for point in curves.scores) == pytest.approx(1)


@pytest.mark.parametrize(("value", "text"), [(0.02, "0.02"), (-0.5, "−0.5"), (0.0, "0"), (12345.678, "12,346")])
def test_numbers_in_sentences_are_short(value: float, text: str) -> None:
    assert number(value) == text
