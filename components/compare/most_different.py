"""The rows that differ most, kept in a bounded heap, and their features, read afterwards for these rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from components._shared.comparison import RowComparison
from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import MISSING, slice_text
from components._shared.measuring.figures import rounded
from components._shared.measuring.metrics import Floats, Integers
from components._shared.score_sketches import NOISE
from components._shared.tables import moment_of, read_table
from components._shared.task import EvaluationSection
from components._shared.windows import zone
from components.compare.keys import numbers
from components.compare.pairs import Pairs, outputs_of

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 20

_ALIKE = 2.0**-14
"""Of the difference of a row: rows whose scores are closer tell a reader nothing new."""


@dataclass(frozen=True)
class Kept:
    """A row that differs much.

    Attributes:
        size: How far it moved.
        position: In the table.
        time: Microseconds UTC.
        output: Number of the output that moved most.
        alike: Both scores, the same of rows that are alike.
    """

    size: float
    key: str
    position: int
    time: int | None
    label: float
    output: int
    candidate: float
    champion: float
    alike: complex


class MostDifferent:
    """Keeps the rows whose largest difference of an output is largest; of equal ones those with the smallest keys.

    Rows with the same two scores, but for little of their difference, are nearly always alike in their features too:
    one of them is enough for a reader. (A model gives the same row scores that differ in the eighth digit, beside other
    rows.)
    """

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._kept: list[Kept] = []

    def add(self, pairs: Pairs, label: Floats, time: Floats | None) -> None:
        """The next rows."""
        import pyarrow.compute as pc

        difference = np.abs(pairs.candidate - pairs.champion)
        size = difference.max(axis=0)
        keys = pairs.rows.column(pairs.rows.schema.get_field_index("_key"))
        chosen = size > 0
        if len(self._kept) == self._most:
            least = self._kept[-1]
            # A row as far apart as the least of those kept takes its place if its key is smaller.
            smaller = pc.less(keys, least.key).to_numpy(zero_copy_only=False)
            chosen = (size > least.size) | ((size == least.size) & smaller)
        places = np.flatnonzero(chosen)
        if not len(places):
            return
        key = numbers(keys.filter(chosen))
        order = np.lexsort((key[:, 1], key[:, 0], -size[places]))
        self._kept = self._first([*self._kept, *self._distinct(places[order], pairs, difference, label, time)])

    def _distinct(
        self, places: Integers, pairs: Pairs, difference: Floats, label: Floats, time: Floats | None
    ) -> Iterator[Kept]:
        """The first rows of those that are alike, as many as are kept at all."""
        keys = pairs.rows.column(pairs.rows.schema.get_field_index("_key"))
        outputs = difference[:, places].argmax(axis=0)
        both = _alike(pairs.candidate[outputs, places], pairs.champion[outputs, places])
        first = np.sort(np.unique(both, return_index=True)[1])[: self._most]
        for place, output, alike in zip(
            places[first].tolist(), outputs[first].tolist(), both[first].tolist(), strict=True
        ):
            yield Kept(
                size=float(difference[output, place]),
                key=keys[place].as_py(),
                position=pairs.first + place,
                time=None if time is None else int(time[place]),
                label=float(label[place]),
                output=output,
                candidate=float(pairs.candidate[output, place]),
                champion=float(pairs.champion[output, place]),
                alike=alike,
            )

    def _first(self, rows: list[Kept]) -> list[Kept]:
        """The most different rows, one of those that are alike."""
        first: dict[complex, Kept] = {}
        for row in sorted(rows, key=lambda row: (-row.size, row.key)):
            first.setdefault(row.alike, row)
        return list(first.values())[: self._most]

    def rows(self) -> tuple[Kept, ...]:
        """Those kept, the most different first."""
        return tuple(self._kept)


def _alike(candidate: Floats, champion: Floats) -> npt.NDArray[np.complex128]:
    """Both scores of each row as one number, rounded to a step: small beside their difference, but not beside noise."""
    size = np.maximum(_ALIKE * np.abs(candidate - champion), NOISE * np.maximum(np.abs(candidate), np.abs(champion)))
    step = np.ldexp(1.0, np.frexp(size)[1])
    found: npt.NDArray[np.complex128] = (np.rint(candidate / step) + 1j * np.rint(champion / step)) * step
    return found


def described(
    kept: Iterable[Kept], examples: Manifest, features: Iterable[str], section: EvaluationSection
) -> tuple[RowComparison, ...]:
    """The rows with their features, as a reader would write them.

    Args:
        kept: Which rows.
        examples: The rows that were scored, in the order of the predictions.
        features: Names of the columns to show; those that the rows lack are left out.
        section: Time zone, classes, problem.

    Raises:
        DataError: The examples are not those that were scored.
    """
    local = zone(section.timezone)
    outputs = outputs_of(section)
    names = [name for name in features if name in examples.columns]
    return tuple(
        RowComparison(
            key=row.key,
            time=None if row.time is None else moment_of(row.time).astimezone(local),
            label=_label(row.label, section),
            output=outputs[row.output] if len(outputs) > 1 else "",
            candidate=rounded(row.candidate),
            champion=rounded(row.champion),
            features={name: written(value, local) for name, value in _values(examples, row, names).items()},
        )
        for row in kept
    )


def written(value: object, local: ZoneInfo) -> str:
    """A value as a reader would write it: moments in the task's time zone, without what is zero at their end."""
    match value:
        case datetime():
            moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(local)
            return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"
        case date():
            return value.isoformat()
        case float():
            return MISSING if value != value else f"{value:.10g}"
        case _:
            return slice_text(value)


def _values(examples: Manifest, row: Kept, names: list[str]) -> dict[str, object]:
    found = _row(examples, row.position, ["_key", *names])
    if found is None or found.column("_key")[0].as_py() != row.key:
        raise DataError(
            f"The examples are not those that were scored: row {row.position} has another _key than {row.key}",
            where=f"examples {examples.digest[:12]}",
            fix="hand on the test part that both models predicted",
        )
    return {name: found.column(name)[0].as_py() for name in names}


def _row(manifest: Manifest, position: int, names: list[str]) -> pa.Table | None:
    """One row of a manifest, as a table; only its row group is read."""
    for shard in manifest.shards:
        if position < shard.stop - shard.start:
            start = shard.start + position
            only = shard.model_copy(update={"start": start, "stop": start + 1})
            return read_table(manifest.model_copy(update={"shards": (only,)}), list(dict.fromkeys(names)))
        position -= shard.stop - shard.start
    return None


def _label(value: float, section: EvaluationSection) -> str:
    if not np.isfinite(value):
        return ""
    match section.problem:
        case "binary_classification":
            return "positive" if value == 1 else "negative"
        case "multiclass_classification":
            classes = section.classes or ()
            return str(classes[int(value)]) if 0 <= value < len(classes) else ""
        case _:
            return f"{value:.10g}"
