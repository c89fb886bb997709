"""Which registries hold models that were made from a data root: whoever removes its rows must have looked into them.

`plan`, which is given both roots, writes it down before a run reads or writes anything else::

    <data root>/registries/<digest of the registry's URI>.json
"""

from __future__ import annotations

from components._shared import storage
from components._shared.contract import digest_of
from components._shared.errors import CorruptError, InputError
from components._shared.records import KnownRegistry

_FOLDER = "registries"


def remember_registry(data_root: str, registry: str) -> None:
    """Writes down that models of this registry are made from this data root."""
    known = KnownRegistry(registry=registry.rstrip("/"))
    storage.ensure(storage.join(data_root, _FOLDER, f"{digest_of(known.registry)}.json"), known.to_json().encode())


def known_registries(data_root: str) -> dict[str, str]:
    """Registry → URI of its record.

    Raises:
        CorruptError: A record cannot be read.
    """
    found = {}
    for info in storage.list_objects(storage.join(data_root, _FOLDER)):
        try:
            found[KnownRegistry.from_json(storage.read(info.uri), where=info.uri).registry] = info.uri
        except InputError as cause:
            raise CorruptError(
                "A record of a registry cannot be read, so nobody knows which rows are needed; nothing was removed",
                where=info.uri,
                fix="delete that object and give the registry with --registry; the next run there writes it again",
            ) from cause
    return found
