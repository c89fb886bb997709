"""What a reader should see first: whether there is much to see, and where the difference comes from."""

from __future__ import annotations

from components._shared.comparison import Comparison, Flip, OutputComparison, SliceComparison
from components._shared.evidence import Estimate
from components._shared.task import EvaluationSection
from components._shared.wording import estimate, number, rows_word, sentence, with_interval
from components.compare.wording import extent, percent, percent_estimate, signed, signed_estimate

LITTLE_FLIPPED = 0.01
LITTLE_MOVED = 0.01
"""Mean size of the difference, as a share of the range that holds nine tenths of the champion's scores."""

LITTLE_ORDER = 0.95
"""Rank correlation: scores that lie close together change places by moving little."""

SAME_ORDER = 0.98
SAME_PSI = 0.1
SAME_KS = 0.05
ONE_WAY = 0.98
LEAST_PART = 0.05
"""Of the mean size of the difference: what a slice must make up to be named."""

_MOST_SLICES = 2
_MOST_WAYS = 2


def is_little(comparison: Comparison) -> bool:
    """Whether there is little to see: hardly a decision flips, and scores move by little of their range."""
    if comparison.flipped is not None and comparison.flipped.value > LITTLE_FLIPPED:
        return False
    agreement = _agreement(comparison)
    if agreement is None or agreement < LITTLE_ORDER:
        return False
    return all(output.absolute.value <= LITTLE_MOVED * _range(output) for output in comparison.outputs)


def story_of(comparison: Comparison, section: EvaluationSection) -> str:
    """One to three sentences with figures.

    Args:
        comparison: The figures.
        section: What is decided, and what the clusters are.
    """
    if all(output.absolute.value == 0 for output in comparison.outputs):
        return f"Nothing to see: both models give all {rows_word(comparison.rows)} the same score."
    if is_little(comparison):
        return f"There is little to see: {_extent(comparison, section)}; {_kept(comparison)}."
    flips = _flips(comparison, section)
    what = f"{_kind(comparison)}." if flips else f"{_extent(comparison, section)}; {_kind(comparison)}."
    return " ".join(one for one in (flips, _where(comparison), sentence(what)) if one)


def _extent(comparison: Comparison, section: EvaluationSection) -> str:
    """How far answers and decisions moved, over how many rows."""
    over = f"over {extent(comparison, section)}"
    output = _most_moved(comparison)
    what = "a score" if len(comparison.outputs) == 1 else f"the probability of {output.name}"
    size, balance = output.absolute.value, signed_estimate(output.mean)
    if abs(output.mean.value) >= ONE_WAY * size:
        moved = f"{over} {what} moved by {balance}, nearly always the same way"
    else:
        moved = f"{over} {what} moved by {_short(size)} up or down, on balance by {balance}"
    if comparison.flipped is None:
        return moved
    return f"{moved}, and {percent_estimate(comparison.flipped)} of the decisions flip"


def _kept(comparison: Comparison) -> str:
    """What stayed as it was."""
    psi = max(output.psi for output in comparison.outputs)
    figures = f"PSI {_short(psi)}, rank correlation {_order(comparison)}"
    if _moved(comparison) or _reordered(comparison):
        return f"where distribution and order of the scores differ ({figures}), it is by so little"
    return f"distribution and order of the scores are nearly the same ({figures})"


def _kind(comparison: Comparison) -> str:
    """Whether the distribution moved as a whole, or the rows changed places in it."""
    psi = max(output.psi for output in comparison.outputs)
    ks = max(output.ks for output in comparison.outputs)
    figures = f"PSI {_short(psi)}, KS {_short(ks)}"
    order = _order(comparison)
    order = f"rank correlation {order}" if order else "one of them gives every row the same score"
    if _moved(comparison) and _reordered(comparison):
        return f"both the distribution ({figures}) and the order of the rows changed ({order})"
    if _moved(comparison):
        return f"the distribution moved as a whole ({figures}), in nearly the same order of the rows ({order})"
    if _reordered(comparison):
        return f"the distribution stayed ({figures}), but which rows score high changed ({order})"
    if comparison.flipped is not None and comparison.flipped.value > LITTLE_FLIPPED:
        near = "" if comparison.threshold is None else f" at {number(comparison.threshold)}"
        return (
            f"neither the distribution ({figures}) nor the order ({order}) changed much: many scores lie where the "
            f"decision turns{near}"
        )
    return f"distribution ({figures}) and order ({order}) hardly changed"


def _where(comparison: Comparison) -> str:
    """Which slices move otherwise than the rest."""
    if not comparison.slices:
        return ""
    out = standing_out(comparison)
    if not out:
        return "No slice stands out: the difference is spread over all of them."
    parts = [f"{one.column} {one.value} {signed(one.mean.value)}, elsewhere {signed(rest)}" for one, rest in out]
    return f"Not the same everywhere: {'; '.join(parts)}."


