"""The model card tells what a stranger has to know before relying on a model, also of one that passed every gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components._shared.evidence import CalibrationLine, Curves, Estimate, Figures, Saving, SliceFigures, Value
from components._shared.facts import Facts
from components.judge.executor import judge
from components.judge.report.card import model_card

Inputs = Callable[..., dict[str, Any]]


def card(inputs: dict[str, Any], **changes: Any) -> str:
    """The card of a run whose evaluation is changed; as plain text."""
    evaluation = inputs["evaluation"].model_copy(update=changes)
    return judge(**{**inputs, "evaluation": evaluation}).card.replace("\\", "").replace("\u00a0", " ")


def saving(cost: float, per_day: float) -> Saving:
    one = Estimate(value=per_day / 900, interval=((per_day - 200) / 900, (per_day + 200) / 900))
    day = Estimate(value=per_day, interval=(per_day - 200, per_day + 200))
    return Saving(cost=cost, per_row=one, per_cluster=day, total=day)


def test_each_constant_is_named_and_so_is_the_best_one_in_hindsight(make_inputs: Inputs) -> None:
    value = Value(
        unit="minutes",
        cost=Estimate(value=8.7, interval=(8.2, 9.2)),
        champion=saving(8.8, 90),
        constant=saving(12.0, 3000),
        constant_decision="1",
        hindsight=saving(8.1, -500),
        hindsight_decision="0",
    )
    text = card(make_inputs(), value=value)
    assert "best constant" not in text
    assert ": one score for all rows |" in text and ": always the training rate" in text
    assert "The best single decision in hindsight, calling no row positive, would have cost 8.1" in text
    assert "calling no row positive (in hindsight) costs 500 minutes a day [300, 700] less than the candidate." in text


def test_differences_carry_their_sign_and_groups_with_too_few_positives_no_ranking(make_inputs: Inputs) -> None:
    inputs = make_inputs()
    primary = inputs["gates"].champion.primary
    figures = Figures(
        candidate=Estimate(value=0.7, interval=(0.6, 0.8)), difference=Estimate(value=0.02, interval=(0.01, 0.03))
    )

    def group(value: str, label_mean: float) -> SliceFigures:
        metrics = {"auc": figures, primary: figures}
        return SliceFigures(column="shop", value=value, rows=40, clusters=30, label_mean=label_mean, metrics=metrics)

    gates = inputs["gates"]
    champion = gates.champion.model_copy(update={"primary": "auc"})
    inputs["gates"] = gates.model_copy(update={"champion": champion})
    text = card(inputs, slices=(group("Rome", 0.5), group("Oslo", 0.05)))
    assert "| shop = Rome | 40 | 0.700 [0.600, 0.800] | +0.020 [0.010, 0.030] |" in text
    assert "| shop = Oslo | 40 | too few positives | – |" in text
    assert "Too few positives (or negatives) to say anything of the ranking in shop Oslo." in text


def test_a_bias_that_both_models_share_is_a_caveat(make_inputs: Inputs) -> None:
    line = CalibrationLine(score_mean=0.25, bias=Estimate(value=0.15, interval=(0.1, 0.2)))
    text = card(make_inputs(), curves=Curves(line=line), champion_curves=Curves(line=line))
    assert "- Both models promise too much: 0.250 (candidate) and 0.250 (champion) on average" in text


def test_every_row_read_is_accounted_for(make_inputs: Inputs) -> None:
    facts = Facts.from_json(judge(**make_inputs()).facts.to_json())
    rows = facts.data.rows
    moved = rows.model_copy(update={"kept": rows.kept - 1000, "out_of_window": rows.out_of_window + 1000})
    text = model_card(facts.model_copy(update={"data": facts.data.model_copy(update={"rows": moved})}))
    line = next(line for line in text.splitlines() if line.startswith(f"- Of {rows.read:,} rows read: "))
    assert f"{moved.kept:,} kept (" in line and f"{moved.out_of_window:,} out of window (" in line
    assert (
        "Intervals are 95 % intervals; they resample whole days, because rows of one day resemble each other." in text
    )
