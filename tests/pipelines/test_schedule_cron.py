"""Cron as KFP's scheduler reads it."""

from datetime import datetime
from itertools import islice

import pytest

from pipelines.cluster.cron import parse_cron

# What github.com/robfig/cron v1.2.0, KFP's own parser, answers to the same questions.
GOLDEN = [
    ("0 30 3 * * *", "UTC", "2024-06-01T03:30:00", ["2024-06-02T03:30", "2024-06-03T03:30", "2024-06-04T03:30"]),
    ("0 30 2 * * *", "America/New_York", "2024-03-09T12:00:00", ["2024-03-11T06:30", "2024-03-12T06:30"]),
    ("0 30 1 * * *", "America/New_York", "2024-11-03T05:30:00", ["2024-11-03T06:30", "2024-11-04T06:30"]),
    ("0 0 0 1,15 * 1", "UTC", "2024-06-01T00:00:00", ["2024-06-03T00:00", "2024-06-10T00:00", "2024-06-15T00:00"]),
    ("0 0 0 */2 * 1", "UTC", "2024-06-01T00:00:00", ["2024-06-03T00:00", "2024-06-17T00:00", "2024-07-01T00:00"]),
    ("0 */20 8-10 * * mon-fri", "Europe/Berlin", "2024-06-07T08:30:00", ["2024-06-07T08:40", "2024-06-10T06:00"]),
    ("0 0 12 29 feb ?", "UTC", "2024-06-01T00:00:00", ["2028-02-29T12:00", "2032-02-29T12:00"]),
    ("5/20 10-12/2 * * * *", "UTC", "2024-06-01T00:00:00", ["2024-06-01T00:10:05", "2024-06-01T00:10:25"]),
    ("0 0 5 * * 0", "Asia/Kathmandu", "2024-06-01T00:00:00", ["2024-06-01T23:15", "2024-06-08T23:15"]),
    ("0 15 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00", ["2018-11-05T02:15", "2018-11-06T02:15"]),
]


def moment(text):
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(("text", "timezone", "start", "expected"), GOLDEN)
def test_the_next_times_are_those_of_kfp(text, timezone, start, expected):
    found = islice(parse_cron(text).times(moment(start), timezone), len(expected))
    assert list(found) == [moment(each) for each in expected]


@pytest.mark.parametrize(
    ("usual", "six"),
    [
        ("0 2 * * *", "0 0 2 * * *"),
        ("30 3 * * 7", "0 30 3 * * 0"),
        ("30 3 * * 5-7", "0 30 3 * * 0,5-6"),
        ("30 3 * * sun", "0 30 3 * * sun"),
        ("*/15 * 1,15 jan-jun *", "0 */15 * 1,15 jan-jun *"),
        ("15 30 3 * * *", "15 30 3 * * *"),
    ],
)
def test_five_fields_become_the_six_of_kfp(usual, six):
    assert parse_cron(usual).text == six


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("60 3 * * *", "minute: '60' is not 0 to 59"),
        ("0 24 * * *", "hour: '24' is not 0 to 23"),
        ("0 3 0 * *", "day of month: '0' is not 1 to 31"),
        ("0 3 * may-x *", "month: 'x' is not 1 to 12 or jan to dec"),
        ("0 3 * * 8", "day of week: '8' is not 0 to 6 or sun to sat"),
        ("0 3 L * *", "day of month: 'L'"),
        ("0 3 5-2 * *", "day of month: the range 5-2 ends before it begins"),
        ("*/0 3 * * *", "minute: a step is a whole number above 0, not '0'"),
        ("0 12 30 2 *", "names a day that no month has"),
        ("@daily", "has 1 fields; write five"),
        ("TZ=UTC 0 0 3 * * *", "has 7 fields"),
        ("", "has 0 fields"),
    ],
)
def test_what_kfp_does_not_know_is_refused(text, said):
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        parse_cron(text)
