"""Which image a component runs in, and the image's tag: the digest of the Dockerfile, of its lock and of the source
that it imports.

The tag is part of KFP's cache key, on the cluster and locally. So an edit of a component's code, of code that it
imports, or of its lock makes its steps run again, and no others. An image is built once per environment and carries one
tag for each of the environment's components.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

ENVIRONMENT_OF: dict[str, str] = {
    "plan": "light",
    "ingest": "light",
    "split": "light",
    "validate": "analysis",
    "train": "tensorflow",
    "predict": "tensorflow",
    "evaluate": "analysis",
    "smoke_test": "tensorflow",
    "compare": "light",
    "settle": "tensorflow",
    "behave": "tensorflow",
    "explain": "tensorflow",
    "judge": "light",
    "push": "light",
    "conclude": "light",
}

GPU_VARIANT = "gpu"
"""`saiki-tensorflow-gpu`: the same source and the same TensorFlow, with what it needs to compute on GPUs."""

_PLANS_WITH_ALL = "plan"
"""Its results hold the digests of the other steps' code, so its image has to be as new as any of theirs."""

_RECIPE = ("Dockerfile", "requirements/install-in-image.sh", "requirements/kfp-runtime.txt")

_ROOT = Path(__file__).resolve().parents[2]
_IMPORT = re.compile(
    r"^[ \t]*(?:from|import)[ \t]+(components[\w.]*)(?:[ \t]+import[ \t]+(\([^)]*\)|.*))?", re.MULTILINE
)


def image_of(component: str, *, prefix: str = "", variant: str = "") -> str:
    """The image of a component, such as `saiki-light:3f2a…`; the tag is made of its lock and its source.

    Args:
        prefix: The image registry and folder that it was pushed to; empty: this machine's own.
        variant: `gpu`, or empty.
    """
    name = "-".join(filter(None, ["saiki", ENVIRONMENT_OF[component], variant]))
    return f"{prefix.rstrip('/')}/{name}:{_tag(component)}" if prefix else f"{name}:{_tag(component)}"


def tags_of(environment: str) -> dict[str, str]:
    """Component → the tag that the environment's image carries for it."""
    return {name: _tag(name) for name, used in ENVIRONMENT_OF.items() if used == environment}


def code_digest(*components: str) -> str:
    """One digest over the images of several components."""
    return hashlib.sha256("\n".join(image_of(name) for name in components).encode()).hexdigest()


@cache
def _tag(component: str) -> str:
    folder = _ROOT / "components" / component
    locks = sorted((_ROOT / "requirements").glob(f"{ENVIRONMENT_OF[component]}*.txt"))
    digest = hashlib.sha256()
    page_parts = [path for path in folder.rglob("*") if path.suffix in (".jinja", ".css")]
    recipe = [_ROOT / name for name in _RECIPE]
    for path in [*recipe, *locks, *sorted(_closure(frozenset(folder.rglob("*.py")))), *sorted(page_parts)]:
        digest.update(f"{path.relative_to(_ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    if component == _PLANS_WITH_ALL:
        digest.update("\n".join(_tag(name) for name in ENVIRONMENT_OF if name != component).encode())
    return digest.hexdigest()[:16]


def _closure(start: frozenset[Path]) -> set[Path]:
    """The files, and all files under `components` that they import, at any depth; imports inside functions count."""
    found: set[Path] = set()
    waiting = set(start)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        waiting |= _imports(path) - found
    return found


@cache
def _imports(path: Path) -> frozenset[Path]:
    # By its lines, not its syntax tree: that takes twenty times as long. A line that only looks like an import adds a
    # file to the digest, which is harmless.
    names: set[str] = set()
    for module, imported in _IMPORT.findall(path.read_text(encoding="utf-8")):
        names |= {module, *(f"{module}.{name}" for name in re.findall(r"\w+", imported))}
    candidates = {_ROOT.joinpath(*name.split(".")) for name in names}
    modules = {path.with_suffix(".py") for path in candidates} | {path / "__init__.py" for path in candidates}
    return frozenset(path for path in modules if path.is_file())
