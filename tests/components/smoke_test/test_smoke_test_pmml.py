"""The reader of PMML: it follows the standard, or says what it does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.smoke_test.documents import UnknownDocumentError
from components.smoke_test.pmml import PmmlDocument
from tests.edited_documents import export_check, with_document

NESTED = '<Apply function="floor">' * 3000 + '<Constant dataType="double">1</Constant>' + "</Apply>" * 3000
OSLO = '<CategoricalPredictor name="shop" value="Oslo"'
DERIVED = '<DerivedField name="deep" optype="continuous" dataType="double">'


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
        ('name="score"', 'name="shop"', "more than one field 'shop'"),
        ('name="score" optype="continuous" dataType="double"', 'name="score" optype="continuous"', "continuous None"),
        ("<DataDictionary>", '<DataDictionary numberOfFields="5">', "attribute numberOfFields of DataDictionary"),
        ("<MiningSchema>", '<MiningSchema x="1">', "attribute x of MiningSchema"),
        ("<LocalTransformations>", '<LocalTransformations x="1">', "attribute x of LocalTransformations"),
        ("<Output>", '<Output x="1">', "attribute x of Output"),
        ("</RegressionTable>", "and more</RegressionTable>", "a text 'and more' in RegressionTable"),
        ("<MiningSchema>", "<MiningSchema>1", "a text '1' in MiningSchema"),
        ("<PMML", '<!DOCTYPE PMML [<!ENTITY w "1">]><PMML', "a <!DOCTYPE"),
        ('<MiningField name="shop"', '<MiningField name="shop" /><MiningField name="shop"', "use of the field 'shop'"),
        (
            OSLO,
            f'{OSLO} coefficient="1" />{OSLO}',
            "two weights of 'Oslo' in the field 'shop'",
        ),
        ('<Value value="Oslo" />', '<Value value="Oslo" /><Value value="Oslo" />', "more than one value 'Oslo'"),
        (
            '<DataField name="class"',
            '<DataField name="class" optype="categorical" dataType="string" /><DataField name="class"',
            "more than one field 'class'",
        ),
        ('leftMargin="0.5" rightMargin="1.5"', 'leftMargin="0.0" rightMargin="1.5"', "bins of 'seen at"),
        ("<LocalTransformations>", f"<LocalTransformations>{DERIVED}{NESTED}</DerivedField>", "too deeply"),
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


def test_an_attribute_that_is_not_there_is_no_zero(model_of: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pmml"
    text = (model_of() / "model.pmml").read_text(encoding="utf-8")
    path.write_text(text.replace('intercept="0.0"', ""), encoding="utf-8")
    with pytest.raises(UnknownDocumentError, match="intercept"):
        PmmlDocument(path)
