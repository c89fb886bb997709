"""Reads a PMML document of a regression model and scores rows with it, so that it can be held against the SavedModel.

It follows the standard (https://dmg.org/pmml/v4-4-1/GeneralStructure.html) and knows nothing of who wrote the document.
It knows a part of the standard only, and refuses what it does not know, and what is said twice, rather than guess:

==================  ===============================================================================================
model               one `RegressionModel`; `normalizationMethod` none, logit (two classes) or softmax
fields              continuous `float` and `double` with an `Interval`; categorical `string` and `boolean`
invalid values      returnInvalid, asMissing, asValue
expressions         `FieldRef`, `Constant`, `NormDiscrete`, `Discretize`, `Apply` of + - * / floor sin cos if isMissing
output              `probability` of a class, `predictedValue`
==================  ===============================================================================================

Columns are whole arrays: a missing number is NaN, a missing text has the code -1. Entities are refused with the
`<!DOCTYPE` that declares them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.smoke_test.documents import (
    Answers,
    Column,
    Numbers,
    Texts,
    UnknownDocumentError,
    following_the_standard,
    refuse_twice,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMESPACE = "{http://www.dmg.org/PMML-4_4}"

Values = Any
"""`Texts`, or an array of 64-bit floats in which NaN is missing."""


@dataclass(frozen=True)
class _Field:
    """A field of the data dictionary, and what becomes of values that are not valid."""

    name: str
    data_type: str
    interval: tuple[float, float] | None
    valid: frozenset[str]
    missing: frozenset[str]
    treatment: str = "returnInvalid"
    replacement: str = ""


@dataclass(frozen=True)
class _Table:
    """A regression table: field → weight, and field → value → weight."""

    intercept: float
    numbers: dict[str, float]
    categories: dict[str, dict[str, float]]
    target: str


class PmmlDocument:
    """A document that scores rows.

    Args:
        path: The file.

    Raises:
        UnknownDocumentError: It is not one that this reader knows.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_bytes()
        with following_the_standard():
            document = _parsed(text)
            if document.tag != f"{_NAMESPACE}PMML" or document.get("version") != "4.4":
                raise UnknownDocumentError("it is no document of PMML 4.4")
            _known(document, {"version"}, {"Header", "DataDictionary", "RegressionModel"})
            model = _only(document, "RegressionModel")
            _known(
                model,
                {"functionName", "normalizationMethod"},
                {"MiningSchema", "Output", "LocalTransformations", "RegressionTable"},
            )
            declared = [_declared(field) for field in _known(_only(document, "DataDictionary"), set(), {"DataField"})]
            self._fields = _mining(_only(model, "MiningSchema"), {field.name: field for field in declared})
            transformations = model.findall(f"{_NAMESPACE}LocalTransformations")
            self._derived = [
                _derived(field) for part in transformations for field in _known(part, set(), {"DerivedField"})
            ]
            self._tables = [_table(table) for table in model.findall(f"{_NAMESPACE}RegressionTable")]
            refuse_twice("table for", [table.target for table in self._tables])
            self._link = _link(model, self._tables)
            self._is_sum = model.get("functionName") == "regression"
            outputs = _known(_only(model, "Output"), set(), {"OutputField"})
            self._outputs = [_output(field, self._tables) for field in outputs]
            names = [*(field.name for field in declared), *(name for name, _ in self._derived), *self.outputs]
            refuse_twice("field", names)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it answers."""
        return tuple(name for name, _ in self._outputs)

    def answer(self, columns: Mapping[str, Column]) -> Answers:
        """What it answers.

        Args:
            columns: Field → its values, not none.

        Raises:
            UnknownDocumentError: A field is not given, or a value is invalid where the document does not say what to
                do.
        """
        import numpy as np

        known: dict[str, Values] = {}
        rows = len(next(iter(columns.values())))
        with following_the_standard():
            for field in self._fields:
                if field.name not in columns:
                    raise UnknownDocumentError(f"it takes a field {field.name!r}, which the rows do not have")
                known[field.name] = _treated(field, columns[field.name])
            for name, expression in self._derived:
                known[name] = expression(known)
            sums = [_sum(table, known, rows) for table in self._tables]
            scores = self._link(np.stack([value for value, _ in sums], axis=1))
            added = np.stack([size for _, size in sums], axis=1) if self._is_sum else np.abs(scores)
            places = [position for _, position in self._outputs]
            return Answers(scores[:, places], added[:, places])


class _WithoutDoctype(ET.TreeBuilder):
    """Entities could stand for anything, and for very much of it."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise UnknownDocumentError("it has a <!DOCTYPE")


