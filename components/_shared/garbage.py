"""Garbage collection: what nothing recorded or recent needs, in a data root and in the registries that it knows.

What is kept: every dataset that a version or a recorded attempt was made of, what those were made of in turn, every
dataset whose manifest is younger than the grace period, and every shard younger than it. A run that finds an old shard
or manifest marks it as new (`storage.ensure`). So the grace period must be longer than the longest run.

All registries that the data root knows are looked into, whether they are named or not. What killed writers left goes
too: temporary files, checkpoints of trainings that nobody went on with, versions that never became whole, files of
attempts that no record names.

The model of a rejected candidate is kept for its promise (`ledger.py`). It goes once the book of that is closed: not by
the clock alone, but when a run as of a later moment is on record too. Runs that look at the past, one month after the
other in an afternoon, find the models that they settle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from components._shared import storage
from components._shared.cache_epoch import count_up
from components._shared.errors import CorruptError, InputError, PreconditionError, RegistryError
from components._shared.known_registries import known_registries
from components._shared.manifest import Manifest, Shard
from components._shared.records import TURNED_DOWN, Attempt
from components._shared.registry import LOSER, SAVED_MODEL, Registry, in_parallel, open_root, tasks_in
from components._shared.storage import ObjectInfo

_SHARD = re.compile(r".*/shards/[0-9a-f]{64}\.parquet")
_MANIFEST = re.compile(r".*/manifests/[0-9a-f]{64}\.json")
_FILES = re.compile(r"(attempts/[^/]+/[0-9a-f]{64})/")
_LOCK = ".saiki-lock"
_CHECKPOINTS = "checkpoints"
_CLAIM = "lineage.json"


@dataclass(frozen=True)
class Garbage:
    """What may be removed.

    Attributes:
        strays: Temporary files of writers that were killed.
        checkpoints: Files of trainings that were killed and not gone on with.
        versions: Files of versions that never became whole, the claim of each number before the rest.
        losers: Files of models of rejected candidates whose book is closed.
        unrecorded: Files of attempts that no record names.
        registries: All that were looked into.
        kept_shards, kept_manifests: How many stay.
        elsewhere: Datasets of recorded attempts whose manifest is not under this data root.
    """

    shards: tuple[ObjectInfo, ...]
    manifests: tuple[ObjectInfo, ...]
    strays: tuple[ObjectInfo, ...]
    checkpoints: tuple[ObjectInfo, ...]
    versions: tuple[ObjectInfo, ...]
    losers: tuple[ObjectInfo, ...]
    unrecorded: tuple[ObjectInfo, ...]
    registries: tuple[str, ...]
    kept_shards: int
    kept_manifests: int
    elsewhere: int

    @property
    def objects(self) -> tuple[ObjectInfo, ...]:
        """All of it, manifests before the shards that they name."""
        return (
            *self.manifests, *self.shards, *self.strays, *self.checkpoints, *self.versions, *self.losers,
            *self.unrecorded,
        )  # fmt: skip

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(info.size for info in self.objects)


def find_garbage(data_root: str, registries: Sequence[str], *, older_than: datetime) -> Garbage:
    """Looks for garbage and removes nothing.

    Args:
        registries: Roots of registries whose models were made from this data root, besides those that it knows.
        older_than: What was written or used since then is kept: now less the grace period.

    Raises:
        RegistryError: There is no registry at all, one is not there, or a record in it cannot be read.
        CorruptError: A manifest cannot be read, so nobody knows what it needs.
    """
    roots = _all_registries(data_root, registries)
    tasks = [Registry(root, task) for root in roots for task in tasks_in(root)]
    attempts = [list(task.tries().values()) for task in tasks]
    needed = _recorded(tasks, attempts)
    losers, unrecorded = _files_of_attempts(tasks, attempts, older_than)
    stored = [info for info in storage.list_objects(storage.join(data_root, "manifests")) if _MANIFEST.match(info.uri)]
    manifests = dict(zip(stored, in_parallel(_read, [info.uri for info in stored]), strict=True))
    kept = _reachable(manifests, needed, older_than)
    shards = {shard.uri.rsplit("/", 1)[-1] for info in kept for shard in _shards(manifests[info])}
    there = [info for info in storage.list_objects(storage.join(data_root, "shards")) if _SHARD.match(info.uri)]
    dead = [info for info in there if info.modified < older_than and info.uri.rsplit("/", 1)[-1] not in shards]
    return Garbage(
        shards=tuple(dead),
        manifests=tuple(info for info in stored if info not in kept),
        strays=tuple(_strays([data_root, *roots], older_than)),
        checkpoints=tuple(_left(storage.join(data_root, _CHECKPOINTS), older_than)),
        versions=tuple(_begun_versions(tasks, older_than)),
        losers=tuple(losers),
        unrecorded=tuple(unrecorded),
        registries=roots,
        kept_shards=len(there) - len(dead),
        kept_manifests=len(kept),
        elsewhere=len(needed - {manifest.digest for manifest in manifests.values()}),
    )


def remove_garbage(data_root: str, garbage: Garbage) -> int:
    """Removes it, what has been used again since it was found excepted.

    First the cache epoch grows, so that no run that is planned from now on takes a cached step's manifest of it.

    Returns:
        How many objects were removed.
    """
    if not garbage.objects:
        return 0
    if garbage.shards or garbage.manifests:
        count_up(data_root)
    parts = (
        garbage.manifests, garbage.shards, garbage.strays, garbage.checkpoints, garbage.unrecorded,
        # A model without its SavedModel is not there: readers never see half of one.
        [info for info in garbage.losers if info.uri.endswith(f"/{SAVED_MODEL}")],
        [info for info in garbage.losers if not info.uri.endswith(f"/{SAVED_MODEL}")],
    )  # fmt: skip
    return sum(sum(in_parallel(_remove, part)) for part in parts) + _remove_versions(garbage.versions)


def _all_registries(data_root: str, named: Iterable[str]) -> tuple[str, ...]:
    known = known_registries(data_root)
    roots = tuple(sorted({root.rstrip("/") for root in named} | known.keys()))
    if not roots:
        raise RegistryError(
            "Nobody knows which registries hold models of this data root, so everything would look like garbage",
            where=data_root,
            fix="correct --data-root, or name every registry with --registry",
        )
    for root in roots:
        try:
            open_root(root, create=False)
        except RegistryError as cause:
            if root not in known:
                raise
            raise RegistryError(
                f"Models of this data root are kept in a registry that is not there: {cause.what}",
                where=root,
                fix=f"bring it back; or, if it was moved or given up for good, delete {known[root]}, give the new "
                "place with --registry, and run this again",
            ) from cause
    return roots


def _recorded(tasks: Iterable[Registry], attempts: Iterable[Sequence[Attempt]]) -> set[str]:
    """Digests of the datasets that versions and attempts were made of."""
    digests: set[str] = set()
    for registry, tried in zip(tasks, attempts, strict=True):
        made_from = [attempt.made_from for attempt in tried]
        made_from += [version.lineage.made_from for version in registry.versions()]
        digests |= {digest for made in made_from for name, digest in made.items() if name != "learning"}
    return digests


def _reachable(manifests: dict[ObjectInfo, Manifest], needed: set[str], older_than: datetime) -> set[ObjectInfo]:
    """The manifests that are recent or needed, and those that they were made from."""
    by_digest: dict[str, list[ObjectInfo]] = {}
    for info, manifest in manifests.items():
        by_digest.setdefault(manifest.digest, []).append(info)
    waiting = [info for info, manifest in manifests.items() if info.modified >= older_than or manifest.digest in needed]
    kept: set[ObjectInfo] = set()
    while waiting:
        info = waiting.pop()
        if info not in kept:
            kept.add(info)
            waiting += [parent for digest in manifests[info].made_from.values() for parent in by_digest.get(digest, [])]
    return kept


def _shards(manifest: Manifest) -> Iterator[Shard]:
    yield from manifest.shards
    yield from manifest.set_aside
    yield from manifest.without_label


def _left(folder: str, older_than: datetime) -> Iterator[ObjectInfo]:
    """The objects of every folder below in which nothing was written since."""
    for group in _by_folder(storage.list_objects(folder), folder).values():
        if all(info.modified < older_than for info in group):
            yield from group


def _by_folder(found: Iterable[ObjectInfo], above: str) -> dict[str, list[ObjectInfo]]:
    groups: dict[str, list[ObjectInfo]] = {}
    for info in found:
        groups.setdefault(info.uri.removeprefix(above.rstrip("/") + "/").split("/")[0], []).append(info)
    return groups


def _files_of_attempts(
    tasks: Iterable[Registry], attempts: Iterable[Sequence[Attempt]], older_than: datetime
) -> tuple[list[ObjectInfo], list[ObjectInfo]]:
    """Of the files of attempts: models of losers that nothing settles any more, and what no record names."""
    losers: list[ObjectInfo] = []
    unrecorded: list[ObjectInfo] = []
    for registry, tried in zip(tasks, attempts, strict=True):
        recorded = {attempt.files for attempt in tried}
        closed = {attempt.files for attempt in tried if _is_closed(attempt, tried, older_than)}
        home = storage.join(registry.root, registry.task) + "/"
        for info in storage.list_objects(storage.join(home, "attempts")):
            name = info.uri.removeprefix(home)
            found = _FILES.match(name)
            if found is None or info.modified >= older_than:
                continue
            if found[1] not in recorded:
                unrecorded.append(info)
            elif found[1] in closed and name.startswith(f"{found[1]}/{LOSER}/"):
                losers.append(info)
    return losers, unrecorded


def _is_closed(attempt: Attempt, tried: Iterable[Attempt], older_than: datetime) -> bool:
    """Whether nothing settles a rejected candidate any more, by the clock and by the runs that have been since."""
    if attempt.result not in TURNED_DOWN or attempt.promise is None or attempt.promise.closed is None:
        return False
    return attempt.promise.closed < older_than and any(attempt.promise.closed < other.windows.as_of for other in tried)


def _begun_versions(tasks: Iterable[Registry], older_than: datetime) -> Iterator[ObjectInfo]:
    for registry in tasks:
        folder = storage.join(registry.root, registry.task, "versions")
        for number, group in _by_folder(storage.list_objects(folder), folder).items():
            whole = storage.join(folder, number, SAVED_MODEL)
            if all(info.uri != whole and info.modified < older_than for info in group):
                yield from sorted(group, key=lambda info: not info.uri.endswith(f"/{_CLAIM}"))


def _remove_versions(files: Iterable[ObjectInfo]) -> int:
    """Removes the claim first: a writer that goes on with the version at this moment keeps it, and all the rest."""
    removed = 0
    claimed: set[str] = set()
    for info in files:
        folder, _, name = info.uri.partition("/versions/")
        version = f"{folder}/{name.split('/')[0]}"
        gone = version not in claimed and _remove(info)
        removed += gone
        if not gone and name.endswith(f"/{_CLAIM}"):
            claimed.add(version)
    return removed


def _strays(roots: Iterable[str], older_than: datetime) -> Iterator[ObjectInfo]:
    for root in roots:
        for info in storage.list_strays(root):
            if info.modified < older_than and not info.uri.endswith(_LOCK):
                yield info


def _read(uri: str) -> Manifest:
    try:
        return Manifest.from_json(storage.read(uri), where=uri)
    except InputError as cause:
        raise CorruptError(
            "A manifest cannot be read, so nobody knows which shards it needs; nothing was removed",
            where=uri,
            fix="restore it from a backup, or remove it yourself if no run needs its dataset any more",
        ) from cause


def _remove(info: ObjectInfo) -> bool:
    found = storage.stat(info.uri)
    if found is None or found.modified != info.modified:
        return False
    try:
        storage.delete(info.uri, generation=found.generation)
    except PreconditionError:
        return False
    return True
