"""Sums over the rows by clusters: all that means, shares and their intervals need of any number of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components._shared.measuring.fair_rows import slice_text
from components._shared.measuring.metrics import Floats, Integers
from components._shared.task import EvaluationSection
from components.compare.clusters import SLOTS, folded
from components.compare.pairs import Pairs

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 1000
"""Values of a slice column that are counted apart; later ones are counted together, as `OTHERS`."""

OTHERS = "(other values)"

MOST_WAYS = 4096
"""Ways of flipping that are counted apart, all there are of 64 classes; later ones are counted together."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FlipTally:
    """Rows that are decided otherwise, by slot of clusters.

    Attributes:
        labelled: Those whose label may be used.
        right: Of them, those in which the candidate is right.
        label: Sum of their labels.
        saved: What the candidate costs less on them.
    """

    rows: Floats
    labelled: Floats
    right: Floats
    label: Floats
    saved: Floats


class FlipTallies:
    """The rows that are decided otherwise, by way: what the champion decides, and what the candidate does.

    Args:
        decisions: How many decisions there are.
    """

    def __init__(self, decisions: int) -> None:
        self._decisions = decisions
        self._seen = np.zeros(decisions * decisions, bool)
        self._places: dict[int, int] = {}
        self._sums = np.zeros((5, 1, SLOTS))

    def add(self, before: Integers, after: Integers, slot: Integers, figures: tuple[Floats, ...]) -> None:
        """The next rows.

        Args:
            before, after: Numbers of the decisions, which differ.
            slot: Of each row's cluster.
            figures: What is summed besides the rows: the fields of `FlipTally` after the first, per row.
        """
        ways, number = np.unique(before * self._decisions + after, return_inverse=True)
        self._seen[ways] = True
        places = np.array([self._place(way) for way in ways.tolist()], np.int64)
        size = 1 + len(self._places)
        if size > self._sums.shape[1]:
            self._sums = np.pad(self._sums, ((0, 0), (0, size - self._sums.shape[1]), (0, 0)))
        cell = places[number] * SLOTS + slot
        for sums, values in zip(self._sums, (np.ones(len(cell)), *figures), strict=True):
            np.add.at(sums.reshape(-1), cell, values)

    def fold(self, groups: Integers) -> None:
        """Joins the slots to groups, once all rows have passed."""
        self._sums = folded(self._sums, groups)

    @property
    def ways(self) -> int:
        """How many ways there are."""
        return int(self._seen.sum())

    @property
    def whole(self) -> FlipTally:
        """All ways together."""
        return FlipTally(*self._sums.sum(axis=1))

    def most_frequent(self, most: int) -> list[tuple[tuple[int, int], FlipTally]]:
        """The ways with the most rows, each as (decided by the champion, decided by the candidate)."""
        rows = self._sums[0].sum(axis=1)
        ways = sorted(self._places, key=lambda way: (-rows[self._places[way]], way))[:most]
        return [(divmod(way, self._decisions), FlipTally(*self._sums[:, self._places[way]])) for way in ways]

    def _place(self, way: int) -> int:
        """Where a way is summed; 0: with all others for which there was no place left."""
        if way not in self._places and len(self._places) >= MOST_WAYS:
            return 0
        return self._places.setdefault(way, 1 + len(self._places))


