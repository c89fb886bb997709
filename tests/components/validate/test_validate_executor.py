from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._shared.errors import CorruptError, NotFoundError
from components._shared.gates import DataGates
from components._shared.manifest import Rows
from components._shared.task import Column, Schema
from components._shared.verdict import Check
from components.validate.executor import Validation


def checks(found: Validation, name: str) -> dict[str, Check]:
    return {check.slice: check for check in found.verdict.checks if check.name == name}


def facts(found: Validation, name: str) -> Any:
    return next(each for each in found.evidence.features if each.name == name)


def test_ordinary_rows_pass_and_their_figures_are_right(case: Any) -> None:
    found = case.run()
    assert found.verdict.outcome == "passed", found.verdict.summary
    assert found.evidence.proposal == ""
    distances = [value for value in case.train["distance"] if value is not None]
    seen = facts(found, "distance")
    assert seen.rows == 4000
    assert seen.missing == pytest.approx(1 - len(distances) / 4000)
    assert seen.mean == pytest.approx(sum(distances) / len(distances))
    assert (seen.min, seen.max) == (min(distances), max(distances))
    assert seen.median == pytest.approx(sorted(distances)[len(distances) // 2], rel=0.02)
    assert sum(each.share for each in seen.bins) == pytest.approx(1, abs=0.02)
    assert len(seen.bins) <= 20
    carriers = {each.label: each.share for each in facts(found, "carrier").bins}
    assert carriers == {name: case.train["carrier"].count(name) / 4000 for name in carriers}
    assert found.evidence.parts == {"train": 4000, "test": 2000}


def test_the_same_rows_give_the_same_bytes(case: Any) -> None:
    first, second = case.run(), case.run()
    assert first.statistics == second.statistics
    assert first.evidence.to_json() == second.evidence.to_json()
    assert first.verdict.to_json() == second.verdict.to_json()


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("data.malformed", Rows(read=1000, kept=997, malformed=3), Rows(read=1000, kept=999, malformed=1)),
        ("data.label_missing", Rows(read=1000, kept=980, label_missing=20), Rows(read=10, kept=990, label_missing=10)),
        ("data.duplicates", Rows(read=1000, kept=999, duplicate=1), Rows(read=1000, kept=1000)),
        ("data.min_rows", Rows(read=99, kept=99), Rows(read=100, kept=100)),
    ],
)
def test_each_limit_on_rows_fails_and_passes(case: Any, name: str, bad: Rows, good: Rows) -> None:
    failed = case.run(rows=bad)
    assert failed.verdict.outcome == "failed"
    assert [check.name for check in failed.verdict.checks if check.outcome == "failed"] == [name]
    assert checks(failed, name)[""].reason in failed.verdict.summary
    assert checks(case.run(rows=good), name)[""].outcome == "passed"


def test_without_an_earlier_snapshot_drift_is_a_notice_and_no_failure(case: Any) -> None:
    found = case.run()
    assert not checks(found, "data.drift_psi")
    assert any("no earlier snapshot" in notice for notice in found.evidence.notices)


def test_drift_against_the_previous_snapshot(case: Any, moved: Callable[..., Any], tmp_path: Path) -> None:
    before = tmp_path / "statistics.pb"
    before.write_bytes(case.run().statistics)
    same = case.run(previous=str(before))
    assert same.verdict.outcome == "passed"
    assert facts(same, "distance").drift.psi == pytest.approx(0, abs=1e-9)
    found = case.run(train=moved(case.train), test=moved(case.test), previous=str(before))
    outcomes = {slice_: check.outcome for slice_, check in checks(found, "data.drift_psi").items()}
    assert outcomes == {"feature=carrier": "passed", "feature=distance": "failed", "feature=minute": "passed"}
    assert facts(found, "distance").drift.ks > 0.4
    assert "between the previous snapshot and train" in checks(found, "data.drift_psi")["feature=distance"].reason
    assert found.evidence.previous == str(before)


