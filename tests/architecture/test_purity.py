"""Steps between `plan` and `push` are pure: they read neither the clock nor the environment, nor list a store."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.sources import ROOT, STEPS, python_files, relative, tree

IMPURE = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "os.environ",
    "os.getenv",
    "uuid.uuid4",
    "storage.list_objects",
    "storage.glob",
}
# An interrupted training looks for its checkpoints; the model is the same with and without them.
ALLOWED = {("train", "storage.list_objects")}


@pytest.mark.parametrize("step", [step for step in STEPS if step not in ("plan", "push")])
def test_a_step_between_reads_nothing_but_its_inputs(step: str) -> None:
    offenders = [
        f"{relative(path)}:{node.lineno}: {ast.unparse(node)}"
        for path in python_files(f"components/{step}")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and (name := ".".join(ast.unparse(node).split(".")[-2:])) in IMPURE
        and (step, name) not in ALLOWED
    ]

    assert not offenders


def test_only_the_storage_modules_reach_a_store() -> None:
    clients = {"google.cloud", "boto3", "botocore"}
    offenders = set()
    for path in python_files("components"):
        if path.name.startswith("storage"):
            continue
        for node in ast.walk(tree(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            if any(name == client or name.startswith(f"{client}.") for name in names for client in clients):
                offenders.add(relative(path))

    assert not offenders
    assert (ROOT / "components" / "_shared" / "storage.py").is_file()
