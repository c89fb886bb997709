"""Between moments (UTC) and the calendar of a time zone, for whole arrays, by the same rules as `windows.py`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from components._shared.windows import zone

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    import numpy as np
    from numpy.typing import NDArray

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_EPOCH = datetime(1970, 1, 1)


def utc_of(local: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Microseconds UTC of microseconds on the zone's clock.

    An hour that the clock passes twice is its first passing; one that it leaves out is read with the offset before.
    """
    return local - _offsets(local, zone(timezone), local=True)


def local_of(utc: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Microseconds on the zone's clock of microseconds UTC."""
    return utc + _offsets(utc, zone(timezone), local=False)


def _offsets(moments: NDArray[np.int64], tz: ZoneInfo, *, local: bool, unit: int = _DAY) -> NDArray[np.int64]:
    """The zone's offset at each moment: looked up by day, then by hour or exactly where the clock changes within it."""
    import numpy as np

    units, which = np.unique(moments // unit, return_inverse=True)
    first = np.array([_offset(int(index) * unit, tz, local) for index in units], dtype=np.int64)
    last = np.array([_offset(int(index) * unit + unit - 1, tz, local) for index in units], dtype=np.int64)
    offsets = first[which]
    changing = (first != last)[which]
    if changing.any():
        offsets[changing] = _offsets(moments[changing], tz, local=local, unit=_HOUR if unit == _DAY else 1)
    return offsets


def _offset(microseconds: int, tz: ZoneInfo, local: bool) -> int:
    naive = _EPOCH + timedelta(microseconds=microseconds)
    moment = naive.replace(tzinfo=tz) if local else naive.replace(tzinfo=UTC).astimezone(tz)
    offset = moment.utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)
