"""Plots as inline SVG, coloured by the page's style sheet so that they follow its light and dark schemes.

Two families. A *strip* has a height in pixels and positions in percent: it fills the cell that it stands in, and its
lines and marks are not stretched. A *chart* has axes and a fixed coordinate system of about the width of a phone, so
that its text is readable there and not much larger elsewhere. Every plot says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from components._shared.evidence import Bin, Estimate, Point
from components.judge.report.wording import number

_WIDTH, _HEIGHT = 360.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 50.0, 12.0, 26.0, 42.0


@dataclass(frozen=True)
class Range:
    """The values that an axis spans."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1, cut at the ends."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    @classmethod
    def around(cls, values: Iterable[float], margin: float = 0.06) -> Range:
        """The range that holds all the values, with a margin on both sides."""
        found = [value for value in values if math.isfinite(value)]
        low, high = (min(found), max(found)) if found else (0.0, 1.0)
        pad = (high - low) * margin or abs(high) * 0.1 or 1.0
        return cls(low - pad, high + pad)


@dataclass(frozen=True)
class Series:
    """One model's points in a chart.

    Attributes:
        role: `candidate` or `champion`: how it is drawn.
        shape: `line`; `dots`, joined, with their intervals; `points`, not joined; `bars`, the outline of a histogram;
            `band`, the area between the points' `low` and `high`.
    """

    role: str
    points: tuple[Point, ...]
    shape: str = "line"


def element(name: str, content: Markup | str = "", **attributes: object) -> Markup:
    """One SVG element; a trailing underscore leaves a name, the others become hyphens; values and text are escaped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    if not content:
        return Markup("<{0}{1}/>").format(Markup(name), written)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, escape(content))


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".") + "%"


def _strip(height: int, alt: str, parts: Iterable[Markup], role: str = "strip") -> Markup:
    return element(
        "svg",
        Markup("").join(parts),
        class_=role,
        width="100%",
        height=height,
        role="img",
        aria_label=alt,
        focusable="false",
    )


def levels(
    axis: Range, candidate: Estimate, champion: Estimate | None, constant: float | None, alt: str, *, marks: bool = True
) -> Markup:
    """Candidate and champion with their intervals, one under the other, and the constant as a line across both."""
    height = 34 if champion is not None else 22
    parts = []
    if constant is not None and marks:
        at = _percent(axis.share(constant))
        parts.append(element("line", class_="constant", x1=at, x2=at, y1=1, y2=height - 1))
    for found, role, y in ((candidate, "candidate", 11), (champion, "champion", 23)):
        if found is not None:
            parts += _whisker(axis, found, role, y)
    return _strip(height, alt, parts)


def difference(axis: Range, found: Estimate, allowed: float | None, role: str, alt: str) -> Markup:
    """A difference beside the zero line; what is worse than allowed lies beyond the dashed line."""
    zero = _percent(axis.share(0.0))
    parts = [element("line", class_="zero", x1=zero, x2=zero, y1=0, y2=34)]
    if allowed is not None and axis.low < allowed < axis.high:
        at = _percent(axis.share(allowed))
        parts.append(element("line", class_="allowed", x1=at, x2=at, y1=0, y2=34))
    return _strip(34, alt, [*parts, *_whisker(axis, found, role, 17)])


def _whisker(axis: Range, found: Estimate, role: str, y: int) -> list[Markup]:
    parts = []
    if found.interval is not None:
        low, high = (_percent(axis.share(end)) for end in found.interval)
        parts.append(element("line", class_=f"whisker {role}", x1=low, x2=high, y1=y, y2=y))
    parts.append(element("circle", class_=f"mark {role}", cx=_percent(axis.share(found.value)), cy=y, r=4))
    return parts


def stacked(shares: Sequence[tuple[str, float]], alt: str) -> Markup:
    """Shares of a whole in one bar; each is at least visible."""
    drawn = [(role, max(share, 0.004)) for role, share in shares if share > 0]
    whole = sum(share for _, share in drawn) or 1.0
    parts, at = [], 0.0
    for role, share in drawn:
        parts.append(
            element("rect", class_=f"part {role}", x=_percent(at), y=0, width=_percent(share / whole), height=22)
        )
        at += share / whole
    return _strip(22, alt, parts)


def span(start: float, end: float, role: str, alt: str) -> Markup:
    """A bar from `start` to `end`, shares of the whole width: one row of a timeline."""
    width = max(end - start, 0.006)
    parts = [
        element("line", class_="track", x1="0%", x2="100%", y1=9, y2=9),
        element(
            "rect", class_=f"span {role}", x=_percent(min(start, 1 - width)), y=3, width=_percent(width), height=12
        ),
    ]
    return _strip(18, alt, parts)


def bar(share: float, role: str, alt: str) -> Markup:
    """A bar of a share, to either side of the middle if it may be negative (`signed` in its role)."""
    if "signed" in role.split():
        half = min(1.0, abs(share)) / 2
        start = 0.5 - half if share < 0 else 0.5
        parts = [
            element("rect", class_=f"bar {role}", x=_percent(start), y=3, width=_percent(half), height=10),
            element("line", class_="zero", x1="50%", x2="50%", y1=0, y2=16),
        ]
    else:
        parts = [element("rect", class_=f"bar {role}", x=0, y=3, width=_percent(min(1.0, share)), height=10)]
    return _strip(16, alt, parts)


def small_histogram(bins: Sequence[Bin], alt: str) -> Markup:
    """A histogram without axes, for a table's cell."""
    highest = max((found.share for found in bins), default=0.0)
    if highest <= 0:
        return Markup("")
    width = 120 / len(bins)
    gap = 1.0 if width > 3 else 0.0
    path = "".join(
        f"M{n * width:.1f} 30v-{max(30 * found.share / highest, 0.75 if found.share else 0):.1f}h{width - gap:.1f}V30z"
        for n, found in enumerate(bins)
        if found.share > 0
    )
    return element(
        "svg",
        element("path", d=path) + element("line", class_="axis", x1=0, x2=120, y1=30.5, y2=30.5),
        class_="small-histogram",
        viewBox="0 0 120 31",
        width=120,
        height=31,
        role="img",
        aria_label=alt,
    )


