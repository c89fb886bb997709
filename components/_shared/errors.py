"""The errors that Saiki raises on purpose.

::

    SaikiError
    ├── InputError (ValueError)          what the user gave is wrong: exit code 2
    │   ├── TaskError                    the task file or the pinned schema
    │   ├── DataError                    sources and rows
    │   └── TrainerError                 a trainer that is unknown, raises or diverges
    ├── StorageError (OSError)           a store did not do what was asked: exit code 2
    │   ├── NotFoundError (FileNotFoundError)
    │   ├── AlreadyExistsError (FileExistsError)
    │   ├── PreconditionError            compare-and-swap lost: somebody else was first
    │   └── CorruptError                 the bytes are not those that were promised
    ├── ModelError (RuntimeError)        a model does not load, or does not answer as it must: exit code 2
    ├── ServingError (RuntimeError)      a model server cannot be reached, or cannot be told what to serve: exit code 2
    └── RegistryError (ValueError)       a registry that is not one, an unreadable pointer: exit code 2

Each carries *what* is wrong, *where* (file, row, field, step) and what to *do* about it.
"""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^/\s@\"']+@")
_SIGNATURE = re.compile(
    r"(?i)\b((?:X-Goog-|X-Amz-)[A-Za-z-]+|Signature|sig|AWSAccessKeyId|GoogleAccessId|access_token|upload_id)=[^&\s\"']+"
)


def masked(text: str) -> str:
    """A text in which URIs show neither user and password nor what signs them."""
    return _SIGNATURE.sub(r"\1=***", _USER.sub("***@", text))


class SaikiError(Exception):
    """Something that the user can act upon.

    Args:
        what: What is wrong, one sentence.
        where: File, row, field or step, as precisely as is known.
        fix: What to do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        # Messages of libraries quote URIs.
        super().__init__(masked(what))
        self.what = masked(what)
        self.where = masked(where)
        self.fix = masked(fix)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  do:    {self.fix}")
        return "\n".join(lines)


class InputError(SaikiError, ValueError):
    """What the user gave is wrong."""


class TaskError(InputError):
    """The task file or the pinned schema is wrong."""


class DataError(InputError):
    """A source or its rows cannot be used."""


class TrainerError(InputError):
    """A trainer is unknown, raised, or diverged."""


class StorageError(SaikiError, OSError):
    """A store did not do what was asked."""


class NotFoundError(StorageError, FileNotFoundError):
    """There is no such object."""


class AlreadyExistsError(StorageError, FileExistsError):
    """A create-only write found an object in its place."""


class PreconditionError(StorageError):
    """The object is not at the generation that was expected."""


class CorruptError(StorageError):
    """The bytes are not those that were promised."""


class ModelError(SaikiError, RuntimeError):
    """A model does not load, or does not answer as it must."""


class ServingError(SaikiError, RuntimeError):
    """A model server cannot be reached, cannot be told what to serve, or does not serve the champion."""


class RegistryError(SaikiError, ValueError):
    """A registry that is not one, or a record in it that cannot be read."""
