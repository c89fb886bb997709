"""The registry: versions of a task's model, the champion pointer, and the written record of every judgement and move.

Layout: `records.py`. It stays consistent whatever is killed, because each step of a promotion leaves a state that the
next run understands:

::

    lineage.json ── other files ── saved_model.pb ── history/<k>.json ── champion.json ── attempts/<judgement>.json
    claims the                     now readers       a move that has     now it has       now the judgement
    number                         see a version     not happened yet    happened         is settled
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeVar

from components._shared import storage
from components._shared.contract import Contract, digest_of
from components._shared.errors import (
    AlreadyExistsError,
    InputError,
    NotFoundError,
    PreconditionError,
    RegistryError,
)
from components._shared.ledger import Settlement
from components._shared.model_files import MODEL_JSON
from components._shared.model_info import ModelInfo
from components._shared.records import Attempt, Champion, History, Lineage, ModelRef, RegistryMarker

Document = TypeVar("Document", bound=Contract)
Result = TypeVar("Result")

MARKER = "saiki-registry.json"
SAVED_MODEL = "saved_model.pb"
SETTLED = ("promoted", "rejected", "undecided", "already_champion")
"""Results that end a judgement; after the others the same experiment may be judged again, against another champion."""

LOSER = "model"
"""Folder of a rejected candidate's model, among the files of its attempt."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_SETTLED = "settled"


@dataclass(frozen=True)
class Version:
    """A complete version."""

    number: int
    uri: str
    lineage: Lineage


