"""`saiki run`: a pipeline here, from the first step to the report."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from components._shared.errors import InputError, StorageError
from components._shared.registry import Registry
from components._shared.verdict import Verdict
from pipelines.commands.compile import read_images
from pipelines.local.containers import Containers, check_no_images_without_containers, surroundings_of
from pipelines.local.run import Containing, StepRun
from pipelines.local.run import run as run_locally
from pipelines.run_parameters import read_run_parameters, run_parameter_options

_PIPELINES = ("training",)
_CONCLUSION = "conclude"
"""Fails a run on a cluster whose candidate was turned down; here it has nothing to say."""

_URI_PARAMETERS = ("task", "data_root", "registry")


@click.command(name="run", short_help="Run a pipeline on this machine.")
@click.argument("pipeline", type=click.Choice(_PIPELINES), default="training")
@run_parameter_options
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".saiki"),
    show_default=True,
    help="Folder for data, registry, cache and logs.",
)
@click.option("--containers", is_flag=True, help="Run each step in a container of its image, as on a cluster.")
@click.option("--image", "images", multiple=True, metavar="STEP=IMAGE", help="With --containers: a step's own image.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def run(
    pipeline: str,
    params: Path | None,
    settings: tuple[str, ...],
    state: Path,
    containers: bool,
    images: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> None:
    """Runs PIPELINE on this machine: no cluster, no cloud, and no container unless you ask for them.

    \b
    Examples:
      saiki run training --set task=mine/task.yaml
      saiki run training --params pipelines/training/params/flights.yaml --set as_of=2013-10-01
      saiki run training --set task=mine/task.yaml --set trainer=linear --set parameters.epochs=3
      saiki run training --set task=mine/task.yaml --containers --image train=mine:1
    """
    state = state.resolve()
    own = read_images(images)
    check_no_images_without_containers(containers, own)
    training = _load_training(own)
    arguments = _arguments(training, params, settings, state)
    # Two runs may begin in the same second.
    log_path = state / "logs" / f"{datetime.now():%Y%m%dT%H%M%S}-{os.getpid()}.log"
    try:
        log_path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise StorageError(
            f"Nothing can be written here: {cause.strerror}", where=str(state), fix="give another folder as --state"
        ) from cause
    # The exit code says it here, with everything printed before.
    arguments["fail_on"] = ""
    progress = _Progress(quiet=as_json)
    begin = time.monotonic()
    progress.say((pipeline, "bold"), f"  {_near(arguments['task'])}  as of {arguments.get('as_of') or 'now'}")
    with log_path.open("w", encoding="utf-8", buffering=1) as log:
        try:
            steps = run_locally(
                training,
                arguments,
                state=state,
                started=progress.started,
                finished=progress.finished,
                log=log,
                containers=_containers(arguments, own) if containers else None,
            )
        finally:
            progress.stop()
    steps = [step for step in steps if step.name != _CONCLUSION]
    result = _result(steps, arguments, state, time.monotonic() - begin, log_path)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _show(progress, result, arguments)
    sys.exit(0 if result["outcome"] == "passed" and result["result"] != "not_served" else 1)


def _load_training(images: Mapping[str, str]) -> Callable[..., Any]:
    from pipelines.training.pipeline import build

    return build(images=images)  # type: ignore[no-any-return]


def _containers(arguments: dict[str, Any], images: Mapping[str, str]) -> Containing:
    surroundings = surroundings_of(arguments, os.environ)
    return lambda run_dir: Containers.opened(surroundings, images, run_dir)


def _arguments(pipeline: Any, params: Path | None, settings: tuple[str, ...], state: Path) -> dict[str, Any]:
    """Run parameters: from the file, the settings, and where the state is."""
    known = {name: _TYPES[spec.type] for name, spec in pipeline.component_spec.inputs.items()}
    given = read_run_parameters(known, params, settings)
    if "task" not in given:
        raise InputError("No task is given", where="--set or --params", fix="add --set task=path/to/task.yaml")
    given.setdefault("data_root", str(state / "data"))
    given.setdefault("registry", str(state / "registry"))
    for name in _URI_PARAMETERS:
        if "://" not in given[name]:
            given[name] = str(Path(given[name]).expanduser().resolve())
    return given


_TYPES: dict[str, type] = {"String": str, "Float": float, "Integer": int, "Dict": dict}


class _Progress:
    """A line per step when it is done; on a terminal also which one runs, and for how long."""

    def __init__(self, *, quiet: bool) -> None:
        # Named, since `sys.stdout` is the log's while the pipeline runs.
        self.console = Console(file=sys.stderr if quiet else sys.stdout, highlight=False, markup=False, emoji=False)
        self._running: Live | None = None
        self._quiet = quiet

    def say(self, *parts: str | tuple[str, str]) -> None:
        if not self._quiet:
            self.console.print(Text.assemble(*parts), soft_wrap=True)

    def started(self, step: str) -> None:
        if self.console.is_terminal and not self._quiet:
            begin = time.monotonic()
            spinner = Spinner("dots")

            def line() -> Spinner:
                spinner.update(text=f"{step:<{_STEP_WIDTH}} {time.monotonic() - begin:7.0f} s")
                return spinner

            # Redirected by Live, what kfp and the steps print would appear here and not in the log.
            self._running = Live(
                get_renderable=line, console=self.console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._running.start()

    def finished(self, step: StepRun) -> None:
        self.stop()
        if step.name == _CONCLUSION and not step.failed:
            return
        mark = ("✗ ", "red") if step.failed else ("= ", "dim") if step.cached else ("✓ ", "green")
        taken = ("   cached", "dim") if step.cached else f"{step.seconds:7.1f} s"
        rows, outcome = ("", "") if step.failed else (_counts(step), _outcome(step).replace("_", " "))
        self.say(
            mark,
            f"{step.name:<{_STEP_WIDTH}} ",
            taken,
            "  " if rows or outcome else "",
            self._wrapped(rows),
            ", " if rows and outcome else "",
            (outcome, _colour(outcome)),
        )

    def _wrapped(self, rows: str) -> str:
        """Over several lines below each other, where the terminal is narrow."""
        width = max(30, self.console.width - _ROWS_AT) if self.console.is_terminal else 10_000
        lines = textwrap.wrap(rows.replace(" → ", "\u00a0→ "), width)
        return ("\n" + " " * _ROWS_AT).join(lines).replace("\u00a0", " ")

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None


_STEP_WIDTH = 18
_ROWS_AT = 2 + _STEP_WIDTH + 1 + 9 + 2
"""The column in which the numbers of rows begin."""


def _result(steps: list[StepRun], arguments: dict[str, Any], state: Path, seconds: float, log: Path) -> dict[str, Any]:
    """What a script would read."""
    by_component = {step.name.split(":")[0]: step for step in steps}
    judged, pushed = by_component["judge"], by_component["push"]
    planned = by_component["plan"].outputs
    task = json.loads(planned["pointer"])["task"]
    champion, _ = Registry(arguments["registry"], task).champion()
    report = state / "reports" / f"{task}-{planned['judgement'][:12]}.html"
    report.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(judged.outputs["report"].path, report)
    verdict = Verdict.from_json(Path(judged.outputs["verdict"].path).read_text(encoding="utf-8"))
    return {
        "task": task,
        "outcome": verdict.outcome,
        "summary": verdict.summary,
        "result": pushed.outputs["result"],
        "reason": pushed.outputs["reason"],
        "version": int(pushed.outputs["version"]),
        "champion": champion.version if champion else 0,
        "replayed": bool(json.loads(planned["pointer"])["replayed"]),
        "experiment": planned["experiment"],
        "judgement": planned["judgement"],
        "report": str(report),
        "log": str(log),
        "seconds": round(seconds, 1),
        "steps": [
            {
                "step": step.name,
                "seconds": round(step.seconds, 2),
                "cached": step.cached,
                "rows_in": _rows(step.inputs),
                "rows_out": _rows(step.outputs),
                "outcome": _outcome(step),
            }
            for step in steps
        ],
    }


def _rows(artifacts: dict[str, Any]) -> dict[str, int]:
    """Rows of each dataset among a step's artifacts."""
    return {
        name: int(artifact.metadata["rows"])
        for name, artifact in artifacts.items()
        if getattr(artifact, "schema_title", "") == "system.Dataset" and "rows" in artifact.metadata
    }


