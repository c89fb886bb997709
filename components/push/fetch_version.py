"""Fetches a version from the registry for a model server that starts: what the init container of its pod runs.

    python -m components.push.fetch_version --registry gs://bucket/registry --task flights --version 3 --to /models

::

    /models/flights/3/…      the model's files, verified
    /models/models.config    TensorFlow Serving's configuration, pinned to that version; written last

Without a version it is the champion's, and where there is no champion yet it waits for one: so a server can be set up
before the first promotion, and a new cluster serves what the registry says.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path, PurePosixPath
from typing import NoReturn

from components._shared import storage
from components._shared.errors import CorruptError, InputError, SaikiError, StorageError
from components._shared.model_files import verify_model
from components._shared.records import ModelRef
from components._shared.registry import SAVED_MODEL, Registry

CONFIG = "models.config"
LOOK_AGAIN_SECONDS = 15.0


def fetch_version(*, registry: str, task: str, version: int | None, to: Path) -> int:
    """Copies a version into a folder that a model server reads, and writes the server's configuration.

    Safe to run again after it was killed anywhere: files that are there whole are kept.

    Args:
        registry: Root of the registry.
        version: None: the champion's, waited for if there is none.
        to: An existing folder; all that is written is below it.

    Returns:
        The version.

    Raises:
        RegistryError: There is no such version.
        CorruptError: Its files are not those that were promoted.
    """
    models = Registry(registry, task)
    ref = models.version_ref(_champion(models) if version is None else version)
    home = to / task / str(ref.version)
    if not home.exists():
        staged = to / f".{task}-{ref.version}"
        _copy(ref, staged)
        _verify(staged, ref)
        home.parent.mkdir(exist_ok=True)
        staged.rename(home)
    config = to / f".{CONFIG}"
    config.write_text(_config(task, home.parent, ref.version), encoding="utf-8")
    config.replace(to / CONFIG)
    return ref.version


def _champion(models: Registry) -> int:
    said = False
    while True:
        champion, _ = models.champion()
        if champion is not None:
            return champion.version
        if not said:
            print(f"'{models.task}' has no champion yet: waiting for the first promotion", flush=True)
            said = True
        time.sleep(LOOK_AGAIN_SECONDS)


def _copy(ref: ModelRef, staged: Path) -> None:
    """Every file of the version, `saved_model.pb` last; nothing else stays in the folder."""
    root = ref.uri.rstrip("/") + "/"
    objects = {found.uri.removeprefix(root): found for found in storage.list_objects(ref.uri)}
    for name in objects:
        if PurePosixPath(name).is_absolute() or {"", ".", ".."} & set(name.split("/")):
            raise CorruptError(f"{name!r} is not the name of a model's file", where=ref.uri)
    staged.mkdir(exist_ok=True)
    for path in staged.rglob("*"):
        # What a killed try left half-written has another name.
        if path.is_file() and path.relative_to(staged).as_posix() not in objects:
            path.unlink()
    for name in sorted(objects, key=lambda name: (name == SAVED_MODEL, name)):
        path = staged / name
        if not path.exists() or path.stat().st_size != objects[name].size:
            path.parent.mkdir(parents=True, exist_ok=True)
            storage.fetch(objects[name].uri, path)


def _verify(staged: Path, ref: ModelRef) -> None:
    try:
        found = verify_model(staged).digest
        if found != ref.digest:
            raise CorruptError(
                f"Version {ref.version} is not the model that it was: its digest is {found[:12]}, "
                f"not {ref.digest[:12]}",
                where=ref.uri,
                fix="restore the version's files, or roll back to another version",
            )
    except StorageError:
        # Or the next try would keep what is broken.
        shutil.rmtree(staged)
        raise


def _config(task: str, base: Path, version: int) -> str:
    return f"""model_config_list {{
  config {{
    name: "{task}"
    base_path: "{base}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version} }} }}
  }}
}}
"""


def main(arguments: list[str]) -> int:
    """The command; 0, or 2 with what is wrong on stderr."""
    parser = argparse.ArgumentParser(prog="fetch_version", description="Fetches a version for a model server.")
    for name in ("registry", "task", "version"):
        parser.add_argument(f"--{name}", default=os.environ.get(f"SAIKI_{name.upper()}", ""))
    parser.add_argument("--to", type=Path, default=Path("/models"), help="default: /models")
    given = parser.parse_args(arguments)
    # The first process of a container has no default for this signal.
    signal.signal(signal.SIGTERM, _end)
    try:
        for name in ("registry", "task"):
            if not getattr(given, name):
                raise InputError(f"No {name} is given", where=f"--{name}", fix=f"give it, or set SAIKI_{name.upper()}")
        if given.version and not given.version.isdecimal():
            raise InputError(f"{given.version!r} is not the number of a version", where="--version")
        number = fetch_version(
            registry=given.registry,
            task=given.task,
            version=int(given.version) if given.version else None,
            to=given.to.absolute(),
        )
    except SaikiError as cause:
        print(f"Error: {cause}", file=sys.stderr)
        return 2
    except OSError as cause:
        print(f"Error: {cause.strerror}\n  where: {cause.filename or given.to}", file=sys.stderr)
        return 2
    print(f"version {number} of '{given.task}' is at {given.to}", flush=True)
    return 0


def _end(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
