"""Behaviour: the exported model in a fresh process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components._shared.errors import CorruptError, DataError
from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest, read_model_info
from components._shared.tables import ShardWriter, read_table
from components._shared.task import SmokeTestSection
from components._shared.verdict import Verdict
from components.predict.executor import predict
from components.smoke_test.executor import smoke_test as smoke_test_with_samples
from tests.edited_documents import with_document
from tests.synthetic_rows import manifest, rows, scoring

GATES = SmokeTestSection(score_difference=1e-5, export_difference=1e-6)


def smoke_test(**given: Any) -> Verdict:
    return smoke_test_with_samples(**given).verdict


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {check.name.removeprefix("behaviour."): check.outcome for check in verdict.checks}


def rescored(made: Manifest, root: Path, change: Callable[[Any], None]) -> Manifest:
    """The predictions with other scores, which are changed in place."""
    table = read_table(made)
    scores = table.column("score").to_numpy().copy()
    change(scores)
    with ShardWriter(str(root), made.columns) as writer:
        writer.write(table.set_column(table.schema.get_field_index("score"), "score", [scores]))
        return made.model_copy(update={"shards": writer.close()})


def changed(model: Path, home: Path, score: Any) -> Path:
    """A copy of a model whose graph is another one, without its documents."""
    from components.train.export import write_saved_model

    info = read_model_info(model)
    write_saved_model(home, info.inputs, score)
    (home / MODEL_JSON).write_text(
        info.model_copy(update={"digest": model_digest(home), "documents": {}}).to_json(), encoding="utf-8"
    )
    return home


def predictions_for(model: Path, predictions: Manifest) -> Manifest:
    """The predictions, as if another model had made them."""
    return predictions.model_copy(update={"model": read_model_info(model).digest})


@pytest.mark.parametrize("problem", ["binary_classification", "multiclass_classification", "regression"])
def test_a_model_that_behaves_passes(problem: str, model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    examples, model = test_rows(problem, 6000), model_of(problem)
    made = predict(examples=examples, data_root=str(tmp_path), scoring=scoring(problem), model=model)

    verdict = smoke_test(model=model, predictions=made, examples=examples, gates=GATES)

    assert (verdict.subject, verdict.outcome) == ("behaviour", "passed")
    names = ["loads", "batch", "missing_values", "unseen_category", "wrong_type", "range", "reproduces", "single_row"]
    assert list(outcomes(verdict)) == [*names, "export_difference"]
    assert "4096 rows" in verdict.summary


def test_scores_that_are_not_reproduced_fail(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    examples, model = test_rows(), model_of()
    made = predict(examples=examples, data_root=str(tmp_path), scoring=scoring(), model=model)

    def other(scores: Any) -> None:
        scores[-1] += 0.001

    given = {"model": model, "predictions": rescored(made, tmp_path, other), "examples": examples}
    verdict = smoke_test(**given, gates=GATES)

    assert outcomes(verdict)["reproduces"] == verdict.outcome == "failed"
    assert next(check.observed for check in verdict.checks if check.name == "behaviour.reproduces") == pytest.approx(
        0.001
    )
    assert (
        smoke_test(**given, gates=SmokeTestSection(score_difference=0.01, export_difference=0.01)).outcome == "passed"
    )


def test_an_extreme_score_does_not_hide_that_another_is_not_reproduced(model_of: Any, tmp_path: Path) -> None:
    model, columns = model_of("regression"), rows(400, "regression", seed=3)
    columns["temperature (°C)"][0] = 1e9
    examples = manifest(tmp_path / "data", columns, "test")
    made = predict(examples=examples, data_root=str(tmp_path), scoring=scoring("regression"), model=model)
    fine = smoke_test_with_samples(model=model, predictions=made, examples=examples, gates=GATES)
    assert fine.verdict.outcome == "passed"
    # The first row would be one of them, and what may be said of its score is nothing for the others.
    assert len(fine.samples.scores) > 20
    assert max(abs(score) for (score,) in fine.samples.scores) < 2000
    assert 0 < fine.samples.tolerance < 0.02

    def other(scores: Any) -> None:
        scores[-1] += 1.0

    verdict = smoke_test(model=model, predictions=rescored(made, tmp_path, other), examples=examples, gates=GATES)
    assert outcomes(verdict)["reproduces"] == "failed"
    reason = next(check.reason for check in verdict.checks if check.name == "behaviour.reproduces")
    assert reason.endswith("of the row's scale.")


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        (' mapMissingTo="', ' defaultValue="', "cannot_judge"),
        ("<LocalTransformations>", "<LocalTransformations>" + "<Apply>" * 3000 + "</Apply>" * 3000, "cannot_judge"),
        (">0.0</Constant>", ">nan</Constant>", "failed"),
    ],
)
def test_a_bad_document_does_not_cost_the_verdict(
    old: str, new: str, outcome: str, model_of: Any, test_rows: Any, tmp_path: Path
) -> None:
    def bad(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    made = predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model_of())
    model = with_document(model_of(), tmp_path / "bad", bad)

    verdict = smoke_test(model=model, predictions=predictions_for(model, made), examples=test_rows(), gates=GATES)

    assert Verdict.from_json(verdict.to_json()).outcome == outcome
    assert outcomes(verdict)["export_difference"] == outcome


def test_a_model_that_does_not_load_fails_the_verdict(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    made = predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model_of())
    model = Path(shutil.copytree(model_of(), tmp_path / "broken"))
    (model / "variables" / "variables.data-00000-of-00001").unlink()
    info = read_model_info(model).model_copy(update={"digest": model_digest(model)})
    (model / MODEL_JSON).write_text(info.to_json(), encoding="utf-8")

    verdict = smoke_test(model=model, predictions=predictions_for(model, made), examples=test_rows(), gates=GATES)

    assert outcomes(verdict) == {"loads": "failed"}
    assert "does not load" in verdict.summary


def test_a_model_that_fails_on_missing_values_or_leaves_the_range_fails(
    model_of: Any, test_rows: Any, tmp_path: Path
) -> None:
    import tensorflow as tf

    made = predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model_of())
    fragile = changed(
        model_of(), tmp_path / "fragile", lambda given: tf.strings.to_number(tf.strings.substr(given["shop"], 0, 0))
    )
    verdict = smoke_test(model=fragile, predictions=predictions_for(fragile, made), examples=test_rows(), gates=GATES)
    assert outcomes(verdict)["batch"] == "failed"

    unbounded = changed(
        model_of(),
        tmp_path / "unbounded",
        lambda given: tf.where(given["feature_class"] == "", float("nan"), 2.0),
    )
    examples = test_rows()
    whole = examples.model_copy(update={"shards": examples.shards})
    verdict = smoke_test(model=unbounded, predictions=predictions_for(unbounded, made), examples=whole, gates=GATES)
    assert verdict.outcome == "failed"
    assert outcomes(verdict)["missing_values"] == "failed"


def test_a_model_that_is_too_slow_fails(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    made = predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model_of())

    verdict = smoke_test(model=model_of(), predictions=made, examples=test_rows(), gates=GATES, timeout=0.01)

    assert outcomes(verdict) == {"loads": "failed"}
    assert "within 0.01 seconds" in verdict.summary


def test_predictions_of_another_model_or_other_rows_cannot_be_judged(
    model_of: Any, test_rows: Any, tmp_path: Path
) -> None:
    made = predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model_of())

    for wrong in (made.model_copy(update={"model": "0" * 64}), made.model_copy(update={"count": 3})):
        with pytest.raises(DataError, match="not those of this model"):
            smoke_test(model=model_of(), predictions=wrong, examples=test_rows(), gates=GATES)


def test_a_model_whose_files_changed_is_refused(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    made = predict(examples=test_rows(), data_root=str(tmp_path), scoring=scoring(), model=model_of())
    model = Path(shutil.copytree(model_of(), tmp_path / "changed"))
    (model / "extra").write_text("x", encoding="utf-8")

    with pytest.raises(CorruptError):
        smoke_test(model=model, predictions=made, examples=test_rows(), gates=GATES)


def test_without_rows_it_cannot_judge(model_of: Any, test_rows: Any, tmp_path: Path) -> None:
    none = test_rows().model_copy(update={"shards": (), "count": 0})
    made = predict(examples=none, data_root=str(tmp_path), scoring=scoring(), model=model_of())

    assert smoke_test(model=model_of(), predictions=made, examples=none, gates=GATES).outcome == "cannot_judge"
