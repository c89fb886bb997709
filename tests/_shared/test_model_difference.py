"""What changed between two models, as a reviewer reads it."""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import pytest

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


def number(name: str, weight: float, half: float = 0.05, **fields: Any) -> Term:
    """The term of a number, or of whatever the fields say."""
    given: dict[str, Any] = {"feature": name, "unit": "per unit", "interval": (weight - half, weight + half), **fields}
    return Term(name=name, weight=weight, **given)


def category(name: str, value: str, weight: float, share: float, half: float = 0.05, **fields: Any) -> Term:
    bucket = {"(other)": "other", "(missing)": "missing"}.get(value, "")
    given: dict[str, Any] = {"unit": "against the average", "bucket": bucket, **fields}
    return number(f"{name}={value}", weight, half, feature=name, category=value, share=share, **given)


def intercept(weight: float, **fields: Any) -> Term:
    return number("(intercept)", weight, **{"feature": "", "unit": "", **fields})


def carriers(**found: tuple[float, float]) -> tuple[Term, ...]:
    """Categories, each a weight and a share; `other` is the bucket."""
    return tuple(category("carrier", "(other)" if name == "other" else name, *one) for name, one in found.items())


def two_shops(digest: str, share: float, contrast: float = 1.0) -> ModelInfo:
    """One shop is above the other one by the contrast, whatever the share of its rows."""
    terms = (
        category("shop", "A", round(contrast * (1 - share), 8), share),
        category("shop", "B", round(-contrast * share, 8), 1 - share),
        intercept(round(contrast * share, 8)),
    )
    return model(digest, features={"shop": "categorical"}, terms=terms)


def written(found: Any) -> list[tuple[str, float | None, float | None, bool]]:
    """Name, weights rounded and whether it is clear, of each change of a term."""
    return [
        (
            each.name,
            None if each.before is None else round(each.before.weight, 4),
            None if each.after is None else round(each.after.weight, 4),
            each.clear,
        )
        for each in found.terms
    ]


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


def test_the_first_row_is_compared_where_it_is_known_of_both() -> None:
    window = Window(start=START, end=datetime(2013, 6, 1, tzinfo=UTC))
    (found,) = changes(
        model(), model("b"), before_data=window.model_copy(update={"start": None}), after_data=window
    ).data
    assert (found.name, found.before, found.after) == ("first row", "the first there was", "2013-01-01 00:00 UTC")
    assert not changes(model(), model("b"), after_data=window).data


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


def test_another_mix_of_rows_alone_changes_no_weight() -> None:
    assert not changes(two_shops("a", 0.5), two_shops("b", 0.85)).terms


def test_categories_are_compared_against_the_average_row_of_the_second_model() -> None:
    found = changes(two_shops("a", 0.5), two_shops("b", 0.7, contrast=2.0))
    assert sorted(written(found)) == [
        ("(intercept)", 0.7, 1.4, True), ("shop=A", 0.3, 0.6, True), ("shop=B", -0.7, -1.4, True)
    ]  # fmt: skip


def test_an_interval_grows_by_what_moving_its_weight_is_uncertain_at_most() -> None:
    found = changes(two_shops("a", 0.5), two_shops("b", 0.7, contrast=2.0)).terms
    for each in found:
        low, high = each.before.interval
        assert (high - low) / 2 == pytest.approx(0.05 + 2 * 0.2 * 0.05)
        assert (high + low) / 2 == pytest.approx(each.before.weight)


def test_being_missing_is_compared_against_the_average_number_of_the_second_model() -> None:
    def encoded(digest: str, mean: float) -> ModelInfo:
        terms = (
            number("distance", 0.1, 0.01),
            number("distance=(missing)", 2.0 - 0.1 * mean, feature="distance", category="(missing)", bucket="missing",
                   unit="when missing", share=0.2),
        )  # fmt: skip
        figures = {"mean": mean, "scale": 3.0, "filler": 0.0}
        return model(digest, terms=terms, encoding={"distance": FeatureEncodingInfo(figures=figures)})

    assert not changes(encoded("a", 10.0), encoded("b", 15.0)).terms


