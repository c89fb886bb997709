"""Explaining: what matters to a model, how its score moves, and the limits on both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from components._shared.explanation import Dependence, Explanation, FeatureImportance
from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest, read_model_info
from components._shared.model_info import ModelInfo
from components._shared.records import ModelRef
from components._shared.task import ExplanationSection
from components._shared.verdict import Check
from components.explain.executor import Explained, explain
from components.train.executor import train
from components.train.export import write_saved_model
from tests.synthetic_rows import START, TYPES, learning, manifest, rows

FEATURES = {"number": "numeric", "noise": "numeric", "shop": "categorical", "flag": "boolean", "seen at": "datetime"}
COLUMNS = {name: kind for name, kind in TYPES.items() if name.startswith("_")} | {
    "number": "float64",
    "noise": "float64",
    "shop": "string",
    "flag": "bool",
    "seen at": "timestamp",
    "leak": "float64",
}


def planted(count: int, problem: str = "binary_classification", seed: int = 1) -> dict[str, list[Any]]:
    """Rows whose label comes from `number`, `shop` and a little of `flag`, never from `noise`; `leak` tells it."""
    random = np.random.default_rng(seed)
    given = rows(count, seed=seed, missing=False)
    number, shop = random.normal(10, 3, count), random.choice(["Oslo", "Rome", "Bern"], count, p=[0.5, 0.3, 0.2])
    flag = random.random(count) < 0.5
    signal = (number - 10) / 3 * 1.5 + (shop == "Rome") * 1.0 + flag * 0.2 - 0.3
    noise = random.logistic(0, 1, count)
    match problem:
        case "binary_classification":
            label = (signal + noise > 0).astype(float)
        case "multiclass_classification":
            label = np.digitize(signal + noise, [-0.5, 1.0]).astype(float)
        case _:
            label = 100 + 20 * signal + noise
    return {
        **{name: given[name] for name in ("_time", "_key", "_cluster", "_weight")},
        "_label": label.tolist(),
        "number": [value if there else None for value, there in zip(number, random.random(count) > 0.03, strict=True)],
        "noise": random.normal(size=count).tolist(),
        "shop": shop.tolist(),
        "flag": flag.tolist(),
        "seen at": [START + timedelta(hours=7 * row % 5000) for row in range(count)],
        "leak": (label + 0.01 * random.normal(size=count)).tolist(),
    }


@pytest.fixture(scope="session")
def model_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A linear model of the planted rows."""
    made: dict[Any, Path] = {}

    def of(problem: str = "binary_classification", seed: int = 1, **features: str) -> Path:
        key = (problem, seed, *features)
        if key not in made:
            root = tmp_path_factory.mktemp("models")
            train(
                train=manifest(root, planted(3000, problem, seed), "train", types=COLUMNS),
                tune=manifest(root, planted(400, problem, seed + 50), "tune", types=COLUMNS),
                learning=learning(problem, features={**FEATURES, **features}, budget=3),
                model_dir=root / "model",
            )
            made[key] = root / "model"
        return made[key]

    return of


@pytest.fixture(scope="session")
def test_part(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Manifest]:
    """The test part of a problem."""

    def of(problem: str = "binary_classification", count: int = 2400, **changed: Any) -> Manifest:
        return manifest(
            tmp_path_factory.mktemp("rows"), {**planted(count, problem, seed=9), **changed}, "test", types=COLUMNS
        )

    return of


def section(problem: str = "binary_classification", **gates: Any) -> ExplanationSection:
    return ExplanationSection.from_value(
        {
            "problem": problem,
            "classes": ["low", "middle", "high"] if problem == "multiclass_classification" else None,
            "timezone": "Europe/Oslo",
            "slices": ["shop"],
            "gates": gates,
        }
    )


@pytest.fixture(scope="session")
def explained(model_for: Any, test_part: Any) -> Callable[..., Explained]:
    """The explanation of a problem's model, asked once."""
    made: dict[str, Explained] = {}

    def of(problem: str = "binary_classification") -> Explained:
        if problem not in made:
            made[problem] = explain(model=model_for(problem), examples=test_part(problem), section=section(problem))
        return made[problem]

    return of


def table(found: Explanation) -> dict[str, FeatureImportance]:
    return {one.feature: one for one in found.importances}


def line(found: Explanation, feature: str, part: str = "", output: str = "") -> Dependence:
    return next(d for d in found.dependences if (d.feature, d.part, d.output) == (feature, part, output))


