"""The documents that the linear trainer writes beside its SavedModel; engines score them in tests/documents."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from components._shared.errors import CorruptError
from components._shared.model_files import verify_model
from components._shared.model_info import ModelInfo
from components.train.documents import writing
from components.train.documents.pfa import to_pfa
from components.train.documents.pmml import NotExpressible, to_pmml
from components.train.documents.served_function import CategoryPart, NumberPart, ServedFunction
from components.train.executor import train
from tests.synthetic_rows import learning, manifest, rows


def trained(folder: Path, columns: dict[str, list[Any]] | None = None) -> ModelInfo:
    return train(
        train=manifest(folder / "data", columns or rows(200), "train"),
        tune=manifest(folder / "data", rows(50, seed=2), "tune"),
        learning=learning(budget=1),
        model_dir=folder / "model",
    )


def function(**fields: Any) -> ServedFunction:
    number = NumberPart("x", "numeric", (0.5,), 1.0, None)
    given = {"problem": "binary_classification", "classes": None, "intercepts": (0.25,), "parts": (number,)}
    return ServedFunction(**{**given, "arguments": {"x": "x"}, **fields})


def test_the_documents_are_named_covered_by_the_digest_and_the_same_each_time(tmp_path: Path) -> None:
    one = trained(tmp_path / "one")
    trained(tmp_path / "other")
    assert one.documents == {"pmml": "model.pmml", "pfa": "model.pfa.json"}
    for name in one.documents.values():
        assert (tmp_path / "one/model" / name).read_bytes() == (tmp_path / "other/model" / name).read_bytes()
    (tmp_path / "one/model/model.pmml").write_text("<PMML/>")
    with pytest.raises(CorruptError):
        verify_model(tmp_path / "one/model")


def test_a_category_that_xml_cannot_hold_leaves_pmml_out_and_says_so(tmp_path: Path) -> None:
    columns = rows(200)
    columns["shop"][:20] = ["bell\x07"] * 20
    info = trained(tmp_path, columns)
    assert info.documents == {"pfa": "model.pfa.json"}
    assert not (tmp_path / "model/model.pmml").exists()
    assert any("'\\x07', which XML does not know" in notice for notice in info.notices)
    assert "=bell\x07" in json.loads((tmp_path / "model/model.pfa.json").read_text())["cells"]["shop"]["init"]


def test_a_model_of_very_many_weights_has_no_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_MOST_WEIGHTS", 10)
    info = trained(tmp_path)
    assert info.documents == {}
    assert any("no PMML or PFA document" in notice for notice in info.notices)


def test_names_in_pmml_are_never_those_of_a_column() -> None:
    columns = ("label", "label, missing", "label-", "score", "score-")
    parts = tuple(NumberPart(name, "numeric", (1.0,), 0.0, (1.0,)) for name in columns)
    document = ET.fromstring(to_pmml(function(parts=parts)))
    tags = {f"{{http://www.dmg.org/PMML-4_4}}{tag}" for tag in ("DataField", "DerivedField", "OutputField")}
    names = [element.get("name") for element in document.iter() if element.tag in tags]
    assert len(names) == len(set(names)) == 5 + 1 + 5 * 4 + 1
    assert "score--" in names


def test_answers_of_several_classes_are_never_called_as_a_column() -> None:
    parts = tuple(NumberPart(name, "numeric", (1.0, 2.0), 0.0, None) for name in ("score_0", "score"))
    several = {"problem": "multiclass_classification", "classes": ("a", "b"), "intercepts": (0.0, 0.0)}
    document = ET.fromstring(to_pmml(function(parts=parts, **several)))
    answers = [element.get("name") for element in document.iter("{http://www.dmg.org/PMML-4_4}OutputField")]
    assert answers == ["score_0-", "score_1"]


def test_no_category_is_a_key_that_pfa_understands_otherwise() -> None:
    part = CategoryPart("shop", {"@": (1.0,), "=@": (2.0,)}, (3.0,), (4.0,))
    document = json.loads(to_pfa(function(parts=(part,), arguments={"shop": "shop"})))
    assert document["cells"]["shop"]["init"] == {"=": [4.0], "=@": [1.0], "==@": [2.0]}


def test_the_word_for_other_categories_is_never_a_category() -> None:
    part = CategoryPart("shop", {"(other)": (1.0,), "(other)-": (2.0,)}, (3.0,), None)
    text = to_pmml(function(parts=(part,))).decode()
    assert 'invalidValueReplacement="(other)--"' in text
    assert '<CategoricalPredictor name="shop" value="(other)--" coefficient="3.0" />' in text


def test_classes_that_are_written_alike_cannot_be_told_apart() -> None:
    part = NumberPart("x", "numeric", (0.5, 0.5), 1.0, None)
    alike = function(problem="multiclass_classification", classes=(1, "1"), intercepts=(0.0, 0.0), parts=(part,))
    with pytest.raises(NotExpressible, match="alike"):
        to_pmml(alike)
    assert json.loads(to_pfa(alike))["output"]["type"] == "array"


def test_weights_are_written_to_the_last_digit() -> None:
    weight = 0.1 + 0.2
    part = NumberPart("x", "numeric", (weight,), 0.0, None)
    assert f'coefficient="{weight!r}"' in to_pmml(function(parts=(part,))).decode()
    assert repr(weight) in to_pfa(function(parts=(part,))).decode()
