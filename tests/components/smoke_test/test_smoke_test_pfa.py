"""The reader of PFA: it follows the standard, or says what it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.smoke_test.documents import Numbers, Texts, UnknownDocumentError
from components.smoke_test.pfa import PfaDocument
from tests.edited_documents import PFA, export_check, with_document

NESTED = '{"m.abs": ' * 3000 + "1.0" + "}" * 3000
DOUBLES = {"type": "array", "items": "double"}


def document(path: Path, action: list[Any], **fields: Any) -> PfaDocument:
    """A document of two fields, `x` and `word`."""
    taken = [{"name": "x", "type": ["null", "double"]}, {"name": "word", "type": ["null", "string"]}]
    given = {
        "name": "Test",
        "input": {"type": "record", "name": "Row", "fields": taken},
        "output": "double",
        "action": action,
        **fields,
    }
    path = path / "test.pfa.json"
    path.write_text(json.dumps(given), encoding="utf-8")
    return PfaDocument(path)


def answers(found: PfaDocument, x: list[float | None], words: list[str | None] | None = None) -> list[float]:
    """What it answers to these rows, of which None is null."""
    numbers = np.array([np.nan if value is None else value for value in x], "float64")
    known = sorted({word for word in words or () if word is not None})
    codes = np.array([-1 if word is None else known.index(word) for word in words or [None] * len(x)])
    columns = {"x": Numbers(numbers, np.array([value is None for value in x])), "word": Texts(tuple(known), codes)}
    scores = found.answer(columns).scores
    assert scores.shape == (len(x), 1)
    return [float(score) for score in scores[:, 0]]


X_OR_9 = {"ifnotnull": {"x": "input.x"}, "then": "x", "else": 9.0}


def test_null_is_not_a_number_that_is_none(tmp_path: Path) -> None:
    found = answers(document(tmp_path, [X_OR_9]), [1.5, None, float("nan")])
    assert found[:2] == [1.5, 9.0]
    assert np.isnan(found[2])


def test_a_remainder_has_the_sign_of_the_divisor(tmp_path: Path) -> None:
    found = document(tmp_path, [{"%": [X_OR_9, 7.0]}])
    assert answers(found, [9.0, -1.0, -7.0]) == [2.0, 6.0, 0.0]


def test_a_map_is_looked_up_by_the_text_that_is_put_together(tmp_path: Path) -> None:
    cells = {"weights": {"type": {"type": "map", "values": DOUBLES}, "init": {"=a": [1, 2], "=": [3, 4]}}}
    word = {"ifnotnull": {"word": "input.word"}, "then": "word", "else": {"string": ""}}
    steps = [
        {"let": {"key": {"s.concat": [{"string": "="}, word]}}},
        {
            "if": {"map.containsKey": [{"cell": "weights"}, "key"]},
            "then": {"cell": "weights", "path": ["key", 1]},
            "else": -1.0,
        },
    ]
    found = document(tmp_path, steps, cells=cells)
    assert answers(found, [0, 0, 0, 0], ["a", None, "", "=a"]) == [2.0, 4.0, 4.0, -1.0]


def test_what_is_looked_up_and_not_there_is_no_number(tmp_path: Path) -> None:
    cells = {"lines": {"type": {"type": "array", "items": DOUBLES}, "init": [[1], [2]]}}
    place = {"cast.int": X_OR_9}
    found = answers(document(tmp_path, [{"cell": "lines", "path": [place, 0]}], cells=cells), [0, 1, 2, -1])
    assert found[:2] == [1.0, 2.0]
    assert np.isnan(found[2:]).all()


def test_links_overflow_as_they_do_in_other_engines(tmp_path: Path) -> None:
    found = answers(document(tmp_path, [{"m.link.logit": X_OR_9}]), [0.0, -600.0, -800.0, 800.0])
    assert found[0] == 0.5
    assert 0 < found[1] < 1e-200
    assert np.isnan(found[2])
    assert found[3] == 1


def test_of_a_sum_the_parts_are_said_too(tmp_path: Path) -> None:
    total = {"a.sum": {"type": DOUBLES, "new": [10.0, {"*": [-2.0, X_OR_9]}, X_OR_9]}}
    columns = {"x": Numbers(np.array([3.0, -4.0]), np.zeros(2, bool)), "word": Texts((), np.array([-1, -1]))}
    found = document(tmp_path, [total]).answer(columns)
    assert found.scores.tolist() == [[7.0], [14.0]]
    assert found.added.tolist() == [[19.0], [22.0]]


def test_a_function_of_the_document_sees_its_arguments_alone(tmp_path: Path) -> None:
    def twice(body: Any) -> dict[str, Any]:
        return {"twice": {"params": [{"given": "double"}], "ret": "double", "do": body}}

    steps = [{"let": {"other": 5.0}}, {"u.twice": X_OR_9}]
    assert answers(document(tmp_path, steps, fcns=twice({"*": [2.0, "given"]})), [4.0]) == [8.0]
    with pytest.raises(UnknownDocumentError, match="'other'"):
        answers(document(tmp_path, steps, fcns=twice({"*": [2.0, "other"]})), [4.0])


@pytest.mark.parametrize(
    "expression",
    [
        "input.x",
        {"+": ["input.x", 1.0]},
        {"+": [X_OR_9, True]},
        {"if": X_OR_9, "then": 1.0, "else": 0.0},
        {"if": True, "then": 1.0, "else": {"string": "a"}},
        {"ifnotnull": {"x": 1.0}, "then": "x", "else": 9.0},
        {"cast.int": X_OR_9},
        {"string": "a"},
        {"do": [{"let": {"y": 1.0}}, {"let": {"y": 2.0}}, "y"]},
    ],
)
def test_a_value_of_another_type_is_refused(expression: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownDocumentError):
        answers(document(tmp_path, [expression]), [1.5, 2.0])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"m.sin"', '"m.tan"', "the expression 'm.tan'"),
        ('"u.filled"', '"u.other"', "'u.other'"),
        ('"then": 0.0', '"then": 0', "the expression 0"),
        ('"then": 0.0', '"then": NaN', "the number NaN"),
        ('"action": [', '"begin": [], "action": [', "it has 'begin' beside action, input, name, output"),
        ('"name": "Linear"', '"name": "Linear", "name": "Linear"', "more than one key 'name'"),
        ('"=Oslo"', '"@"', "the key '@'"),
        ('"=Oslo"', '"=Rome"', "more than one key '=Rome'"),
        ('"string"\n', '"bytes"\n', 'a field that is ["null", "bytes"]'),
        ('"output": "double"', '"output": "int"', 'it answers "int"'),
        ('"output": "double"', '"output": {"type": "array", "items": "double"}', "answers a number"),
        ('"name": "feature_class"', '"name": "klass"', "a field 'klass', which the rows do not have"),
        ('"input.feature_class"', '"input.klass"', "'input.klass'"),
        ('"cell": "shop"', '"cell": "nowhere"', "'nowhere'"),
        ('"input"', '"in', "not JSON"),
        ('"action": [', '"action": [{"let": {"deep": ' + NESTED + "}},", "too deeply"),
    ],
)
def test_what_the_reader_does_not_know_is_refused_not_guessed(
    old: str, new: str, said: str, model_of: Any, predicted: Any, tmp_path: Path
) -> None:
    def changed(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    check = export_check(with_document(model_of(), tmp_path / "changed", changed, PFA), predicted())
    assert check.outcome == "cannot_judge"
    assert said in check.reason


def test_another_number_of_answers_than_the_model_gives_is_refused(
    model_of: Any, predicted: Any, tmp_path: Path
) -> None:
    problem = "multiclass_classification"
    other = (model_of("binary_classification") / PFA).read_text(encoding="utf-8")
    check = export_check(
        with_document(model_of(problem), tmp_path / "other", lambda text: other, PFA), predicted(problem)
    )
    assert check.outcome == "cannot_judge"
    assert "it answers 1 numbers where the SavedModel answers 3" in check.reason
