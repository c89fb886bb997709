"""Score sketches, held against the exact figures of the rows that they were made of."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("datasketches", reason="of the light environment")

from components._shared.comparison import ScoreSketches
from components._shared.errors import InputError
from components._shared.score_sketches import ScoreDistribution, Sketcher, distance, merged, stability_index
from components._shared.windows import Window
from components.compare import distributions

RANK_ERROR = 0.003


def _sketches(*outputs: Any, model: str = "m", cut: int = 10_000, window: Window | None = None) -> ScoreSketches:
    sketcher = Sketcher(tuple(f"output {number}" for number in range(len(outputs))))
    scores = np.stack(outputs)
    for first in range(0, scores.shape[1], cut):
        sketcher.add(scores[:, first : first + cut])
    return sketcher.sketches(model, window)


def _sample(seed: int, rows: int = 100_000, shift: float = 0.0) -> Any:
    random = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-random.normal(-1 + shift, 1.2, rows)))


def test_quantiles_are_off_by_less_than_a_third_of_a_percent_of_the_rows() -> None:
    scores = _sample(1)
    found = ScoreDistribution(_sketches(scores).outputs[0])
    levels = np.linspace(0.001, 0.999, 999)
    ranks = np.searchsorted(np.sort(scores), found.quantiles(levels)) / len(scores)
    assert np.abs(ranks - levels).max() < RANK_ERROR
    assert found.rows == len(scores)


def test_distances_of_stored_sketches_are_those_of_the_rows() -> None:
    before, after = _sample(1), _sample(2, shift=0.3)
    ordered = np.sort(before), np.sort(after)
    one, other = (_sketches(scores).outputs[0] for scores in (before, after))
    assert distance(one, other) == pytest.approx(distributions.distance(*ordered), abs=RANK_ERROR)
    assert stability_index(one, other) == pytest.approx(distributions.stability_index(*ordered), rel=0.03, abs=1e-4)
    assert distance(one, one) == 0 and stability_index(one, one) == 0


def test_scores_that_many_rows_have_are_counted_whole() -> None:
    random = np.random.default_rng(3)
    before = random.choice([0.1, 0.3, 0.7], 50_000, p=[0.5, 0.3, 0.2])
    after = random.choice([0.1, 0.3, 0.7], 50_000, p=[0.3, 0.3, 0.4])
    one, other = (_sketches(scores).outputs[0] for scores in (before, after))
    places = np.array([0.05, 0.1, 0.3, 0.5, 0.7])
    exact = np.searchsorted(np.sort(before), places, side="right") / 50_000
    assert ScoreDistribution(one).share_up_to(places) == pytest.approx(exact, abs=RANK_ERROR)
    assert distance(one, other) == pytest.approx(distributions.distance(np.sort(before), np.sort(after)), abs=0.006)


def test_noise_in_the_last_digits_of_scores_that_many_rows_share_is_no_shift() -> None:
    random = np.random.default_rng(3)
    before = random.choice([0.1, 0.2, 0.35, 0.6], 50_000)
    one, other = (_sketches(scores).outputs[0] for scores in (before, before + random.normal(0, 1e-8, 50_000)))
    assert distance(one, other) < RANK_ERROR and stability_index(one, other) < 1e-3
    assert distance(other, one) < RANK_ERROR and stability_index(other, one) < 1e-3


def test_one_score_for_all_rows_is_a_distribution_too() -> None:
    one, other = (_sketches(np.full(1000, score)).outputs[0] for score in (0.3, 0.4))
    assert distance(one, one) == 0 and distance(one, other) == 1
    assert stability_index(one, one) == 0 and stability_index(one, other) > 5


def test_merged_sketches_are_nearly_those_of_all_rows() -> None:
    parts = [_sample(seed, rows=20_000, shift=seed / 20) for seed in range(12)]
    windows = [
        Window(start=datetime(2024, month, 1, tzinfo=UTC), end=datetime(2024, month, 28, tzinfo=UTC))
        for month in range(1, 13)
    ]
    together = merged([_sketches(part, 1 - part, window=window) for part, window in zip(parts, windows, strict=True)])
    whole = np.sort(np.concatenate(parts))
    found = ScoreDistribution(together.outputs[0])
    levels = np.linspace(0.001, 0.999, 999)
    assert np.abs(np.searchsorted(whole, found.quantiles(levels)) / len(whole) - levels).max() < RANK_ERROR
    assert [one.rows for one in together.outputs] == [240_000, 240_000]
    assert together.window == Window(start=windows[0].start, end=windows[-1].end)
    later = np.sort(_sample(99, shift=0.5))
    assert distance(together.outputs[0], _sketches(later).outputs[0]) == pytest.approx(
        distributions.distance(whole, later), abs=RANK_ERROR
    )


def test_the_bytes_are_the_same_in_every_run_however_the_rows_are_cut() -> None:
    # Numbers that need no random generator and no function of the mathematics library.
    scores = (np.arange(200_000, dtype=np.int64) * 7919 % 99_991) / 99_991
    found = _sketches(scores)
    assert _sketches(scores, cut=777).to_json() == found.to_json()
    digest = hashlib.sha256(found.outputs[0].sketch.encode()).hexdigest()
    assert digest == "9575c1fc29a3ed3555586444368af9dc0a8bd98a52ee423bfd89a68e6ad7bfd5"


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_finite_numbers_are_refused_and_nothing_of_their_rows_is_kept(broken: float) -> None:
    scores = np.full((2, 1200), 0.4)
    scores[1, [7, 70, 700]] = broken
    sketcher = Sketcher(("up", "down"))
    with pytest.raises(InputError, match="3 of 1,200 scores are not finite numbers") as caught:
        sketcher.add(scores)
    assert "output 'down'" in str(caught.value) and "leave these rows out" in str(caught.value)
    assert [one.rows for one in sketcher.sketches("m", None).outputs] == [0, 0]


def test_scores_may_come_from_arrow_and_in_any_order_of_memory() -> None:
    scores = _sample(1, rows=500)
    expected = _sketches(scores, 1 - scores).outputs
    columns = np.stack([scores, 1 - scores], axis=1)
    columns.flags.writeable = False
    sketcher = Sketcher(("output 0", "output 1"))
    sketcher.add(columns.T)
    assert sketcher.sketches("m", None).outputs == expected
    single = Sketcher(("output 0",))
    single.add(pa.array(scores).to_numpy()[None, :])
    assert single.sketches("m", None).outputs == expected[:1]


def test_a_stored_sketch_is_read_back() -> None:
    found = _sketches(_sample(1, rows=500))
    again = ScoreSketches.from_json(found.to_json())
    levels = np.linspace(0, 1, 11)
    one, other = (ScoreDistribution(each.outputs[0]).quantiles(levels) for each in (found, again))
    assert one.tolist() == other.tolist()


@pytest.mark.parametrize("text", ["", "not base64!", "AAAA", "AQIDBAUGBwg="])
def test_what_is_no_sketch_is_refused_with_its_name(text: str) -> None:
    broken = _sketches(_sample(1, rows=500)).outputs[0].model_copy(update={"sketch": text})
    with pytest.raises(InputError, match="not a readable score sketch"):
        ScoreDistribution(broken)


def test_a_sketch_of_other_rows_than_it_says_is_refused() -> None:
    broken = _sketches(_sample(1, rows=500)).outputs[0].model_copy(update={"rows": 501})
    with pytest.raises(InputError, match="500 rows, not 501"):
        ScoreDistribution(broken)


def test_sketches_of_different_models_are_not_merged() -> None:
    one, other = (_sketches(_sample(1, rows=500), model=model) for model in ("a", "b"))
    with pytest.raises(InputError, match="different models"):
        merged([one, other])
    with pytest.raises(InputError, match="no sketches"):
        merged([])


def test_a_sketch_without_rows_is_kept_but_not_compared() -> None:
    empty = Sketcher(("score",)).sketches("m", None).outputs[0]
    assert empty.rows == 0 and np.isnan(ScoreDistribution(empty).quantiles(np.array([0.5]))).all()
    with pytest.raises(InputError, match="without rows"):
        distance(empty, empty)