def _parsed(text: bytes) -> ET.Element:
    try:
        return ET.fromstring(text, ET.XMLParser(target=_WithoutDoctype()))
    except ET.ParseError as cause:
        raise UnknownDocumentError(f"it is not XML: {cause}") from cause


def _declared(field: ET.Element) -> _Field:
    _known(field, {"name", "optype", "dataType"}, {"Interval", "Value"})
    kind = (field.get("optype", ""), field.get("dataType", ""))
    if kind not in (
        ("continuous", "float"),
        ("continuous", "double"),
        ("categorical", "string"),
        ("categorical", "boolean"),
    ):
        raise UnknownDocumentError(f"it has a field that is {' '.join(kind)}")
    intervals = field.findall(f"{_NAMESPACE}Interval")
    if len(intervals) > 1:
        raise UnknownDocumentError("it has a field with several intervals")
    values: dict[str, set[str]] = {"valid": set(), "missing": set()}
    listed_values = field.findall(f"{_NAMESPACE}Value")
    refuse_twice("value", [value.attrib["value"] for value in listed_values])
    for value in listed_values:
        _known(value, {"value", "property"}, set())
        listed = values.get(value.get("property", "valid"))
        if listed is None or (kind[0] == "continuous"):
            raise UnknownDocumentError(f"it has a value with the property {value.get('property', 'valid')!r}")
        listed.add(value.attrib["value"])
    return _Field(
        name=field.attrib["name"],
        data_type=kind[1],
        interval=_interval(intervals[0], "closedClosed") if intervals else None,
        valid=frozenset(values["valid"]),
        missing=frozenset(values["missing"]),
    )


def _mining(schema: ET.Element, declared: Mapping[str, _Field]) -> list[_Field]:
    """The active fields."""
    found = []
    fields = _known(schema, set(), {"MiningField"})
    refuse_twice("use of the field", [field.attrib["name"] for field in fields])
    for field in fields:
        _known(field, {"name", "usageType", "invalidValueTreatment", "invalidValueReplacement"}, set())
        own = declared[field.attrib["name"]]
        usage, treatment = field.get("usageType", "active"), field.get("invalidValueTreatment", "returnInvalid")
        if usage not in ("active", "target") or treatment not in ("returnInvalid", "asMissing", "asValue"):
            raise UnknownDocumentError(f"it has a field whose use is {usage} {treatment}")
        if usage == "active":
            replacement = field.get("invalidValueReplacement", "")
            found.append(_Field(**{**vars(own), "treatment": treatment, "replacement": replacement}))
    return found


def _treated(field: _Field, column: Column) -> Values:
    """The column once missing and invalid values are dealt with."""
    import numpy as np

    if isinstance(column, Texts) != (field.data_type in ("string", "boolean")):
        raise UnknownDocumentError(f"the field {field.name!r} is given values of another type")
    if isinstance(column, Numbers):
        numbers = column.values.astype("float32" if field.data_type == "float" else "float64").astype("float64")
        if field.interval is None:
            return numbers
        low, high = field.interval
        wrong = ~np.isnan(numbers) & ~((numbers >= low) & (numbers <= high))
        if not wrong.any():
            return numbers
        if field.treatment != "asMissing":
            raise UnknownDocumentError(
                f"a number of {field.name!r} is out of bounds, and what then is {field.treatment}"
            )
        return np.where(wrong, np.nan, numbers)
    valid = field.valid or (frozenset({"true", "false"}) if field.data_type == "boolean" else None)
    values, places = list(column.values), np.arange(len(column.values) + 1)
    places[-1] = -1
    for place, value in enumerate(column.values):
        if value in field.missing:
            places[place] = -1
        elif valid is not None and value not in valid:
            places[place] = _replaced(field, value, values)
    return Texts(tuple(values), places[column.codes])


def _replaced(field: _Field, value: str, values: list[str]) -> int:
    """The position of what stands in for an invalid value."""
    if field.treatment == "asMissing":
        return -1
    if field.treatment != "asValue":
        raise UnknownDocumentError(f"the value {value!r} of {field.name!r} is invalid, and nothing stands in for it")
    if field.replacement not in values:
        values.append(field.replacement)
    return values.index(field.replacement)


Expression = Callable[[Mapping[str, Values]], Values]


def _derived(field: ET.Element) -> tuple[str, Expression]:
    _known(field, {"name", "optype", "dataType"}, None)
    kind = f"{field.get('optype')} {field.get('dataType')}"
    if len(field) != 1:
        raise UnknownDocumentError("it derives a field from several expressions")
    texts = field[0].tag == f"{_NAMESPACE}Discretize"
    if kind != ("categorical string" if texts else "continuous double"):
        raise UnknownDocumentError(f"it derives a field that is {kind}")
    return field.attrib["name"], _expression(field[0])


