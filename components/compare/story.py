"""What a reader should see first: whether there is much to see, and where the difference comes from."""

from __future__ import annotations

from components._shared.comparison import Comparison, Flip, OutputComparison, SliceComparison
from components._shared.measuring.figures import JOINED
from components._shared.task import EvaluationSection
from components._shared.wording import cluster_word, estimate, number, rows_word, sentence, with_interval
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

FAR_ABOVE, FAR_MORE = 1.5, 0.1
"""A slice carries far more of the difference than it has rows: so many times its share of them, and so much more."""

MUCH_IN_SLICE = 0.05
"""Of a slice's decisions, or of the range of the scores: so many flip, or they move so far, that it is much there."""

_MOST_SLICES = 2
_MOST_WAYS = 2
_ROUNDING = 1e-9


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

    Where there is little to see overall, a slice in which there is much is named all the same: a few rows that change
    wholly are what a reviewer must not miss.

    Args:
        comparison: The figures.
        section: What is decided, and what the clusters are.
    """
    if all(output.absolute.value == 0 for output in comparison.outputs):
        return f"Nothing to see: both models give all {rows_word(comparison.rows)} the same score."
    if is_little(comparison):
        but = _but(comparison)
        little = (
            f"There is little to see{' overall' if but else ''}: {_extent(comparison, section)}; {_kept(comparison)}."
        )
        return f"{little} {but}".rstrip()
    flips = _flips(comparison, section)
    what = f"{_kind(comparison)}." if flips else f"{_extent(comparison, section)}; {_kind(comparison)}."
    return " ".join(one for one in (flips, _where(comparison, section), sentence(what)) if one)


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


def _but(comparison: Comparison) -> str:
    """The slices in which there is much to see, where there is little overall; empty: there are none."""
    span = max(_range(output) for output in comparison.outputs)
    much = [
        one
        for one in comparison.slices
        if one.rows < comparison.rows
        and (one.surprising or _is_heavy(one, comparison))
        and ((one.flipped or 0) >= MUCH_IN_SLICE or one.absolute.value >= MUCH_IN_SLICE * span)
    ]
    much.sort(key=lambda one: (-(one.flipped or 0), -one.absolute.value, one.column, one.value))
    named = [
        f"{_beside_the_rest(one, comparison)} "
        f"({rows_word(one.rows)}{'' if one.flipped is None else f', {percent(one.flipped)} of them decided otherwise'})"
        for one in _first_of_each_column(much)
    ]
    more = len(much) - len(named)
    if more:
        named.append(f"and {more} more")
    return f"But not in every slice: {'; '.join(named)}." if named else ""


def _where(comparison: Comparison, section: EvaluationSection) -> str:
    """Which slices move otherwise than the rest."""
    slices = [one for one in comparison.slices if one.rows < comparison.rows]
    if not slices:
        return ""
    out = standing_out(comparison)
    if out:
        return f"Not the same everywhere: {'; '.join(_beside_the_rest(one, comparison) for one in out)}."
    having = f"With {cluster_word(section, comparison.clusters)}"
    heavy = _first_of_each_column([one for one in slices if _is_heavy(one, comparison)])
    if heavy:
        named = [
            f"{one.column} {one.value} carries {percent(one.share_of_difference)} of the difference in "
            f"{percent(one.rows / comparison.rows)} of the rows"
            for one in heavy
        ]
        return f"{having}, luck cannot be ruled out: {'; '.join(named)}."
    if all(one.mean.interval is None or one.value.startswith(JOINED) for one in slices):
        return f"{having} it cannot be told whether a slice stands out."
    if any(one.surprising for one in slices):
        return "No slice carries much of the difference, though some move otherwise than the rest."
    return "No slice stands out: the difference is spread over all of them."


def standing_out(comparison: Comparison) -> tuple[SliceComparison, ...]:
    """The slices that carry the difference, the first of each column.

    They move otherwise than the rest beyond luck, and what their rows move more or less than the others makes up at
    least `LEAST_PART` of the mean size of the difference. One of each column: where one value moved up, the others of
    its column moved down beside it.
    """
    size: dict[str, float] = {}
    for one in comparison.slices:
        size[one.column] = size.get(one.column, 0.0) + one.absolute.value * one.rows
    found = []
    for one in comparison.slices:
        if not one.surprising or one.rows == comparison.rows:
            continue
        mine, rest = _mine_and_rest(one, comparison)
        part = abs(mine - rest) * one.rows
        if part >= LEAST_PART * size[one.column]:
            found.append((part, one))
    found.sort(key=lambda each: (-each[0], each[1].column, each[1].value))
    return _first_of_each_column([one for _, one in found])


def _first_of_each_column(slices: list[SliceComparison]) -> tuple[SliceComparison, ...]:
    first: dict[str, SliceComparison] = {}
    for one in slices:
        first.setdefault(one.column, one)
    return tuple(first.values())[:_MOST_SLICES]


def _is_heavy(one: SliceComparison, comparison: Comparison) -> bool:
    """Whether a slice carries far more of the difference than it has rows."""
    rows = one.rows / comparison.rows
    return one.share_of_difference >= FAR_ABOVE * rows and one.share_of_difference >= rows + FAR_MORE


def _beside_the_rest(one: SliceComparison, comparison: Comparison) -> str:
    """How a slice moved, and the rows beside it."""
    mine, rest = _mine_and_rest(one, comparison)
    if _by_size(one):
        return f"{one.column} {one.value} {_short(mine)} up or down, elsewhere {_short(rest)}"
    return f"{one.column} {one.value} {signed(mine)}, elsewhere {signed(rest)}"


def _by_size(one: SliceComparison) -> bool:
    """Whether its mean size says more of a slice than its mean; so it does where nothing is known to stand out."""
    return one.by_size or not one.surprising


def _mine_and_rest(one: SliceComparison, comparison: Comparison) -> tuple[float, float]:
    """The mean difference of a slice and of the rows beside it, or the mean sizes, whichever say more."""

    def moved(each: SliceComparison) -> float:
        return (each.absolute if _by_size(one) else each.mean).value

    others = [each for each in comparison.slices if each.column == one.column and each.value != one.value]
    rest = sum(moved(each) * each.rows for each in others) / (comparison.rows - one.rows)
    # What rounding leaves of nothing is nothing.
    return moved(one), 0.0 if abs(rest) < _ROUNDING * abs(moved(one)) else rest


def _flips(comparison: Comparison, section: EvaluationSection) -> str:
    """How many decisions flip, what that saves or costs in all, and each way, the good and the bad one alike."""
    if not comparison.flips or comparison.flipped is None or comparison.flipped.value <= LITTLE_FLIPPED / 10:
        return ""
    said = f"{percent_estimate(comparison.flipped)} of the decisions flip, over {extent(comparison, section)}"
    if comparison.saved is not None and comparison.judged:
        said += f", which {_net(comparison, section.decision.unit or 'units of cost')}"
    first = comparison.flips[0]
    ways = [_way(flip, first, comparison) for flip in comparison.flips[:_MOST_WAYS]]
    more = comparison.ways - len(ways)
    said += f": {'; '.join(ways)}{f'; and {more:,} ways more' if more > 0 else ''}"
    if not comparison.judged:
        why = comparison.unfair or "none of them has a label that is fair to both models"
        return f"{said}; which model is right on them is not known: {why}."
    return f"{said}."


def _net(comparison: Comparison, unit: str) -> str:
    """What is saved on the flips whose label was used; lost amounts are written as costs."""
    saved = comparison.saved
    assert saved is not None
    part = comparison.judged < comparison.flipped_rows
    on = f"on the {comparison.judged:,} flips that can be judged" if part else "in all"
    if saved.value >= 0:
        return f"saves {estimate(saved)} {unit} {on}"
    turned = None if saved.interval is None else (-saved.interval[1], -saved.interval[0])
    return f"costs {with_interval(-saved.value, turned)} {unit} {on}"


def _way(flip: Flip, first: Flip, comparison: Comparison) -> str:
    """One way of flipping, and how often the candidate is right there."""
    back = (flip.before, flip.after) == (first.after, first.before)
    text = f"{flip.rows:,} back" if back else f"{flip.rows:,} from {flip.before} to {flip.after}"
    if flip.right is None:
        return text
    usable = "fair to both" if comparison.labelled < comparison.known else "labelled"
    of = "" if flip.labelled == flip.rows else f" of the {flip.labelled:,} {usable}"
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