def test_skew_between_train_and_test(case: Any, moved: Callable[..., Any]) -> None:
    found = case.run(test=moved(case.test))
    assert checks(found, "data.skew_psi")["feature=distance"].outcome == "failed"
    assert found.verdict.outcome == "failed"
    reported = case.run(test=moved(case.test), gates=DataGates(skew_psi=None))
    assert checks(reported, "data.skew_psi")["feature=distance"].limit == "reported only"
    assert reported.verdict.outcome == "passed"


def test_few_rows_do_not_fail_for_what_may_be_chance(case: Any) -> None:
    few = {name: values[:20] for name, values in case.test.items()}
    found = case.run(test=few, gates=DataGates(skew_psi=0.05))
    over = [check for check in checks(found, "data.skew_psi").values() if (check.observed or 0) > 0.05]
    assert over
    assert all(check.outcome == "passed" and "chance" in check.reason for check in over)


def test_a_column_that_the_earlier_snapshot_lacks_is_a_notice(case: Any, tmp_path: Path) -> None:
    before = tmp_path / "statistics.pb"
    before.write_bytes(case.run(kinds={"carrier": "categorical"}, pinned={}).statistics)
    found = case.run(previous=str(before))
    assert found.verdict.outcome == "passed"
    assert any("'distance', 'minute'" in notice for notice in found.evidence.notices)


def test_an_earlier_snapshot_that_is_none_cannot_be_judged_against(case: Any, tmp_path: Path) -> None:
    broken = tmp_path / "statistics.pb"
    broken.write_bytes(b"\xff\xff not statistics")
    with pytest.raises(CorruptError, match="not the statistics"):
        case.run(previous=str(broken))
    with pytest.raises(NotFoundError):
        case.run(previous=str(tmp_path / "gone.pb"))


def test_unseen_categories_are_counted_and_proposed(case: Any) -> None:
    test = {**case.test, "carrier": ["WN"] * 120 + list(case.test["carrier"][120:])}
    found = case.run(test=test)
    check = checks(found, "data.unseen")["feature=carrier"]
    assert (check.outcome, check.observed) == ("failed", pytest.approx(0.06))
    assert not [each for each in found.verdict.checks if each.name == "data.anomalies" and each.outcome == "failed"]
    proposed = Schema.from_json(found.evidence.proposal)
    assert proposed.columns["carrier"].domain == ("AA", "B6", "DL", "EV", "UA", "WN")
    assert '1 new category: "WN" (6.00%)' in found.evidence.proposal


def test_few_unseen_categories_are_a_notice(case: Any) -> None:
    found = case.run(train={**case.train, "carrier": ["WN"] * 40 + list(case.train["carrier"][40:])})
    assert checks(found, "data.unseen")["feature=carrier"].outcome == "passed"
    assert [(each.column, each.severity) for each in found.evidence.anomalies] == [("carrier", "notice")]
    assert facts(found, "carrier").unseen == pytest.approx(0.01)


def test_values_beyond_pinned_bounds_fail_and_are_proposed(case: Any) -> None:
    pinned = {"minute": Column(type="int64", min=300, max=1000), "distance": Column(type="float64", min=900)}
    found = case.run(pinned=pinned)
    failed = checks(found, "data.anomalies")
    assert failed["feature=minute"].outcome == "failed"
    assert "the largest value is 1435, above the pinned 1000" in failed["feature=minute"].reason
    assert "the smallest value is" in failed["feature=distance"].reason
    assert Schema.from_json(found.evidence.proposal).columns["minute"].max == 1435
    assert "above 1000" in found.evidence.proposal
    assert case.run(pinned={"minute": Column(type="int64", min=300, max=1435)}).verdict.outcome == "passed"


def test_more_missing_than_pinned_fails_and_is_proposed(case: Any) -> None:
    found = case.run(pinned={"distance": Column(type="float64", max_missing=0.01)})
    assert checks(found, "data.anomalies")["feature=distance"].outcome == "failed"
    assert "more than the pinned 1.00%" in checks(found, "data.anomalies")["feature=distance"].reason
    proposed = Schema.from_json(found.evidence.proposal).columns["distance"].max_missing
    assert proposed is not None
    assert 0.03 < proposed < 0.08
    assert case.run(pinned={"distance": Column(type="float64", max_missing=proposed)}).verdict.outcome == "passed"