def _expression(element: ET.Element) -> Expression:
    match element.tag.removeprefix(_NAMESPACE):
        case "FieldRef":
            _known(element, {"field", "mapMissingTo"}, set())
            name = element.attrib["field"]
            return _filled(lambda known: known[name], element.get("mapMissingTo"))
        case "Constant":
            _known(element, {"dataType"}, set(), text=True)
            if element.get("dataType") != "double":
                raise UnknownDocumentError("it has a constant that is no double")
            constant = float(element.text or "")
            return lambda known: constant
        case "NormDiscrete":
            return _norm_discrete(element)
        case "Discretize":
            return _discretize(element)
        case "Apply":
            return _apply(element)
        case other:
            raise UnknownDocumentError(f"it has an expression {other}")


def _filled(given: Expression, missing: str | None) -> Expression:
    if missing is None:
        return given
    import numpy as np

    value = float(missing)

    def filled(known: Mapping[str, Values]) -> Values:
        found = given(known)
        if isinstance(found, Texts):
            raise UnknownDocumentError("it replaces a missing text by a number")
        return np.where(np.isnan(found), value, found)

    return filled


def _norm_discrete(element: ET.Element) -> Expression:
    """1 where a text has a value, else 0; missing where it is missing."""
    import numpy as np

    _known(element, {"field", "value", "mapMissingTo"}, set())
    name, value = element.attrib["field"], element.attrib["value"]

    def normed(known: Mapping[str, Values]) -> Values:
        texts = known[name]
        return np.array([*(float(each == value) for each in texts.values), np.nan])[texts.codes]

    return _filled(normed, element.get("mapMissingTo"))


def _discretize(element: ET.Element) -> Expression:
    """A text for each interval; missing outside of all."""
    import numpy as np

    name, bins = element.attrib["field"], []
    for each in _known(element, {"field"}, {"DiscretizeBin"}):
        _known(each, {"binValue"}, {"Interval"})
        bins.append((each.attrib["binValue"], *_interval(_only(each, "Interval"), "closedOpen")))
    in_order = sorted(bins, key=lambda each: each[1:])
    if any(high > low for (_, _, high), (_, low, _) in pairwise(in_order)):
        raise UnknownDocumentError(f"it has bins of {name!r} that lie on each other")

    def discretized(known: Mapping[str, Values]) -> Values:
        numbers = known[name]
        codes = np.full(len(numbers), -1)
        for place, (_, low, high) in enumerate(bins):
            codes[(numbers >= low) & (numbers < high)] = place
        return Texts(tuple(value for value, _, _ in bins), codes)

    return discretized


def _apply(element: ET.Element) -> Expression:
    import numpy as np

    _known(element, {"function"}, None)
    number, truth = ("number",), ("truth",)
    functions: dict[str, tuple[tuple[tuple[str, ...], ...], Callable[..., Any]]] = {
        "+": ((number, number), np.add),
        "-": ((number, number), np.subtract),
        "*": ((number, number), np.multiply),
        "/": ((number, number), np.divide),
        "floor": ((number,), np.floor),
        "sin": ((number,), np.sin),
        "cos": ((number,), np.cos),
        "if": ((truth, number, number), np.where),
        "isMissing": ((("number", "text"),), _is_missing),
    }
    name = element.attrib["function"]
    kinds, function = functions.get(name, ((), np.where))
    if not kinds or len(element) != len(kinds):
        raise UnknownDocumentError(f"it applies a function {name!r} to {len(element)} arguments")
    arguments = [_expression(child) for child in element]

    def applied(known: Mapping[str, Values]) -> Values:
        values = [argument(known) for argument in arguments]
        for value, kind in zip(values, kinds, strict=True):
            if _kind(value) not in kind:
                raise UnknownDocumentError(f"it applies the function {name!r} to a {_kind(value)}")
        return function(*values)

    return applied


def _kind(value: Values) -> str:
    import numpy as np

    if isinstance(value, Texts):
        return "text"
    return "truth" if np.asarray(value).dtype == bool else "number"


def _is_missing(value: Values) -> Values:
    import numpy as np

    return value.codes < 0 if isinstance(value, Texts) else np.isnan(value)


