"""Deploying a version: the server is pointed at it, waited for, and asked over the wire.

::

    serve ── wait until ready ── ask the samples ── all well: the caller moves the pointer
                   │                    │
                   └────────────────────┴────────── not so: the server follows the champion again

The champion pointer decides what is served; whatever a killed run left behind, `follow_champion` puts it right.
"""

from __future__ import annotations

import math
import time

from components._shared import storage
from components._shared.errors import InputError, NotFoundError, ServingError
from components._shared.model_files import SAMPLES_JSON
from components._shared.registry import Registry
from components._shared.samples import Samples
from components._shared.verdict import Check
from components.push.server import Busy, Overtaken, Server

NO_SAMPLES = Samples(inputs={}, dtypes={}, scores=(), tolerance=0.0)
LOOK_AGAIN_SECONDS = 5.0
_OTHER_MOVES = 3


def server_of(deploy: str, serving: str, task: str, *, namespace: str = "") -> Server | None:
    """The server that a task's champion is deployed to.

    Args:
        deploy: `tf-serving`, or `none`.
        serving: `[namespace/]name`; empty: `serving-<task>`.
        namespace: Where it is, if `serving` does not say; empty: where this process or its kubeconfig is.

    Raises:
        InputError: There is no such kind of server, or that is no name of one.
        ServingError: There is no cluster to be reached.
    """
    match deploy:
        case "none":
            return None
        case "tf-serving":
            from components.push.tf_serving import TensorFlowServing

            return TensorFlowServing.connect(serving, task, namespace=namespace)
        case _:
            raise InputError(f"'{deploy}' is nothing to deploy to", where="deploy", fix="give tf-serving or none")


def samples_of(models: Registry, version: int) -> Samples:
    """What stands beside a version; versions that were made before there were samples have none."""
    uri = storage.join(models.version_ref(version).uri, SAMPLES_JSON)
    try:
        return Samples.from_json(storage.read(uri), where=uri)
    except NotFoundError:
        return NO_SAMPLES


def deploy(server: Server, version: int, samples: Samples, *, holder: str, force: bool = False) -> tuple[Check, ...]:
    """Makes a server serve a version, and looks at what it answers.

    Args:
        holder: Who does that.
        force: Whoever else is deploying.

    Returns:
        The checks, up to the first that failed.

    Raises:
        Busy, Overtaken: Somebody else is deploying.
    """
    server.serve(version, holder=holder, force=force)
    ready = server.wait_until_ready(version)
    if ready.outcome != "passed":
        return (ready,)
    return (ready, *_answers(server, version, samples))


def follow_champion(server: Server, models: Registry, *, holder: str, force: bool = False) -> bool:
    """Makes a server serve the champion, if it does not; one that somebody else is deploying to is left to them.

    Returns:
        Whether it had to be changed.

    Raises:
        ServingError: It does not serve the champion.
    """
    changed = False
    for _ in range(_OTHER_MOVES):
        champion, _generation = models.champion()
        wanted = None if champion is None else champion.version
        told = server.told()
        if told.busy not in ("", holder) and not force:
            return changed
        if told.version == wanted and told.intact:
            if told.busy:
                server.release(holder)
            return changed
        try:
            failed = _serve(server, models, wanted, holder=holder, force=force)
        except (Busy, Overtaken):
            return changed
        changed = True
        if failed is not None:
            server.release(holder)
            raise ServingError(
                f"The server does not serve the champion, version {wanted}: {failed.reason}",
                where=server.where,
                fix="look at its pods; it was told to serve that version, and will as soon as it can",
            )
    raise ServingError("The champion changes faster than it can be served", where=server.where, fix="run this again")


def wait_for_others(server: Server, holder: str) -> None:
    """Waits until nobody else is deploying; who was killed at it is not waited for longer than a deployment takes."""
    while server.told().busy not in ("", holder):
        time.sleep(LOOK_AGAIN_SECONDS)


def _serve(server: Server, models: Registry, version: int | None, *, holder: str, force: bool) -> Check | None:
    """The check that failed, if one did."""
    if version is None:
        server.serve(None, holder=holder, force=force)
        return None
    checks = deploy(server, version, samples_of(models, version), holder=holder, force=force)
    return next((check for check in checks if check.outcome != "passed"), None)


def _answers(server: Server, version: int, samples: Samples) -> tuple[Check, ...]:
    found = server.ask(version, samples)
    if isinstance(found, str):
        return (_check("answers", False, f"Version {version} does not answer: {found}"),)
    if not samples.scores:
        said = f"The server says that it serves version {version}, which has no samples to be asked."
        return (_check("answers", True, said),)
    if [len(row) for row in found] != [len(row) for row in samples.scores]:
        said = f"Version {version} answers {len(found)} rows for {len(samples.scores)}, or another number of scores."
        return (_check("answers", False, said),)
    answered = _check("answers", True, f"Version {version} answers {len(found)} rows over the wire.")
    return (answered, _reproduces(version, samples, found))


def _reproduces(version: int, samples: Samples, found: tuple[tuple[float, ...], ...]) -> Check:
    pairs = [pair for rows in zip(found, samples.scores, strict=True) for pair in zip(*rows, strict=True)]
    if not all(math.isfinite(score) for score, _ in pairs):
        return _check("reproduces", False, f"Version {version} answers with numbers that are not finite.")
    largest = max(abs(score - stored) for score, stored in pairs)
    return Check(
        name="serving.reproduces",
        observed=largest,
        limit=f"at most {samples.tolerance:.3g}",
        outcome="passed" if largest <= samples.tolerance else "failed",
        reason=f"Served, version {version} gives scores that differ from the stored ones by up to {largest:.3g}.",
    )


def _check(name: str, passed: bool, reason: str) -> Check:
    return Check(name=f"serving.{name}", outcome="passed" if passed else "failed", reason=reason)
