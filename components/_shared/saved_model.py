"""A SavedModel loaded as a model server loads it: by its `serving_default` signature, without the code that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components._shared.errors import CorruptError, ModelError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Strings:
    """Text values of a column, each distinct value once.

    Attributes:
        values: Distinct values, UTF-8.
        codes: Position in `values` for each row.
    """

    values: tuple[bytes, ...]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class TensorSpec:
    """A signature's input or output.

    Attributes:
        dtype: `float32`, `int64`, `string` …
        shape: Sizes, -1 where any size goes; None: not known.
    """

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """The `serving_default` signature: argument name → input, result name → output."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


class SavedModel:
    """A loaded SavedModel that answers its `serving_default` signature.

    Args:
        model_dir: The SavedModel's directory.

    Raises:
        NotFoundError, CorruptError: There is no SavedModel, or it is not one.
        ModelError: TensorFlow does not load it, or it has no such signature.
    """

    def __init__(self, model_dir: Path) -> None:
        path = model_dir / "saved_model.pb"
        if not path.is_file():
            raise NotFoundError("There is no SavedModel here", where=str(path))
        import tensorflow as tf

        self._where = str(model_dir)
        try:
            # Kept: the signature's function does not keep the variables that it reads alive.
            self._model = tf.saved_model.load(self._where)
        except OSError as cause:
            raise CorruptError("This is not a SavedModel", where=str(path)) from cause
        except (ValueError, TypeError, KeyError, RuntimeError, tf.errors.OpError) as cause:
            raise ModelError(f"The SavedModel does not load: {_first_line(cause)}", where=self._where) from cause
        if SIGNATURE not in self._model.signatures:
            raise ModelError(f"The SavedModel has no signature '{SIGNATURE}'", where=str(path))
        self._serve = self._model.signatures[SIGNATURE]
        self.signature = Signature(
            inputs=_specs(self._serve.structured_input_signature[1]), outputs=_specs(self._serve.structured_outputs)
        )

    def answer(self, inputs: Mapping[str, NDArray[Any] | Strings]) -> dict[str, NDArray[Any]]:
        """Runs the signature on a batch.

        Args:
            inputs: Argument → one value per row; every argument of the signature.

        Returns:
            Result name → array, its first axis the rows.

        Raises:
            ModelError: An argument is missing, unknown or of the wrong type, or the graph raised.
        """
        import tensorflow as tf

        wrong = set(self.signature.inputs) ^ set(inputs)
        if wrong:
            raise ModelError(
                f"The model's arguments and those given differ: {', '.join(sorted(wrong))}", where=self._where
            )
        tensors = {name: _tensor(values) for name, values in inputs.items()}
        for name, tensor in tensors.items():
            if tensor.dtype.name != self.signature.inputs[name].dtype:
                raise ModelError(
                    f"The model takes {self.signature.inputs[name].dtype} for '{name}', not {tensor.dtype.name}",
                    where=self._where,
                )
        try:
            return {name: tensor.numpy() for name, tensor in self._serve(**tensors).items()}
        except (ValueError, TypeError, tf.errors.OpError) as cause:
            raise ModelError(f"The model does not answer: {_first_line(cause)}", where=self._where) from cause


def _tensor(values: NDArray[Any] | Strings) -> Any:
    """One column as [rows, 1]."""
    import tensorflow as tf

    if isinstance(values, Strings):
        return tf.gather(tf.constant(values.values or (b"",)), values.codes)[:, tf.newaxis]
    return tf.constant(values.reshape(-1, 1))


def _specs(tensors: Mapping[str, Any]) -> dict[str, TensorSpec]:
    def shape(spec: Any) -> tuple[int, ...] | None:
        return None if spec.shape.rank is None else tuple(-1 if size is None else size for size in spec.shape)

    return {name: TensorSpec(dtype=spec.dtype.name, shape=shape(spec)) for name, spec in sorted(tensors.items())}


def _first_line(cause: Exception) -> str:
    lines = [line for line in str(cause).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(cause).__name__
