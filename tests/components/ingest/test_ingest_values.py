from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.local_time import local_of, utc_of
from components.ingest.values import ColumnTypeError, convert, parse

ZONE = "America/New_York"


def read(value, declared):
    """One value as a text, by the path of whole arrays and by the path of single values; both must agree."""
    alone = convert(pa.array([value]), declared, ZONE)
    beside_bad = convert(pa.array([value, "\x00never"]), declared, ZONE)
    assert alone.array[0] == beside_bad.array[0]
    assert alone.bad.get(0) == beside_bad.bad.get(0)
    return ValueError if alone.bad else alone.array[0].as_py()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12), ("-3", -3), ("+4", 4), (" 5 ", 5), ("5.0", 5), ("007", 7), ("9223372036854775807", 2**63 - 1),
        ("1.5", ValueError), ("1e3", ValueError), ("0x10", ValueError), ("1,000", ValueError), ("1_0", ValueError),
        ("9223372036854775808", ValueError), ("9" * 400, ValueError), ("٣", ValueError), ("", ValueError),
    ],
)  # fmt: skip
def test_whole_numbers(text, expected):
    assert read(text, "int64") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", 1.5), ("-.5", -0.5), ("1.", 1.0), ("1e3", 1000.0), (" 2 ", 2.0), ("inf", math.inf), ("1e400", math.inf),
        ("nan", None), ("1,5", ValueError), ("1_0", ValueError), ("0x10", ValueError), ("1d", ValueError),
        ("", ValueError),
    ],
)  # fmt: skip
def test_numbers(text, expected):
    assert read(text, "float64") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True), ("TRUE", True), ("1", True), ("yes", True), ("Y", True), ("t", True), ("false", False),
        ("No", False), ("0", False), ("f", False), ("2", ValueError), ("", ValueError), ("on", ValueError),
    ],
)  # fmt: skip
def test_booleans(text, expected):
    assert read(text, "bool") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-07-01T10:00:00Z", datetime(2013, 7, 1, 10, tzinfo=UTC)),
        ("2013-07-01T10:00:00+02:00", datetime(2013, 7, 1, 8, tzinfo=UTC)),
        ("2013-07-01 10:00:00.25 +0200", datetime(2013, 7, 1, 8, 0, 0, 250_000, tzinfo=UTC)),
        ("2013-07-01T10:00:00", datetime(2013, 7, 1, 14, tzinfo=UTC)),
        ("2013-01-01 10:00", datetime(2013, 1, 1, 15, tzinfo=UTC)),
        ("2013-01-01", datetime(2013, 1, 1, 5, tzinfo=UTC)),
        ("2013-01-01T10:00:00.123456789Z", datetime(2013, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2013-03-10T02:30:00", datetime(2013, 3, 10, 7, 30, tzinfo=UTC)),
        ("2013-11-03T01:30:00", datetime(2013, 11, 3, 5, 30, tzinfo=UTC)),
        ("2013-02-30", ValueError), ("01/02/2013", ValueError), ("1372672800", ValueError), ("20130701", ValueError),
        ("0000-01-01", ValueError), ("2013-07-01T25:00:00", ValueError), ("", ValueError),
    ],
)  # fmt: skip
def test_moments(text, expected):
    assert read(text, "timestamp") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-07-01", date(2013, 7, 1)), ("2013-07-01 00:00:00", date(2013, 7, 1)), ("2013-07-01T10:00", ValueError),
        ("2013-07-01T04:00:00Z", date(2013, 7, 1)), ("2013-13-01", ValueError), ("July 1", ValueError),
    ],
)  # fmt: skip
def test_days(text, expected):
    assert read(text, "date") == expected


@settings(max_examples=200, deadline=None)
@given(
    text=st.one_of(
        st.from_regex(r"[+-]?[0-9.xeE_ ]{0,8}", fullmatch=True),
        st.from_regex(r"\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,8})?)?)?(Z|[+-]\d\d:?\d\d)?)?", fullmatch=True),
        st.sampled_from(["True", "nan", "-inf", "yes", "0", "infinity", "1E5", "-0", "-0.0"]),
        st.text(max_size=6),
    ),
    declared=st.sampled_from(["int64", "float64", "bool", "timestamp", "date", "string"]),
)
def test_a_text_has_one_meaning_whatever_stands_beside_it(text, declared):
    read(text, declared)


