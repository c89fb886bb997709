"""From raw feature columns to what a network takes: learned in one pass over *train*, then done twice, and alike.

`Encoding.encode` does it in numpy while training, so that the epochs work on finished numbers; `Encoding.tensors` does
it in the graph of the exported model, which takes raw columns.

A row becomes a vector of numbers (`dense`) and a list of positions in one table of categories (`index`). A categorical
feature has one position, so adding up the table's rows at these positions is a dense layer over one-hot columns, at the
cost of a look-up. Each category having weights of its own, that is also what an embedding is.

===========  ==================================================================================================
numeric      (value - mean) / standard deviation; missing or infinite: 0
boolean      0 or 1; missing: the mean
categorical  a position per frequent value, one for all others (`(other)`), one for missing if *train* has any
datetime     hour of the day and day of the year as sine and cosine, weekday as a category
             (one for missing); all in UTC, since a TensorFlow graph knows no time zones
===========  ==================================================================================================

Numbers and booleans that are missing somewhere in *train* also get an indicator of being missing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from components._shared.model_inputs import MISSING_MOMENT
from components._shared.saved_model import Strings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from components._shared.model_info import ModelInput
    from components._shared.task import FeatureKind
    from components.train.job import LabelledRows

OTHER = "(other)"
MISSING = "(missing)"

_DAY = 86_400_000_000
_HOUR = 3_600_000_000
_YEAR_DAYS = 365.2425
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class NumberEncoding:
    """A numeric or boolean feature: `(value - mean) / scale`, and `filler` where it is missing.

    Attributes:
        indicator: Whether being missing is a term of its own.
    """

    name: str
    mean: float
    scale: float
    filler: float
    indicator: bool

    def dense_terms(self) -> list[str]:
        """Names of the numbers that it becomes."""
        return [self.name, *([f"{self.name}={MISSING}"] if self.indicator else [])]

    def categories(self) -> list[str]:
        """Names of its positions in the table of categories."""
        return []

    def untrained(self) -> list[int]:
        """Positions of its own that *train* never used."""
        return []

    def encode(self, values: Any) -> tuple[list[NDArray[np.float32]], NDArray[np.int32] | None]:
        """Its numbers and its position, in numpy."""
        missing = ~np.isfinite(values)
        scaled = (values - np.float32(self.mean)) / np.float32(self.scale)
        number = np.where(missing, np.float32(self.filler), scaled).astype("float32")
        return [number, *([missing.astype("float32")] if self.indicator else [])], None

    def tensors(self, values: Any) -> tuple[list[Any], Any]:
        """The same in the graph; `values` is [batch, 1]."""
        import tensorflow as tf

        missing = tf.logical_not(tf.math.is_finite(values))
        scaled = (values - tf.constant(self.mean, tf.float32)) / tf.constant(self.scale, tf.float32)
        number = tf.where(missing, tf.constant(self.filler, tf.float32), scaled)
        return [number, *([tf.cast(missing, tf.float32)] if self.indicator else [])], None


@dataclass(frozen=True)
class CategoryEncoding:
    """A categorical feature.

    Attributes:
        values: The values that have a position of their own, most frequent first.
        has_other: Whether *train* holds rarer values, so that the position of others has been learned.
        has_missing: Whether *train* holds missing values; else they go to the others.
    """

    name: str
    values: tuple[bytes, ...]
    has_other: bool
    has_missing: bool

    def dense_terms(self) -> list[str]:
        """Names of the numbers that it becomes."""
        return []

    def categories(self) -> list[str]:
        """Names of its positions in the table of categories."""
        words = [value.decode(errors="replace") for value in self.values]
        return [f"{self.name}={word}" for word in [*words, OTHER, *([MISSING] if self.has_missing else [])]]

    def untrained(self) -> list[int]:
        """Positions of its own that *train* never used."""
        return [] if self.has_other else [len(self.values)]

    def encode(self, values: Strings) -> tuple[list[NDArray[np.float32]], NDArray[np.int32]]:
        """Its numbers and its position, in numpy."""
        positions = self._positions()
        other = len(self.values)
        known = np.array([positions.get(value, other) for value in values.values], dtype="int32")
        return [], known[values.codes] if len(values) else np.zeros(0, dtype="int32")

    def table(self) -> Any:
        """The look-up table of its positions, a resource of the graph."""
        import tensorflow as tf

        positions = self._positions()
        content = tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(positions), tf.string), tf.constant(list(positions.values()), tf.int32)
        )
        return tf.lookup.StaticHashTable(content, default_value=len(self.values))

    def tensors(self, values: Any, table: Any) -> tuple[list[Any], Any]:
        """The same in the graph; `values` is [batch, 1]."""
        return [], table.lookup(values)

    def _positions(self) -> dict[bytes, int]:
        found = {value: position for position, value in enumerate(self.values)}
        found[b""] = len(self.values) + (1 if self.has_missing else 0)
        return found


@dataclass(frozen=True)
class MomentEncoding:
    """A datetime feature.

    Attributes:
        hours: Whether the hour of the day differs between rows.
        has_missing: Whether *train* holds missing moments, so that the weekday of these has been learned.
    """

    name: str
    hours: bool
    has_missing: bool

    def dense_terms(self) -> list[str]:
        """Names of the numbers that it becomes."""
        parts = ["hour of day", "day of year"] if self.hours else ["day of year"]
        return [f"{self.name}: {part}, {wave}" for part in parts for wave in ("sine", "cosine")]

    def categories(self) -> list[str]:
        """Names of its positions in the table of categories."""
        return [f"{self.name}: {day}" for day in (*_WEEKDAYS, MISSING)]

    def untrained(self) -> list[int]:
        """Positions of its own that *train* never used."""
        return [] if self.has_missing else [len(_WEEKDAYS)]

    def encode(self, values: NDArray[np.int64]) -> tuple[list[NDArray[np.float32]], NDArray[np.int32]]:
        """Its numbers and its position, in numpy."""
        missing = values == MISSING_MOMENT
        moment = np.where(missing, 0, values)
        days = moment // _DAY
        turns = [days.astype("float64") % _YEAR_DAYS / _YEAR_DAYS]
        if self.hours:
            turns.insert(0, (moment % _DAY).astype("float64") / _DAY)
        waves = [wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos)]
        dense = [np.where(missing, 0.0, wave).astype("float32") for wave in waves]
        weekday = np.where(missing, len(_WEEKDAYS), (days + 3) % 7).astype("int32")
        return dense, weekday

    def tensors(self, values: Any) -> tuple[list[Any], Any]:
        """The same in the graph; `values` is [batch, 1]."""
        import tensorflow as tf

        missing = tf.equal(values, tf.constant(MISSING_MOMENT, tf.int64))
        moment = tf.where(missing, tf.constant(0, tf.int64), values)
        days = moment // _DAY
        turns = [tf.math.floormod(tf.cast(days, tf.float64), tf.constant(_YEAR_DAYS, tf.float64)) / _YEAR_DAYS]
        if self.hours:
            turns.insert(0, tf.cast(tf.math.floormod(moment, _DAY), tf.float64) / _DAY)
        waves = [wave(2 * np.pi * turn) for turn in turns for wave in (tf.sin, tf.cos)]
        dense = [tf.where(missing, 0.0, tf.cast(wave, tf.float32)) for wave in waves]
        weekday = tf.where(missing, len(_WEEKDAYS), tf.cast(tf.math.floormod(days + 3, 7), tf.int32))
        return dense, weekday


FeatureEncoding = NumberEncoding | CategoryEncoding | MomentEncoding


@dataclass(frozen=True)
class Encoding:
    """The preprocessing of all features, as *train* has taught it."""

    features: tuple[FeatureEncoding, ...]

    @property
    def dense_terms(self) -> list[str]:
        """Names of the numbers of a row."""
        return [term for feature in self.features for term in feature.dense_terms()]

    @property
    def categories(self) -> list[str]:
        """Names of the rows of the table of categories."""
        return [category for feature in self.features for category in feature.categories()]

    @property
    def positions(self) -> int:
        """Positions that a row has in the table of categories."""
        return sum(bool(feature.categories()) for feature in self.features)

    def untrained(self) -> list[int]:
        """Rows of the table of categories that no row of *train* uses: unseen values meet them when serving."""
        return [
            start + own
            for start, feature in zip(self._starts(), self.features, strict=True)
            for own in feature.untrained()
        ]

    def encode(self, values: Mapping[str, Any], rows: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Rows in numpy: [rows, numbers] and [rows, positions]."""
        dense = np.empty((rows, len(self.dense_terms)), dtype="float32")
        index = np.empty((rows, self.positions), dtype="int32")
        column = position = 0
        for start, feature in zip(self._starts(), self.features, strict=True):
            numbers, own = feature.encode(values[feature.name])
            for number in numbers:
                dense[:, column] = number
                column += 1
            if own is not None:
                index[:, position] = own + start
                position += 1
        return dense, index

    def tables(self) -> dict[str, Any]:
        """The look-up tables of the categorical features, to be tracked by the module that is exported."""
        return {feature.name: feature.table() for feature in self.features if isinstance(feature, CategoryEncoding)}

    def tensors(
        self, arguments: Mapping[str, Any], inputs: Mapping[str, ModelInput], tables: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """The same in the graph, from the signature's arguments of shape [batch, 1]."""
        import tensorflow as tf

        dense: list[Any] = []
        index: list[Any] = []
        for start, feature in zip(self._starts(), self.features, strict=True):
            values = arguments[inputs[feature.name].name]
            if isinstance(feature, CategoryEncoding):
                numbers, own = feature.tensors(values, tables[feature.name])
            else:
                numbers, own = feature.tensors(values)
            dense += numbers
            if own is not None:
                index.append(own + start)
        rows = tf.shape(next(iter(arguments.values())))[0]
        return (
            tf.concat(dense, 1) if dense else tf.zeros([rows, 0], tf.float32),
            tf.concat(index, 1) if index else tf.zeros([rows, 0], tf.int32),
        )

    def _starts(self) -> list[int]:
        sizes = [len(feature.categories()) for feature in self.features]
        return [sum(sizes[:number]) for number in range(len(sizes))]


def learn_encoding(rows: LabelledRows, max_vocabulary: int, min_frequency: int) -> Encoding:
    """One pass over the rows.

    Args:
        rows: *train*.
        max_vocabulary: Most values of a categorical feature that have weights of their own.
        min_frequency: A value that fewer rows have shares the weights of the others.
    """
    learners = {name: _learner(name, kind) for name, kind in rows.features.items()}
    for batch in rows.batches():
        for name, learner in learners.items():
            learner.add(batch.features[name])
    return Encoding(tuple(learner.encoding(max_vocabulary, min_frequency) for learner in learners.values()))


def _learner(name: str, kind: FeatureKind) -> _Learner:
    match kind:
        case "numeric" | "boolean":
            return _NumberLearner(name, scaled=kind == "numeric")
        case "categorical":
            return _CategoryLearner(name)
        case "datetime":
            return _MomentLearner(name)


class _Learner(Protocol):
    """Gathers what an encoding needs, batch by batch."""

    def add(self, values: Any) -> None: ...

    def encoding(self, max_vocabulary: int, min_frequency: int) -> FeatureEncoding: ...


class _NumberLearner:
    """Mean and variance of a stream, merged batch by batch (Chan, Golub and LeVeque 1983)."""

    def __init__(self, name: str, *, scaled: bool) -> None:
        self._name = name
        self._scaled = scaled
        self._rows = self._missing = 0
        self._mean = self._squares = 0.0

    def add(self, values: Any) -> None:
        finite = values[np.isfinite(values)].astype("float64")
        self._missing += len(values) - len(finite)
        if not len(finite):
            return
        mean, total = float(finite.mean()), self._rows + len(finite)
        shift = mean - self._mean
        self._squares += float(((finite - mean) ** 2).sum()) + shift**2 * self._rows * len(finite) / total
        self._mean += shift * len(finite) / total
        self._rows = total

    def encoding(self, max_vocabulary: int, min_frequency: int) -> NumberEncoding:
        std = float(np.sqrt(self._squares / self._rows)) if self._rows else 0.0
        # A column of one value has rounding noise for a deviation: dividing by it would make noise a feature.
        constant = std <= 1e-6 * max(abs(self._mean), 1e-12)
        return NumberEncoding(
            name=self._name,
            mean=self._mean if self._scaled else 0.0,
            scale=std if self._scaled and not constant else 1.0,
            filler=0.0 if self._scaled else self._mean,
            indicator=self._missing > 0,
        )


class _CategoryLearner:
    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: Counter[bytes] = Counter()

    def add(self, values: Strings) -> None:
        counts = np.bincount(values.codes, minlength=len(values.values))
        for value, count in zip(values.values, counts.tolist(), strict=True):
            self._counts[value] += count

    def encoding(self, max_vocabulary: int, min_frequency: int) -> CategoryEncoding:
        missing = self._counts.pop(b"", 0)
        frequent = sorted(
            (value for value, count in self._counts.items() if count >= min_frequency),
            key=lambda value: (-self._counts[value], value),
        )[:max_vocabulary]
        has_other = len(frequent) < sum(count > 0 for count in self._counts.values())
        return CategoryEncoding(self._name, tuple(frequent), has_other=has_other, has_missing=missing > 0)


class _MomentLearner:
    def __init__(self, name: str) -> None:
        self._name = name
        self._hours: set[int] = set()
        self._missing = False

    def add(self, values: NDArray[np.int64]) -> None:
        missing = values == MISSING_MOMENT
        self._missing = self._missing or bool(missing.any())
        self._hours |= set(np.unique(values[~missing] % _DAY // _HOUR).tolist())

    def encoding(self, max_vocabulary: int, min_frequency: int) -> MomentEncoding:
        return MomentEncoding(self._name, hours=len(self._hours) > 1, has_missing=self._missing)
