"""Coefficients on the natural scale: those of the function that is served, with intervals that hold the truth."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from components._shared.measuring.student import quantile
from components._shared.model_difference import differences
from components._shared.model_info import ModelInfo, Term
from components._shared.saved_model import SavedModel, Strings
from components.train import encoding_info as encoding_info_module
from components.train.coefficients import natural_terms
from components.train.encoding_info import encoding_info
from components.train.executor import train
from components.train.job import LabelledBatch
from components.train.linear_function import LinearFunction
from components.train.newton import optimum
from components.train.preprocessing import CategoryEncoding, Encoding, NumberEncoding
from tests.synthetic_rows import FEATURES, learning, rows

SHOPS = (b"Oslo", b"Rome", b"Bern")
WEEKDAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
ENCODING = Encoding(
    (
        NumberEncoding("number", mean=2.0, scale=3.0, filler=0.0, indicator=False),
        CategoryEncoding("shop", SHOPS, has_other=False, has_missing=False),
        CategoryEncoding("weekday", WEEKDAYS, has_other=False, has_missing=False),
    )
)
OUTPUTS = {"multiclass_classification": 3}


@dataclass(frozen=True)
class Drawn:
    """Rows of some days, each with an unseen effect of its own."""

    batch: LabelledBatch
    day: Any

    @classmethod
    def of(cls, problem: str, days: int, rows_: int, random: np.random.Generator) -> Drawn:
        day = np.repeat(np.arange(days), rows_)
        number = 2 + 3 * (0.5 * random.normal(size=days)[day] + 0.9 * random.normal(size=len(day)))
        shop = random.choice(3, len(day), p=[0.5, 0.3, 0.2])
        signal = 0.3 * number + np.array([0, 0.5, -0.5])[shop] + 0.3 * (day % 7 >= 5)
        signal = signal + 0.5 * random.normal(size=days)[day] - 1.5
        noise = random.logistic(size=len(day))
        match problem:
            case "binary_classification":
                label = (signal + noise > 0).astype(float)
            case "multiclass_classification":
                label = np.digitize(signal + noise, [-1.0, 1.0]).astype(float)
            case _:
                label = signal + noise
        return cls(
            LabelledBatch(
                features={
                    "number": number.astype("float32"),
                    "shop": Strings(SHOPS, shop),
                    "weekday": Strings(WEEKDAYS, day % 7),
                },
                labels=label,
                weights=np.ones(len(day)),
                clusters=Strings(tuple(str(each).encode() for each in range(days)), day),
            ),
            day,
        )

    def batches(self, *, clusters: bool) -> Iterator[LabelledBatch]:
        yield self.batch if clusters else replace(self.batch, clusters=None)

    def without_clusters(self) -> Drawn:
        return Drawn(replace(self.batch, clusters=None), self.day)

    def raw_design(self) -> Any:
        """Raw number, one column per category but the first of each feature, 1."""
        batch = self.batch
        columns = [batch.features["number"].astype(float)]
        columns += [(batch.features["shop"].codes == code).astype(float) for code in (1, 2)]
        columns += [(batch.features["weekday"].codes == code).astype(float) for code in range(1, 7)]
        return np.stack([*columns, np.ones(len(batch.labels))], axis=1)


def start(problem: str, random: np.random.Generator | None = None, l2: float = 1e-9) -> LinearFunction:
    """Weights somewhere near zero."""
    outputs = OUTPUTS.get(problem, 1)
    draw = (lambda *shape: 0.1 * random.normal(size=shape)) if random else (lambda *shape: np.zeros(shape))
    table = draw(len(ENCODING.categories), outputs)
    table[ENCODING.untrained()] = 0.0
    return LinearFunction(
        problem=problem,
        classes=("low", "middle", "high") if outputs == 3 else None,
        encoding=ENCODING,
        kernel=draw(1, outputs),
        table=table,
        bias=draw(outputs),
        l2=l2,
    )


def fitted(problem: str, drawn: Drawn, **given: Any) -> LinearFunction:
    found = optimum(start(problem, **given), drawn)
    assert found is not None
    return found


def by_name(terms: tuple[Term, ...]) -> dict[str, Term]:
    return {term.name: term for term in terms}


def test_the_weights_are_those_of_least_squares_on_raw_columns() -> None:
    drawn = Drawn.of("regression", 42, 30, np.random.default_rng(1))
    raw, *_ = np.linalg.lstsq(drawn.raw_design(), drawn.batch.labels, rcond=None)
    shop_shares = np.bincount(drawn.batch.features["shop"].codes) / len(drawn.day)

    found = by_name(natural_terms(fitted("regression", drawn), drawn).terms)

    assert found["number"].weight == pytest.approx(raw[0], rel=1e-4)
    shops = np.array([0, raw[1], raw[2]])
    for name, weight in zip(("Oslo", "Rome", "Bern"), shops - shops @ shop_shares, strict=True):
        assert found[f"shop={name}"].weight == pytest.approx(weight, abs=1e-4)
        assert (found[f"shop={name}"].feature, found[f"shop={name}"].category) == ("shop", name)
    weekdays = np.array([0, *raw[3:9]])
    intercept = raw[9] + shops @ shop_shares + weekdays @ (np.bincount(drawn.day % 7) / len(drawn.day))
    assert found["(intercept)"].weight == pytest.approx(intercept, abs=1e-4)


def test_the_weights_are_those_of_a_logistic_regression_on_raw_columns() -> None:
    drawn = Drawn.of("binary_classification", 42, 30, np.random.default_rng(2))
    design, point = drawn.raw_design(), np.zeros(10)
    for _ in range(25):
        rate = 1 / (1 + np.exp(-design @ point))
        hessian = design.T @ (design * (rate * (1 - rate))[:, None])
        point -= np.linalg.solve(hessian, design.T @ (rate - drawn.batch.labels))

    found = by_name(natural_terms(fitted("binary_classification", drawn), drawn).terms)

    assert found["number"].weight == pytest.approx(point[0], rel=1e-4)
    assert found["shop=Rome"].weight - found["shop=Oslo"].weight == pytest.approx(point[1], abs=1e-4)
    assert found["weekday=Sun"].weight - found["weekday=Mon"].weight == pytest.approx(point[8], abs=1e-4)


def test_the_intervals_are_those_of_leaving_out_one_day_after_the_other() -> None:
    drawn = Drawn.of("regression", 42, 30, np.random.default_rng(3))
    design, label = drawn.raw_design(), drawn.batch.labels
    left = [np.linalg.lstsq(design[drawn.day != day], label[drawn.day != day], rcond=None)[0] for day in range(42)]
    error = np.sqrt(41 / 42 * ((np.array(left) - np.linalg.lstsq(design, label, rcond=None)[0]) ** 2).sum(axis=0))

    low, high = by_name(natural_terms(fitted("regression", drawn), drawn).terms)["number"].interval

    # All days tell of the number, so Student's quantile has about as many degrees of freedom; each day's share of what
    # is known is a number here, and a matrix there.
    assert (high - low) / 2 == pytest.approx(error[0] * quantile(0.025, 41), rel=0.08)


@pytest.mark.parametrize("problem", ["regression", "binary_classification"])
def test_the_intervals_hold_the_truth_on_clustered_rows(problem: str) -> None:
    random = np.random.default_rng(4)
    truth = fitted(problem, Drawn.of(problem, 2100, 40, random))
    held = []
    for _ in range(50):
        drawn = Drawn.of(problem, 56, 40, random)
        terms = natural_terms(fitted(problem, drawn), drawn).terms[:-1]
        true = natural_terms(truth, drawn.without_clusters()).terms[:-1]
        held += [t.interval[0] <= w.weight <= t.interval[1] for t, w in zip(terms, true, strict=True) if t.interval]

    assert len(held) == 50 * 11
    assert 0.90 <= np.mean(held) <= 0.985


def test_the_optimum_is_the_same_wherever_the_search_begins() -> None:
    drawn = Drawn.of("multiclass_classification", 28, 30, np.random.default_rng(5))

    found = [
        natural_terms(fitted("multiclass_classification", drawn, random=np.random.default_rng(seed), l2=1e-5), drawn)
        for seed in (1, 2)
    ]

    for first, second in zip(found[0].terms, found[1].terms, strict=True):
        assert first.weight == pytest.approx(second.weight, abs=1e-6)
    assert all(each.distance < 1e-3 for each in found)


def test_of_several_classes_the_weights_of_a_term_add_up_to_nothing() -> None:
    drawn = Drawn.of("multiclass_classification", 28, 30, np.random.default_rng(6))

    terms = natural_terms(fitted("multiclass_classification", drawn), drawn).terms
    number = [term for term in terms if term.feature == "number"]

    assert [term.name for term in number] == ["number → low", "number → middle", "number → high"]
    assert [term.output for term in number] == ["low", "middle", "high"]
    assert sum(term.weight for term in number) == pytest.approx(0, abs=1e-8)
    assert number[0].interval[1] < 0 < number[2].interval[0]


def test_a_value_that_train_does_not_have_gets_no_interval() -> None:
    drawn = Drawn.of("regression", 28, 30, np.random.default_rng(7))

    other = by_name(natural_terms(fitted("regression", drawn), drawn).terms)["shop=(other)"]

    assert (other.interval, other.share) == (None, 0.0)


def test_buckets_are_told_from_values_of_their_name_and_shares_of_missing_numbers_are_recorded() -> None:
    encoding = Encoding(
        (
            NumberEncoding("number", mean=2.0, scale=3.0, filler=0.0, indicator=True),
            CategoryEncoding("shop", (b"Oslo", b"(other)"), has_other=True, has_missing=True),
        )
    )
    given = LabelledBatch(
        features={
            "number": np.array([1.0, np.nan, 3.0, np.nan], "float32"),
            "shop": Strings((b"Oslo", b"(other)", b"Bern", b""), np.arange(4)),
        },
        labels=np.zeros(4),
        weights=np.array([1.0, 3.0, 2.0, 2.0]),
        clusters=None,
    )
    function = replace(start("regression"), encoding=encoding, kernel=np.ones((2, 1)), table=np.arange(4.0)[:, None])

    found = natural_terms(function, Drawn(given, np.zeros(4, np.int64))).terms

    assert [(term.name, term.bucket, term.share) for term in found] == [
        ("number", "", None),
        ("number=(missing)", "missing", 0.625),
        ("shop=Oslo", "", 0.125),
        ("shop=(other)", "", 0.375),
        ("shop=(other)", "other", 0.25),
        ("shop=(missing)", "missing", 0.25),
        ("(intercept)", "", None),
    ]


def test_of_the_same_truth_on_another_mix_of_rows_no_weight_has_changed_beyond_doubt() -> None:
    def trained(share: float, seed: int) -> ModelInfo:
        random = np.random.default_rng(seed)
        shop, day = (random.random(6000) >= share).astype(np.int64), np.arange(6000) % 60
        label = (random.random(6000) < 1 / (1 + np.exp(2.0 * shop - 1.0))).astype(float)
        encoding = Encoding((CategoryEncoding("shop", (b"A", b"B"), has_other=False, has_missing=False),))
        batch = LabelledBatch(
            features={"shop": Strings((b"A", b"B"), shop)}, labels=label, weights=np.ones(6000),
            clusters=Strings(tuple(str(each).encode() for each in range(60)), day),
        )  # fmt: skip
        empty = replace(
            start("binary_classification"), encoding=encoding, kernel=np.zeros((0, 1)), table=np.zeros((3, 1))
        )
        drawn = Drawn(batch, day)
        function = optimum(empty, drawn)
        assert function is not None
        return ModelInfo(
            digest=str(seed) * 64, learning=learning("binary_classification", features={"shop": "categorical"}),
            inputs={}, fit_until=None, base=(float(label.mean()),), rows={},
            terms=natural_terms(function, drawn).terms,
        )  # fmt: skip

    half, most = trained(0.5, seed=1), trained(0.85, seed=2)
    found = differences(half, most, before_name="1", after_name="2").terms

    # Against the average row of its own train, the weight of A would have gone from 1.0 to 0.3.
    assert by_name(half.terms)["shop=A"].interval[0] > by_name(most.terms)["shop=A"].interval[1]
    assert {change.name for change in found} >= {"shop=A", "shop=B", "(intercept)"}
    assert not any(change.clear for change in found)


def test_weights_far_from_the_optimum_are_said_to_be() -> None:
    drawn = Drawn.of("regression", 28, 30, np.random.default_rng(8))

    found = natural_terms(start("regression"), drawn)

    assert found.distance > 1
    assert "not those of the optimum" in found.notices[0]


def test_without_clusters_there_are_weights_and_a_notice() -> None:
    drawn = Drawn.of("regression", 28, 30, np.random.default_rng(9))

    found = natural_terms(fitted("regression", drawn), drawn.without_clusters())

    assert all(term.interval is None for term in found.terms)
    assert "too few clusters" in found.notices[0]


def test_of_very_many_terms_there_are_weights_and_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn.of("regression", 28, 30, np.random.default_rng(10))
    function = fitted("regression", drawn)
    monkeypatch.setattr("components.train.coefficients.MOST_TERMS", 10)
    monkeypatch.setattr("components.train.newton.MOST_PARAMETERS", 10)

    found = natural_terms(function, drawn)

    assert all(term.interval is None for term in found.terms)
    assert "more than 10" in found.notices[0]
    assert optimum(function, drawn) is None


def test_ten_thousand_categories_need_little_memory() -> None:
    count, random = 10_000, np.random.default_rng(11)
    values = tuple(f"v{number}".encode() for number in range(count))
    encoding = Encoding((CategoryEncoding("code", values, has_other=False, has_missing=False),))
    function = replace(
        start("regression"), encoding=encoding, kernel=np.zeros((0, 1)), table=random.normal(size=(count + 1, 1))
    )
    given = LabelledBatch(
        features={"code": Strings(values, np.arange(count))},
        labels=np.zeros(count),
        weights=np.ones(count),
        clusters=None,
    )
    drawn = Drawn(given, np.zeros(count, np.int64))

    tracemalloc.start()
    began = perf_counter()
    found = natural_terms(function, drawn)
    seconds, (_, peak) = perf_counter() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (len(found.terms), found.distance) == (count + 2, None)
    assert found.terms[0].weight == pytest.approx(function.table[0, 0] - function.table[:-1].mean())
    assert found.terms[-1].weight == pytest.approx(function.table[:-1].mean())
    assert peak < 50e6
    assert seconds < 10


def log_odds(info: ModelInfo, given: dict[str, list[Any]], row: int) -> float:
    """The sum of the terms for a row, of numbers and categories."""
    terms = by_name(info.terms)
    total = terms["(intercept)"].weight
    for feature, kind in info.learning.features.items():
        value = given[feature][row]
        if kind == "categorical":
            total += terms[f"{feature}={'(missing)' if value is None else value}"].weight
        elif value is None:
            mean = info.encoding[feature].figures["mean" if kind == "numeric" else "filler"]
            total += terms[f"{feature}=(missing)"].weight + terms[feature].weight * mean
        else:
            total += terms[feature].weight * value
    return total


@pytest.mark.parametrize(("problem", "calibrate"), [("binary_classification", "platt"), ("regression", "none")])
def test_the_terms_are_those_of_the_function_that_is_served(
    problem: str, calibrate: str, parts: Callable[..., Any], tmp_path: Path
) -> None:
    features = {name: kind for name, kind in FEATURES.items() if kind != "datetime"}
    section = learning(problem, features=features, parameters={"calibrate": calibrate}, budget=2)
    first, second = parts(problem)
    info = train(train=first, tune=second, learning=section, model_dir=tmp_path / "model")
    given = rows(40, problem, seed=1)
    values = {
        "temperature (°C)": np.array([np.nan if v is None else v for v in given["temperature (°C)"]], "float32"),
        "open on Sunday": np.array([np.nan if v is None else v for v in given["open on Sunday"]], "float32"),
        **{
            name: Strings(
                tuple(dict.fromkeys("" if v is None else str(v) for v in given[name])), np.zeros(40, np.int64)
            )
            for name in ("shop", "class")
        },
    }
    for name in ("shop", "class"):
        known = values[name].values
        codes = np.array([known.index("" if v is None else str(v)) for v in given[name]])
        values[name] = Strings(tuple(text.encode() for text in known), codes)

    served = SavedModel(tmp_path / "model").answer({info.inputs[n].name: column for n, column in values.items()})

    summed = np.array([log_odds(info, given, row) for row in range(40)])
    expected = summed if problem == "regression" else 1 / (1 + np.exp(-summed))
    assert served["score"][:, 0] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_model_json_says_how_features_are_prepared_and_cuts_long_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    found = encoding_info(ENCODING)

    assert found["number"].figures == {"mean": 2.0, "scale": 3.0, "filler": 0.0, "indicator": 0.0}
    assert found["shop"].values == ("Oslo", "Rome", "Bern")
    monkeypatch.setattr(encoding_info_module, "MOST_VALUES", 2)
    cut = encoding_info(ENCODING)["shop"]
    assert (cut.values, cut.figures["values"]) == (("Oslo", "Rome"), 3.0)
