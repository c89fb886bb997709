"""The figures of a comparison, held against the same figures computed in one go with numpy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from components._shared import tables as shared_tables
from components._shared.decision_rule import DecisionRule
from components._shared.errors import DataError
from components._shared.measuring.intervals import cluster_sums, half_widths
from components._shared.verdict import Check
from components.compare import pairs
from tests.compared_rows import START, MakeTables, Tables, compared, key_of, section_of


def _scores(rows: int = 3000, seed: int = 1) -> tuple[Any, Any, Any, Any]:
    """Candidate, champion, label and day of rows whose differences hang together within a day."""
    random = np.random.default_rng(seed)
    day = random.integers(0, 24, rows)
    logit = random.normal(-1, 1.2, rows)
    champion = 1 / (1 + np.exp(-logit))
    shift = random.normal(0.1, 0.1, 24)[day] + random.normal(0, 0.3, rows)
    candidate = 1 / (1 + np.exp(-logit - shift))
    label = (random.random(rows) < champion).astype(float)
    return candidate, champion, label, day


def _quantile(values: Any, level: float) -> float:
    """The smallest value that at least this share of the rows does not exceed."""
    return float(np.sort(values)[int(np.ceil(round(level * len(values), 6))) - 1])


def _checks(found: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.outcome for check in found}


def test_means_shares_and_distances_are_those_of_all_rows(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    found = compared(tables(candidate, champion, label=label, day=day), section_of()).comparison
    output = found.outputs[0]
    difference = candidate - champion
    assert (found.rows, found.clusters, found.sampled, found.labelled) == (3000, 24, 3000, 3000)
    assert output.mean.value == pytest.approx(difference.mean(), rel=1e-9)
    assert output.absolute.value == pytest.approx(np.abs(difference).mean(), rel=1e-9)
    for level, value in output.quantiles.items():
        assert value == pytest.approx(_quantile(difference, float(level)), rel=1e-9)

    places = np.sort(np.concatenate([candidate, champion]))
    up_to = [np.searchsorted(np.sort(one), places, side="right") / 3000 for one in (candidate, champion)]
    assert output.ks == pytest.approx(np.abs(up_to[0] - up_to[1]).max(), rel=1e-9)

    edges = np.array([_quantile(champion, level / 10) for level in range(1, 10)])
    one, other = (
        np.bincount(np.searchsorted(edges, scores, side="left"), minlength=10) / 3000
        for scores in (champion, candidate)
    )
    assert output.psi == pytest.approx(((other - one) * np.log(other / one)).sum(), rel=1e-9)

    ranks = [one.argsort().argsort() for one in (candidate, champion)]
    assert output.rank_agreement is not None
    # Some rows' scores are the same but for noise.
    assert output.rank_agreement.value == pytest.approx(np.corrcoef(*ranks)[0, 1], rel=1e-6)
    for point in output.qq:
        assert point.champion == pytest.approx(_quantile(champion, point.level), rel=1e-9)
        assert point.candidate == pytest.approx(_quantile(candidate, point.level), rel=1e-9)


def test_the_interval_of_the_mean_is_the_one_over_clusters(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores()
    found = compared(tables(candidate, champion, day=day), section_of()).comparison.outputs[0].mean
    difference = candidate - champion
    sums = cluster_sums([(difference - difference.mean()) / 3000, np.full(3000, 1 / 3000)], day, 24)
    width = half_widths(sums[:, :1], sums[:, 1:])[0]
    assert found.interval is not None
    # The numbers of the clusters differ, and with them the resamples that they are drawn in.
    assert found.interval[1] - found.value == pytest.approx(width, rel=0.1)
    assert found.value - found.interval[0] == pytest.approx(found.interval[1] - found.value, rel=1e-6)


def test_a_model_beside_itself_shows_nothing(tables: MakeTables) -> None:
    _, champion, label, day = _scores()
    gates = {"difference": {"flipped": 0, "psi": 0, "ks": 0, "mean": 0, "rank_agreement": 1}}
    made = tables(champion, champion, label=label, day=day, slices={"place": ["a", "b"] * 1500})
    result = compared(made, section_of(gates=gates, slices=("place",)))
    found = result.comparison
    output = found.outputs[0]
    assert (output.mean.value, output.absolute.value, output.psi, output.ks, output.outside) == (0, 0, 0, 0, 0)
    assert output.rank_agreement is not None and output.rank_agreement.value == 1
    assert found.flips == () and found.flipped is not None and found.flipped.value == 0
    assert found.most_different == () and not any(one.surprising for one in found.slices)
    assert found.little and found.story == "Nothing to see: both models give all 3,000 rows the same score."
    assert result.verdict.outcome == "passed" and len(result.verdict.checks) == 5


def test_swapped_models_give_mirrored_figures(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    one = compared(tables(candidate, champion, label=label, day=day), section_of()).comparison
    other = compared(tables(champion, candidate, label=label, day=day), section_of()).comparison
    first, second = one.outputs[0], other.outputs[0]
    assert first.mean.value == -second.mean.value
    assert first.mean.interval is not None and second.mean.interval is not None
    assert first.mean.interval == pytest.approx((-second.mean.interval[1], -second.mean.interval[0]), rel=1e-9)
    assert (first.absolute.value, first.ks) == (second.absolute.value, second.ks)
    assert first.rank_agreement is not None and second.rank_agreement is not None
    assert first.rank_agreement.value == pytest.approx(second.rank_agreement.value, rel=1e-9)
    flips = {(flip.before, flip.after): flip for flip in one.flips}
    for flip in other.flips:
        mirrored = flips[flip.after, flip.before]
        assert (flip.rows, flip.labelled, flip.label_mean) == (mirrored.rows, mirrored.labelled, mirrored.label_mean)
        assert flip.right is not None and mirrored.right is not None
        assert flip.right.value == pytest.approx(1 - mirrored.right.value, abs=1e-9)
    assert [row.key for row in one.most_different] == [row.key for row in other.most_different]


@pytest.mark.parametrize("size", [7, 100, 1024])
def test_the_result_does_not_depend_on_how_the_rows_are_cut(
    tables: MakeTables, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    candidate, champion, label, day = _scores(1500)
    made = tables(candidate, champion, label=label, day=day, slices={"place": ["a", "b", "c"] * 500})
    monkeypatch.setattr(pairs, "BATCH_ROWS", 256)
    whole = compared(made, section_of(slices=("place",)))

    def cut(manifest: Any, columns: Any, rows: int) -> Any:
        return shared_tables.iter_batches(manifest, columns, size)

    monkeypatch.setattr(pairs, "iter_batches", cut)
    pieces = compared(made, section_of(slices=("place",)))
    assert pieces.comparison.to_json() == whole.comparison.to_json()
    assert pieces.sketches.to_json() == whole.sketches.to_json()
    assert pieces.verdict.to_json() == whole.verdict.to_json()


def test_beyond_the_sample_sums_stay_exact_and_distances_nearly(
    tables: MakeTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, champion, label, day = _scores(6000)
    made = tables(candidate, champion, label=label, day=day)
    whole = compared(made, section_of()).comparison
    monkeypatch.setattr("components.compare.sampling.MOST_ROWS", 2000)
    found = compared(made, section_of()).comparison
    assert (whole.sampled, found.sampled, found.rows) == (6000, 2000, 6000)
    one, other = found.outputs[0], whole.outputs[0]
    assert (one.mean, one.absolute, found.flips) == (other.mean, other.absolute, whole.flips)
    assert one.ks == pytest.approx(other.ks, abs=0.03) and one.psi == pytest.approx(other.psi, abs=0.03)
    assert one.rank_agreement is not None and other.rank_agreement is not None
    assert one.rank_agreement.value == pytest.approx(other.rank_agreement.value, abs=0.01)


def test_flips_say_which_way_and_who_was_right(tables: MakeTables) -> None:
    #           flips up, right      flips up, wrong      flips down, right    stays
    candidate = [0.6] * 30 + [0.7] * 10 + [0.4] * 20 + [0.9] * 40
    champion = [0.4] * 30 + [0.3] * 10 + [0.6] * 20 + [0.8] * 40
    label = [1.0] * 30 + [0.0] * 10 + [0.0] * 20 + [1.0] * 40
    rule = DecisionRule(threshold=0.5, costs={"false_positive": 2, "false_negative": 5}, unit="EUR")
    found = compared(tables(candidate, champion, label=label), section_of(decision=rule)).comparison
    assert found.flipped is not None and found.flipped.value == pytest.approx(0.6)
    up, down = found.flips
    assert (up.before, up.after, up.rows, up.labelled) == ("negative", "positive", 40, 40)
    assert up.right is not None and up.right.value == pytest.approx(0.75) and up.label_mean == pytest.approx(0.75)
    assert up.saved == pytest.approx(30 * 5 - 10 * 2)
    assert (down.before, down.after, down.rows) == ("positive", "negative", 20)
    assert down.right is not None and down.right.value == 1 and down.saved == pytest.approx(20 * 2)
    assert found.saved is not None and found.saved.value == pytest.approx(170)
    assert "which saves 170" in found.story and "EUR in all" in found.story
    assert "(right on 75 %, saves 130); 20 back (right on 100 %, saves 40)" in found.story


def test_labels_are_used_of_rows_alone_that_are_fair_to_both(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    until = (START + timedelta(days=3), START + timedelta(days=9))
    section = section_of(embargo="1d")
    found = compared(tables(candidate, champion, label=label, day=day, fit_until=until), section).comparison
    fair = day >= 10
    assert found.rows == 3000 and found.labelled == fair.sum()
    assert found.fair_from == START + timedelta(days=10)
    label[~fair] = 1 - label[~fair]
    wrong = compared(tables(candidate, champion, label=label, day=day, fit_until=until), section).comparison
    assert wrong.flips == found.flips


def test_labels_are_not_used_at_all_where_one_model_may_know_them(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    made = tables(candidate, champion, label=label, day=day, has_time=False, held_out=0.1)
    found = compared(made, section_of(has_time=False)).comparison
    assert found.labelled == 0 and found.unfair
    assert all(flip.right is None and flip.rows for flip in found.flips)
    assert found.unfair in found.story


def test_rows_without_a_label_are_compared_too(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores()
    found = compared(tables(candidate, champion, day=day), section_of()).comparison
    assert found.rows == 3000 and found.labelled == 0
    assert found.flips and all(flip.right is None for flip in found.flips)


def test_what_is_saved_is_said_of_the_flips_alone_that_can_be_judged(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    rule = DecisionRule(threshold=0.3, costs={"false_positive": 1, "false_negative": 3}, unit="EUR")
    section = section_of(decision=rule)
    whole = compared(tables(candidate, champion, label=label, day=day), section).comparison
    assert whole.judged == whole.flipped_rows and " EUR in all: " in whole.story

    until = (START + timedelta(days=14), START)
    fair = compared(tables(candidate, champion, label=label, day=day, fit_until=until), section).comparison
    flipped = (candidate >= 0.3) != (champion >= 0.3)
    judged = (flipped & (day >= 14)).sum()
    assert fair.judged == judged and fair.flipped_rows == flipped.sum()
    assert f" EUR on the {judged} flips that can be judged: " in fair.story and "in all" not in fair.story
    assert "fair to both" in fair.story and "labelled" not in fair.story

    label[day < 14] = np.nan
    known = compared(tables(candidate, champion, label=label, day=day), section).comparison
    assert f" EUR on the {judged} flips that can be judged: " in known.story
    assert "labelled" in known.story and "fair to both" not in known.story


@pytest.mark.parametrize(
    ("classes", "wrong"), [(None, 2.0), (None, 0.5), (("a", "b", "c"), 7.0), (("a", "b", "c"), -1.0)]
)
def test_a_label_that_is_no_class_is_an_error(tables: MakeTables, classes: Any, wrong: float) -> None:
    scores = np.full((400, 3), 1 / 3) if classes else np.full(400, 0.4)
    label = np.ones(400)
    label[5:40] = wrong
    section = section_of("multiclass_classification" if classes else "binary_classification", classes=classes)
    with pytest.raises(DataError, match=f"A label is {wrong:g}, where 0 to {2 if classes else 1} are the classes"):
        compared(tables(scores, scores[::-1], label=label), section)


def test_another_order_of_the_rows_is_an_error_that_names_the_row(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores(200)
    made = tables(candidate, champion, day=day)
    other = tables(candidate, champion, day=(day + 1) % 24)
    with pytest.raises(DataError, match="same rows in the same order") as caught:
        compared(Tables(made.examples, made.candidate, other.champion, made.order), section_of())
    assert "row 0 of the predictions" in str(caught.value) and "predict again" in str(caught.value)


def test_another_number_of_rows_is_an_error(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores(200)
    made, fewer = tables(candidate, champion, day=day), tables(candidate[:150], champion[:150], day=day[:150])
    with pytest.raises(DataError, match="200 of the candidate, 150 of the champion"):
        compared(Tables(made.examples, made.candidate, fewer.champion, made.order), section_of())


def test_a_score_that_is_no_number_is_an_error_that_names_the_row(tables: MakeTables) -> None:
    champion = np.full(50, 0.5)
    candidate = champion.copy()
    candidate[7] = np.nan
    with pytest.raises(DataError, match=f"the one with _key {key_of(7)}"):
        compared(tables(candidate, champion), section_of())


def test_without_a_champion_there_are_sketches_and_nothing_else(tables: MakeTables) -> None:
    candidate, _, label, day = _scores()
    gates = {"difference": {"psi": 0.1}}
    found = compared(tables(candidate, None, label=label, day=day), section_of(gates=gates))
    assert found.comparison.champion == "" and found.comparison.outputs == ()
    assert found.verdict.outcome == "passed" and found.verdict.checks == ()
    assert found.sketches.model == "new" and found.sketches.outputs[0].rows == 3000


def test_without_a_candidate_it_raises(tables: MakeTables) -> None:
    made = tables([0.5], [0.5])
    with pytest.raises(DataError, match="no predictions of a candidate"):
        compared(Tables(made.examples, tables([0.5], None).champion, made.champion, made.order), section_of())


def test_no_rows_at_all_cannot_be_judged(tables: MakeTables) -> None:
    gates = {"difference": {"flipped": 0.1, "psi": 0.1, "ks": 0.1, "mean": 0.1, "rank_agreement": 0.9}}
    found = compared(tables([], [], label=[], day=[]), section_of(gates=gates))
    assert _checks(found.verdict.checks) == {f"difference.{name}": "cannot_judge" for name in gates["difference"]}
    assert {check.reason for check in found.verdict.checks} == {"There are no rows to compare."}
    assert found.comparison.rows == 0 and found.comparison.story


@pytest.mark.parametrize(
    ("gate", "limit", "outcome"),
    [
        ("flipped", 0.2, "passed"),
        ("flipped", 0.001, "failed"),
        ("psi", 0.5, "passed"),
        ("psi", 0.001, "failed"),
        ("ks", 0.5, "passed"),
        ("ks", 0.01, "failed"),
        ("mean", 0.5, "passed"),
        ("mean", 0.001, "failed"),
        ("rank_agreement", 0.5, "passed"),
        ("rank_agreement", 0.999, "failed"),
    ],
)
def test_a_gate_holds_or_fails_with_the_figure_and_the_limit(
    tables: MakeTables, gate: str, limit: float, outcome: str
) -> None:
    candidate, champion, label, day = _scores()
    result = compared(
        tables(candidate, champion, label=label, day=day), section_of(gates={"difference": {gate: limit}})
    )
    (check,) = result.verdict.checks
    assert (check.name, check.outcome, result.verdict.outcome) == (f"difference.{gate}", outcome, outcome)
    assert check.observed is not None and "3,000 rows in 24 days" in check.reason
    assert result.verdict.summary == (check.reason if outcome == "failed" else result.comparison.story)


@pytest.mark.parametrize(
    ("flipped", "limit", "says"),
    [
        (104, 0.1, "10.4 % of the rows are decided otherwise than by the champion over 1,000 rows"),
        (104, 0.1, "the task allows at most 10.0 %."),
        (991, 0.99, "99.1 % of the rows"),
        (300, 0.1, "30 % of the rows"),
        (300, 0.1, "the task allows at most 10 %."),
        (100, 0.1, "the task allows at most 10 %."),
    ],
)
def test_a_figure_beyond_its_limit_never_looks_like_it(
    tables: MakeTables, flipped: int, limit: float, says: str
) -> None:
    candidate = np.where(np.arange(1000) < flipped, 0.8, 0.2)
    gates = {"difference": {"flipped": limit}}
    (check,) = compared(tables(candidate, np.full(1000, 0.2)), section_of(gates=gates)).verdict.checks
    assert says in check.reason and check.limit in check.reason
    assert check.outcome == ("failed" if flipped > 1000 * limit else "passed")


def test_noise_in_the_last_digits_of_scores_that_many_rows_share_is_no_difference(tables: MakeTables) -> None:
    random = np.random.default_rng(10)
    champion = random.choice([0.1, 0.2, 0.35, 0.6], 4000)
    candidate = champion + random.normal(0, 1e-8, 4000)
    gates = {"difference": {"psi": 0.001, "ks": 0.001, "rank_agreement": 0.999}}
    made = tables(candidate, champion, day=np.arange(4000) % 24)
    found = compared(made, section_of(gates=gates))
    output = found.comparison.outputs[0]
    assert found.verdict.outcome == "passed" and found.comparison.little
    assert (output.psi, output.ks, output.outside) == (0, 0, 0)
    assert output.mean.value == pytest.approx((candidate - champion).mean(), rel=1e-9)


def test_a_mean_far_below_zero_fails_too(tables: MakeTables) -> None:
    made = tables(np.full(400, 0.2), np.full(400, 0.6))
    (check,) = compared(made, section_of(gates={"difference": {"mean": 0.1}})).verdict.checks
    assert check.outcome == "failed" and check.observed == pytest.approx(0.4)


def test_the_order_of_a_constant_cannot_be_judged(tables: MakeTables) -> None:
    _, champion, _, day = _scores()
    gates = {"difference": {"rank_agreement": 0.9}}
    found = compared(tables(np.full(3000, 0.3), champion, day=day), section_of(gates=gates))
    assert _checks(found.verdict.checks) == {"difference.rank_agreement": "cannot_judge"}
    assert "the same score" in found.comparison.story


def test_regression_flips_only_where_a_threshold_is_declared(tables: MakeTables) -> None:
    random = np.random.default_rng(3)
    champion = random.normal(20, 5, 1000)
    candidate, label = champion + random.normal(0, 2, 1000), champion + random.normal(0, 1, 1000)
    made = tables(candidate, champion, label=label)
    gates = {"difference": {"flipped": 0.5}}
    none = compared(made, section_of("regression", gates=gates))
    assert none.comparison.flipped is None and none.comparison.flips == () and none.comparison.threshold is None
    assert _checks(none.verdict.checks) == {"difference.flipped": "cannot_judge"}
    rule = DecisionRule(threshold=20, costs={"under": 1, "over": 3})
    found = compared(made, section_of("regression", gates=gates, decision=rule)).comparison
    flips = {(flip.before, flip.after): flip for flip in found.flips}
    down = (champion >= 20) & (candidate < 20)
    flip = flips["at least 20", "below 20"]
    assert flip.rows == down.sum() and flip.label_mean == pytest.approx(label[down].mean())
    assert flip.right is not None and flip.right.value == pytest.approx((label[down] < 20).mean())
    # What errors cost has to do with all rows, not with those that are decided otherwise.
    assert flip.saved is None and found.saved is None and "saves" not in found.story and "costs" not in found.story


def test_several_classes_are_compared_one_by_one(tables: MakeTables) -> None:
    random = np.random.default_rng(4)
    logits = random.normal(0, 2, (2000, 3))
    other = logits + random.normal(0, 0.5, (2000, 3)) + [0.4, 0, 0]
    champion, candidate = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (logits, other))
    label = random.integers(0, 3, 2000).astype(float)
    place = random.choice(["a", "b"], 2000)
    section = section_of("multiclass_classification", classes=("red", "green", 7), slices=("place",))
    found = compared(tables(candidate, champion, label=label, slices={"place": place}), section).comparison
    assert [output.name for output in found.outputs] == ["red", "green", "7"]
    for number, output in enumerate(found.outputs):
        assert output.mean.value == pytest.approx((candidate - champion)[:, number].mean(), rel=1e-9)
    before, after = champion.argmax(axis=1), candidate.argmax(axis=1)
    assert found.flipped is not None and found.flipped.value == pytest.approx((before != after).mean())
    assert sum(flip.rows for flip in found.flips) == (before != after).sum()
    flip = next(flip for flip in found.flips if (flip.before, flip.after) == ("green", "red"))
    rows = (before == 1) & (after == 0)
    assert flip.rows == rows.sum() and flip.label_mean is None
    assert flip.right is not None and flip.right.value == pytest.approx((label[rows] == 0).mean())
    moved = np.abs(candidate - champion).sum(axis=1) / 2
    one = next(each for each in found.slices if each.value == "a")
    assert one.absolute.value == pytest.approx(moved[place == "a"].mean(), rel=1e-9)
    row = found.most_different[0]
    assert row.label in ("red", "green", "7") and row.output in ("red", "green", "7")
    assert abs(row.candidate - row.champion) == pytest.approx(np.abs(candidate - champion).max(), rel=1e-9)


def _many_classes(rows: int, classes: int, seed: int = 9) -> tuple[Any, Any]:
    """Probabilities of two models that often decide otherwise."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1, (rows, classes))
    both = (np.exp(one) for one in (logits + random.normal(0, 0.7, (rows, classes)), logits))
    candidate, champion = (one / one.sum(axis=1, keepdims=True) for one in both)
    return candidate, champion


