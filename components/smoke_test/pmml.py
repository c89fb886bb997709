"""Reads a PMML document of a regression model and scores rows with it, so that it can be held against the SavedModel.

It follows the standard (https://dmg.org/pmml/v4-4-1/GeneralStructure.html) and knows nothing of who wrote the document.
It knows a part of the standard only, and refuses what it does not know rather than guess:

==================  ===============================================================================================
model               one `RegressionModel`; `normalizationMethod` none, logit (two classes) or softmax
fields              continuous `float` and `double` with an `Interval`; categorical `string` and `boolean`
invalid values      returnInvalid, asMissing, asValue
expressions         `FieldRef`, `Constant`, `NormDiscrete`, `Discretize`, `Apply` of + - * / floor sin cos if isMissing
output              `probability` of a class, `predictedValue`
==================  ===============================================================================================

Columns are whole arrays: a missing number is NaN, a missing text has the code -1.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMESPACE = "{http://www.dmg.org/PMML-4_4}"


class UnknownPmmlError(Exception):
    """The document holds what this reader does not know, or does not follow the standard; the message says what."""


@dataclass(frozen=True)
class Texts:
    """A column of texts: distinct values, and for each row the position of its own; -1: missing."""

    values: tuple[str, ...]
    codes: NDArray[Any]


Column = Any
"""`Texts`, or an array of 64-bit floats."""


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
        UnknownPmmlError: It is not one that this reader knows.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_bytes()
        with _following_the_standard():
            document = ET.fromstring(text)
            if document.tag != f"{_NAMESPACE}PMML" or document.get("version") != "4.4":
                raise UnknownPmmlError("it is no document of PMML 4.4")
            _known(document, {"version"}, {"Header", "DataDictionary", "RegressionModel"})
            model = _only(document, "RegressionModel")
            _known(
                model,
                {"functionName", "normalizationMethod"},
                {"MiningSchema", "Output", "LocalTransformations", "RegressionTable"},
            )
            declared = [_declared(field) for field in _children(_only(document, "DataDictionary"), {"DataField"})]
            self._fields = _mining(_only(model, "MiningSchema"), {field.name: field for field in declared})
            self._derived = [
                _derived(field)
                for part in model.findall(f"{_NAMESPACE}LocalTransformations")
                for field in _children(part, {"DerivedField"})
            ]
            self._tables = [_table(table) for table in model.findall(f"{_NAMESPACE}RegressionTable")]
            self._link = _link(model, self._tables)
            outputs = _children(_only(model, "Output"), {"OutputField"})
            self._outputs = [_output(field, self._tables) for field in outputs]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what it answers."""
        return tuple(name for name, _ in self._outputs)

    def score(self, columns: Mapping[str, Column]) -> NDArray[Any]:
        """What it answers, [rows, outputs].

        Args:
            columns: Field → its values, as the document is given them.

        Raises:
            UnknownPmmlError: A field is not given, or a value is invalid where the document does not say what to do.
        """
        import numpy as np

        known: dict[str, Column] = {}
        with _following_the_standard():
            for field in self._fields:
                if field.name not in columns:
                    raise UnknownPmmlError(f"it takes a field {field.name!r}, which the rows do not have")
                known[field.name] = _treated(field, columns[field.name])
            for name, expression in self._derived:
                known[name] = expression(known)
            answers = self._link(np.stack([_value(table, known) for table in self._tables], axis=1))
            return np.stack([answers[:, position] for _, position in self._outputs], axis=1)


@contextmanager
def _following_the_standard() -> Iterator[None]:
    """Says of a document that is not even right what stands in the way."""
    try:
        yield
    except ET.ParseError as cause:
        raise UnknownPmmlError(f"it is not XML: {cause}") from cause
    except KeyError as cause:
        raise UnknownPmmlError(f"a field or an attribute is not there: {cause}") from cause
    except (ValueError, TypeError, AttributeError) as cause:
        raise UnknownPmmlError(f"it does not follow the standard: {cause}") from cause