def chart(
    series: Sequence[Series],
    *,
    x_title: str,
    y_title: str,
    alt: str,
    x: Range | None = None,
    y: Range | None = None,
    diagonal: bool = False,
    whole_x: bool = False,
    upright: float | None = None,
    x_text: Callable[[float], str] | None = None,
) -> Markup:
    """A plot with axes.

    Args:
        series: Drawn in this order, the later above the earlier.
        x_title, y_title: What the axes show.
        alt: The plot in a sentence, for who does not see it.
        x, y: Ranges; by default those of the points (bars start at zero).
        diagonal: Whether to draw the line x = y (or of chance).
        whole_x: Whether x counts something, so that its ticks are whole numbers.
        upright: Where an upright line is drawn, such as at a threshold.
        x_text: How a tick of x is written; by default as a number.
    """
    points = [point for one in series for point in one.points]
    bars = any(one.shape == "bars" for one in series)
    if x is None:
        x = Range.around((point.x for point in points), margin=0.02)
    if y is None:
        found = [value for point in points for value in (point.y, point.low, point.high) if value is not None]
        y = Range(0.0, max(found, default=1.0) * 1.06 or 1.0) if bars else Range.around(found)
    parts = [*_axes(x, y, x_title, y_title, whole_x, x_text)]
    if upright is not None and x.low <= upright <= x.high:
        at = _x(x, upright)
        parts.append(element("line", class_="upright", x1=at, x2=at, y1=_TOP, y2=_HEIGHT - _BOTTOM))
    if diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        parts.append(element("line", class_="diagonal", x1=_x(x, low), y1=_y(y, low), x2=_x(x, high), y2=_y(y, high)))
    for one in series:
        parts += _drawn(one, x, y)
    return element(
        "svg",
        Markup("").join(parts),
        class_="chart",
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        role="img",
        aria_label=alt,
    )


