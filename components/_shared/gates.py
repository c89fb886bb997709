"""Gates: the limits that a candidate must hold, and the presets that a task starts from."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

from components._shared.behaviour_tests import BehaviourTest
from components._shared.contract import Contract
from components._shared.errors import TaskError
from components._shared.windows import Span, parse_span

Metric = Literal[
    "auc",
    "pr_auc",
    "log_loss",
    "brier",
    "calibration_error",
    "accuracy",
    "macro_f1",
    "rmse",
    "mae",
    "r2",
    "bias",
    "cost",
]
"""`calibration_error` is the expected calibration error over equal-mass bins; `bias` the mean of score minus label;
`cost` the mean cost of a row's decision, where the task declares costs."""

METRIC_NAMES: dict[str, str] = {
    "auc": "AUC",
    "pr_auc": "PR AUC",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "bias": "bias",
    "cost": "cost",
}
"""What people call them."""

HIGHER_IS_BETTER: frozenset[str] = frozenset({"auc", "pr_auc", "accuracy", "macro_f1", "r2"})

METRICS_OF: dict[str, tuple[Metric, ...]] = {
    "binary_classification": ("auc", "pr_auc", "log_loss", "brier", "calibration_error", "accuracy", "cost"),
    "multiclass_classification": ("accuracy", "macro_f1", "log_loss", "brier", "calibration_error", "cost"),
    "regression": ("rmse", "mae", "r2", "bias", "cost"),
}
"""In the order in which they are shown. `cost` is there only where the task declares costs."""


class Limit(Contract):
    """Bounds, both inclusive."""

    min: float | None = None
    max: float | None = None


class DataGates(Contract):
    """Limits on the rows.

    Attributes:
        malformed: Largest share of rows read that could not be used.
        label_missing: Largest share of mature rows in population that have no label.
        duplicates: Largest share of rows whose key was seen before.
        min_rows: Fewest rows kept.
        drift_psi: Largest population stability index of a feature against the previous snapshot; none to report only.
        skew_psi: The same, test against train.
        unseen: Largest share of a feature's values outside its pinned domain.
    """

    malformed: float = Field(0.001, ge=0, le=1)
    label_missing: float = Field(0.01, ge=0, le=1)
    duplicates: float = Field(0.0, ge=0, le=1)
    min_rows: int = Field(100, ge=1)
    drift_psi: float | None = Field(0.25, ge=0)
    skew_psi: float | None = Field(0.25, ge=0)
    unseen: float = Field(0.05, ge=0, le=1)


class Tolerance(Contract):
    """How much worse than the champion a metric may be, in the metric's own unit.

    Attributes:
        worse_by: Largest worsening.
        evidence: `point`: the estimate stays within it; `interval`: the whole 95 % interval does.
    """

    worse_by: float = Field(ge=0)
    evidence: Literal["point", "interval"] = "point"


class WorstSlice(Contract):
    """A limit for every slice that has at least `min_rows` rows."""

    metric: Metric
    limit: Limit
    min_rows: int = Field(500, ge=1)


class MetricGates(Contract):
    """Limits on the candidate alone.

    Attributes:
        min_rows, min_days: Fewer rows or clusters to judge on: the verdict is *cannot judge*.
        limits: Metric → bounds over all rows.
        beats_base_rate: Metrics in which the candidate must be better than the best constant.
    """

    min_rows: int = Field(200, ge=1)
    min_days: int = Field(5, ge=1)
    limits: dict[Metric, Limit] = {}
    beats_base_rate: tuple[Metric, ...] = ()
    worst_slice: tuple[WorstSlice, ...] = ()


class SliceTolerance(Contract):
    """How much worse than the champion a metric may be in any slice of at least `min_rows` rows.

    Attributes:
        false_discoveries: Share of the slices called worse that may be so by luck (Benjamini and Hochberg 1995).
    """

    metric: Metric
    worse_by: float = Field(0.0, ge=0)
    min_rows: int = Field(500, ge=1)
    false_discoveries: float = Field(0.05, gt=0, lt=1)


