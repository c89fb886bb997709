"""The parts of a comparison: sample, clusters, ranks, band, rows that differ most, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components._shared.comparison import Comparison, Flip, OutputComparison, QuantilePoint, SliceComparison
from components._shared.decision_rule import DecisionRule
from components._shared.evidence import Estimate
from components.compare import clusters as clusters_module
from components.compare.clusters import SLOTS, Clusters, folded, ratios
from components.compare.distributions import (
    BANDED,
    distance,
    outside,
    quantile_points,
    rank_agreement,
    stability_index,
)
from components.compare.most_different import Kept, MostDifferent
from components.compare.pairs import Pairs
from components.compare.sampling import Sample
from components.compare.slices import slices_of
from components.compare.story import is_little, story_of
from components.compare.tallies import OTHERS, SliceTally
from tests.compared_rows import key_of, section_of


def _pairs(first: int, keys: list[str], candidate: Any, champion: Any) -> Pairs:
    rows = pa.record_batch({"_key": pa.array(keys, pa.string())})
    return Pairs(first, rows, np.atleast_2d(candidate), np.atleast_2d(champion))


# The sample


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(60)), st.lists(st.integers(1, 25), min_size=1, max_size=8), st.integers(1, 70))
def test_the_sample_is_the_rows_with_the_smallest_keys_whatever_their_order(
    order: list[int], cuts: list[int], most: int
) -> None:
    sample = Sample(1, most)
    first = 0
    while first < len(order):
        part = order[first : first + cuts[first % len(cuts)]]
        keys, scores = [key_of(number) for number in part], np.array(part, float)
        sample.add(_pairs(first, keys, scores, -scores), np.array(part))
        first += len(part)
    smallest = sorted(range(60), key=key_of)[:most]
    found = sample.rows(np.arange(200))
    assert found.candidate[0].tolist() == smallest
    assert found.champion[0].tolist() == [-number for number in smallest]
    assert found.group.tolist() == smallest


def test_a_key_that_is_no_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="does not have 32 digits"):
        Sample(1).add(_pairs(0, ["a"], [0.5], [0.5]), np.zeros(1, np.int64))


# Clusters


def test_few_clusters_are_groups_of_their_own_across_batches() -> None:
    found = Clusters()
    keys = pa.array(["x", "y", "z"])
    assert found.slots(pa.array(["b", "a", "b"]), keys).tolist() == [0, 1, 0]
    assert found.slots(pa.array(["c", "a", None]), keys).tolist() == [2, 1, 3]
    assert found.count == 4
    assert found.groups()[:4].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("rows", [1, 100, 101, 365, 5000])
def test_many_clusters_are_joined_at_random_and_stay_together(rows: int) -> None:
    names = [f"day {number}" for number in range(rows)]
    keys = pa.array([key_of(number) for number in range(rows)])
    found = Clusters()
    slots = np.concatenate([found.slots(pa.array(names[:50]), keys[:50]), found.slots(pa.array(names[50:]), keys[50:])])
    again = found.slots(pa.array(names[::-1]), keys[::-1])[::-1]
    group = found.groups()[slots]
    assert found.count == rows and found.groups()[again].tolist() == group.tolist()
    sizes = np.bincount(group)
    assert sizes.max() == 1 if rows <= 100 else len(sizes) <= 100 and sizes.std() > 0.5 * (rows / 100) ** 0.5


def test_rows_that_are_their_own_clusters_are_spread_over_the_groups() -> None:
    keys = pa.array([key_of(number) for number in range(5000)])
    found = Clusters()
    slots = np.concatenate([found.slots(part, part) for part in (keys[:60], keys[60:300], keys[300:])])
    assert found.count == 5000 and len(np.unique(found.groups()[slots])) == 100


def test_clusters_beyond_those_known_by_name_are_counted_nearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters_module, "MOST_KNOWN", 150)
    names = [f"customer {number}" for number in range(20_000)]
    keys = pa.array([key_of(number) for number in range(20_000)])
    found = Clusters()
    one = found.slots(pa.array(names), keys)
    assert found.slots(pa.array(names[::-1]), keys).tolist() == one[::-1].tolist()
    assert found.count == pytest.approx(20_000, rel=0.002)


def test_the_interval_of_a_season_is_not_that_of_every_hundredth_day() -> None:
    day = np.arange(365)
    season = np.sin(2 * np.pi * day / 365)
    clusters = Clusters()
    slots = clusters.slots(pa.array([f"day {one}" for one in day]), pa.array([key_of(one) for one in day]))
    sums, rows = (folded(np.bincount(slots, weights, SLOTS), clusters.groups()) for weights in (season, np.ones(365)))
    _, widths = ratios(sums[:, None], rows)
    assert widths[0] == pytest.approx(1.98 * season.std() / 365**0.5, rel=0.2)


def test_ratios_leave_out_groups_without_rows() -> None:
    random = np.random.default_rng(1)
    rows = np.zeros(100)
    rows[:10] = 50
    sums = np.zeros((100, 2))
    sums[:10] = random.normal(50, 5, (10, 2))
    values, widths = ratios(sums, rows)
    fewer_values, fewer_widths = ratios(sums[:10], rows[:10])
    assert values.tolist() == fewer_values.tolist() and widths.tolist() == fewer_widths.tolist()
    assert np.isfinite(widths).all() and (widths > 0).all()


# Ranks and distances


def test_ties_have_their_middle_rank() -> None:
    random = np.random.default_rng(2)
    champion, candidate = random.integers(0, 5, 400) / 5, random.integers(0, 7, 400) / 7
    candidate[:200] = champion[:200]

    def middle(values: Any) -> Any:
        return np.array([(values < value).sum() + (values == value).sum() / 2 for value in values])

    found = rank_agreement(champion, candidate, np.arange(400) % 20)
    assert found is not None
    assert found.value == pytest.approx(np.corrcoef(middle(champion), middle(candidate))[0, 1], rel=1e-9)


def test_the_interval_of_the_rank_correlation_is_what_leaving_out_clusters_gives() -> None:
    random = np.random.default_rng(3)
    group = random.integers(0, 40, 2000)
    champion = random.normal(size=2000) + random.normal(0, 0.5, 40)[group]
    candidate = champion + random.normal(0, 0.7, 2000) + random.normal(0, 0.5, 40)[group]
    found = rank_agreement(champion, candidate, group)
    assert found is not None and found.interval is not None
    without = []
    for left_out in range(40):
        rest = group != left_out
        one = rank_agreement(champion[rest], candidate[rest], group[rest])
        assert one is not None
        without.append(one.value)
    error = np.sqrt(39 / 40 * ((np.array(without) - np.mean(without)) ** 2).sum())
    half = (found.interval[1] - found.interval[0]) / 2
    assert half == pytest.approx(2.05 * error, rel=0.12)


def test_the_order_beside_a_constant_has_no_correlation() -> None:
    group = np.arange(100) % 10
    assert rank_agreement(np.full(100, 0.5), np.arange(100.0), group) is None
    assert rank_agreement(np.full(100, 0.5), np.full(100, 0.5), group) == Estimate(value=1.0, interval=(1.0, 1.0))


def test_distances_of_scores_with_few_values_are_exact() -> None:
    champion, candidate = np.sort(np.repeat([0.1, 0.5, 0.9], [50, 30, 20])), np.sort(np.repeat([0.1, 0.9], [20, 80]))
    assert distance(champion, candidate) == pytest.approx(0.6)
    # The deciles are 0.1, 0.5 and 0.9: cells up to each, of which the last holds all that is left.
    before, after = np.array([0.5, 0.3, 0.2, 1e-4]), np.array([0.2, 1e-4, 0.8, 1e-4])
    assert stability_index(champion, candidate) == pytest.approx(((after - before) * np.log(after / before)).sum())


def test_no_noise_of_32_bit_floats_moves_a_distribution_of_few_scores() -> None:
    random = np.random.default_rng(4)
    group = np.arange(2000) % 30
    for _ in range(100):
        champion = random.choice(random.random(4).astype(np.float32), 2000)
        candidate = champion + random.integers(-1, 2, 2000) * np.spacing(champion)
        one, other = champion.astype(float), candidate.astype(float)
        ordered = np.sort(one), np.sort(other)
        assert distance(*ordered) == 0 and stability_index(*ordered) == 0
        assert outside(quantile_points(one, other, group)) == 0
        found = rank_agreement(one, other, group)
        assert found is not None and found.value > 0.98


def test_the_band_holds_as_a_whole_for_models_of_one_distribution() -> None:
    random = np.random.default_rng(5)
    outside = 0
    for _ in range(150):
        group = random.integers(0, 30, 3000)
        base = random.normal(size=3000) + random.normal(0, 0.5, 30)[group]
        one, other = (base + random.normal(0, 0.3, 30)[group] + random.normal(0, 0.3, 3000) for _ in range(2))
        points = quantile_points(one, other, group)
        outside += any(
            point.low is not None and point.high is not None and not point.low <= point.candidate <= point.high
            for point in points
        )
    # 5 % are meant: 7 or 8 of 150.
    assert outside <= 15


def test_the_band_sees_a_distribution_that_moved() -> None:
    random = np.random.default_rng(5)
    group = random.integers(0, 30, 3000)
    base = random.normal(size=3000)
    points = quantile_points(base, base + 0.3 + random.normal(0, 0.1, 3000), group)
    seen = [point for point in points if point.low is not None]
    assert [point.level for point in seen] == list(BANDED)
    assert all(point.high is not None and point.candidate > point.high for point in seen)


# Slices


@pytest.mark.parametrize("tails", [0.0, 0.7, 1.2])
def test_equal_slices_are_rarely_called_surprising(tails: float) -> None:
    random = np.random.default_rng(8)
    wrong = 0
    for _ in range(60):
        rows, day = 2000, random.integers(0, 30, 2000)
        place = random.integers(0, 20, rows)
        difference = random.normal(0, 0.05, rows) * random.lognormal(0, tails, rows) + random.normal(0, 0.02, 30)[day]
        tally = SliceTally()
        tally.add(pa.array([f"place {one}" for one in place]), day, difference, np.abs(difference), None)
        wrong += any(one.surprising for one in slices_of({"place": tally}, decided=False))
    # 5 % are meant: 3 of 60.
    assert wrong <= 8


def test_a_slice_whose_shift_differs_from_day_to_day_is_found_and_not_those_beside_it() -> None:
    random = np.random.default_rng(9)
    right = 0
    for _ in range(40):
        day, place = random.integers(0, 30, 5000), random.choice(4, 5000, p=[0.6, 0.2, 0.1, 0.1])
        shift = np.where(place == 3, 0.1 + random.normal(0, 0.1, 30)[day], 0)
        difference = random.normal(0, 0.03, 5000) + random.normal(0, 0.01, 30)[day] + shift
        tally = SliceTally()
        tally.add(pa.array([f"place {one}" for one in place]), day, difference, np.abs(difference), None)
        found = [one.value for one in slices_of({"place": tally}, decided=False) if one.surprising]
        right += found == ["place 3"]
    assert right >= 35


def test_values_beyond_the_first_thousand_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.compare.tallies.MOST_VALUES", 3)
    tally = SliceTally()
    ones = np.ones(4)
    for values in (["a", "b", None, "d"], ["a", "e", "d", "b"]):
        tally.add(pa.array(values), np.zeros(4, np.int64), ones, ones, None)
    assert dict(zip(tally.values(), tally.sums[0].sum(axis=1).tolist(), strict=True)) == {
        "a": 2,
        "b": 2,
        "(missing)": 1,
        OTHERS: 3,
    }


# The rows that differ most


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 8),
)
def test_the_most_different_rows_are_those_of_a_full_sort_one_for_each_two_scores(
    scores: list[tuple[int, int]], cut: int, most: int
) -> None:
    kept = MostDifferent(most=most)
    for first in range(0, len(scores), cut):
        part = np.array(scores[first : first + cut], float).T / 4
        keys = [key_of(first + number) for number in range(part.shape[1])]
        kept.add(_pairs(first, keys, part[0], part[1]), np.zeros(part.shape[1]), None)
    expected: dict[tuple[int, int], int] = {}
    for place in sorted(range(len(scores)), key=lambda one: (-abs(scores[one][0] - scores[one][1]), key_of(one))):
        if scores[place][0] != scores[place][1]:
            expected.setdefault(scores[place], place)
    assert [row.position for row in kept.rows()] == list(expected.values())[:most]


def test_rows_that_are_alike_but_for_noise_are_shown_once_and_looked_at_once_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[int] = []

    def kept_row(**fields: Any) -> Kept:
        looked_at.append(fields["position"])
        return Kept(**fields)

    monkeypatch.setattr("components.compare.most_different.Kept", kept_row)
    random = np.random.default_rng(6)
    candidate, champion = random.choice([0.1, 0.22, 0.36, 0.65], (2, 20_000)) + random.normal(0, 1e-9, (2, 20_000))
    kept = MostDifferent()
    for first in range(0, 20_000, 5000):
        keys = [key_of(first + number) for number in range(5000)]
        part = slice(first, first + 5000)
        kept.add(_pairs(first, keys, candidate[part], champion[part]), np.zeros(5000), None)
    found = [(round(row.candidate, 6), round(row.champion, 6)) for row in kept.rows()]
    # Four scores make sixteen pairs; those of two equal ones differ by noise.
    assert len(found) == len(set(found)) == 16 and len(looked_at) <= 4 * 16
    assert set(found[:2]) == {(0.65, 0.1), (0.1, 0.65)}


# What is said of it


def _comparison(**changes: Any) -> Comparison:
    points = tuple(QuantilePoint(level=level, champion=level, candidate=level) for level in (0.05, 0.5, 0.95))
    output = OutputComparison(
        name="score",
        mean=Estimate(value=0.002, interval=(0.001, 0.003)),
        absolute=Estimate(value=0.004),
        psi=0.01,
        ks=0.01,
        rank_agreement=Estimate(value=0.995),
        qq=points,
    )
    fields: dict[str, Any] = {"champion": "old", "rows": 1000, "clusters": 30, "threshold": 0.5}
    fields |= {"flipped": Estimate(value=0.004, interval=(0.002, 0.006))}
    outputs = (output.model_copy(update=changes.pop("output", {})),)
    return Comparison(**(fields | {"outputs": outputs} | changes))


def test_a_small_difference_is_called_small() -> None:
    found = _comparison()
    assert is_little(found)
    assert story_of(found, section_of()) == (
        "There is little to see: over 1,000 rows in 30 days a score moved by 0.004 up or down, on balance by +0.0020 "
        "[0.0010, 0.0030], and 0.40 % [0.20, 0.60] of the decisions flip; distribution and order of the scores are "
        "nearly the same (PSI 0.01, rank correlation 0.995)."
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"flipped": Estimate(value=0.02)},
        {"output": {"absolute": Estimate(value=0.02)}},
        {"output": {"rank_agreement": Estimate(value=0.9)}},
        {"output": {"rank_agreement": None}},
    ],
)
def test_what_is_large_in_any_way_is_not_little(changes: dict[str, Any]) -> None:
    assert not is_little(_comparison(**changes))


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ({"ks": 0.2, "psi": 0.3}, "the distribution moved as a whole (PSI 0.3, KS 0.2), in nearly the same order"),
        (
            {"rank_agreement": Estimate(value=0.7)},
            "the distribution stayed (PSI 0.01, KS 0.01), but which rows score high",
        ),
        ({"ks": 0.2, "rank_agreement": Estimate(value=0.7)}, "both the distribution (PSI 0.01, KS 0.2) and the order"),
        ({}, "many scores lie where the decision turns at 0.5"),
    ],
)
def test_the_story_says_whether_the_whole_moved_or_the_order(output: dict[str, Any], says: str) -> None:
    found = _comparison(output={"absolute": Estimate(value=0.05)} | output, flipped=Estimate(value=0.08))
    assert says in story_of(found, section_of())


def test_the_story_tells_both_ways_of_flipping_and_the_net_then_where() -> None:
    def one(value: str, mean: float, *, rows: int, surprising: bool) -> SliceComparison:
        return SliceComparison(
            column="carrier",
            value=value,
            rows=rows,
            mean=Estimate(value=mean, interval=(mean - 0.01, mean + 0.01)),
            absolute=Estimate(value=abs(mean)),
            flipped=0.3,
            share_of_difference=0.5,
            surprising=surprising,
        )

    def flip(before: str, after: str, rows: int, right: float, saved: float) -> Flip:
        share, found = Estimate(value=rows / 1000), Estimate(value=right, interval=(0.1, 0.9))
        return Flip(before=before, after=after, rows=rows, share=share, labelled=60, right=found, saved=saved)

    found = _comparison(
        output={"absolute": Estimate(value=0.05), "ks": 0.2},
        flipped=Estimate(value=0.14),
        ways=2,
        judged=140,
        known=1000,
        labelled=1000,
        flips=(flip("negative", "positive", 80, 0.25, -120.0), flip("positive", "negative", 60, 0.9, 200.0)),
        saved=Estimate(value=80.0, interval=(-40.0, 200.0)),
        slices=(one("EV", 0.2, rows=200, surprising=True), one("UA", 0.01, rows=800, surprising=False)),
    )
    rule = DecisionRule(threshold=0.5, unit="minutes", costs={"false_positive": 1})
    assert story_of(found, section_of(decision=rule)) == (
        "14 % of the decisions flip, over 1,000 rows in 30 days, which saves 80 [−40, 200] minutes in all: 80 from "
        "negative to positive (right on 25 % of the 60 labelled, costs 120); 60 back (right on 90 %, saves 200). "
        "Not the same everywhere: carrier EV +0.2, elsewhere +0.01. "
        "The distribution moved as a whole (PSI 0.01, KS 0.2), in nearly the same order of the rows (rank "
        "correlation 0.995)."
    )
    lost = found.model_copy(update={"saved": Estimate(value=-80.0, interval=(-200.0, 40.0))})
    assert "which costs 80 [−40, 200] minutes in all" in story_of(lost, section_of(decision=rule))
