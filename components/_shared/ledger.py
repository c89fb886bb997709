"""The ledger: every decision is a promise, and what came of it stands beside it.

::

    <registry>/<task>/attempts/<record>.json               holds the promise (`Attempt.promise`)
    <registry>/<task>/attempts/<record>/<files>/model/     the model of a loser, so that it can be scored later
    <registry>/<task>/attempts/<record>/settled/<end>.json   what came true on later rows, up to the end of a block

A promise is settled on blocks: stretches of equal length on the calendar, one after the other since the decision, of
which every label is known.

::

            decided as of                          labelled until
    ─────────────┼── block 1 ──┼── block 2 ──┼── block 3 ─┼──────▶
     rows that   │             │             │            │
     judged      └ settled/<its end>.json    │            └ not whole yet: settled by a later run
                               └ settled/<its end>.json: blocks 1 and 2

A run settles a decision as long as its book is open: until labels are known a block's time, or a period of the cadence,
beyond its last block. So what is settled is not settled again for ever, and a run that was killed can be made up for.

The end of the last block names a settlement, not its number: where the length of blocks is changed, later ones stand
beside the earlier ones, and that with the latest end counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime

from components._shared.contract import Contract, digest_of
from components._shared.evidence import Estimate, Figures
from components._shared.gates import HIGHER_IS_BETTER, Metric
from components._shared.records import Attempt, ModelRef, Promise
from components._shared.task import EvaluationSection
from components._shared.windows import PERIODS, Window, Windows, ceil, parse_span

Outcome = Literal["kept", "short", "broken", "missed", "cannot_tell"]
"""What became of a promise; `components/settle/outcomes.py` has the exact rules.

- `kept`: what came true is as good as was promised, or it was right to keep the champion.
- `short`: the gain is clearly less than promised, but the model is not clearly worse.
- `broken`: the promoted model is clearly worse than the one that it replaced, beyond what was tolerated, or than a
  constant.
