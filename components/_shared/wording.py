"""How figures are written in the sentences of verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

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


def decimals_beyond(value: float, limit: float, decimals: int | None) -> int | None:
    """The decimals, or so many more that a value does not look like the limit that it lies beyond."""
    if decimals is None or value == limit:
        return decimals
    return next((n for n in range(decimals, 13) if round(value, n) != round(limit, n)), decimals)


def rows_word(count: int) -> str:
    """A number of rows."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def on_one_line(text: str) -> str:
    """The text with what a terminal obeys or does not show written out: a line break as `\\n`, an escape as `\\x1b`."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def listed_values(values: Iterable[str]) -> str:
    """`a, b`: values as a file holds them; one that could be taken for several, or for none, stands in quotes."""
    return ", ".join(
        json.dumps(value, ensure_ascii=False)
        if ", " in value or '"' in value or value != value.strip() or not value
        else value
        for value in values
    )
