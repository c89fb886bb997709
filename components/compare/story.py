"""What a reader should see first: whether there is much to see, and where the difference comes from."""

from __future__ import annotations

from components._shared.comparison import Comparison, OutputComparison, SliceComparison
from components._shared.measuring.figures import JOINED
from components._shared.task import EvaluationSection
from components._shared.wording import cluster_word, number, rows_word, sentence
from components.compare.wording import percent, percent_estimate, signed_estimate

LITTLE_FLIPPED = 0.01
LITTLE_PSI = 0.1
LITTLE_KS = 0.05
LITTLE_MOVED = 0.02
"""Mean size of the difference, as a share of the range that holds nine tenths of the champion's scores."""

SAME_ORDER = 0.98
STANDS_OUT = 1.25
"""A slice stands out whose share of the difference is so many times its share of the rows."""

LEAST_SHARE = 0.05
_MOST_SLICES = 2


def is_little(comparison: Comparison, section: EvaluationSection) -> bool:
    """Whether there is little to see: answers, decisions, distribution and order are nearly the same."""
    if comparison.flipped is not None and comparison.flipped.value > LITTLE_FLIPPED:
        return False
    return (
        not _moved(comparison)
        and not _reordered(comparison)
        and all(output.absolute.value <= LITTLE_MOVED * _range(output) for output in comparison.outputs)
    )


def story_of(comparison: Comparison, section: EvaluationSection) -> str:
    """One to three sentences with figures.

    Args:
        comparison: The figures.
        section: What is decided, and what the clusters are.
    """
    if all(output.absolute.value == 0 for output in comparison.outputs):
        return f"Nothing to see: both models give all {rows_word(comparison.rows)} the same score."
    if is_little(comparison, section):
        return f"There is little to see: {_extent(comparison, section)}, and {_kept(comparison)}."
    sentences = [
        f"{sentence(_extent(comparison, section))}; {_kind(comparison)}.",
        _where(comparison),
        _outcome(comparison, section),
    ]
    return " ".join(one for one in sentences if one)


def _extent(comparison: Comparison, section: EvaluationSection) -> str:
    """How far answers and decisions moved, over how many rows."""
    over = f"over {rows_word(comparison.rows)} in {cluster_word(section, comparison.clusters)}"
    output = _most_moved(comparison)
    what = "the scores" if len(comparison.outputs) == 1 else f"the probability of {output.name}"
    moved = (
        f"{over} {what} moved by {signed_estimate(output.mean)} on average ({number(output.absolute.value)} either way)"
    )
    if comparison.flipped is None:
        return moved
    return f"{moved} and {percent_estimate(comparison.flipped)} of the decisions flip"


def _kept(comparison: Comparison) -> str:
    """What stayed as it was."""
    psi = max(output.psi for output in comparison.outputs)
    agreement = _agreement(comparison)
    order = "" if agreement is None else f" and the order of the rows (rank correlation {number(agreement)})"
    return f"the distribution of the scores (PSI {number(round(psi, 4))}){order} stayed as it was"


def _kind(comparison: Comparison) -> str:
    """Whether the distribution moved as a whole, or the rows changed places in it."""
    psi = max(output.psi for output in comparison.outputs)
    ks = max(output.ks for output in comparison.outputs)
    agreement = _agreement(comparison)
    figures = f"PSI {number(round(psi, 3))}, KS {number(round(ks, 3))}"
    order = (
        "one of them gives every row the same score"
        if agreement is None
        else f"rank correlation {number(round(agreement, 3))}"
    )
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
    return f"distribution ({figures}) and order ({order}) changed little, but scores of rows did"


def _where(comparison: Comparison) -> str:
    """Which slices carry the difference."""
    if not comparison.slices:
        return ""
    out = standing_out(comparison)
    if not out:
        return "No slice stands out: the difference is spread over all of them."
    parts = [
        f"{one.column} {one.value} carries {percent(one.share_of_difference)} of the difference with "
        f"{percent(one.rows / comparison.rows)} of the rows ({signed_estimate(one.mean)})"
        for one in out
    ]
    return f"{' and '.join(parts)}."


def standing_out(comparison: Comparison) -> tuple[SliceComparison, ...]:
    """The slices that move otherwise than the rest and carry more of the difference than their rows would."""
    found = [
        one
        for one in comparison.slices
        if one.surprising
        and not one.value.endswith(JOINED)
        and one.share_of_difference >= LEAST_SHARE
        and one.share_of_difference >= STANDS_OUT * one.rows / comparison.rows
    ]
    found.sort(key=lambda one: one.rows / comparison.rows - one.share_of_difference)
    return tuple(found[:_MOST_SLICES])


def _outcome(comparison: Comparison, section: EvaluationSection) -> str:
    """Which way decisions flip, and whether the candidate is right on them."""
    rows = sum(flip.rows for flip in comparison.flips)
    if not comparison.flips or comparison.flipped is None or comparison.flipped.value <= LITTLE_FLIPPED / 10:
        return ""
    flip = comparison.flips[0]
    most = f"Of {rows:,} flipped decisions {percent(flip.rows / rows)} go from {flip.before} to {flip.after}"
    if flip.right is None:
        why = comparison.unfair or "none of them has a label that is fair to both models"
        return f"{most}; which model is right on them is not known: {why}."
    saved = ""
    if flip.saved is not None:
        unit = section.decision.unit or "units of cost"
        saved = f", which {'saves' if flip.saved >= 0 else 'costs'} {number(abs(flip.saved))} {unit}"
    right = percent_estimate(flip.right)
    return f"{most}; the candidate is right on {right} of the {flip.labelled:,} labelled ones{saved}."


def _moved(comparison: Comparison) -> bool:
    return any(output.psi >= LITTLE_PSI or output.ks >= LITTLE_KS for output in comparison.outputs)


def _reordered(comparison: Comparison) -> bool:
    agreement = _agreement(comparison)
    return agreement is None or agreement < SAME_ORDER


def _agreement(comparison: Comparison) -> float | None:
    found = [output.rank_agreement for output in comparison.outputs]
    if any(one is None for one in found):
        return None
    return min(one.value for one in found if one is not None)


def _most_moved(comparison: Comparison) -> OutputComparison:
    return max(comparison.outputs, key=lambda output: abs(output.mean.value))


def _range(output: OutputComparison) -> float:
    """What nine tenths of the champion's scores lie in."""
    low, high = (next(point.champion for point in output.qq if point.level == level) for level in (0.05, 0.95))
    return high - low
