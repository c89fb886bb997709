"""The project's source as the architecture tests see it: files, their imports, what they reach."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = tuple(sorted(path.parent.name for path in (ROOT / "components").glob("*/__init__.py")))
STEPS = tuple(name for name in COMPONENTS if not name.startswith("_"))


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def tracked_files() -> list[Path]:
    """The files of the repository; in an unpacked archive without git, all but the ignored folders."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    hidden = {".venv", ".venvs", ".saiki", ".git", "build", "__pycache__", ".mypy_cache", ".ruff_cache"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not hidden & set(path.relative_to(ROOT).parts)]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """The dotted names of an import statement; `from a import b` may mean module `a.b`, so both are given."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def all_imports(path: Path) -> frozenset[str]:
    """Every import, also inside functions."""
    return frozenset(name for node in ast.walk(tree(path)) for name in imported(node))


@cache
def imports_when_loaded(path: Path) -> frozenset[str]:
    """The imports that run when the module is imported: not inside functions, not for type checkers only."""

    def visit(body: list[ast.stmt]) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                yield from visit(node.orelse)
                continue
            yield from imported(node)
            for field in ("body", "orelse", "finalbody"):
                yield from visit(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from visit(handler.body)

    return frozenset(visit(tree(path).body))


def top_levels(names: frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def own_file(name: str) -> Path | None:
    """The file of a module of ours."""
    base = ROOT.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def reached(*start: Path) -> set[Path]:
    """The files under `components` that these files import, at any depth, themselves included."""
    found: set[Path] = set()
    waiting = list(start)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            names = (name for name in all_imports(path) if name.startswith("components"))
            waiting.extend(file for file in map(own_file, names) if file is not None)
    return found


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))
