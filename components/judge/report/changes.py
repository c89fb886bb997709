"""The report's section on what changed from the champion to the candidate, as a reviewer reads a code diff."""

from __future__ import annotations

from dataclasses import dataclass

from components._shared.evidence import Estimate
from components._shared.model_changes import Changed, ModelChanges, TermChange
from components.judge.report.rows import figure, places_of
from components.judge.report.wording import count, listed, shorten

_MOST_LINES, _FEW = 8, 3
_MOST_LINES_AT_ALL = 300
_PREPARATION, _OWN_FIGURES = "Preparation of the features", "The trainer’s own figures"


@dataclass(frozen=True)
class Line:
    """A line of the diff.

    Attributes:
        sign: `+`, `−` or `~`.
        mark: What to see in it, such as `clear`, or empty.
    """

    sign: str
    name: str
    before: str
    after: str
    mark: str = ""

    @property
    def role(self) -> str:
        """How it is coloured."""
        return {"+": "gained", "−": "lost"}.get(self.sign, "changed")


@dataclass(frozen=True)
class Group:
    """Lines on one subject: those shown, those folded away, and how many more stand in the facts alone."""

    title: str
    note: str
    first: tuple[Line, ...]
    rest: tuple[Line, ...]
    hidden: int = 0


def groups(changes: ModelChanges) -> list[Group]:
    """What changed, by subject; subjects without a change are left out."""
    found = [
        ("Features", "", _features(changes)),
        ("Parameters", "", [_line(one) for one in changes.parameters]),
        ("Rows that it learnt from", "", [_line(one) for one in changes.data]),
        ("Categories known", "", _categories(changes)),
        (_PREPARATION, "Means, scales and the like.", [_line(one) for one in changes.preprocessing]),
        (_OWN_FIGURES, "Of the features.", [_line(one) for one in changes.native]),
        ("Terms", _terms_note(changes), [_term(one) for one in changes.terms]),
    ]
    return [_group(title, note, lines) for title, note, lines in found if lines]


def unchanged(changes: ModelChanges) -> str:
    """What did not change, in a sentence, or nothing."""
    same = ["the model’s files"] if changes.same else []
    if not (changes.features_gained or changes.features_lost or changes.features_changed):
        same.append("features")
    if not changes.parameters:
        same.append("parameters")
    if not changes.categories:
        same.append("categories known")
    return f"Unchanged: {listed(same)}." if same else ""


def _group(title: str, note: str, lines: list[Line]) -> Group:
    shown = lines[:_MOST_LINES_AT_ALL]
    first = _MOST_LINES if len(shown) > _MOST_LINES + _FEW else len(shown)
    if title in (_PREPARATION, _OWN_FIGURES):
        first = 0
    return Group(title, note, tuple(shown[:first]), tuple(shown[first:]), hidden=len(lines) - len(shown))


def _terms_note(changes: ModelChanges) -> str:
    """What the weights are, and in which order they stand."""
    sides = [side for one in changes.terms for side in (one.before, one.after) if side is not None]
    if any(side.unit == "standardised" for side in sides):
        return "Per standard deviation, the largest change first."
    against = "; both against the candidate’s average row" if any(side.category for side in sides) else ""
    return f"On the natural scale{against}. The clear ones first: their intervals do not overlap."


def _features(changes: ModelChanges) -> list[Line]:
    return [
        *(Line("+", shorten(name, 80), "", kind) for name, kind in changes.features_gained.items()),
        *(Line("−", shorten(name, 80), kind, "") for name, kind in changes.features_lost.items()),
        *(_line(one) for one in changes.features_changed),
    ]


def _line(one: Changed) -> Line:
    sign = "+" if one.before is None else "−" if one.after is None else "~"
    return Line(sign, shorten(one.name, 100), shorten(one.before or "", 200), shorten(one.after or "", 200))


def _categories(changes: ModelChanges) -> list[Line]:
    lines = []
    for one in changes.categories:
        if one.gained:
            names = listed([shorten(value, 40) for value in one.gained], 12)
            lines.append(Line("+", shorten(one.feature, 80), "", f"{count(len(one.gained))}: {names}"))
        if one.lost:
            names = listed([shorten(value, 40) for value in one.lost], 12)
            lines.append(Line("−", shorten(one.feature, 80), f"{count(len(one.lost))}: {names}", ""))
    return lines


def _term(one: TermChange) -> Line:
    sides = [None if t is None else Estimate(value=t.weight, interval=t.interval) for t in (one.before, one.after)]
    places = places_of(*sides)
    texts = []
    for side, term in zip(sides, (one.before, one.after), strict=True):
        found = figure(side, sign=True, decimals=places)
        # Of a category that a model does not know, the weight of its other values stands there.
        of_others = "" if term is None or term.name == one.name else shorten(term.category, 40)
        texts.append("" if side is None else f"{of_others} {found.value} {found.interval}".strip())
    sign = "+" if one.before is None else "−" if one.after is None else "~"
    return Line(sign, shorten(one.name, 100), texts[0], texts[1], "clear" if one.clear else "")
