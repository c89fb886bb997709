"""Gates: the limits that a candidate must hold, and the presets that a task starts from."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from components._shared.contract import Contract
from components._shared.errors import TaskError

Metric = Literal[
    "auc", "pr_auc", "log_loss", "brier", "calibration_error", "accuracy", "macro_f1", "rmse", "mae", "r2", "bias"
]
"""`calibration_error` is the expected calibration error over equal-mass bins; `bias` the mean of score minus label."""

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
}
"""What people call them."""

HIGHER_IS_BETTER: frozenset[str] = frozenset({"auc", "pr_auc", "accuracy", "macro_f1", "r2"})

METRICS_OF: dict[str, tuple[Metric, ...]] = {
    "binary_classification": ("auc", "pr_auc", "log_loss", "brier", "calibration_error", "accuracy"),
    "multiclass_classification": ("accuracy", "macro_f1", "log_loss", "brier", "calibration_error"),
    "regression": ("rmse", "mae", "r2", "bias"),
}


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


class ChampionGates(Contract):
    """Limits on the difference to the champion, and to the pinned reference.

    Attributes:
        primary: The metric in which the candidate is meant to be better.
        improve: Whether `primary` must be better (point estimate) or merely not worse beyond its tolerance.
    """

    primary: Metric
    improve: bool = False
    tolerance: dict[Metric, Tolerance] = {}
    reference: dict[Metric, Tolerance] = {}


class BehaviourGates(Contract):
    """Limits on how the exported model behaves.

    Attributes:
        score_difference: Largest absolute difference between a stored and a reproduced score.
    """

    score_difference: float = Field(1e-5, ge=0)


class Gates(Contract):
    """All gates of a task, presets filled in."""

    data: DataGates = DataGates()
    metric: MetricGates = MetricGates()
    champion: ChampionGates
    behaviour: BehaviourGates = BehaviourGates()


class GateChoice(Contract):
    """What the task file says: a preset, and what differs from it (a field given here replaces the preset's)."""

    preset: Literal["conservative", "balanced"] = "balanced"
    data: dict[str, object] = {}
    metric: dict[str, object] = {}
    champion: dict[str, object] = {}
    behaviour: dict[str, object] = {}


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
            "improve": True,
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


def resolve_gates(choice: GateChoice, problem: str) -> Gates:
    """The gates of a task: its preset for the problem, with the fields that the task gives in their place.

    Raises:
        TaskError: A field is unknown, or a metric is not one of the problem's.
    """
    preset = _PRESETS[choice.preset][problem]
    gates = Gates.from_value(
        {
            "data": choice.data,
            "metric": {**preset["metric"], **choice.metric},
            "champion": {"primary": _PRIMARY[problem], **preset["champion"], **choice.champion},
            "behaviour": choice.behaviour,
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
    }
    for field, metrics in named.items():
        for metric in metrics:
            if metric not in METRICS_OF[problem]:
                raise TaskError(
                    f"{metric} is not a metric of {problem}",
                    where=f"gates.{field} in the task file",
                    fix=f"use one of: {', '.join(METRICS_OF[problem])}",
                )
    return gates