def _declared(field: ET.Element) -> _Field:
    _known(field, {"name", "optype", "dataType"}, {"Interval", "Value"})
    kind = (field.get("optype", ""), field.get("dataType", ""))
    if kind not in (
        ("continuous", "float"),
        ("continuous", "double"),
        ("categorical", "string"),
        ("categorical", "boolean"),
    ):
        raise UnknownPmmlError(f"it has a field that is {' '.join(kind)}")
    intervals = field.findall(f"{_NAMESPACE}Interval")
    if len(intervals) > 1:
        raise UnknownPmmlError("it has a field with several intervals")
    values: dict[str, set[str]] = {"valid": set(), "missing": set()}
    for value in field.findall(f"{_NAMESPACE}Value"):
        _known(value, {"value", "property"}, set())
        listed = values.get(value.get("property", "valid"))
        if listed is None or (kind[0] == "continuous"):
            raise UnknownPmmlError(f"it has a value with the property {value.get('property', 'valid')!r}")
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
    for field in _children(schema, {"MiningField"}):
        _known(field, {"name", "usageType", "invalidValueTreatment", "invalidValueReplacement"}, set())
        usage, treatment = field.get("usageType", "active"), field.get("invalidValueTreatment", "returnInvalid")
        if usage not in ("active", "target") or treatment not in ("returnInvalid", "asMissing", "asValue"):
            raise UnknownPmmlError(f"it has a field whose use is {usage} {treatment}")
        if usage == "active":
            own = declared[field.attrib["name"]]
            replacement = field.get("invalidValueReplacement", "")
            found.append(_Field(**{**vars(own), "treatment": treatment, "replacement": replacement}))
    return found


def _treated(field: _Field, column: Column) -> Column:
    """The column once missing and invalid values are dealt with."""
    import numpy as np

    if isinstance(column, Texts) != (field.data_type in ("string", "boolean")):
        raise UnknownPmmlError(f"the field {field.name!r} is given values of another type")
    if not isinstance(column, Texts):
        numbers = np.asarray(column, dtype="float32" if field.data_type == "float" else "float64").astype("float64")
        if field.interval is None:
            return numbers
        low, high = field.interval
        wrong = ~np.isnan(numbers) & ~((numbers >= low) & (numbers <= high))
        if not wrong.any():
            return numbers
        if field.treatment != "asMissing":
            raise UnknownPmmlError(f"a number of {field.name!r} is out of bounds, and what then is {field.treatment}")
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
        raise UnknownPmmlError(f"the value {value!r} of {field.name!r} is invalid, and nothing stands in for it")
    if field.replacement not in values:
        values.append(field.replacement)
    return values.index(field.replacement)


Expression = Callable[[Mapping[str, Column]], Column]


def _derived(field: ET.Element) -> tuple[str, Expression]:
    _known(field, {"name", "optype", "dataType"}, None)
    kind = f"{field.get('optype')} {field.get('dataType')}"
    if len(field) != 1:
        raise UnknownPmmlError("it derives a field from several expressions")
    texts = field[0].tag == f"{_NAMESPACE}Discretize"
    if kind != ("categorical string" if texts else "continuous double"):
        raise UnknownPmmlError(f"it derives a field that is {kind}")
    return field.attrib["name"], _expression(field[0])


def _expression(element: ET.Element) -> Expression:
    match element.tag.removeprefix(_NAMESPACE):
        case "FieldRef":
            _known(element, {"field", "mapMissingTo"}, set())
            name = element.attrib["field"]
            return _filled(lambda known: known[name], element.get("mapMissingTo"))
        case "Constant":
            _known(element, {"dataType"}, set())
            if element.get("dataType") != "double":
                raise UnknownPmmlError("it has a constant that is no double")
            constant = float(element.text or "")
            return lambda known: constant
        case "NormDiscrete":
            return _norm_discrete(element)
        case "Discretize":
            return _discretize(element)
        case "Apply":
            return _apply(element)
        case other:
            raise UnknownPmmlError(f"it has an expression {other}")


def _filled(given: Expression, missing: str | None) -> Expression:
    if missing is None:
        return given
    import numpy as np

    value = float(missing)

    def filled(known: Mapping[str, Column]) -> Column:
        found = given(known)
        if isinstance(found, Texts):
            raise UnknownPmmlError("it replaces a missing text by a number")
        return np.where(np.isnan(found), value, found)

    return filled


def _norm_discrete(element: ET.Element) -> Expression:
    """1 where a text has a value, else 0; missing where it is missing."""
    import numpy as np

    _known(element, {"field", "value", "mapMissingTo"}, set())
    name, value = element.attrib["field"], element.attrib["value"]

    def normed(known: Mapping[str, Column]) -> Column:
        texts = known[name]
        return np.array([*(float(each == value) for each in texts.values), np.nan])[texts.codes]

    return _filled(normed, element.get("mapMissingTo"))


def _discretize(element: ET.Element) -> Expression:
    """A text for each interval; missing outside of all."""
    import numpy as np

    _known(element, {"field"}, {"DiscretizeBin"})
    name, bins = element.attrib["field"], []
    for each in _children(element, {"DiscretizeBin"}):
        _known(each, {"binValue"}, {"Interval"})
        bins.append((each.attrib["binValue"], *_interval(_only(each, "Interval"), "closedOpen")))

    def discretized(known: Mapping[str, Column]) -> Column:
        numbers = known[name]
        codes = np.full(len(numbers), -1)
        for place, (_, low, high) in enumerate(bins):
            codes[(numbers >= low) & (numbers < high)] = place
        return Texts(tuple(value for value, _, _ in bins), codes)

    return discretized


