"""How rows are changed. What is drawn at random depends on a row's key, the test's name and the feature alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components._shared.behaviour_tests import BehaviourTest, parse_shift
from components._shared.measuring.metrics import Floats
from components._shared.model_inputs import numbers
from components.behave.asking import Asked, Spread

if TYPE_CHECKING:
    import pyarrow as pa


def changed_columns(
    test: BehaviourTest, asked: Asked, timezone: str
) -> tuple[dict[str, pa.Array], npt.NDArray[np.bool_]]:
    """The test's features, changed.

    Args:
        test: What is changed.
        asked: The rows.
        timezone: Whose days a shift of the clock counts.

    Returns:
        Feature → its values in all rows; and which rows any of them differ in.
    """
    keys, changed = asked.keys, np.zeros(asked.rows.num_rows, bool)
    columns = {}
    for name in test.features:
        before = asked.rows.column(asked.rows.schema.get_field_index(name))
        drawn = _Drawn(keys, f"{test.name}\0{name}")
        with np.errstate(over="ignore"):
            columns[name] = _changed(test, before, drawn, asked.spread.get(name), ~asked.near, timezone)
            changed |= _differs(before, columns[name])
    return columns, changed


class _Drawn:
    """One number for each row, evenly distributed between 0 and 1."""

    def __init__(self, keys: Sequence[str], purpose: str) -> None:
        self._keys, self._purpose = keys, purpose

    def uniform(self) -> Floats:
        found = (hashlib.blake2b(f"{self._purpose}\0{key}".encode(), digest_size=8).digest() for key in self._keys)
        return np.array([(int.from_bytes(each) >> 11) + 0.5 for each in found]) / 2**53

    def normal(self) -> Floats:
        return np.array([NormalDist().inv_cdf(each) for each in self.uniform().tolist()])


def _changed(
    test: BehaviourTest,
    before: pa.Array,
    drawn: _Drawn,
    spread: Spread | None,
    everywhere: npt.NDArray[np.bool_],
    timezone: str,
) -> pa.Array:
    import pyarrow as pa

    change = test.change
    match change.kind:
        case "jitter":
            return _jittered(before, change.jitter or 0.0, drawn, spread)
        case "round_to":
            step = change.round_to or 1.0
            return _numbers(before, np.rint(_floats(before) / step) * step)
        case "add":
            return _numbers(before, _floats(before) + (change.add or 0.0))
        case "missing":
            return pa.nulls(len(before), before.type)
        case "set_to":
            if isinstance(change.set_to, str):
                return pa.array([change.set_to] * len(before), pa.string())
            return _numbers(before, np.full(len(before), change.set_to))
        case "swap":
            return _swapped(before, change.swap or ())
        case "replace":
            return _replaced(before, drawn, everywhere)
        case _:
            return _shifted(before, change.shift or "", timezone)


def _jittered(before: pa.Array, jitter: float, drawn: _Drawn, spread: Spread | None) -> pa.Array:
    import pyarrow as pa

    if spread is None or not spread.deviation:
        return before
    values = _floats(before)
    noisy = values + jitter * spread.deviation * drawn.normal()
    # A minute stays a whole one, and a distance does not become negative.
    noisy = np.clip(np.rint(noisy) if pa.types.is_integer(before.type) else noisy, spread.low, spread.high)
    return _numbers(before, np.where(np.isfinite(numbers(before)), noisy, values))


def _replaced(before: pa.Array, drawn: _Drawn, everywhere: npt.NDArray[np.bool_]) -> pa.Array:
    """Values of other rows, of those that are not chosen for being near the boundary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    donors = before.filter(pa.array(everywhere)).drop_null()
    if not len(donors):
        return before
    values = donors.take(pa.array((drawn.uniform() * len(donors)).astype(np.int64)))
    return pc.if_else(before.is_valid(), values, before)


def _swapped(before: pa.Array, groups: Sequence[Sequence[str]]) -> pa.Array:
    import pyarrow as pa

    following: Mapping[str, str] = {
        word: group[(place + 1) % len(group)] for group in groups for place, word in enumerate(group)
    }
    words = before.cast(pa.string()).to_pylist()
    return pa.array([following.get(word, word) for word in words], pa.string())


def _shifted(before: pa.Array, shift: str, timezone: str) -> pa.Array:
    """Moments moved by a span, but not beyond the calendar's ends; a date is midnight, and stays a date."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sign, span = parse_shift(shift)
    moved = span.after if sign > 0 else span.before

    def of(scalar: pa.Scalar) -> datetime | date | None:
        try:
            value = scalar.as_py()
            if value is None or isinstance(value, datetime):
                return None if value is None else moved(value, timezone)
            return moved(datetime.combine(value, time(), UTC), "UTC").date()
        except OverflowError:
            return None

    return pc.coalesce(pa.array([of(scalar) for scalar in before], before.type), before)


def _floats(column: pa.Array) -> Floats:
    """Missing ones as NaN."""
    import pyarrow as pa

    values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _numbers(before: pa.Array, values: Floats) -> pa.Array:
    """As whole numbers where the column holds such, and all of these are; NaN is missing.

    What overflows stays as it was. Beyond 2⁵³ whole numbers are floats, which have no others there.
    """
    import pyarrow as pa

    values = np.where(np.isinf(values), _floats(before), values)
    missing = np.isnan(values)
    kept = np.where(missing, 0, values)
    whole = pa.types.is_integer(before.type) and bool(((kept == np.rint(kept)) & (np.abs(kept) <= 2**53)).all())
    return pa.array(kept.astype(np.int64) if whole else kept, mask=missing)


def _differs(before: pa.Array, after: pa.Array) -> npt.NDArray[np.bool_]:
    """Which values are others; rounding errors are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(after.type) or pa.types.is_integer(after.type):
        same = np.isclose(_floats(before), _floats(after), rtol=1e-9, atol=0, equal_nan=True)
        return np.asarray(~same)
    others = pc.not_equal(before.cast(after.type), after).fill_null(False)
    came_or_went = pc.xor(before.is_null(), after.is_null())
    return np.asarray(pc.or_(others, came_or_went).to_numpy(zero_copy_only=False))
