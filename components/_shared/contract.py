"""The base of every contract, and canonical JSON with its digest."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from components._shared.errors import InputError


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: The value holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


class Contract(BaseModel):
    """A typed document: immutable, and an unknown field is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_json(self) -> str:
        """Canonical JSON, fields by their alias."""
        return canonical_json(self.model_dump(mode="json", by_alias=True)).decode()

    def content_digest(self) -> str:
        """SHA-256 of `to_json()`."""
        return digest_of(self.model_dump(mode="json", by_alias=True))

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str = "", error: type[InputError] = InputError) -> Self:
        """Reads JSON or YAML.

        Raises:
            InputError: (or the given subclass) not JSON or YAML, or not this contract; the message names every field.
        """
        try:
            value = load_yaml(text)
        except yaml.YAMLError as cause:
            raise error(
                f"This is not readable YAML or JSON: {yaml_problem(cause)}", where=where, fix="correct it there"
            ) from cause
        return cls.from_value(value, where=where, error=error)

    @classmethod
    def from_value(cls, value: Any, *, where: str = "", error: type[InputError] = InputError) -> Self:
        """Checks plain values against the contract; see `from_json`."""
        if not isinstance(value, dict):
            held = "nothing" if value is None else "a list" if isinstance(value, list) else "a single value"
            raise error(f"{cls.__name__} is not valid: there is {held} in place of fields", where=where, fix=_FIX)
        try:
            return cls.model_validate(value)
        except ValidationError as cause:
            raise error(_explain(cls, cause), where=where, fix=_FIX) from cause


_FIX = "correct the fields named above; docs/task-file.md describes every field"


_MOST_VALUES = 1_000_000


class _Loader(yaml.SafeLoader):
    """YAML whose timestamps stay text, whose keys are unique, and where yes/no/on/off are words.

    Of aliases that stand for aliases, a few lines may mean more values than any machine holds: those are refused.
    """

    def get_single_node(self) -> Any:
        """The document's node tree, once its size is known."""
        node = super().get_single_node()
        if node is not None and _values_of(node, {}) > _MOST_VALUES:
            raise yaml.constructor.ConstructorError(
                None, None, f"its aliases stand for more than {_MOST_VALUES:,} values", node.start_mark
            )
        return node


def _values_of(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, where each alias counts as what it means."""
    if id(node) not in known:
        # A node that is met again inside itself never ends.
        known[id(node)] = _MOST_VALUES + 1
        inside = node.value if isinstance(node, yaml.CollectionNode) else []
        children = [child for each in inside for child in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_values_of(child, known) for child in children)
    return known[id(node)]


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":bool"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def _unique_mapping(loader: Any, node: Any) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def load_yaml(text: str | bytes) -> Any:
    """Plain values of a YAML or JSON text, read as the contracts read it (JSON, often large, by the fast way)."""
    try:
        try:
            return json.loads(text)
        except ValueError:
            return yaml.load(text, Loader=_Loader)
    except RecursionError as cause:
        raise yaml.YAMLError("it is nested too deeply") from cause


def yaml_problem(cause: yaml.YAMLError) -> str:
    """What is wrong with a YAML text, and where, in one line."""
    if isinstance(cause, yaml.reader.ReaderError):
        return "it is not UTF-8 text"
    mark = getattr(cause, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{getattr(cause, 'problem', None) or str(cause).splitlines()[0]}{where}"


def _explain(cls: type[BaseModel], cause: ValidationError) -> str:
    lines = []
    for found in cause.errors():
        path = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            known = _known_fields(cls, found["loc"][:-1])
            near = difflib.get_close_matches(str(found["loc"][-1]), known, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else f" (known here: {', '.join(known)})" if known else ""
            lines.append(f"unknown field '{path}'{hint}")
        elif found["type"] == "missing":
            lines.append(f"missing field '{path}'")
        else:
            given = "" if found["type"] == "value_error" else f", not {found['input']!r}"
            # What is wrong between fields names them in its own words.
            field = f"field '{path}': " if path else ""
            lines.append(f"{field}{found['msg'].removeprefix('Value error, ')}{given}")
    return f"{cls.__name__} is not valid: " + "; ".join(lines)


def _known_fields(cls: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    model: Any = cls
    for part in path:
        if isinstance(part, int):
            # The place in a list, of which the model is known already.
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        inner = [
            arg
            for arg in (field.annotation, *getattr(field.annotation, "__args__", ()))
            if isinstance(arg, type) and issubclass(arg, BaseModel)
        ]
        if not inner:
            return []
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]
