"""Reads a PFA document of a linear model and scores rows with it, so that it can be held against the SavedModel.

It follows the standard (PFA 0.8, http://dmg.org/pfa/) and knows nothing of who wrote the document. It knows a part of
the standard only, and refuses what it does not know, and what is said twice, rather than guess:

==================  ===============================================================================================
document            `name`, `doc`, `metadata`, `input`, `output`, `cells`, `fcns`, `action`
input               a record of fields that are null, or a `double`, `long`, `boolean` or `string`
output              a `double`, or an array of them
cells               maps and arrays of arrays of `double`
fcns                of `double`, or null and `double`; they give a `double` or a `boolean`
expressions         names, true and false, numbers with a point, `string`, `value`, `new`, `let`, `do`, `if`,
                    `ifnotnull`, `attr`, `cell`, `a.sum` of `new`, the functions of `_library`
==================  ===============================================================================================

All rows are evaluated at once, and both branches of an `if`. What is the same in all rows is computed for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

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

Node = Any
"""A JSON value."""

_DOUBLES = {"type": "array", "items": "double"}


@dataclass(frozen=True)
class _Nullable:
    """What may be null: the values, of which those of `null` rows stand for nothing."""

    values: Value
    null: NDArray[Any]


@dataclass(frozen=True)
class _Cell:
    """Arrays of numbers, one per line, and a last line of NaN for what is not there; of a map, the line of each key."""

    lines: NDArray[Any]
    keys: dict[str, int] | None


Value = Any
"""`Texts`, `_Nullable`, `_Cell`, an array with a number or a truth for each row, or one with several numbers."""

Scope = Mapping[str, Value]
Expression = Callable[[Scope], Value]


class PfaDocument:
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
            _known(document, {"name", "input", "output", "action"}, {"doc", "metadata", "cells", "fcns"})
            self._fields = _fields(document["input"])
            if document["output"] not in ("double", _DOUBLES):
                raise UnknownDocumentError(f"it answers {_shown(document['output'])}")
            self._kind = "number" if document["output"] == "double" else "numbers"
            reader = _Reader(document.get("cells", {}), document.get("fcns", {}))
            *steps, answer = _listed(document["action"])
            self._steps = reader.steps(steps)
            self._answer = reader.expression(answer)
            # What the answer adds up, if it is a sum.
            self._added = [reader.expression(item) for item in _summed(answer) or ()]

    def answer(self, columns: Mapping[str, Column]) -> Answers:
        """What it answers.

        Args:
            columns: Field → its values, not none.

        Raises:
            UnknownDocumentError: A field is not given, or something is not of the type that it must be.
        """
        import numpy as np

        with following_the_standard():
            for name in self._fields:
                if name not in columns:
                    raise UnknownDocumentError(f"it takes a field {name!r}, which the rows do not have")
            given = {f"input.{name}": _nullable(name, kind, columns[name]) for name, kind in self._fields.items()}
            scope = self._steps(given)
            found = self._answer(scope)
            if _kind(found) != self._kind:
                raise UnknownDocumentError(f"it says that it answers a {self._kind}, and answers a {_kind(found)}")
            scores = found[:, None] if found.ndim == 1 else found
            added = np.abs(scores)
            if self._added:
                added = sum(np.abs(item(scope)) for item in self._added)[:, None]
            shape = (len(next(iter(columns.values()))), scores.shape[1])
            return Answers(np.broadcast_to(scores, shape), np.broadcast_to(added, shape))


def _parsed(text: bytes) -> Node:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as cause:
        raise UnknownDocumentError(f"it is not JSON: {cause}") from cause


def _object(pairs: list[tuple[str, Node]]) -> dict[str, Node]:
    refuse_twice("key", [name for name, _ in pairs])
    found = dict(pairs)
    if "@" in found:
        raise UnknownDocumentError("it has the key '@', which in PFA is no key but a note on where one is")
    return found


def _no_number(name: str) -> NoReturn:
    raise UnknownDocumentError(f"it has the number {name}, which JSON does not know")


def _known(node: Node, needed: Set[str], allowed: Set[str] = frozenset()) -> None:
    """Refuses what is no object, or one with other keys."""
    if not isinstance(node, dict) or needed - set(node):
        raise UnknownDocumentError(f"it has {_shown(node)} where {', '.join(sorted(needed))} stand")
    if other := sorted(set(node) - needed - allowed):
        raise UnknownDocumentError(f"it has {other[0]!r} beside {', '.join(sorted(needed))}")


def _listed(node: Node) -> list[Node]:
    """Where several may stand, one may stand alone."""
    return node if isinstance(node, list) else [node]


def _shown(node: Node) -> str:
    """The beginning of it."""
    text = json.dumps(node, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _fields(record: Node) -> dict[str, str]:
    """Field → type of what is not null."""
    _known(record, {"type", "name", "fields"})
    if record["type"] != "record":
        raise UnknownDocumentError(f"it takes {_shown(record)}")
    found = {}
    for field in record["fields"]:
        _known(field, {"name", "type"})
        if field["type"] not in [["null", kind] for kind in ("double", "long", "boolean", "string")]:
            raise UnknownDocumentError(f"it has a field that is {_shown(field['type'])}")
        found[field["name"]] = field["type"][1]
    refuse_twice("field", [field["name"] for field in record["fields"]])
    return found


def _nullable(name: str, kind: str, column: Column) -> _Nullable:
    """A column as a field has it."""
    import numpy as np

    if isinstance(column, Texts) != (kind in ("boolean", "string")):
        raise UnknownDocumentError(f"the field {name!r} is given values of another type")
    if isinstance(column, Numbers):
        values = np.where(column.missing, 0.0, column.values)
        if kind == "long" and not np.array_equal(values, np.floor(values)):
            raise UnknownDocumentError(f"the field {name!r} takes whole numbers, and is given others")
        return _Nullable(values, column.missing)
    # The last one stands where none is.
    if kind == "boolean":
        return _Nullable(
            np.array([*(value == "true" for value in column.values), False])[column.codes], column.codes < 0
        )
    null = column.codes < 0
    return _Nullable(Texts((*column.values, ""), np.where(null, len(column.values), column.codes)), null)


def _cell(cell: Node) -> _Cell:
    import numpy as np

    _known(cell, {"type", "init"})
    init, keys = cell["init"], None
    if cell["type"] == {"type": "map", "values": _DOUBLES}:
        keys = {key: line for line, key in enumerate(init)}
        init = list(init.values())
    elif cell["type"] != {"type": "array", "items": _DOUBLES}:
        raise UnknownDocumentError(f"it has a cell that is {_shown(cell['type'])}")
    lines = np.array([_doubles(line) for line in init])
    return _Cell(np.vstack([lines, np.full(lines.shape[1], np.nan)]), keys)


def _doubles(node: Node) -> list[float]:
    if not isinstance(node, list) or not all(type(number) in (int, float) for number in node):
        raise UnknownDocumentError(f"it has {_shown(node)} where an array of numbers stands")
    return [float(number) for number in node]


def _summed(node: Node) -> list[Node] | None:
    """The items that an expression adds up, if it does so."""
    match node:
        case {"a.sum": {"type": kind, "new": [_, *_] as items, **others}, **more}:
            return None if others or more or kind != _DOUBLES else items
    return None


@dataclass(frozen=True)
class _Function:
    """A function, and the kinds of its arguments."""

    takes: list[str]
    apply: Callable[..., Value]


class _Reader:
    """Turns expressions into functions of what the names stand for."""

    def __init__(self, cells: Node, functions: Node) -> None:
        self._cells = {name: _cell(cell) for name, cell in cells.items()}
        self._library = _library()
        self._functions = {f"u.{name}": self._function(function) for name, function in functions.items()}

    def steps(self, nodes: Sequence[Node]) -> Callable[[Scope], Scope]:
        """What gives names to values: from the names that are known to those and the new ones."""
        steps = []
        for node in nodes:
            _known(node, {"let"})
            steps.append({name: self.expression(value) for name, value in node["let"].items()})

        def taken(scope: Scope) -> Scope:
            for step in steps:
                scope = _with(scope, {name: value(scope) for name, value in step.items()})
            return scope

        return taken

    def expression(self, node: Node) -> Expression:
        """What a JSON value stands for."""
        import numpy as np

        if isinstance(node, str):
            return lambda scope: scope[node]
        if isinstance(node, bool | float):
            constant = np.array([node])
            return lambda scope: constant
        items = _summed(node)
        if items is not None:
            return self._sum(items)
        match node:
            case {"string": str(text), **more} if not more:
                return lambda scope: Texts((text,), np.zeros(1, "int64"))
            case {"type": kind, "value": value, **more} if kind == _DOUBLES and not more:
                numbers = np.array([_doubles(value)])
                return lambda scope: numbers
            case {"type": kind, "new": [_, *_] as items, **more} if kind == _DOUBLES and not more:
                return self._array(items)
            case {"do": body, **more} if not more:
                return self._do(body)
            case {"if": condition, "then": then, "else": otherwise, **more} if not more:
                return self._if(condition, then, otherwise)
            case {"ifnotnull": named, "then": then, "else": otherwise, **more} if not more:
                return self._if_not_null(named, then, otherwise)
            case {"attr": str(name), "path": [int(place)], **more} if place >= 0 and not more:
                return lambda scope: _of_kind("numbers", scope[name])[:, place]
            case {"cell": str(name), "path": [key], **more} if not more:
                return self._line(self._cells[name], key)
            case {"cell": str(name), "path": [key, int(place)], **more} if place >= 0 and not more:
                line = self._line(self._cells[name], key)
                return lambda scope: line(scope)[:, place]
            case {"cell": str(name), **more} if not more:
                cell = self._cells[name]
                return lambda scope: cell
        if isinstance(node, dict) and len(node) == 1:
            return self._call(*next(iter(node.items())))
        raise UnknownDocumentError(f"it has the expression {_shown(node)}")

    def _sum(self, items: list[Node]) -> Expression:
        summed = [self.expression(item) for item in items]
        return lambda scope: sum(_of_kind("number", item(scope)) for item in summed)

    def _array(self, items: list[Node]) -> Expression:
        import numpy as np

        held = [self.expression(item) for item in items]

        def made(scope: Scope) -> Value:
            return np.stack(np.broadcast_arrays(*(_of_kind("number", item(scope)) for item in held)), axis=1)

        return made

    def _do(self, body: Node) -> Expression:
        *first, last = _listed(body)
        steps, value = self.steps(first), self.expression(last)
        return lambda scope: value(steps(scope))

    def _if(self, condition: Node, then: Node, otherwise: Node) -> Expression:
        asked, yes, no = (self.expression(node) for node in (condition, then, otherwise))
        return lambda scope: _chosen(_of_kind("truth", asked(scope)), yes(scope), no(scope))

    def _if_not_null(self, named: dict[str, Node], then: Node, otherwise: Node) -> Expression:
        ((name, given),) = named.items()
        asked, yes, no = (self.expression(node) for node in (given, then, otherwise))

        def chosen(scope: Scope) -> Value:
            found = asked(scope)
            if not isinstance(found, _Nullable):
                raise UnknownDocumentError(f"it asks whether a {_kind(found)} is null")
            return _chosen(~found.null, yes(_with(scope, {name: found.values})), no(scope))

        return chosen

    def _line(self, cell: _Cell, key: Node) -> Expression:
        """Numbers of a cell."""
        import numpy as np

        asked, nowhere = self.expression(key), len(cell.lines) - 1

        def looked_up(scope: Scope) -> Value:
            if cell.keys is None:
                place = _of_kind("whole number", asked(scope))
                return cell.lines[np.where((place >= 0) & (place < nowhere), place, nowhere)]
            texts = _of_kind("text", asked(scope))
            return cell.lines[np.array([cell.keys.get(text, nowhere) for text in texts.values])[texts.codes]]

        return looked_up

    def _call(self, name: str, given: Node) -> Expression:
        """A function of the standard's library, or one of the document's own."""
        if not name.startswith("u.") and name not in self._library:
            raise UnknownDocumentError(f"it has the expression {name!r}")
        arguments = [self.expression(node) for node in _listed(given)]

        def called(scope: Scope) -> Value:
            function = self._library.get(name) or self._functions[name]
            values = [argument(scope) for argument in arguments]
            kinds = [_kind(value) for value in values]
            if kinds != function.takes:
                raise UnknownDocumentError(f"it applies the function {name!r} to: {', '.join(kinds)}")
            return function.apply(*values)

        return called

    def _function(self, node: Node) -> _Function:
        """One of the document's own, which sees its arguments alone."""
        _known(node, {"params", "ret", "do"})
        names: list[str] = []
        takes = []
        for parameter in node["params"]:
            ((name, kind),) = parameter.items()
            names.append(name)
            takes.append({'"double"': "number", '["null", "double"]': "number or null"}[json.dumps(kind)])
        body, result = self._do(node["do"]), {"double": "number", "boolean": "truth"}[node["ret"]]
        return _Function(
            takes, lambda *values: _of_kind(result, body(_with({}, dict(zip(names, values, strict=True)))))
        )


