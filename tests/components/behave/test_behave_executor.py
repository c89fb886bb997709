"""behave: real models, planted to behave or not, under tests that tell them apart."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.behaviour import BehaviourFound
from components._shared.errors import CorruptError, DataError
from components._shared.manifest import Manifest
from components._shared.model_files import read_model_info
from components._shared.tables import read_table
from components.behave.executor import Behaved, behave
from components.behave.markdown import summary
from components.predict.executor import predict
from tests.components.behave.conftest import plant, section_of
from tests.synthetic_rows import FEATURES, learning, rows, scoring

ROOT = Path(__file__).resolve().parents[3]
TEMPERATURE = "temperature (°C)"


def warm(given: dict[str, Any], weight: float = 1.0) -> Any:
    """Log-odds that follow the temperature; missing: 15 °C."""
    import tensorflow as tf

    found = given["temperature_C"]
    return weight * (tf.where(tf.math.is_nan(found), 15.0, found) - 15.0) / 8.0


def smooth(given: dict[str, Any]) -> Any:
    import tensorflow as tf

    return tf.sigmoid(warm(given))


def falling(given: dict[str, Any]) -> Any:
    import tensorflow as tf

    return tf.sigmoid(warm(given, -1.0))


def memorised(given: dict[str, Any]) -> Any:
    """Every tenth of a degree has a score of its own."""
    import tensorflow as tf

    tenth = tf.math.floor(given["temperature_C"] * 10)
    return tf.where(tf.math.floormod(tenth, 2.0) == 0, 0.45, 0.55)


def of_one(found: Behaved) -> BehaviourFound:
    assert len(found.evidence.tests) == 1
    return found.evidence.tests[0]


def share(found: Behaved) -> float:
    estimate = of_one(found).violations
    assert estimate is not None
    return estimate.value


JITTER = {"features": [TEMPERATURE], "change": {"jitter": 0.02}, "expect": {"within": 0.05}}


def test_a_smooth_model_holds_where_one_that_memorised_its_rows_does_not(behaved: Any) -> None:
    good, bad = behaved(smooth, JITTER), behaved(memorised, JITTER)

    assert (good.verdict.subject, good.verdict.outcome) == ("tests", "passed")
    assert [check.name for check in good.verdict.checks] == ["behaviour.tests.test-0"]
    assert "hold" in good.verdict.summary and "200 rows" in good.verdict.summary
    assert bad.verdict.outcome == "failed"
    assert 0.2 < share(bad) <= 1
    assert re.search(r"takes the score from 0\.(45 to 0\.55|55 to 0\.45)", bad.verdict.checks[0].reason)
    assert "break it" in bad.verdict.summary


def test_the_worst_cases_stand_first_and_can_be_read(behaved: Any) -> None:
    found = of_one(behaved(smooth, {**JITTER, "change": {"jitter": 1.0}}))

    moves = [abs(case.score_after - case.score_before) for case in found.cases if case.score_after is not None]
    assert len(found.cases) == 5
    assert moves == sorted(moves, reverse=True) and moves[0] == pytest.approx(found.largest)
    case = found.cases[0]
    assert [each.feature for each in case.changed] == [TEMPERATURE]
    assert set(case.row) == {"shop", "class", "open on Sunday", "seen at"}
    assert float(case.changed[0].before) != float(case.changed[0].after)
    assert found.change == f"noise of 1 standard deviations ({_spread():.3g}) on {TEMPERATURE}"
    assert found.expectation == "the score moves by at most 0.05"


def _spread() -> float:
    return float(np.std([value for value in rows(600, seed=3)[TEMPERATURE] if value is not None], ddof=1))


def test_half_of_the_rows_are_the_nearest_to_the_boundary_and_the_rest_are_drawn_by_key(
    behaved: Any, examples_of: Any, tmp_path: Path
) -> None:
    examples = examples_of()
    found = behaved(smooth, JITTER, examples=examples, rows=100, decision={"threshold": 0.7}).evidence

    temperature = np.array([15.0 if each is None else each for each in rows(600, seed=3)[TEMPERATURE]])
    distance = np.sort(np.abs(1 / (1 + np.exp(-(temperature - 15) / 8)) - 0.7))
    assert (found.rows, found.near, found.boundary) == (100, 50, 0.7)
    assert found.farthest == pytest.approx(distance[49], abs=1e-6)
    assert found.tests[0].near is not None and found.tests[0].elsewhere is not None


def test_few_rows_are_all_asked(behaved: Any, examples_of: Any) -> None:
    found = behaved(smooth, JITTER, examples=examples_of(count=31), rows=1000).evidence

    assert (found.rows, found.near) == (31, 15)


def test_the_same_rows_and_changes_are_drawn_again(behaved: Any, examples_of: Any) -> None:
    examples = examples_of()

    first, second = (behaved(smooth, {**JITTER, "change": {"replace": True}}, examples=examples) for _ in range(2))

    assert first.evidence.to_json() == second.evidence.to_json()
    assert first.verdict == second.verdict


def test_rows_that_a_change_leaves_as_they_are_do_not_count(behaved: Any) -> None:
    import tensorflow as tf

    def knows_zurich(given: dict[str, Any]) -> Any:
        return tf.where(given["shop"] == "Zürich", 0.6, 0.4)

    test = {"features": ["shop"], "change": {"swap": [["Zürich", "Zurich"]]}, "expect": {"within": 0.05}}
    found = behaved(knows_zurich, test, rows=600)

    in_zurich = rows(600, seed=3)["shop"].count("Zürich")
    assert (of_one(found).rows, share(found)) == (in_zurich, 1.0)
    assert of_one(found).cases[0].changed[0].model_dump() == {"feature": "shop", "before": "Zürich", "after": "Zurich"}

    def knows_both(given: dict[str, Any]) -> Any:
        return tf.where((given["shop"] == "Zürich") | (given["shop"] == "Zurich"), 0.6, 0.4)

    assert behaved(knows_both, test).verdict.outcome == "passed"


def test_a_test_that_changes_no_row_cannot_judge(behaved: Any) -> None:
    test = {"features": ["shop"], "change": {"swap": [["Basel", "Basle"]]}, "expect": {"within": 0.05}}

    found = behaved(smooth, test, JITTER)

    assert found.verdict.outcome == "cannot_judge"
    assert [check.outcome for check in found.verdict.checks] == ["cannot_judge", "passed"]
    assert "gates.behaviour.rows" in found.verdict.summary
    assert found.evidence.tests[0].violations is None


@pytest.mark.parametrize(
    ("feature", "change", "broken"),
    [
        (TEMPERATURE, {"missing": True}, True),
        (TEMPERATURE, {"round_to": 20}, True),
        (TEMPERATURE, {"round_to": 0.001}, False),
        (TEMPERATURE, {"set_to": 60}, True),
        (TEMPERATURE, {"replace": True}, True),
        ("shop", {"replace": True}, False),
        ("shop", {"set_to": "a shop that opened today"}, False),
        ("class", {"missing": True}, False),
        ("open on Sunday", {"missing": True}, False),
        ("seen at", {"shift": "-30min"}, False),
    ],
)
def test_only_changes_of_what_the_model_looks_at_move_it(
    feature: str, change: dict[str, Any], broken: bool, behaved: Any
) -> None:
    found = behaved(smooth, {"features": [feature], "change": change, "expect": {"within": 0.05}})

    assert of_one(found).rows > 100
    assert (share(found) > 0) is broken
    assert found.verdict.outcome == ("failed" if broken else "passed")


def test_a_wrong_clock_is_noticed_by_a_model_that_looks_at_the_hour(behaved: Any) -> None:
    import tensorflow as tf

    def at_night(given: dict[str, Any]) -> Any:
        hour = tf.math.floormod(given["seen_at"] // 3_600_000_000, 24)
        return tf.where(hour < 6, 0.8, 0.2)

    found = behaved(at_night, {"features": ["seen at"], "change": {"shift": "1h"}, "expect": {"within": 0.1}})

    assert 0 < share(found) < 0.5
    pair = of_one(found).cases[0].changed[0]
    # Midnight and six in the morning UTC, an hour later in Zurich; the clock goes one more hour on.
    assert (pair.before[-5:], pair.after[-5:]) in [("00:00", "01:00"), ("06:00", "07:00")]


def test_moments_that_stand_for_never_can_be_shifted_around_and_shown(behaved: Any, examples_of: Any) -> None:
    import tensorflow as tf

    def broken(given: dict[str, Any]) -> Any:
        return tf.where(tf.math.floormod(given["seen_at"] // 86_400_000_000, 2) == 0, 0.8, 0.2)

    ends = [datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]
    seen = [ends[row % 2] if row < 50 else moment for row, moment in enumerate(rows(600, seed=3)["seen at"])]
    examples = examples_of(**{"seen at": seen})
    clock = {"features": ["seen at"], "change": {"shift": "1d"}, "expect": {"within": 0.1}}
    found = behaved(broken, clock, {**JITTER, "expect": {"max": 0}}, examples=examples, rows=600).evidence.tests

    # In Zurich the last second of the year 9999 lies in no year, the first one of the year 1 in that.
    changed = sum(moment is not None for moment in seen) - 25
    assert found[0].rows == changed
    assert found[1].rows > 500 and len(found[1].cases) == 5


def test_the_rest_of_a_row_shows_a_moment_that_has_no_local_time(behaved: Any, examples_of: Any) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

    found = of_one(behaved(memorised, JITTER, examples=examples_of(**{"seen at": [last] * 600})))

    assert {case.row["seen at"] for case in found.cases} == {"9999-12-31 23:59 UTC"}


@pytest.mark.parametrize("extreme", [1e9, -1e30, sys.float_info.max, float("inf")])
def test_one_extreme_value_sets_no_noise_for_the_other_rows(extreme: float, behaved: Any, examples_of: Any) -> None:
    temperature = rows(600, seed=3)[TEMPERATURE]
    assert temperature[7] is not None
    temperature[7] = extreme

    found = behaved(smooth, JITTER, examples=examples_of(**{TEMPERATURE: temperature}), rows=600)

    assert found.verdict.outcome == "passed"
    # The extreme one is not moved by so little, or not at all.
    assert of_one(found).rows == sum(value is not None for value in temperature) - 1
    said = float(re.findall(r"\(([\d.]+)\)", of_one(found).change)[0])
    assert said == pytest.approx(0.02 * _spread(), rel=0.1)


@pytest.mark.parametrize("change", [{"set_to": 1e17}, {"set_to": -1e19}, {"set_to": 3e38}, {"add": 2.0**63}])
def test_whole_numbers_are_set_to_extremes_that_they_cannot_hold(change: dict[str, Any], behaved: Any) -> None:
    import tensorflow as tf

    numeric = {**FEATURES, "class": "numeric"}

    def sees(given: dict[str, Any]) -> Any:
        there = next(iter(change.values()))
        return tf.where(tf.abs(given["feature_class"] - there) <= abs(there) * 1e-6, 0.9, 0.1)

    found = behaved(sees, {"features": ["class"], "change": change, "expect": {"min": 0.8}}, features=numeric)

    assert found.verdict.outcome == "passed"
    assert of_one(found).rows > 180


def test_whole_numbers_of_any_size_are_asked(behaved: Any, examples_of: Any) -> None:
    import tensorflow as tf

    numeric = {**FEATURES, "class": "numeric"}
    examples = examples_of(**{"class": [2**63 - 1 - row * 10**15 for row in range(600)]})

    def large(given: dict[str, Any]) -> Any:
        return tf.where(given["feature_class"] > 8e18, 0.5, 0.1)

    changes: list[dict[str, Any]] = [{"add": 1e17}, {"round_to": 1e16}, {"jitter": 0.5}, {"replace": True}]
    tests = [{"features": ["class"], "change": change, "expect": {"within": 0.01}} for change in changes]
    found = behaved(large, *tests, examples=examples, features=numeric)

    assert found.verdict.outcome == "passed"
    assert all(test.rows > 190 for test in found.evidence.tests)


def test_features_that_are_computed_from_the_changed_one_are_named(behaved: Any) -> None:
    test = {"features": ["seen at"], "change": {"shift": "1d"}, "expect": {"within": 0.05}}

    found = behaved(smooth, test, JITTER, stale={"test-0": ["class", "shop"]})

    said = "seen at 1d later (class and shop, computed from it, stay as they were)"
    assert found.evidence.tests[0].change == said
    assert said in found.verdict.checks[0].reason and said in summary(found.verdict, found.evidence)
    assert "computed" not in found.evidence.tests[1].change


def test_a_score_is_expected_to_follow(behaved: Any) -> None:
    test = {"features": [TEMPERATURE], "change": {"add": 2.5}, "expect": {"direction": "up"}}

    assert behaved(smooth, test).verdict.outcome == "passed"
    found = behaved(falling, test)
    assert (found.verdict.outcome, share(found)) == ("failed", 1.0)
    assert "the score does not fall" in found.verdict.checks[0].reason
    assert behaved(falling, {**test, "expect": {"direction": "down"}}).verdict.outcome == "passed"
    assert behaved(falling, {**test, "expect": {"direction": "up", "slack": 0.1}}).verdict.outcome == "passed"


def test_several_features_are_changed_in_the_same_row(behaved: Any) -> None:
    import tensorflow as tf

    def by_both(given: dict[str, Any]) -> Any:
        both = tf.math.is_nan(given["temperature_C"]) & (given["shop"] == "")
        return tf.where(both, 0.9, 0.1)

    change = {"change": {"missing": True}, "expect": {"within": 0.5}}

    assert share(behaved(by_both, {"features": [TEMPERATURE, "shop"], **change})) > 0.9
    assert share(behaved(by_both, {"features": ["shop"], **change})) < 0.1


def test_answers_that_are_no_numbers_break_every_expectation(behaved: Any) -> None:
    import tensorflow as tf

    def fragile(given: dict[str, Any]) -> Any:
        return tf.where(given["shop"] == "new", float("nan"), 0.5 * tf.ones_like(given["open_on_Sunday"]))

    found = behaved(fragile, {"features": ["shop"], "change": {"set_to": "new"}, "expect": {"max": 1}})

    assert (share(found), of_one(found).largest) == (1.0, None)
    assert of_one(found).cases[0].score_after is None
    assert "no finite number" in found.verdict.checks[0].reason


def test_a_model_that_refuses_changed_rows_fails(behaved: Any) -> None:
    import tensorflow as tf

    def refuses(given: dict[str, Any]) -> Any:
        with tf.control_dependencies([tf.debugging.assert_none_equal(given["shop"], "new", message="a new shop")]):
            return smooth(given)

    found = behaved(refuses, {"features": ["shop"], "change": {"set_to": "new"}, "expect": {"within": 1}})

    assert found.verdict.outcome == "failed"
    assert "does not answer the changed rows" in found.verdict.checks[0].reason


def test_bounds_hold_for_the_new_score(behaved: Any) -> None:
    test = {"features": [TEMPERATURE], "change": {"set_to": 500}, "expect": {"max": 0.99}}

    found = behaved(smooth, test)

    assert share(found) == 1.0
    assert of_one(found).largest == pytest.approx(0.01, abs=1e-6)


def test_the_limit_is_on_the_share_or_on_the_upper_end_of_its_interval(behaved: Any) -> None:
    test = {**JITTER, "change": {"jitter": 0.5}, "expect": {"within": 0.1}}
    found = share(behaved(smooth, test))
    assert 0.05 < found < 0.95

    assert behaved(smooth, {**test, "violations": found + 0.01}).verdict.outcome == "passed"
    by_interval = behaved(smooth, {**test, "violations": found + 0.01, "evidence": "interval"})
    assert by_interval.verdict.outcome == "failed"
    assert "upper end" in by_interval.verdict.checks[0].limit


def test_the_champion_is_asked_the_same_and_judged_by_nothing(behaved: Any) -> None:
    found = behaved(smooth, JITTER, champion=memorised)

    champion = of_one(found).champion
    assert champion is not None and champion.value > 0.2
    assert found.verdict.outcome == "passed"
    assert "the champion’s" in found.verdict.checks[0].reason


@pytest.mark.parametrize("kind", [None, "numeric"])
def test_a_champion_is_not_asked_of_a_feature_that_it_lacks_or_takes_otherwise(kind: str | None, behaved: Any) -> None:
    others = {name: own for name, own in FEATURES.items() if name != "class"}
    new_class = {"features": ["class"], "change": {"set_to": "new"}, "expect": {"within": 0.05}}
    both = {**new_class, "features": ["shop", "class"]}

    found = behaved(
        smooth,
        new_class,
        both,
        JITTER,
        champion=smooth,
        champion_features=others if kind is None else {**others, "class": kind},
    )

    assert found.verdict.outcome == "passed"
    assert [test.champion is None for test in found.evidence.tests] == [True, True, False]
    assert "champion" not in found.verdict.checks[0].reason


def three(given: dict[str, Any]) -> Any:
    """Log-odds of high rise with the temperature, those of low fall."""
    import tensorflow as tf

    return tf.nn.softmax(tf.concat([-warm(given), tf.zeros_like(warm(given)), warm(given)], axis=1))


def test_of_classes_the_rows_whose_best_two_are_nearest_are_asked(behaved: Any) -> None:
    classes = {"problem": "multiclass_classification"}
    higher = {"features": [TEMPERATURE], "change": {"add": 1.0}}

    found = behaved(three, {**higher, "expect": {"direction": "up", "output": "high"}}, **classes)
    assert found.verdict.outcome == "passed"
    assert (found.evidence.near, found.evidence.boundary) == (100, None)
    assert found.evidence.farthest is not None and 0 < found.evidence.farthest < 0.5

    wrong = behaved(three, {**higher, "expect": {"direction": "up", "output": "low"}}, **classes)
    assert share(wrong) == 1.0
    assert "the score of low" in wrong.verdict.checks[0].reason and of_one(wrong).cases[0].output == "low"

    decided = of_one(behaved(three, {**higher, "expect": {"same_decision": True}}, **classes))
    assert decided.near is not None and decided.elsewhere is not None
    assert decided.near.value > decided.elsewhere.value
    case = decided.cases[0]
    assert (case.decision_before, case.decision_after) in [("low", "middle"), ("middle", "high"), ("low", "high")]

    any_class = of_one(behaved(three, {**higher, "expect": {"within": 0.0001}}, **classes))
    assert {case.output for case in any_class.cases} <= {"low", "middle", "high"}


def test_values_without_a_decision_are_asked_everywhere(behaved: Any) -> None:
    def value(given: dict[str, Any]) -> Any:
        return 1000.0 + 400.0 * warm(given)

    test = {"features": [TEMPERATURE], "change": {"add": 8}, "expect": {"direction": "up", "within": 401}}
    found = behaved(value, test, problem="regression")
    assert found.verdict.outcome == "passed"
    assert (found.evidence.near, found.evidence.farthest, of_one(found).near) == (0, None, None)

    decided = behaved(
        value, {**test, "expect": {"same_decision": True}}, problem="regression", decision={"threshold": 1000}
    )
    assert decided.evidence.near == 100
    assert 0 < share(decided) < 1


def test_without_tests_it_passes_and_loads_nothing() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from components._shared.manifest import Manifest\n"
        "from components._shared.task import BehaviourSection\n"
        "from components.behave.executor import behave\n"
        "nothing = Manifest(role='test', digest='', columns={}, shards=(), count=0)\n"
        "section = BehaviourSection.from_value({'problem': 'regression', 'classes': None, 'timezone': 'UTC',"
        " 'decision': {}, 'gates': {}})\n"
        "found = behave(model=Path('none'), predictions=nothing, examples=nothing, section=section)\n"
        "assert not {'tensorflow', 'pyarrow'} & set(sys.modules), sorted(sys.modules)\n"
        "print(found.verdict.outcome, found.verdict.summary)"
    )

    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert said.startswith("passed The task declares no tests")


def test_without_rows_it_cannot_judge(behaved: Any, examples_of: Any) -> None:
    none = examples_of().model_copy(update={"shards": (), "count": 0})

    found = behaved(smooth, JITTER, examples=none)

    assert found.verdict.outcome == "cannot_judge"
    assert of_one(found).reason == "There are no rows to change."


def test_predictions_of_another_model_or_in_another_order_are_refused(examples_of: Any, tmp_path: Path) -> None:
    examples: Manifest = examples_of()
    model = plant(tmp_path / "model", smooth, learning())
    made = predict(examples=examples, data_root=str(tmp_path / "data"), scoring=scoring(), model=model)
    given = {"model": model, "examples": examples, "section": section_of(JITTER)}

    with pytest.raises(DataError, match="not those of this model"):
        behave(**given, predictions=made.model_copy(update={"model": "0" * 64}))
    others = predict(
        examples=examples_of(_key=rows(600, seed=4)["_key"]),
        data_root=str(tmp_path / "data"),
        scoring=scoring(),
        model=model,
    )
    with pytest.raises(DataError, match="another order"):
        behave(**given, predictions=others)
    (model / "extra").write_text("x", encoding="utf-8")
    with pytest.raises(CorruptError):
        behave(**given, predictions=made)
    assert read_model_info(model).digest == made.model and read_table(made, ["score"]).num_rows == 600


def test_the_summary_shows_the_worst_cases_before_and_after(behaved: Any) -> None:
    found = behaved(memorised, JITTER)

    text = summary(found.verdict, found.evidence)

    assert text.startswith("## tests: failed")
    assert "### test-0: the worst cases" in text
    table = [line for line in text.splitlines() if line.startswith(f"| {TEMPERATURE}: ")]
    assert len(table) == 5
    assert re.match(r"\| temperature \(°C\): [-\d.]+ → [-\d.]+ \| 0\.[45]5 \| 0\.[45]5 \| class: ", table[0])