def _outcome(step: StepRun) -> str:
    if "result" in step.outputs:
        return str(step.outputs["result"])
    verdict = step.outputs.get("verdict")
    if verdict is None:
        return ""
    return Verdict.from_json(Path(verdict.path).read_text(encoding="utf-8")).outcome.replace("_", " ")


_COLOUR = {
    "passed": "green",
    "promoted": "green",
    "already champion": "green",
    "failed": "red",
    "rejected": "red",
    "not served": "red",
}


def _colour(outcome: str) -> str:
    return _COLOUR.get(outcome.replace("_", " "), "yellow")


def _counts(step: StepRun) -> str:
    """The rows that go in, and those that come out where they are not the same."""
    made, taken = _rows(step.outputs), _rows(step.inputs)
    if list(made.values()) == [0] and any(taken.values()):
        return "not needed"
    if "examples" in made:
        # What ingest takes are sources, not a dataset.
        taken = {"read": int(step.outputs["examples"].metadata["read"])}
    before, after = _listed(taken), _listed(made)
    text = f"{before} → {after}" if before and after and before != after else before or after
    return text if not text or "  " in text else f"{text} rows"


def _listed(rows: dict[str, int]) -> str:
    """One number, if one dataset stands for all; else each by its name."""
    for name in ("examples", "candidate"):
        if name in rows:
            rows = {name: rows[name]}
    if len(rows) == 1:
        return _count(*rows.values())
    return "  ".join(f"{name}\u00a0{_count(rows[name])}" for name in sorted(rows, key=_part))


