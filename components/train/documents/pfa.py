"""A linear model as PFA (Portable Format for Analytics 0.8, http://dmg.org/pfa/), in JSON.

The document takes a record whose fields are the arguments of the SavedModel's signature, since names in PFA are
identifiers: numbers, booleans, texts, and moments as microseconds since 1970 in UTC; null is missing. `metadata` says
which column each of them is. It answers a number, or an array of numbers, one per class.
"""

from __future__ import annotations

import json
import math
from typing import Any

from components.train.documents.served_function import (
    LARGEST_NUMBER,
    MICROSECONDS_OF_A_DAY,
    ROUNDS_TO_32_BITS,
    CategoryPart,
    MomentPart,
    NumberPart,
    ServedFunction,
    Weights,
)

Expression = Any
"""A JSON value that PFA evaluates."""

_NUMBERS = {"type": "array", "items": "double"}

_KEY = "="
"""Stands before each category where it is the key of a map: `@` alone is in PFA no key but a note on where one is."""

_FARTHEST = -600.0
"""Where a probability is zero to any number of digits that matter, and its reciprocal still a number."""


def to_pfa(function: ServedFunction) -> bytes:
    """The document, UTF-8."""
    writer = _Writer(function)
    for part in function.parts:
        match part:
            case NumberPart():
                writer.number(part)
            case CategoryPart():
                writer.category(part)
            case MomentPart():
                writer.moment(part)
    score = writer.score()
    document = {
        "name": "Linear",
        "doc": "The same function as the SavedModel beside it.",
        "metadata": {f"column of {argument}": name for name, argument in function.arguments.items()},
        "input": {"type": "record", "name": "Row", "fields": writer.fields},
        "output": _NUMBERS if function.problem == "multiclass_classification" else "double",
        "cells": writer.cells,
        "fcns": _FUNCTIONS,
        "action": [*writer.steps, score],
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"


_FUNCTIONS = {
    "rounded": {
        "params": [{"value": "double"}],
        "ret": "double",
        "do": [
            {"let": {"scaled": {"*": ["value", ROUNDS_TO_32_BITS]}}},
            {"-": ["scaled", {"-": ["scaled", "value"]}]},
        ],
    },
    "known": {
        "params": [{"given": ["null", "double"]}],
        "ret": "boolean",
        "do": {
            "ifnotnull": {"value": "given"},
            "then": {"&&": [{"!": {"impute.isnan": "value"}}, {"<=": [{"m.abs": "value"}, LARGEST_NUMBER]}]},
            "else": False,
        },
    },
    "filled": {
        "params": [{"given": ["null", "double"]}, {"otherwise": "double"}],
        "ret": "double",
        "do": {
            "if": {"u.known": "given"},
            "then": {"ifnotnull": {"value": "given"}, "then": {"u.rounded": "value"}, "else": "otherwise"},
            "else": "otherwise",
        },
    },
}


class _Writer:
    """Gathers fields, weights and steps, feature by feature."""

    def __init__(self, function: ServedFunction) -> None:
        self._function = function
        self.fields: list[dict[str, Any]] = []
        self.cells: dict[str, Any] = {}
        self.steps: list[Expression] = []
        self._sums: list[list[Expression]] = [[weight] for weight in function.intercepts]

    def number(self, part: NumberPart) -> None:
        """A number or a boolean, and whether it is missing."""
        argument, given = self._field(part.name, "double" if part.kind == "numeric" else "boolean")
        if part.kind == "numeric":
            value: Expression = {"u.filled": [given, part.missing_as]}
            missing: Expression = {"if": {"u.known": given}, "then": 0.0, "else": 1.0}
        else:
            truth = {"if": "value", "then": 1.0, "else": 0.0}
            value = {"ifnotnull": {"value": given}, "then": truth, "else": part.missing_as}
            missing = {"ifnotnull": {"value": given}, "then": 0.0, "else": 1.0}
        self._add_product(f"value_{argument}", value, part.weights)
        if part.missing_adds is not None:
            self._add_product(f"missing_{argument}", missing, part.missing_adds)

    def category(self, part: CategoryPart) -> None:
        """A text: the weights of an empty one stand for those that are missing; keys of the map: see `_KEY`."""
        argument, given = self._field(part.name, "string")
        weights = {"": part.other if part.missing is None else part.missing, **part.values}
        init = {f"{_KEY}{value}": added for value, added in weights.items()}
        self.cells[argument] = {"type": {"type": "map", "values": _NUMBERS}, "init": init}
        text = {"ifnotnull": {"value": given}, "then": "value", "else": {"string": ""}}
        self._let(f"key_{argument}", {"s.concat": [{"string": _KEY}, text]})
        found = {
            "if": {"map.containsKey": [{"cell": argument}, f"key_{argument}"]},
            "then": {"cell": argument, "path": [f"key_{argument}"]},
            "else": _literal(part.other),
        }
        self._add_vector(f"value_{argument}", found)

    def moment(self, part: MomentPart) -> None:
        """A moment: waves of the clock and of the calendar, and the weekday."""
        argument, given = self._field(part.name, "long")
        self.cells[argument] = {
            "type": {"type": "array", "items": _NUMBERS},
            "init": list(part.weekdays.values()),
        }
        days = {"m.floor": {"/": ["clock", float(MICROSECONDS_OF_A_DAY)]}}
        waves = {
            f"wave_{number}": {
                f"m.{wave.wave}": {
                    "*": [
                        2 * math.pi,
                        {"/": [{"%": ["days" if wave.whole_days else "clock", wave.period]}, wave.period]},
                    ]
                }
            }
            for number, wave in enumerate(part.waves)
        }
        # 1970 began on a Thursday.
        weekday = {"cast.int": {"%": [{"+": ["days", 3.0]}, 7.0]}}
        sums = [
            _sum(
                [
                    {"cell": argument, "path": ["weekday", output]},
                    *({"*": [wave.weights[output], name]} for name, wave in zip(waves, part.waves, strict=True)),
                ]
            )
            for output in range(len(self._sums))
        ]
        steps = [
            {"let": {"clock": {"cast.double": "value"}}},
            {"let": {"days": days}},
            {"let": {**waves, "weekday": weekday}},
            {"type": _NUMBERS, "new": sums},
        ]
        found = {"ifnotnull": {"value": given}, "then": {"do": steps}, "else": _literal(part.missing)}
        self._add_vector(f"value_{argument}", found)

    def score(self) -> Expression:
        """What the document answers. Far from zero, the links of the standard's library overflow: see `_FARTHEST`."""
        totals = [_sum(added) for added in self._sums]
        match self._function.problem:
            case "regression":
                return totals[0]
            case "binary_classification":
                return {"m.link.logit": {"max": [totals[0], _FARTHEST]}}
            case "multiclass_classification":
                self._let("totals", {"type": _NUMBERS, "new": totals})
                self._let("largest", {"a.max": "totals"})
                below = [
                    {"max": [{"-": [{"attr": "totals", "path": [k]}, "largest"]}, _FARTHEST]}
                    for k in range(len(totals))
                ]
                return {"m.link.softmax": {"type": _NUMBERS, "new": below}}

    def _field(self, name: str, kind: str) -> tuple[str, str]:
        """The argument of a feature, and the expression for its value."""
        argument = self._function.arguments[name]
        self.fields.append({"name": argument, "type": ["null", kind]})
        return argument, f"input.{argument}"

    def _let(self, name: str, value: Expression) -> None:
        self.steps.append({"let": {name: value}})

    def _add_product(self, name: str, value: Expression, weights: Weights) -> None:
        self._let(name, value)
        for added, weight in zip(self._sums, weights, strict=True):
            added.append({"*": [weight, name]})

    def _add_vector(self, name: str, value: Expression) -> None:
        self._let(name, value)
        for output, added in enumerate(self._sums):
            added.append({"attr": name, "path": [output]})


def _literal(weights: Weights) -> Expression:
    return {"type": _NUMBERS, "value": list(weights)}


def _sum(added: list[Expression]) -> Expression:
    return {"a.sum": {"type": _NUMBERS, "new": added}}
