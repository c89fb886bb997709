"""What changed in the weights of linear models, once those of both are against the same average row.

Of the categories of a feature only differences are determined: a model gives each of them against the average row of
its own *train*, being missing against its own average number, and softmax weights against the mean of its own classes.
On other rows, or with one class more, all of these move, though the function may be the same. So those of the first
model are moved to the shares and averages of the second one, its intercept the other way, and both to the mean of the
classes that they have in common.

A weight moves by `Σ (wanted share - own share) · weight`, which is an estimate too. How the weights of a model go
together is not recorded, so its interval grows by the most that this can be uncertain:
`Σ |wanted share - own share| · half of the interval`. A weight without an interval was not learned, and adds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from components._shared.model_changes import TermChange
from components._shared.model_info import ModelInfo, Term

_PER_UNIT, _CATEGORY, _WHEN_MISSING = "per unit", "against the average", "when missing"
_SAME = 1e-6
"""Relative: weights have eight digits, and one that is moved has lost some."""
_WAVE = math.sqrt(0.5)
"""Standard deviation of a sine over whole turns."""


def term_changes(before: ModelInfo, after: ModelInfo) -> tuple[tuple[TermChange, ...], tuple[str, ...]]:
    """The weights that differ, the clear ones first and then by the size of their effect; and what to say about them.

    Weights are compared on the natural scale; where a model has them on the standardised one alone, there.
    """
    linear = [bool(info.terms or info.coefficients) for info in (before, after)]
    if linear[0] != linear[1]:
        which = "first" if linear[1] else "second"
        return (), (f"The {which} model is not linear: there are no weights to compare.",)
    if not any(linear):
        if before.digest == after.digest:
            return (), ()
        names = " and ".join(dict.fromkeys(info.learning.trainer.name for info in (before, after)))
        return (), (f"No coefficients to compare: {names} {'are' if ' and ' in names else 'is'} not linear.",)
    problems = [info.learning.problem.replace("_", " ") for info in (before, after)]
    if problems[0] != problems[1]:
        return (), (f"Weights of {problems[0]} and of {problems[1]} are not of one unit: they are not compared.",)
    if before.terms and after.terms:
        return _on_the_natural_scale(before, after)
    if before.coefficients and after.coefficients:
        notice = "One of the models has no weights on the natural scale: these are per standard deviation."
        return _differing(_standardised(before), _standardised(after), before, after), (notice,)
    return (), ("The models have no weights on the same scale: they are not compared.",)


def _standardised(info: ModelInfo) -> list[Term]:
    return [Term(name=name, weight=weight, unit="standardised") for name, weight in info.coefficients.items()]


def _on_the_natural_scale(before: ModelInfo, after: ModelInfo) -> tuple[tuple[TermChange, ...], tuple[str, ...]]:
    old, new = list(before.terms), list(after.terms)
    notices: tuple[str, ...] = ()
    classes, others = ({term.output for term in terms} for terms in (old, new))
    if classes != others:
        common = classes & others
        if len(common) < 2:
            return (), ("The models have fewer than two classes in common: their weights are not compared.",)
        old, new = _of_classes(old, common), _of_classes(new, common)
        notices = ("Weights are compared of the classes that both models have, against the mean of these.",)
    return _differing(_against(old, new, before, after), new, before, after), notices


class _Place(NamedTuple):
    """Which term of a model it is. Names do not tell: a value may be called `(other)`, and `a=b=c` may be two terms."""

    feature: str
    category: str
    bucket: str
    unit: str
    output: str

    @classmethod
    def of(cls, term: Term) -> _Place:
        category = term.name if term.unit == "standardised" else "" if term.bucket else term.category
        return cls(term.feature, category, term.bucket, term.unit, term.output)

    @property
    def of_others(self) -> _Place:
        """The place of the values that have no weight of their own."""
        return self._replace(category="", bucket="other")


@dataclass(frozen=True)
class _Shift:
    """By how much an average of weights moves, and how far that is uncertain, as half of an interval."""

    by: float = 0.0
    unsure: float = 0.0

    @classmethod
    def of(cls, terms: Sequence[Term], moves: Sequence[float]) -> _Shift:
        """That of the average of the terms, whose shares move by so much."""
        halves = [0.0 if term.interval is None else (term.interval[1] - term.interval[0]) / 2 for term in terms]
        return cls(
            by=sum(move * term.weight for move, term in zip(moves, terms, strict=True)),
            unsure=sum(abs(move) * half for move, half in zip(moves, halves, strict=True)),
        )

    def applied_to(self, term: Term) -> Term:
        """The term against the average that has moved."""
        if self.by == self.unsure == 0:
            return term
        low, high = term.interval or (0.0, 0.0)
        moved = (_rounded(low - self.by - self.unsure), _rounded(high - self.by + self.unsure))
        update = {"weight": _rounded(term.weight - self.by), "interval": moved if term.interval else None}
        return term.model_copy(update=update)


def _rounded(value: float) -> float:
    """To eight significant digits, as weights are recorded."""
    return float(f"{value:.8g}")


def _of_classes(terms: Sequence[Term], common: set[str]) -> list[Term]:
    """The terms of the classes that both models have, against the mean of these."""
    lines: dict[_Place, list[Term]] = {}
    for term in terms:
        lines.setdefault(_Place.of(term)._replace(output=""), []).append(term)
    found = []
    for own in lines.values():
        moves = [(term.output in common) / len(common) - 1 / len(own) for term in own]
        shift = _Shift.of(own, moves)
        found += [shift.applied_to(term) for term in own if term.output in common]
    return found


def _in_both(before: ModelInfo, after: ModelInfo) -> set[str]:
    """The features that both models have, of the same kind."""
    return {name for name, kind in before.learning.features.items() if after.learning.features.get(name) == kind}


def _against(old: Sequence[Term], new: Sequence[Term], before: ModelInfo, after: ModelInfo) -> list[Term]:
    """The first model's terms against the average row of the second model.

    Args:
        old, new: The terms of both.
        before, after: The models.
    """
    both = _in_both(before, after)
    places = {_Place.of(term): term for term in old}
    averages = _moved_averages(places, new, both)
    found = []
    for place, term in places.items():
        shift = _Shift()
        if not term.feature:
            moved = [one for (_, output), one in averages.items() if output == term.output]
            shift = _Shift(by=-sum(one.by for one in moved), unsure=sum(one.unsure for one in moved))
        elif place.unit == _CATEGORY:
            shift = averages.get((term.feature, term.output), shift)
        elif place.unit == _WHEN_MISSING and term.feature in both:
            slope = places.get(_Place(term.feature, "", "", _PER_UNIT, term.output))
            move = _when_missing(after, term.feature) - _when_missing(before, term.feature)
            shift = _Shift.of([slope], [move]) if slope is not None else shift
        found.append(shift.applied_to(term))
    return found


def _moved_averages(
    places: Mapping[_Place, Term], new: Sequence[Term], both: set[str]
) -> dict[tuple[str, str], _Shift]:
    """Categorical feature and output → how the average of the first model's weights moves on rows of the second model.

    Args:
        places: The first model's terms.
        new: Those of the second model: values that the first one does not know have the weight of its other values.
        both: The features that both have.
    """
    wanted = dict.fromkeys(places, 0.0)
    for term in new:
        place = _Place.of(term)
        known = place if place in places else place.of_others
        if known in wanted:
            wanted[known] += term.share or 0.0
    groups: dict[tuple[str, str], list[_Place]] = {}
    for place in places:
        if place.unit == _CATEGORY and place.feature in both:
            groups.setdefault((place.feature, place.output), []).append(place)
    return {
        key: _Shift.of(
            [places[place] for place in own], [wanted[place] - (places[place].share or 0.0) for place in own]
        )
        for key, own in groups.items()
    }


def _when_missing(info: ModelInfo, feature: str) -> float:
    """The number that stands for a missing one."""
    encoding = info.encoding.get(feature)
    if encoding is None:
        return 0.0
    figures = encoding.figures
    return figures.get("mean", 0.0) + figures.get("scale", 1.0) * figures.get("filler", 0.0)


def _differing(old: Sequence[Term], new: Sequence[Term], before: ModelInfo, after: ModelInfo) -> tuple[TermChange, ...]:
    """The terms whose weights differ in six digits, the clear ones first and then by the size of their effect."""
    both = _in_both(before, after)
    places, others = ({_Place.of(term): term for term in terms} for terms in (old, new))
    changes = []
    for place in dict.fromkeys([*others, *places]):
        own, other = places.get(place), others.get(place)
        spread = max(_spread(own, before), _spread(other, after))
        if place.feature in both:
            own, other = own or places.get(place.of_others), other or others.get(place.of_others)
        if own is None or other is None or not math.isclose(own.weight, other.weight, rel_tol=_SAME):
            changes.append(_change(own, other, spread, named=others.get(place) or places[place]))
    return tuple(sorted(changes, key=lambda change: (not change.clear, -change.size, change.name)))


def _change(old: Term | None, new: Term | None, spread: float, named: Term) -> TermChange:
    """What changed of a term; where it is on one side only, it counts as zero on the other."""
    weights = [0.0 if term is None else term.weight for term in (old, new)]
    return TermChange(
        name=named.name, before=old, after=new, clear=_apart(old, new), size=abs(weights[1] - weights[0]) * spread
    )


def _spread(term: Term | None, info: ModelInfo) -> float:
    """Standard deviation of what a weight is multiplied with, over the rows of *train*; 0 where it is not known, and of
    the intercept, which is where all numbers are zero: mostly no row is there.
    """
    if term is None:
        return 0.0
    if term.unit == "standardised":
        return 0.0 if term.name.startswith("(intercept)") else 1.0
    if term.share is not None:
        return _of_share(term.share)
    encoding, kind = info.encoding.get(term.feature), info.learning.features.get(term.feature)
    if encoding is None or term.unit != _PER_UNIT:
        return 0.0
    match kind:
        case "boolean":
            return _of_share(encoding.figures.get("filler", 0.0))
        case "datetime":
            return _WAVE
        case _:
            return encoding.figures.get("scale", 0.0)


def _of_share(share: float) -> float:
    return math.sqrt(max(share * (1 - share), 0.0))


def _apart(old: Term | None, new: Term | None) -> bool:
    intervals = [(0.0, 0.0) if term is None else term.interval for term in (old, new)]
    if intervals[0] is None or intervals[1] is None:
        return False
    (low, high), (other_low, other_high) = intervals  # type: ignore[misc]
    return high < other_low or other_high < low