class Registry:
    """One task's part of a registry.

    Args:
        root: Folder or bucket prefix of the registry.
        task: Name of the task.
    """

    def __init__(self, root: str, task: str) -> None:
        if not _NAME.fullmatch(task):
            raise InputError(
                f"{task!r} is not the name of a task",
                where="task",
                fix="lower-case letters, digits, '-' and '_', starting with a letter",
            )
        self.root = root
        self.task = task
        self._home = storage.join(root, task)

    def open(self, create: bool) -> None:
        """Makes sure that the root is a registry.

        Args:
            create: Mark an empty root as a registry.

        Raises:
            RegistryError: It is not one.
        """
        open_root(self.root, create=create)

    def champion(self) -> tuple[Champion | None, str | None]:
        """The pointer and its generation; both None: there was no promotion yet.

        Raises:
            RegistryError: The pointer cannot be read.
        """
        uri = self._uri("champion.json")
        try:
            text, generation = storage.read_versioned(uri)
        except NotFoundError:
            return None, None
        try:
            return Champion.from_json(text, where=uri), generation
        except InputError as cause:
            last = self._last_move()
            number = "VERSION" if last is None else str(last.version)
            raise RegistryError(
                f"The champion pointer cannot be read: {cause.what}",
                where=uri,
                fix=f"write it anew: saiki promote {number} --repair --why '...' (the moves so far: history/ there)",
            ) from cause

    def version_ref(self, number: int) -> ModelRef:
        """A version as a value that a step can be given.

        Raises:
            RegistryError: There is no such version, or it is not complete.
        """
        found = self._version(number)
        if found is None:
            there = ", ".join(str(version.number) for version in self.versions()) or "none"
            raise RegistryError(
                f"There is no version {number} of '{self.task}'", where=self.root, fix=f"use one of: {there}"
            )
        uri = storage.join(found.uri, MODEL_JSON)
        info = self._read(ModelInfo, uri)
        return ModelRef(version=number, uri=found.uri, digest=found.lineage.model_digest, fit_until=info.fit_until)

    def versions(self) -> list[Version]:
        """All complete versions, in order."""
        found = in_parallel(self._version, self._numbers("versions"))
        return [version for version in found if version is not None]

    def attempt(self, judgement: str) -> Attempt | None:
        """The settled record of a judgement, if there is one."""
        uri = self._uri("attempts", f"{judgement}.json")
        try:
            return self._read(Attempt, uri)
        except NotFoundError:
            return None

    def attempts(self) -> list[Attempt]:
        """All settled records, by time."""
        return list(self._attempts([name for name in self._record_names() if "." not in name]).values())

    def tries(self) -> dict[str, Attempt]:
        """Name of the record → attempt, by time: the settled ones, and those that may be judged again."""
        return self._attempts(self._record_names())

    def file_of(self, attempt: Attempt, file: str) -> str:
        """URI of a file of a recorded attempt, such as `report.html`."""
        return self._uri(attempt.files, file)

    def record_attempt(self, attempt: Attempt, files: Mapping[str, Path], *, move: int | None = None) -> Attempt | None:
        """Writes an attempt: its files, then the record.

        A settled judgement has one record for ever. One that may be judged again, or that is promoted after it was
        rejected, gets a record of its own for each state of the pointer.

        The files lie in a folder that is named by their content, and the record names it: of two runs of one judgement
        that write at the same time, neither touches the files of the other, whosever record it is that stays.

        Args:
            move: Number of the history record that belongs to it; none: the one behind the pointer.

        Returns:
            An earlier record, which stands in its place; none: this one was written.
        """
        stem = attempt.judgement
        earlier = self.attempt(attempt.judgement)
        if attempt.result not in SETTLED or (earlier is not None and earlier.result != attempt.result):
            champion, _ = self.champion()
            now = champion.history if champion else 0
            stem = f"{stem}.{attempt.result}-{now if move is None else move}"
        elif earlier is not None:
            return earlier
        uri = self._uri("attempts", f"{stem}.json")
        if storage.exists(uri):
            return self._read(Attempt, uri)
        folder = f"attempts/{stem}/{_digest_of_files(files)}"
        for name, path in files.items():
            storage.ensure(self._uri(folder, name), path)
        try:
            storage.create(uri, attempt.model_copy(update={"files": folder}).to_json().encode())
        except AlreadyExistsError:
            return self._read(Attempt, uri)
        return None

    def attempted_model(self, attempt: Attempt) -> ModelRef | None:
        """The model of an attempt: its version, or what was kept of a rejected one; none: it is not there.

        It is not looked into (so `fit_until` is left out): an old model that cannot be read is no reason to stop for
        those who only name it. Whoever asks it says what is wrong with it.
        """
        if attempt.result == "promoted" and attempt.version is not None:
            version, uri = attempt.version, self._uri("versions", str(attempt.version))
        else:
            version, uri = 0, self.file_of(attempt, LOSER)
        if not storage.exists(storage.join(uri, SAVED_MODEL)):
            return None
        return ModelRef(version=version, uri=uri, digest=attempt.model_digest)

    def record_settlement(self, settlement: Settlement) -> bool:
        """Writes what became of a promise; what was written before stays.

        Its name is the end of the last block: their number means other rows when their length changes.

        Returns:
            Whether it was written.
        """
        end = settlement.whole.window.end.astimezone(UTC)
        uri = self._uri("attempts", settlement.decision.record, _SETTLED, f"{end:%Y-%m-%dT%H%M%SZ}.json")
        if storage.exists(uri):
            return False
        try:
            storage.create(uri, settlement.to_json().encode())
        except AlreadyExistsError:
            return False
        return True

    def settlements(self, name: str) -> list[Settlement]:
        """What became of an attempt's promise, after ever more blocks of later rows; the last one counts.

        Args:
            name: Of the record, as `tries` gives it.
        """
        uris = [info.uri for info in storage.list_objects(self._uri("attempts", name, _SETTLED))]
        found = in_parallel(lambda uri: self._read(Settlement, uri), [uri for uri in uris if uri.endswith(".json")])
        return sorted(found, key=lambda each: each.whole.window.end)

    def add_version(self, model_dir: Path, lineage: Lineage, files: Mapping[str, Path] | None = None) -> int:
        """Writes a version; the same model of the same judgement has one number, however often this is begun.

        Args:
            model_dir: A SavedModel with `model.json`.
            files: Further files to stand beside it, such as the verdict.

        Returns:
            Its number.

        Raises:
            InputError: The directory holds no SavedModel.
        """
        if not (model_dir / SAVED_MODEL).is_file():
            raise InputError(
                f"This model has no {SAVED_MODEL}",
                where=str(model_dir),
                fix="a trainer exports a TensorFlow SavedModel into the directory that it is given",
            )
        number = self._claim(lineage)
        home = self._uri("versions", str(number))
        for path in sorted(path for path in model_dir.rglob("*") if path.is_file()):
            name = path.relative_to(model_dir).as_posix()
            if name != SAVED_MODEL:
                storage.ensure(storage.join(home, name), path)
        for name, path in (files or {}).items():
            _put(storage.join(home, name), path)
        storage.ensure(storage.join(home, SAVED_MODEL), model_dir / SAVED_MODEL)
        return number

    def promote(self, version: int, *, generation: str | None, who: str, why: str, judgement: str = "") -> Champion:
        """Makes a version the champion, if it is not. The first one also becomes the pinned reference. A hold stays.

        Args:
            generation: Of the pointer, as it was read when this was decided.

        Raises:
            PreconditionError: The pointer has moved since.
            RegistryError: There is no such version.
        """
        current, found = self.champion()
        if found != generation:
            raise PreconditionError("Another version was promoted meanwhile", where=self._uri("champion.json"))
        if current is not None and current.version == version:
            return current
        reference = self._reference(version) if current is None else current.reference
        hold = current.hold if current else ""
        return self._move(
            "promotion", current, generation, version=version, reference=reference, hold=hold, why=why, who=who,
            judgement=judgement,
        )  # fmt: skip

    def rollback(self, *, who: str, why: str, to: int | None = None) -> Champion:
        """Makes an earlier version the champion again, and holds it: the schedule promotes nothing until the release.

        Args:
            to: The version; none: see `champion_before`.

        Raises:
            RegistryError: There is no earlier champion, or no such version.
            PreconditionError: The pointer moved at the same moment.
        """
        current, generation = self._present()
        to = self.champion_before() if to is None else to
        return self._move(
            "rollback", current, generation, version=to, reference=current.reference, hold=why, who=who, why=why
        )

    def champion_before(self) -> int:
        """The version that was champion before the present one became it.

        Raises:
            RegistryError: There is no champion, or there was none before it.
        """
        current, _ = self._present()
        moves = iter(self.moves())
        # What was champion before this version became it; what was rolled back since is no place to return to.
        next((move for move in moves if move.action == "promotion" and move.version == current.version), None)
        earlier = [move.version for move in moves if move.version != current.version]
        if not earlier:
            raise RegistryError(
                f"'{self.task}' has had no champion before version {current.version}",
                where=self.root,
                fix="name the version: saiki rollback --to VERSION",
            )
        return earlier[0]

    def release(self, *, who: str, why: str) -> Champion:
        """Lifts a hold; where there is none, nothing is written."""
        current, generation = self._present()
        if not current.hold:
            return current
        return self._move(
            "release", current, generation, version=current.version, reference=current.reference, hold="", who=who,
            why=why,
        )  # fmt: skip

    def pin(self, number: int, *, who: str, why: str) -> Champion:
        """Makes a version the reference that quality must also hold against."""
        current, generation = self._present()
        if current.reference == number:
            return current
        self.version_ref(number)
        return self._move(
            "pin", current, generation, version=current.version, reference=number, hold=current.hold, who=who, why=why
        )

    def repair(self, version: int, *, who: str, why: str) -> Champion:
        """Writes a pointer that cannot be read anew.

        Raises:
            InputError: The pointer is fine.
        """
        try:
            self.champion()
        except RegistryError:
            _, generation = storage.read_versioned(self._uri("champion.json"))
        else:
            raise InputError(
                "The champion pointer can be read: there is nothing to repair",
                where=self._uri("champion.json"),
                fix="leave --repair out",
            )
        return self._move(
            "promotion",
            None,
            generation,
            version=version,
            reference=self._reference(version),
            hold="",
            who=who,
            why=why,
        )

    def history(self) -> list[History]:
        """Every record, in order, also of moves that did not take place."""
        uris = [self._uri("history", f"{number}.json") for number in self._numbers("history")]
        return in_parallel(lambda uri: self._read(History, uri), uris)

    def moves(self) -> list[History]:
        """The moves that took place, the last one first."""
        champion, _ = self.champion()
        records = {record.number: record for record in self.history()}
        found = []
        at = champion.history if champion else 0
        while at in records:
            found.append(records[at])
            at = records[at].after
        return found

    def promotion_of(self, judgement: str) -> History | None:
        """The move by which a judgement's model became champion, if it did."""
        return next((move for move in self.moves() if judgement and move.judgement == judgement), None)

    def _move(
        self,
        action: Literal["promotion", "rollback", "hold", "release", "pin"],
        current: Champion | None,
        generation: str | None,
        *,
        version: int,
        reference: int | None,
        hold: str,
        who: str,
        why: str,
        judgement: str = "",
    ) -> Champion:
        self.version_ref(version)
        number = self._write_history(
            lambda number: History(
                number=number,
                action=action,
                version=version,
                previous=current.version if current else None,
                after=current.history if current else 0,
                who=who,
                when=datetime.now(UTC),
                why=why,
                judgement=judgement,
            )
        )
        champion = Champion(version=version, history=number, reference=reference, hold=hold)
        storage.replace(self._uri("champion.json"), champion.to_json().encode(), generation=generation)
        return champion

    def _write_history(self, record: Callable[[int], History]) -> int:
        number = max(self._numbers("history"), default=0) + 1
        while True:
            try:
                storage.create(self._uri("history", f"{number}.json"), record(number).to_json().encode())
            except AlreadyExistsError:
                number += 1
            else:
                return number

    def _present(self) -> tuple[Champion, str | None]:
        champion, generation = self.champion()
        if champion is None:
            raise RegistryError(
                f"'{self.task}' has no champion yet", where=self.root, fix="run the pipeline, or saiki promote VERSION"
            )
        return champion, generation

    def _reference(self, version: int) -> int:
        """The pinned reference where there is no pointer to say it: what the history says, or the version itself."""
        records = self.history()
        pinned = [record.version for record in records if record.action == "pin"]
        first = [record.version for record in records if record.action == "promotion"]
        for number in [*reversed(pinned), *first]:
            if self._version(number) is not None:
                return number
        return version

    def _last_move(self) -> History | None:
        try:
            records = self.history()
        except RegistryError:
            return None
        return records[-1] if records else None

    def _claim(self, lineage: Lineage) -> int:
        """The number of a version: the one that this model claimed before, or the next free one."""
        numbers = self._numbers("versions")
        for number, found in zip(numbers, in_parallel(self._lineage, numbers), strict=True):
            # One that was begun long ago may be taken by garbage collection at this moment, claim first.
            if _same_model(found, lineage) and storage.touch(self._uri("versions", str(number), "lineage.json")):
                return number
        number = max(numbers, default=0) + 1
        while True:
            try:
                storage.create(self._uri("versions", str(number), "lineage.json"), lineage.to_json().encode())
            except AlreadyExistsError:
                if _same_model(self._lineage(number), lineage):
                    return number
                number += 1
            else:
                return number

    def _version(self, number: int) -> Version | None:
        home = self._uri("versions", str(number))
        if not storage.exists(storage.join(home, SAVED_MODEL)):
            return None
        lineage = self._lineage(number)
        return None if lineage is None else Version(number=number, uri=home, lineage=lineage)

    def _lineage(self, number: int) -> Lineage | None:
        try:
            return self._read(Lineage, self._uri("versions", str(number), "lineage.json"))
        except NotFoundError:
            return None

    def _numbers(self, folder: str) -> list[int]:
        """The numbers that are taken in a folder such as `versions` or `history`, in order."""
        names = (name.removesuffix("/").removesuffix(".json") for name in storage.names_in(self._uri(folder)))
        return sorted(int(name) for name in names if name.isdecimal())

    def _record_names(self) -> list[str]:
        names = storage.names_in(self._uri("attempts"))
        return [name.removesuffix(".json") for name in names if name.endswith(".json")]

    def _attempts(self, names: list[str]) -> dict[str, Attempt]:
        found = in_parallel(lambda name: self._read(Attempt, self._uri("attempts", f"{name}.json")), names)
        return dict(sorted(zip(names, found, strict=True), key=lambda pair: (pair[1].created, pair[0])))

    def _read(self, contract: type[Document], uri: str) -> Document:
        try:
            return contract.from_json(storage.read(uri), where=uri)
        except InputError as cause:
            raise RegistryError(
                f"A record of the registry cannot be read: {cause.what}",
                where=uri,
                fix="restore this object from a backup or from the store's own versions",
            ) from cause

    def _uri(self, *parts: str) -> str:
        return storage.join(self._home, *parts)