def _part(name: str) -> int:
    return _PARTS.index(name) if name in _PARTS else len(_PARTS)


_PARTS = ("train", "tune", "test", "recent")


def _count(rows: int) -> str:
    return f"{rows:,}" if rows < 10_000_000 else f"{rows / 1e6:,.0f} million"


def _show(progress: _Progress, result: dict[str, Any], arguments: dict[str, Any]) -> None:
    cached = sum(step["cached"] for step in result["steps"])
    progress.say()
    colour = _colour(result["outcome"])
    width = max(60, progress.console.width) if progress.console.is_terminal else 10_000
    summary = textwrap.wrap(result["summary"], width - 11, break_on_hyphens=False)
    word, colon, rest = summary[0].partition(":")
    progress.say(("verdict   ", "dim"), (word, f"{colour} bold"), colon + rest)
    for line in summary[1:]:
        progress.say(f"          {line}")
    progress.say(("champion  ", "dim"), _champion(result))
    progress.say(("report    ", "dim"), _near(result["report"]))
    progress.say(("log       ", "dim"), _near(result["log"]))
    took = f"{result['seconds']:.1f} s"
    if cached:
        took += f"; {cached} of {len(result['steps'])} steps from the cache"
    progress.say(("took      ", "dim"), took)
    progress.say()
    if result["replayed"]:
        again = {step["step"] for step in result["steps"] if not step["cached"]} & {"train", "judge"}
        stands = "its record stands." if again else "nothing was trained, judged or pushed again."
        progress.say(f"This experiment was judged before: {stands}")
    progress.say(("next: ", "dim"), _next(result, arguments))


def _champion(result: dict[str, Any]) -> str:
    present = f"version {result['champion']}" if result["champion"] else "none yet"
    if result["result"] == "promoted" and result["version"] != result["champion"]:
        return f"{present}; this experiment made version {result['version']}"
    return present + _RESULT[result["result"]] + (" in an earlier run" if result["replayed"] else "")


_RESULT = {
    "promoted": ", promoted",
    "already_champion": ", the same model as the candidate's",
    "held": ": not replaced, since a rollback holds it (`saiki release` lifts that)",
    "superseded": ": it was moved while this run worked, so nothing was promoted; run again",
    "rejected": ": the candidate was turned down",
    "undecided": ": the data cannot tell whether the candidate is better",
    "not_served": ": the candidate passed, but was not served as it should be",
}


def _near(path: str) -> str:
    """As it would be typed here."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _next(result: dict[str, Any], arguments: dict[str, Any]) -> str:
    if result["outcome"] != "passed":
        return "open the report: it says why, gate by gate"
    if arguments["task"].endswith("examples/flights/task.yaml") and arguments.get("as_of") == "2013-07-01":
        return 'open the report; judge a challenger: make run ARGS="--set as_of=2013-10-01"'
    registry = _near(arguments["registry"])
    where = "" if registry == ".saiki/registry" else f" --registry {shlex.quote(registry)}"
    return f"open the report; see what the registry holds: .venv/bin/saiki models --task-name {result['task']}{where}"