def of_classes(digest: str, **logits: float) -> ModelInfo:
    """A softmax regression: its weights are against the mean of its classes."""
    mean = sum(logits.values()) / len(logits)
    terms = tuple(
        number(f"x → {name}", round(logit - mean, 8), feature="x", output=name) for name, logit in logits.items()
    )
    found = model(digest, features={"x": "numeric"}, terms=terms)
    update = {"problem": "multiclass_classification", "classes": tuple(logits)}
    return found.model_copy(update={"learning": found.learning.model_copy(update=update)})


def test_with_one_class_more_the_weights_of_the_others_are_compared_among_themselves() -> None:
    found = changes(of_classes("a", low=0.0, high=1.0), of_classes("b", low=0.0, high=1.0, extreme=3.0))
    assert not found.terms
    assert found.notices == ("Weights are compared of the classes that both models have, against the mean of these.",)
    assert [each.name for each in found.parameters] == ["classes"]
    high, low = changes(of_classes("a", low=0.0, high=1.0), of_classes("b", low=0.0, high=2.0, extreme=3.0)).terms
    assert (low.before.weight, low.after.weight, high.after.weight) == (-0.5, -1.0, 1.0)


def test_of_models_without_common_classes_there_are_no_weights_to_compare() -> None:
    found = changes(of_classes("a", low=0.0, high=1.0), of_classes("b", high=0.0, extreme=3.0))
    assert not found.terms
    assert found.notices == ("The models have fewer than two classes in common: their weights are not compared.",)


def test_a_category_that_came_or_went_is_compared_with_the_weight_that_the_other_model_gave_it() -> None:
    before = model(terms=carriers(UA=(-0.5, 0.5), HA=(0.2, 0.2), other=(0.7, 0.3)))
    after = model("b", terms=carriers(UA=(-0.5, 0.5), OO=(1.4, 0.2), other=(-0.1, 0.3)))
    found = {each.name: each for each in changes(before, after).terms}
    # On the rows of the second model the average of the first one is 0.5 * -0.5 + 0.5 * 0.7 = 0.1.
    came, went = found["carrier=OO"], found["carrier=HA"]
    assert (came.before.name, round(came.before.weight, 6), came.after.weight) == ("carrier=(other)", 0.6, 1.4)
    assert (round(went.before.weight, 6), went.after.name, went.after.weight) == (0.1, "carrier=(other)", -0.1)
    assert came.clear
    assert round(came.size, 6) == round(0.8 * 0.4, 6)


def test_a_category_that_has_the_weight_of_the_others_still_has_not_changed() -> None:
    before = model(terms=carriers(UA=(-0.5, 0.5), other=(0.5, 0.5)))
    after = model("b", terms=carriers(UA=(-0.5, 0.5), OO=(0.5, 0.4), other=(0.5, 0.1)))
    assert not changes(before, after).terms


def test_weights_of_another_problem_are_not_compared() -> None:
    before, after = model(terms=(number("x", 0.01),)), model("b", terms=(number("x", 3.0),))
    learning = after.learning.model_copy(update={"problem": "regression"})
    found = changes(before, after.model_copy(update={"learning": learning}))
    assert not found.terms
    assert found.notices == (
        "Weights of binary classification and of regression are not of one unit: they are not compared.",
    )


def test_a_value_that_is_called_like_the_bucket_of_others_is_not_taken_for_it() -> None:
    def of(digest: str, value: float, bucket: float) -> ModelInfo:
        terms = (
            category("carrier", "(other)", value, 0.5, bucket=""), category("carrier", "(other)", bucket, 0.5)
        )  # fmt: skip
        return model(digest, terms=terms)

    (found,) = changes(of("a", 5.0, -5.0), of("b", 2.0, -5.0)).terms
    assert (found.before.weight, found.after.weight, found.after.bucket) == (5.0, 2.0, "")