def _library() -> dict[str, _Function]:
    """Functions of the standard's library."""
    import numpy as np

    one, two = ["number"], ["number", "number"]
    return {
        "+": _Function(two, np.add),
        "-": _Function(two, np.subtract),
        "*": _Function(two, np.multiply),
        "/": _Function(two, np.divide),
        # Of the sign of the divisor.
        "%": _Function(two, np.mod),
        "max": _Function(two, np.maximum),
        "<=": _Function(two, np.less_equal),
        "&&": _Function(["truth", "truth"], np.logical_and),
        "!": _Function(["truth"], np.logical_not),
        "m.abs": _Function(one, np.abs),
        "m.floor": _Function(one, np.floor),
        "m.sin": _Function(one, np.sin),
        "m.cos": _Function(one, np.cos),
        "m.link.logit": _Function(one, lambda number: 1 / (1 + _exponential(-number))),
        "m.link.softmax": _Function(["numbers"], _softmax),
        "a.max": _Function(["numbers"], lambda numbers: numbers.max(axis=1)),
        "impute.isnan": _Function(one, np.isnan),
        "cast.double": _Function(one, lambda number: number),
        "cast.int": _Function(one, _whole),
        "s.concat": _Function(["text", "text"], _concatenated),
        "map.containsKey": _Function(["map", "text"], _contains),
    }


