"""What Kubeflow's pages do with the artifacts of a step, as far as it decides whether anything is shown.

Read in KFP 2.17's frontend: `components/viewers/MetricsVisualizations.tsx`, `ROCCurveHelper.tsx`, `PagedTable.tsx`,
`HTMLViewer.tsx` (an iframe of `srcdoc` with `sandbox="allow-scripts"`), `MarkdownViewer.tsx`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

ROWS_OF_A_PAGE = 10
MOST_MARKDOWN = 50_000
RESERVED = {"display_name", "store_session_info"}
"""Names that the page keeps for itself: a metric of such a name is not shown."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_scalars(metadata: Mapping[str, Any]) -> None:
    """Every metric is a number that JSON can carry and that a person can read."""
    json.dumps(metadata, allow_nan=False)
    assert not RESERVED & metadata.keys()
    for name, value in metadata.items():
        assert _is_number(value), name
        assert len(f"{value:.10g}".replace("-", "").replace(".", "").strip("0")) <= 8, f"{name}: {value}"


def check_roc_curve(points: Any) -> None:
    """The page wants numbers under exactly these names; it draws the points as they come."""
    json.dumps(points, allow_nan=False)
    for point in points:
        assert point.keys() == {"confidenceThreshold", "falsePositiveRate", "recall"}
        assert all(map(_is_number, point.values()))
    assert 2 <= len(points) <= 500


def check_confusion_matrix(matrix: Any) -> None:
    """The page refuses a matrix that is not square, or whose names are not as many as its rows."""
    names = [specification["displayName"] for specification in matrix["annotationSpecs"]]
    rows = [row["row"] for row in matrix["rows"]]
    assert all(isinstance(name, str) for name in names)
    assert {len(row) for row in rows} == {len(rows)} == {len(names)}
    assert all(_is_number(count) for row in rows for count in row)


def check_html(page: str) -> None:
    """Nothing is fetched, and nothing needs what a sandboxed frame lacks: storage, forms, windows, an origin."""
    found = _Page()
    found.feed(page)
    assert not found.fetched
    assert not found.tags & {"form", "iframe", "object", "embed", "link", "base"}
    assert not re.search(r"localStorage|sessionStorage|document\.cookie|window\.open|@import|url\(", page)


def check_markdown(text: str) -> None:
    """The decision stands first, and no table row is broken."""
    assert text.startswith("## ")
    assert len(text.encode()) <= MOST_MARKDOWN
    width = 0
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not cells or not width or cells == width, line
        width = cells


class _Page(HTMLParser):
    """The elements of a page, and the addresses that it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [
            value for name, value in attrs if value and name in ("src", "srcset", "action", "data", "xlink:href")
        ]
