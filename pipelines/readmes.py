"""Writes `components/<name>/README.md` from the signature and the docstring in `component.py`.

Use::

    python -m pipelines.readmes           write them
    python -m pipelines.readmes --check   fail if one is stale
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from components._shared.image import ENVIRONMENT_OF

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Field:
    """A parameter, an artifact or a returned value of a component.

    Attributes:
        type: As one reads it, such as `str` or `Dataset`.
        direction: `in` for artifacts that are read, `out` for what is written or returned, empty for a parameter.
        default: Its source; None if it must be given.
    """

    name: str
    type: str
    direction: str
    default: str | None
    meaning: str


def readme(source: str, name: str) -> str:
    """The README of a component.

    Args:
        source: Text of its `component.py`.
        name: Its folder's name.
    """
    function = _component(ast.parse(source), name)
    summary, sections = _docstring(ast.get_docstring(function) or "")
    meanings = {**sections.get("Args", {}), **sections.get("Returns", {}), **sections.get("Outputs", {})}
    fields = [*_arguments(function, meanings), *_returned(function, meanings)]
    parts = [
        f"# {name}",
        "<!-- Generated from component.py by `make format`. -->",
        summary,
        f"Runs in the environment `{ENVIRONMENT_OF[name]}`. What the Kubeflow UI shows stands in `component.py`, "
        "what runs in `executor.py`.",
    ]
    tables = {
        "Artifacts in": [field for field in fields if field.direction == "in"],
        "Parameters": [field for field in fields if not field.direction],
        "Gives": [field for field in fields if field.direction == "out"],
    }
    parts += [f"## {title}\n\n{_table(rows)}" for title, rows in tables.items() if rows]
    return "\n\n".join(parts) + "\n"


def stale(*, write: bool) -> list[Path]:
    """The READMEs that differ from what their components say.

    Args:
        write: Write them as well.
    """
    found = []
    for path in sorted((ROOT / "components").glob("*/component.py")):
        target = path.with_name("README.md")
        text = readme(path.read_text(encoding="utf-8"), path.parent.name)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            found.append(target)
            if write:
                target.write_text(text, encoding="utf-8")
    return found


def _component(module: ast.Module, name: str) -> ast.FunctionDef:
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise ValueError(f"components/{name}/component.py has no function {name}")


def _docstring(text: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The prose before the sections, and section → name → meaning."""
    prose: list[str] = []
    sections: dict[str, dict[str, str]] = {}
    section, entry = "", ""
    for line in text.splitlines():
        heading = re.fullmatch(r"(Args|Returns|Outputs|Raises):", line)
        item = re.fullmatch(r" {4}(\w+(?:, \w+)*)(?: \([^)]*\))?: (.*)", line)
        if heading:
            section, entry = heading[1], ""
        elif not section:
            prose.append(line)
        elif item:
            entry = item[1]
            for name in entry.split(", "):
                sections.setdefault(section, {})[name] = item[2]
        elif line.strip() and entry:
            for name in entry.split(", "):
                sections[section][name] += f" {line.strip()}"
    return "\n".join(prose).strip(), sections


def _arguments(function: ast.FunctionDef, meanings: dict[str, str]) -> list[Field]:
    arguments = [*function.args.posonlyargs, *function.args.args]
    missing: list[ast.expr | None] = [None] * (len(arguments) - len(function.args.defaults))
    defaults = [*missing, *function.args.defaults, *function.args.kw_defaults]
    fields = []
    for argument, default in zip([*arguments, *function.args.kwonlyargs], defaults, strict=True):
        direction, kind = _type(ast.unparse(argument.annotation) if argument.annotation else "str")
        source = None if default is None else ast.unparse(default)
        fields.append(Field(argument.arg, kind, direction, source, meanings.get(argument.arg, "")))
    return fields


def _type(annotation: str) -> tuple[str, str]:
    """Direction and type of an annotation such as `dsl.Input[dsl.Dataset]`."""
    plain = re.sub(r"\b(?:dsl|typing)\.", "", annotation)
    optional = re.fullmatch(r"Optional\[(.*)\]", plain)
    inner = optional[1] if optional else plain
    artifact = re.fullmatch(r"(Input|Output)\[(.*)\]", inner)
    if artifact:
        return ("in" if artifact[1] == "Input" else "out"), artifact[2]
    path = re.fullmatch(r"(Input|Output)Path\((.*)\)", inner)
    if path:
        return ("in" if path[1] == "Input" else "out"), path[2] or "str"
    return "", inner


def _returned(function: ast.FunctionDef, meanings: dict[str, str]) -> list[Field]:
    match function.returns:
        case ast.Call(args=[_, ast.List(elts=pairs)]):
            named = [(ast.literal_eval(pair.elts[0]), pair.elts[1]) for pair in pairs if isinstance(pair, ast.Tuple)]
        case ast.Call(keywords=keywords) if keywords:
            named = [(keyword.arg, keyword.value) for keyword in keywords]
        case None | ast.Constant(value=None):
            named = []
        case annotation:
            named = [("Output", annotation)]
    return [Field(str(name), ast.unparse(kind), "out", None, meanings.get(str(name), "")) for name, kind in named]


def _table(fields: list[Field]) -> str:
    with_default = any(field.default is not None for field in fields)
    rows = ["| name | type | default | what it is |" if with_default else "| name | type | what it is |"]
    rows.append("|---|---|---|---|" if with_default else "|---|---|---|")
    for field in fields:
        default = f" {_code(field.default) if field.default is not None else 'required'} |" if with_default else ""
        meaning = field.meaning.replace("|", "\\|")
        rows.append(f"| {_code(field.name)} | {_code(field.type)} |{default} {meaning} |")
    return "\n".join(rows)


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def main() -> int:
    """Write or check the READMEs; 1 if one is stale."""
    check = "--check" in sys.argv[1:]
    found = stale(write=not check)
    for path in found:
        print(f"{path.relative_to(ROOT)}: {'stale, run `make format`' if check else 'written'}")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
