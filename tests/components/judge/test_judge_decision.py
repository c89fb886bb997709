from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components._shared.decision_rule import DecisionRule
from components._shared.errors import InputError
from components._shared.evidence import Estimate
from components._shared.verdict import Check, Verdict
from components.judge.executor import judge
from tests import kubeflow_ui

Inputs = Callable[..., dict[str, Any]]


def test_a_rejection_says_what_is_worse_what_is_better_and_on_how_much_it_rests(make_inputs: Inputs) -> None:
    verdict = judge(**make_inputs()).verdict

    assert verdict.subject == "candidate"
    assert verdict.outcome == "failed"
    assert verdict.summary == (
        "Rejected: log-loss is worse than the champion’s by 0.009 [0.001, 0.017] where 0.005 is allowed, although "
        "AUC is better by 0.023 [0.010, 0.039]; judged over 27,012 rows on 30 days, 1 – 30 Sep 2013; "
        "a constant beats both in log-loss and is ahead of both in Brier score, which may be luck."
    )


def test_every_check_of_every_verdict_is_carried_over(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    verdict = judge(**inputs).verdict

    assert verdict.checks == tuple(check for found in inputs["verdicts"].all() for check in found.checks)


def test_an_acceptance_says_how_much_better(make_inputs: Inputs) -> None:
    verdict = judge(**make_inputs(outcome="passed")).verdict

    assert verdict.outcome == "passed"
    assert verdict.summary.startswith(
        "Accepted: AUC is better than the champion’s by 0.023 [0.010, 0.039], and every gate holds"
    )


def test_a_difference_whose_interval_holds_zero_is_not_called_better(make_inputs: Inputs) -> None:
    verdict = judge(**make_inputs("regression", outcome="passed")).verdict

    assert "RMSE does not differ clearly from the champion’s (better by 775 [−83, 1,633])" in verdict.summary


@pytest.mark.parametrize(
    ("error", "looks", "words"),
    [
        (0.006, 4, "AUC is better than the champion’s by 0.023 [0.010, 0.039], hardly by luck"),
        (0.03, 4, "by 0.023 [0.010, 0.039], which the data cannot tell from luck; in doubt the task promotes"),
    ],
)
def test_an_acceptance_says_how_sure_the_improvement_is(
    error: float, looks: int, words: str, make_inputs: Inputs
) -> None:
    inputs = make_inputs(outcome="passed")
    overall = inputs["evaluation"].overall
    figures = overall.metrics["auc"]
    sure = figures.difference.model_copy(update={"error": error, "skewness": 0.0})
    metrics = {**overall.metrics, "auc": figures.model_copy(update={"difference": sure})}
    changed = {"overall": overall.model_copy(update={"metrics": metrics}), "looks": looks}
    inputs["evaluation"] = inputs["evaluation"].model_copy(update=changed)
    check = Check(name="champion.improve.auc", outcome="passed", reason="It is better.")
    yes = Verdict(subject="metrics", outcome="passed", checks=(check,), summary="Yes.")
    inputs["verdicts"] = replace(inputs["verdicts"], metrics=yes)

    assert f"{words}, and every gate holds" in judge(**inputs).verdict.summary


def test_the_first_candidate_has_nothing_to_be_compared_with(make_inputs: Inputs) -> None:
    verdict = judge(**make_inputs(champion=False, outcome="passed")).verdict

    assert verdict.summary.startswith("Accepted: there is no champion yet, and every gate holds;")
    assert "a constant beats it in log-loss" in verdict.summary


def test_a_rejection_for_another_reason_says_that_the_primary_did_not_clearly_improve(make_inputs: Inputs) -> None:
    inputs = make_inputs(outcome="passed")
    failed = Check(name="metric.beats_base_rate.cost", outcome="failed", reason="Cost is no better than a constant’s.")
    unsure = Check(name="champion.improve.auc", outcome="cannot_judge", reason="It may be luck.")
    no = Verdict(subject="metrics", outcome="failed", checks=(failed, unsure), summary="No.")
    inputs["verdicts"] = replace(inputs["verdicts"], metrics=no)

    summary = judge(**inputs).verdict.summary
    assert summary.startswith("Rejected: cost is no better than a constant’s, and AUC did not clearly improve")


def test_a_loss_that_is_just_beyond_what_is_allowed_has_the_digits_that_show_it(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    overall = inputs["evaluation"].overall
    close = Estimate(value=0.00503, interval=(0.001, 0.009))
    figures = overall.metrics["log_loss"].model_copy(update={"difference": close})
    changed = overall.model_copy(update={"metrics": {**overall.metrics, "log_loss": figures}})
    inputs["evaluation"] = inputs["evaluation"].model_copy(update={"overall": changed})

    assert "worse than the champion’s by 0.00503 [" in judge(**inputs).verdict.summary


def test_accuracy_that_nobody_acts_on_is_not_in_the_headline(make_inputs: Inputs) -> None:
    inputs = make_inputs(outcome="passed")
    rule = DecisionRule(costs={"false_positive": 12, "false_negative": 48}, unit="minutes")
    feared = {"constant_beats_both": ("accuracy",)}
    inputs["evaluation"] = inputs["evaluation"].model_copy(update=feared)
    assert "a constant is ahead of both in accuracy, which may be luck" in judge(**inputs).verdict.summary

    inputs["gates"] = inputs["gates"].model_copy(update={"decision": rule})
    assert "accuracy" not in judge(**inputs).verdict.summary


def test_what_cannot_be_judged_is_not_passed(make_inputs: Inputs) -> None:
    verdict = judge(**make_inputs(outcome="cannot_judge")).verdict

    assert verdict.outcome == "cannot_judge"
    assert verdict.summary == "Cannot be judged: only 3 days are fair to both models, and 5 are needed."


def test_rows_that_cannot_be_trusted_reject_whatever_the_metrics_say(make_inputs: Inputs) -> None:
    inputs = make_inputs(outcome="passed")
    bad = Check(
        name="data.malformed", observed=0.2, limit="at most 0.001", outcome="failed", reason="1 of 5 rows is malformed."
    )
    worse = bad.model_copy(update={"name": "data.duplicates", "reason": "Keys stand twice."})
    no = Verdict(subject="data", outcome="failed", checks=(bad, worse), summary="No.")
    inputs["verdicts"] = replace(inputs["verdicts"], data=no)
    verdict = judge(**inputs).verdict

    assert verdict.outcome == "failed"
    assert verdict.summary.startswith(
        "Rejected: 1 of 5 rows is malformed (1 more gate fails), although AUC is better by"
    )


def test_what_speaks_against_an_accepted_candidate_is_said(make_inputs: Inputs) -> None:
    inputs = make_inputs(outcome="passed")
    evaluation = inputs["evaluation"]
    figures = evaluation.overall.metrics["log_loss"]
    worse = figures.model_copy(update={"difference": Estimate(value=0.004, interval=(0.001, 0.007))})
    metrics = {**evaluation.overall.metrics, "log_loss": worse}
    overall = evaluation.overall.model_copy(update={"metrics": metrics})
    inputs["evaluation"] = evaluation.model_copy(update={"overall": overall})

    summary = judge(**inputs).verdict.summary
    assert summary.startswith("Accepted: ")
    assert "although log-loss is worse by 0.0040 [0.0010, 0.0070]" in summary


def test_a_verdict_without_checks_speaks_through_its_summary(make_inputs: Inputs) -> None:
    inputs = make_inputs(outcome="passed")
    no = Verdict(subject="behaviour", outcome="failed", checks=(), summary="The model did not load.")
    inputs["verdicts"] = replace(inputs["verdicts"], smoke=no)

    assert judge(**inputs).verdict.summary.startswith("Rejected: the model did not load, although")


def test_an_evaluation_against_another_champion_is_refused(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    inputs["champion"] = inputs["champion"].model_copy(update={"digest": "99" * 32})

    with pytest.raises(InputError, match="compares with model c1c1c1c1c1c1, the champion is 999999999999"):
        judge(**inputs)


def test_an_evaluation_of_another_problem_is_refused(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    inputs["evaluation"] = make_inputs("regression")["evaluation"]

    with pytest.raises(InputError, match="evaluation is of regression"):
        judge(**inputs)


def test_the_scalars_are_what_a_reviewer_wants_first_on_one_page_of_the_table(make_inputs: Inputs) -> None:
    metrics = judge(**make_inputs()).metrics

    assert len(metrics) <= kubeflow_ui.ROWS_OF_A_PAGE
    assert metrics["accepted"] == 0
    assert metrics["gates_failed"] == 1
    assert metrics["rows"] == 27012
    assert metrics["auc"] == 0.671
    low, high = metrics["auc_difference_low"], metrics["auc_difference_high"]
    assert low < metrics["auc_difference"] == 0.023 < high


def test_the_scalars_of_a_first_candidate_compare_with_nobody(make_inputs: Inputs) -> None:
    metrics = judge(**make_inputs(champion=False)).metrics

    assert "auc" in metrics
    assert not [name for name in metrics if "difference" in name]
