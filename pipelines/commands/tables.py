"""What commands print: tables for people, JSON for scripts."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from components._shared.contract import Contract


def plain(contract: Contract | None) -> Any:
    """A contract as JSON has it."""
    return None if contract is None else contract.model_dump(mode="json", by_alias=True)


def print_json(value: Any) -> None:
    """Prints plain values."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(titles: list[str], rows: list[list[str]], notes: Sequence[str] = ()) -> None:
    """A line per row, and below it, indented, the lines of its note."""
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    click.secho(_line(titles, widths), dim=True)
    for row, note in itertools.zip_longest(rows, notes, fillvalue=""):
        click.echo(_line(list(row), widths))
        for paragraph in note.splitlines():
            for line in textwrap.wrap(paragraph, max(40, width - 5), break_on_hyphens=False):
                click.echo(f"    {line}")
    click.echo()


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
