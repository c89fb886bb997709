"""The cache epoch of a data root: a value that `ingest` is given, so that no cached step hands on a dead manifest.

It changes when shards were collected as garbage. A data root that was lost, or emptied, begins another one: KFP's cache
looks at the manifest, which is an artifact, and never at the shards that it names.
"""

from __future__ import annotations

import secrets

from components._shared import storage
from components._shared.errors import NotFoundError, PreconditionError
from components._shared.records import CacheEpoch

FILE = "cache-epoch.json"


def cache_epoch(data_root: str) -> str:
    """The epoch as text; a data root that has none gets one."""
    uri = storage.join(data_root, FILE)
    while True:
        epoch, _ = _read(uri)
        if epoch is not None:
            return f"{epoch.epoch}-{epoch.root}"
        _replace(uri, _first(), None)


def count_up(data_root: str) -> None:
    """Begins the next epoch."""
    uri = storage.join(data_root, FILE)
    while True:
        epoch, generation = _read(uri)
        epoch = epoch or _first()
        if _replace(uri, epoch.model_copy(update={"epoch": epoch.epoch + 1}), generation):
            return


def _first() -> CacheEpoch:
    return CacheEpoch(epoch=0, root=secrets.token_hex(8))


def _read(uri: str) -> tuple[CacheEpoch | None, str | None]:
    try:
        text, generation = storage.read_versioned(uri)
    except NotFoundError:
        return None, None
    return CacheEpoch.from_json(text, where=uri), generation


def _replace(uri: str, epoch: CacheEpoch, generation: str | None) -> bool:
    """Whether nobody was faster."""
    try:
        storage.replace(uri, epoch.to_json().encode(), generation=generation)
    except PreconditionError:
        return False
    return True
