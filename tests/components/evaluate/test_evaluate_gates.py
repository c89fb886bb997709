"""Every gate, held and broken, on figures written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from components._shared.evidence import Estimate, Evaluation, Figures, SliceFigures
from components._shared.markdown import safe
from components._shared.verdict import Check
from components.evaluate.gate_checks import judge
from components.evaluate.notes import Notes


def _figures(candidate: float, champion: float, half: float = 0.01, **more: Any) -> Figures:
    def estimate(value: float) -> Estimate:
        return Estimate(value=value, interval=(value - half, value + half))

    return Figures(
        candidate=estimate(candidate),
        champion=estimate(champion),
        difference=estimate(candidate - champion),
        reference=estimate(champion),
        reference_difference=estimate(candidate - champion),
        **more,
    )


def _evaluation(metrics: dict[Any, Figures], *, slices: tuple[SliceFigures, ...] = (), **changes: Any) -> Evaluation:
    overall = SliceFigures(column="", value="", rows=1000, clusters=30, label_mean=0.2, metrics=metrics)
    fields: dict[str, Any] = {
        "engine": "vectorised",
        "problem": "binary_classification",
        "rows": 1000,
        "clusters": 30,
        "champion": "c",
        "reference": "r",
        "overall": overall,
        "slices": slices,
    }
    return Evaluation(**(fields | changes))


def _slice(value: str, rows: int, **metrics: float) -> SliceFigures:
    figures: Any = {name: Figures(candidate=Estimate(value=found)) for name, found in metrics.items()}
    return SliceFigures(column="carrier", value=value, rows=rows, clusters=30, label_mean=0.2, metrics=figures)


def _checks(evaluation: Evaluation, section: Any) -> dict[str, Check]:
    return {check.name: check for check in judge(evaluation, section, Notes(broken={})).checks}


ONLY = {"tolerance": {}, "reference": {}, "primary": "auc", "improve": "no"}
NOTHING = {"metric": {"beats_base_rate": []}, "champion": {**ONLY, "tolerance": {"auc": {"worse_by": 1}}}}


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [({"min": 0.7}, "passed"), ({"min": 0.71}, "failed"), ({"max": 0.7}, "passed"), ({"max": 0.69}, "failed")],
)
def test_a_limit_is_inclusive(limit: Any, outcome: str, section: Any) -> None:
    gates = section(gates={"metric": {"limits": {"auc": limit}}, "champion": ONLY})
    check = _checks(_evaluation({"auc": _figures(0.7, 0.7)}), gates)["metric.auc"]
    assert check.outcome == outcome
    assert check.observed == 0.7
    assert "AUC is 0.700 [0.690, 0.710]; it must be at" in check.reason


@pytest.mark.parametrize(
    ("constant", "outcome"), [(0.5, "passed"), (0.7, "failed"), (0.69999999, "failed"), (None, "cannot_judge")]
)
def test_the_candidate_must_be_better_than_a_constant(constant: Any, outcome: str, section: Any) -> None:
    gates = section(gates={"metric": {"beats_base_rate": ["auc"]}, "champion": ONLY})
    checks = _checks(_evaluation({"auc": _figures(0.7, 0.7, constant=constant)}), gates)
    assert checks["metric.beats_base_rate.auc"].outcome == outcome


@pytest.mark.parametrize(
    ("metric", "candidate", "tolerance", "outcome"),
    [
        ("auc", 0.695, {"worse_by": 0.01}, "passed"),
        ("auc", 0.685, {"worse_by": 0.01}, "failed"),
        ("auc", 0.695, {"worse_by": 0.01, "evidence": "interval"}, "failed"),
        ("auc", 0.705, {"worse_by": 0.01, "evidence": "interval"}, "passed"),
        ("log_loss", 0.705, {"worse_by": 0.01}, "passed"),
        ("log_loss", 0.715, {"worse_by": 0.01}, "failed"),
        ("log_loss", 0.705, {"worse_by": 0.01, "evidence": "interval"}, "failed"),
        ("log_loss", 0.695, {"worse_by": 0.01, "evidence": "interval"}, "passed"),
    ],
)
@pytest.mark.parametrize("other", ["champion", "reference"])
def test_a_metric_may_be_worse_within_its_tolerance(
    other: str, metric: str, candidate: float, tolerance: Any, outcome: str, section: Any
) -> None:
    champion = {**ONLY, "primary": metric, "tolerance" if other == "champion" else "reference": {metric: tolerance}}
    gates = section(gates={"metric": {"beats_base_rate": []}, "champion": champion})
    check = _checks(_evaluation({metric: _figures(candidate, 0.7)}), gates)[f"{other}.{metric}"]
    assert check.outcome == outcome
    assert check.observed == pytest.approx(candidate - 0.7)
    assert check.limit.startswith("worse by at most 0.01")


def test_an_interval_that_is_asked_for_and_missing_cannot_be_judged(section: Any) -> None:
    figures = Figures(
        candidate=Estimate(value=0.7), champion=Estimate(value=0.6), difference=Estimate(value=0.1), constant=0.5
    )
    tolerance = {"auc": {"worse_by": 0.01, "evidence": "interval"}}
    gates = section(gates={"champion": {**ONLY, "tolerance": tolerance}})
    assert _checks(_evaluation({"auc": figures}), gates)["champion.auc"].outcome == "cannot_judge"


def test_a_primary_metric_without_a_tolerance_must_not_be_worse(section: Any) -> None:
    gates = section(gates={"metric": {"beats_base_rate": []}, "champion": ONLY})
    assert _checks(_evaluation({"auc": _figures(0.7, 0.7)}), gates)["champion.auc"].outcome == "passed"
    worse = _checks(_evaluation({"auc": _figures(0.699, 0.7)}), gates)["champion.auc"]
    assert worse.outcome == "failed"
    assert worse.reason == "AUC is worse than the champion's by 0.001; it must not be worse."


@pytest.mark.parametrize(("candidate", "outcome"), [(0.701, "passed"), (0.7, "failed"), (0.699, "failed")])
def test_improve_by_its_estimate_asks_for_a_better_primary_metric(candidate: float, outcome: str, section: Any) -> None:
    gates = section(gates={"metric": {"beats_base_rate": []}, "champion": {**ONLY, "improve": "point"}})
    checks = _checks(_evaluation({"auc": _figures(candidate, 0.7)}), gates)
    assert checks["champion.improve.auc"].outcome == outcome
    assert "champion.auc" not in checks


@pytest.mark.parametrize(
    ("candidate", "champion", "outcome"),
    [(0.3, 0.5, "passed"), (-0.3, 0.5, "passed"), (-0.7, 0.5, "failed"), (0.7, -0.5, "failed"), (0.4, -0.5, "passed")],
)
def test_a_bias_is_worse_when_it_is_larger_either_way(
    candidate: float, champion: float, outcome: str, section: Any
) -> None:
    gates = section(
        "regression",
        gates={
            "metric": {"beats_base_rate": []},
            "champion": {
                "improve": "no",
                "tolerance": {"bias": {"worse_by": 0.1}},
            },
        },
    )
    evaluation = _evaluation({"bias": _figures(candidate, champion)}, problem="regression")
    assert _checks(evaluation, gates)["champion.bias"].outcome == outcome


def test_every_large_slice_that_breaks_the_limit_is_named_and_small_ones_are_not(section: Any) -> None:
    rule = {"metric": "auc", "limit": {"min": 0.6}, "min_rows": 500}
    gates = section(gates={**NOTHING, "metric": {"beats_base_rate": [], "worst_slice": [rule]}})
    slices = (
        _slice("AA", 900, auc=0.7),
        _slice("UA", 800, auc=0.55),
        _slice("DL", 700, auc=0.5),
        _slice("(other small values: 700)", 600, auc=0.1),
        _slice("OO", 40, auc=0.0),
    )
    verdict = judge(_evaluation({"auc": _figures(0.7, 0.7)}, slices=slices), gates, Notes(broken={}))
    named = [check for check in verdict.checks if check.name == "metric.worst_slice.auc"]
    assert [(check.slice, check.outcome) for check in named] == [("carrier=DL", "failed"), ("carrier=UA", "failed")]
    assert verdict.outcome == "failed"
    assert "where carrier is DL (700 rows) is 0.5; it must be at least 0.6" in verdict.summary

    held = judge(_evaluation({"auc": _figures(0.7, 0.7)}, slices=slices[:1]), gates, Notes(broken={}))
    assert held.outcome == "passed"
    none = judge(_evaluation({"auc": _figures(0.7, 0.7)}, slices=slices[3:]), gates, Notes(broken={}))
    assert none.outcome == "cannot_judge"


def test_a_gated_metric_without_a_value_cannot_be_judged(section: Any) -> None:
    champion = {"improve": "no"}
    gates = section(
        gates={"metric": {"beats_base_rate": ["auc"], "limits": {"auc": {"min": 0.5}}}, "champion": champion}
    )
    verdict = judge(_evaluation({"log_loss": _figures(0.5, 0.5)}), gates, Notes(broken={}))
    outcomes = {check.name: check.outcome for check in verdict.checks}
    assert outcomes["metric.auc"] == outcomes["metric.beats_base_rate.auc"] == "cannot_judge"
    assert outcomes["champion.auc"] == outcomes["reference.auc"] == "cannot_judge"
    assert verdict.outcome == "cannot_judge"


def test_the_markdown_twin_holds_every_gate(section: Any) -> None:
    verdict = judge(_evaluation({"auc": _figures(0.7, 0.7, constant=0.5)}), section(), Notes(broken={}))
    text = verdict.to_markdown()
    assert all(safe(check.name) in text for check in verdict.checks)
