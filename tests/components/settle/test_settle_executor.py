"""Settling on real models and rows: a good model and a constant one, and what came after them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components._shared.decision_rule import DecisionRule
from components._shared.errors import CorruptError
from components._shared.ledger import Decision, Decisions, Settlement
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import labelled_rows
from components._shared.measuring.figures import figures_of
from components._shared.measuring.metrics import constant
from components._shared.model_files import read_model_info
from components._shared.records import ModelRef
from components._shared.tables import read_table
from components._shared.windows import Window, Windows
from components.predict.executor import predict
from components.settle.executor import Result, settle
from components.train.executor import train
from tests.components.settle.settling import decision, section
from tests.synthetic_rows import FEATURES, learning, manifest, rows, scoring

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
    given: Manifest, *decisions: Decision, problem: str = "binary_classification", run: Windows | None = None
) -> Result:
    gates = section(problem, promises=BLOCKS)
    return settle(examples=given, decisions=Decisions(decisions=decisions), windows=run or windows(), section=gates)


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
    gates = section(promises=BLOCKS, decision=rule)
    given = examples()
    one = decided(model("linear"), None, metric="cost")
    (found,) = settle(
        examples=given, decisions=Decisions(decisions=(one,)), windows=windows(), section=gates
    ).settlements.settlements

    rows = read_table(given, window=found.whole.window)
    label, weight = (rows.column(name).to_numpy().astype(float) for name in ("_label", "_weight"))
    base = read_model_info(Path(model().uri)).base
    promised = constant(gates.problem, label, base, weight, decision=rule)["cost"]
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
    for days, numbers in ((38, []), (39, [1]), (58, [1]), (59, [2]), (90, [3])):
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
from components._shared.ledger import Decisions
from components._shared.manifest import Manifest
from components._shared.windows import Windows
from components.settle.executor import settle
from tests.components.settle.settling import section
nothing = Manifest(role="examples", digest="0", columns={}, shards=(), count=0)
result = settle(examples=nothing, decisions=Decisions(), section=section(),
                windows=Windows(as_of=datetime(2024, 6, 1, tzinfo=UTC), timezone="UTC"))
assert result.verdict.outcome == "passed" and not result.settlements.settlements
assert result.verdict.summary == "There is no earlier decision whose promise can be settled yet."
assert not {"tensorflow", "pyarrow", "numpy"} & set(sys.modules)
"""
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True)
