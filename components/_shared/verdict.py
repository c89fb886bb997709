"""Verdicts: what a judging step returns. A judgement is not an exception."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from components._shared.contract import Contract
from components._shared.markdown import safe, table

Outcome = Literal["passed", "failed", "cannot_judge"]

_MOST_CHECKS = 100
_LONGEST = 300


class Check(Contract):
    """One gate, looked at.

    Attributes:
        name: For example `metric.auc` or `champion.log_loss`: the gate's path in the task file.
        slice: `column=value`, or empty for all rows.
        observed: The figure.
        interval: Its 95 % interval.
        limit: The limit in words, such as `at least 0.65`.
        reason: One sentence for a reader who does not know the code.
    """

    name: str
    slice: str = ""
    observed: float | None = None
    interval: tuple[float, float] | None = None
    limit: str = ""
    outcome: Outcome
    reason: str


class Verdict(Contract):
    """The judgement on one subject (`data`, `metrics`, `difference`, `behaviour`, `candidate`)."""

    format: Literal["saiki/verdict/v1"] = "saiki/verdict/v1"
    subject: str
    outcome: Outcome
    checks: tuple[Check, ...]
    summary: str

    def to_markdown(self) -> str:
        """The twin for the Kubeflow UI, which shows the beginning of a long text: what did not pass stands first."""
        shown = sorted(self.checks, key=lambda check: check.outcome == "passed")[:_MOST_CHECKS]
        headings = ("gate", "slice", "observed", "95 % interval", "limit", "outcome", "reason")
        title = f"## {safe(self.subject)}: {self.outcome.replace('_', ' ')}"
        lines = [title, "", safe(self.summary), "", table(headings, [_cells(check) for check in shown])]
        if left := len(self.checks) - len(shown):
            lines += ["", f"{left} more gates stand in the report."]
        return "\n".join(lines) + "\n"


def _cells(check: Check) -> tuple[str, ...]:
    """A check's row in the table."""
    interval = "" if check.interval is None else f"[{check.interval[0]:.4g}, {check.interval[1]:.4g}]"
    observed = "" if check.observed is None else f"{check.observed:.4g}"
    reason = check.reason if len(check.reason) <= _LONGEST else f"{check.reason[:_LONGEST]}…"
    return check.name, check.slice, observed, interval, check.limit, check.outcome, reason


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of several: a failure outweighs what could not be judged, which outweighs what passed."""
    found = set(outcomes)
    if "failed" in found:
        return "failed"
    return "cannot_judge" if "cannot_judge" in found else "passed"
