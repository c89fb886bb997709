"""What the Kubeflow UI shows of settled promises."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from components._shared.ledger import Settlements
from components.settle.executor import Result


def write(result: Result, **artifacts: Any) -> None:
    """Writes a result to KFP artifacts.

    Args:
        result: What the executor gave.
        artifacts: The component's outputs by name; each gets content, since a step without it is never a cache hit.
    """
    scalars = scalars_of(result.settlements)
    Path(artifacts["verdict"].path).write_text(result.verdict.to_json(), encoding="utf-8")
    Path(artifacts["settlements"].path).write_text(result.settlements.to_json(), encoding="utf-8")
    Path(artifacts["metrics"].path).write_text(json.dumps(scalars), encoding="utf-8")
    Path(artifacts["summary"].path).write_text(result.verdict.to_markdown(), encoding="utf-8")
    artifacts["verdict"].metadata["outcome"] = result.verdict.outcome
    for name, value in scalars.items():
        artifacts["metrics"].log_metric(name, value)


def scalars_of(settlements: Settlements) -> dict[str, float]:
    """`decisions`, how many of each outcome, and of the newest decision the gain that was promised and that came."""
    found: dict[str, float] = {"decisions": float(len(settlements.settlements))}
    counts = Counter(each.outcome for each in settlements.settlements)
    found |= {outcome: float(count) for outcome, count in sorted(counts.items())}
    if settlements.settlements:
        newest = settlements.settlements[0]
        promised = newest.decision.promise.gain
        found |= {} if promised is None else {"newest_promised": promised.value}
        found |= {} if newest.gain is None else {"newest_came_true": newest.gain.value}
    return found
