"""Writes a SavedModel whose `serving_default` signature takes raw feature columns and answers `score`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components._shared.model_info import ModelInput


def write_saved_model(
    model_dir: Path,
    inputs: Mapping[str, ModelInput],
    score: Callable[[dict[str, Any]], Any],
    tracked: Sequence[Any] = (),
) -> None:
    """Writes the SavedModel, without anything that needs Keras or this package to load.

    Args:
        model_dir: Its directory.
        inputs: Feature column → argument of the signature.
        score: From argument → [batch, 1] tensor to the scores, [batch, 1] or [batch, classes], in TensorFlow.
        tracked: Variables, look-up tables and modules that `score` uses.
    """
    import tensorflow as tf

    module = tf.Module()
    module.tracked = list(tracked)
    served = tf.function(lambda **arguments: {"score": score(arguments)}, autograph=False)
    signature = served.get_concrete_function(
        **{given.name: tf.TensorSpec([None, 1], given.dtype, name=given.name) for given in inputs.values()}
    )
    tf.saved_model.save(module, str(model_dir), signatures=signature)
    _make_repeatable(model_dir)


def _make_repeatable(model_dir: Path) -> None:
    """Same model, same bytes: drops the fingerprint, which holds a random number, and orders what has no order."""
    from tensorflow.core.protobuf import saved_model_pb2

    (model_dir / "fingerprint.pb").unlink(missing_ok=True)
    path = model_dir / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    path.write_bytes(saved.SerializeToString(deterministic=True))