class ChampionGates(Contract):
    """Limits on the difference to the champion, and to the pinned reference.

    Attributes:
        primary: The metric in which the candidate is meant to be better.
        improve: `evidence`: `primary` must be better beyond doubt, all decisions of a quarter considered; `point`: by
            its estimate; `no`: it must merely not be worse beyond its tolerance.
        undecided: Where `improve: evidence` and the data cannot tell: `keep` the champion, or `promote` a candidate
            that is not worse beyond its tolerance.
        false_alarms: Largest share of quarters in which a candidate that is no better replaces the champion.
        smallest: The smallest difference of `primary` worth finding, for the days that it would take; none: its
            tolerance; without one the check says what difference the days that there are would find.
        tolerance: How much worse than the champion a metric may be. With `improve: evidence` that of `primary` counts
            in doubt only.
        reference: The same against the pinned reference.
        slices: Limits in every slice.
    """

    primary: Metric
    improve: Literal["evidence", "point", "no"] = "evidence"
    undecided: Literal["keep", "promote"] = "keep"
    false_alarms: float = Field(0.05, gt=0, lt=1)
    smallest: float | None = Field(None, gt=0)
    tolerance: dict[Metric, Tolerance] = {}
    reference: dict[Metric, Tolerance] = {}
    slices: tuple[SliceTolerance, ...] = ()


class DifferenceGates(Contract):
    """Limits on how much the candidate's answers differ from the champion's, better or not; none: reported only.

    Attributes:
        flipped: Largest share of rows that are decided otherwise.
        psi: Largest population stability index of the scores.
        ks: Largest Kolmogorov-Smirnov distance of the scores.
        mean: Largest absolute mean difference of the scores.
        rank_agreement: Smallest Spearman correlation of the scores.
    """

    flipped: float | None = Field(None, ge=0, le=1)
    psi: float | None = Field(None, ge=0)
    ks: float | None = Field(None, ge=0, le=1)
    mean: float | None = Field(None, ge=0)
    rank_agreement: float | None = Field(None, ge=-1, le=1)