def test_terms_of_one_name_but_of_two_features_are_kept_apart() -> None:
    def of(digest: str, one: float, other: float) -> ModelInfo:
        terms = (category("a=b", "c", one, 0.5), category("a", "b=c", other, 0.5))
        return model(digest, features={"a": "categorical", "a=b": "categorical"}, terms=terms)

    (found,) = changes(of("a", 1.0, 2.0), of("b", 1.0, 3.0)).terms
    assert (found.after.feature, found.before.weight, found.after.weight) == ("a", 2.0, 3.0)


def test_a_change_counts_by_how_much_its_input_varies_and_the_intercept_stands_last() -> None:
    def of(digest: str, moved: float) -> ModelInfo:
        terms = (
            intercept(-200 + moved, half=500),
            number("late", 0.0 + moved, 9.0),
            number("distance", 0.0 + moved, 9.0),
            number("distance=(missing)", 0.0 + moved, 9.0, feature="distance", category="(missing)",
                   bucket="missing", unit="when missing", share=0.01),
            number("seen: hour of day, sine", 0.0 + moved, 9.0, feature="seen"),
        )  # fmt: skip
        features = {"late": "boolean", "distance": "numeric", "seen": "datetime"}
        encoding = {
            "late": FeatureEncodingInfo(figures={"mean": 0.0, "scale": 1.0, "filler": 0.1}),
            "distance": FeatureEncodingInfo(figures={"mean": 0.0, "scale": 2.0, "filler": 0.0}),
            "seen": FeatureEncodingInfo(figures={"hours": 1.0, "missing": 0.0}),
        }
        return model(digest, features=features, terms=terms, encoding=encoding)

    found = changes(of("a", 0.0), of("b", 1.0)).terms
    assert [(each.name, round(each.size, 4)) for each in found] == [
        ("distance", 2.0),
        ("seen: hour of day, sine", 0.7071),
        ("late", 0.3),
        ("distance=(missing)", 0.0995),
        ("(intercept)", 0.0),
    ]


def test_of_lists_of_values_that_were_cut_off_nothing_is_said_to_be_missing() -> None:
    def of(digest: str, values: tuple[str, ...], all_values: float) -> ModelInfo:
        return model(digest, encoding={"carrier": FeatureEncodingInfo(values=values, figures={"values": all_values})})

    cut = of("a", ("UA", "AA"), 3.0)
    found = changes(cut, of("b", ("UA", "OO"), 3.0))
    assert not found.categories
    assert "lists the 2 most frequent values alone: which of the others came or went is not known" in found.notices[-1]
    (lost,) = changes(cut, of("b", ("UA", "OO"), 2.0)).categories
    assert (lost.gained, lost.lost) == ((), ("AA",))


def test_rows_to_tune_keys_held_out_and_the_trainers_own_figures_are_compared() -> None:
    given: dict[str, Any] = {"trainer": "boosted", "features": {"x": "numeric", "y": "numeric"}}
    before = model(
        **given, made_from={"train": "t" * 64, "tune": "u" * 64}, held_out=0.2,
        native={"x": {"gain": 100.0}, "y": {"gain": 5.0}},
    )  # fmt: skip
    after = model(
        "b", **given, made_from={"train": "t" * 64, "tune": "v" * 64}, held_out=0.3,
        native={"x": {"gain": 90.0}, "y": {"gain": 55.0}},
    )  # fmt: skip
    found = changes(before, after)
    assert [(each.name, each.before, each.after) for each in found.data] == [
        ("keys held out", "0.2 of all", "0.3 of all"),
        ("digest of the rows to tune", "u" * 12, "v" * 12),
    ]
    assert [(each.name, each.before, each.after) for each in found.native] == [
        ("y: gain", "5", "55"), ("x: gain", "100", "90")
    ]  # fmt: skip


def test_models_of_the_same_files_are_compared_in_what_is_written_of_them() -> None:
    found = changes(model(), model(rows={"train": 5, "tune": 100}))
    assert found.same
    assert [each.name for each in found.data] == ["rows to fit"]


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