def _table(table: ET.Element) -> _Table:
    _known(table, {"intercept", "targetCategory"}, {"NumericPredictor", "CategoricalPredictor"})
    numbers: dict[str, float] = {}
    categories: dict[str, dict[str, float]] = {}
    for predictor in table:
        name, weight = predictor.attrib["name"], float(predictor.attrib["coefficient"])
        if predictor.tag == f"{_NAMESPACE}NumericPredictor":
            _known(predictor, {"name", "coefficient"}, set())
            weights, key = numbers, name
        else:
            _known(predictor, {"name", "value", "coefficient"}, set())
            weights, key = categories.setdefault(name, {}), predictor.attrib["value"]
        if key in weights:
            raise UnknownDocumentError(f"it has two weights of {key!r} in the field {name!r}")
        weights[key] = weight
    return _Table(float(table.attrib["intercept"]), numbers, categories, table.get("targetCategory", ""))


def _sum(table: _Table, known: Mapping[str, Values], rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Intercept and what each field adds, and the sum of their absolute values.

    Of a category that is missing or not listed, nothing is added.
    """
    import numpy as np

    total, size = np.full(rows, table.intercept), np.full(rows, abs(table.intercept))
    for name, weight in table.numbers.items():
        if _kind(known[name]) != "number":
            raise UnknownDocumentError(f"it multiplies the {_kind(known[name])} {name!r}")
        total += weight * known[name]
        size += np.abs(weight * known[name])
    for name, weights in table.categories.items():
        texts = known[name]
        added = np.array([*(weights.get(value, 0.0) for value in texts.values), 0.0])[texts.codes]
        total += added
        size += np.abs(added)
    return total, size


def _link(model: ET.Element, tables: list[_Table]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """From the tables' values to the model's answers, one column per table."""
    import numpy as np

    kind = (model.get("functionName"), model.get("normalizationMethod", "none"))
    if kind == ("regression", "none") and len(tables) == 1:
        return lambda values: values
    if kind == ("classification", "logit") and len(tables) == 2:

        def logit(values: NDArray[Any]) -> NDArray[Any]:
            first = 1 / (1 + np.exp(-values[:, 0]))
            return np.stack([first, 1 - first], axis=1)

        return logit
    if kind == ("classification", "softmax") and tables:

        def softmax(values: NDArray[Any]) -> NDArray[Any]:
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))

        return softmax
    raise UnknownDocumentError(f"it is a model of {kind[0]} by {kind[1]} with {len(tables)} tables")


def _output(field: ET.Element, tables: list[_Table]) -> tuple[str, int]:
    """Its name, and the number of the table whose answer it is."""
    _known(field, {"name", "optype", "dataType", "feature", "value"}, set())
    if (field.get("optype"), field.get("dataType")) != ("continuous", "double"):
        raise UnknownDocumentError(f"it answers what is {field.get('optype')} {field.get('dataType')}")
    name, feature = field.attrib["name"], field.get("feature", "predictedValue")
    targets = [table.target for table in tables]
    if feature == "probability" and field.get("value") in targets:
        return name, targets.index(field.attrib["value"])
    if feature == "predictedValue" and len(tables) == 1:
        return name, 0
    raise UnknownDocumentError(f"it answers {name!r} with {feature} of {field.get('value')!r}")


def _interval(element: ET.Element, closure: str) -> tuple[float, float]:
    _known(element, {"closure", "leftMargin", "rightMargin"}, set())
    if element.get("closure") != closure:
        raise UnknownDocumentError(f"it has an interval that is {element.get('closure')}")
    return float(element.attrib["leftMargin"]), float(element.attrib["rightMargin"])


def _known(
    element: ET.Element, attributes: set[str], children: set[str] | None, *, text: bool = False
) -> list[ET.Element]:
    """The children of an element that has no attributes and children but those.

    Args:
        children: Their tags; None: any.
        text: Whether it holds a text.
    """
    tag = element.tag.removeprefix(_NAMESPACE)
    if other := sorted(set(element.attrib) - attributes):
        raise UnknownDocumentError(f"it has an attribute {other[0]} of {tag}")
    texts = ["" if text else element.text or "", *(child.tail or "" for child in element)]
    if stray := "".join(texts).strip():
        raise UnknownDocumentError(f"it has a text {stray[:20]!r} in {tag}")
    for child in element:
        if children is not None and child.tag not in {f"{_NAMESPACE}{each}" for each in children}:
            raise UnknownDocumentError(f"it has an element {child.tag.removeprefix(_NAMESPACE)} in {tag}")
    return list(element)


def _only(element: ET.Element, tag: str) -> ET.Element:
    found = element.findall(f"{_NAMESPACE}{tag}")
    if len(found) != 1:
        raise UnknownDocumentError(f"it has {len(found)} elements {tag} where one stands")
    return found[0]
