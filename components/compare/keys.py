"""Keys of rows as numbers: 32 hexadecimal digits, which are a hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components._shared.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Keys = npt.NDArray[np.uint64]
"""Rows × 2: the first and the last 16 digits."""


def numbers(keys: pa.Array) -> Keys:
    """The 32 hexadecimal digits of each key as two numbers of 64 bits: they are sorted twenty times as fast as texts.

    Raises:
        DataError: A key is none.
    """
    offsets = np.frombuffer(keys.buffers()[1], np.int32)[keys.offset : keys.offset + len(keys) + 1]
    if (np.diff(offsets) != 32).any():
        raise DataError("A _key does not have 32 digits: these rows were not written by `ingest`", where="predictions")
    digits = np.frombuffer(keys.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    # 0 … 9 are 48 … 57, a … f are 97 … 102.
    values = (digits & 15) + 9 * (digits >> 6)
    packed = (values[::2] << 4 | values[1::2]).astype(np.uint8)
    found: Keys = packed.view(">u8").astype(np.uint64).reshape(len(keys), 2)
    return found


def last_digits(keys: pa.Array) -> npt.NDArray[np.uint64]:
    """The last 16 digits of each key as a number.

    Raises:
        DataError: A key is none.
    """
    return numbers(keys)[:, 1]
