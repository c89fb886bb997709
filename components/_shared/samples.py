"""Rows with the answers that a version must give to them, whoever serves it."""

from __future__ import annotations

from typing import Literal

from components._shared.contract import Contract

Value = float | int | str | None
"""As JSON carries it; a number that is missing is null."""


class Samples(Contract):
    """`samples.json` beside a version: what is asked over the wire before it may serve.

    Attributes:
        inputs: Signature argument → one value per row, as the model takes them (`model_inputs.py`).
        dtypes: Signature argument → `float32`, `int64` or `string`.
        output: Name of the signature's output that holds the scores.
        scores: One list per row: a probability, a value, or one probability per class.
        tolerance: Largest difference of a score that is still the same answer.
    """

    format: Literal["saiki/samples/v1"] = "saiki/samples/v1"
    signature: str = "serving_default"
    inputs: dict[str, tuple[Value, ...]]
    dtypes: dict[str, Literal["float32", "int64", "string"]]
    output: str = "score"
    scores: tuple[tuple[float, ...], ...]
    tolerance: float
