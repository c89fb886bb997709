"""Scores what happened since earlier decisions, and holds it against what they promised.

Each decision is settled by itself, on the labelled rows of the whole blocks since: the model that was judged, the
champion that it was judged against, and the constant of its training labels, all on the same rows, which none of them
has learnt from. Models are loaded one after the other; a model that is gone, or that the rows do not suit any more,
leaves its own decision unsettled and no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from components._shared.errors import CorruptError, DataError, ModelError, NotFoundError
from components._shared.ledger import Block, Decision, Decisions, Settlement, Settlements, blocks_to_settle
from components._shared.manifest import Manifest
from components._shared.records import ModelRef
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Verdict, merge
from components._shared.verdict import Outcome as Judgement
from components._shared.windows import Window, Windows, parse_span
from components._shared.wording import number
from components.settle.outcomes import Settled, name_of, outcome_of

if TYPE_CHECKING:
    import pyarrow as pa

    from components._shared.evidence import Figures
    from components._shared.gates import Metric
    from components._shared.measuring.fair_rows import Rows
    from components._shared.measuring.metrics import Floats
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


class _NotScored(Exception):
    """A model does not score these rows; the reason is a sentence."""


def settle(*, examples: Manifest, decisions: Decisions, windows: Windows, section: EvaluationSection) -> Result:
    """Settles the promises of earlier decisions.

    Args:
        examples: All rows of the run's window, as `ingest` gives them.
        decisions: Those whose time has come, from `plan`. None: no row is read, and TensorFlow is not imported.
        windows: Of the run.
        section: Metrics, clusters, blocks, and how few rows say nothing.

    Raises:
        NotFoundError, CorruptError: The rows themselves cannot be read.
        DataError: Their labels or weights are not what the problem asks for.
    """
    found = []
    for decision in decisions.decisions:
        blocks = blocks_to_settle(decision.as_of, section, windows)
        if blocks:
            found.append(_settlement(examples, decision, blocks, windows, section))
    return Result(settlements=Settlements(settlements=tuple(found)), verdict=_verdict(found, section))


def _settlement(
    examples: Manifest, decision: Decision, blocks: dict[int, Window], windows: Windows, section: EvaluationSection
) -> Settlement:
    window = Window(start=blocks[min(blocks)].start, end=blocks[max(blocks)].end)
    try:
        rows = _later_rows(examples, decision, window, section)
    except _NotScored as why:
        each: list[Block] = []
        whole = Block(window=window, rows=0, clusters=0)
        settled = Settled("cannot_tell", str(why))
    else:
        each = [_block(block, rows, section) for block in blocks.values()]
        whole = _block(window, rows, section)
        settled = outcome_of(decision, whole, section)
    return Settlement(
        decision=decision,
        number=max(blocks),
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
    part = rows.take((rows.time >= microseconds_of(_start(window))) & (rows.time < microseconds_of(window.end)))
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


def _later_rows(examples: Manifest, decision: Decision, window: Window, section: EvaluationSection) -> Rows:
    """The labelled rows of a window that none of the models has learnt from, scored by them and by the constant.

    Raises:
        _NotScored: A model is gone, or does not go with the rows.
    """
    import numpy as np

    from components._shared.measuring.fair_rows import fair, labelled_rows

    table, score, info = _scored("the candidate", decision.candidate, examples, window, section)
    scores = {"candidate": score}
    start = _fair_from(info, section)
    if decision.champion is not None:
        name = f"version {decision.champion.version}"
        _, scores["champion"], other = _scored(name, decision.champion, examples, window, section)
        start = max(start, _fair_from(other, section))
    base = np.asarray(info.base, np.float64)
    scores["reference"] = np.full(len(score), base[0]) if len(base) == 1 else np.tile(base, (len(score), 1))
    rows = labelled_rows(table, scores, section)
    return rows.take(fair(rows, start))


def _scored(
    name: str, ref: ModelRef, examples: Manifest, window: Window, section: EvaluationSection
) -> tuple[pa.Table, Floats, ModelInfo]:
    """The rows of a window without their features, what a model says of each, and what is known of the model.

    Args:
        name: Of the model, for a sentence.

    Raises:
        _NotScored: It is gone, or does not go with the rows.
    """
    import numpy as np
    import pyarrow as pa

    from components._shared.measuring.fair_rows import check_probabilities
    from components._shared.model_files import read_model_info, registered_model
    from components._shared.model_inputs import check_features
    from components._shared.saved_model import SavedModel
    from components._shared.scoring import BATCH_ROWS, check_finite, score_batch
    from components._shared.tables import arrow_schema, iter_batches

    fixed = ["_key", "_time", "_label", "_cluster", "_weight"]
    kept: list[pa.RecordBatch] = []
    scores: list[Floats] = []
    with ExitStack() as stack:
        with _explained(name):
            folder = stack.enter_context(registered_model(ref))
            info = read_model_info(folder)
            _check_kind(info, section)
            check_features(info.learning.features, examples.columns, where="the rows")
            model = SavedModel(folder)
        for batch in iter_batches(examples, list(dict.fromkeys([*fixed, *info.learning.features])), BATCH_ROWS, window):
            with _explained(name):
                found = score_batch(model, info, batch)
                check_finite(batch, found, "settle")
            scores.append(found)
            kept.append(batch.select(fixed))
    schema = arrow_schema({column: examples.columns[column] for column in fixed})
    outputs = len(section.classes or (1,)) if section.problem == "multiclass_classification" else 1
    score = np.concatenate(scores) if scores else np.empty((0, outputs))
    score = score if section.problem == "multiclass_classification" else score[:, 0]
    with _explained(name):
        check_probabilities(name, score, section.problem)
    return pa.Table.from_batches(kept, schema=schema), score, info


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What is wrong with a model leaves its decision unsettled; what is wrong with the rows is none of its business."""
    try:
        yield
    except (NotFoundError, CorruptError, ModelError, DataError) as cause:
        raise _NotScored(f"Nothing can be said, for {name} cannot be asked: {cause.what}.") from cause


def _check_kind(info: ModelInfo, section: EvaluationSection) -> None:
    """Refuses a model of another problem or of other classes than the task has now.

    Raises:
        ModelError: It is one.
    """
    if info.learning.problem != section.problem:
        raise ModelError(f"it was made for {info.learning.problem}, and the task is {section.problem} now")
    if info.learning.classes != section.classes:
        raise ModelError("its classes are not those that the task has now")


def _fair_from(info: ModelInfo, section: EvaluationSection) -> datetime:
    """The first moment whose rows a model has learnt nothing from.

    Raises:
        _NotScored: Nobody knows.
    """
    if info.fit_until is None:
        raise _NotScored("Nothing can be said, for one of the models was made when the task had no time column.")
    return parse_span(section.embargo).after(info.fit_until, section.timezone)


def _start(window: Window) -> datetime:
    assert window.start is not None
    return window.start


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
    worse = number(-decision.promise.tolerated) if decision.champion is not None and decision.promise.tolerated else "0"
    return Check(
        name="promises",
        slice=f"decision={name_of(decision, section)}",
        observed=None if gain is None else gain.value,
        interval=None if gain is None else gain.interval,
        limit=f"not clearly below {worse}" if decision.result == "promoted" else "not clearly above 0",
        outcome=_JUDGED[settlement.outcome],
        reason=settlement.reason,
    )
