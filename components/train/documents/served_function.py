"""What a fitted linear model serves: a function of raw feature columns, as plain numbers on the natural scale.

::

    value of output k  =  intercept[k] + sum over the features of what each adds to output k
    score              =  value                      regression
                          1 / (1 + exp(-value))      binary
                          softmax over the outputs   multiclass

What each feature adds is said by its class below. Scaling, calibration and the scale of the label are multiplied into
the weights here, in 64-bit floats, from the very 32-bit floats that the SavedModel holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from components.train.preprocessing import CategoryEncoding, MomentEncoding, NumberEncoding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from components._shared.task import Problem
    from components.train.job import TrainingJob
    from components.train.network import FittedNetwork

Weights = tuple[float, ...]
"""One per output."""


LARGEST_NUMBER = 3.4028234663852886e38
"""Of a 32-bit float: beyond it, the model takes a number for infinite."""

ROUNDS_TO_32_BITS = 2.0**29 + 1
"""With `s = x` times this, `s - (s - x)` is `x` rounded to the 24 bits of a 32-bit float (Dekker 1971)."""


@dataclass(frozen=True)
class NumberPart:
    """`weights * value`; a value that is missing or infinite counts as `missing_as`, and adds `missing_adds`.

    The model takes numbers as 32-bit floats, so a document that is given others rounds them first: of 46.1, the
    eighth digit.

    Attributes:
        kind: Booleans are 0 and 1.
        missing_adds: None: being missing adds nothing of its own.
    """

    name: str
    kind: Literal["numeric", "boolean"]
    weights: Weights
    missing_as: float
    missing_adds: Weights | None


@dataclass(frozen=True)
class CategoryPart:
    """The weights of the value; `other` of one that is not listed, `missing` of the empty one.

    Attributes:
        values: Value → weights, most frequent first.
        missing: None: as `other`.
    """

    name: str
    values: dict[str, Weights]
    other: Weights
    missing: Weights | None


@dataclass(frozen=True)
class Wave:
    """The sine or cosine of the turns that a clock has made: microseconds since 1970, divided by `period`.

    Attributes:
        name: Such as `hour of day, sine`.
        period: One turn, in the unit of the clock.
        whole_days: The clock counts whole days, not microseconds.
    """

    name: str
    wave: Literal["sin", "cos"]
    period: float
    whole_days: bool
    weights: Weights


@dataclass(frozen=True)
class MomentPart:
    """Waves and the weekday of a moment in UTC; a missing one adds `missing` alone.

    Attributes:
        weekdays: Monday first.
    """

    name: str
    waves: tuple[Wave, ...]
    weekdays: dict[str, Weights]
    missing: Weights


Part = NumberPart | CategoryPart | MomentPart


@dataclass(frozen=True)
class ServedFunction:
    """The function.

    Attributes:
        classes: Multiclass: one per output.
        arguments: Feature → argument of the SavedModel's signature.
    """

    problem: Problem
    classes: tuple[str | int, ...] | None
    intercepts: Weights
    parts: tuple[Part, ...]
    arguments: dict[str, str]


MICROSECONDS_OF_A_DAY = 86_400_000_000
_DAYS_OF_A_YEAR = 365.2425
_PERIODS: dict[str, tuple[float, bool]] = {
    "hour of day": (float(MICROSECONDS_OF_A_DAY), False),
    "day of year": (_DAYS_OF_A_YEAR, True),
}


def served_function(job: TrainingJob, fitted: FittedNetwork) -> ServedFunction:
    """The function that `export` writes as a SavedModel.

    Args:
        job: The problem, its classes, and the label's scale.
        fitted: A network of one layer.
    """
    kernel, table, bias = (
        variable.numpy().astype("float64") for variable in fitted.network.get_layer("layer_1").weights
    )
    slope, shift = _output_scale(job, fitted)
    rows = _Rows(kernel * slope, table * slope)
    intercepts = bias * slope + shift
    parts: list[Part] = []
    for encoding in fitted.encoding.features:
        match encoding:
            case NumberEncoding():
                part, offset = _number(encoding, rows, job.features[encoding.name] == "boolean")
                intercepts = intercepts + offset
                parts.append(part)
            case CategoryEncoding():
                parts.append(_category(encoding, rows))
            case MomentEncoding():
                parts.append(_moment(encoding, rows))
    return ServedFunction(
        problem=job.problem,
        classes=job.classes if job.problem == "multiclass_classification" else None,
        intercepts=_plain(intercepts),
        parts=tuple(parts),
        arguments={name: job.inputs[name].name for name in job.features},
    )


def _output_scale(job: TrainingJob, fitted: FittedNetwork) -> tuple[float, float]:
    """What the network's answer is multiplied with and what is added to it, rounded as TensorFlow rounds constants."""
    match job.problem:
        case "regression":
            slope, shift = job.labels.std or 1.0, job.labels.base[0]
        case "binary_classification":
            slope, shift = fitted.calibration.slope, fitted.calibration.shift
        case "multiclass_classification":
            slope, shift = fitted.calibration.slope, 0.0
    return float(np.float32(slope)), float(np.float32(shift))


class _Rows:
    """The weights, handed out in the order of the terms."""

    def __init__(self, kernel: NDArray[np.float64], table: NDArray[np.float64]) -> None:
        self._kernel = iter(kernel)
        self._table = iter(table)

    def dense(self) -> NDArray[np.float64]:
        return next(self._kernel)

    def categories(self, names: Iterable[str]) -> dict[str, Weights]:
        return {name: _plain(next(self._table)) for name in names}

    def category(self) -> Weights:
        return _plain(next(self._table))


def _number(encoding: NumberEncoding, rows: _Rows, boolean: bool) -> tuple[NumberPart, Any]:
    """The part, and what standardising adds to the intercepts: `w * (x - mean) / scale = (w / scale) * x + …`."""
    mean, scale, filler = (float(np.float32(value)) for value in (encoding.mean, encoding.scale, encoding.filler))
    weights = rows.dense() / scale
    part = NumberPart(
        name=encoding.name,
        kind="boolean" if boolean else "numeric",
        weights=_plain(weights),
        missing_as=mean + filler * scale,
        missing_adds=_plain(rows.dense()) if encoding.indicator else None,
    )
    return part, -weights * mean


def _category(encoding: CategoryEncoding, rows: _Rows) -> CategoryPart:
    return CategoryPart(
        name=encoding.name,
        values=rows.categories(value.decode() for value in encoding.values),
        other=rows.category(),
        missing=rows.category() if encoding.has_missing else None,
    )


def _moment(encoding: MomentEncoding, rows: _Rows) -> MomentPart:
    waves = []
    for term in encoding.dense_terms():
        name = term.removeprefix(f"{encoding.name}: ")
        period, whole_days = _PERIODS[name.split(",")[0]]
        wave: Literal["sin", "cos"] = "cos" if name.endswith("cosine") else "sin"
        waves.append(Wave(name, wave, period, whole_days, _plain(rows.dense())))
    *weekdays, _ = (day.removeprefix(f"{encoding.name}: ") for day in encoding.categories())
    return MomentPart(
        name=encoding.name, waves=tuple(waves), weekdays=rows.categories(weekdays), missing=rows.category()
    )


def _plain(values: NDArray[np.float64]) -> Weights:
    # Adding zero makes a negative zero positive.
    return tuple(float(value) + 0.0 for value in values)
