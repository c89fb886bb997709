"""The source of a trainer that is not ours: an edit of it has to make another model, and its image's tag may not tell.

Nothing is imported: `plan` runs where the trainer's libraries may be missing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from components._shared.contract import digest_of

_OURS = ("components", "pipelines")
_INSTALLED = ("site-packages", "dist-packages")


def source_digest(trainer: str) -> str:
    """The digest of the trainer's module and of the modules beside it that it imports, at any depth.

    Args:
        trainer: `package.module:function`, or the name of one of ours.

    Returns:
        Empty for one of ours, whose code is in the tag of `train`'s image, and for one that is not found here.
    """
    module, colon, _ = trainer.partition(":")
    if not colon or module.split(".")[0] in _OURS:
        return ""
    importlib.invalidate_caches()
    first = _source_of(module)
    if first is None:
        return ""
    home = _home(module, first)
    found = {module: first}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for imported in _imports(name, found[name]):
            path = None if imported in found else _source_of(imported)
            if path is not None and _is_beside(imported, path, module, home):
                found[imported] = path
                waiting.append(imported)
    return digest_of({name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()})


def _source_of(module: str) -> Path | None:
    """The file of a module."""
    places: list[str] | None = None
    parts = module.split(".")
    spec = None
    for end in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:end]), places)
        if spec is None or (end < len(parts) and spec.submodule_search_locations is None):
            return None
        places = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec and spec.has_location and spec.origin and spec.origin.endswith(".py") else None


def _home(module: str, path: Path) -> Path:
    """The folder of the import path in which a module was found."""
    depth = module.count(".") + (path.name == "__init__.py")
    return path.parents[depth]


def _is_beside(name: str, path: Path, trainer: str, home: Path) -> bool:
    """Whether a module is of the trainer's package, or of its author's folder: libraries come and go with the lock."""
    package = name.split(".")[0]
    if package in _OURS:
        return False
    return package == trainer.split(".")[0] or (home.name not in _INSTALLED and _home(name, path) == home)


def _imports(module: str, path: Path) -> Iterator[str]:
    """The names of what a module may import, and of the packages around it and them; some may be no modules."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    names = {module}
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1) if all(parts))
