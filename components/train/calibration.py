"""Corrects a classifier's probabilities by rows that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Calibration:
    """`slope * logit + shift` in place of the logit."""

    slope: float = 1.0
    shift: float = 0.0


def calibrate(
    how: str, logits: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any], *, binary: bool
) -> tuple[Calibration, tuple[str, ...]]:
    """Minimises the log-loss over the slope (`temperature`), or over slope and shift (`platt`).

    What is fitted are not the labels but what so few rows of a class can promise (Platt, Probabilistic outputs for
    support vector machines, 1999): N rows of a class are held against a probability of (N + 1)/(N + 2) for it, the rest
    shared by the other classes. Scores that separate the classes so keep a finite slope. N is the effective number of
    rows under their weights (Kish, Survey Sampling, 1965).

    The problem is convex; Newton's method, halving a step that does not help.

    Args:
        logits: [rows, 1] (binary) or [rows, classes].
        labels: 0/1, or class index.
        weights: Row weights.

    Returns:
        The correction, and why there is none: with rows of one class only, every score would be driven to it; a slope
        that is not above zero would turn the ranking round.
    """
    scores = logits.astype("float64")
    if binary:
        # As two classes of logits 0 and z, one formula serves both problems.
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    classes = labels.astype("int64")
    if len(np.unique(classes[weights > 0])) < 2:
        return Calibration(), ("The rows to tune on are of one class: the probabilities are not corrected.",)
    targets = _targets(classes, weights.astype("float64"), scores.shape[1])
    basis = [scores]
    if how == "platt":
        basis.append(np.broadcast_to(np.array([0.0, 1.0]), scores.shape))
    terms = np.stack(basis)
    wanted = (terms * targets).sum(axis=2)
    share = weights.astype("float64") / weights.sum()

    def loss(point: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        mixed = np.tensordot(point, terms, 1)
        mixed -= mixed.max(axis=1, keepdims=True)
        exponents = np.exp(mixed)
        total = exponents.sum(axis=1, keepdims=True)
        return float((share * (np.log(total[:, 0]) - (targets * mixed).sum(axis=1))).sum()), exponents / total

    point = np.array([1.0, 0.0][: len(terms)])
    value, probabilities = loss(point)
    for _ in range(50):
        expected = (terms * probabilities).sum(axis=2)
        gradient = ((expected - wanted) * share).sum(axis=1)
        centred = terms - expected[:, :, None]
        hessian = np.einsum("arc,brc,rc,r->ab", centred, centred, probabilities, share)
        step = np.linalg.solve(hessian + 1e-9 * np.eye(len(point)), gradient)
        while np.abs(step).max() > 1e-9:
            attempt, found = loss(point - step)
            if attempt <= value:
                break
            step = step / 2
        else:
            break
        point, value, probabilities = point - step, attempt, found
    if point[0] <= 0:
        return Calibration(), ("On the rows to tune on, labels run against the scores: these are not corrected.",)
    return Calibration(slope=float(point[0]), shift=float(point[1]) if len(point) > 1 else 0.0), ()


def _targets(labels: NDArray[Any], weights: NDArray[Any], classes: int) -> NDArray[Any]:
    """What each row's probabilities are fitted to: rows × classes."""
    total, squares = (np.bincount(labels, each, classes) for each in (weights, weights**2))
    rows = total**2 / np.where(squares > 0, squares, 1)
    own = ((rows + 1) / (rows + 2))[labels]
    targets = np.repeat((1 - own)[:, None] / (classes - 1), classes, axis=1)
    targets[np.arange(len(labels)), labels] = own
    return targets
