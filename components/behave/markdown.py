"""What the tests found as Markdown: the verdict, then the worst cases before and after."""

from __future__ import annotations

from components._shared.behaviour import BehaviourCase, BehaviourEvidence, BehaviourFound
from components._shared.markdown import safe, table
from components._shared.verdict import Verdict


def summary(verdict: Verdict, evidence: BehaviourEvidence) -> str:
    """The verdict's twin for the Kubeflow UI, and below it the worst cases of each test."""
    return verdict.to_markdown() + "".join(_cases(found) for found in evidence.tests if found.cases)


def _cases(found: BehaviourFound) -> str:
    rows = [
        (
            ", ".join(f"{each.feature}: {each.before} → {each.after}" for each in case.changed),
            _score(case.score_before, case.output, case.decision_before),
            _score(case.score_after, case.output, case.decision_after),
            _rest(case),
        )
        for case in found.cases
    ]
    lines = [
        "",
        f"### {safe(found.name)}: the worst cases",
        "",
        safe(f"{found.change}; expected: {found.expectation}."),
        "",
        table(("changed", "score before", "score after", "the rest of the row"), rows),
    ]
    return "\n".join(lines) + "\n"


def _score(score: float | None, output: str, decision: str) -> str:
    said = "no finite number" if score is None else f"{score:.4g}"
    return f"{said} ({output}), decided: {decision}" if output else said


def _rest(case: BehaviourCase) -> str:
    return ", ".join(f"{name}: {value}" for name, value in case.row.items())
