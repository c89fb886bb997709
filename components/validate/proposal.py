"""A proposal: the pinned schema changed so that it allows what was seen, with the reason for each change."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

import yaml

from components._shared.task import Column, Schema
from components.validate.distributions import Distribution

CHANGED = "# changed: "
_HEADING = (
    "Proposed by `validate`: the pinned schema, changed so that it allows what was seen.",
    "`saiki schema accept` shows the difference and writes it. Accept a change only if the data are right.",
)
_MOST_NEW_CATEGORIES = 200


def propose(schema: Schema, seen: Iterable[Mapping[str, Distribution]], numbers: frozenset[str]) -> str:
    """The YAML of the proposed schema, or nothing if the pinned one allows all that was seen.

    Args:
        schema: The pinned one.
        seen: Column → distribution, for each set of rows.
        numbers: Columns whose bounds the distributions tell: numbers measured as numbers.
    """
    parts = list(seen)
    columns: dict[str, Column] = {}
    reasons: dict[str, list[str]] = {}
    for name, column in schema.columns.items():
        found = [part[name] for part in parts if name in part and part[name].rows]
        changes: dict[str, object] = {}
        why: list[str] = []
        _new_categories(column, found, changes, why)
        if name in numbers:
            _wider_bounds(column, found, changes, why)
        _more_missing(column, found, changes, why)
        columns[name] = column.model_copy(update=changes)
        if why:
            reasons[name] = why
    return to_yaml(Schema(columns=columns), reasons) if reasons else ""


def to_yaml(schema: Schema, reasons: Mapping[str, list[str]], heading: Iterable[str] = _HEADING) -> str:
    """A schema as YAML, one line for each column, with the reasons for its changes above it."""
    lines = [*(f"# {line}" for line in heading)]
    if reasons:
        lines.append(f"{CHANGED}{json.dumps(list(reasons), ensure_ascii=False)}")
    lines += [f"format: {schema.format}", "columns:"]
    for name, column in schema.columns.items():
        lines += [f"  # {reason}" for reason in reasons.get(name, [])]
        lines.append(f"  {key_text(name)}: {column_text(column)}")
    return "\n".join(lines) + "\n"


def column_text(column: Column) -> str:
    """What a schema file says of a column, on one line."""
    value = column.model_dump(mode="json", exclude_defaults=True)
    for bound in ("min", "max", "max_missing"):
        if isinstance(value.get(bound), float) and value[bound].is_integer():
            value[bound] = int(value[bound])
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True).strip()


def key_text(name: str) -> str:
    """A column's name as a YAML key."""
    return yaml.safe_dump({name: 0}, default_flow_style=True, width=math.inf, allow_unicode=True).strip()[1:-4]


def _new_categories(column: Column, found: list[Distribution], changes: dict[str, object], why: list[str]) -> None:
    if not column.domain:
        return
    new: dict[str, float] = {}
    for part in found:
        for value, share in part.categories.items():
            if value not in column.domain:
                new[value] = max(new.get(value, 0.0), share)
    if not new:
        return
    added = sorted(sorted(new, key=lambda value: (-new[value], value))[:_MOST_NEW_CATEGORIES])
    changes["domain"] = (*column.domain, *added)
    shown = ", ".join(f"{json.dumps(value, ensure_ascii=False)} ({new[value]:.2%})" for value in added[:10])
    more = f" and {len(new) - 10} more" if len(new) > 10 else ""
    why.append(f"{len(new)} new {'category' if len(new) == 1 else 'categories'}: {shown}{more}")


def _wider_bounds(column: Column, found: list[Distribution], changes: dict[str, object], why: list[str]) -> None:
    lows = [part.min for part in found if part.min is not None and part.values]
    highs = [part.max for part in found if part.max is not None and part.values]
    if column.min is not None and lows and min(lows) < column.min:
        changes["min"] = min(lows)
        why.append(f"smallest value seen {min(lows):g}, below {column.min:g}")
    if column.max is not None and highs and max(highs) > column.max:
        changes["max"] = max(highs)
        why.append(f"largest value seen {max(highs):g}, above {column.max:g}")


def _more_missing(column: Column, found: list[Distribution], changes: dict[str, object], why: list[str]) -> None:
    most = max((part.missing for part in found), default=0.0)
    if column.max_missing is not None and most > column.max_missing + 1e-12:
        rounded = min(1.0, math.ceil(most * 1000 - 1e-9) / 1000)
        changes["max_missing"] = rounded
        why.append(f"{most:.2%} of the values are missing, more than {column.max_missing:.2%}")
