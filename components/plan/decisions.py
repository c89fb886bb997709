"""Decisions of the past whose promises this run can settle: their labels have matured since."""

from __future__ import annotations

from components._shared.ledger import Decisions
from components._shared.registry import Registry
from components._shared.task import EvaluationSection
from components._shared.windows import Windows


def decisions_to_settle(models: Registry, gates: EvaluationSection, windows: Windows) -> Decisions:
    """The newest decisions with at least one whole block of labelled rows after them."""
    return Decisions()
