"""A process that pushes when it is told to, for `test_overlapping_runs.py`.

It reads a line of JSON, makes itself ready (a candidate, and the pointer as `plan` sees it now), says so, waits for
another line, and then does it, so that two such processes act at the same moment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components._shared.errors import PreconditionError
from components._shared.registry import Registry
from tests.components.push.conftest import SAMPLES, Run


def prepared(job: dict[str, Any]) -> Callable[[], str]:
    """What is done on the second line."""
    os.environ.update(job["environment"])
    if job["do"] == "push":
        run = Run(job["registry"], Path(job["folder"]), Path(job["model"]), job["judgement"], "passed", SAMPLES)
        return lambda: run.push().result

    def roll_back() -> str:
        try:
            Registry(job["registry"], "flights").rollback(who="a person", why="complaints")
        except PreconditionError:
            return "refused"
        return "rolled back"

    return roll_back


for line in sys.stdin:
    act = prepared(json.loads(line))
    print("ready", flush=True)
    sys.stdin.readline()
    print(act(), flush=True)
