"""What decisions cost, what a candidate saves, and whether a threshold suits the scores: by hand and by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.statistics_simulation import Shape, draw
from components._shared.decision_rule import DecisionRule
from components._shared.evidence import Saving, Value
from components._shared.measuring.calibration_line import calibration_line
from components._shared.measuring.fair_rows import Rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.value import estimate_of, value_of
from components.evaluate.executor import evaluate
from components.evaluate.outputs import page, scalars_of
from components.evaluate.threshold_costs import threshold_costs

BINARY = "binary_classification"
RULE = DecisionRule(costs={"false_positive": 12, "true_positive": 12, "false_negative": 60}, unit="minutes")


def rows_of(label: Any, score: Any, cluster: Any, *, weight: Any = None, champion: Any = None) -> Rows:
    cluster = np.asarray(cluster)
    scores = {"candidate": np.asarray(score, float)}
    if champion is not None:
        scores["champion"] = np.asarray(champion, float)
    return Rows(
        label=np.asarray(label, float),
        weight=np.ones(len(cluster)) if weight is None else np.asarray(weight, float),
        cluster=cluster,
        clusters=int(cluster.max()) + 1,
        time=None,
        slices={},
        scores=scores,
    )


def days(seed: int, *, rows: int = 800, levels: int = 0, weighted: bool = False) -> Rows:
    random = np.random.default_rng(seed)
    label = (random.random(rows) < 0.3).astype(float)
    score, champion = (np.clip(random.normal(0.3 + 0.15 * label, 0.15), 0, 1) for _ in range(2))
    if levels:
        score = np.round(score * levels) / levels
    weight = random.uniform(0.5, 2, rows) if weighted else None
    return rows_of(label, score, np.arange(rows) % 20, weight=weight, champion=champion)


def value(rows: Rows, base: tuple[float, ...] = (0.3,)) -> Value:
    found = value_of(rows, BINARY, base, decision=RULE)
    assert found is not None
    return found


def saving(found: Saving | None) -> Saving:
    assert found is not None
    return found


def test_the_value_is_the_cost_that_the_candidate_saves_by_row_by_day_and_in_all() -> None:
    rows = rows_of(
        label=[1, 0, 1, 0, 1, 0, 0, 0, 0, 1],
        score=[0.9, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.9],  # costs 12 0 12 0 60 0 0 12 0 12
        champion=[0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],  # costs 60 0 12 12 60 0 0 0 0 60
        cluster=[0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
    )
    found = value(rows, base=(0.1,))
    assert found.unit == "minutes"
    assert found.cost.value == pytest.approx(10.8)
    against = saving(found.champion)
    assert against.cost == pytest.approx(20.4)
    assert against.per_row.value == pytest.approx(9.6)
    assert against.per_cluster.value == pytest.approx(19.2)
    assert against.total.value == pytest.approx(96)
    assert against.per_row.interval is not None
    assert against.total.interval == pytest.approx([10 * end for end in against.per_row.interval])
    # At a rate of 10 % nobody is warned: four late ones cost 60 each.
    assert found.constant_decision == "0"
    assert saving(found.constant).cost == pytest.approx(24)
    assert value(rows, base=(0.5,)).constant_decision == "1"
    # And on these rows, two fifths of them late, it would have been cheaper to warn everybody: 12 each.
    assert found.hindsight_decision == "1"
    assert saving(found.hindsight).per_row.value == pytest.approx(1.2)


def test_the_saving_is_minus_the_difference_of_the_metric_interval_included() -> None:
    rows = days(1, weighted=True)
    figures = figures_of(rows, BINARY, (0.3,), decision=RULE).metrics["cost"]
    found = saving(value(rows).champion).per_row
    assert figures.difference is not None and figures.difference.interval is not None
    assert found.interval is not None
    assert found.value == pytest.approx(-figures.difference.value)
    assert found.interval == pytest.approx((-figures.difference.interval[1], -figures.difference.interval[0]))
    assert figures.constant == pytest.approx(saving(value(rows).constant).cost)


def test_the_challenger_s_gain_is_the_champion_s_loss() -> None:
    rows = days(2, weighted=True)
    turned = rows_of(
        rows.label, rows.scores["champion"], rows.cluster, weight=rows.weight, champion=rows.scores["candidate"]
    )
    one, other = saving(value(rows).champion).per_cluster, saving(value(turned).champion).per_cluster
    assert one.value == pytest.approx(-other.value)
    assert one.interval is not None and other.interval is not None
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))


def test_an_interval_of_a_cost_holds_only_costs_that_there_are() -> None:
    rows = rows_of(np.arange(111) == 3, np.full(111, 0.1), np.arange(111))  # one mistake among many rows
    figures = figures_of(rows, BINARY, (0.1,), decision=RULE).metrics["cost"].candidate
    assert figures.interval is not None
    assert 0 == figures.interval[0] < figures.value < figures.interval[1] <= 60
    assert value(rows).cost == figures
    curve, found = threshold_costs(rows, rows.scores["candidate"], RULE)
    assert found is not None and found.declared_cost == figures
    assert all(point.low is None or point.low >= 0 for point in curve)


def test_without_costs_or_rows_there_is_no_value_and_no_metric() -> None:
    rows = days(3)
    assert value_of(rows, BINARY, (0.3,), decision=DecisionRule()) is None
    assert value_of(rows.take(np.zeros(len(rows), bool)), BINARY, (0.3,), decision=RULE) is None
    assert value_of(rows.only(), BINARY, (0.3,), decision=RULE) is None
    assert value(rows, base=()).constant is None
    assert "cost" not in figures_of(rows, BINARY, (0.3,), decision=DecisionRule()).metrics


def test_the_interval_of_a_saving_holds_the_truth_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(4), 0
    for _ in range(300):
        rows = draw(BINARY, Shape(rows=60), random)
        one, other = (RULE.cost_of_rows(BINARY, rows.label, score) for score in rows.scores.values())
        assert one is not None and other is not None
        interval = estimate_of(rows, other - one).interval
        assert interval is not None
        held += interval[0] <= 0 <= interval[1]  # both models are equally good
    assert held / 300 >= 0.93


@pytest.mark.parametrize(("levels", "weighted"), [(0, False), (0, True), (7, True)])
def test_the_cost_of_every_threshold_is_that_of_deciding_by_it(levels: int, weighted: bool) -> None:
    rows = days(5, levels=levels, weighted=weighted)
    score = rows.scores["candidate"]

    def cost(threshold: float) -> float:
        decided = DecisionRule(threshold=threshold, costs=RULE.costs)
        if threshold <= 1:
            found = decided.cost_of_rows(BINARY, rows.label, score)
            assert found is not None
            return float(np.average(found, weights=rows.weight))
        return float(np.average(60 * rows.label, weights=rows.weight))

    curve, found = threshold_costs(rows, score, RULE)
    assert found is not None
    assert len(curve) <= 200
    assert [point.x for point in curve] == sorted({point.x for point in curve})
    assert curve[0].x == 0 and curve[0].y == pytest.approx(12)
    for point in curve:
        assert point.y == pytest.approx(cost(point.x)), point
        assert point.low is not None and point.low <= point.y
    everywhere = min(cost(threshold) for threshold in [*score, 1.5])
    assert found.best_cost.value == pytest.approx(everywhere)
    assert cost(found.best) == pytest.approx(everywhere)
    assert found.declared == pytest.approx(0.2)
    assert found.declared_cost.value == pytest.approx(cost(0.2))
    assert found.saved.value == pytest.approx(cost(0.2) - everywhere)


def test_a_declared_threshold_that_is_among_the_best_is_the_best() -> None:
    rows = rows_of([0, 0, 1, 1, 0, 1], [0.1, 0.1, 0.9, 0.9, 0.1, 0.9], [0, 1, 2, 3, 4, 5])
    _, found = threshold_costs(rows, rows.scores["candidate"], RULE)
    assert found is not None
    assert found.best == found.declared
    assert found.saved.value == 0


def test_a_threshold_of_zero_acts_on_every_row() -> None:
    rows = days(10)
    _, found = threshold_costs(rows, rows.scores["candidate"] * 0, RULE.model_copy(update={"threshold": 0.0}))
    assert found is not None
    assert found.declared_cost.value == pytest.approx(12)
    assert found.best_cost.value == pytest.approx(min(12, 60 * rows.label.mean()))


def test_where_no_row_should_be_acted_on_the_best_threshold_lies_above_all_scores() -> None:
    rows = rows_of(np.zeros(6), [0.3, 0.4, 0.5, 0.6, 0.7, 1.0], np.arange(6))
    _, found = threshold_costs(rows, rows.scores["candidate"], RULE)
    assert found is not None
    assert found.best > 1
    assert found.best_cost.value == 0


def test_scores_that_are_probabilities_have_a_line_of_slope_one() -> None:
    random = np.random.default_rng(6)
    logit = random.normal(-1, 1, 20_000)
    label = (random.random(20_000) < 1 / (1 + np.exp(-logit))).astype(float)
    rows = rows_of(label, 1 / (1 + np.exp(-logit)), np.arange(20_000) % 40)
    line = calibration_line(rows, rows.scores["candidate"])
    assert line.slope is not None and line.intercept is not None and line.bias.interval is not None
    assert line.slope.interval is not None and line.intercept.interval is not None
    assert line.slope.interval[0] < 1 < line.slope.interval[1]
    assert line.intercept.interval[0] < 0 < line.intercept.interval[1]
    assert line.bias.interval[0] < 0 < line.bias.interval[1]
    # Twice as sure of itself as it should be, and too high by one.
    wrong = 1 / (1 + np.exp(-(2 * logit + 1)))
    line = calibration_line(rows, wrong)
    assert line.slope is not None and line.intercept is not None
    assert line.slope.value == pytest.approx(0.5, abs=0.04)
    assert line.intercept.value == pytest.approx(-0.5, abs=0.05)
    assert line.bias.value == pytest.approx(wrong.mean() - label.mean())


def test_the_line_is_that_of_logistic_regression_weights_included() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn lives in the analysis environment")
    rows = days(7, weighted=True)
    score = np.clip(rows.scores["candidate"], 0.01, 0.99)
    logit = np.log(score / (1 - score))
    wanted = linear.LogisticRegression(C=1e12, tol=1e-10).fit(logit[:, None], rows.label, sample_weight=rows.weight)
    line = calibration_line(rows, score)
    assert line.slope is not None and line.intercept is not None
    assert line.slope.value == pytest.approx(wanted.coef_[0, 0], abs=1e-4)
    assert line.intercept.value == pytest.approx(wanted.intercept_[0], abs=1e-4)


def test_the_interval_of_the_slope_holds_the_truth_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(8), 0
    for _ in range(200):
        logit = random.normal(-1, 1, 2000)
        label = (random.random(2000) < 1 / (1 + np.exp(-logit))).astype(float)
        rows = rows_of(label, 1 / (1 + np.exp(-logit)), np.arange(2000) % 20)
        slope = calibration_line(rows, rows.scores["candidate"]).slope
        assert slope is not None and slope.interval is not None
        held += slope.interval[0] <= 1 <= slope.interval[1]
    assert held / 200 >= 0.92


@pytest.mark.parametrize("score", [np.full(6, 0.3), np.array([0.1, 0.2, 0.1, 0.9, 0.8, 0.9])])
def test_scores_without_a_line_have_a_bias_only(score: Any) -> None:
    rows = rows_of([0, 0, 0, 1, 1, 1], score, np.arange(6))
    line = calibration_line(rows, score)
    assert line.slope is None and line.intercept is None
    assert line.bias.value == pytest.approx(score.mean() - 0.5)


def test_costs_reach_gates_curves_slices_and_the_figures_of_kubeflow(
    predictions: Any, section: Any, nobody: Any
) -> None:
    rows = days(9)
    day, airport = rows.cluster, np.where(np.arange(len(rows)) % 3, "EWR", "JFK").tolist()
    shared: dict[str, Any] = {"slices": {"airport": airport}, "base": (0.3,)}
    candidate = predictions(rows.scores["candidate"], rows.label, day, model="new", **shared)
    champion = predictions(rows.scores["champion"], rows.label, day, model="old", **shared)
    gates = {
        "metric": {"limits": {"cost": {"max": 5}}, "worst_slice": [{"metric": "cost", "limit": {"max": 5}}]},
        "champion": {"primary": "cost", "improve": "no", "tolerance": {"cost": {"worse_by": 0.5}}},
    }
    judged = section(decision=RULE, gates=gates, slices=("airport",))
    result = evaluate(candidate=candidate, champion=champion, reference=nobody, section=judged)
    found = result.evaluation
    by_hand = np.select([rows.scores["candidate"] >= 0.2, rows.label == 1], [12, 60], 0)
    assert found.overall.metrics["cost"].candidate.value == pytest.approx(by_hand.mean())
    assert found.overall.metrics["cost"].constant == pytest.approx(12)
    assert all("cost" in one.metrics for one in found.slices)
    assert found.value is not None and found.value.champion is not None
    assert scalars_of(found)["cost_difference"] == pytest.approx(-found.value.champion.per_row.value, rel=1e-4)
    told = page(found, result.verdict)
    assert "Against the champion, the candidate&#x27;s decisions save" in told and "minutes a cluster" in told
    checks = {check.name: check for check in result.verdict.checks}
    assert checks["metric.cost"].outcome == "failed"
    assert checks["champion.cost"].outcome == "passed"
    # The confusion matrix is that of the task's threshold; accuracy stays that of one half.
    curves = found.curves
    assert curves.threshold == pytest.approx(0.2)
    acted = rows.scores["candidate"] >= 0.2
    assert curves.confusion[1] == (int((~acted & (rows.label == 1)).sum()), int((acted & (rows.label == 1)).sum()))
    right = (rows.scores["candidate"] > 0.5) == (rows.label == 1)
    assert found.overall.metrics["accuracy"].candidate.value == pytest.approx(right.mean())
    assert curves.costs and curves.threshold_cost is not None and curves.line is not None
    assert found.champion_curves is not None and found.champion_curves.costs
    assert all(point.rows and point.low is not None for point in curves.calibration)


def test_many_classes_are_decided_by_their_costs_and_errors_by_their_side(
    predictions: Any, section: Any, nobody: Any
) -> None:
    score = np.tile([[0.7, 0.3], [0.9, 0.1]], (50, 1))
    label = np.tile([0.0, 1.0], 50)
    day = np.repeat(np.arange(10), 10)
    rule = DecisionRule(costs={"b": {"a": 4}})
    several = evaluate(
        candidate=predictions(score, label, day, base=(0.5, 0.5)),
        champion=nobody,
        reference=nobody,
        section=section("multiclass_classification", classes=("a", "b"), decision=rule),
    ).evaluation
    # 0.7 is decided as b (4 * 0.3 > 0.7), which is wrong and costs 1; 0.9 as a, which is wrong and costs 4.
    assert several.curves.confusion == ((0, 50), (50, 0))
    assert several.overall.metrics["cost"].candidate.value == pytest.approx(2.5)
    assert several.overall.metrics["accuracy"].candidate.value == pytest.approx(0.5)
    assert several.value is not None and several.value.constant_decision == "b"

    errors = evaluate(
        candidate=predictions(label + np.tile([1.0, -2.0], 50), label, day, base=(0.5,)),
        champion=nobody,
        reference=nobody,
        section=section("regression", decision=DecisionRule(costs={"under": 3, "over": 1}, unit="EUR")),
    ).evaluation
    assert errors.overall.metrics["cost"].candidate.value == pytest.approx(3.5)  # 1 and 6
    assert errors.value is not None and errors.value.constant is not None
    assert errors.value.constant.cost == pytest.approx(1.0)  # 0.5 over, 1.5 under
    assert errors.curves.costs == ()
