"""What a difference between two scores of a row is measured in, so that one limit does for every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components._shared.model_info import ModelInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray


def scales(stored: NDArray[Any], info: ModelInfo, added: NDArray[Any] | None = None) -> NDArray[Any]:
    """The scale of each score: a difference is allowed so many times the limit.

    A probability has the scale 1. Scores of a regression are 32-bit floats of any size, of which only the leading
    digits can be the same: the scale is the score's own size, but not less than the label's standard deviation, and not
    less than what was added up to the score. It is that of the row alone: an extreme one does not loosen the others.

    Args:
        stored: The stored scores, [rows, outputs].
        info: Of the model.
        added: The absolute values of what was added up to each score, summed; None: not known.
    """
    import numpy as np

    if info.learning.problem != "regression":
        return np.ones_like(stored)
    # Training takes no deviation, and one that was not recorded, for 1.
    sizes = np.maximum(np.abs(stored), info.label_std or 1.0)
    return sizes if added is None else np.asarray(np.maximum(sizes, added))