class BehaviourGates(Contract):
    """Limits on how the exported model behaves.

    Attributes:
        score_difference: Largest absolute difference between a stored and a reproduced score; of a regression, in units
            of the row's scale: the largest of the stored score and the label's standard deviation in *train*.
        export_difference: Largest absolute difference between a score of the SavedModel and one of its documents; of a
            regression, in units of the row's scale, which is also no less than what the document adds up.
        rows: How many rows the tests change: half of them nearest to the decision boundary.
        tests: What is changed, and what is expected.
    """

    score_difference: float = Field(1e-5, ge=0)
    export_difference: float = Field(1e-6, ge=0)
    rows: int = Field(2000, ge=10)
    tests: tuple[BehaviourTest, ...] = ()

    @field_validator("tests")
    @classmethod
    def _one_name_each(cls, value: tuple[BehaviourTest, ...]) -> tuple[BehaviourTest, ...]:
        names = [test.name for test in value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two tests are called {twice[0]!r}")
        return value


class ExplanationGates(Contract):
    """Limits on what the model has learned.

    Attributes:
        largest_share: Largest share of all importance that one feature may have: beyond it, a leak is likely.
        must_matter: Features whose importance must be above zero beyond doubt.
        must_not_matter: Features whose share must stay below `negligible`.
        rows: How many rows are asked.
    """

    largest_share: float | None = Field(None, gt=0, le=1)
    must_matter: tuple[str, ...] = ()
    must_not_matter: tuple[str, ...] = ()
    negligible: float = Field(0.01, gt=0, lt=1)
    rows: int = Field(20_000, ge=100)


class PromiseGates(Contract):
    """When a decision's promise is settled.

    Attributes:
        every: Length of a block of later rows, such as 30d; none: as long as *test*.
        blocks: How many blocks, one after the other; 0: promises are not settled.
        decisions: How many decisions of the past, at most, are settled in a run: those of which a block came to its end
            most recently.
    """

    every: str | None = None
    blocks: int = Field(3, ge=0, le=36)
    decisions: int = Field(6, ge=1, le=50)

    @field_validator("every")
    @classmethod
    def _check_every(cls, value: str | None) -> str | None:
        if value is not None and parse_span(value) == Span():
            raise ValueError(f"a block of {value} holds no rows; give for example 30d")
        return value


class Gates(Contract):
    """All gates of a task, presets filled in."""

    data: DataGates = DataGates()
    metric: MetricGates = MetricGates()
    champion: ChampionGates
    difference: DifferenceGates = DifferenceGates()
    behaviour: BehaviourGates = BehaviourGates()
    explanation: ExplanationGates = ExplanationGates()
    promises: PromiseGates = PromiseGates()


class GateChoice(Contract):
    """What the task file says: a preset, and what differs from it (a field given here replaces the preset's)."""

    preset: Literal["conservative", "balanced"] = "balanced"
    data: dict[str, object] = {}
    metric: dict[str, object] = {}
    champion: dict[str, object] = {}
    difference: dict[str, object] = {}
    behaviour: dict[str, object] = {}
    explanation: dict[str, object] = {}
    promises: dict[str, object] = {}


_PRIMARY: dict[str, Metric] = {
    "binary_classification": "auc",
    "multiclass_classification": "log_loss",
    "regression": "rmse",
}

_PRESETS: dict[str, dict[str, dict[str, dict[str, object]]]] = {
    "balanced": {
        "binary_classification": {
            "metric": {"beats_base_rate": ("auc",)},
            "champion": {
                "tolerance": {
                    "auc": {"worse_by": 0.005},
                    "log_loss": {"worse_by": 0.005},
                    "calibration_error": {"worse_by": 0.02},
                },
                "reference": {"auc": {"worse_by": 0.02}},
            },
        },
        "multiclass_classification": {
            "metric": {"beats_base_rate": ("log_loss",)},
            "champion": {
                "tolerance": {"log_loss": {"worse_by": 0.01}, "accuracy": {"worse_by": 0.01}},
                "reference": {"log_loss": {"worse_by": 0.04}},
            },
        },
        "regression": {
            "metric": {"beats_base_rate": ("rmse",)},
            "champion": {"tolerance": {}, "reference": {}},
        },
    },
}
_PRESETS["conservative"] = {
    problem: {
        "metric": sections["metric"],
        "champion": {
            **sections["champion"],
            "tolerance": {
                metric: {**tolerance, "evidence": "interval"}
                for metric, tolerance in sections["champion"]["tolerance"].items()  # type: ignore[attr-defined]
            },
        },
    }
    for problem, sections in _PRESETS["balanced"].items()
}


def is_better(metric: str, value: float, other: float) -> bool:
    """Whether a value of the metric is better than another; a bias is better the nearer it is to zero.

    A difference in the sixth digit is rounding: a constant that a model stores as float32 is not better than itself.
    """
    if metric == "bias":
        value, other = -abs(value), -abs(other)
    if math.isclose(value, other, rel_tol=1e-5):
        return False
    return value > other if metric in HIGHER_IS_BETTER | {"bias"} else value < other


def resolve_gates(choice: GateChoice, problem: str, *, costs: bool = False) -> Gates:
    """The gates of a task: its preset for the problem, with the fields that the task gives in their place.

    Args:
        choice: What the task file says.
        problem: Of the task.
        costs: Whether the task declares what a decision costs.

    Raises:
        TaskError: A field is unknown, or a metric is not one of the problem's, or it is the cost and none is declared.
    """
    preset = _PRESETS[choice.preset][problem]
    gates = Gates.from_value(
        {
            "data": choice.data,
            "metric": {**preset["metric"], **choice.metric},
            "champion": {"primary": _PRIMARY[problem], **preset["champion"], **choice.champion},
            "difference": choice.difference,
            "behaviour": choice.behaviour,
            "explanation": choice.explanation,
            "promises": choice.promises,
        },
        where="gates of the task file",
        error=TaskError,
    )
    named = {
        "metric.limits": gates.metric.limits,
        "metric.beats_base_rate": gates.metric.beats_base_rate,
        "metric.worst_slice": [each.metric for each in gates.metric.worst_slice],
        "champion.primary": [gates.champion.primary],
        "champion.tolerance": gates.champion.tolerance,
        "champion.reference": gates.champion.reference,
        "champion.slices": [each.metric for each in gates.champion.slices],
    }
    for field, metrics in named.items():
        for metric in metrics:
            if metric not in METRICS_OF[problem]:
                raise TaskError(
                    f"{metric} is not a metric of {problem}",
                    where=f"gates.{field} in the task file",
                    fix=f"use one of: {', '.join(METRICS_OF[problem])}",
                )
            if metric == "cost" and not costs:
                raise TaskError(
                    "The gate is on the cost of decisions, and the task does not say what they cost",
                    where=f"gates.{field} in the task file",
                    fix="give decision.costs, or take the gate out",
                )
    _check_bias(gates.champion)
    return gates


def _check_bias(gates: ChampionGates) -> None:
    """Refuses to let an interval of the difference in bias decide.

    A shift of all labels (a cold month) moves a bias above zero and one below it the same way, but one's size up and
    the other's down: their difference hardly moves, and its interval says nothing of how sure the sizes are.

    Raises:
        TaskError: A gate asks for it.
    """
    named = {
        "primary": gates.primary == "bias",
        "tolerance.bias.evidence": "bias" in gates.tolerance and gates.tolerance["bias"].evidence == "interval",
        "reference.bias.evidence": "bias" in gates.reference and gates.reference["bias"].evidence == "interval",
        "slices": any(rule.metric == "bias" for rule in gates.slices),
    }
    for field, asked in named.items():
        if asked:
            raise TaskError(
                "How sure it is that a bias has shrunk cannot be told: the labels of a month shift it either way",
                where=f"gates.champion.{field} in the task file",
                fix="use rmse or mae there; bias may have a limit (gates.metric.limits) or a tolerance by its estimate",
            )