@pytest.mark.parametrize(
    ("array", "declared", "expected"),
    [
        (pa.array([1, None], pa.int8()), "int64", [1, None]),
        (pa.array([2**64 - 1, 3], pa.uint64()), "int64", [None, 3]),
        (pa.array([1.0, 2.5, math.nan, math.inf]), "int64", [1, None, None, None]),
        (pa.array([Decimal("1.00"), Decimal("2.50")]), "int64", [1, None]),
        (pa.array([Decimal("2.50")]), "float64", [2.5]),
        (pa.array([1, 2], pa.int64()), "float64", [1.0, 2.0]),
        (pa.array([0, 1, 2], pa.int8()), "bool", [False, True, None]),
        (pa.array([7, None]), "string", ["7", None]),
        (pa.array(["a", None]).dictionary_encode(), "string", ["a", None]),
        (pa.array(["1", "x"], pa.large_string()), "int64", [1, None]),
        (pa.array([b"ok", b"\xff"]), "string", ["ok", None]),
        (pa.array([b"12", b"x", b"\xff"]), "int64", [12, None, None]),
        (pa.nulls(2), "date", [None, None]),
        (pa.array([date(2013, 7, 1)]), "timestamp", [datetime(2013, 7, 1, 4, tzinfo=UTC)]),
        (pa.array([datetime(2013, 7, 1)], pa.timestamp("ns")), "timestamp", [datetime(2013, 7, 1, 4, tzinfo=UTC)]),
        (pa.array([datetime(2013, 7, 1)], pa.timestamp("s", "UTC")), "timestamp", [datetime(2013, 7, 1, tzinfo=UTC)]),
        (pa.array([datetime(2013, 7, 1), datetime(2013, 7, 1, 1)]), "date", [date(2013, 7, 1), None]),
        (pa.array([2**62], pa.timestamp("us")), "timestamp", [None]),
    ],
)
def test_columns_of_a_file_s_own_type(array, declared, expected):
    converted = convert(array, declared, ZONE)
    assert converted.array.to_pylist() == expected
    assert set(converted.bad) <= {i for i, value in enumerate(expected) if value is None}


@pytest.mark.parametrize(
    ("array", "declared"),
    [
        (pa.array([1.5]), "string"),
        (pa.array([True]), "int64"),
        (pa.array([1]), "timestamp"),
        (pa.array([[1]]), "int64"),
        (pa.array([{"a": 1}]), "string"),
    ],
)
def test_a_column_of_a_type_that_is_never_meant_is_refused(array, declared):
    with pytest.raises(ColumnTypeError):
        convert(array, declared, ZONE)


@pytest.mark.parametrize(
    ("values", "declared", "expected", "bad"),
    [
        ([1, 2.0, 2.5, "3", None, True, [1], 2**70], "int64", [1, 2, None, 3, None, None, None, None], {2, 5, 6, 7}),
        ([1, 2.5, "x", False], "float64", [1.0, 2.5, None, None], {2, 3}),
        ([True, 0, "yes", 1.0, 5], "bool", [True, False, True, None, None], {3, 4}),
        (["a", 1, True, 1.5, {"b": 1}], "string", ["a", "1", "true", None, None], {3, 4}),
        ([5, 6], "timestamp", [None, None], {0, 1}),
    ],
)
def test_values_of_json_and_examples(values, declared, expected, bad):
    converted = convert(values, declared, ZONE)
    assert converted.array.to_pylist() == expected and set(converted.bad) == bad


def test_what_is_wrong_reads_as_a_sentence():
    with pytest.raises(ValueError, match="is not a whole number"):
        parse("1.5", "int64", ZONE)


@settings(max_examples=50, deadline=None)
@given(
    moments=st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=20),
    name=st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Monrovia"]),
)
def test_the_calendar_of_a_zone_is_that_of_the_standard_library(moments, name):
    epoch, tz = datetime(1970, 1, 1), ZoneInfo(name)
    counted = np.array([(moment - epoch) // timedelta(microseconds=1) for moment in moments], dtype=np.int64)
    for moment, utc, local in zip(moments, utc_of(counted, name), local_of(counted, name), strict=True):
        expected = moment.replace(tzinfo=tz).astimezone(UTC).replace(tzinfo=None)
        assert epoch + timedelta(microseconds=int(utc)) == expected
        assert epoch + timedelta(microseconds=int(local)) == moment.replace(tzinfo=UTC).astimezone(tz).replace(
            tzinfo=None
        )
