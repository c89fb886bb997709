"""The gate on a model's documents: each of them holds the model's function, or it says which does not, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.model_files import read_model_info
from components.predict.executor import predict
from components.smoke_test.export import export_checks
from components.train.executor import train
from tests.edited_documents import PFA, PMML, export_check, with_document, with_documents
from tests.synthetic_rows import FEATURES, TYPES, learning, manifest, rows, scoring

PROBLEMS = ("binary_classification", "multiclass_classification", "regression")
TEMPERATURE = "temperature (°C)"

Rows = dict[str, list[Any]]
Made = tuple[Path, tuple[Manifest, Manifest]]


def made(
    home: Path,
    train_rows: Rows,
    test_rows: Rows,
    problem: str = "binary_classification",
    names: dict[str, str] | None = None,
) -> Made:
    """A model of rows of its own, other rows, and what it predicted of them.

    Args:
        names: Features of which the columns are called otherwise.
    """

    def renamed(columns: dict[str, Any]) -> dict[str, Any]:
        return {(names or {}).get(name, name): column for name, column in columns.items()}

    given = {"train": train_rows, "tune": rows(100, problem, seed=2), "test": test_rows}
    parts = {role: manifest(home, renamed(columns), role, renamed(TYPES)) for role, columns in given.items()}
    model, section = home / "model", learning(problem, features=renamed(FEATURES), budget=2)
    train(train=parts["train"], tune=parts["tune"], learning=section, model_dir=model)
    asked = scoring(problem, slices=[])
    return model, (parts["test"], predict(examples=parts["test"], data_root=str(home), scoring=asked, model=model))


def changed(columns: Rows, **values: Callable[[Any], Any]) -> Rows:
    """The rows with other labels or temperatures."""
    place = {"label": "_label", "temperature": TEMPERATURE}
    new = {
        place[name]: [None if v is None else change(v) for v in columns[place[name]]] for name, change in values.items()
    }
    return {**columns, **new}


def replaced(pattern: str, new: str) -> Callable[[str], str]:
    """An edit that finds something."""

    def edit(text: str) -> str:
        assert re.search(pattern, text)
        return re.sub(pattern, new, text)

    return edit


def heavier(text: str) -> str:
    """The document with twice the weight of Oslo."""
    weight = re.compile(r'("=Oslo": \[\s*|value="Oslo" coefficient=")([-0-9.e]+)')
    assert weight.search(text)
    return weight.sub(lambda found: f"{found[1]}{2 * float(found[2])!r}", text)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_each_document_gives_the_scores_of_the_model_on_all_rows(problem: str, model_of: Any, predicted: Any) -> None:
    check = export_check(model_of(problem), predicted(problem))
    assert check.outcome == "passed"
    assert check.observed is not None
    assert 0 < check.observed < 2e-7
    assert check.limit == "at most 1e-06"
    assert "Over 3,000 rows, the PMML document" in check.reason
    assert "Over 3,000 rows, the PFA document" in check.reason


@pytest.mark.parametrize("name", [PMML, PFA])
def test_a_document_with_another_weight_fails_whatever_the_other_one_says(
    name: str, model_of: Any, predicted: Any, tmp_path: Path
) -> None:
    model = with_document(model_of(), tmp_path / "heavier", heavier, name)
    both = with_documents(model, read_model_info(model_of()).documents)
    check = export_check(both, predicted())
    assert check.outcome == "failed"
    assert check.observed is not None
    assert check.observed > 0.01
    standard = {PMML: "PMML", PFA: "PFA"}[name]
    assert check.reason.startswith(f"Over 3,000 rows, the {standard} document differs")


def test_a_pfa_document_alone_is_judged_too(tmp_path: Path) -> None:
    columns = rows(200)
    columns["shop"][:20] = ["bell\x07"] * 20
    model, of = made(tmp_path, columns, rows(300, seed=3))
    assert read_model_info(model).documents == {"pfa": PFA}
    assert export_check(model, of).outcome == "passed"
    check = export_check(with_document(model, tmp_path / "other", lambda text: '{"name":"Nonsense"}', PFA), of)
    assert check.outcome == "cannot_judge"


def test_a_document_that_nothing_reads_cannot_be_judged(model_of: Any, predicted: Any, tmp_path: Path) -> None:
    model = with_document(model_of(), tmp_path / "other", lambda text: text)
    check = export_check(with_documents(model, {"pmml": PMML, "onnx": "model.onnx"}), predicted())
    assert check.outcome == "cannot_judge"
    assert "The ONNX document model.onnx cannot be judged: nothing here reads this standard." in check.reason


def test_a_document_that_is_named_but_not_there_fails(model_of: Any, predicted: Any, tmp_path: Path) -> None:
    model = with_document(model_of(), tmp_path / "without", lambda text: text)
    (model / PMML).unlink()
    assert export_check(model, predicted()).outcome == "failed"


def test_a_model_without_documents_has_no_such_check(model_of: Any, predicted: Any) -> None:
    examples, predictions = predicted()
    info = read_model_info(model_of()).model_copy(update={"documents": {}})
    assert export_checks(model_of(), info, predictions=predictions, examples=examples, largest=1e-6) == ()


def test_scores_of_other_rows_are_no_evidence(model_of: Any, predicted: Any, tmp_path: Path) -> None:
    _, predictions = predicted()
    others = manifest(tmp_path, rows(3000, seed=4), "test")
    with pytest.raises(DataError, match="order"):
        export_check(model_of(), (others, predictions))


def test_a_document_that_does_not_round_numbers_as_the_model_does_fails(tmp_path: Path) -> None:
    def narrow(columns: Rows) -> Rows:
        return changed(columns, temperature=lambda value: 46 + (value - 15) / 800)

    model, of = made(tmp_path, narrow(rows(600)), narrow(rows(400, seed=3)))
    assert export_check(model, of).outcome == "passed"
    for name, edit in (
        (PMML, replaced(r'(<NumericPredictor name="temperature \(°C\)), in 32 bits"', r'\1, filled in"')),
        (PFA, replaced(r'"u\.rounded": "value"', '"cast.double": "value"')),
    ):
        check = export_check(with_document(model, tmp_path / name, edit, name), of)
        assert check.outcome == "failed"
        assert check.observed is not None
        assert check.observed > 1e-5


def test_documents_are_given_null_where_nothing_is_and_numbers_that_are_none_as_they_are(tmp_path: Path) -> None:
    columns = rows(400, seed=3)
    columns["shop"][:3] = ["", None, "never seen"]
    columns[TEMPERATURE][:4] = [float("nan"), float("inf"), 1e300, None]
    model, of = made(tmp_path, rows(200), columns)
    assert export_check(model, of).outcome == "passed"
    careless = replaced(r'"if": \{\s*"u\.known": "given"\s*\}', '"if": true')
    check = export_check(with_document(model, tmp_path / "careless", careless, PFA), of)
    assert check.reason == "In 3 of 400 rows, the PFA document answers no number."


def test_one_extreme_row_loosens_no_other(tmp_path: Path) -> None:
    extreme = rows(400, "regression", seed=3)
    extreme[TEMPERATURE][200] = 1e9
    model, of = made(tmp_path, rows(300, "regression"), extreme, "regression")
    assert export_check(model, of).outcome == "passed"
    for name in (PMML, PFA):
        assert export_check(with_document(model, tmp_path / name, heavier, name), of).outcome == "failed"


def test_a_label_of_small_numbers_is_held_to_its_own_scale(tmp_path: Path) -> None:
    def small(columns: Rows) -> Rows:
        return changed(columns, label=lambda value: value * 1e-10)

    model, of = made(tmp_path, small(rows(300, "regression")), small(rows(300, "regression", seed=3)), "regression")
    assert export_check(model, of).outcome == "passed"
    nothing = replaced(r'(coefficient|intercept)="[^"]*"', r'\1="0.0"')
    check = export_check(with_document(model, tmp_path / "nothing", nothing), of)
    assert check.outcome == "failed"
    assert check.observed == pytest.approx(1, abs=0.1)


def test_a_score_near_zero_is_held_to_the_spread_of_the_label(tmp_path: Path) -> None:
    def centred(columns: Rows) -> Rows:
        return changed(columns, label=lambda value: value - 1025)

    model, of = made(
        tmp_path, centred(rows(300, "regression")), centred(rows(2000, "regression", seed=3)), "regression"
    )
    stored = np.array([row["score"] for row in _rows(of[1], "score")])
    assert np.abs(stored).min() < 0.1
    check = export_check(model, of)
    assert check.outcome == "passed"
    assert check.observed is not None
    assert check.observed < 2e-7


def _rows(of: Manifest, *names: str) -> list[dict[str, Any]]:
    from components._shared.tables import read_table

    return read_table(of, list(names)).to_pylist()


def test_a_document_that_answers_no_number_fails_and_says_in_how_many_rows(
    model_of: Any, predicted: Any, tmp_path: Path
) -> None:
    unfilled = replaced(r'(<FieldRef field="temperature \(°C\)") mapMissingTo="[^"]*"', r"\1")
    check = export_check(with_document(model_of(), tmp_path / "unfilled", unfilled), predicted())
    missing = sum(row[TEMPERATURE] is None for row in _rows(predicted()[0], TEMPERATURE))
    assert missing > 100
    assert (check.outcome, check.observed) == ("failed", None)
    assert check.reason == f"In {missing} of 3,000 rows, the PMML document answers no number."


@pytest.mark.parametrize(
    ("problem", "name"),
    [("binary_classification", "score"), ("regression", "score"), ("multiclass_classification", "score_1")],
)
def test_a_feature_may_be_called_as_an_answer_is(problem: str, name: str, tmp_path: Path) -> None:
    model, of = made(tmp_path, rows(200, problem), rows(200, problem, seed=3), problem, {"class": name})
    assert f'OutputField name="{name}-"' in (model / PMML).read_text(encoding="utf-8")
    assert export_check(model, of).outcome == "passed"


def test_no_category_has_a_meaning_in_a_document(tmp_path: Path) -> None:
    columns = rows(300)
    for place, odd in enumerate(("@", "=", "=@", "(other)", "(missing)", "null")):
        columns["shop"][place * 30 : place * 30 + 30] = [odd] * 30
    model, of = made(tmp_path, columns, columns)
    check = export_check(model, of)
    assert check.outcome == "passed", check.reason