def open_root(root: str, *, create: bool) -> None:
    """Makes sure that a root is a registry; see `Registry.open`."""
    uri = storage.join(root, MARKER)
    if not storage.exists(uri):
        # Looked for again, since another run may be making this registry at the same moment.
        if next(storage.list_objects(root), None) is not None and not storage.exists(uri):
            raise RegistryError(
                f"This is not a registry: it holds other things and no {MARKER}",
                where=root,
                fix="give the root of a registry, or an empty folder or prefix",
            )
        if not create:
            raise RegistryError(
                "There is no registry here", where=root, fix="correct --registry, or run the pipeline, which makes one"
            )
        with suppress(AlreadyExistsError):
            storage.create(uri, RegistryMarker().to_json().encode())
    text = storage.read(uri)
    try:
        RegistryMarker.from_json(text, where=uri)
    except InputError as cause:
        raise RegistryError(
            f"This is not a registry that this version of Saiki knows: {cause.what}",
            where=uri,
            fix="give the root of a registry, or use the version of Saiki that wrote it",
        ) from cause


def tasks_in(root: str) -> list[str]:
    """Names of the tasks that a registry knows."""
    folders = [name.removesuffix("/") for name in storage.names_in(root) if name.endswith("/")]
    return [name for name in folders if _NAME.fullmatch(name)]


def in_parallel(call: Callable[..., Result], arguments: Iterable[object]) -> list[Result]:
    """The results in order; reading a store is waiting, so several are read at once."""
    given = list(arguments)
    if len(given) < 2:
        return [call(each) for each in given]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(call, given))


def _digest_of_files(files: Mapping[str, Path]) -> str:
    """SHA-256 over the name and the SHA-256 of every file."""
    digests = {}
    for name, path in files.items():
        with path.open("rb") as stream:
            digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digest_of(digests)


def _put(uri: str, path: Path) -> None:
    """Writes a file that is not of the record yet: a try that was killed may have left another one."""
    try:
        storage.create(uri, path)
    except AlreadyExistsError:
        found = storage.stat(uri)
        if found is not None:
            storage.replace(uri, path.read_bytes(), generation=found.generation)


def _same_model(found: Lineage | None, wanted: Lineage) -> bool:
    return found is not None and (found.judgement, found.model_digest) == (wanted.judgement, wanted.model_digest)
