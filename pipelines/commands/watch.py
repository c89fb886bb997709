"""`saiki watch`: a run on a cluster, step by step until it ends."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from components.conclude.executor import DECIDED, RESULTS
from pipelines.cluster.connection import Connection, KfpError
from pipelines.cluster.options import Cluster, cluster_options
from pipelines.cluster.progress import FINAL, Step, step_names, steps_of_details, steps_of_workflow

INTERRUPTED = 130
_POLL, _SLOWEST_POLL = 5.0, 30.0
_PATIENCE = 30 * 60.0
"""Seconds for which the server may be away."""

_CONCLUSION = "conclude"
_NAME_WIDTH = 18
_LOG_LINES = 20


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: 0 done, 1 a verdict said no, 2 a step failed or the run was stopped.
        said: By the last step: what became of the candidate.
        log: The last lines of the step that failed.
    """

    run_id: str
    state: str
    code: int
    said: str
    failed: tuple[Step, ...]
    steps: tuple[Step, ...]
    log: str


@click.command(short_help="Follow a run on a cluster.")
@click.argument("run_id")
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, at the end.")
def watch(run_id: str, cluster: Cluster, as_json: bool) -> None:
    """Follows the run RUN_ID until it ends. Ctrl-C ends the watching, not the run.

    \b
    Example:
      saiki watch 6f0c2f5e-5f0a-4a9e-9d7f-3c2b5a1e8d11 --cluster manifests/overlays/kind/settings.yaml

    Exit codes: 0 done, 1 a verdict said no, 2 a step failed or the run was stopped, 130 Ctrl-C: the run goes on.
    """
    connection = cluster.connect()
    ending = follow_aloud(connection, run_id, quiet=as_json, again=cluster.command("watch", run_id))
    if as_json:
        click.echo(json.dumps(as_result(ending, connection), indent=2, ensure_ascii=False))
    sys.exit(ending.code)


def as_result(ending: Ending, connection: Connection) -> dict[str, Any]:
    """What a script would read."""
    return {
        "run_id": ending.run_id,
        "link": connection.link("runs", ending.run_id),
        "state": ending.state,
        "exit_code": ending.code,
        "said": ending.said,
        "steps": [
            {"step": step.name, "state": step.state, "seconds": step.seconds, "message": step.message}
            for step in ending.steps
        ],
    }


def follow_aloud(connection: Connection, run_id: str, *, quiet: bool, again: str) -> Ending:
    """Follows a run, and prints a line per step and how it ended.

    Args:
        quiet: Print nothing.
        again: The command that watches it once more, for who breaks it off.
    """

    def say(text: str = "", **style: Any) -> None:
        if not quiet:
            click.secho(text, **style)

    try:
        ending = follow(connection, run_id, lambda step: _say_step(step, say), lambda text: say(f"  {text}", dim=True))
    except KeyboardInterrupt:
        click.echo(f"\nThe run goes on: {connection.link('runs', run_id)}\n  watch it:  {again}", err=True)
        sys.exit(INTERRUPTED)
    except KfpError as error:
        raise KfpError(
            # A run that is not there does not go on.
            error.what if error.status == 404 else f"{error.what}. The run itself goes on",
            where=connection.link("runs", run_id),
            fix=f"{error.fix}; then: {again}",
            status=error.status,
        ) from error
    _say_ending(ending, say)
    return ending


