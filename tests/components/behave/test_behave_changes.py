"""How rows are changed: values stay what they are, and what is drawn depends on the row alone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components._shared.behaviour_tests import BehaviourTest
from components.behave.asking import Asked, Spread
from components.behave.changes import changed_columns


def asked_of(values: list[Any], column_type: pa.DataType, near: list[bool] | None = None) -> Asked:
    """Rows of one column."""
    given = [float(value) for value in values if isinstance(value, int | float) and abs(value) < 1e38]
    spread = {"x": Spread(float(np.std(given)), min(given), max(given))} if given else {}
    keys = [f"{number:032x}" for number in range(len(values))]
    rows = pa.RecordBatch.from_arrays([pa.array(keys), pa.array(values, column_type)], names=["_key", "x"])
    return Asked(
        rows=rows,
        near=np.array(near or [False] * len(values)),
        cluster=np.zeros(len(values), np.int64),
        farthest=None,
        spread=spread,
    )


def change(change: dict[str, Any], values: list[Any], column_type: pa.DataType, **fields: Any) -> tuple[Any, list[int]]:
    test = BehaviourTest.from_value(
        {"name": fields.pop("name", "mine"), "features": ["x"], "change": change, "expect": {"within": 1}}
    )
    columns, changed = changed_columns(test, asked_of(values, column_type, **fields), "America/New_York")
    return columns["x"], np.flatnonzero(changed).tolist()


def test_whole_numbers_stay_whole_and_within_their_range() -> None:
    values = [*range(0, 1440, 7), None]

    found, changed = change({"jitter": 0.5}, values, pa.int64())

    assert found.type == pa.int64() and found[-1].as_py() is None
    assert min(found[:-1].to_pylist()) >= 0 and max(found[:-1].to_pylist()) <= values[-2]
    assert len(changed) > 150 and len(values) - 1 not in changed
    moved = np.array(found[:-1].to_pylist()) - np.array(values[:-1])
    assert 0.2 < moved.std() / np.std(values[:-1]) < 0.6


def test_noise_depends_on_the_row_and_the_test_alone() -> None:
    values = np.linspace(0, 1, 50).tolist()
    first, _ = change({"jitter": 0.1}, values, pa.float64())

    assert change({"jitter": 0.1}, values, pa.float64())[0].equals(first)
    assert not change({"jitter": 0.1}, values, pa.float64(), name="other")[0].equals(first)


def test_a_constant_column_has_no_noise() -> None:
    assert change({"jitter": 1}, [3.0, 3.0], pa.float64())[1] == []


@pytest.mark.parametrize(
    ("given", "values", "column_type", "expected", "changed"),
    [
        ({"round_to": 5}, [1, 4, 10, None], pa.int64(), [0, 5, 10, None], [0, 1]),
        ({"round_to": 0.1}, [0.30000000000000004, 0.34], pa.float64(), [0.3, 0.3], [1]),
        ({"add": 60}, [1, None], pa.int64(), [61, None], [0]),
        ({"add": 0.5}, [1, None], pa.int64(), [1.5, None], [0]),
        ({"missing": True}, [1, None], pa.int64(), [None, None], [0]),
        ({"missing": True}, ["a", None], pa.string(), [None, None], [0]),
        ({"add": 2.0**62}, [1, -(2**63)], pa.int64(), [2.0**62, -(2.0**62)], [0, 1]),
        ({"add": 2.0**63}, [2**62, -1], pa.int64(), [2.0**63 + 2.0**62, 2.0**63], [0, 1]),
        (
            {"add": 1e38},
            [1.7976931348623157e308, float("inf")],
            pa.float64(),
            [1.7976931348623157e308, float("inf")],
            [],
        ),
        ({"round_to": 0.1}, [1.7976931348623157e308], pa.float64(), [1.7976931348623157e308], []),
        ({"set_to": 7}, [7, 1, None], pa.int64(), [7, 7, 7], [1, 2]),
        ({"set_to": 2.0**53}, [1, None], pa.int64(), [2**53, 2**53], [0, 1]),
        ({"set_to": 1e17}, [1, None], pa.int64(), [1e17, 1e17], [0, 1]),
        ({"set_to": -1e19}, [2**63 - 1], pa.int64(), [-1e19], [0]),
        ({"set_to": "new"}, ["new", "a", None], pa.string(), ["new"] * 3, [1, 2]),
        ({"set_to": "new"}, [1, None], pa.int64(), ["new", "new"], [0, 1]),
        ({"swap": [["a", "b", "c"]]}, ["a", "b", "c", "d", None], pa.string(), ["b", "c", "a", "d", None], [0, 1, 2]),
        ({"swap": [["1", "one"]]}, [1, 2], pa.int64(), ["one", "2"], [0]),
        ({"missing": True}, [True, None], pa.bool_(), [None, None], [0]),
        ({"replace": True}, [None, 3], pa.int64(), [None, 3], []),
    ],
)
def test_values_are_changed_as_it_is_said(
    given: dict[str, Any], values: list[Any], column_type: Any, expected: list[Any], changed: list[int]
) -> None:
    found, which = change(given, values, column_type)

    assert found.to_pylist() == (pytest.approx(expected) if column_type == pa.float64() else expected)
    assert which == changed


def test_noise_leaves_what_is_infinite_to_a_model_as_it_is() -> None:
    values = [*np.linspace(0, 1, 50).tolist(), float("inf"), float("-inf"), 1e300, None]

    found, changed = change({"jitter": 0.5}, values, pa.float64())

    assert found.to_pylist()[50:] == values[50:]
    assert max(changed) < 50 and len(changed) > 40


def test_noise_keeps_the_largest_whole_numbers_apart_from_the_smallest() -> None:
    values = [2**63 - 1, -(2**63), 2**62, 0]

    found, _ = change({"jitter": 0.5}, values, pa.int64())

    assert found.to_pylist()[0] > 0 > found.to_pylist()[1]
    assert max(map(abs, found.to_pylist())) <= 2.0**63


def test_a_value_is_replaced_by_those_of_rows_from_everywhere() -> None:
    values = ["near"] * 50 + ["far"] * 30 + ["farther"] * 20

    found, changed = change({"replace": True}, values, pa.string(), near=[True] * 50 + [False] * 50)

    assert set(found.to_pylist()) == {"far", "farther"}
    assert set(range(50)) <= set(changed)
    assert 20 <= found.to_pylist().count("farther") <= 60


def test_a_day_of_the_calendar_has_its_own_length() -> None:
    before_the_change = datetime(2024, 3, 10, 5, tzinfo=UTC)
    moments = pa.timestamp("us", tz="UTC")

    assert change({"shift": "1d"}, [before_the_change, None], moments)[0].to_pylist() == [
        datetime(2024, 3, 11, 4, tzinfo=UTC),
        None,
    ]
    assert change({"shift": "-30min"}, [before_the_change], moments)[0].to_pylist() == [
        datetime(2024, 3, 10, 4, 30, tzinfo=UTC)
    ]


def test_an_hour_that_the_clock_shows_twice_is_two_hours() -> None:
    first, second = (datetime(2024, 11, 3, hour, 30, tzinfo=UTC) for hour in (5, 6))
    moments = pa.timestamp("us", tz="UTC")

    for shift, expected in {
        "-30min": [datetime(2024, 11, 3, hour, tzinfo=UTC) for hour in (5, 6)],
        "1h": [datetime(2024, 11, 3, hour, 30, tzinfo=UTC) for hour in (6, 7)],
        "1d": [datetime(2024, 11, 4, 6, 30, tzinfo=UTC)] * 2,
    }.items():
        assert change({"shift": shift}, [first, second], moments)[0].to_pylist() == expected


def test_no_moment_is_shifted_beyond_the_ends_of_the_calendar() -> None:
    never, always = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)
    today, moments = datetime(2024, 3, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC")

    found, changed = change({"shift": "1d"}, [never, today, None], moments)
    assert (found.to_pylist(), changed) == ([never, datetime(2024, 3, 2, tzinfo=UTC), None], [1])
    # New York has no year 1 yet, so its days cannot be counted; hours can.
    assert change({"shift": "1d"}, [always], moments)[1] == []
    assert change({"shift": "-1h"}, [always, never], moments)[1] == [1]

    days = [date.max, date.min, date(2024, 3, 1), None]
    found, changed = change({"shift": "1w"}, days, pa.date32())
    assert found.to_pylist() == [date.max, date(1, 1, 8), date(2024, 3, 8), None]
    assert changed == [1, 2]


def test_a_day_that_only_the_column_can_hold_stays_as_it_is() -> None:
    in_ten_thousand_years = 4_000_000

    found, changed = change({"shift": "1d"}, [in_ten_thousand_years, 0], pa.date32())

    assert (found.cast(pa.int32()).to_pylist(), changed) == ([in_ten_thousand_years, 1], [1])


def test_a_date_stays_a_date() -> None:
    found, changed = change({"shift": "-30min"}, [date(2024, 3, 1)], pa.date32())
    assert (found.to_pylist(), changed) == ([date(2024, 2, 29)], [0])

    assert change({"shift": "1h"}, [date(2024, 3, 1)], pa.date32())[1] == []
