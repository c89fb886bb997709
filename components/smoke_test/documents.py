"""What the readers of a model's documents have in common: the columns that they take, what they answer and refuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from components._shared.task import FeatureKind


class UnknownDocumentError(Exception):
    """The document holds what its reader does not know, or does not follow the standard; the message says what."""


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Attributes:
        values: 64-bit floats; a value that is not there is NaN.
        missing: Which values are not there; NaN and infinity may be.
    """

    values: NDArray[Any]
    missing: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Texts:
    """A column of texts: distinct values, and for each row the position of its own; -1: missing."""

    values: tuple[str, ...]
    codes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.codes)


Column = Numbers | Texts


@dataclass(frozen=True)
class Answers:
    """What a document answers.

    Attributes:
        scores: [rows, outputs].
        added: The absolute values of all that was added up to a score, summed; of what is no sum (a probability), its
            own. [rows, outputs].
    """

    scores: NDArray[Any]
    added: NDArray[Any]


class Document(Protocol):
    """A document that scores rows."""

    def answer(self, columns: Mapping[str, Column]) -> Answers:
        """What it answers.

        Args:
            columns: Field → its values, not none.

        Raises:
            UnknownDocumentError: It does not say what to do with these values, or breaks off.
        """


def given_columns(rows: pa.RecordBatch, features: Mapping[str, FeatureKind]) -> dict[str, Column]:
    """The rows as whoever scores with a document has them: nothing is rounded or filled in.

    Args:
        rows: Raw feature columns.
        features: Feature → kind.
    """
    return {name: _given(rows.column(rows.schema.get_field_index(name)), kind) for name, kind in features.items()}


def _given(column: pa.Array, kind: FeatureKind) -> Column:
    import numpy as np
    import pyarrow as pa

    match kind:
        case "numeric":
            return _numbers(column)
        case "boolean":
            numbers = _numbers(column).values
            return Texts(("false", "true"), np.where(np.isnan(numbers), -1, numbers != 0))
        case "categorical":
            encoded = column.cast(pa.string()).dictionary_encode()
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            return Texts(tuple(encoded.dictionary.to_pylist()), codes)
        case "datetime":
            moments = column.cast(pa.timestamp("us")) if pa.types.is_date(column.type) else column
            return _numbers(moments.cast(pa.int64()))


def _numbers(column: pa.Array) -> Numbers:
    import pyarrow as pa

    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Numbers(values, column.is_null().to_numpy(zero_copy_only=False))


@contextmanager
def following_the_standard() -> Iterator[None]:
    """Says of a document that is not even right what stands in the way."""
    import numpy as np

    try:
        # Numbers that cannot be had are NaN, and found where scores are compared.
        with np.errstate(all="ignore"):
            yield
    except KeyError as cause:
        raise UnknownDocumentError(f"a name or an attribute is not there: {cause}") from cause
    except RecursionError as cause:
        raise UnknownDocumentError("its expressions stand in one another too deeply") from cause
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as cause:
        raise UnknownDocumentError(f"it does not follow the standard: {cause}") from cause


def refuse_twice(what: str, names: Iterable[str]) -> None:
    """Refuses a document in which a name stands twice: readers differ in which of them counts."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UnknownDocumentError(f"it has more than one {what} {twice[0]!r}")
