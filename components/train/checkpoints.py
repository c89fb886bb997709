"""Checkpoints: the state of a training after each epoch, so that one that was killed goes on where it was.

::

    <root>/<digest of all that decides the result>/<sha256>.npz    the state, content-addressed, written first
                                                  /latest.json     names it; replaced by compare-and-swap

A checkpoint belongs to one experiment: its folder is named by the digest of rows, learning section and code.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components._shared import storage
from components._shared.errors import NotFoundError, PreconditionError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one experiment.

    Args:
        folder: URI of its folder; empty: none are kept.
    """

    folder: str = ""

    def load(self) -> tuple[dict[str, Any], list[NDArray[Any]]] | None:
        """The last state that was saved whole: plain values and arrays; None: there is none."""
        import numpy as np

        if not self.folder:
            return None
        try:
            pointer = json.loads(storage.read(storage.join(self.folder, "latest.json")))
            content = storage.read(storage.join(self.folder, f"{pointer['sha256']}.npz"))
        except (NotFoundError, ValueError, KeyError, TypeError):
            return None
        if hashlib.sha256(content).hexdigest() != pointer["sha256"]:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return pointer["values"], [arrays[f"a{number}"] for number in range(len(arrays.files))]

    def save(self, values: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
        """Saves a state, then forgets the one before it."""
        import numpy as np

        if not self.folder:
            return
        stream = io.BytesIO()
        np.savez(stream, **{f"a{number}": array for number, array in enumerate(arrays)})  # type: ignore[arg-type]
        content = stream.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        storage.ensure(storage.join(self.folder, f"{sha256}.npz"), content)
        latest = storage.join(self.folder, "latest.json")
        try:
            before, generation = storage.read_versioned(latest)
        except NotFoundError:
            before, generation = b"", None
        pointer = json.dumps({"sha256": sha256, "values": values}).encode()
        try:
            storage.replace(latest, pointer, generation=generation)
        except PreconditionError:
            return  # The same experiment runs elsewhere and was first: its state is as good as this one.
        if before and sha256.encode() not in before:
            storage.delete(storage.join(self.folder, f"{json.loads(before)['sha256']}.npz"))

    def remove(self) -> None:
        """Removes all of them: the training is done."""
        if self.folder:
            for found in storage.list_objects(self.folder):
                storage.delete(found.uri)