class SliceTally:
    """One slice column: per value and slot of clusters, rows, differences, absolute differences and flips."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._sums = np.zeros((4, 0, SLOTS))

    def add(self, column: pa.Array, slot: Integers, signed: Floats, absolute: Floats, flipped: Bools | None) -> None:
        """The next rows."""
        encoded = column.dictionary_encode(null_encoding="encode")
        codes = np.array([self._code(slice_text(value)) for value in encoded.dictionary.to_pylist()], np.int64)
        place = codes[encoded.indices.to_numpy(zero_copy_only=False)] * SLOTS + slot
        size = len(self._codes)
        if size > self._sums.shape[1]:
            self._sums = np.pad(self._sums, ((0, 0), (0, size - self._sums.shape[1]), (0, 0)))
        for number, weights in enumerate((None, signed, absolute, flipped)):
            if number == 3 and flipped is None:
                continue
            found = np.bincount(place, weights=weights, minlength=size * SLOTS)
            self._sums[number] += found.reshape(size, SLOTS)

    def fold(self, groups: Integers) -> None:
        """Joins the slots to groups, once all rows have passed."""
        self._sums = folded(self._sums, groups)

    def values(self) -> list[str]:
        """The values, in the order in which they appeared."""
        return list(self._codes)

    @property
    def sums(self) -> Floats:
        """Figure (rows, signed, absolute, flipped) × value × slot."""
        return self._sums

    def _code(self, value: str) -> int:
        if value not in self._codes and len(self._codes) >= MOST_VALUES:
            value = OTHERS
        return self._codes.setdefault(value, len(self._codes))


class Tallies:
    """The sums of all that is compared.

    Args:
        section: Problem, decision and slices.
        outputs: How many outputs the models have.
        sliced: The slice columns that the predictions carry.

    Attributes:
        rows, labelled: By slot of clusters: all, and those whose label was used.
        signed, absolute: Sums of differences by output and slot.
        flips: The rows that are decided otherwise.
        decided: Whether anything is decided.
    """

    def __init__(self, section: EvaluationSection, outputs: int, sliced: tuple[str, ...]) -> None:
        self._section = section
        self.rows = np.zeros(SLOTS)
        self.signed = np.zeros((outputs, SLOTS))
        self.absolute = np.zeros((outputs, SLOTS))
        self.labelled = np.zeros(SLOTS)
        self.flips = FlipTallies(_decisions(section))
        self.decided = False
        self.slices = {name: SliceTally() for name in sliced}

    def add(self, pairs: Pairs, slot: Integers, label: Floats, usable: Bools) -> None:
        """The next rows.

        Args:
            pairs: Both models' scores.
            slot: Of each row's cluster.
            label: Of each row.
            usable: Rows whose label is known, and fair to both models.
        """
        difference = pairs.candidate - pairs.champion
        self.rows += np.bincount(slot, minlength=SLOTS)
        for output, values in enumerate(difference):
            self.signed[output] += np.bincount(slot, values, SLOTS)
            self.absolute[output] += np.bincount(slot, np.abs(values), SLOTS)
        self.labelled += np.bincount(slot[usable], minlength=SLOTS)
        flipped = self._add_flips(pairs, slot, label, usable)
        signed, absolute = moved(pairs, difference)
        for name, tally in self.slices.items():
            column = pairs.rows.column(pairs.rows.schema.get_field_index(name))
            tally.add(column, slot, signed, absolute, flipped)

    def fold(self, groups: Integers) -> None:
        """Joins the slots to groups, once all rows have passed."""
        self.rows, self.labelled, self.signed, self.absolute = (
            folded(one, groups) for one in (self.rows, self.labelled, self.signed, self.absolute)
        )
        self.flips.fold(groups)
        for tally in self.slices.values():
            tally.fold(groups)

    def _add_flips(self, pairs: Pairs, slot: Integers, label: Floats, usable: Bools) -> Bools | None:
        problem, classes, rule = self._section.problem, self._section.classes, self._section.decision
        before, after = (
            rule.decisions(problem, one.T if problem == "multiclass_classification" else one[0], classes)
            for one in (pairs.champion, pairs.candidate)
        )
        if before is None or after is None:
            return None
        self.decided = True
        flipped: Bools = before != after
        places = np.flatnonzero(flipped)
        labelled, right, labels, saved = np.zeros((4, len(places)))
        known = np.flatnonzero(usable[places])
        if len(known):
            mine = places[known]
            labelled[known] = 1
            right[known] = _true_decision(self._section, label[mine]) == after[mine]
            labels[known] = label[mine]
            # The costs of a regression are of errors, whatever is decided.
            if rule.costs and problem != "regression":
                costs = [rule.cost_of_decisions(problem, label[mine], one[mine], classes) for one in (before, after)]
                saved[known] = costs[0] - costs[1]
        self.flips.add(before[places], after[places], slot[places], (labelled, right, labels, saved))
        return flipped


def moved(pairs: Pairs, difference: Floats) -> tuple[Floats, Floats]:
    """How far each row moved, as one figure: with its sign, and without.

    Of several classes the sign is that of the probability of the class that the champion gives most to, and the size is
    the total variation: half the sum of the absolute differences, the probability that went to other classes.
    """
    if len(difference) == 1:
        return difference[0], np.abs(difference[0])
    chosen = pairs.champion.argmax(axis=0)
    return difference[chosen, np.arange(len(chosen))], np.abs(difference).sum(axis=0) / 2


def _decisions(section: EvaluationSection) -> int:
    return len(section.classes or ()) if section.problem == "multiclass_classification" else 2


def _true_decision(section: EvaluationSection, label: Floats) -> Floats:
    """What would have been decided, had the label been known."""
    if section.problem != "regression":
        return label
    threshold = section.decision.threshold_of(section.problem)
    assert threshold is not None
    return (label >= threshold).astype(float)
