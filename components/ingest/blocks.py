"""What every reader of a source gives: blocks of rows, not yet of their declared types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components._shared.errors import DataError
from components._shared.expressions import near

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from components._shared.task import SourceColumn


@dataclass(frozen=True)
class Broken:
    """A row that is none: it does not have the fields, or does not parse at all.

    Attributes:
        row: Counted from 1, without header and blank lines.
        raw: The row's text, as far as there is one.
    """

    row: int
    detail: str
    raw: str


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        columns: Declared columns of the file: an Arrow array (texts, or of the file's own type), or Python values
        rows: The number of each row, counted from 1.
        broken: Rows among them that are not in `columns`.
    """

    columns: Mapping[str, pa.Array | Sequence[Any]]
    rows: NDArray[np.int64]
    broken: Sequence[Broken] = ()


@dataclass
class Header:
    """Which columns a file has, checked against the pinned schema; collects what was ignored over all files."""

    declared: Mapping[str, SourceColumn]
    ignored: dict[str, int] = field(default_factory=dict)

    def check(self, present: Iterable[str], where: str) -> list[str]:
        """The declared columns that a file has.

        Raises:
            DataError: A required column is missing or stands twice.
        """
        names = list(present)
        for name, column in self.declared.items():
            if name not in names and column.required:
                raise DataError(
                    f"The column {name!r} is missing",
                    where=where,
                    fix=f"correct the file or the schema ({near(name, names)}), "
                    "or say `required: false` in the schema if files may lack it",
                )
            if names.count(name) > 1:
                raise DataError(
                    f"The column {name!r} stands twice", where=where, fix="give every column a name of its own"
                )
        for name in sorted(set(names) - self.declared.keys()):
            self.ignored[name] = self.ignored.get(name, 0) + 1
        return [name for name in names if name in self.declared]

    def notices(self) -> list[str]:
        """One sentence for each column that the schema does not know."""
        return [
            f"The column {name!r} is not in the schema and was ignored ({files} file{'s' if files > 1 else ''})"
            for name, files in sorted(self.ignored.items())
        ]
