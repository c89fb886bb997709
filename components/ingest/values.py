"""Values of declared types: what a text, a JSON value or a Parquet column may be read as. The same in every file.

==========  ==========================================================================================================
int64       `12`, `-3`, `+4`, `5.0`; never `1.5`, `1e3`, `0x10`, `1,000`
float64     decimal or with exponent, `inf`; NaN is a missing value
bool        true/false, yes/no, t/f, y/n, 1/0, in any case
timestamp   ISO 8601, a date or date and time; without an offset it is read on the clock of the task's time zone
date        `2013-07-01`, also with a time of midnight
string      as it stands
==========  ==========================================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from components._shared.digests import arrow_type
from components._shared.task import ColumnType
from components._shared.windows import zone
from components.ingest.local_time import local_of, utc_of

if TYPE_CHECKING:
    import pyarrow as pa

_INTEGER = re.compile(r"([+-]?\d+)(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE)
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_EPOCH = datetime(1970, 1, 1)
_YEAR_ONE = (datetime(1, 1, 1) - _EPOCH) // timedelta(microseconds=1)
_YEAR_9999 = (datetime.max - _EPOCH) // timedelta(microseconds=1)
_DAY = 86_400_000_000
_BEYOND = "lies beyond the years 1 to 9999"


class ColumnTypeError(Exception):
    """A whole column of a file is of a type that the declared one is never read from."""


@dataclass
class Converted:
    """A column of its declared type.

    Attributes:
        array: The values; null where there is none, and where it could not be read.
        bad: Position → what is wrong there.
    """

    array: pa.Array
    bad: dict[int, str] = field(default_factory=dict)


def convert(values: pa.Array | Sequence[Any], declared: ColumnType, timezone: str) -> Converted:
    """Reads values as a declared type.

    Args:
        values: An Arrow array of texts or of a file's own type, or Python values (of JSON, of `tf.Example`).
        declared: The type of the pinned schema.
        timezone: For moments without an offset.

    Raises:
        ColumnTypeError: An Arrow array is of a type that the declared one is never read from.
    """
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return _from_arrow(values, declared, timezone)
    try:
        array = pa.array(values)
        if _is_text(array.type) or _family(array.type) in ("integer", "floating", "binary"):
            return _from_arrow(array, declared, timezone)
    except (pa.ArrowException, ColumnTypeError, OverflowError, ValueError, TypeError):
        pass
    return _one_by_one(values, declared, timezone)


def _from_arrow(array: pa.Array, declared: ColumnType, timezone: str) -> Converted:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_dictionary(kind):
        return _from_arrow(array.dictionary_decode(), declared, timezone)
    if pa.types.is_null(kind):
        return Converted(array.cast(arrow_type(declared)))
    if _is_text(kind):
        return _from_text(array.cast(pa.string()), declared, timezone)
    reader = _readers().get((declared, _family(kind)))
    if reader is None:
        raise ColumnTypeError(str(kind))
    return reader(array, timezone)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    view = getattr(pa.types, "is_string_view", lambda _: False)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or view(kind))


def _family(kind: pa.DataType) -> str:
    import pyarrow as pa

    for name in ("integer", "floating", "decimal", "boolean", "timestamp", "date", "binary", "large_binary"):
        if getattr(pa.types, f"is_{name}")(kind):
            return name.removeprefix("large_")
    return "other"


def _readers() -> Mapping[tuple[str, str], Callable[[pa.Array, str], Converted]]:
    return {
        ("int64", "integer"): lambda array, _: _whole_numbers(array),
        ("int64", "floating"): lambda array, _: _whole_numbers(array),
        ("int64", "decimal"): lambda array, _: _whole_numbers(array),
        ("float64", "integer"): lambda array, _: _numbers(array),
        ("float64", "floating"): lambda array, _: _numbers(array),
        ("float64", "decimal"): lambda array, _: _numbers(array),
        ("bool", "boolean"): lambda array, _: Converted(array),
        ("bool", "integer"): _each,
        ("timestamp", "timestamp"): _moments,
        ("timestamp", "date"): lambda array, timezone: _moments(array.cast("date32").cast("timestamp[us]"), timezone),
        ("date", "date"): lambda array, _: Converted(array.cast("date32")),
        ("date", "timestamp"): _days,
        ("string", "integer"): lambda array, _: Converted(array.cast("string")),
        ("string", "boolean"): lambda array, _: Converted(array.cast("string")),
        ("string", "binary"): _utf8,
    } | {
        (declared, "binary"): _utf8_as(declared)  # tf.Example and old Parquet writers keep texts as bytes
        for declared in ("int64", "float64", "bool", "timestamp", "date")
    }


def _utf8(array: pa.Array, _: str) -> Converted:
    import pyarrow as pa

    try:
        return Converted(array.cast("string"))
    except pa.ArrowInvalid:
        texts, bad = [], {}
        for position, value in enumerate(array.to_pylist()):
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
                bad[position] = "is not UTF-8 text"
        return Converted(pa.array(texts, "string"), bad)


def _utf8_as(declared: Any) -> Callable[[pa.Array, str], Converted]:
    def read(array: pa.Array, timezone: str) -> Converted:
        texts = _utf8(array, timezone)
        converted = _from_text(texts.array, declared, timezone)
        return Converted(converted.array, {**converted.bad, **texts.bad})

    return read


def _each(array: pa.Array, timezone: str) -> Converted:
    return _one_by_one(array.to_pylist(), "bool", timezone)


def _whole_numbers(array: pa.Array) -> Converted:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_float16(array.type):
        array = array.cast("float32")
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    try:
        return Converted(array.cast("int64"))
    except pa.ArrowInvalid:
        return _one_by_one(array.to_pylist(), "int64", "UTC")


def _numbers(array: pa.Array) -> Converted:
    import pyarrow as pa

    if pa.types.is_float16(array.type):
        array = array.cast("float32")
    return Converted(_nan_is_missing(array.cast("float64", safe=False)))


def _nan_is_missing(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    nan = pc.is_nan(array)
    return pc.if_else(nan, pa.scalar(None, pa.float64()), array) if pc.any(nan).as_py() else array


def _moments(array: pa.Array, timezone: str) -> Converted:
    """Naive ones are on the clock of the time zone; what is finer than a microsecond is cut off."""
    import pyarrow as pa
    import pyarrow.compute as pc

    naive = array.type.tz is None
    moments = array.cast("timestamp[us]" if naive else arrow_type("timestamp"), safe=False)
    count = moments.cast("int64")
    beyond = pc.or_kleene(pc.less(count, _YEAR_ONE + _DAY), pc.greater(count, _YEAR_9999 - _DAY)).fill_null(False)
    moments = pc.if_else(beyond, pa.scalar(None, moments.type), moments)
    positions = beyond.to_numpy(zero_copy_only=False).nonzero()[0]
    return Converted(_localised(moments, timezone) if naive else moments, {int(i): _BEYOND for i in positions})


def _localised(naive: pa.Array, timezone: str) -> pa.Array:
    import pyarrow as pa

    local = naive.cast("int64").fill_null(0).to_numpy(zero_copy_only=False)
    moments = pa.array(utc_of(local, timezone), mask=naive.is_null().to_numpy(zero_copy_only=False))
    return moments.cast(arrow_type("timestamp"))


def _days(array: pa.Array, timezone: str) -> Converted:
    """A timestamp that is midnight is a day: on its own clock if naive, on the task's otherwise."""
    import pyarrow as pa

    local = array.cast("timestamp[us]", safe=False).cast("int64").fill_null(0).to_numpy(zero_copy_only=False)
    if array.type.tz is not None:
        local = local_of(local, timezone)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    midnight = local % _DAY == 0
    days = pa.array((local // _DAY).astype("int32"), mask=missing | ~midnight).cast("date32")
    return Converted(days, {int(i): "is not a day: it has a time" for i in (~midnight & ~missing).nonzero()[0]})


def _from_text(array: pa.Array, declared: ColumnType, timezone: str) -> Converted:
    """Whole arrays by Arrow's own parser; where it refuses one value, each different text by ours."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if declared == "string":
        return Converted(array)
    try:
        match declared:
            case "int64":
                if not pc.any(pc.match_substring_regex(array, "[xX]")).as_py():
                    return Converted(array.cast("int64"))
            case "float64":
                return Converted(_nan_is_missing(array.cast("float64")))
            case "bool" | "date":
                return Converted(array.cast(arrow_type(declared)))
            case "timestamp":
                moments = _moments_of_text(array, timezone)
                span = pc.min_max(moments.cast("int64"))
                if moments.null_count == len(moments) or (
                    span["min"].as_py() >= _YEAR_ONE and span["max"].as_py() <= _YEAR_9999
                ):
                    return Converted(moments)
    except (pa.ArrowInvalid, OverflowError):
        pass
    return _by_distinct_text(array, declared, timezone)


def _moments_of_text(array: pa.Array, timezone: str) -> pa.Array:
    import pyarrow as pa

    try:
        return array.cast(arrow_type("timestamp"))
    except pa.ArrowInvalid:
        return _localised(array.cast("timestamp[us]"), timezone)


def _by_distinct_text(array: pa.Array, declared: ColumnType, timezone: str) -> Converted:
    encoded = array.dictionary_encode()
    known = _one_by_one(encoded.dictionary.to_pylist(), declared, timezone)
    converted = Converted(known.array.take(encoded.indices))
    if known.bad:
        for position, index in enumerate(encoded.indices.to_pylist()):
            if index in known.bad:
                converted.bad[position] = known.bad[index]
    return converted


def _one_by_one(values: Sequence[Any], declared: ColumnType, timezone: str) -> Converted:
    import pyarrow as pa

    read: list[Any] = []
    bad: dict[int, str] = {}
    for position, value in enumerate(values):
        try:
            read.append(None if value is None else parse(value, declared, timezone))
        except ValueError as cause:
            read.append(None)
            bad[position] = str(cause)
    if declared == "timestamp":
        return Converted(pa.array(read, pa.int64()).cast(arrow_type(declared)), bad)
    return Converted(pa.array(read, arrow_type(declared)), bad)


def parse(value: Any, declared: ColumnType, timezone: str) -> Any:
    """One value of a declared type; moments as microseconds UTC.

    Raises:
        ValueError: It is none; the message goes on after the value's name.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as cause:
            raise ValueError("is not UTF-8 text") from cause
    if isinstance(value, list | dict | tuple):
        raise ValueError(f"is not a single value of type {declared}")
    match declared:
        case "string":
            return _text(value)
        case "int64":
            return _integer(value)
        case "float64":
            return _float(value)
        case "bool":
            return _boolean(value)
        case "timestamp":
            return _moment(value, timezone)
        case "date":
            return _day(value, timezone)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        raise ValueError("is a number with a fraction, not a text")
    return str(value)


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        raise ValueError("is true or false, not a whole number")
    if isinstance(value, str):
        found = _INTEGER.fullmatch(value.strip())
        if found is None:
            raise ValueError("is not a whole number")
        number = int(found[1]) if len(found[1]) < 30 else 2**63
    elif isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return None
        raise ValueError("is not a whole number")
    elif value != int(value):
        raise ValueError("is not a whole number")
    else:
        number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("does not fit into 64 bits")
    return number


def _float(value: Any) -> float | None:
    if isinstance(value, bool):
        raise ValueError("is true or false, not a number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise ValueError("is not a number")
    try:
        number = float(value)
    except OverflowError as cause:
        raise ValueError("is too large") from cause
    return None if math.isnan(number) else number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _BOOLEANS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if found is None:
        raise ValueError("is neither true nor false")
    return found


def _moment(value: Any, timezone: str) -> int:
    moment = _read_moment(value)
    local = (moment.replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)
    offset = (moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))).utcoffset() or timedelta()
    utc = local - offset // timedelta(microseconds=1)
    if not _YEAR_ONE <= utc <= _YEAR_9999:
        raise ValueError(_BEYOND)
    return utc


def _day(value: Any, timezone: str) -> date:
    try:
        moment = _read_moment(value)
    except ValueError as cause:
        raise ValueError("is not a day such as 2013-07-01") from cause
    local = moment.astimezone(zone(timezone)) if moment.tzinfo else moment
    if local.time() != time():
        raise ValueError("is not a day: it has a time")
    return local.date()


def _read_moment(value: Any) -> datetime:
    problem = "is not a date or moment such as 2013-07-01T10:00:00Z"
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(problem)
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    text = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}.{(fraction or '0')[:6]:0<6}"
    try:
        moment = datetime.fromisoformat(text + (offset or "").upper())
    except ValueError as cause:
        raise ValueError(problem) from cause
    return moment
