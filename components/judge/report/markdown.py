"""The report's twin for the Kubeflow UI, which previews the first 50 KB of Markdown."""

from __future__ import annotations

from components._shared.facts import Facts
from components._shared.markdown import safe, table
from components.judge.report.afterwards import OUTCOMES
from components.judge.report.data import accounting
from components.judge.report.gates import gate_rows
from components.judge.report.key_facts import key_facts
from components.judge.report.metrics import answer, metric_rows
from components.judge.report.value import worth
from components.judge.report.wording import count

MOST_BYTES = 50_000
_MOST_GATES = 100
_MOST_PROMISES = 3
_LONGEST_STORY = 900


def markdown(facts: Facts) -> str:
    """Decision, what it rests on, the evidence in sentences, gates (failures first), metrics, rows."""
    gates = gate_rows(facts)
    champion = bool(facts.evaluation.champion)
    sections = [
        f"## {safe(facts.verdict.summary)}",
        table(("", "", ""), key_facts(facts)),
        *_evidence(facts),
        "### Gates",
        table(
            ("outcome", "gate", "slice", "observed", "limit", "reason"),
            [
                (g.outcome_name, g.code, g.slice, f"{g.observed} {g.interval}", g.limit, g.reason[:300])
                for g in gates[:_MOST_GATES]
            ],
        ),
        *([f"{count(len(gates) - _MOST_GATES)} more gates stand in the report."] if len(gates) > _MOST_GATES else []),
        "### Metrics",
        table(
            ("metric", "candidate", *(("champion", "difference") if champion else ()), "constant"),
            [
                (
                    row.name,
                    f"{row.candidate} {row.candidate_interval}",
                    *(
                        (f"{row.champion} {row.champion_interval}", f"{row.difference} {row.difference_interval}")
                        if champion
                        else ()
                    ),
                    row.constant,
                )
                for row in metric_rows(facts)
            ],
        ),
        "### Rows",
        table(
            ("rows", "number", "share", "meaning"),
            [(fate.name, fate.rows, fate.share, fate.meaning) for fate in accounting(facts).fates],
        ),
    ]
    return _cut("\n\n".join(sections) + "\n")


def _evidence(facts: Facts) -> list[str]:
    """What the report tells in sentences: is it better, what is it worth, how does it differ, were promises kept."""
    value = worth(facts)
    kept = [f"{OUTCOMES[one.outcome][0]}: {one.reason}" for one in facts.promises[:_MOST_PROMISES]]
    found = [
        ("Better?", answer(facts)),
        ("Worth", value.sentence if value else ""),
        ("Differs", facts.comparison.story[:_LONGEST_STORY]),
        *(("Earlier promise", text) for text in kept),
    ]
    told = [(name, text) for name, text in found if text]
    return ["### Evidence", table(("", ""), told)] if told else []


def _cut(text: str) -> str:
    """The text, without the last lines if it is larger than the preview."""
    if len(text.encode()) <= MOST_BYTES:
        return text
    ending = "\n\nThe rest stands in the report.\n"
    kept = text.encode()[: MOST_BYTES - len(ending.encode())].decode(errors="ignore")
    return kept.rsplit("\n", 1)[0] + ending
