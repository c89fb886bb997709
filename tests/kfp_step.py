"""Runs a component as KFP does: its function's source alone, through KFP's executor."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def run_step(
    component: str, folder: Path, *, parameters: dict[str, Any], inputs: dict[str, str], outputs: dict[str, str]
) -> dict[str, Any]:
    """What KFP reads afterwards: the executor's output.

    Args:
        component: Name of its folder.
        folder: Holds the input artifacts, each a file of its name; gets the outputs.
        inputs, outputs: Artifact → type, such as `Dataset`.
    """
    tree = ast.parse((ROOT / "components" / component / "component.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    function.decorator_list = []
    (folder / "step.py").write_text(f"from kfp import dsl\n\n{ast.unparse(function)}\n", encoding="utf-8")

    def artifacts(kinds: dict[str, str]) -> dict[str, Any]:
        return {
            name: {
                "artifacts": [
                    {"name": name, "uri": str(folder / name), "type": {"schemaTitle": f"system.{kind}"}, "metadata": {}}
                ]
            }
            for name, kind in kinds.items()
        }

    told = {
        "inputs": {"parameterValues": parameters, "artifacts": artifacts(inputs)},
        "outputs": {"artifacts": artifacts(outputs), "outputFile": str(folder / "output.json")},
    }
    command = [sys.executable, "-m", "kfp.dsl.executor_main", "--component_module_path", str(folder / "step.py")]
    command += ["--executor_input", json.dumps(told), "--function_to_execute", component]
    environment = {**os.environ, "_KFP_RUNTIME": "true", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written: dict[str, Any] = json.loads((folder / "output.json").read_text(encoding="utf-8"))
    return written
