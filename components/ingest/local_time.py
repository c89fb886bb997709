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
_EPOCH = datetime(1970, 1, 1)


def utc_of(local: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Microseconds UTC of microseconds on the zone's clock.

    An hour that the clock passes twice is its first passing; one that it leaves out is read with the offset before.
    """
    return local - _offsets(local, zone(timezone), local=True)


def local_of(utc: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Microseconds on the zone's clock of microseconds UTC."""
    return utc + _offsets(utc, zone(timezone), local=False)


def _offsets(moments: NDArray[np.int64], tz: ZoneInfo, *, local: bool) -> NDArray[np.int64]:
    """The zone's offset at each moment, looked up once for each hour that occurs."""
    import numpy as np

    hours, which = np.unique(moments // _HOUR, return_inverse=True)
    first = np.array([_offset(int(hour) * _HOUR, tz, local) for hour in hours], dtype=np.int64)
    last = np.array([_offset(int(hour) * _HOUR + _HOUR - 1, tz, local) for hour in hours], dtype=np.int64)
    offsets = first[which]
    # A zone may change its clock within an hour (Lord Howe does): look at each of those moments.
    for index in np.flatnonzero((first != last)[which]):
        offsets[index] = _offset(int(moments[index]), tz, local)
    return offsets


def _offset(microseconds: int, tz: ZoneInfo, local: bool) -> int:
    naive = _EPOCH + timedelta(microseconds=microseconds)
    moment = naive.replace(tzinfo=tz) if local else naive.replace(tzinfo=UTC).astimezone(tz)
    offset = moment.utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)
