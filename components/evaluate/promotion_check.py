"""`improve: evidence`: is the candidate better than the champion beyond doubt?

`gain` is positive where the candidate is better::

                       worse                0               better
    clearly worse      [-- 95 % --]         |                                failed
    cannot tell                      [------|------]                         `undecided` decides
    better                                  |   [- as one of the looks -     passed
"""

from __future__ import annotations

import math

from components._shared.evidence import Estimate, Evaluation
from components._shared.gates import Tolerance
from components._shared.measuring.evidence_of_gain import chance_of_luck, gain_of, level_of_a_look
from components._shared.measuring.power import FEWEST_FOR_POWER, clusters_needed, detectable
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Outcome
from components._shared.wording import cluster_word, number, sentence
from components.evaluate.sentences import compared, undefined, without_interval

_YEAR = 365
_LONGEST_WAIT = 2 * _YEAR
"""More days than that are told in years."""


def improves_beyond_doubt(evaluation: Evaluation, section: EvaluationSection) -> Check:
    """The check `champion.improve.<primary>`.

    Args:
        evaluation: The figures, and as one of how many looks this one counts.
        section: What the gates ask.
    """
    gates = section.champion
    metric = gates.primary
    level = level_of_a_look(gates.false_alarms, evaluation.looks)
    name, limit = f"champion.improve.{metric}", f"better, hardly by luck: at most {odds(level)}"
    found = evaluation.overall.metrics.get(metric)
    gain = gain_of(metric, found) if found is not None else None
    if found is None or found.difference is None or gain is None:
        return undefined(name, metric, limit)
    chance = chance_of_luck(gain, evaluation.clusters)
    if chance is None or gain.interval is None or gain.error is None:
        return without_interval(name, metric, limit, found.difference.value)
    said = compared(metric, found)
    outcome: Outcome
    if chance <= level and gain.value > 0:
        outcome = "passed"
        reason = f"{said}, hardly by luck: {_luck(chance, level, evaluation.looks, gates.false_alarms)}."
    elif gain.interval[1] < 0 or (gain.error == 0 and gates.undecided == "keep"):
        outcome, reason = "failed", f"{said}; it must be better, and hardly by luck."
    else:
        doubt = f"{said}, but the data cannot tell that from luck"
        if gain.value > 0:
            doubt += f": {_luck(chance, level, evaluation.looks, gates.false_alarms)}"
        doubt += _power(gain, level, evaluation, section)
        outcome, reason = "cannot_judge", f"{doubt}."
        if gates.undecided == "promote":
            outcome, reason = _promoted_in_doubt(doubt, gain, gates.tolerance.get(metric, Tolerance(worse_by=0)))
    return Check(
        name=name,
        observed=found.difference.value,
        interval=found.difference.interval,
        limit=limit,
        outcome=outcome,
        reason=sentence(reason),
    )


def odds(chance: float) -> str:
    """`1 of 80 cases`, or `23 % of cases`."""
    if chance < 1e-6:
        return "less than 1 of a million cases"
    if chance > 0.1:
        return f"{number(100 * chance, 0)} % of cases"
    many = 1 / chance
    digits = int(10 ** max(0, math.floor(math.log10(many)) - 1))
    return f"1 of {round(many / digits) * digits:,} cases"


def _luck(chance: float, level: float, looks: int, false_alarms: float) -> str:
    share = (
        f" ({number(100 * false_alarms)} % in a quarter of the calendar, divided by {looks:,} looks)"
        if looks > 1
        else ""
    )
    return f"were it no better, luck would show as much in {odds(chance)}, and at most {odds(level)} is allowed{share}"


def _power(gain: Estimate, level: float, evaluation: Evaluation, section: EvaluationSection) -> str:
    """What these rows can see, or how many more would see what is worth seeing; nothing where too few say it."""
    rests_on = gain.clusters or evaluation.clusters
    if gain.error is None or rests_on < FEWEST_FOR_POWER:
        return ""
    here = cluster_word(section, evaluation.clusters)
    effect = smallest_worth_finding(section)
    seen = detectable(gain.error, rests_on, level)
    if effect is None:
        return f"; in four cases of five {here} find an effect of {number(float(f'{seen:.2g}'))}"
    if seen <= effect:
        return f"; in at least four cases of five {here} find an effect of {number(effect)}"
    needed = clusters_needed(effect, gain.error, rests_on, level)
    if needed is None:
        return f"; an effect of {number(effect)} is too small to be seen by waiting"
    # Later days are as uneven as these.
    more = math.ceil(needed * evaluation.clusters / rests_on) - evaluation.clusters
    of_days = section.has_time and section.cluster is None
    if of_days and more > _LONGEST_WAIT:
        return f"; an effect of {number(effect)} would need about {math.ceil(more / _YEAR)} more years"
    count, _, noun = cluster_word(section, _rounded_up(more)).partition(" ")
    return f"; an effect of {number(effect)} needs about {count} more {noun} of test rows".replace("rows of test ", "")


def smallest_worth_finding(section: EvaluationSection) -> float | None:
    """`smallest`, or the tolerance of `primary`; none: the task names no effect."""
    gates = section.champion
    tolerance = gates.tolerance.get(gates.primary)
    return gates.smallest or (tolerance.worse_by if tolerance is not None else None) or None


def _promoted_in_doubt(doubt: str, gain: Estimate, tolerance: Tolerance) -> tuple[Outcome, str]:
    """With `undecided: promote`: what is not worse beyond its tolerance passes."""
    whole = tolerance.evidence == "interval" and gain.interval is not None
    worst = -(gain.interval[0] if whole and gain.interval is not None else gain.value)
    allowed = f"worse by at most {number(tolerance.worse_by)}" if tolerance.worse_by else "not worse"
    where = " over the whole interval" if whole else ""
    policy = f"{doubt}; in doubt the task promotes a candidate that is {allowed}{where}"
    return ("passed", f"{policy}.") if worst <= tolerance.worse_by else ("failed", f"{policy}, which this is not.")


def _rounded_up(count: int) -> int:
    """To two digits: more would say more than is known."""
    digits = int(10 ** max(0, math.floor(math.log10(max(1, count))) - 1))
    return math.ceil(count / digits) * digits
