"""Ends a run as failed when its candidate was turned down, once everything about it is recorded.

A judging step never fails. Without this one a rejection would be a green run with a skipped branch, which nobody sees
in a list of nightly runs.
"""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import get_args

from components._shared.errors import InputError, SaikiError
from components._shared.records import Attempt, Pointer

RESULTS: tuple[str, ...] = get_args(Attempt.model_fields["result"].annotation)

_TERMINATION_LOG = Path("/dev/termination-log")
"""What a container writes there stands in the pod's status, and Argo shows it as the reason why the step failed."""

_MOST_BYTES = 4000
"""Kubernetes keeps 4,096."""

DECIDED = {
    "rejected": "The gates of the task turned the candidate down",
    "undecided": "The data cannot tell whether the candidate is better, so the champion stays",
    "not_served": "The server did not answer well with the candidate, so the champion stays",
    "held": "A rollback holds the champion, so the candidate was not promoted",
    "superseded": "Another run moved the champion while this one worked, so the candidate was not promoted",
}
"""How the message of a run that it ends begins, by result."""

_NEXT = {
    "rejected": "change the data, the features or the trainer; or promote the candidate on record, with the run "
    "parameter override",
    "undecided": "wait for more days, or let gates.champion.undecided promote in such a case",
    "not_served": "read the logs of step push and of the server's pods, correct what they say, and run again",
    "held": "lift the hold with `saiki release`, and run again",
    "superseded": "run again: the candidate is judged against the new champion",
}


def conclude(
    *,
    result: str,
    reason: str,
    fail_on: str,
    registry: str,
    pointer: Pointer,
    judgement: str,
    termination_log: Path = _TERMINATION_LOG,
) -> str:
    """What became of the candidate, in one line.

    Args:
        result, reason: Of `push`.
        fail_on: Results that end the run as failed, separated by commas.
        registry: Root of the registry.
        pointer: What `plan` saw.
        judgement: Names the record.
        termination_log: Where Kubernetes looks for the reason of a failure; it need not be there.

    Raises:
        InputError: `fail_on` names a result that `push` does not have.
        SaikiError: The result is one of `fail_on`.
    """
    named = {name.strip() for name in fail_on.split(",")} - {""}
    if unknown := sorted(named - set(RESULTS)):
        raise InputError(
            f"'{unknown[0]}' is not a result of push", where="fail_on", fix=f"use some of: {', '.join(RESULTS)}"
        )
    if result not in named:
        return f"{result}: {reason}"
    report = f"saiki report --registry {shlex.quote(registry)} --task-name {pointer.task} --judgement {judgement[:12]}"
    verdict = SaikiError(
        f"{DECIDED.get(result, f'The candidate is {result}')}. {reason[:1].upper()}{reason[1:]}",
        where=f"the report: step judge in this run, or {report}",
        fix=_NEXT.get(result, "read the report"),
    )
    with suppress(OSError):
        if termination_log.exists():
            kept = str(verdict).encode()[:_MOST_BYTES].decode(errors="ignore")
            termination_log.write_text(kept, encoding="utf-8")
    raise verdict
