"""What changed between two models, as a reviewer reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from components._shared.evidence import Estimate
from components._shared.model_difference import differences
from components._shared.model_info import FeatureEncodingInfo, ModelInfo, Term
from components._shared.task import LearningSection, TrainerChoice
from components._shared.windows import Window

START = datetime(2013, 1, 1, tzinfo=UTC)


def model(
    digest: str = "a", features: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None, **fields: Any
) -> ModelInfo:
    learning = LearningSection(
        problem="binary_classification",
        classes=None,
        features=features or {"distance": "numeric", "carrier": "categorical"},
        trainer=TrainerChoice(name=fields.pop("trainer", "linear"), parameters=parameters or {}),
    )
    given = {"base": (0.25,), "rows": {"train": 1_000, "tune": 100}, "fit_until": datetime(2013, 6, 1, tzinfo=UTC)}
    return ModelInfo(digest=digest * 64, learning=learning, inputs={}, **{**given, **fields})


def changes(before: ModelInfo, after: ModelInfo, **given: Any) -> Any:
    return differences(before, after, before_name="version 1", after_name="version 2", **given)


def test_of_a_model_and_itself_nothing_has_changed() -> None:
    found = changes(model(), model())
    assert found.same
    assert not any((found.terms, found.parameters, found.data, found.preprocessing, found.categories, found.notices))


def test_features_and_parameters_that_came_and_went_are_named() -> None:
    before = model(features={"distance": "numeric", "hour": "numeric"}, parameters={"l2": 0.1})
    after = model("b", features={"distance": "categorical", "dest": "categorical"}, parameters={"epochs": 3})
    found = changes(before, after)
    assert found.features_gained == {"dest": "categorical"}
    assert found.features_lost == {"hour": "numeric"}
    assert [(each.name, each.before, each.after) for each in found.features_changed] == [
        ("distance", "numeric", "categorical")
    ]
    assert {(each.name, each.before, each.after) for each in found.parameters} == {
        ("l2", "0.1", None),
        ("epochs", None, "3"),
    }


def test_rows_and_window_that_changed_are_named() -> None:
    after = model("b", rows={"train": 2_000, "tune": 100}, fit_until=datetime(2013, 7, 1, tzinfo=UTC), base=(0.3,))
    window = Window(start=START, end=datetime(2013, 6, 1, tzinfo=UTC))
    found = changes(model(), after, before_data=window, after_data=window)
    assert [(each.name, each.before, each.after) for each in found.data] == [
        ("fit until", "2013-06-01 00:00 UTC", "2013-07-01 00:00 UTC"),
        ("rows to fit", "1,000", "2,000"),
        ("base rate", "0.25", "0.3"),
    ]
    assert found.after.data == window


def test_categories_gained_and_lost_are_listed_most_frequent_first() -> None:
    before = model(encoding={"carrier": FeatureEncodingInfo(values=("UA", "AA", "HA"))})
    after = model("b", encoding={"carrier": FeatureEncodingInfo(values=("UA", "OO", "AA", "F9"))})
    (found,) = changes(before, after).categories
    assert (found.feature, found.gained, found.lost) == ("carrier", ("OO", "F9"), ("HA",))


def test_of_very_many_categories_those_gained_and_lost_are_found_at_once() -> None:
    before = model(encoding={"carrier": FeatureEncodingInfo(values=tuple(f"{n}" for n in range(20_000)))})
    after = model("b", encoding={"carrier": FeatureEncodingInfo(values=tuple(f"{n}" for n in range(10, 20_010)))})
    start = perf_counter()
    (found,) = changes(before, after).categories
    assert perf_counter() - start < 2
    assert (len(found.gained), found.gained[0], found.lost[-1]) == (10, "20000", "9")


def test_the_weight_whose_change_moves_the_scores_most_stands_first_among_those_beyond_doubt() -> None:
    def terms(distance: float, united: float, hawaiian: float) -> tuple[Term, ...]:
        return tuple(
            Term(
                name=name,
                feature=name.split("=")[0],
                category=name.partition("=")[2],
                weight=weight,
                interval=(weight - width, weight + width),
                unit="against the average" if "=" in name else "per unit",
                share=share,
            )
            for name, weight, width, share in (
                ("distance", distance, 0.0001, None),
                ("carrier=UA", united, 0.01, 0.5),
                ("carrier=HA", hawaiian, 5.0, 0.001),
            )
        )

    encoding = {"distance": FeatureEncodingInfo(figures={"mean": 1000.0, "scale": 700.0})}
    before, after = (
        model(digest, terms=terms(*weights), encoding=encoding)
        for digest, weights in (("a", (0.001, 0.1, 1.0)), ("b", (0.002, 0.2, 3.0)))
    )
    found = changes(before, after).terms
    assert [(each.name, each.clear) for each in found] == [
        ("distance", True),
        ("carrier=UA", True),
        ("carrier=HA", False),
    ]
    assert round(found[0].size, 6) == 0.7
    assert round(found[1].size, 6) == 0.05


def test_a_term_on_one_side_counts_as_zero_on_the_other() -> None:
    before = model(terms=(Term(name="x", feature="x", weight=1.0, interval=(0.5, 1.5), unit="per unit"),))
    other = Term(name="y", feature="y", weight=1.0, interval=(-0.5, 2.5), unit="per unit")
    found = changes(before, model("b", terms=(other,)))
    assert [(each.name, each.before is None, each.clear) for each in found.terms] == [
        ("x", False, True),
        ("y", True, False),
    ]


def test_weights_of_a_linear_model_are_not_held_against_a_network() -> None:
    network = model("b", trainer="mlp")
    for linear in (model(coefficients={"distance": 1.0}), model(terms=(Term(name="x", weight=1.0),))):
        found = changes(linear, network)
        assert not found.terms
        assert found.notices == ("The second model is not linear: there are no weights to compare.",)
        assert ("trainer", "linear", "mlp") in [(each.name, each.before, each.after) for each in found.parameters]


def test_models_from_before_the_natural_scale_are_compared_on_the_standardised_one() -> None:
    found = changes(
        model(coefficients={"distance": 1.0}),
        model("b", coefficients={"distance": 1.5}, terms=(Term(name="distance", weight=0.1),)),
    )
    assert [(each.name, each.size) for each in found.terms] == [("distance", 0.5)]
    assert "standard deviation" in found.notices[0]


def test_metrics_of_both_stand_side_by_side() -> None:
    found = changes(
        model(),
        model("b"),
        before_metrics={"auc": Estimate(value=0.6)},
        after_metrics={"auc": Estimate(value=0.7), "log_loss": Estimate(value=0.4)},
        same_rows=True,
    )
    assert [each.metric for each in found.metrics] == ["auc", "log_loss"]
    assert found.metrics[1].before is None
    assert found.same_rows


def test_moments_are_of_the_tasks_time_zone() -> None:
    after = model("b", fit_until=datetime(2013, 7, 1, 4, tzinfo=UTC))
    (found,) = changes(model(fit_until=None), after, timezone="America/New_York").data
    assert found.after == "2013-07-01 00:00 America/New_York"


def test_figures_of_one_feature_stand_together_the_one_that_moved_most_first() -> None:
    def encoded(digest: str, distance: float, minute: float) -> ModelInfo:
        figures = {
            "distance": FeatureEncodingInfo(figures={"mean": distance, "scale": 10 + distance / 100}),
            "minute": FeatureEncodingInfo(figures={"mean": minute, "scale": 10 + minute / 50}),
        }
        return model(digest, encoding=figures)

    found = changes(encoded("a", 100, 100), encoded("b", 105, 103))
    assert [each.name for each in found.preprocessing] == [
        "distance: mean", "distance: scale", "minute: mean", "minute: scale"
    ]  # fmt: skip


def test_a_paired_difference_stands_beside_both_values() -> None:
    values = {"auc": Estimate(value=0.7)}
    (found,) = changes(
        model(), model("b"), before_metrics=values, after_metrics=values, paired={"auc": Estimate(value=0.0)}
    ).metrics
    assert found.difference == Estimate(value=0.0)