def standing_out(comparison: Comparison) -> tuple[tuple[SliceComparison, float], ...]:
    """The slices that carry the difference, each with the mean difference of the rows beside it.

    They move otherwise than the rest beyond luck, and what their rows move more or less than the others makes up at
    least `LEAST_PART` of the mean size of the difference.
    """
    total: dict[str, float] = {}
    size: dict[str, float] = {}
    for one in comparison.slices:
        total[one.column] = total.get(one.column, 0.0) + one.mean.value * one.rows
        size[one.column] = size.get(one.column, 0.0) + one.absolute.value * one.rows
    found = []
    for one in comparison.slices:
        if not one.surprising or one.rows == comparison.rows:
            continue
        rest = (total[one.column] - one.mean.value * one.rows) / (comparison.rows - one.rows)
        part = abs(one.mean.value - rest) * one.rows
        if part >= LEAST_PART * size[one.column]:
            found.append((part, one, rest))
    # One of each column: where one value moved up, the others of its column moved down beside it.
    first: dict[str, tuple[SliceComparison, float]] = {}
    for _, one, rest in sorted(found, key=lambda each: (-each[0], each[1].column, each[1].value)):
        first.setdefault(one.column, (one, rest))
    return tuple(first.values())[:_MOST_SLICES]


def _flips(comparison: Comparison, section: EvaluationSection) -> str:
    """How many decisions flip, what that saves or costs in all, and each way, the good and the bad one alike."""
    if not comparison.flips or comparison.flipped is None or comparison.flipped.value <= LITTLE_FLIPPED / 10:
        return ""
    said = f"{percent_estimate(comparison.flipped)} of the decisions flip, over {extent(comparison, section)}"
    if comparison.saved is not None:
        said += f", which {_net(comparison.saved, section.decision.unit or 'units of cost')}"
    first = comparison.flips[0]
    ways = [_way(flip, first) for flip in comparison.flips[:_MOST_WAYS]]
    more = len(comparison.flips) - len(ways)
    said += f": {'; '.join(ways)}{f'; and {more} ways more' if more else ''}"
    if all(flip.right is None for flip in comparison.flips):
        why = comparison.unfair or "none of them has a label that is fair to both models"
        return f"{said}; which model is right on them is not known: {why}."
    return f"{said}."


def _net(saved: Estimate, unit: str) -> str:
    """What is saved in all; lost amounts are written as costs."""
    if saved.value >= 0:
        return f"saves {estimate(saved)} {unit} in all"
    turned = None if saved.interval is None else (-saved.interval[1], -saved.interval[0])
    return f"costs {with_interval(-saved.value, turned)} {unit} in all"


def _way(flip: Flip, first: Flip) -> str:
    """One way of flipping, and how often the candidate is right there."""
    back = (flip.before, flip.after) == (first.after, first.before)
    text = f"{flip.rows:,} back" if back else f"{flip.rows:,} from {flip.before} to {flip.after}"
    if flip.right is None:
        return text
    of = "" if flip.labelled == flip.rows else f" of the {flip.labelled:,} labelled"
    saved = "" if flip.saved is None else f", {'saves' if flip.saved >= 0 else 'costs'} {number(abs(flip.saved))}"
    return f"{text} (right on {percent(flip.right.value)}{of}{saved})"


def _moved(comparison: Comparison) -> bool:
    return any(output.psi >= SAME_PSI or output.ks >= SAME_KS for output in comparison.outputs)


def _reordered(comparison: Comparison) -> bool:
    agreement = _agreement(comparison)
    return agreement is None or agreement < SAME_ORDER


def _agreement(comparison: Comparison) -> float | None:
    found = [output.rank_agreement for output in comparison.outputs]
    if any(one is None for one in found):
        return None
    return min(one.value for one in found if one is not None)


def _order(comparison: Comparison) -> str:
    """The rank correlation, never rounded up to 1; empty: there is none."""
    agreement = _agreement(comparison)
    if agreement is None:
        return ""
    return (
        number(agreement, 4)
        if 0.999 < agreement < 0.99995
        else "over 0.9999"
        if agreement < 1 and agreement > 0.999
        else _short(agreement)
    )


def _most_moved(comparison: Comparison) -> OutputComparison:
    return max(comparison.outputs, key=lambda output: abs(output.mean.value))


def _range(output: OutputComparison) -> float:
    """What nine tenths of the champion's scores lie in."""
    low, high = (next(point.champion for point in output.qq if point.level == level) for level in (0.05, 0.95))
    return high - low


def _short(value: float) -> str:
    """Three significant digits."""
    return number(float(f"{value:.3g}"))