def follow(
    connection: Connection,
    run_id: str,
    on_step: Callable[[Step], None],
    on_notice: Callable[[str], None],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Ending:
    """Asks for the run until it ends, less and less often; a server that is away for a while is waited for.

    Args:
        on_step: Gets each step once, when it is done.
        on_notice: Gets what a user wants to know in between: what a step waits for, that the server is away.

    Raises:
        KfpError: There is no such run, we are not let in, or the server stays away.
    """
    view = _View(connection, run_id)
    told: set[str] = set()
    away, waited = 0.0, _POLL
    while True:
        try:
            run, steps = view.look()
        except KfpError as error:
            if not error.passing or away >= _PATIENCE:
                raise
            if not away:
                on_notice(f"the server is away ({error.what}); asking again")
            wait = min(60.0, max(_POLL, away)) * random.uniform(0.8, 1.2)
            away += wait
            pause(wait)
            continue
        away = 0.0
        for step in steps:
            if step.done and step.state != "skipped" and step.key not in told:
                told.add(step.key)
                on_step(step)
            elif step.state == "waiting" and step.message and (notice := f"{step.name}: {step.message}") not in told:
                told.add(notice)
                on_notice(notice)
        if str(run.state) in FINAL:
            return _ending(connection, run, steps)
        # A run of hours is asked for twice a minute.
        waited = min(waited * 1.02, _SLOWEST_POLL)
        pause(waited)


class _View:
    """A run as the server shows it; the workflow is read when something has changed."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        self._connection, self._run_id = connection, run_id
        self._names: dict[str, str] | None = None
        self._seen: object = None
        self._steps: list[Step] = []

    def look(self) -> tuple[Any, list[Step]]:
        run = self._connection.client.get_run(self._run_id)
        if self._names is None:
            self._names = step_names(self._specification(run))
        details = (run.run_details.task_details if run.run_details else None) or []
        seen = (run.state, tuple(sorted((each.task_id, each.state) for each in details)))
        waiting = any(not step.done for step in self._steps)
        if seen != self._seen or waiting:
            workflow = self._connection.workflow(self._run_id)
            self._steps = (
                steps_of_workflow(workflow, self._names)
                if workflow and workflow.get("status")
                else steps_of_details(details, self._names)
            )
            self._seen = seen
        return run, self._steps

    def _specification(self, run: Any) -> dict[str, Any]:
        if run.pipeline_spec:
            return dict(run.pipeline_spec)
        version = run.pipeline_version_reference
        found = self._connection.client.get_pipeline_version(version.pipeline_id, version.pipeline_version_id)
        return dict(found.pipeline_spec or {})


def _ending(connection: Connection, run: Any, steps: list[Step]) -> Ending:
    failed = tuple(step for step in steps if step.state == "failed")
    concluded = next(
        (step for step in steps if step.name == _CONCLUSION and step.done and step.state != "skipped"), None
    )
    told = connection.log(run.run_id, concluded.pod) if concluded and concluded.pod else ""
    said = _said(concluded, told) if concluded else ""
    refused = bool(failed) and all(step.name == _CONCLUSION and _by_itself(step) for step in failed)
    # A wrong parameter ends it with the same exit code, but does not say what became of a candidate.
    refused = refused and (_is_decision(said) or not (said or told))
    state = str(run.state)
    code = 0 if state == "SUCCEEDED" else 1 if state == "FAILED" and refused else 2
    log = ""
    if code == 2 and failed:
        log = _tail(connection.log(run.run_id, failed[0].pod)) if failed[0].pod else ""
    return Ending(run.run_id, state, code, said, failed, tuple(steps), log)


def _by_itself(step: Step) -> bool:
    """The step's own code ended it, not a lack of memory, an image that is not there, or a lost node."""
    return not step.message or "exit code 1)" in step.message


def _is_decision(said: str) -> bool:
    return said.startswith((*(f"{result}: " for result in RESULTS), *DECIDED.values()))


def _said(step: Step, told: str) -> str:
    """What `conclude` says: as the reason of its failure, or in its log."""
    if step.state == "failed":
        text = re.sub(r"^(?:\w+: )?Error \(exit code 1\):? ?", "", step.message).strip()
        if text and text != step.message:
            return text
    for line in reversed(told.splitlines()):
        # As it prints it, or as the last line of a traceback.
        for text in (line, line.partition("Error: ")[2]):
            if _is_decision(text):
                return text
    return ""


def _tail(log: str) -> str:
    """The end of a log without what KFP's launcher adds."""
    lines = [line for line in log.splitlines() if line.strip() and not re.match(r"[IWEF]\d{4} \d\d:\d\d:", line)]
    return "\n".join(lines[-_LOG_LINES:])


def _say_step(step: Step, say: Callable[..., None]) -> None:
    mark, colour = {"failed": ("✗", "red"), "cached": ("=", None)}.get(step.state, ("✓", "green"))
    taken = "   cached" if step.state == "cached" else f"{step.seconds:7.0f} s"
    say(f"{click.style(mark, fg=colour, dim=colour is None)} {step.name:<{_NAME_WIDTH}} {taken}")


def _say_ending(ending: Ending, say: Callable[..., None]) -> None:
    say()
    if ending.said:
        say(f"{click.style('verdict   ', dim=True)}{ending.said}")
    if ending.code == 2:
        for step in ending.failed:
            reason = f": {step.message}" if step.message else ""
            say(f"{click.style('failed    ', dim=True)}{step.name}{reason}", fg="red")
        if ending.log:
            say(f"{click.style('log       ', dim=True)}the last lines of {ending.failed[0].name}:")
            say("\n".join(f"          {line}" for line in ending.log.splitlines()))
    words = {"SUCCEEDED": "succeeded", "CANCELED": "was stopped"}.get(ending.state, ending.state.lower())
    colour = {0: "green", 1: "yellow"}.get(ending.code, "red")
    say(f"{click.style('run       ', dim=True)}{click.style(words, fg=colour, bold=True)}")