@pytest.mark.parametrize("counted_apart", [4096, 30])
def test_the_share_of_flips_is_that_of_all_ways_though_the_most_frequent_alone_are_listed(
    tables: MakeTables, monkeypatch: pytest.MonkeyPatch, counted_apart: int
) -> None:
    monkeypatch.setattr("components.compare.tallies.MOST_WAYS", counted_apart)
    candidate, champion = _many_classes(3000, 8)
    before, after = champion.argmax(axis=1), candidate.argmax(axis=1)
    flipped = before != after
    label = np.arange(3000.0) % 8
    section = section_of("multiclass_classification", classes=tuple("abcdefgh"))
    found = compared(tables(candidate, champion, label=label), section).comparison
    assert len(found.flips) == 20 and found.ways == len(np.unique((8 * before + after)[flipped])) == 56
    assert found.flipped_rows == found.judged == flipped.sum() > sum(flip.rows for flip in found.flips)
    assert found.flipped is not None and found.flipped.value == pytest.approx(flipped.mean())
    assert "; and 54 ways more." in found.story
    for flip in found.flips:
        assert flip.rows == ((before == "abcdefgh".index(flip.before)) & (after == "abcdefgh".index(flip.after))).sum()


def test_batches_of_many_outputs_have_fewer_rows_and_give_the_same_figures(
    tables: MakeTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate, champion = _many_classes(2000, 8)
    made = tables(candidate, champion, label=np.arange(2000.0) % 8)
    section = section_of("multiclass_classification", classes=tuple("abcdefgh"))
    whole = compared(made, section).comparison
    monkeypatch.setattr(pairs, "BATCH_SCORES", 2400)
    assert [len(batch) for batch in pairs.read_pairs(made.candidate, made.champion, section)] == [300] * 6 + [200]
    found = compared(made, section).comparison
    assert (found.flips, found.most_different, found.story) == (whole.flips, whole.most_different, whole.story)


def test_the_rows_that_differ_most_are_many_where_scores_are_large(tables: MakeTables) -> None:
    random = np.random.default_rng(11)
    champion, candidate = random.normal(101_000, 1, (2, 3000))
    found = compared(tables(candidate, champion), section_of("regression")).comparison
    farthest = np.sort(np.abs(candidate - champion))[::-1][:10]
    assert len(found.most_different) == 20
    assert [abs(row.candidate - row.champion) for row in found.most_different[:10]] == pytest.approx(
        farthest.tolist(), abs=1e-3
    )


def test_the_rows_that_differ_most_come_with_features_as_one_writes_them(tables: MakeTables) -> None:
    champion = np.full(400, 0.3)
    candidate = champion.copy()
    candidate[[5, 80, 123, 200]] = [0.9, 0.8, 0.9, 0.8]
    # As far apart as row 5, but other scores.
    candidate[123], champion[123] = 0.3, 0.9
    moment = datetime(2013, 7, 4, 23, 30, tzinfo=UTC)
    features: dict[str, tuple[str, Any]] = {
        "shop": ("string", ["Zürich" if number == 5 else None for number in range(400)]),
        "size": ("float64", [number / 3 for number in range(400)]),
        "pieces": ("int64", list(range(400))),
        "open": ("bool", [number % 2 == 1 for number in range(400)]),
        "seen": ("timestamp", [moment] * 400),
    }
    label = np.zeros(400)
    label[5] = 1
    made = tables(candidate, champion, label=label, day=np.arange(400) // 40, features=features)
    kinds = dict.fromkeys(features, "numeric")
    found = compared(made, section_of(timezone="America/New_York"), kinds).comparison.most_different
    # Of two that differ as much, the one with the smaller key comes first; of two with the same scores it comes alone.
    assert [row.key for row in found] == [*sorted([key_of(5), key_of(123)]), min(key_of(80), key_of(200))]
    row = next(row for row in found if row.key == key_of(5))
    assert row.features == {
        "shop": "Zürich",
        "size": "1.666666667",
        "pieces": "5",
        "open": "true",
        "seen": "2013-07-04 19:30",
    }
    assert (row.candidate, row.champion, row.label) == (0.9, 0.3, "positive")
    assert row.time is not None and row.time.isoformat() == "2013-06-01T01:00:00-04:00"
    assert found[-1].features["shop"] == "(missing)"


def test_examples_that_were_not_scored_are_an_error(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores(200)
    made, other = (
        tables(candidate, champion, day=day),
        tables(candidate[:150], champion[:150], day=(day[:150] + 1) % 24),
    )
    with pytest.raises(DataError, match="not those that were scored"):
        compared(Tables(other.examples, made.candidate, made.champion, made.order), section_of())


def test_a_slice_that_moves_otherwise_is_found_and_named(tables: MakeTables) -> None:
    random = np.random.default_rng(6)
    rows, day = 6000, random.integers(0, 30, 6000)
    place = random.choice([f"place {number}" for number in range(8)], rows)
    champion = random.beta(2, 5, rows)
    noise = random.normal(0, 0.03, rows) + random.normal(0, 0.01, 30)[day]
    candidate = np.clip(champion + noise + 0.1 * (place == "place 3"), 0, 1)
    found = compared(tables(candidate, champion, day=day, slices={"place": place}), section_of(slices=("place",)))
    slices = {one.value: one for one in found.comparison.slices}
    assert [one.value for one in found.comparison.slices if one.surprising] == ["place 3"]
    assert found.comparison.slices[0].value == "place 3"
    mine = place == "place 3"
    difference = candidate - champion
    assert slices["place 3"].rows == mine.sum()
    assert slices["place 3"].mean.value == pytest.approx(difference[mine].mean(), rel=1e-9)
    share = np.abs(difference[mine]).sum() / np.abs(difference).sum()
    assert slices["place 3"].share_of_difference == pytest.approx(share, rel=1e-9)
    assert sum(one.share_of_difference for one in slices.values()) == pytest.approx(1)
    assert "Not the same everywhere: place place 3 +0.1" in found.comparison.story


@pytest.mark.parametrize("moved", ["AA", "UA"])
def test_the_slice_that_moved_is_found_whatever_its_name_where_the_shift_is_clear(
    tables: MakeTables, moved: str
) -> None:
    random = np.random.default_rng(12)
    rows, day = 60_000, random.integers(0, 30, 60_000)
    others = [name for name in ("AA", "B6", "DL", "UA") if name != moved]
    carrier = random.choice([moved, *others], rows, p=[0.1, 0.3, 0.3, 0.3])
    champion = random.beta(2, 5, rows)
    noise = random.normal(0, 0.03, rows) + random.normal(0, 0.01, 30)[day]
    candidate = np.clip(champion + noise + 0.1 * (carrier == moved), 0, 1)
    made = tables(candidate, champion, day=day, slices={"carrier": carrier})
    found = compared(made, section_of(slices=("carrier",))).comparison
    assert [one.value for one in found.slices if one.surprising] == [moved]
    assert f"Not the same everywhere: carrier {moved} +0." in found.story


@pytest.mark.parametrize(("moved", "stayed"), [("true", "false"), ("false", "true")])
def test_of_two_slices_that_are_all_of_a_column_the_one_that_moved_stands_out(
    tables: MakeTables, moved: str, stayed: str
) -> None:
    random = np.random.default_rng(13)
    rows, day = 20_000, random.integers(0, 30, 20_000)
    new = np.where(random.random(rows) < 0.1, moved, stayed)
    champion = random.beta(2, 5, rows)
    candidate = np.clip(champion + random.normal(0, 0.02, rows) + 0.1 * (new == moved), 0, 1)
    found = compared(tables(candidate, champion, day=day, slices={"new": new}), section_of(slices=("new",))).comparison
    assert [one.value for one in found.slices if one.surprising] == [moved]
    assert f"Not the same everywhere: new {moved} +0." in found.story


def _up_and_down(rows: int = 6000) -> tuple[Any, Any, Any, Any]:
    """Candidate, champion, day and place of rows of which those of one place alone move, up or down."""
    random = np.random.default_rng(14)
    place, day = random.choice([f"p{number}" for number in range(8)], rows), random.integers(0, 30, rows)
    champion = random.beta(4, 4, rows)
    candidate = np.clip(champion + np.where(place == "p3", random.choice([-0.3, 0.3], rows), 0), 0, 1)
    return candidate, champion, day, place


def test_a_slice_that_moves_up_and_down_stands_out_by_its_mean_size(tables: MakeTables) -> None:
    candidate, champion, day, place = _up_and_down()
    made = tables(candidate, champion, day=day, slices={"place": place})
    found = compared(made, section_of(slices=("place",))).comparison
    assert [(one.value, one.by_size) for one in found.slices if one.surprising] == [("p3", True)]
    assert "Not the same everywhere: place p3 0.29" in found.story and "up or down, elsewhere 0." in found.story


def test_a_slice_whose_rows_all_move_alike_beside_none_stands_out(tables: MakeTables) -> None:
    _, champion, day, place = _up_and_down()
    made = tables(champion / 2 + 0.25 * (place == "p3"), champion / 2, day=day, slices={"place": place})
    found = compared(made, section_of(slices=("place",))).comparison
    assert [(one.value, one.by_size) for one in found.slices if one.surprising] == [("p3", False)]
    assert "place p3 +0.25, elsewhere 0." in found.story


def test_with_too_few_days_the_story_says_what_a_slice_carries_and_that_it_may_be_luck(tables: MakeTables) -> None:
    candidate, champion, day, place = _up_and_down()
    section = section_of(slices=("place",))
    found = compared(tables(candidate, champion, day=day % 4, slices={"place": place}), section).comparison
    share = f"{100 * (place == 'p3').mean():.0f} %"
    assert not any(one.surprising for one in found.slices)
    assert (
        f"With 4 days, luck cannot be ruled out: place p3 carries 100 % of the difference in {share} of the rows."
        in found.story
    )
    made = tables(champion / 2 + 0.2, champion / 2, day=day % 4, slices={"place": place})
    assert "With 4 days it cannot be told whether a slice stands out." in compared(made, section).comparison.story


def test_a_difference_that_is_the_same_everywhere_is_said_to_be_spread_over_all_slices(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores()
    place = np.random.default_rng(15).choice(["a", "b", "c"], 3000)
    found = compared(tables(candidate, champion, day=day, slices={"place": place}), section_of(slices=("place",)))
    assert "No slice stands out: the difference is spread over all of them." in found.comparison.story
    one = compared(tables(candidate, champion, day=day, slices={"place": ["a"] * 3000}), section_of(slices=("place",)))
    assert "slice" not in one.comparison.story


@pytest.mark.parametrize("days", [30, 4])
def test_a_slice_that_flips_wholly_is_named_where_there_is_little_to_see_overall(tables: MakeTables, days: int) -> None:
    random = np.random.default_rng(16)
    rows = 30_000
    carrier = np.where(np.arange(rows) % 141 == 0, "HA", random.choice(["AA", "DL", "UA"], rows))
    champion = np.where(carrier == "HA", 0.3, random.beta(2, 5, rows))
    candidate = np.clip(champion + random.normal(0, 1e-4, rows) + 0.4 * (carrier == "HA"), 0, 1)
    made = tables(candidate, champion, day=np.arange(rows) % days, slices={"carrier": carrier})
    gates = {"difference": {"flipped": 0.01}}
    found = compared(made, section_of(slices=("carrier",), gates=gates))
    assert found.comparison.little and found.verdict.outcome == "passed"
    assert found.comparison.story.startswith("There is little to see overall: over 30,000 rows")
    moved = "+0.4" if days == 30 else "0.4 up or down"
    assert f"But not in every slice: carrier HA {moved}, elsewhere" in found.comparison.story
    assert found.comparison.story.endswith("(213 rows, 100 % of them decided otherwise).")


def test_small_slices_are_joined(tables: MakeTables) -> None:
    candidate, champion, _, day = _scores()
    place = ["rare"] * 10 + ["rarer"] * 5 + ["common"] * 2985
    found = compared(tables(candidate, champion, day=day, slices={"place": place}), section_of(slices=("place",)))
    assert {(one.value, one.rows) for one in found.comparison.slices} == {
        ("common", 2985),
        ("(other small values: 2)", 15),
    }


def test_rows_that_are_clusters_of_their_own_have_intervals(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    keys = [key_of(number) for number in range(3000)]
    made = tables(candidate, champion, label=label, day=day, cluster=keys, has_time=False)
    found = compared(made, section_of(has_time=False)).comparison
    assert found.clusters == 3000
    width = 1.96 * (candidate - champion).std() / 3000**0.5
    interval = found.outputs[0].mean.interval
    assert interval is not None and (interval[1] - interval[0]) / 2 == pytest.approx(width, rel=0.25)
    assert "of the decisions flip, over 3,000 rows: " in found.story


def test_with_too_few_clusters_there_are_figures_without_intervals(tables: MakeTables) -> None:
    candidate, champion, label, day = _scores()
    found = compared(tables(candidate, champion, label=label, day=day % 3), section_of()).comparison
    output = found.outputs[0]
    assert output.mean.interval is None and output.rank_agreement is not None
    assert output.rank_agreement.interval is None and all(point.low is None for point in output.qq)
    assert output.outside == 0 and found.flips[0].share.interval is None