def _apply(element: ET.Element) -> Expression:
    import numpy as np

    _known(element, {"function"}, None)
    functions: dict[str, tuple[int, Callable[..., Any]]] = {
        "+": (2, np.add),
        "-": (2, np.subtract),
        "*": (2, np.multiply),
        "/": (2, np.divide),
        "floor": (1, np.floor),
        "sin": (1, np.sin),
        "cos": (1, np.cos),
        "if": (3, np.where),
        "isMissing": (1, lambda given: given.codes < 0 if isinstance(given, Texts) else np.isnan(given)),
    }
    name = element.attrib["function"]
    count, function = functions.get(name, (-1, np.where))
    if len(element) != count:
        raise UnknownPmmlError(f"it applies a function {name!r} to {len(element)} arguments")
    arguments = [_expression(child) for child in element]
    return lambda known: function(*(argument(known) for argument in arguments))


def _table(table: ET.Element) -> _Table:
    _known(table, {"intercept", "targetCategory"}, {"NumericPredictor", "CategoricalPredictor"})
    numbers: dict[str, float] = {}
    categories: dict[str, dict[str, float]] = {}
    for predictor in table:
        name = predictor.attrib["name"]
        if predictor.tag == f"{_NAMESPACE}NumericPredictor":
            _known(predictor, {"name", "coefficient"}, set())
            numbers[name] = numbers.get(name, 0.0) + float(predictor.attrib["coefficient"])
        else:
            _known(predictor, {"name", "value", "coefficient"}, set())
            categories.setdefault(name, {})[predictor.attrib["value"]] = float(predictor.attrib["coefficient"])
    return _Table(float(table.attrib["intercept"]), numbers, categories, table.get("targetCategory", ""))


def _value(table: _Table, known: Mapping[str, Column]) -> NDArray[Any]:
    """Intercept and what each field adds; of a category that is missing or not listed, nothing is added."""
    import numpy as np

    rows = max(len(column.codes if isinstance(column, Texts) else column) for column in known.values())
    total = np.full(rows, table.intercept)
    for name, weight in table.numbers.items():
        total += weight * known[name]
    for name, weights in table.categories.items():
        texts = known[name]
        total += np.array([*(weights.get(value, 0.0) for value in texts.values), 0.0])[texts.codes]
    return total


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
    raise UnknownPmmlError(f"it is a model of {kind[0]} by {kind[1]} with {len(tables)} tables")


def _output(field: ET.Element, tables: list[_Table]) -> tuple[str, int]:
    """Its name, and the number of the table whose answer it is."""
    _known(field, {"name", "optype", "dataType", "feature", "value"}, set())
    name, feature = field.attrib["name"], field.get("feature", "predictedValue")
    targets = [table.target for table in tables]
    if feature == "probability" and field.get("value") in targets:
        return name, targets.index(field.attrib["value"])
    if feature == "predictedValue" and len(tables) == 1:
        return name, 0
    raise UnknownPmmlError(f"it answers {name!r} with {feature} of {field.get('value')!r}")


def _interval(element: ET.Element, closure: str) -> tuple[float, float]:
    _known(element, {"closure", "leftMargin", "rightMargin"}, set())
    if element.get("closure") != closure:
        raise UnknownPmmlError(f"it has an interval that is {element.get('closure')}")
    return float(element.attrib["leftMargin"]), float(element.attrib["rightMargin"])


def _known(element: ET.Element, attributes: set[str], children: set[str] | None) -> None:
    """Refuses an element that has attributes or children other than those."""
    tag = element.tag.removeprefix(_NAMESPACE)
    if other := sorted(set(element.attrib) - attributes):
        raise UnknownPmmlError(f"it has an attribute {other[0]} of {tag}")
    if children is not None:
        _children(element, children)


def _children(element: ET.Element, allowed: Iterable[str]) -> list[ET.Element]:
    allowed = {f"{_NAMESPACE}{tag}" for tag in allowed}
    for child in element:
        if child.tag not in allowed:
            child_tag, tag = (each.tag.removeprefix(_NAMESPACE) for each in (child, element))
            raise UnknownPmmlError(f"it has an element {child_tag} in {tag}")
    return list(element)


def _only(element: ET.Element, tag: str) -> ET.Element:
    found = element.findall(f"{_NAMESPACE}{tag}")
    if len(found) != 1:
        raise UnknownPmmlError(f"it has {len(found)} elements {tag} where one stands")
    return found[0]