@pytest.mark.parametrize("problem", ["binary_classification", "multiclass_classification", "regression"])
def test_what_makes_the_label_matters_and_noise_does_not(problem: str, explained: Any) -> None:
    found = explained(problem).explanation
    by_name = table(found)

    assert found.loss == ("squared_error" if problem == "regression" else "log_loss")
    assert [one.feature for one in found.importances[:2]] == ["number", "shop"]
    assert by_name["number"].importance.interval[0] > 0
    low, high = by_name["noise"].importance.interval
    assert low <= 0 <= high
    assert by_name["noise"].share < 0.01
    assert sum(one.share for one in found.importances) == pytest.approx(1, abs=1e-4)
    assert all(low <= one.share <= high for one in found.importances for low, high in [one.share_interval])


def test_importance_is_the_growth_of_the_loss_that_a_plain_computation_gives(
    model_for: Any, test_part: Any, explained: Any
) -> None:
    from components._shared.saved_model import SavedModel, Strings
    from components._shared.tables import read_table

    part = test_part()
    rows_ = read_table(part)
    label = np.array(rows_["_label"].to_pylist())
    numbers = np.array([np.nan if v is None else v for v in rows_["number"].to_pylist()], "float32")
    info = read_model_info(model_for())
    values = {
        "number": numbers,
        "noise": np.array(rows_["noise"].to_pylist(), "float32"),
        "shop": np.array([v.encode() for v in rows_["shop"].to_pylist()]),
        "flag": np.array(rows_["flag"].to_pylist(), "float32"),
        "seen at": rows_["seen at"].cast("int64").to_numpy(),
    }
    model = SavedModel(model_for())

    def loss(given: dict[str, Any]) -> float:
        texts = Strings(tuple(given["shop"].tolist()), np.arange(len(label)))
        asked = {info.inputs[name].name: texts if name == "shop" else column for name, column in given.items()}
        score = model.answer(asked)["score"][:, 0].astype(float)
        return float(-np.mean(np.log(np.where(label == 1, score, 1 - score))))

    random = np.random.default_rng(0)
    grown = [loss({**values, "number": random.permutation(numbers)}) - loss(values) for _ in range(20)]

    found = explained()
    assert found.explanation.base.value == pytest.approx(loss(values), abs=1e-5)
    assert table(found.explanation)["number"].importance.value == pytest.approx(np.mean(grown), rel=0.02)


def days_that_tell_more_and_more(days: int, power: int) -> dict[str, Any]:
    """Labels that chance alone makes on nearly all rows of the first day, on fewer of each later one, on none of the
    last: what features are worth differs much between days, and goes together."""
    random, day = np.random.default_rng(0), np.arange(2400) % days
    told = random.random(2400) < ((day + 1) / days) ** power
    label = np.where(told, planted(2400, seed=9)["_label"], random.random(2400) < 0.5)
    return {"_label": label.tolist(), "_cluster": [str(one) for one in day]}


def test_the_share_of_what_may_be_nothing_may_be_nothing(model_for: Any, test_part: Any) -> None:
    part = test_part(**days_that_tell_more_and_more(7, power=1))

    by_name = table(explain(model=model_for(), examples=part, section=section()).explanation)

    assert by_name["number"].importance.interval[0] > 0 and by_name["number"].share_interval[0] > 0
    assert by_name["shop"].importance.interval[0] < 0 < by_name["shop"].share
    assert by_name["shop"].share_interval[0] == 0
    assert by_name["shop"].share_interval[1] > by_name["shop"].share


def test_where_all_importance_may_be_nothing_no_share_has_an_interval(model_for: Any, test_part: Any) -> None:
    part = test_part(**days_that_tell_more_and_more(6, power=2))

    found = explain(model=model_for(), examples=part, section=section(largest_share=0.5))

    assert all(one.importance.interval[0] < 0 for one in found.explanation.importances[:2])
    assert all(one.share_interval is None for one in found.explanation.importances)
    assert (check(found).outcome, check(found).interval) == ("passed", None)


