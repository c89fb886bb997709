"""Rows of tables that several sections share: a figure with its interval, drawn beside others on one scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from components._shared.evidence import Estimate
from components.judge.report import plots
from components.judge.report.wording import decimals_of, estimate, interval, number, signed

_LEAST_DECIMALS = 3


@dataclass(frozen=True)
class Figure:
    """A figure as a cell shows it."""

    value: str
    interval: str


def figure(found: Estimate | None, *, sign: bool = False, decimals: int | None = None) -> Figure:
    """A figure with the decimals that its interval calls for."""
    if found is None:
        return Figure("–", "")
    places = decimals if decimals is not None else places_of(found)
    write = signed if sign else number
    return Figure(write(found.value, places), interval(found.interval, places))


def places_of(*estimates: Estimate | None) -> int | None:
    """Decimal places for figures that are compared by eye: what the narrowest interval calls for."""
    found = decimals_of(*estimates)
    small = all(abs(one.value) < 1 for one in estimates if one is not None)
    return max(found, _LEAST_DECIMALS) if found is not None and small else found


def around_zero(estimates: Iterable[Estimate | None], *more: float) -> plots.Range:
    """A range with zero in its middle that holds all figures and their intervals."""
    values = [abs(end) for one in estimates if one is not None for end in (one.value, *(one.interval or ()))]
    reach = 1.08 * max([*values, *(abs(value) for value in more)], default=0.0) or 1.0
    return plots.Range(-reach, reach)


def from_zero(estimates: Iterable[Estimate | None], *more: float) -> plots.Range:
    """A range that begins at zero, or below it if a figure does, and holds all figures and their intervals."""
    values = [end for one in estimates if one is not None for end in (one.value, *(one.interval or ()))]
    low, high = min([0.0, *values]), max([0.0, *values, *more])
    pad = (high - low) * 0.06 or 1.0
    return plots.Range(low - (pad if low < 0 else 0.0), high + pad)


def side(found: Estimate | None) -> str:
    """What an interval of a gain says: `better`, `worse`, or `unclear` if it holds zero."""
    if found is None or found.interval is None or min(found.interval) <= 0 <= max(found.interval):
        return "unclear"
    return "better" if found.value > 0 else "worse"


def gain_strip(axis: plots.Range, gain: Estimate | None, subject: str) -> Markup:
    """A gain beside the zero line: right is better."""
    if gain is None:
        return Markup("")
    words = {"better": "better", "worse": "worse", "unclear": "not clearly better or worse"}[side(gain)]
    alt = f"{subject}: {estimate(gain, places_of(gain))}, {words}"
    return plots.difference(axis, gain, None, f"difference {side(gain)}", alt)
