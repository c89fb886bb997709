"""How a score becomes a decision and what it costs: by hand, by brute force, and what a task may not declare."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components._shared.contract import load_yaml
from components._shared.decision_rule import DecisionRule
from components._shared.errors import TaskError
from components._shared.gates import GateChoice, resolve_gates

BINARY, MULTICLASS, REGRESSION = "binary_classification", "multiclass_classification", "regression"
CLASSES = ("red", "green", "blue")

cost = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 3))
more = st.floats(0.01, 100).map(lambda value: round(value, 3))


@st.composite
def binary_rules(draw: st.DrawFn) -> DecisionRule:
    right, wrong = draw(cost), draw(cost)
    return DecisionRule(
        costs={
            "true_negative": right,
            "false_positive": right + draw(more),
            "true_positive": wrong,
            "false_negative": wrong + draw(more),
        }
    )


def expected(rule: DecisionRule, chance: float, acts: bool) -> float:
    costs: dict[str, Any] = rule.costs
    if acts:
        return chance * costs["true_positive"] + (1 - chance) * costs["false_positive"]
    return chance * costs["false_negative"] + (1 - chance) * costs["true_negative"]


@given(binary_rules(), st.floats(0, 1))
def test_with_true_probabilities_no_decision_costs_less_than_the_rule_s(rule: DecisionRule, chance: float) -> None:
    rule.check(BINARY, None)
    decided = rule.decisions(BINARY, np.array([chance]))
    assert decided is not None
    chosen, other = (expected(rule, chance, acts) for acts in (bool(decided[0]), not decided[0]))
    assert chosen <= other + 1e-9


@given(binary_rules(), st.integers(0, 1000))
def test_no_threshold_costs_less_on_calibrated_scores_than_the_balance(rule: DecisionRule, seed: int) -> None:
    random = np.random.default_rng(seed)
    chance = random.uniform(0, 1, 50)

    def mean(threshold: float) -> float:
        return float(np.mean([expected(rule, one, one >= threshold) for one in chance]))

    declared = rule.threshold_of(BINARY)
    assert declared is not None
    assert mean(declared) <= min(mean(one) for one in [0, 1.1, *chance]) + 1e-9


def test_binary_costs_are_those_of_the_four_cells() -> None:
    rule = DecisionRule(costs={"false_positive": 12, "true_positive": 12, "false_negative": 60}, unit="minutes")
    rule.check(BINARY, None)
    assert rule.threshold_of(BINARY) == pytest.approx(0.2)  # 12 / (12 + 60 - 12)
    label, score = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.2, 0.1, 0.9])
    found = rule.cost_of_rows(BINARY, label, score)
    assert found is not None
    assert found.tolist() == [0, 12, 60, 12]


def test_a_row_costs_no_less_and_no_more_than_the_least_and_the_dearest_cell() -> None:
    assert DecisionRule(costs={"false_positive": 2, "false_negative": 9, "true_positive": -3}).cost_bounds(BINARY) == (
        -3,
        9,
    )
    assert DecisionRule(costs={"red": {"blue": 7}}).cost_bounds(MULTICLASS, CLASSES) == (0, 7)
    assert DecisionRule(costs={"under": 1, "over": 2}).cost_bounds(REGRESSION) == (0, np.inf)


def test_a_declared_threshold_decides_whatever_the_costs() -> None:
    rule = DecisionRule(threshold=0.7, costs={"false_positive": 1, "false_negative": 9})
    assert rule.threshold_of(BINARY) == 0.7
    found = rule.cost_of_rows(BINARY, np.array([1.0, 1.0]), np.array([0.69, 0.7]))
    assert found is not None
    assert found.tolist() == [9, 0]


def test_without_costs_one_acts_from_a_half_on_and_nothing_costs_anything() -> None:
    rule = DecisionRule()
    assert rule.threshold_of(BINARY) == 0.5
    assert rule.threshold_of(REGRESSION) is None
    assert rule.decisions(REGRESSION, np.array([3.0])) is None
    assert rule.cost_of_rows(BINARY, np.ones(1), np.ones(1)) is None
    assert rule.constant_decision(BINARY, (0.2,)) is None
    assert rule.hindsight_decision(BINARY, np.ones(1), np.ones(1)) is None


@given(
    st.lists(st.lists(st.floats(0, 20), min_size=3, max_size=3), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_of_many_classes_the_one_of_the_least_expected_cost_is_decided(
    costs: list[list[float]], weights: list[float]
) -> None:
    matrix = {
        true: {decided: (0.0 if true == decided else costs[i][j]) for j, decided in enumerate(CLASSES)}
        for i, true in enumerate(CLASSES)
    }
    rule = DecisionRule(costs=matrix)
    if any(all(matrix[true][decided] <= min(matrix[true].values()) for true in CLASSES) for decided in CLASSES):
        with pytest.raises(ValueError, match="would be best for every row"):
            rule.check(MULTICLASS, CLASSES)
        return
    rule.check(MULTICLASS, CLASSES)
    score = np.array(weights) / sum(weights)
    decided = rule.decisions(MULTICLASS, score[None], CLASSES)
    assert decided is not None
    by_hand = [sum(score[i] * matrix[true][name] for i, true in enumerate(CLASSES)) for name in CLASSES]
    assert by_hand[decided[0]] <= min(by_hand) + 1e-9
    found = rule.cost_of_rows(MULTICLASS, np.array([2.0]), score[None], CLASSES)
    assert found is not None
    assert found[0] == matrix["blue"][CLASSES[decided[0]]]


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=3, max_size=3), min_size=1, max_size=20),
    st.lists(st.integers(1, 2), min_size=6, max_size=6),
    st.booleans(),
)
def test_of_classes_that_cost_the_same_the_likelier_is_decided_then_the_first(
    weights: list[list[int]], costs: list[int], declared: bool
) -> None:
    score = np.array(weights, float)
    dear = iter(costs)
    matrix = {true: {decided: next(dear) for decided in CLASSES if decided != true} for true in CLASSES}
    rule = DecisionRule(costs=matrix if declared else {})
    expected_cost = score @ np.array(rule.cost_matrix(CLASSES))
    by_hand = [
        min(range(3), key=lambda number: (cost[number], -row[number], number))
        for row, cost in zip(score.tolist(), expected_cost.tolist(), strict=True)
    ]
    decided = rule.decisions(MULTICLASS, score, CLASSES)
    assert decided is not None and decided.tolist() == by_hand


def test_a_dear_confusion_moves_the_decision_away_from_the_likeliest_class() -> None:
    rule = DecisionRule(costs={"green": {"red": 10}})
    decided = rule.decisions(MULTICLASS, np.array([[0.7, 0.3, 0.0], [0.95, 0.05, 0.0]]), CLASSES)
    assert decided is not None
    assert decided.tolist() == [1, 0]  # 0.3 * 10 > 0.7 * 1, and 0.05 * 10 < 0.95 * 1
    assert DecisionRule().decisions(MULTICLASS, np.array([[0.4, 0.2, 0.4]]), CLASSES) is not None


def test_an_error_costs_by_its_side_and_its_size() -> None:
    rule = DecisionRule(costs={"under": 3, "over": 0.5}, unit="EUR")
    rule.check(REGRESSION, None)
    found = rule.cost_of_rows(REGRESSION, np.array([10.0, 10.0, 10.0]), np.array([8.0, 10.0, 14.0]))
    assert found is not None
    assert found.tolist() == [6, 0, 2]


def test_the_constant_takes_the_decision_that_costs_least_by_the_training_rate() -> None:
    rule = DecisionRule(costs={"false_positive": 1, "false_negative": 4})
    label = np.array([0.0, 0.0, 1.0])
    for rate, decided, by_hand in ((0.21, 1.0, [1, 1, 0]), (0.19, 0.0, [0, 0, 4])):
        assert rule.constant_decision(BINARY, (rate,)) == decided
        assert rule.cost_of_constant(BINARY, label, decided).tolist() == by_hand
    # A threshold set by hand for scores that are no probabilities says nothing of rates.
    assert DecisionRule(threshold=0.9, costs=rule.costs).constant_decision(BINARY, (0.21,)) == 1.0
    several = DecisionRule(costs={"green": {"red": 10}})
    assert several.constant_decision(MULTICLASS, (0.7, 0.3, 0.0), CLASSES) == 1.0
    errors = DecisionRule(costs={"under": 2, "over": 1})
    assert errors.constant_decision(REGRESSION, (3.0,)) == 3.0
    assert errors.cost_of_constant(REGRESSION, np.array([1.0, 4.0]), 3.0).tolist() == [2, 2]


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_one_decision_costs_less_than_the_best_in_hindsight(seed: int, first: float, second: float) -> None:
    random = np.random.default_rng(seed)
    weight = random.uniform(0.1, 2, 15)
    binary = DecisionRule(costs={"false_positive": first, "false_negative": second})
    several = DecisionRule(costs={"red": {"blue": first}, "green": {"blue": second}})
    errors = DecisionRule(costs={"under": first, "over": second})
    numbers = random.integers(0, 8, 15).astype(float)
    for rule, problem, label, choices in (
        (binary, BINARY, random.integers(0, 2, 15).astype(float), [0, 1]),
        (several, MULTICLASS, random.integers(0, 3, 15).astype(float), [0, 1, 2]),
        (errors, REGRESSION, numbers, numbers.tolist()),
    ):

        def total(decided: float, rule: Any = rule, problem: Any = problem, label: Any = label) -> float:
            return float(rule.cost_of_constant(problem, label, decided, CLASSES) @ weight)

        best = rule.hindsight_decision(problem, label, weight, CLASSES)
        assert best is not None
        assert total(best) <= min(total(one) for one in choices) + 1e-9


def test_classes_that_are_numbers_are_found_by_their_text() -> None:
    rule = DecisionRule.from_value(load_yaml("costs: {1: {2: 5}}"))
    rule.check(MULTICLASS, (1, 2))
    assert rule.cost_matrix((1, 2)) == ((0.0, 5.0), (1.0, 0.0))


@pytest.mark.parametrize(
    ("problem", "rule", "field"),
    [
        (BINARY, {"threshold": 1.5}, "decision.threshold"),
        (BINARY, {"threshold": float("nan")}, "decision.threshold"),
        (BINARY, {"unit": "EUR"}, "decision.unit"),
        (BINARY, {"costs": {"false_alarm": 1}}, "'false_alarm'"),
        (BINARY, {"costs": {"false_positive": 1}}, "decision.costs.false_negative is missing"),
        (BINARY, {"costs": {"false_positive": {"a": 1}}}, "'false_positive'"),
        (BINARY, {"costs": {"false_positive": float("inf"), "false_negative": 1}}, "decision.costs.false_positive"),
        (BINARY, {"costs": {"false_positive": 0, "false_negative": 1}}, "decision.costs.false_positive must be more"),
        (
            BINARY,
            {"threshold": 0.5, "costs": {"false_positive": 1, "false_negative": 2, "true_positive": 2}},
            "decision.costs.false_negative must be more than decision.costs.true_positive (2)",
        ),
        (REGRESSION, {"costs": {"under": 1}}, "decision.costs.over is missing"),
        (REGRESSION, {"costs": {"under": 1, "over": 0}}, "decision.costs.over must be more than 0"),
        (REGRESSION, {"costs": {"false_positive": 1}}, "write under, over"),
        (MULTICLASS, {"threshold": 0.5}, "decision.threshold is for"),
        (MULTICLASS, {"costs": {"red": 3}}, "TRUE CLASS"),
        (MULTICLASS, {"costs": {"pink": {"red": 3}}}, "'pink'"),
        (MULTICLASS, {"costs": {"red": {"pink": 3}}}, "decision.costs.red.pink"),
        (MULTICLASS, {"costs": {"red": {"blue": -1}}}, "decision.costs.red.blue must not be less"),
        (MULTICLASS, {"costs": {"red": {"blue": float("nan")}}}, "decision.costs.red.blue"),
        (
            MULTICLASS,
            {"costs": {"red": {"red": 2}}},
            "decision.costs.red.green, which is 1 where it is left out, must not be less than what is right costs (2)",
        ),
        (MULTICLASS, {"costs": {"red": {"green": 0}, "blue": {"green": 0}}}, "to decide 'green' costs no more than"),
        (MULTICLASS, {"costs": {"red": {"blue": "dear"}}}, "decision.costs.red.blue is not a number: 'dear'"),
        (BINARY, {"costs": {"false_positive": True}}, "decision.costs.false_positive is not a number: True"),
    ],
)
def test_what_a_task_may_not_declare_is_said_with_the_field_s_name(
    problem: str, rule: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match="decision") as found:
        DecisionRule.model_validate(rule).check(problem, CLASSES if problem == MULTICLASS else None)
    assert field in str(found.value)


@pytest.mark.parametrize(
    ("section", "gates"),
    [
        ("metric.limits", {"metric": {"limits": {"cost": {"max": 1}}}}),
        ("metric.beats_base_rate", {"metric": {"beats_base_rate": ["auc", "cost"]}}),
        ("metric.worst_slice", {"metric": {"worst_slice": [{"metric": "cost", "limit": {"max": 1}}]}}),
        ("champion.primary", {"champion": {"primary": "cost"}}),
        ("champion.tolerance", {"champion": {"tolerance": {"cost": {"worse_by": 1}}}}),
        ("champion.reference", {"champion": {"reference": {"cost": {"worse_by": 1}}}}),
        ("champion.slices", {"champion": {"slices": [{"metric": "cost"}]}}),
    ],
)
def test_a_gate_on_costs_that_are_not_declared_is_refused(section: str, gates: dict[str, Any]) -> None:
    choice = GateChoice.from_value(gates)
    with pytest.raises(TaskError, match="does not say what they cost") as found:
        resolve_gates(choice, BINARY)
    assert f"gates.{section} " in str(found.value)
    assert resolve_gates(choice, BINARY, costs=True)


def test_a_class_that_may_be_called_another_for_nothing_is_no_reason_to_refuse_the_costs() -> None:
    DecisionRule(costs={"red": {"green": 0}}).check(MULTICLASS, CLASSES)


@pytest.mark.parametrize(
    ("field", "champion"),
    [
        ("primary", {"primary": "bias"}),
        ("primary", {"primary": "bias", "improve": "point"}),
        ("slices", {"slices": [{"metric": "bias"}]}),
        ("tolerance.bias.evidence", {"tolerance": {"bias": {"worse_by": 1, "evidence": "interval"}}}),
        ("reference.bias.evidence", {"reference": {"bias": {"worse_by": 1, "evidence": "interval"}}}),
    ],
)
def test_a_bias_decides_nowhere_by_its_interval(field: str, champion: dict[str, Any]) -> None:
    with pytest.raises(TaskError, match="bias has shrunk cannot be told") as found:
        resolve_gates(GateChoice.from_value({"champion": champion}), REGRESSION)
    assert f"gates.champion.{field} in the task file" in str(found.value)
    assert "use rmse or mae there" in str(found.value)


def test_a_bias_may_have_a_limit_and_a_tolerance_by_its_estimate() -> None:
    champion = {"tolerance": {"bias": {"worse_by": 1}}, "reference": {"bias": {"worse_by": 1}}}
    metric = {"limits": {"bias": {"min": -1, "max": 1}}}
    gates = resolve_gates(GateChoice.from_value({"champion": champion, "metric": metric}), REGRESSION)
    assert "bias" in gates.champion.tolerance