@pytest.fixture(scope="module")
def posterior(model_for: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows what `number` says where 1 % of rows are positive, and `number` is higher by 1.5 of those."""
    import tensorflow as tf

    folder, info = tmp_path_factory.mktemp("posterior") / "model", read_model_info(model_for())
    write_saved_model(folder, info.inputs, lambda given: tf.sigmoid(_log_odds(given["number"])))
    own = info.model_copy(update={"digest": model_digest(folder), "terms": (), "coefficients": {}})
    (folder / MODEL_JSON).write_text(own.to_json(), encoding="utf-8")
    return folder


def _log_odds(number: Any) -> Any:
    return float(np.log(0.01 / 0.99)) + 1.5 * (number - 10) - 1.5**2 / 2


def test_of_a_case_control_sample_the_weights_give_the_importance_of_the_population(
    posterior: Path, test_part: Any
) -> None:
    random = np.random.default_rng(3)
    everyone = random.random(1_000_000) < 0.01
    numbers = random.normal(10 + 1.5 * everyone)

    def loss(number: Any) -> Any:
        return np.mean(np.logaddexp(0, np.where(everyone, -1, 1) * _log_odds(number)))

    true = loss(random.permutation(numbers)) - loss(numbers)
    case = np.arange(2400) % 2 == 1
    part = test_part(
        _label=case.astype(float).tolist(),
        number=random.normal(10 + 1.5 * case).tolist(),
        _weight=np.where(case, 0.01 / 0.5, 0.99 / 0.5).tolist(),
    )

    number = table(explain(model=posterior, examples=part, section=section()).explanation)["number"]

    assert number.importance.value == pytest.approx(true, rel=0.1)
    for one in (number.importance, *(part.importance for part in number.slices)):
        assert one.interval[0] <= true <= one.interval[1]


def test_weights_that_are_all_alike_change_nothing(model_for: Any, test_part: Any, explained: Any) -> None:
    found = explain(model=model_for(), examples=test_part(_weight=[0.37] * 2400), section=section())

    assert found == explained()


def test_importance_by_slice_says_where_a_feature_matters(explained: Any) -> None:
    slices = {one.value: one for one in table(explained().explanation)["number"].slices}

    assert list(slices) == ["Oslo", "Rome", "Bern"]
    assert all(one.column == "shop" and one.rows > 100 for one in slices.values())
    assert all(one.importance.interval[0] > 0 for one in slices.values())


def test_of_an_additive_model_the_line_has_the_slope_of_the_coefficient(model_for: Any, explained: Any) -> None:
    info = read_model_info(model_for("regression"))
    slope = next(term.weight for term in info.terms if term.name == "number")
    points = [point for point in line(explained("regression").explanation, "number").points if point.x is not None]

    assert len(points) == 20
    for first, second in pairwise(points):
        assert (second.mean - first.mean) / (second.x - first.x) == pytest.approx(slope, rel=1e-3)
    assert all(point.low < point.mean < point.high for point in points)


def test_categories_booleans_and_moments_have_lines_too(explained: Any) -> None:
    found = explained("regression").explanation

    assert [point.label for point in line(found, "shop").points] == ["Oslo", "Rome", "Bern"]
    assert [point.label for point in line(found, "flag").points] == ["false", "true"]
    assert [point.label for point in line(found, "number").points][-1] == "(missing)"
    assert line(found, "number").points[-1].x is None
    hours, months = line(found, "seen at", "hour of day"), line(found, "seen at", "month")
    assert [point.label for point in hours.points][:2] == ["00:00", "01:00"]
    assert [point.label for point in months.points][:2] == ["January", "February"]
    for feature in ("shop", "flag", "number"):
        assert sum(point.share for point in line(found, feature).points) == pytest.approx(1, abs=1e-4)


def test_shares_of_a_line_are_those_of_the_weight(model_for: Any, test_part: Any) -> None:
    given = planted(1200, seed=9)
    of_bern = np.array(given["shop"]) == "Bern"
    missing = np.array([number is None for number in given["number"]])
    of_march = np.array([moment.astimezone(ZoneInfo("Europe/Oslo")).month == 3 for moment in given["seen at"]])
    weight = 1.0 + 9.0 * of_bern + 5.0 * missing + 3.0 * of_march
    part = test_part(count=1200, _weight=weight.tolist(), flag=of_bern.tolist())

    found = explain(model=model_for(), examples=part, section=section()).explanation

    def share(which: Any) -> Any:
        return pytest.approx(weight[which].sum() / weight.sum(), rel=1e-5)

    shops, flags, numbers = (line(found, name).points for name in ("shop", "flag", "number"))
    march = line(found, "seen at", "month").points[2]
    assert (shops[0].label, shops[0].share) == ("Bern", share(of_bern))
    assert (flags[1].label, flags[1].share) == ("true", share(of_bern))
    assert (numbers[-1].label, numbers[-1].share) == ("(missing)", share(missing))
    assert (march.label, march.share) == ("March", share(of_march))
    assert all(sum(one.share for one in points) == pytest.approx(1, abs=1e-4) for points in (shops, flags, numbers))


def test_hours_are_those_of_the_task_s_time_zone() -> None:
    from components.explain.dependence import _moments

    noon = np.array([1_705_320_000_000_000, 1_720_958_400_000_000])  # 12:00 UTC on 15 January and on 14 July 2024
    hours, months = _moments(noon, np.ones(2), "Europe/Oslo", dates=False)

    assert [point.label for point in hours.points] == ["13:00", "14:00"]
    assert [point.label for point in months.points] == ["January", "July"]
    # 14:00 in Oslo is 13:00 UTC in winter, 12:00 in summer.
    assert (hours.points[1].values - noon).tolist() == [3_600_000_000, 0]


def test_dates_are_those_that_are_written_wherever_the_task_is(model_for: Any, tmp_path: Path) -> None:
    given = planted(1200, seed=9)
    dates = [date(2024, 1 + row % 3, 1) for row in range(1200)]
    part = manifest(tmp_path, {**given, "seen at": dates}, "test", types={**COLUMNS, "seen at": "date"})
    there = section().model_copy(update={"timezone": "America/New_York"})

    found = explain(model=model_for(), examples=part, section=there).explanation

    (months,) = [one for one in found.dependences if one.feature == "seen at"]
    assert months.part == "month"
    assert [(point.label, point.share) for point in months.points] == [
        (name, pytest.approx(1 / 3, rel=1e-5)) for name in ("January", "February", "March")
    ]


def test_the_rows_of_a_line_of_dates_hold_dates_alone() -> None:
    from components.explain.dependence import _moments

    day = 86_400_000_000
    firsts = np.array([19_783 * day, 19_905 * day])  # 1 March and 1 July 2024
    (months,) = _moments(firsts, np.ones(2), "America/New_York", dates=True)

    assert [point.label for point in months.points] == ["March", "July"]
    assert [point.values.tolist() for point in months.points] == [[firsts[0]] * 2, [firsts[1]] * 2]


@pytest.mark.parametrize(
    ("timezone", "never"),
    [
        ("America/New_York", datetime(1, 1, 1, tzinfo=UTC)),
        ("Asia/Tokyo", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_moment_that_the_time_zone_cannot_write_counts_as_missing(
    timezone: str, never: datetime, model_for: Any, test_part: Any
) -> None:
    moments = [None] * 30 + [never] * 90 + planted(1200, seed=9)["seen at"][120:]
    there = section().model_copy(update={"timezone": timezone})

    found = explain(
        model=model_for(), examples=test_part(count=1200, **{"seen at": moments}), section=there
    ).explanation

    for part in ("hour of day", "month"):
        shares = [point.share for point in line(found, "seen at", part).points]
        assert sum(shares) == pytest.approx(0.9, abs=1e-4)


def test_a_moment_moved_to_a_shorter_month_stays_in_it() -> None:
    from components.explain.dependence import _in_month

    assert _in_month(datetime(2023, 1, 31, tzinfo=UTC), 2) == datetime(2023, 2, 28, tzinfo=UTC)


def test_every_class_has_a_line_and_their_means_add_up_to_one(explained: Any) -> None:
    found = explained("multiclass_classification").explanation
    lines = [d for d in found.dependences if d.feature == "number"]

    assert [d.output for d in lines] == ["low", "middle", "high"]
    assert all(sum(d.points[at].mean for d in lines) == pytest.approx(1, abs=1e-4) for at in range(20))


def test_without_gates_it_passes_and_says_what_matters_most(explained: Any) -> None:
    verdict = explained().verdict

    assert (verdict.subject, verdict.outcome, verdict.checks) == ("explanation", "passed", ())
    assert verdict.summary.startswith("What matters most to the model: number (")


def check(found: Explained) -> Check:
    (one,) = found.verdict.checks
    return one


def test_a_leaked_label_dominates_and_fails_the_gate(model_for: Any, test_part: Any) -> None:
    model = model_for("binary_classification", 1, leak="numeric")

    found = explain(model=model, examples=test_part(), section=section(largest_share=0.9))

    assert found.explanation.importances[0].feature == "leak"
    assert (check(found).name, check(found).outcome) == ("explanation.largest_share", "failed")
    assert check(found).observed > 0.9
    assert "holds the label itself" in found.verdict.summary


def test_the_leak_alarm_is_quiet_where_several_features_matter(model_for: Any, test_part: Any) -> None:
    found = explain(model=model_for(), examples=test_part(), section=section(largest_share=0.95))

    assert check(found).outcome == "passed"


@pytest.mark.parametrize(
    ("gate", "feature", "outcome"),
    [
        ("must_matter", "number", "passed"),
        ("must_matter", "noise", "failed"),
        ("must_not_matter", "noise", "passed"),
        ("must_not_matter", "number", "failed"),
    ],
)
def test_what_must_and_must_not_matter_is_judged_with_its_interval(
    gate: str, feature: str, outcome: str, model_for: Any, test_part: Any
) -> None:
    found = explain(model=model_for(), examples=test_part(), section=section(**{gate: [feature]}))

    assert (check(found).name, check(found).outcome) == (f"explanation.{gate}.{feature}", outcome)
    assert check(found).interval is not None
    assert f"'{feature}'" in check(found).reason


def test_too_few_labelled_rows_cannot_be_judged(model_for: Any, test_part: Any) -> None:
    part = test_part(count=200, _label=[None] * 180 + [0.0, 1.0] * 10)

    found = explain(model=model_for(), examples=part, section=section(must_matter=["number"]))

    assert (found.explanation.rows, found.explanation.importances) == (20, ())
    assert (check(found).name, check(found).outcome) == ("explanation.must_matter.number", "cannot_judge")
    assert explain(model=model_for(), examples=part, section=section()).verdict.outcome == "passed"


def test_few_clusters_give_no_interval_and_no_judgement(model_for: Any, test_part: Any) -> None:
    part = test_part(count=600, _cluster=["a"] * 300 + ["b"] * 300)

    found = explain(model=model_for(), examples=part, section=section(must_matter=["number"]))

    assert table(found.explanation)["number"].importance.interval is None
    assert check(found).outcome == "cannot_judge"


def ref_of(folder: Path) -> ModelRef:
    info = read_model_info(folder)
    return ModelRef(version=1, uri=str(folder), digest=info.digest, fit_until=info.fit_until)


def test_the_champion_is_asked_for_the_same_rows_and_shuffles(model_for: Any, test_part: Any) -> None:
    same = explain(model=model_for(), examples=test_part(), section=section(), registered=ref_of(model_for()))
    other = explain(model=model_for(), examples=test_part(), section=section(), registered=ref_of(model_for(seed=5)))

    assert all(one.champion == one.importance for one in same.explanation.importances)
    assert all(p.champion == p.mean for d in same.explanation.dependences for p in d.points)
    assert all(one.champion is not None for one in other.explanation.importances)
    assert any(one.champion != one.importance for one in other.explanation.importances)


def test_a_champion_that_may_have_learned_from_the_rows_is_not_asked(
    model_for: Any, test_part: Any, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "later"
    shutil.copytree(model_for(), folder)
    info = read_model_info(folder)
    later = info.model_copy(update={"fit_until": info.fit_until + timedelta(days=1)})
    (folder / MODEL_JSON).write_text(later.to_json(), encoding="utf-8")

    found = explain(model=model_for(), examples=test_part(), section=section(), registered=ref_of(folder))

    assert all(one.champion is None for one in found.explanation.importances)
    assert found.explanation.notices == (
        "The champion was not asked: it may have learned from the labels of these rows.",
    )


@pytest.fixture(scope="module")
def brittle(model_for: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose score is no number for high numbers in Rome."""
    import tensorflow as tf

    folder, info = tmp_path_factory.mktemp("brittle") / "model", read_model_info(model_for())

    def score(given: dict[str, Any]) -> Any:
        number = tf.where(tf.math.is_nan(given["number"]), 10.0, given["number"])
        never = tf.logical_and(given["shop"] == "Rome", number > 10)
        return tf.where(never, float("nan"), tf.sigmoid((number - 10) / 2))

    write_saved_model(folder, info.inputs, score)
    own = info.model_copy(update={"digest": model_digest(folder), "terms": (), "coefficients": {}})
    (folder / MODEL_JSON).write_text(own.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def without_high_numbers_in_rome(test_part: Any) -> Manifest:
    """Rows that the brittle model answers, for as long as nothing is replaced."""
    numbers = planted(600, seed=9)["number"]
    part: Manifest = test_part(count=600, shop=["Oslo" if number and number > 10 else "Rome" for number in numbers])
    return part


@pytest.mark.parametrize("gates", [{}, {"largest_share": 0.9, "must_matter": ["number"]}])
def test_a_candidate_whose_scores_become_no_numbers_cannot_be_judged(
    gates: dict[str, Any], brittle: Path, without_high_numbers_in_rome: Manifest
) -> None:
    found = explain(model=brittle, examples=without_high_numbers_in_rome, section=section(**gates))

    assert found.verdict.outcome == ("cannot_judge" if gates else "passed")
    assert [(one.name, one.outcome) for one in found.verdict.checks] == [
        (f"explanation.{gate}", "cannot_judge") for gate in ("largest_share", "must_matter.number") if gates
    ]
    assert all(one.reason == found.verdict.summary for one in found.verdict.checks)
    assert "no finite numbers once values of number are replaced" in found.verdict.summary
    assert found.explanation.notices == (found.verdict.summary,)
    assert (found.explanation.rows, found.explanation.importances, found.explanation.dependences) == (600, (), ())
    assert np.isfinite(found.explanation.base.value)
    assert Explanation.from_json(found.explanation.to_json()) == found.explanation


def test_a_champion_whose_scores_become_no_numbers_is_left_out(
    brittle: Path, without_high_numbers_in_rome: Manifest, model_for: Any
) -> None:
    given = {"examples": without_high_numbers_in_rome, "section": section(must_matter=["number"])}

    found = explain(model=model_for(), **given, registered=ref_of(brittle))
    alone = explain(model=model_for(), **given)

    (notice,) = found.explanation.notices
    assert notice.startswith("The champion was left out. ") and "no finite numbers" in notice
    assert found.verdict == alone.verdict and found.verdict.outcome == "passed"
    assert found.explanation.model_copy(update={"notices": ()}) == alone.explanation


def test_lines_that_a_model_does_not_answer_are_left_out(
    brittle: Path, without_high_numbers_in_rome: Manifest, model_for: Any
) -> None:
    from components.explain.asking import Asked, asked_rows
    from components.explain.executor import _lines

    rows_ = asked_rows(without_high_numbers_in_rome, list(FEATURES), ["shop"], 600)
    good, bad = Asked(model_for(), rows_), Asked(brittle, rows_)
    importances = explain(model=model_for(), examples=without_high_numbers_in_rome, section=section()).explanation

    lines, notices = _lines(good, bad, rows_, importances.importances, section())
    none, (reason,) = _lines(bad, good, rows_, importances.importances, section())

    assert lines == importances.dependences and none == ()
    assert notices[0].startswith("The champion was left out of the partial dependences. ")
    assert reason.startswith("How the score moves with a feature cannot be said. ")


def test_a_sample_is_the_same_for_as_long_as_the_rows_are(model_for: Any, test_part: Any) -> None:
    part = test_part()
    found = [explain(model=model_for(), examples=part, section=section(rows=500)).explanation for _ in range(2)]

    assert found[0].to_json() == found[1].to_json()
    assert found[0].rows == 500


def test_the_sample_has_the_lowest_keys_whatever_the_shards(test_part: Any) -> None:
    from components._shared.tables import read_table
    from components.explain.asking import asked_rows

    part = test_part()
    keys = read_table(part, ["_key"])["_key"].to_pylist()

    for most in (100, 700, 5000):
        kept = asked_rows(part, list(FEATURES), ["shop"], most)
        lowest = set(sorted(keys)[:most])
        assert kept.batch.column(kept.batch.schema.get_field_index("_key")).to_pylist() == [
            key for key in keys if key in lowest
        ]


def test_a_model_s_own_figures_stand_in_the_same_table(model_for: Any, test_part: Any, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "trees"
    shutil.copytree(model_for(), folder)
    info: ModelInfo = read_model_info(folder)
    own = info.model_copy(update={"native": {"number": {"gain": 12.5, "splits": 7.0}}})
    (folder / MODEL_JSON).write_text(own.to_json(), encoding="utf-8")

    found = explain(model=folder, examples=test_part(), section=section())

    assert table(found.explanation)["number"].native == {"gain": 12.5, "splits": 7.0}
    assert table(found.explanation)["noise"].native == {}
