"""What a decision promises, and what is kept so that it can be settled."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from components._shared.facts import Facts
from components._shared.gates import ChampionGates
from components._shared.ledger import blocks_after, closes, first_as_of, gain_of, question_of
from components._shared.records import Promise
from components._shared.registry import LOSER, SAVED_MODEL
from components._shared.verdict import Verdict

_OF_THE_DELIVERY = frozenset(
    {"data.min_rows", "data.malformed", "data.label_missing", "data.duplicates", "data.schema", "data.anomalies"}
)
"""Checks of `validate` by which rows are not what was to be delivered. That values drift, that categories are new, is
how promises break, and no reason to look away."""


def are_sound(verdict: Verdict) -> bool:
    """Whether rows may settle promises: what is settled on a delivery that is corrected tomorrow stays for ever.

    Args:
        verdict: With the checks of the rows that settle, among others.
    """
    return all(check.outcome == "passed" for check in verdict.checks if check.name in _OF_THE_DELIVERY)


def promise_of(facts: Facts) -> Promise | None:
    """What is expected of the candidate, from the rows that judged it; none: no rows could."""
    metric = facts.gates.champion.primary
    figures = facts.evaluation.overall.metrics.get(metric)
    if figures is None:
        return None
    gates = facts.gates.champion
    tolerance = gates.tolerance.get(metric)
    worse_by = 0.0 if tolerance is None else tolerance.worse_by
    due, closed = _when(facts)
    return Promise(
        metric=metric,
        candidate=figures.candidate,
        gain=gain_of(metric, figures),
        constant=figures.constant,
        tolerated=worse_by if _lets_in_what_is_worse(gates) else 0.0,
        worth=gates.smallest or worse_by,
        rows=facts.evaluation.rows,
        clusters=facts.evaluation.clusters,
        window=facts.evaluation.window,
        meaning=question_of(metric, facts.gates),
        due=due,
        closed=closed,
    )


def loser_files(model: Path) -> dict[str, Path]:
    """The files of a rejected candidate's model by their name among those of its attempt, the SavedModel last."""
    files = {path.relative_to(model).as_posix(): path for path in sorted(model.rglob("*")) if path.is_file()}
    order = sorted(files, key=lambda name: name == SAVED_MODEL)
    return {f"{LOSER}/{name}": files[name] for name in order}


def _lets_in_what_is_worse(gates: ChampionGates) -> bool:
    """Whether a slightly worse candidate may be promoted by rule; what must be better beyond doubt may not be worse."""
    return gates.improve != "evidence" or gates.undecided == "promote"


def _when(facts: Facts) -> tuple[datetime | None, datetime | None]:
    """The first moment as of which a run can settle the first block, and the last one as of which any is settled."""
    gates = facts.gates
    blocks = blocks_after(facts.windows.as_of, gates)
    end = closes(facts.windows.as_of, gates)
    if not blocks or end is None:
        return None, None
    return first_as_of(blocks[0].end, gates), first_as_of(end, gates)
