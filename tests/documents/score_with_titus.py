"""Checks and scores PFA documents with Titus, run by the interpreter of `engines`.

python tests/documents/score_with_titus.py FOLDER...     → JSON: folder → scores, or what Titus says against it
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

# Titus was written for a Python that still had it.
inspect.getargspec = inspect.getfullargspec  # type: ignore[attr-defined]


def scores(folder: Path) -> list[list[float]]:
    """All rows, each as Avro has a record whose fields may be null."""
    from titus.genpy import PFAEngine

    document = (folder / "model" / "model.pfa.json").read_text(encoding="utf-8")
    (engine,) = PFAEngine.fromJson(document)
    types = {field["name"]: field["type"][1] for field in json.loads(document)["input"]["fields"]}
    given = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    arguments = [given["arguments"][name] for name in given["columns"]]
    found = []
    for row in zip(*given["columns"].values(), strict=True):
        record: dict[str, Any] = {
            argument: None if value is None else {types[argument]: value}
            for argument, value in zip(arguments, row, strict=True)
        }
        answer = engine.action(record)
        found.append(list(answer) if isinstance(answer, list | tuple) else [answer])
    return found


if __name__ == "__main__":
    print(json.dumps({each: scores(Path(each)) for each in sys.argv[1:]}))
