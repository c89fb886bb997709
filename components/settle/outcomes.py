"""What became of a promise: the rules, and the sentences.

With `gain` the improvement over the champion on all later rows, `[low, high]` its 95 % interval, `over` the improvement
over a constant, `t` how much worse a promoted one was allowed to be (`Promise.tolerated`), and `w` by how much a
rejected one must have been better to matter (`Promise.worth`). The first line that holds decides.

::

    promoted    high < -t                                          broken        clearly worse than what it replaced
                high of over < 0, and better was promised          broken        clearly worse than a constant
                promised - gain > √(half width² + half width²)     short         clearly less than was promised
                low ≥ -t                                           kept
                otherwise                                          cannot_tell
    rejected    low > 0, gain > w, and not high of over < 0        missed        clearly better than what was kept
                high ≤ w, or low > 0 and gain ≤ w                  kept          no better, but for what is no matter
                otherwise                                          cannot_tell

`t` is zero where a candidate must be better beyond doubt to be promoted: of one that is clearly worse, however little,
the promise is broken. It is the tolerance of the primary metric where a rule lets in what is slightly worse:

::

    improve     undecided    a candidate is promoted if it is          t
    evidence    keep         better beyond doubt                       0
    evidence    promote      that, or not worse beyond its tolerance   worse_by
    point       any          better by its estimate                    worse_by
    no          any          not worse beyond its tolerance            worse_by

What lies between -t and zero with its whole interval is clearly worse, as was allowed: that is said, and not alarmed
about.

The rows that judged and those that settle are different ones, so the variances of the two gains add up. Too few rows or
days (`gates.metric.min_rows`, `min_days`), or no interval: *cannot tell*, whatever the figures say. What has replaced
another champion than it was judged against promised no gain over it, and cannot fall short of one.

`w` is the smallest difference worth finding (`gates.champion.smallest`), else the tolerance: of many equal models that
were turned down, one in forty looks better by luck after each block, and few of them by that much.

The first model of a task replaced nothing: `over` stands for `gain`, and `t` and `w` are zero. One that was rejected
then is never missed, for no model was kept in its place.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from datetime import datetime

from components._shared.evidence import Estimate
from components._shared.gates import METRIC_NAMES, is_better
from components._shared.ledger import Block, Decision, Outcome, gain_of, gain_over_constant, promised_gain
from components._shared.task import EvaluationSection
from components._shared.windows import zone
from components._shared.wording import cluster_word, number, with_interval

Pair = tuple[float, float]


@dataclass(frozen=True)
class Settled:
    """What became of a promise; see `Settlement`."""

    outcome: Outcome
    reason: str
    gain: Estimate | None = None
    proposal: str = ""


@dataclass(frozen=True)
class _Measured:
    """What came true.

    Attributes:
        gain: Improvement over the champion; without one, over the constant.
        interval: Its own.
        over: Improvement over the constant.
        tolerated: How much worse a promoted one may be.
        worth: By how much a rejected one must be better to matter.
    """

    gain: Estimate
    interval: Pair
    over: Estimate | None
    tolerated: float
    worth: float

    @property
    def below_constant(self) -> bool:
        """Whether it is clearly worse than a constant."""
        return self.over is not None and self.over.interval is not None and self.over.interval[1] < 0


def outcome_of(decision: Decision, whole: Block, section: EvaluationSection) -> Settled:
    """Holds a promise against what came true.

    Args:
        decision: With its promise.
        whole: The figures of all later rows that could be looked at.
        section: Says how few rows and days say nothing.
    """
    figures = whole.metrics.get(decision.promise.metric)
    over = None if figures is None else gain_over_constant(decision.promise.metric, figures)
    gain = over if decision.champion is None or figures is None else gain_of(decision.promise.metric, figures)
    if gain is None or gain.interval is None or (why := _too_few(whole, section)):
        why = _too_few(whole, section) or f"{_metric(decision)} has no value, or no interval, on the later rows."
        return Settled("cannot_tell", why, gain)
    first = decision.champion is None
    found = _Measured(
        gain=gain,
        interval=gain.interval,
        over=over,
        tolerated=0.0 if first else decision.promise.tolerated,
        worth=0.0 if first else decision.promise.worth,
    )
    outcome = _of_promoted(decision, found) if decision.result == "promoted" else _of_rejected(decision, found)
    reason = f"{_told(decision, found, whole, section)} {_conclusion(decision, found, outcome)}"
    return Settled(outcome, reason, gain, _proposal(decision, found, outcome, whole, section))


def name_of(decision: Decision, section: EvaluationSection) -> str:
    """A decision by name, such as `version 2, promoted as of 2013-10-01`."""
    who = f"version {decision.candidate.version}, " if decision.result == "promoted" else ""
    return f"{who}{decision.result} as of {day_of(decision.as_of, section)}"


def _of_promoted(decision: Decision, found: _Measured) -> Outcome:
    low, high = found.interval
    if decision.champion is not None and high < -found.tolerated:
        return "broken"
    if found.below_constant and _was_above_constant(decision):
        return "broken"
    promised = promised_gain(decision.promise, decision.champion)
    if promised is not None and promised.interval is not None:
        noise = math.hypot(_half_width(promised.interval), _half_width(found.interval))
        if promised.value - found.gain.value > noise:
            return "short"
    return "kept" if low >= -found.tolerated else "cannot_tell"


def _of_rejected(decision: Decision, found: _Measured) -> Outcome:
    low, high = found.interval
    if low > 0 and found.below_constant:
        return "cannot_tell"
    if low > 0 and found.gain.value > found.worth:
        return "cannot_tell" if decision.champion is None else "missed"
    return "kept" if high <= found.worth or low > 0 else "cannot_tell"


def _was_above_constant(decision: Decision) -> bool:
    promise = decision.promise
    return promise.constant is not None and is_better(promise.metric, promise.candidate.value, promise.constant)


def _too_few(whole: Block, section: EvaluationSection) -> str:
    """Why there is too little to look at; empty: there is not."""
    gates = section.metric
    if whole.rows < gates.min_rows:
        return f"Only {whole.rows:,} labelled rows have come since; at least {gates.min_rows:,} are needed."
    if whole.clusters < gates.min_days:
        return f"The rows since lie in {cluster_word(section, whole.clusters)}; {gates.min_days:,} are needed."
    return ""


def _told(decision: Decision, found: _Measured, whole: Block, section: EvaluationSection) -> str:
    """What was promised, and what came true."""
    rows = f"{whole.rows:,} later rows ({cluster_word(section, whole.clusters)})"
    sense = _sense(found.gain)
    came = f"On {rows}, {_metric(decision)} is {sense} than {_other(decision)}’s by {_amount(found.gain)}"
    promised = promised_gain(decision.promise, decision.champion)
    if promised is None:
        return f"{came}."
    if decision.result == "rejected":
        return f"{came}; on the rows that judged it, it was {_by(promised)}."
    amount = _amount(promised) if sense == _sense(promised) else _by(promised)
    # What somebody promoted in spite of the verdict, nobody promised.
    return f"{came}; {amount} was {'expected' if decision.overridden else 'promised'}."


def _conclusion(decision: Decision, found: _Measured, outcome: Outcome) -> str:
    if decision.result == "promoted":
        return _of_a_promotion(decision, found, outcome)
    return _of_a_rejection(decision, found, outcome)


def _of_a_promotion(decision: Decision, found: _Measured, outcome: Outcome) -> str:
    other = _other(decision)
    match outcome:
        case "kept":
            worse = _worse_as_was_allowed(decision, found)
            return f"That is {worse}: the promise was kept." if worse else "The promise was kept."
        case "short":
            worse = _worse_as_was_allowed(decision, found)
            beside = f"and {worse}" if worse else f"but not clearly worse than {other}"
            return f"That is clearly less than was promised, {beside}."
        case "broken" if decision.champion is not None and found.interval[1] < -found.tolerated:
            beyond = f", and by more than the {number(found.tolerated)} that is tolerated" if found.tolerated else ""
            return f"That is clearly worse than {other}, which it replaced{beyond}: the promise is broken."
        case "broken":
            assert found.over is not None
            return f"A constant is better by {_amount(found.over)}: the promise is broken."
        case _ if worse := _worse_as_was_allowed(decision, found):
            return f"That is {worse}."
        case _:
            more = f" by more than the tolerated {number(found.tolerated)}" if found.tolerated else ""
            return f"The interval is too wide to say that it is not worse than {other}{more}."


def _worse_as_was_allowed(decision: Decision, found: _Measured) -> str:
    """That it is clearly worse, and yet no promise is broken; empty: it is not clearly worse."""
    low, high = found.interval
    if high >= 0:
        return ""
    worse = f"clearly worse than {_other(decision)}"
    if not found.tolerated:
        return f"{worse}, which it never promised to beat"
    within = "within" if low >= -found.tolerated else "not clearly by more than"
    return f"{worse}, but {within} the tolerated {number(found.tolerated)}"


def _of_a_rejection(decision: Decision, found: _Measured, outcome: Outcome) -> str:
    other = _other(decision)
    match outcome:
        case "kept" if found.interval[0] > 0:
            little = f"no more than {number(found.worth)}, too little to matter"
            return f"It would have been better than {other}, but by {little}."
        case "kept":
            return f"It was right to keep {other}." if decision.champion is not None else "It was right to reject it."
        case "missed":
            # No command: a run of then, begun again, is answered by its record, and a new one may make another model.
            return (
                f"It would clearly have been better than {other}, which was kept. Its model and its report lie in "
                f"attempts/{decision.record} of the registry; a new run, with the trainer and the parameters that the "
                "report names, is judged anew."
            )
        case _ if found.interval[0] > 0 and found.below_constant:
            return f"It would have been better than {other}, but a constant is better than both."
        case _ if decision.champion is None:
            return "No model was kept in its place, so there is nothing to compare it with."
        case _:
            return f"The interval is too wide to say whether it would have been better than {other}."


def _proposal(decision: Decision, found: _Measured, outcome: Outcome, whole: Block, section: EvaluationSection) -> str:
    """The rollback that would put it right; of a version that is champion no more there is nothing to roll back."""
    champion = decision.champion
    if not decision.current or champion is None or outcome != "broken" or found.gain.value >= 0:
        return ""
    task = f" --task-name {shlex.quote(section.task)}" if section.task else ""
    rows = f"{whole.rows:,} later rows"
    why = f"{name_of(decision, section)}: {_metric(decision)} {_by(found.gain)} on {rows}"
    return f"saiki rollback{task} --to {champion.version} --why {shlex.quote(why)}"


def _metric(decision: Decision) -> str:
    return METRIC_NAMES[decision.promise.metric]


def _other(decision: Decision) -> str:
    return "a constant" if decision.champion is None else f"version {decision.champion.version}"


def _sense(gain: Estimate) -> str:
    return "worse" if gain.value < 0 else "better"


def _by(gain: Estimate) -> str:
    return f"{_sense(gain)} by {_amount(gain)}"


def _amount(gain: Estimate) -> str:
    """How much, without its sign."""
    if gain.value >= 0:
        return with_interval(gain.value, gain.interval)
    turned = None if gain.interval is None else (-gain.interval[1], -gain.interval[0])
    return with_interval(-gain.value, turned)


def _half_width(interval: Pair) -> float:
    return (interval[1] - interval[0]) / 2


def day_of(moment: datetime, section: EvaluationSection) -> str:
    """A moment on the task's calendar: the day, and the time where it is not midnight."""
    local = moment.astimezone(zone(section.timezone))
    return f"{local:%Y-%m-%d}" if f"{local:%H%M%S}" == "000000" else f"{local:%Y-%m-%dT%H:%M}"
