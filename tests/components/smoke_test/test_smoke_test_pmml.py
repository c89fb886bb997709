"""A PMML document beside a model: the same scores, or the gate says so."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.model_files import MODEL_JSON, model_digest, read_model_info
from components._shared.verdict import Check
from components.predict.executor import predict
from components.smoke_test.export import export_checks
from components.smoke_test.pmml import PmmlDocument, UnknownPmmlError
from tests.synthetic_rows import manifest, rows, scoring

PROBLEMS = ("binary_classification", "multiclass_classification", "regression")


@pytest.fixture(scope="module")
def predicted(model_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Manifest, Manifest]]:
    """Rows, and what the small model of a problem predicted of them."""
    made: dict[str, tuple[Manifest, Manifest]] = {}

    def of(problem: str = "binary_classification") -> tuple[Manifest, Manifest]:
        if problem not in made:
            root = tmp_path_factory.mktemp("predicted")
            examples = manifest(root, rows(3000, problem, seed=3), "test")
            section = scoring(problem)
            made[problem] = (
                examples,
                predict(examples=examples, data_root=str(root), scoring=section, model=model_of(problem)),
            )
        return made[problem]

    return of


def export_check(model: Path, of: tuple[Manifest, Manifest], largest: float = 1e-6) -> Check:
    examples, predictions = of
    info = read_model_info(model)
    (found,) = export_checks(model, info, predictions=predictions, examples=examples, largest=largest)
    assert found.name == "behaviour.export_difference"
    return found


def with_document(model: Path, home: Path, edit: Callable[[str], str]) -> Path:
    """A copy of a model with another document."""
    shutil.copytree(model, home)
    path = home / "model.pmml"
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    info = read_model_info(home).model_copy(update={"digest": model_digest(home)})
    (home / MODEL_JSON).write_text(info.to_json(), encoding="utf-8")
    return home


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_document_gives_the_scores_of_the_model_on_all_rows(problem: str, model_of: Any, predicted: Any) -> None:
    check = export_check(model_of(problem), predicted(problem))
    assert check.outcome == "passed"
    assert check.observed is not None
    assert 0 < check.observed < (1e-6 if problem != "regression" else 1e-3)
    assert "3,000 rows" in check.reason


def test_a_regression_is_held_to_the_scale_of_its_scores(model_of: Any, predicted: Any) -> None:
    limit = export_check(model_of("regression"), predicted("regression")).limit
    assert 1e-3 < float(limit.removeprefix("at most ")) < 2e-3


def test_a_document_with_another_weight_fails(model_of: Any, predicted: Any, tmp_path: Path) -> None:
    def heavier(text: str) -> str:
        return re.sub(r'(value="Oslo" coefficient=")([-0-9.e]+)', lambda m: f"{m[1]}{float(m[2]) + 1e-3!r}", text)

    check = export_check(with_document(model_of(), tmp_path / "heavier", heavier), predicted())
    assert check.outcome == "failed"
    assert check.observed == pytest.approx(2.5e-4, rel=0.1)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('function="floor"', 'function="ceil"', "function 'ceil'"),
        ("<RegressionModel", '<RegressionModel isScorable="false"', "attribute isScorable"),
        ('normalizationMethod="logit"', 'normalizationMethod="probit"', "probit"),
        (' feature="probability"', ' feature="entityId"', "entityId"),
        ('closure="closedClosed"', 'closure="openOpen"', "openOpen"),
        ("</PMML>", "<TreeModel/></PMML>", "TreeModel"),
        ("</PMML>", "", "not XML"),
        ('version="4.4"', 'version="4.3"', "4.4"),
        ('name="class" optype="categorical"', 'name="klass" optype="categorical"', "'class'"),
        ('name="score"', 'name="probability"', "it answers probability, not score"),
    ],
)
def test_what_the_reader_does_not_know_is_refused_not_guessed(
    old: str, new: str, said: str, model_of: Any, predicted: Any, tmp_path: Path
) -> None:
    def changed(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    check = export_check(with_document(model_of(), tmp_path / "changed", changed), predicted())
    assert check.outcome == "cannot_judge"
    assert said in check.reason


def test_a_value_that_the_document_calls_invalid_is_not_scored(model_of: Any, predicted: Any, tmp_path: Path) -> None:
    def strict(text: str) -> str:
        return text.replace('invalidValueTreatment="asValue" ', "").replace('<Value value="Oslo" />', "")

    check = export_check(with_document(model_of(), tmp_path / "strict", strict), predicted())
    assert check.outcome == "cannot_judge"
    assert "'Oslo' of 'shop' is invalid, and nothing stands in for it" in check.reason


def test_a_document_that_is_named_but_not_there_fails(model_of: Any, predicted: Any, tmp_path: Path) -> None:
    model = with_document(model_of(), tmp_path / "without", lambda text: text)
    (model / "model.pmml").unlink()
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


def test_an_attribute_that_is_not_there_is_no_zero(model_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pmml"
    text = (model_of() / "model.pmml").read_text(encoding="utf-8")
    path.write_text(text.replace('intercept="0.0"', ""), encoding="utf-8")
    with pytest.raises(UnknownPmmlError, match="intercept"):
        PmmlDocument(path)
