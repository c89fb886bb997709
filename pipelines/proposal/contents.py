"""What a proposal holds, and who is asked about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from components._shared.errors import TaskError
from components._shared.expressions import check
from components._shared.task import FeatureKind, Problem

STEADY_PSI = 0.25
ID_NAME = re.compile(r"(^|[_ .-])(id|uuid|guid|key|index|idx|rowid)$|[a-z]I[dD]$|^unnamed: ?\d+$", re.IGNORECASE)


class Asker(Protocol):
    """Asks a person, or takes the default where there is none."""

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """One of the options."""

    def confirm(self, question: str) -> bool:
        """Yes or no; no by default."""

    def text(self, question: str, default: str, check: Callable[[str], object]) -> str:
        """A line that `check` does not refuse with a ValueError."""


@dataclass(frozen=True)
class Wishes:
    """What the command line says; empty: to be found."""

    label: str = ""
    time: str = ""
    problem: str = ""
    positive: str = ""
    timezone: str = ""
    known_after: str = ""


@dataclass(frozen=True)
class FeatureChoice:
    """A model input, and what a reader should check about it."""

    name: str
    kind: FeatureKind
    available: str
    note: str


@dataclass
class Proposal:
    """The content of a task file and of its schema.

    Attributes:
        label: SQL expression; `label_columns` are the source columns that it reads.
        derived: Name → (expression, type).
        left_out: Column → why it is no feature.
        as_of: Moment for the first run where the data ends in the past, or empty.
        notes: Field → comment.
    """

    problem: Problem
    label: str
    label_columns: frozenset[str]
    label_std: float | None = None
    positive: str | int | None = None
    classes: tuple[str | int, ...] = ()
    population: str = ""
    time: str = ""
    timezone: str = "UTC"
    known_after: str = "0d"
    key: tuple[str, ...] = ()
    cluster: str = ""
    derived: dict[str, tuple[str, str]] = field(default_factory=dict)
    features: list[FeatureChoice] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    tune: str | float = 0.1
    test: str | float = 0.2
    test_days: int = 0
    embargo: str = "0d"
    as_of: str = ""
    min_rows: int = 100
    judge_rows: int = 200
    malformed: float | None = None
    psi: float | None = STEADY_PSI
    notes: dict[str, str] = field(default_factory=dict)


def sql_name(name: str) -> str:
    """A column in an expression: in double quotes where it has to be."""
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        try:
            if check(name, {name: "int64"}, name).columns_read == {name}:
                return name
        except TaskError:
            pass
    return '"' + name.replace('"', '""') + '"'


def quoted(name: str) -> str:
    """A column in SQL of our own."""
    return '"' + name.replace('"', '""') + '"'
