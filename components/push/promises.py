"""What a decision promises, and what is kept so that it can be settled."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from components._shared.facts import Facts
from components._shared.ledger import blocks_after, gain_of
from components._shared.records import Promise
from components._shared.registry import LOSER, SAVED_MODEL


def promise_of(facts: Facts) -> Promise | None:
    """What is expected of the candidate, from the rows that judged it; none: no rows could."""
    metric = facts.gates.champion.primary
    figures = facts.evaluation.overall.metrics.get(metric)
    if figures is None:
        return None
    tolerance = facts.gates.champion.tolerance.get(metric)
    return Promise(
        metric=metric,
        candidate=figures.candidate,
        gain=gain_of(metric, figures),
        constant=figures.constant,
        tolerated=0.0 if tolerance is None else tolerance.worse_by,
        rows=facts.evaluation.rows,
        clusters=facts.evaluation.clusters,
        window=facts.evaluation.window,
        due=_due(facts),
    )


def loser_files(model: Path) -> dict[str, Path]:
    """The files of a rejected candidate's model by their name in the folder of its attempt, the SavedModel last."""
    files = {path.relative_to(model).as_posix(): path for path in sorted(model.rglob("*")) if path.is_file()}
    order = sorted(files, key=lambda name: name == SAVED_MODEL)
    return {f"{LOSER}/{name}": files[name] for name in order}


def _due(facts: Facts) -> datetime | None:
    """When the first block of later rows is over and its labels have had as long to mature as those of this run."""
    blocks = blocks_after(facts.windows.as_of, facts.gates)
    until = facts.windows.labelled_until
    if not blocks or until is None:
        return None
    return blocks[0].end + (facts.windows.as_of - until)
