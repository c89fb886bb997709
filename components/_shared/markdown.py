"""Markdown for the Kubeflow UI. What stands in it comes from rows and task files: free text, shown as itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every cell is free text."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(safe(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def safe(text: str) -> str:
    """Free text as itself: no tags, no cell borders, no links or emphasis of its own making."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\|*_`[]":
        line = line.replace(mark, "\\" + mark)
    return line
