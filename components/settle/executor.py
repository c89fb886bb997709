"""Scores what happened since earlier decisions, and holds it against what they promised.

Each decision is settled by itself, on the labelled rows of the whole blocks since: the model that was judged, the
champion beside it, and the constant of its training labels, all on the same rows, which none of them has learnt from.

A block of which too many labels are missing says nothing yet: the rows that have one are the easy ones. A model that is
gone, or that the rows do not suit any more, leaves its own decisions unsettled and no others (`later_rows.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from components._shared.gates import DataGates
from components._shared.ledger import (
    Block,
    Decision,
    Decisions,
    Settlement,
    Settlements,
    blocks_to_settle,
    question_of,
)
from components._shared.manifest import Manifest
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Verdict, merge
from components._shared.verdict import Outcome as Judgement
from components._shared.windows import Window, Windows, parse_span
from components._shared.wording import number
from components.settle.later_rows import LaterRows, NotScored, start_of
from components.settle.outcomes import Settled, day_of, name_of, outcome_of

if TYPE_CHECKING:
    from components._shared.evidence import Figures
    from components._shared.gates import Metric
    from components._shared.measuring.fair_rows import Rows
    from components._shared.model_info import ModelInfo

_JUDGED: dict[str, Judgement] = {
    "kept": "passed",
    "short": "passed",
    "broken": "failed",
    "missed": "failed",
    "cannot_tell": "cannot_judge",
}
"""Outcome of a promise → was the decision right? Less than was promised may still be better than what there was."""

_WORDS = {
    "cannot_tell": "cannot be told yet",
    "short": "kept less than was promised",
    "missed": "missed a better model",
}


@dataclass(frozen=True)
class Result:
    """What `settle` gives."""

    settlements: Settlements
    verdict: Verdict


@dataclass(frozen=True)
class _Due:
    """A decision, and the blocks that it is settled on by their number."""

    decision: Decision
    blocks: dict[int, Window]

    @property
    def window(self) -> Window:
        """From the first block to the last."""
        return Window(start=self.blocks[min(self.blocks)].start, end=self.blocks[max(self.blocks)].end)


def settle(
    *,
    examples: Manifest,
    decisions: Decisions,
    windows: Windows,
    section: EvaluationSection,
    data_gates: DataGates,
) -> Result:
    """Settles the promises of earlier decisions.

    Args:
        examples: All rows of the run's window, as `ingest` gives them.
        decisions: Those whose time has come, from `plan`. None: no row is read, and TensorFlow is not imported.
        windows: Of the run.
        section: What is asked, metrics, clusters, blocks, and how few rows say nothing.
        data_gates: How many labels may be missing.

    Raises:
        NotFoundError, CorruptError: The rows themselves cannot be read.
        DataError: Their labels or weights are not what the problem asks for.
    """
    due = [
        _Due(decision, blocks)
        for decision in decisions.decisions
        if (blocks := blocks_to_settle(decision.as_of, section, windows))
    ]
    asked = [(model, one.window) for one in due for model in (one.decision.candidate, one.decision.champion) if model]
    rows = LaterRows(examples, section, asked)
    found = [_settlement(one, rows, windows, section, data_gates) for one in due]
    return Result(settlements=Settlements(settlements=tuple(found)), verdict=_verdict(found, section))


def _settlement(
    due: _Due, rows: LaterRows, windows: Windows, section: EvaluationSection, data_gates: DataGates
) -> Settlement:
    try:
        later = _later_rows(due, rows, section, data_gates)
    except NotScored as why:
        each: list[Block] = []
        whole = Block(window=due.window, rows=0, clusters=0)
        settled = Settled("cannot_tell", str(why))
    else:
        each = [_block(block, later, section) for block in due.blocks.values()]
        whole = _block(due.window, later, section)
        settled = outcome_of(due.decision, whole, section)
    return Settlement(
        decision=due.decision,
        number=max(due.blocks),
        blocks=tuple(block for block in each if block.rows),
        whole=whole,
        gain=settled.gain,
        outcome=settled.outcome,
        reason=settled.reason,
        proposal=settled.proposal,
        settled_as_of=windows.as_of,
    )


def _block(window: Window, rows: Rows, section: EvaluationSection) -> Block:
    from components._shared.measuring.figures import figures_of
    from components._shared.tables import microseconds_of

    assert rows.time is not None
    part = rows.take((rows.time >= microseconds_of(start_of(window))) & (rows.time < microseconds_of(window.end)))
    figures = figures_of(part, section.problem, (), decision=section.decision, classes=section.classes)
    metrics = {
        # The constant was measured as a model; where figures have a place of its own for it, it stands there too.
        metric: one.model_copy(update={"constant": None if one.reference is None else one.reference.value})
        for metric, one in {**figures.metrics, **_cost_beside_one_decision(part, section)}.items()
    }
    return Block(window=window, rows=figures.rows, clusters=figures.clusters, metrics=metrics)


def _cost_beside_one_decision(rows: Rows, section: EvaluationSection) -> dict[Metric, Figures]:
    """The cost beside that of the one decision for all rows which was promised to be worse.

    A threshold that was set by hand may serve a score that is no probability, so the decision does not follow from
    holding the training labels' rate against it. Without such a threshold it does.
    """
    import numpy as np

    from components._shared.measuring.figures import figures_of

    rule = section.decision
    if section.problem != "binary_classification" or rule.threshold is None or not len(rows):
        return {}
    base = (float(rows.scores["reference"][0]),)
    decided = rule.constant_decision(section.problem, base, section.classes)
    if decided is None:
        return {}
    # 1 reaches every threshold, and -1 none.
    reference = np.full(len(rows), 2 * decided - 1)
    beside = replace(rows, scores={**rows.scores, "reference": reference})
    return {"cost": figures_of(beside, section.problem, (), decision=rule, classes=section.classes).metrics["cost"]}


def _later_rows(due: _Due, rows: LaterRows, section: EvaluationSection, data_gates: DataGates) -> Rows:
    """The labelled rows that none of the models has learnt from, scored by them and by the constant.

    Raises:
        NotScored: The task asks something else, a model is gone or does not go with the rows, or labels are missing.
    """
    import numpy as np

    from components._shared.measuring.fair_rows import fair, labelled_rows

    decision, window = due.decision, due.window
    if decision.promise.meaning != question_of(decision.promise.metric, section):
        raise NotScored(
            "Nothing can be said, for the task asks something else since: its label, its population, or what else says "
            "what a row is, was edited."
        )
    score, info = rows.scored("the candidate", decision.candidate, window)
    scores = {"candidate": score}
    start = _fair_from(info, section)
    if decision.champion is not None:
        name = f"version {decision.champion.version}"
        scores["champion"], other = rows.scored(name, decision.champion, window)
        start = max(start, _fair_from(other, section))
    for block in due.blocks.values():
        _check_labels(rows, block, start, section, data_gates)
    base = np.asarray(info.base, np.float64)
    scores["reference"] = np.full(len(score), base[0]) if len(base) == 1 else np.tile(base, (len(score), 1))
    later = labelled_rows(rows.table(window), scores, section)
    return later.take(fair(later, start))


def _check_labels(
    rows: LaterRows, block: Window, start: datetime, section: EvaluationSection, data_gates: DataGates
) -> None:
    """Refuses a block of which more labels are missing than the task allows.

    Raises:
        NotScored: They are.
    """
    first = max(start_of(block), start)
    if first >= block.end:
        return
    missing, count = rows.without_label(Window(start=first, end=block.end))
    allowed = data_gates.label_missing
    if missing > allowed * count:
        raise NotScored(
            f"Nothing can be said yet, for labels are missing: {missing:,} of {count:,} rows from "
            f"{day_of(first, section)} to before {day_of(block.end, section)} have none ({missing / count:.2%}, at "
            f"most {allowed:.2%} is allowed)."
        )


def _fair_from(info: ModelInfo, section: EvaluationSection) -> datetime:
    """The first moment whose rows a model has learnt nothing from.

    Raises:
        NotScored: Nobody knows.
    """
    if info.fit_until is None:
        raise NotScored("Nothing can be said, for one of the models was made when the task had no time column.")
    return parse_span(section.embargo).after(info.fit_until, section.timezone)


def _verdict(settlements: list[Settlement], section: EvaluationSection) -> Verdict:
    checks = tuple(_check(settlement, section) for settlement in settlements)
    counts = Counter(settlement.outcome for settlement in settlements)
    if not checks:
        summary = "There is no earlier decision whose promise can be settled yet."
    else:
        told = ", ".join(f"{count} {_WORDS.get(outcome, outcome)}" for outcome, count in sorted(counts.items()))
        wrong = next((check.reason for check in checks if check.outcome == "failed"), "")
        summary = f"Of {len(checks)} earlier decisions: {told}. {wrong}".strip()
    return Verdict(subject="promises", outcome=merge(check.outcome for check in checks), checks=checks, summary=summary)


def _check(settlement: Settlement, section: EvaluationSection) -> Check:
    decision, gain = settlement.decision, settlement.gain
    return Check(
        name="promises",
        slice=f"decision={name_of(decision, section)}",
        observed=None if gain is None else gain.value,
        interval=None if gain is None else gain.interval,
        limit=_limit(decision),
        outcome=_JUDGED[settlement.outcome],
        reason=settlement.reason,
    )


def _limit(decision: Decision) -> str:
    promise = decision.promise
    if decision.result == "promoted":
        tolerated = decision.champion is not None and promise.tolerated
        return f"not clearly below {number(-promise.tolerated) if tolerated else '0'}"
    return "not clearly above 0" + (f", and by more than {number(promise.worth)}" if promise.worth else "")
