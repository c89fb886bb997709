"""A linear model as PMML 4.4 (Predictive Model Markup Language, https://dmg.org/pmml/v4-4-1/GeneralStructure.html).

The document takes the raw feature columns by their own names: numbers, booleans, texts, and moments as microseconds
since 1970 in UTC; a value that is not there is missing. It answers `score`, or `score_0`, `score_1` … per class; where
a column has such a name, dashes are put behind it.

==============  =====================================================================================================
numeric         a field that is replaced where it is missing or infinite (`mapMissingTo`) and rounded to the 32 bits
                that the model takes, and an indicator
boolean         `NormDiscrete`
categorical     a `CategoricalPredictor` per value, and one for a word that replaces all others; an indicator
datetime        sine and cosine by `Apply`, the weekday by `Discretize`
==============  =====================================================================================================
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable

from components.train.documents.served_function import (
    LARGEST_NUMBER,
    MICROSECONDS_OF_A_DAY,
    ROUNDS_TO_32_BITS,
    CategoryPart,
    MomentPart,
    NumberPart,
    ServedFunction,
    Wave,
    Weights,
)

_NAMESPACE = "http://www.dmg.org/PMML-4_4"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotExpressible(Exception):
    """The standard has no way to write the function down; the message says what stands in the way."""


def to_pmml(function: ServedFunction) -> bytes:
    """The document, UTF-8.

    Raises:
        NotExpressible: A name or a category holds a character that XML does not know, or two classes look alike.
    """
    classes = [str(name) for name in function.classes or ()]
    if len(set(classes)) < len(classes):
        raise NotExpressible("two classes are written alike")
    writer = _Writer(function)
    document = _element("PMML", version="4.4", xmlns=_NAMESPACE)
    header = _inside(document, "Header", description="The same function as the SavedModel beside it.")
    _inside(header, "Application", name="Saiki")
    for part in function.parts:
        match part:
            case NumberPart():
                writer.number(part)
            case CategoryPart():
                writer.category(part)
            case MomentPart():
                writer.moment(part)
    fields = _inside(document, "DataDictionary")
    fields.extend([*writer.fields, writer.target_field()])
    document.append(writer.model())
    ET.indent(document, " ")
    text: bytes = ET.tostring(document, encoding="utf-8", xml_declaration=True)
    if unknown := _NOT_XML.search(text.decode()):
        raise NotExpressible(f"a name or a category holds the character {unknown.group()!r}, which XML does not know")
    return text + b"\n"


class _Writer:
    """Gathers the elements of a model, feature by feature."""

    def __init__(self, function: ServedFunction) -> None:
        self._function = function
        self._taken = {part.name for part in function.parts}
        self.fields: list[ET.Element] = []
        self._mining: list[ET.Element] = []
        self._derived: list[ET.Element] = []
        self._numeric: list[list[ET.Element]] = [[] for _ in function.intercepts]
        self._categorical: list[list[ET.Element]] = [[] for _ in function.intercepts]
        several = function.problem == "multiclass_classification"
        names = [f"score_{number}" for number in range(len(function.intercepts))] if several else ["score"]
        self._outputs = [self._free(name) for name in names]
        self._target = self._free("label")

    def number(self, part: NumberPart) -> None:
        """A number or a boolean."""
        if part.kind == "numeric":
            field = self._field(part.name, "continuous", "double")
            low, high = repr(-LARGEST_NUMBER), repr(LARGEST_NUMBER)
            _inside(field, "Interval", closure="closedClosed", leftMargin=low, rightMargin=high)
            self._input(part.name, invalidValueTreatment="asMissing")
            filled = _element("FieldRef", field=part.name, mapMissingTo=repr(part.missing_as))
            value = self._rounded(part.name, self._derive(f"{part.name}, filled in", filled))
        else:
            self._field(part.name, "categorical", "boolean")
            self._input(part.name)
            truth = _element("NormDiscrete", field=part.name, value="true", mapMissingTo=repr(part.missing_as))
            value = self._derive(f"{part.name}, filled in", truth)
        self._add_number(value, part.weights)
        if part.missing_adds is not None:
            self._add_missing(part.name, part.missing_adds)

    def _rounded(self, name: str, field: str) -> str:
        """The field as a 32-bit float."""
        scaled = self._derive(f"{name}, scaled", _apply("*", _reference(field), _constant(ROUNDS_TO_32_BITS)))
        rest = _apply("-", _reference(scaled), _reference(field))
        return self._derive(f"{name}, in 32 bits", _apply("-", _reference(scaled), rest))

    def category(self, part: CategoryPart) -> None:
        """A text: what is not listed becomes a word that is no value; of what is missing, no predictor applies."""
        other = _word("(other)", part.values)
        field = self._field(part.name, "categorical", "string")
        # An empty text is a missing one.
        _inside(field, "Value", value="", property="missing")
        for value in (*part.values, other):
            _inside(field, "Value", value=value)
        self._input(part.name, invalidValueTreatment="asValue", invalidValueReplacement=other)
        self._add_categories(part.name, {**part.values, other: part.other})
        self._add_missing(part.name, part.other if part.missing is None else part.missing)

    def moment(self, part: MomentPart) -> None:
        """A moment: waves of the clock and of the calendar, and the weekday."""
        self._field(part.name, "continuous", "double")
        self._input(part.name, invalidValueTreatment="asMissing")
        clock = self._derive(f"{part.name}, filled in", _element("FieldRef", field=part.name, mapMissingTo="0.0"))
        days = self._derive(
            f"{part.name}, days since 1970",
            _apply("floor", _apply("/", _reference(clock), _constant(MICROSECONDS_OF_A_DAY))),
        )
        for wave in part.waves:
            moved = _if_missing(part.name, _constant(0.0), _wave(wave, days if wave.whole_days else clock))
            self._add_number(self._derive(f"{part.name}, {wave.name}", moved), wave.weights)
        # 1970 began on a Thursday.
        weekday = _remainder(_apply("+", _reference(days), _constant(3.0)), 7.0)
        number = self._derive(
            f"{part.name}, number of the weekday",
            _if_missing(part.name, _constant(len(part.weekdays)), weekday),
        )
        weekdays = {**part.weekdays, "(missing)": part.missing}
        bins = _element("Discretize", field=number)
        for place, day in enumerate(weekdays):
            within = _inside(bins, "DiscretizeBin", binValue=day)
            _inside(
                within, "Interval", closure="closedOpen", leftMargin=repr(place - 0.5), rightMargin=repr(place + 0.5)
            )
        name = self._derive(f"{part.name}, weekday", bins, optype="categorical", data_type="string")
        self._add_categories(name, weekdays)

    def target_field(self) -> ET.Element:
        """What is predicted, in the dictionary of the fields."""
        if self._function.problem == "regression":
            return _element("DataField", name=self._target, optype="continuous", dataType="double")
        field = _element("DataField", name=self._target, optype="categorical", dataType="string")
        for category in self._categories():
            _inside(field, "Value", value=category)
        return field

    def model(self) -> ET.Element:
        """The model with its fields, their transformations, the regression tables and the output."""
        regression = self._function.problem == "regression"
        link = {"binary_classification": "logit", "multiclass_classification": "softmax", "regression": "none"}
        model = ET.Element(
            "RegressionModel",
            functionName="regression" if regression else "classification",
            normalizationMethod=link[self._function.problem],
        )
        schema = _inside(model, "MiningSchema")
        schema.extend([*self._mining, _element("MiningField", name=self._target, usageType="target")])
        output = _inside(model, "Output")
        output.extend(self._answers())
        if self._derived:
            _inside(model, "LocalTransformations").extend(self._derived)
        for number, intercept in enumerate(self._function.intercepts):
            table = _inside(model, "RegressionTable", intercept=repr(intercept))
            if not regression:
                table.set("targetCategory", self._categories()[number])
            table.extend([*self._numeric[number], *self._categorical[number]])
        if self._function.problem == "binary_classification":
            _inside(model, "RegressionTable", intercept="0.0", targetCategory="0")
        return model

    def _categories(self) -> list[str]:
        if self._function.problem == "binary_classification":
            return ["1", "0"]
        return [str(name) for name in self._function.classes or ()]

    def _answers(self) -> Iterable[ET.Element]:
        if self._function.problem == "regression":
            yield _output(self._outputs[0], feature="predictedValue")
            return
        # Of two classes, the first is the positive one.
        for name, category in zip(self._outputs, self._categories(), strict=False):
            yield _output(name, feature="probability", value=category)

    def _field(self, name: str, optype: str, data_type: str) -> ET.Element:
        self.fields.append(_element("DataField", name=name, optype=optype, dataType=data_type))
        return self.fields[-1]

    def _input(self, name: str, **treatment: str) -> None:
        self._mining.append(_element("MiningField", name=name, usageType="active", **treatment))

    def _derive(self, name: str, expression: ET.Element, optype: str = "continuous", data_type: str = "double") -> str:
        field = _element("DerivedField", name=self._free(name), optype=optype, dataType=data_type)
        field.append(expression)
        self._derived.append(field)
        return field.attrib["name"]

    def _free(self, name: str) -> str:
        """The name, or one like it that no field has."""
        free = _word(name, self._taken)
        self._taken.add(free)
        return free

    def _add_missing(self, name: str, weights: Weights) -> None:
        """What being missing adds."""
        missing = _if_missing(name, _constant(1.0), _constant(0.0))
        self._add_number(self._derive(f"{name}, missing", missing), weights)

    def _add_number(self, name: str, weights: Weights) -> None:
        for predictors, weight in zip(self._numeric, weights, strict=True):
            predictors.append(_element("NumericPredictor", name=name, coefficient=repr(weight)))

    def _add_categories(self, name: str, values: dict[str, Weights]) -> None:
        for value, weights in values.items():
            for predictors, weight in zip(self._categorical, weights, strict=True):
                predictors.append(_element("CategoricalPredictor", name=name, value=value, coefficient=repr(weight)))


def _word(name: str, taken: Iterable[str]) -> str:
    """The word, with as many dashes behind it as it takes to be none of those."""
    known = set(taken)
    while name in known:
        name += "-"
    return name


def _wave(wave: Wave, clock: str) -> ET.Element:
    turn = _apply("/", _remainder(_reference(clock), wave.period), _constant(wave.period))
    return _apply(wave.wave, _apply("*", _constant(2 * math.pi), turn))


def _remainder(value: ET.Element, divisor: float) -> ET.Element:
    """`value - divisor * floor(value / divisor)`."""
    whole = _apply("floor", _apply("/", value, _constant(divisor)))
    return _apply("-", value, _apply("*", _constant(divisor), whole))


def _apply(function: str, *arguments: ET.Element) -> ET.Element:
    found = _element("Apply", function=function)
    found.extend(arguments)
    return found


def _if_missing(name: str, then: ET.Element, otherwise: ET.Element) -> ET.Element:
    return _apply("if", _apply("isMissing", _reference(name)), then, otherwise)


def _reference(name: str) -> ET.Element:
    return _element("FieldRef", field=name)


def _constant(value: float) -> ET.Element:
    found = _element("Constant", dataType="double")
    found.text = repr(float(value))
    return found


def _output(name: str, **result: str) -> ET.Element:
    return _element("OutputField", name=name, optype="continuous", dataType="double", **result)


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, attributes)


def _inside(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, attributes)
