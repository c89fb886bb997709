"""The optimum of a linear model's penalised loss on *train*, by Newton's method.

Mini-batches of Adam end near the optimum, and somewhere else with every seed: on flights by up to twice half the width
of a coefficient's interval. From there a few steps of Newton's method end at the optimum itself: the same rows give the
same coefficients, and those of two versions differ only by what their rows say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from components.train.linear_function import ClusteredRows, Groups, LinearFunction, moments

MOST_PARAMETERS = 1_000
"""Beyond, the Hessian would be slow to solve."""

_MOST_STEPS = 25
_MOST_HALVINGS = 5
_NEAR = 1e-11
"""Of the loss: what a further step would gain."""

_ROUNDING = 1e-12
"""Of the loss."""


def optimum(function: LinearFunction, rows: ClusteredRows) -> LinearFunction | None:
    """The linear model at the optimum; none: there are too many parameters, or it was not reached.

    Args:
        function: Near the optimum.
        rows: *train*; each step is one pass over them, or a few where a step does not help.
    """
    if function.parameters.size > MOST_PARAMETERS:
        return None
    found = moments(function, rows, Groups())
    for _ in range(_MOST_STEPS):
        step = np.linalg.pinv(found.hessian, hermitian=True) @ found.gradient
        # Weights that no row tells of stay where they are, without the rounding of the others.
        step[found.gradient == 0] = 0.0
        gain = float(step @ found.gradient) / 2
        if gain <= _NEAR * max(found.loss, 1.0):
            return function
        for halving in range(_MOST_HALVINGS):
            attempt = _moved(function, step / 2**halving)
            there = moments(attempt, rows, Groups())
            if there.loss <= found.loss * (1 + _ROUNDING):
                break
        else:
            return None
        function, found = attempt, there
    return None


def _moved(function: LinearFunction, step: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> LinearFunction:
    numbers = len(function.kernel)
    parameters = function.parameters - step.reshape(len(function.bias), -1).T
    return replace(function, kernel=parameters[:numbers], table=parameters[numbers:-1], bias=parameters[-1])
