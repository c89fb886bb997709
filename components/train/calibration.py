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
) -> Calibration:
    """Minimises the log-loss over the slope (`temperature`), or over slope and shift (`platt`; Platt 1999).

    The problem is convex; Newton's method, halving a step that does not help.

    Args:
        logits: [rows, 1] (binary) or [rows, classes].
        labels: 0/1, or class index.
        weights: Row weights.
    """
    scores = logits.astype("float64")
    if binary:
        # As two classes of logits 0 and z, one formula serves both problems.
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    basis = [scores]
    if how == "platt":
        basis.append(np.broadcast_to(np.array([0.0, 1.0]), scores.shape))
    terms = np.stack(basis)
    chosen = terms[:, np.arange(len(labels)), labels.astype("int64")]
    share = weights.astype("float64") / weights.sum()

    def loss(point: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        mixed = np.tensordot(point, terms, 1)
        mixed -= mixed.max(axis=1, keepdims=True)
        exponents = np.exp(mixed)
        total = exponents.sum(axis=1, keepdims=True)
        picked = mixed[np.arange(len(labels)), labels.astype("int64")]
        return float((share * (np.log(total[:, 0]) - picked)).sum()), exponents / total

    point = np.array([1.0, 0.0][: len(terms)])
    value, probabilities = loss(point)
    for _ in range(50):
        expected = (terms * probabilities).sum(axis=2)
        gradient = ((expected - chosen) * share).sum(axis=1)
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
    return Calibration(slope=float(point[0]), shift=float(point[1]) if len(point) > 1 else 0.0)
