"""Student's distribution, for whole degrees of freedom. Importing SciPy for it would take most of a second.

The probability is a finite sum (Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4): right to
1e-14, whatever the degrees of freedom. The quantile is found by halving, to 1e-12 of its size.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_HALVINGS = 200


def upper_tail(t: float, freedom: int) -> float:
    """The chance of a value above t.

    Args:
        t: Any number, infinite too.
        freedom: Degrees of freedom, 1 or more.
    """
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (sine * cosine, 0.0) if odd else (sine, 0.0)
    # Terms with cosine^1, ^3 … (odd) or cosine^0, ^2 … (even), up to freedom - 2; each by its predecessor.
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    within = 2 / math.pi * (angle + total) if odd else total
    above = max(0.0, (1 - within) / 2)
    return above if t >= 0 else 1 - above


@lru_cache(maxsize=1024)
def quantile(above: float, freedom: int) -> float:
    """The value that is exceeded with the given chance.

    Args:
        above: The chance, above 0 and below 1.
        freedom: Degrees of freedom, 1 or more.
    """
    if above > 0.5:
        return -quantile(1 - above, freedom)
    low, high = 0.0, max(1.0, NormalDist().inv_cdf(1 - above))
    while upper_tail(high, freedom) > above:
        low, high = high, high * 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if high - low <= 1e-13 * high:
            break
        low, high = (middle, high) if upper_tail(middle, freedom) > above else (low, middle)
    return (low + high) / 2