def _x(axis: Range, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Range, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _axes(
    x: Range, y: Range, x_title: str, y_title: str, whole_x: bool, x_text: Callable[[float], str] | None
) -> list[Markup]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in ticks(y):
        at = _y(y, value)
        parts.append(element("line", class_="grid", x1=_LEFT, x2=right, y1=at, y2=at))
        parts.append(element("text", tick_text(value, y), class_="tick", x=_LEFT - 6, y=at + 4, text_anchor="end"))
    for value in ticks(x, whole=whole_x):
        at = _x(x, value)
        parts.append(element("line", class_="axis", x1=at, x2=at, y1=bottom, y2=bottom + 4))
        text = x_text(value) if x_text else tick_text(value, x)
        parts.append(element("text", text, class_="tick", x=at, y=bottom + 17, text_anchor="middle"))
    parts.append(element("line", class_="axis", x1=_LEFT, x2=right, y1=bottom, y2=bottom))
    parts.append(element("text", y_title, class_="axis-title", x=2, y=13))
    parts.append(element("text", x_title, class_="axis-title", x=right, y=_HEIGHT - 6, text_anchor="end"))
    return parts


def _drawn(one: Series, x: Range, y: Range) -> list[Markup]:
    if not one.points:
        return []
    if one.shape == "bars":
        return [element("path", class_=f"bars {one.role}", d=_outline(one.points, x, y))]
    if one.shape == "band":
        return [element("path", class_=f"band {one.role}", d=_area(one.points, x, y))]
    if one.shape == "points":
        return [
            element("circle", class_=f"mark {one.role}", cx=_x(x, point.x), cy=_y(y, point.y), r=2.4)
            for point in one.points
        ]
    line = "M" + "L".join(f"{_x(x, point.x):.1f} {_y(y, point.y):.1f}" for point in one.points)
    parts = [element("path", class_=f"line {one.role} {one.shape}", d=line)]
    if one.shape == "dots":
        for point in one.points:
            at = _x(x, point.x)
            if point.low is not None and point.high is not None:
                parts.append(
                    element(
                        "line",
                        class_=f"whisker thin {one.role}",
                        x1=at,
                        x2=at,
                        y1=_y(y, point.low),
                        y2=_y(y, point.high),
                    )
                )
            parts.append(element("circle", class_=f"mark {one.role}", cx=at, cy=_y(y, point.y), r=3.2))
    return parts


def _area(points: Sequence[Point], x: Range, y: Range) -> str:
    """The area between the lower and the upper ends of the points' intervals."""
    ends = [(point.x, point.low, point.high) for point in points if point.low is not None and point.high is not None]
    upper = [f"{_x(x, at):.1f} {_y(y, high):.1f}" for at, _, high in ends]
    lower = [f"{_x(x, at):.1f} {_y(y, low):.1f}" for at, low, _ in reversed(ends)]
    return f"M{'L'.join([*upper, *lower])}z" if ends else ""


def _outline(points: Sequence[Point], x: Range, y: Range) -> str:
    """The outline of a histogram whose points are the centres of its bars."""
    half = half_bar(points)
    floor = _y(y, y.low)
    steps = "".join(
        f"L{_x(x, point.x - half):.1f} {_y(y, point.y):.1f}L{_x(x, point.x + half):.1f} {_y(y, point.y):.1f}"
        for point in points
    )
    return f"M{_x(x, points[0].x - half):.1f} {floor:.1f}{steps}L{_x(x, points[-1].x + half):.1f} {floor:.1f}z"


def half_bar(points: Sequence[Point]) -> float:
    """Half the width of a histogram's bars."""
    gaps = [after.x - before.x for before, after in pairwise(points) if after.x > before.x]
    return min(gaps) / 2 if gaps else 0.5


def ticks(axis: Range, most: int = 6, *, whole: bool = False) -> list[float]:
    """Round values inside the range, at most `most` of them."""
    width = axis.high - axis.low
    if not width > 0 or not math.isfinite(width):
        return []
    power = 10.0 ** math.floor(math.log10(width / most))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if width / (power * factor) <= most)
    if whole:
        step = max(1.0, math.ceil(step))
    first, last = math.ceil(axis.low / step - 1e-9), math.floor(axis.high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def tick_text(value: float, axis: Range) -> str:
    """A tick's value with the decimals that the axis calls for; thousands and millions shortened."""
    largest = max(abs(axis.low), abs(axis.high))
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if largest >= limit:
            scale = 1e3 if letter == "k" else limit
            return f"{number(round(value / scale, 3))}{letter}" if value else "0"
    width = axis.high - axis.low
    decimals = max(0, 1 - math.floor(math.log10(width))) if width < 8 else 0
    text = number(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text
