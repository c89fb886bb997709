"""Does the exported model behave? It is loaded in a fresh process, as a server would, and asked raw rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.model_files import verify_model
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import score_columns
from components._shared.samples import Samples
from components._shared.tables import read_table
from components._shared.task import SmokeTestSection
from components._shared.verdict import Check, Verdict, merge
from components.smoke_test.export import export_checks
from components.smoke_test.sampling import samples_of
from components.smoke_test.scale import scales

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS = 4_096
TIMEOUT_SECONDS = 600

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class SmokeTested:
    """How a model behaves.

    Attributes:
        samples: Some of the rows with their stored scores, for whoever serves this model.
    """

    verdict: Verdict
    samples: Samples


def smoke_test(
    *,
    model: Path,
    predictions: Manifest,
    examples: Manifest,
    gates: SmokeTestSection,
    timeout: float = TIMEOUT_SECONDS,
) -> SmokeTested:
    """Asks the model for rows that it has already scored, and for rows that are odd; holds its documents against it.

    Args:
        model: Directory of the model.
        predictions: What `predict` made of `examples` with this model.
        examples: The rows.
        gates: Names the largest differences of a score, in units of its scale (`scale.py`).
        timeout: Seconds that the model may take in all.

    Raises:
        CorruptError, NotFoundError: The model's files are not those that were trained.
        DataError: The predictions are not those of this model and these rows.
    """
    info = verify_model(model)
    if predictions.model != info.digest or predictions.count != examples.count:
        raise DataError("The predictions are not those of this model on these rows", where="smoke_test")
    if not examples.count:
        reason = "There are no rows to ask the model for."
        check = Check(name="behaviour.reproduces", outcome="cannot_judge", reason=reason)
        verdict = Verdict(subject="behaviour", outcome="cannot_judge", checks=(check,), summary=reason)
        return SmokeTested(verdict, Samples(inputs={}, dtypes={}, scores=(), tolerance=gates.score_difference))
    rows, stored = _sample(examples, predictions, info)
    found = _ask(model, rows, timeout)
    checks = _checks(found, stored, info, gates.score_difference)
    if "error" not in found:
        checks += export_checks(
            model, info, predictions=predictions, examples=examples, largest=gates.export_difference
        )
    outcome = merge(check.outcome for check in checks)
    # A failure says more than what could not be judged.
    wrong = [check.reason for kind in ("failed", "cannot_judge") for check in checks if check.outcome == kind]
    summary = (
        wrong[0]
        if wrong
        else f"The exported model answers raw rows, and gives the stored scores again ({len(stored)} rows)."
    )
    verdict = Verdict(subject="behaviour", outcome=outcome, checks=checks, summary=summary)
    return SmokeTested(verdict, samples_of(rows, stored, info, largest=gates.score_difference))


def _sample(examples: Manifest, predictions: Manifest, info: ModelInfo) -> tuple[pa.RecordBatch, NDArray[Any]]:
    """The first and the last rows: raw feature columns, and the scores that are stored for them."""
    import numpy as np
    import pyarrow as pa

    names, scores = list(info.learning.features), score_columns(info.learning)
    half = min(ROWS // 2, examples.count)
    places = [(0, half), (max(half, examples.count - half), examples.count)]
    rows = pa.concat_tables(
        [read_table(_rows(examples, *place), list(dict.fromkeys(["_key", *names]))) for place in places]
    )
    stored = pa.concat_tables([read_table(_rows(predictions, *place), ["_key", *scores]) for place in places])
    if rows.column("_key") != stored.column("_key"):
        raise DataError("The predictions stand in another order than the rows", where="smoke_test")
    batch = rows.select(names).combine_chunks().to_batches()[0]
    return batch, np.stack([stored.column(name).to_numpy() for name in scores], axis=1)


def _rows(manifest: Manifest, first: int, last: int) -> Manifest:
    """The rows from position `first` up to `last`."""
    shards = []
    position = 0
    for shard in manifest.shards:
        low, high = max(first - position, 0), min(last - position, shard.stop - shard.start)
        if low < high:
            shards.append(shard.model_copy(update={"start": shard.start + low, "stop": shard.start + high}))
        position += shard.stop - shard.start
    return manifest.model_copy(update={"shards": tuple(shards)})


def _ask(model: Path, rows: pa.RecordBatch, timeout: float) -> dict[str, Any]:
    """The answers of a fresh process, or `error`."""
    import pyarrow as pa

    with tempfile.TemporaryDirectory(prefix="saiki-smoke-") as scratch:
        given, written = Path(scratch) / "rows.arrow", Path(scratch) / "answers.json"
        with pa.OSFile(str(given), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_batch(rows)
        command = [
            sys.executable,
            "-m",
            "components.smoke_test.answering",
            str(model.resolve()),
            str(given),
            str(written),
        ]
        try:
            done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            return {"error": f"it did not answer within {timeout:g} seconds"}
        if done.returncode or not written.exists():
            said = done.stderr.strip().splitlines()[-1:] or [""]
            return {"error": f"the process ended with code {done.returncode}. {said[0]}".strip()}
        found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
        return found


def _checks(found: dict[str, Any], stored: NDArray[Any], info: ModelInfo, largest: float) -> tuple[Check, ...]:
    if "error" in found:
        return (_check("loads", False, f"The model does not load in a fresh process: {found['error']}"),)
    checks = [
        _check("loads", True, "The model loads in a fresh process."),
        _batch_check(found["rows"], stored.shape),
        _one_row_check("missing_values", found["missing"], stored.shape[1], "a row without any value"),
    ]
    if "categorical" in info.learning.features.values():
        checks.append(_one_row_check("unseen_category", found["unseen"], stored.shape[1], "categories never seen"))
    refused = isinstance(found["wrong_type"], str)
    said = (
        "refuses a value of the wrong type." if refused else "answers a value of the wrong type instead of refusing it."
    )
    checks.append(_check("wrong_type", refused, f"The model {said}"))
    if checks[1].outcome == "passed":
        checks += [_range_check(found["rows"], info), *_difference_checks(found, stored, info, largest)]
    return tuple(checks)


def _check(name: str, passed: bool, reason: str, observed: float | None = None, limit: str = "") -> Check:
    return Check(
        name=f"behaviour.{name}",
        observed=observed,
        limit=limit,
        outcome="passed" if passed else "failed",
        reason=reason,
    )


def _batch_check(answer: Any, shape: tuple[int, ...]) -> Check:
    scores = _scores(answer, shape)
    if scores is None:
        return _check("batch", False, f"The model does not answer a batch of {shape[0]} rows: {_said(answer)}")
    return _check("batch", True, f"The model answers a batch of {shape[0]} rows with finite numbers.")


def _one_row_check(name: str, answer: Any, outputs: int, what: str) -> Check:
    if _scores(answer, (1, outputs)) is None:
        return _check(name, False, f"The model does not answer {what} with a finite number: {_said(answer)}")
    return _check(name, True, f"The model answers {what} with a finite number.")


def _range_check(answer: Any, info: ModelInfo) -> Check:
    import numpy as np

    scores = np.asarray(answer)
    if info.learning.problem == "regression":
        spread = float(scores.max() - scores.min())
        return _check("range", True, f"The scores lie between {scores.min():.6g} and {scores.max():.6g}.", spread)
    sums = scores.sum(axis=1) if scores.shape[1] > 1 else np.ones(len(scores))
    fine = bool(scores.min() >= 0 and scores.max() <= 1 and np.abs(sums - 1).max() < 1e-3)
    said = "are probabilities." if fine else "are not probabilities: they leave [0, 1], or do not add up to 1."
    return _check("range", fine, f"The scores {said}")


def _difference_checks(found: dict[str, Any], stored: NDArray[Any], info: ModelInfo, largest: float) -> list[Check]:
    import numpy as np

    scores, scale = np.asarray(found["rows"]), scales(stored, info)
    limit = f"at most {largest:.3g}"
    of_the_scale = " of the row's scale" if info.learning.problem == "regression" else ""
    difference = float((np.abs(scores - stored) / scale).max())
    checks = [
        _check(
            "reproduces",
            difference <= largest,
            f"Over {len(stored)} rows, the largest difference to the stored scores is {difference:.3g}{of_the_scale}.",
            difference,
            limit,
        )
    ]
    single = _scores(found["single"], (1, stored.shape[1]))
    if single is None:
        checks.append(_check("single_row", False, f"The model does not answer a single row: {_said(found['single'])}"))
    else:
        alone = float((np.abs(single - scores[:1]) / scale[:1]).max())
        reason = f"A row asked alone and in a batch gets scores that differ by {alone:.3g}{of_the_scale}."
        checks.append(_check("single_row", alone <= largest, reason, alone, limit))
    return checks


def _scores(answer: Any, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The answer as an array, if it is one of finite numbers and of that shape."""
    import numpy as np

    if isinstance(answer, str):
        return None
    scores = np.asarray(answer, dtype="float64")
    return scores if scores.shape == shape and bool(np.isfinite(scores).all()) else None


def _said(answer: Any) -> str:
    return answer if isinstance(answer, str) else "not finite, or of another shape"