def _exponential(numbers: NDArray[Any]) -> Value:
    """NaN where it is beyond all numbers, since that stops some engines."""
    import numpy as np

    powers = np.exp(numbers)
    return np.where(np.isinf(powers), np.nan, powers)


def _softmax(numbers: NDArray[Any]) -> Value:
    powers = _exponential(numbers)
    return powers / powers.sum(axis=1, keepdims=True)


def _whole(numbers: NDArray[Any]) -> Value:
    import numpy as np

    if not np.array_equal(numbers, np.floor(numbers)):
        raise UnknownDocumentError("it makes whole numbers of others, and engines differ in how they do that")
    return numbers.astype("int64")


def _concatenated(first: Texts, second: Texts) -> Texts:
    import numpy as np

    if min(len(first.values), len(second.values)) > 1:
        raise UnknownDocumentError("it joins two texts of which neither is the same in all rows")
    pairs = [f"{before}{after}" for before in first.values for after in second.values]
    return Texts(tuple(pairs), np.asarray(first.codes * len(second.values) + second.codes))


def _contains(cell: _Cell, texts: Texts) -> Value:
    import numpy as np

    keys = cell.keys or {}
    return np.array([text in keys for text in texts.values], dtype=bool)[texts.codes]


def _with(scope: Scope, names: Scope) -> Scope:
    """The names that are known and new ones."""
    refuse_twice("value", [*scope, *names])
    return {**scope, **names}


def _chosen(truth: NDArray[Any], yes: Value, no: Value) -> Value:
    """The one where it is true, the other where it is not."""
    import numpy as np

    kind = _kind(yes)
    if kind != _kind(no) or kind not in ("number", "truth", "numbers", "text"):
        raise UnknownDocumentError(f"it chooses between a {kind} and a {_kind(no)}")
    if kind == "text":
        return Texts((*yes.values, *no.values), np.where(truth, yes.codes, no.codes + len(yes.values)))
    return np.where(truth[:, None] if kind == "numbers" else truth, yes, no)


def _kind(value: Value) -> str:
    if isinstance(value, Texts):
        return "text"
    if isinstance(value, _Nullable):
        return f"{_kind(value.values)} or null"
    if isinstance(value, _Cell):
        return "array" if value.keys is None else "map"
    if value.ndim > 1:
        return "numbers"
    return {"b": "truth", "i": "whole number"}.get(value.dtype.kind, "number")


def _of_kind(kind: str, value: Value) -> Value:
    if _kind(value) != kind:
        raise UnknownDocumentError(f"it has a {_kind(value)} where a {kind} stands")
    return value