- `missed`: the rejected model would clearly have been better.
- `cannot_tell`: too few rows, or the interval is too wide to say.
"""

_INSTANT = timedelta(microseconds=1)


class Decision(Contract):
    """A decision of the past that can be settled.

    Attributes:
        record: Name of the attempt's record: its judgement, and what `Registry.record_attempt` adds to it.
        as_of: Rows from then on were not looked at when it was made.
        why: The sentence that it was decided by.
        overridden: The reason why somebody promoted it in spite of the verdict, or empty.
        candidate: The model that was judged; of a loser `version` is 0.
        champion: What its gain is measured against: of a promotion what it replaced, of a rejection what was kept.
        current: The candidate is the champion at present.
    """

    record: str
    judgement: str
    result: Literal["promoted", "rejected"]
    as_of: AwareDatetime
    why: str
    overridden: str = ""
    candidate: ModelRef
    champion: ModelRef | None = None
    current: bool = False
    promise: Promise


class Block(Contract):
    """Rows that came after a decision, and how the models did on them.

    Attributes:
        metrics: Candidate, champion, their difference and the constant, with intervals. `reference` is the constant
            as a model of its own, so that the difference to it has an interval too.
    """

    window: Window
    rows: int
    clusters: int
    metrics: dict[Metric, Figures] = {}


class Settlement(Contract):
    """A promise beside its outcome.

    Attributes:
        number: Of the last block since the decision: 1, 2, …
        blocks: The blocks up to it of which there were rows: one after the other, none overlapping.
        whole: All of them together.
        gain: How much better than the champion on all of them, positive is better; without a champion, than the
            constant; none: it could not be measured.
        proposal: The rollback that would put the broken promise of the present champion right, as a command, or empty.
        settled_as_of: Of the run that settled it.
    """

    format: Literal["saiki/settlement/v1"] = "saiki/settlement/v1"
    decision: Decision
    number: int
    blocks: tuple[Block, ...]
    whole: Block
    gain: Estimate | None = None
    outcome: Outcome
    reason: str
    proposal: str = ""
    settled_as_of: AwareDatetime


class Settlements(Contract):
    """What a run settled; the newest decision first."""

    format: Literal["saiki/settlements/v1"] = "saiki/settlements/v1"
    settlements: tuple[Settlement, ...] = ()


class Decisions(Contract):
    """What a run can settle; the newest first."""

    format: Literal["saiki/decisions/v1"] = "saiki/decisions/v1"
    decisions: tuple[Decision, ...] = ()


def decision_of(
    record: str, attempt: Attempt, promise: Promise, candidate: ModelRef, *, current: bool = False
) -> Decision:
    """An attempt as a decision that can be settled.

    Args:
        record: Name of its record.
        attempt: A promotion or a rejection.
        promise: Of the attempt.
        candidate: Its model.
        current: That is the champion at present.
    """
    promoted = attempt.result == "promoted"
    return Decision(
        record=record,
        judgement=attempt.judgement,
        result="promoted" if promoted else "rejected",
        as_of=attempt.windows.as_of,
        why=attempt.reason,
        overridden=attempt.overridden,
        candidate=candidate,
        champion=attempt.replaced if promoted else attempt.baseline.champion,
        current=current,
        promise=promise,
    )


def question_of(metric: Metric, section: EvaluationSection) -> str:
    """Digest of what a promise is about: what a row and its label are, and for a cost, what a decision costs."""
    if metric != "cost":
        return section.meaning
    return digest_of({"meaning": section.meaning, "decision": section.decision.model_dump(mode="json")})


def first_as_of(until: datetime, section: EvaluationSection) -> datetime:
    """The first moment of the cadence as of which every label of the rows before `until` is known.

    The inverse of how `plan` finds until when labels are known: whole days (hours, if hourly) of the calendar.
    """
    period = ceil(until, "hourly" if section.cadence == "hourly" else "daily", section.timezone)
    known_after = parse_span(section.known_after)
    known = [known_after.after(moment, section.timezone) for moment in (period, period - _INSTANT)]
    return ceil(max(known), section.cadence, section.timezone)


def closes(as_of: datetime, section: EvaluationSection) -> datetime | None:
    """Once labels are known beyond it, a decision is not settled any more; none where promises are not settled.

    A block's time after the last block, or a period of the cadence, if that is longer: at least one run comes by.
    """
    blocks = blocks_after(as_of, section)
    if not blocks:
        return None
    spans = parse_span(_length(section)), PERIODS[section.cadence]
    return max(span.after(blocks[-1].end, section.timezone) for span in spans)


def blocks_after(as_of: datetime, section: EvaluationSection) -> tuple[Window, ...]:
    """The blocks on which a decision is settled, in order; none where promises are not settled.

    Args:
        as_of: Of the decision.
        section: Their length, their number, and the time zone whose calendar they are counted on.
    """
    if not section.has_time or not _length(section):
        return ()
    span = parse_span(_length(section))
    blocks = []
    start = as_of
    for _ in range(section.promises.blocks):
        end = span.after(start, section.timezone)
        blocks.append(Window(start=start, end=end))
        start = end
    return tuple(blocks)


def _length(section: EvaluationSection) -> str:
    return section.promises.every or section.test_length


def blocks_to_settle(as_of: datetime, section: EvaluationSection, windows: Windows) -> dict[int, Window]:
    """Number → block, of the whole blocks after a decision of which a run has all rows, with their labels.

    None of a decision whose book is closed.
    """
    end = closes(as_of, section)
    if end is None or windows.labelled_until is None or windows.labelled_until > end:
        return {}
    first = None if windows.span is None else windows.span.start
    return {
        number: block
        for number, block in enumerate(blocks_after(as_of, section), start=1)
        if block.end <= windows.labelled_until and (first is None or (block.start is not None and first <= block.start))
    }


def gain_of(metric: Metric, figures: Figures) -> Estimate | None:
    """How much better the candidate is than the champion, positive is better; none without a champion."""
    return _gain(metric, figures.candidate, figures.champion, figures.difference)


def gain_over_constant(metric: Metric, figures: Figures) -> Estimate | None:
    """How much better the candidate is than the constant, positive is better; none if it has no value."""
    return _gain(metric, figures.candidate, figures.reference, figures.reference_difference)


def promised_gain(promise: Promise, champion: ModelRef | None) -> Estimate | None:
    """The improvement that was promised, positive is better: over the champion, or, of the first model, the constant.

    Over a constant the interval is that of the candidate's own value: how the constant's varies is not recorded.
    """
    if champion is not None or promise.constant is None:
        return promise.gain
    constant = Estimate(value=promise.constant)
    interval = promise.candidate.interval
    difference = Estimate(
        value=promise.candidate.value - promise.constant,
        interval=None if interval is None else (interval[0] - promise.constant, interval[1] - promise.constant),
    )
    return _gain(promise.metric, promise.candidate, constant, difference)


def _gain(metric: Metric, candidate: Estimate, other: Estimate | None, difference: Estimate | None) -> Estimate | None:
    if other is None or difference is None:
        return None
    if metric == "bias":
        # The better the nearer to zero; with one on each side, their difference says nothing of which that is.
        gain = abs(other.value) - abs(candidate.value)
        if candidate.value * other.value <= 0:
            return Estimate(value=gain)
        sign = -1.0 if candidate.value > 0 else 1.0
    else:
        gain = difference.value if metric in HIGHER_IS_BETTER else -difference.value
        sign = 1.0 if metric in HIGHER_IS_BETTER else -1.0
    if difference.interval is None:
        return Estimate(value=gain)
    low, high = sorted(sign * bound for bound in difference.interval)
    return Estimate(value=gain, interval=(low, high))
