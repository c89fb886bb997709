"""How the twin of the KFP API server filters, sorts and pages: the rules of the real one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

Record = dict[str, Any]
Columns = Mapping[str, Callable[[Record], Any]]

DEFAULT_PAGE, LARGEST_PAGE = 20, 200
_SCALARS = {
    "EQUALS": lambda found, wanted: found == wanted,
    "NOT_EQUALS": lambda found, wanted: found != wanted,
    "GREATER_THAN": lambda found, wanted: found > wanted,
    "GREATER_THAN_EQUALS": lambda found, wanted: found >= wanted,
    "LESS_THAN": lambda found, wanted: found < wanted,
    "LESS_THAN_EQUALS": lambda found, wanted: found <= wanted,
}
_NUMBERS = {1: "EQUALS", 2: "NOT_EQUALS", 3: "GREATER_THAN", 5: "GREATER_THAN_EQUALS", 6: "LESS_THAN"}
_NUMBERS |= {7: "LESS_THAN_EQUALS", 8: "IN", 9: "IS_SUBSTRING"}
_VALUES = ("int_value", "long_value", "string_value", "timestamp_value")
_LISTS = ("int_values", "long_values", "string_values")
_OLD_NAMES = {name.split("_")[0] + name.split("_")[1].capitalize(): name for name in (*_VALUES, *_LISTS)}


class ListingError(Exception):
    """What the server calls an invalid argument."""


def page(records: Sequence[Record], columns: Columns, query: Mapping[str, str], key: str) -> tuple[list[Record], str]:
    """One page of the records that match, and the token of the next one.

    Args:
        columns: What may be filtered and sorted by.
        query: `filter`, `sort_by`, `page_size`, `page_token` of the request.
        key: The column that tells records with an equal sorting column apart.
    """
    size = int(query.get("page_size") or 0)
    if size < 0:
        raise ListingError(f"The page size should be greater than 0. Got {size}")
    size = min(size or DEFAULT_PAGE, LARGEST_PAGE)
    wanted = {"sort": _sorting(query.get("sort_by", ""), columns), "filter": _predicates(query.get("filter", ""))}
    after = None
    if query.get("page_token"):
        token = _token(query["page_token"])
        if (query.get("sort_by") or query.get("filter")) and any(token[name] != wanted[name] for name in wanted):
            raise ListingError("page token does not match the supplied sort by and/or filtering criteria")
        wanted, after = {name: token[name] for name in wanted}, token["first"]
    column, descending = wanted["sort"]

    def order(record: Record) -> list[Any]:
        return [columns[column](record), columns[key](record)]

    matching = [record for record in records if all(_matches(record, each, columns) for each in wanted["filter"])]
    matching.sort(key=order, reverse=descending)
    if after is not None:
        matching = [found for found in matching if (order(found) <= after if descending else order(found) >= after)]
    following = {**wanted, "first": order(matching[size])} if len(matching) > size else None
    return matching[:size], base64.b64encode(json.dumps(following).encode()).decode() if following else ""


def total(records: Sequence[Record], columns: Columns, query: Mapping[str, str]) -> int:
    """How many records match on all pages."""
    predicates = _predicates(query.get("filter", ""))
    return sum(all(_matches(record, each, columns) for each in predicates) for record in records)


def _sorting(text: str, columns: Columns) -> list[Any]:
    words = text.lower().split()
    if len(words) > 2 or (len(words) == 2 and words[1] not in ("asc", "desc")):
        raise ListingError(f"Received invalid sort by format {text!r}")
    if words and words[0] not in columns:
        raise ListingError(f'Invalid sorting field: "{words[0]}"')
    return [words[0] if words else "created_at", len(words) == 2 and words[1] == "desc"]


def _token(text: str) -> Record:
    try:
        token: Record = json.loads(base64.b64decode(text, validate=True))
    except ValueError as cause:
        raise ListingError("Invalid page token") from cause
    return token


def _predicates(text: str) -> list[Record]:
    if not text:
        return []
    try:
        found = json.loads(text)
        predicates = found.pop("predicates", [])
        if found:
            raise ValueError(f"unknown field {next(iter(found))!r}")
        return [_predicate(dict(each)) for each in predicates]
    except (ValueError, AttributeError, TypeError) as cause:
        raise ListingError(f"failed to parse valid filter from {text!r}: {cause}") from cause


def _predicate(found: Record) -> Record:
    found = {_OLD_NAMES.get(name, name): value for name, value in found.items()}
    operation, key = found.pop("operation", 0), found.pop("key", "")
    operation = _NUMBERS.get(operation, operation)
    if len(found) != 1 or next(iter(found)) not in (*_VALUES, *_LISTS):
        raise ValueError("a predicate has exactly one value")
    (kind, value), many = next(iter(found.items())), next(iter(found)) in _LISTS
    if not key:
        raise ListingError(f"Predicate key cannot be empty for operation {operation}")
    if operation not in (*_SCALARS, "IN", "IS_SUBSTRING"):
        raise ListingError(f"invalid predicate operation: {operation}")
    if many != (operation == "IN"):
        raise ListingError(f"cannot use {operation} with {kind}")
    if operation == "IS_SUBSTRING" and kind != "string_value":
        raise ListingError(f"cannot use non string value with operator {operation}")
    value = value["values"] if many else _value(kind, value)
    return {"operation": operation, "key": key, "value": value}


def _value(kind: str, value: Any) -> Any:
    if kind == "timestamp_value":
        return int(datetime.fromisoformat(value).timestamp())
    return value if kind == "string_value" else int(value)


def _matches(record: Record, predicate: Record, columns: Columns) -> bool:
    if predicate["key"] not in columns:
        raise ListingError(f'no support for filtering on unrecognized field "{predicate["key"]}"')
    found, wanted = columns[predicate["key"]](record), predicate["value"]
    match predicate["operation"]:
        case "IN":
            return found in wanted
        case "IS_SUBSTRING":
            return wanted.lower() in str(found).lower()
        case operation:
            return bool(_SCALARS[operation](found, wanted))
