"""How figures are written in the sentences of verdicts."""

from __future__ import annotations

import math

from components._shared.evidence import Estimate
from components._shared.task import EvaluationSection


def number(value: float, decimals: int | None = None) -> str:
    """A figure in a sentence, with a true minus sign.

    Args:
        value: The figure.
        decimals: How many; by default four significant digits, without zeros at the end.
    """
    size = abs(value)
    short = f"{size:,.0f}" if size >= 1000 else f"{size:.4g}"
    text = short if decimals is None else f"{size:,.{decimals}f}"
    return f"−{text}" if value < 0 and text.strip("0.,") else text


def estimate(found: Estimate) -> str:
    """A figure and its interval in a sentence."""
    return with_interval(found.value, found.interval)


def cluster_word(section: EvaluationSection, count: int) -> str:
    """A number of clusters and what they are."""
    noun = "cluster" if section.cluster is not None else "day" if section.has_time else "row"
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def with_interval(value: float, pair: tuple[float, float] | None) -> str:
    """A figure and a pair around it: `0.671 [0.660, 0.682]`.

    All with as many decimals as show two significant digits of the interval's width, and at least three below 10.
    """
    width = 0.0 if pair is None else pair[1] - pair[0]
    if pair is None or width <= 0:
        return number(value)
    decimals = min(9, max(3 if abs(value) < 10 else 0, 1 - math.floor(math.log10(width))))
    return f"{number(value, decimals)} [{number(pair[0], decimals)}, {number(pair[1], decimals)}]"


def rows_word(count: int) -> str:
    """A number of rows."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
