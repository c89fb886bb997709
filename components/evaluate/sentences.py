"""What checks say of a difference between two models."""

from __future__ import annotations

from components._shared.evidence import Figures
from components._shared.gates import METRIC_NAMES, Metric
from components._shared.measuring.evidence_of_gain import Other, gain_of, turned
from components._shared.verdict import Check
from components._shared.wording import estimate, sentence

_WHOSE: dict[Other, str] = {"champion": "champion's", "reference": "pinned reference's"}


def compared(metric: Metric, found: Figures, other: Other = "champion") -> str:
    """`log-loss is worse than the champion's by 0.009 [0.001, 0.017]`, without a full stop."""
    gain = gain_of(metric, found, other)
    name = "size of the bias" if metric == "bias" else METRIC_NAMES[metric]
    if gain is None:
        return f"{name} has no value"
    if gain.value == 0:
        return f"{name} is the same as the {_WHOSE[other]}"
    if gain.value < 0:
        return f"{name} is worse than the {_WHOSE[other]} by {estimate(turned(gain))}"
    return f"{name} is better than the {_WHOSE[other]} by {estimate(gain)}"


def undefined(name: str, metric: Metric, limit: str) -> Check:
    """The check of a metric that has no value."""
    return Check(
        name=name,
        limit=limit,
        outcome="cannot_judge",
        reason=sentence(f"{METRIC_NAMES[metric]} has no value on these rows: their labels are all alike."),
    )


def without_interval(name: str, metric: Metric, limit: str, observed: float) -> Check:
    """The check of a difference that has no interval where one is needed."""
    return Check(
        name=name,
        observed=observed,
        limit=limit,
        outcome="cannot_judge",
        reason=sentence(
            f"{METRIC_NAMES[metric]} has no interval here: the rows, or those of one class, lie in too few clusters."
        ),
    )
