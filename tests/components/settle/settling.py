"""A decision to settle, and the gates that it is settled by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from components._shared.evidence import Estimate
from components._shared.gates import BehaviourGates, ChampionGates, MetricGates
from components._shared.ledger import Decision
from components._shared.records import ModelRef, Promise
from components._shared.task import EvaluationSection

CHAMPION = ModelRef(version=1, uri="file:///nowhere/1", digest="1" * 64)
DECIDED = datetime(2024, 6, 1, tzinfo=UTC)


def section(problem: str = "binary_classification", **fields: Any) -> EvaluationSection:
    """Blocks of 30 days, a hundred rows and five days at least."""
    classes = ["low", "middle", "high"] if problem == "multiclass_classification" else None
    return EvaluationSection.from_value(
        {
            "problem": problem, "classes": classes, "slices": (), "metric": MetricGates(min_rows=100, min_days=5),
            "champion": ChampionGates(primary="auc"), "behaviour": BehaviourGates(), "embargo": "1d",
            "timezone": "UTC", "has_time": True, "test_length": "30d", "task": "stands", **fields,
        }
    )  # fmt: skip


def decision(
    *,
    result: Any = "promoted",
    promised: Estimate | None = Estimate(value=0.02, interval=(0.01, 0.03)),  # noqa: B008 (frozen)
    champion: ModelRef | None = CHAMPION,
    candidate: ModelRef | None = None,
    candidate_value: Estimate = Estimate(value=0.7, interval=(0.65, 0.75)),  # noqa: B008 (frozen)
    constant: float = 0.5,
    overridden: str = "",
    metric: Any = "auc",
    current: bool = True,
    tolerated: float = 0.005,
    meaning: str = "",
) -> Decision:
    """Version 2, champion since 1 June 2024 for an AUC better by 0.02, where 0.005 is tolerated, and matters."""
    return Decision(
        record="a" * 64, judgement="a" * 64, result=result, as_of=DECIDED, why="it was looked at",
        overridden=overridden, champion=champion, current=current,
        candidate=candidate or ModelRef(version=2 if result == "promoted" else 0, uri="file:///nowhere", digest="d"),
        promise=Promise(
            metric=metric, candidate=candidate_value, gain=promised if champion else None, constant=constant,
            tolerated=tolerated, worth=0.005, rows=1000, clusters=28, meaning=meaning,
        ),
    )  # fmt: skip
