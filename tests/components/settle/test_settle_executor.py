"""Settling on real models and rows: a good model and a constant one, and what came after them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components._shared import scoring as scoring_of_batches
from components._shared.decision_rule import DecisionRule
from components._shared.errors import CorruptError
from components._shared.gates import DataGates
from components._shared.ledger import Decision, Decisions, Settlement, question_of
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import labelled_rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.metrics import constant
from components._shared.model_files import read_model_info
from components._shared.model_info import ModelInfo
from components._shared.records import ModelRef
from components._shared.saved_model import SavedModel
from components._shared.tables import ShardWriter, read_table
from components._shared.windows import Window, Windows
from components.predict.executor import predict
from components.settle.executor import Result, settle
from components.train.executor import train
from tests.components.settle.settling import decision, section
from tests.synthetic_rows import FEATURES, START, learning, manifest, rows, scoring

DECIDED = datetime(2024, 1, 20, tzinfo=UTC)
DAYS = 90
BLOCKS = {"every": "20d", "blocks": 3}
METRIC = {"binary_classification": "auc", "multiclass_classification": "log_loss", "regression": "rmse"}

# A fortnight says nothing of the season, and the rows that settle lie in later ones.
SEASONLESS = {name: kind for name, kind in FEATURES.items() if kind != "datetime"}

Models = Callable[..., ModelRef]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """A model by its problem and trainer, as a version of a registry."""
    made: dict[tuple[str, str], ModelRef] = {}

    def of(trainer: str = "linear", problem: str = "binary_classification", version: int = 1) -> ModelRef:
        if (problem, trainer) not in made:
            root = tmp_path_factory.mktemp("models")
            train(
                train=manifest(root, rows(300, problem), "train"),
                tune=manifest(root, rows(100, problem, seed=2), "tune"),
                learning=learning(problem, trainer=trainer, budget=8, features=SEASONLESS),
                model_dir=root / "model",
            )
            info = read_model_info(root / "model")
            uri = str(root / "model")
            made[problem, trainer] = ModelRef(version=1, uri=uri, digest=info.digest, fit_until=info.fit_until)
        return made[problem, trainer].model_copy(update={"version": version})

    return of


@pytest.fixture
def examples(tmp_path: Path) -> Callable[..., Manifest]:
    """Hourly rows from January on; without features, if they are named."""

    def of(problem: str = "binary_classification", without: str = "", days: int = DAYS) -> Manifest:
        columns = rows(24 * days, problem, seed=3)
        from tests.synthetic_rows import TYPES

        types = {name: kind for name, kind in TYPES.items() if name != without}
        return manifest(tmp_path / "data", columns, "examples", types)

    return of


def windows(days: int = DAYS, start: datetime | None = None) -> Windows:
    end = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=days)
    return Windows(as_of=end, timezone="UTC", span=Window(start=start, end=end), labelled_until=end)


def decided(candidate: ModelRef, champion: ModelRef | None, **fields: Any) -> Decision:
    made = decision(candidate=candidate, champion=champion, **fields)
    return made.model_copy(update={"as_of": DECIDED})


def settled(
    given: Manifest,
    *decisions: Decision,
    problem: str = "binary_classification",
    run: Windows | None = None,
    label_missing: float = 0.01,
    **gates: Any,
) -> Result:
    return settle(
        examples=given, decisions=Decisions(decisions=decisions), windows=run or windows(),
        section=section(problem, promises=BLOCKS, **gates), data_gates=DataGates(label_missing=label_missing),
    )  # fmt: skip


def only(result: Result) -> Settlement:
    (found,) = result.settlements.settlements
    return found


@pytest.mark.parametrize("problem", ["binary_classification", "multiclass_classification", "regression"])
def test_a_model_worse_than_the_one_it_replaced_breaks_its_promise(
    problem: str, model: Models, examples: Callable[..., Manifest]
) -> None:
    one = decided(model("constant", problem, 2), model("linear", problem), metric=METRIC[problem])
    result = settled(examples(problem), one, problem=problem)

    found = only(result)
    assert (found.outcome, found.number) == ("broken", 3)
    assert found.gain is not None and found.gain.interval is not None and found.gain.interval[1] < -0.005
    assert "rollback --task-name stands --to 1" in found.proposal
    assert [(block.window.start, block.rows, block.clusters) for block in found.blocks] == [
        (DECIDED + timedelta(days=20 * number), 480, 20) for number in range(3)
    ]
    assert (found.whole.rows, found.whole.clusters) == (1440, 60)
    assert result.verdict.outcome == "failed"
    assert result.verdict.summary.startswith("Of 1 earlier decisions: 1 broken. On 1,440 later rows (60 days)")


def test_the_figures_are_those_of_the_models_predictions_on_the_same_rows(
    model: Models, examples: Callable[..., Manifest], tmp_path: Path
) -> None:
    given = examples()
    found = only(settled(given, decided(model("linear", version=2), model("constant"))))

    end = DECIDED + timedelta(days=60)
    tables = {
        name: read_table(
            predict(examples=given, data_root=str(tmp_path), scoring=scoring(), registered=model(name)),
            window=Window(start=DECIDED, end=end),
        )
        for name in ("linear", "constant")
    }
    scores = {
        "candidate": tables["linear"].column("score").to_numpy(),
        "champion": tables["constant"].column("score").to_numpy(),
    }
    base = read_model_info(Path(model().uri)).base
    expected = figures_of(labelled_rows(tables["linear"], scores, section()), "binary_classification", base)
    assert set(found.whole.metrics) == set(expected.metrics)
    for metric, one in expected.metrics.items():
        assert found.whole.metrics[metric].difference == one.difference
        assert found.whole.metrics[metric].candidate == one.candidate
        assert found.whole.metrics[metric].constant == pytest.approx(one.constant, abs=1e-9)


@pytest.mark.parametrize("threshold", [None, 0.0, 0.1, 1.0])
@pytest.mark.parametrize("missed", [1, 90])
def test_a_cost_is_held_beside_the_constant_that_was_promised_whatever_the_threshold(
    threshold: float | None, missed: int, model: Models, examples: Callable[..., Manifest]
) -> None:
    rule = DecisionRule(threshold=threshold, costs={"false_positive": 9, "false_negative": missed})
    given = examples()
    asked = question_of("cost", section(decision=rule))
    found = only(settled(given, decided(model("linear"), None, metric="cost", meaning=asked), decision=rule))

    rows = read_table(given, window=found.whole.window)
    label, weight = (rows.column(name).to_numpy().astype(float) for name in ("_label", "_weight"))
    base = read_model_info(Path(model().uri)).base
    promised = constant("binary_classification", label, base, weight, decision=rule)["cost"]
    cost = found.whole.metrics["cost"]
    assert cost.constant == pytest.approx(promised)
    assert cost.reference is not None and cost.reference_difference is not None
    assert cost.reference_difference.value == pytest.approx(cost.candidate.value - promised)
    assert cost.reference_difference.interval is not None
    assert all("cost" in block.metrics for block in found.blocks)


def test_right_decisions_pass_and_a_missed_model_does_not(model: Models, examples: Callable[..., Manifest]) -> None:
    good, bad = model("linear", version=2), model("constant")
    result = settled(
        examples(),
        decided(good, bad),
        decided(bad.model_copy(update={"version": 0}), good, result="rejected"),
        decided(good.model_copy(update={"version": 0}), bad, result="rejected"),
    )
    assert [each.outcome for each in result.settlements.settlements] == ["kept", "kept", "missed"]
    assert [check.outcome for check in result.verdict.checks] == ["passed", "passed", "failed"]
    assert result.verdict.subject == "promises"
    assert result.verdict.summary.startswith("Of 3 earlier decisions: 2 kept, 1 missed a better model.")


def test_the_first_model_is_settled_against_a_constant(model: Models, examples: Callable[..., Manifest]) -> None:
    assert only(settled(examples(), decided(model("linear"), None))).outcome == "kept"
    level = decision().promise.candidate.model_copy(update={"value": 0.5, "interval": (0.5, 0.5)})
    found = only(settled(examples(), decided(model("constant"), None, candidate_value=level)))
    assert found.outcome == "kept"


def test_more_blocks_come_with_time_and_no_more_than_are_asked_for(
    model: Models, examples: Callable[..., Manifest]
) -> None:
    given, one = examples(), decided(model("constant", version=2), model())
    # Then, a block after the last one, the book is closed.
    for days, numbers in ((38, []), (39, [1]), (58, [1]), (59, [2]), (90, [3]), (99, [3]), (100, [])):
        found = settled(given, one, run=windows(days)).settlements.settlements
        assert [each.number for each in found] == numbers
        assert all(each.settled_as_of == windows(days).as_of for each in found)


def test_what_a_short_window_no_longer_holds_is_left_out(model: Models, examples: Callable[..., Manifest]) -> None:
    start = DECIDED + timedelta(days=15)
    found = only(settled(examples(), decided(model("constant", version=2), model()), run=windows(start=start)))
    assert (found.number, [block.window.start for block in found.blocks]) == (
        3, [DECIDED + timedelta(days=20), DECIDED + timedelta(days=40)],
    )  # fmt: skip


def test_rows_that_a_model_has_learnt_from_do_not_settle(
    model: Models, examples: Callable[..., Manifest], tmp_path: Path
) -> None:
    later = Path(shutil.copytree(model().uri, tmp_path / "later"))
    info = read_model_info(later)
    changed = info.model_copy(update={"fit_until": DECIDED + timedelta(days=25)})
    (later / "model.json").write_text(changed.to_json(), encoding="utf-8")

    one = decided(model("constant", version=2), ModelRef(version=1, uri=str(later), digest=info.digest))
    found = only(settled(examples(), one))

    # A day of embargo after that.
    assert [block.rows for block in found.blocks] == [14 * 24, 480]
    assert found.whole.rows == 14 * 24 + 480


def test_a_model_that_is_gone_or_changed_or_of_another_task_leaves_its_own_decision_unsettled(
    model: Models, examples: Callable[..., Manifest], tmp_path: Path
) -> None:
    good = model()
    changed = good.model_copy(update={"digest": "0" * 64})
    gone = good.model_copy(update={"uri": str(tmp_path / "gone")})
    other = model("linear", "regression")
    result = settled(
        examples(),
        decided(changed, None),
        decided(good, gone),
        decided(good, other),
        decided(model("constant", version=2), good),
    )
    found = result.settlements.settlements
    assert [each.outcome for each in found] == ["cannot_tell"] * 3 + ["broken"]
    assert [check.outcome for check in result.verdict.checks] == ["cannot_judge"] * 3 + ["failed"]
    for each, why in zip(found, ("is not the model that it was", "no model here", "made for regression"), strict=False):
        assert why in each.reason
        assert (each.blocks, each.whole.rows, each.gain) == ((), 0, None)


def test_a_model_whose_record_cannot_be_read_leaves_its_own_decision_unsettled(
    model: Models, examples: Callable[..., Manifest], tmp_path: Path
) -> None:
    old = Path(shutil.copytree(model().uri, tmp_path / "old"))
    text = (old / "model.json").read_text(encoding="utf-8")
    (old / "model.json").write_text(text.replace('"format"', '"of another version": 1, "format"', 1), encoding="utf-8")
    good = model()
    unreadable = ModelRef(version=1, uri=str(old), digest=good.digest)
    result = settled(
        examples(),
        decided(unreadable, None),
        decided(model("constant", version=2), unreadable),
        decided(model("constant", version=2), good),
    )
    found = result.settlements.settlements
    assert [each.outcome for each in found] == ["cannot_tell", "cannot_tell", "broken"]
    assert "for the candidate cannot be asked: " in found[0].reason and "of another version" in found[0].reason
    assert "for version 1 cannot be asked: " in found[1].reason
    assert [each.whole.rows for each in found] == [0, 0, 1440]


def forget(columns: dict[str, list[Any]], first: int, last: int) -> range:
    """Takes every other label of some rows away, as if they were to come later; returns of which rows."""
    gone = range(first, last, 2)
    for row in gone:
        columns["_label"][row] = None
    return gone


def row_of(days: float) -> int:
    """The row of that many days after the decision."""
    return round((DECIDED - START).total_seconds() / 3600 + 24 * days)


@pytest.mark.parametrize("aside", [False, True])
def test_a_block_of_which_labels_are_missing_is_left_to_a_later_run(aside: bool, model: Models, tmp_path: Path) -> None:
    columns = rows(24 * DAYS, seed=3)
    gone = forget(columns, row_of(20), row_of(40))
    given = manifest(tmp_path / "data", columns, "examples")
    if aside:
        # As `ingest` leaves them: set aside, and when they were.
        kept = {name: [one for row, one in enumerate(values) if row not in gone] for name, values in columns.items()}
        given = manifest(tmp_path / "data", kept, "examples")
        with ShardWriter(str(tmp_path / "data"), {"_time": "timestamp"}) as writer:
            writer.write(
                pa.table({"_time": pa.array([columns["_time"][row] for row in gone], pa.timestamp("us", "UTC"))})
            )
            given = given.model_copy(update={"without_label": writer.close()})
    one = decided(model("constant", version=2), model())

    found = only(settled(given, one))
    assert (found.outcome, found.whole.rows, found.blocks, found.proposal) == ("cannot_tell", 0, (), "")
    assert found.reason == (
        "Nothing can be said yet, for labels are missing: 240 of 480 rows from 2024-02-09 to before 2024-02-29 have "
        "none (50.00%, at most 1.00% is allowed)."
    )
    # The block before it is whole, and who allows more gaps takes what there is.
    assert only(settled(given, one, run=windows(58))).whole.rows == 480
    assert only(settled(given, one, label_missing=0.6)).whole.rows == 1440 - 240


def test_missing_labels_of_rows_that_a_model_has_learnt_from_are_no_matter(model: Models, tmp_path: Path) -> None:
    later = Path(shutil.copytree(model().uri, tmp_path / "later"))
    info = read_model_info(later)
    changed = info.model_copy(update={"fit_until": DECIDED + timedelta(days=25)})
    (later / "model.json").write_text(changed.to_json(), encoding="utf-8")
    columns = rows(24 * DAYS, seed=3)
    forget(columns, row_of(0), row_of(26))
    one = decided(model("constant", version=2), ModelRef(version=1, uri=str(later), digest=info.digest))
    assert only(settled(manifest(tmp_path / "data", columns, "examples"), one)).whole.rows == 14 * 24 + 480


def test_a_promise_is_not_settled_on_another_question(model: Models, examples: Callable[..., Manifest]) -> None:
    before, now = decided(model("constant", version=2), model(), meaning="sold > 20"), decided(model(), None)
    result = settled(examples(), before, now.model_copy(update={"promise": before.promise}), meaning="sold > 20")
    assert [each.whole.rows for each in result.settlements.settlements] == [1440, 1440]
    found = only(settled(examples(), before, meaning="sold > 10"))
    assert (found.outcome, found.whole.rows, found.gain) == ("cannot_tell", 0, None)
    assert "for the task asks something else since" in found.reason


def test_a_cost_is_another_question_once_a_mistake_costs_something_else(
    model: Models, examples: Callable[..., Manifest]
) -> None:
    cheap, dear = (DecisionRule(costs={"false_positive": 1, "false_negative": cost}) for cost in (2, 20))
    made = {metric: question_of(metric, section(decision=cheap)) for metric in ("auc", "cost")}
    given = examples()
    of_cost, of_auc = (decided(model(), None, metric=metric, meaning=made[metric]) for metric in ("cost", "auc"))
    found = settled(given, of_cost, of_auc, decision=dear).settlements.settlements
    assert [each.whole.rows for each in found] == [0, 1440]


def test_a_score_that_is_no_number_leaves_the_decisions_unsettled_whose_rows_it_is_of(
    model: Models, examples: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scoring_of_batches.score_batch

    def broken(asked: SavedModel, info: ModelInfo, batch: pa.RecordBatch) -> Any:
        scores = real(asked, info, batch)
        scores[row_of(10) - row_of(0)] = float("nan")
        return scores

    monkeypatch.setattr(scoring_of_batches, "score_batch", broken)
    early = decided(model(), None)
    later = early.model_copy(update={"as_of": DECIDED + timedelta(days=11)})
    found = settled(examples(), later, early).settlements.settlements
    assert [each.whole.rows for each in found] == [1440, 0]
    assert "cannot be asked: its score is not a finite number for 1 row." in found[1].reason


def test_each_model_is_loaded_once_however_many_decisions_it_is_in(
    model: Models, examples: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad, given = model(), model("constant"), examples()
    decisions = [
        decided(
            bad.model_copy(update={"version": 2 * turned}), good, result=("rejected", "promoted")[turned]
        ).model_copy(update={"as_of": DECIDED + timedelta(days=day)})
        for day in (8, 4, 0)
        for turned in (0, 1)
    ]
    alone = [only(settled(given, one)) for one in decisions]
    loaded: list[str] = []
    real = SavedModel.__init__

    def counted(self: SavedModel, folder: Path) -> None:
        loaded.append(str(folder))
        real(self, folder)

    monkeypatch.setattr(SavedModel, "__init__", counted)
    together = settled(given, *decisions).settlements.settlements
    assert sorted(loaded) == sorted([good.uri, bad.uri])
    assert list(together) == alone
    assert len({each.whole.window.start for each in together}) == 3


def test_rows_without_a_feature_of_then_leave_the_decision_unsettled(
    model: Models, examples: Callable[..., Manifest]
) -> None:
    found = only(settled(examples(without="shop"), decided(model(), None)))
    assert found.outcome == "cannot_tell"
    assert "The rows have no column for these features: shop" in found.reason


def test_rows_that_cannot_be_read_stop_the_step(model: Models, examples: Callable[..., Manifest]) -> None:
    given = examples()
    for shard in given.shards:
        Path(shard.uri).write_bytes(b"other rows")
    with pytest.raises(CorruptError, match="A shard changed"):
        settled(given, decided(model(), None))


def test_settling_again_gives_the_same_bytes(model: Models, examples: Callable[..., Manifest]) -> None:
    given, one = examples(), decided(model("constant", version=2), model())
    assert settled(given, one).settlements.to_json() == settled(given, one).settlements.to_json()


def test_without_decisions_no_row_is_read_and_tensorflow_is_not_imported() -> None:
    script = """
import sys
from datetime import UTC, datetime
from components._shared.gates import DataGates
from components._shared.ledger import Decisions
from components._shared.manifest import Manifest
from components._shared.windows import Windows
from components.settle.executor import settle
from tests.components.settle.settling import section
nothing = Manifest(role="examples", digest="0", columns={}, shards=(), count=0)
result = settle(examples=nothing, decisions=Decisions(), section=section(), data_gates=DataGates(),
                windows=Windows(as_of=datetime(2024, 6, 1, tzinfo=UTC), timezone="UTC"))
assert result.verdict.outcome == "passed" and not result.settlements.settlements
assert result.verdict.summary == "There is no earlier decision whose promise can be settled yet."
assert not {"tensorflow", "pyarrow", "numpy"} & set(sys.modules)
"""
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True)
