"""Which answers break an expectation, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components._shared.behaviour_tests import Expectation
from components._shared.measuring.metrics import Floats, Integers
from components._shared.task import BehaviourSection

ROUNDING = 1e-6
"""Scores are 32-bit floats: what moves by less than this share of them (of 1, if they are smaller) has not moved."""


@dataclass(frozen=True)
class Held:
    """How a model's answers to changed rows were held against an expectation.

    Attributes:
        before, after: Scores, rows × outputs; those after may be no numbers.
        broken: Which of them broke the expectation.
        amount: Largest move that the expectation is about; infinite where the answer is not a number.
        excess: Of broken rows: by how much the limit is exceeded, where it is exceeded most (of rows that are decided
            otherwise: the move); infinite where the answer is not a number.
        moved: Largest move of any score.
        output: Of broken rows: number of the output that `excess` is of.
        decided_before, decided_after: Numbers of the decisions; none: nothing is decided.
    """

    before: Floats
    after: Floats
    broken: npt.NDArray[np.bool_]
    amount: Floats
    excess: Floats
    moved: Floats
    output: Integers
    decided_before: Integers | None
    decided_after: Integers | None


def hold(expect: Expectation, before: Floats, after: Floats, section: BehaviourSection) -> Held:
    """Holds the answers against what is expected of them.

    Args:
        expect: It.
        before, after: Scores, rows × outputs; those after may be no numbers.
        section: Problem, classes, and what is decided by a score.
    """
    finite = np.asarray(np.isfinite(after).all(axis=1))
    answered = np.where(finite[:, None], after, before)
    move, rounding = answered - before, ROUNDING * np.maximum(1, np.abs(before))
    decided = _decisions(before, section), _decisions(answered, section)
    looked_at = np.ones(before.shape[1], bool)
    if expect.output:
        looked_at = np.array([str(one) == expect.output for one in section.classes or ()])

    amount, excess = np.zeros_like(move), np.full_like(move, -np.inf)
    for part, limit in _parts(expect, move, answered):
        amount = np.maximum(amount, np.where(looked_at, part, 0))
        excess = np.maximum(excess, np.where(looked_at & (part > limit + rounding), part - limit, -np.inf))
    if expect.same_decision and decided[0] is not None and decided[1] is not None:
        rows = np.arange(len(move))
        place = decided[0] if move.shape[1] > 1 else np.zeros(len(move), np.int64)
        flipped = (decided[0] != decided[1]) & (np.abs(move) > rounding).any(axis=1)
        moved = np.abs(move[rows, place])
        amount[rows, place] = np.maximum(amount[rows, place], np.where(flipped, moved, 0))
        excess[rows, place] = np.maximum(excess[rows, place], np.where(flipped, moved, -np.inf))
    amount[~finite] = np.inf
    excess[~np.isfinite(after)] = np.inf
    return Held(
        before=before,
        after=after,
        broken=np.asarray((excess > -np.inf).any(axis=1)),
        amount=amount.max(axis=1),
        excess=excess.max(axis=1),
        moved=np.abs(move).max(axis=1),
        output=excess.argmax(axis=1),
        decided_before=decided[0],
        decided_after=decided[1],
    )


def _parts(expect: Expectation, move: Floats, after: Floats) -> list[tuple[Floats, float]]:
    """What is looked at, and the largest that it may be."""
    parts = []
    if expect.within is not None:
        parts.append((np.abs(move), expect.within))
    if expect.direction is not None:
        parts.append((np.maximum(-move if expect.direction == "up" else move, 0), expect.slack))
    if expect.min is not None:
        parts.append((np.maximum(expect.min - after, 0), 0.0))
    if expect.max is not None:
        parts.append((np.maximum(after - expect.max, 0), 0.0))
    return parts


def _decisions(score: Floats, section: BehaviourSection) -> Integers | None:
    given = score if section.problem == "multiclass_classification" else score[:, 0]
    return section.decision.decisions(section.problem, given, section.classes)