def test_limits_of_columns_that_are_no_features_hold_too(case: Any) -> None:
    found = case.run(kinds={"carrier": "categorical"}, pinned={"minute": Column(type="int64", max=1000)})
    assert checks(found, "data.anomalies")["feature=minute"].outcome == "failed"
    assert [each.name for each in found.evidence.features] == ["carrier"]


def test_an_anomaly_of_test_alone_counts(case: Any) -> None:
    test = {**case.test, "minute": [99_999, *case.test["minute"][1:]]}
    found = case.run(test=test, pinned={"minute": Column(type="int64", max=1440)})
    assert checks(found, "data.anomalies")["feature=minute"].reason.startswith("'minute': In test:")


def test_bounds_of_numbers_used_as_categories(case: Any) -> None:
    kinds = {**case.kinds, "minute": "categorical"}
    fails = case.run(kinds=kinds, pinned={"minute": Column(type="int64", min=300, max=1000)})
    assert checks(fails, "data.anomalies")["feature=minute"].outcome == "failed"
    wide = case.run(kinds=kinds, pinned={"minute": Column(type="int64", min=0, max=100_000)})
    assert wide.verdict.outcome == "passed"
    assert any("'minute' were not checked" in notice for notice in wide.evidence.notices)


def test_a_feature_that_the_rows_lack_fails(case: Any) -> None:
    found = case.run(kinds={**case.kinds, "weather": "categorical"})
    assert checks(found, "data.schema")["feature=weather"].outcome == "failed"
    assert found.verdict.outcome == "failed"


@pytest.mark.parametrize("kind", ["numeric", "categorical", "boolean", "datetime"])
def test_a_column_without_any_value(case: Any, kind: str) -> None:
    types = {"numeric": "float64", "categorical": "string", "boolean": "bool", "datetime": "timestamp"}
    columns = {**case.columns, "empty": types[kind]}
    empty = {"train": {**case.train, "empty": [None] * 4000}, "test": {**case.test, "empty": [None] * 2000}}
    needed = case.run(columns=columns, kinds={**case.kinds, "empty": kind}, **empty)
    assert checks(needed, "data.anomalies")["feature=empty"].outcome == "failed"
    assert "no row has a value" in checks(needed, "data.anomalies")["feature=empty"].reason
    assert (facts(needed, "empty").missing, facts(needed, "empty").bins) == (1, ())
    optional = {"empty": Column(type=types[kind], required=False)}
    allowed = case.run(columns=columns, kinds={**case.kinds, "empty": kind}, pinned=optional, **empty)
    assert allowed.verdict.outcome == "passed", allowed.verdict.summary


def test_a_column_with_a_single_value(case: Any) -> None:
    train = {**case.train, "minute": [600] * 4000, "carrier": ["UA"] * 4000}
    test = {**case.test, "minute": [600] * 2000, "carrier": ["UA"] * 2000}
    found = case.run(train=train, test=test)
    assert found.verdict.outcome == "passed"
    assert facts(found, "minute").std == 0
    assert [(each.label, each.share) for each in facts(found, "carrier").bins] == [("UA", 1.0)]


def test_booleans_dates_and_moments(case: Any) -> None:
    start = datetime(2013, 1, 1, tzinfo=UTC)
    columns = {"paid": "bool", "flag": "int64", "seen": "timestamp", "born": "date"}
    kinds = {"paid": "boolean", "flag": "boolean", "seen": "datetime", "born": "datetime"}

    def rows(count: int, shift: int) -> dict[str, list[Any]]:
        return {
            "paid": [None if i % 10 == 0 else i % 4 == 0 for i in range(count)],
            "flag": [i % 3 for i in range(count)],
            "seen": [start + timedelta(days=shift, minutes=i) for i in range(count)],
            "born": [date(1980, 1, 1) + timedelta(days=shift + i) for i in range(count)],
        }

    found = case.run(columns=columns, kinds=kinds, pinned={}, train=rows(1000, 0), test=rows(1000, 400))
    # Dates move on by nature: reported, never held against the rows.
    assert found.verdict.outcome == "passed", found.verdict.summary
    assert facts(found, "seen").skew.psi > 1
    assert "feature=seen" not in checks(found, "data.skew_psi")
    assert [(each.label, round(each.share, 3)) for each in facts(found, "flag").bins] == [
        ("false", 0.334),
        ("true", 0.666),
    ]
    assert facts(found, "paid").missing == pytest.approx(0.1)
    assert facts(found, "seen").min == start.timestamp() * 1e6
    assert facts(found, "born").bins[0].label.startswith("1980-01-01")


def test_odd_column_names(case: Any) -> None:
    names = ["a b", "a.b", "naïve café", 'it\'s "quoted"', "x/y", "99", "(1,2)", "back\\slash", "列"]
    columns = dict.fromkeys(names, "string")
    pinned = {name: Column(type="string", domain=("ok",)) for name in names}
    rows = {name: ["ok", "bad"] * 200 for name in names}
    found = case.run(columns=columns, kinds=dict.fromkeys(names, "categorical"), pinned=pinned, train=rows, test=rows)
    assert {slice_.removeprefix("feature=") for slice_ in checks(found, "data.unseen")} == set(names)
    assert {each.column for each in found.evidence.anomalies} == set(names)
    proposed = Schema.from_json(found.evidence.proposal)
    assert all(proposed.columns[name].domain == ("ok", "bad") for name in names)


def test_odd_values_of_categories(case: Any) -> None:
    odd = ["", " ", "NA", "a|b", "<b>", "\n", "😀", "x" * 3000, "'", "null"]
    rows = {"carrier": odd * 50}
    found = case.run(columns={"carrier": "string"}, kinds={"carrier": "categorical"}, pinned={}, train=rows, test=rows)
    assert found.verdict.outcome == "passed"
    assert sum(each.share for each in facts(found, "carrier").bins) == pytest.approx(1)
    assert facts(found, "carrier").distinct == len(odd)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_infinite_numbers_do_not_break_the_evidence(case: Any) -> None:
    odd = [math.inf, -math.inf, math.nan, 1e308, -1e308]
    found = case.run(train={**case.train, "distance": [*odd, *case.train["distance"][5:]]})
    assert yaml.safe_load(found.evidence.to_json())
    assert facts(found, "distance").max is None
    assert facts(found, "distance").missing > 0


def test_regression_and_multiclass_labels(case: Any) -> None:
    label = [float(i) for i in range(4000)]
    found = case.run(problem="regression", train={**case.train, "_label": label})
    assert found.evidence.label is not None
    assert (found.evidence.label.kind, found.evidence.label.mean) == ("numeric", pytest.approx(1999.5))
    classes = [float(i % 3) for i in range(4000)]
    found = case.run(
        problem="multiclass_classification", classes=("red", "green", "blue"), train={**case.train, "_label": classes}
    )
    assert found.evidence.label is not None
    assert {each.label for each in found.evidence.label.bins} == {"red", "green", "blue"}


def test_no_test_rows_and_no_train_rows(case: Any) -> None:
    none = {"carrier": [], "distance": [], "minute": []}
    found = case.run(test=none)
    assert found.verdict.outcome == "passed"
    assert any("no test rows" in notice for notice in found.evidence.notices)
    found = case.run(train=none)
    assert checks(found, "data.min_rows")["part=train"].outcome == "failed"


def test_more_categories_than_the_statistics_name(case: Any) -> None:
    rows = {"carrier": [f"c{i % 3000}" for i in range(6000)]}
    found = case.run(columns={"carrier": "string"}, kinds={"carrier": "categorical"}, pinned={}, train=rows, test=rows)
    assert facts(found, "carrier").distinct == pytest.approx(3000, rel=0.02)
    assert len(facts(found, "carrier").bins) == 20
    assert facts(found, "carrier").skew.psi == pytest.approx(0, abs=1e-6)
