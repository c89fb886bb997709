"""`saiki init`: from a data file to a task file that can be run."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import click

from components._shared.columns import check_columns
from components._shared.errors import InputError, TaskError
from components._shared.task import Problem, Schema, Task
from pipelines.proposal.contents import Proposal, Wishes
from pipelines.proposal.propose import propose
from pipelines.proposal.table_profile import read_table
from pipelines.proposal.task_text import schema_text, task_text

_FORMATS = {".csv": "", ".tsv": "csv", ".txt": "csv", ".parquet": "", ".jsonl": "", ".ndjson": "jsonl"}


@click.command(name="init", short_help="Propose a task file for a data file.")
@click.argument("data", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--label", default="", help="What to predict: a column, or an expression such as 'delay > 15'.")
@click.option("--time", default="", help="Column with the moment of each row; 'none': the rows have no time.")
@click.option("--problem", type=click.Choice(get_args(Problem)), help="If the label leaves it open.")
@click.option("--positive", default="", help="Binary: the value that counts as 1.")
@click.option("--timezone", default="", help="IANA time zone of the days, such as Europe/Berlin.  [default: UTC]")
@click.option("--known-after", default="", help="How long after its time a row's label is known.  [default: 0d]")
@click.option("--name", default="", help="Name of the task.  [default: from the file's name]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder to write.  [default: the name]")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults, and say them.")
@click.option("--force", is_flag=True, help="Overwrite task.yaml and schema.yaml.")
def init(
    data: Path,
    label: str,
    time: str,
    problem: str | None,
    positive: str,
    timezone: str,
    known_after: str,
    name: str,
    out: Path | None,
    yes: bool,
    force: bool,
) -> None:
    """Proposes a commented task file for DATA: a CSV (plain, gz, zip), Parquet or JSON Lines file.

    \b
    Examples:
      saiki init wine.csv --label cultivar
      saiki init flights.csv.zip --label 'arr_delay > 15' --time time_hour --out flights
    """
    task_name = name or _slug(data.name)
    folder = out or Path(task_name)
    paths = [folder / "task.yaml", folder / "schema.yaml"]
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise InputError(
            f"There is a task already: {', '.join(there)}", where="--out", fix="choose another --out, or add --force"
        )
    ask = _Terminal() if sys.stdin.isatty() and not yes else _Defaults(data)
    table = read_table(data)
    wishes = Wishes(
        label=label,
        time=time,
        problem=problem or "",
        positive=positive,
        timezone=timezone,
        known_after=known_after,
    )
    proposal = propose(table, wishes, ask)
    source = _source(data, folder)
    texts = [
        task_text(task_name, source, _format(data), table, proposal),
        schema_text(source, table, proposal),
    ]
    _check(texts, paths)
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    _say(proposal, table.rows, paths)


class _Terminal:
    """Asks the person at the terminal."""

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """A number or one of the options themselves."""
        click.echo(question)
        for number, option in enumerate(options, 1):
            click.echo(f"  {number:>2}  {option}")
        numbers = {str(number): option for number, option in enumerate(options, 1)}
        while True:
            answer = click.prompt("  number or name", default=default).strip()
            # A value that looks like a number is meant before the number of a line.
            chosen = answer if answer in options else numbers.get(answer)
            if chosen is not None:
                return chosen
            click.echo(f"  '{answer}' is none of them")

    def confirm(self, question: str) -> bool:
        """No by default."""
        return click.confirm(question, default=False)

    def text(self, question: str, default: str, check: Callable[[str], object]) -> str:
        """Asks until the line makes sense."""
        while True:
            answer = str(click.prompt(question, default=default)).strip()
            try:
                check(answer)
            except ValueError as error:
                click.echo(f"  {error}")
            else:
                return answer


class _Defaults:
    """Nobody is there to ask."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """The default; but what to predict is never guessed."""
        if "predicted" in question:
            raise InputError(
                "Which column is to be predicted?",
                where="--label",
                fix=f"name it; likely ones first: {', '.join(options[:10])}. "
                f"For example: saiki init {shlex.quote(str(self._data))} --label {shlex.quote(default)}",
            )
        return default

    def confirm(self, question: str) -> bool:
        """No."""
        return False

    def text(self, question: str, default: str, check: Callable[[str], object]) -> str:
        """The default."""
        return default


def _slug(file_name: str) -> str:
    stem = re.sub(r"(\.(csv|tsv|txt|parquet|jsonl|ndjson|gz|zip))+$", "", file_name, flags=re.IGNORECASE)
    slug = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")[:60]
    return slug if re.match(r"[a-z]", slug) else f"task-{slug}".rstrip("-")


def _format(data: Path) -> str:
    """What the task has to say of the format, if the file's ending does not."""
    suffixes = [suffix.lower() for suffix in data.suffixes if suffix.lower() not in (".gz", ".zip")]
    return _FORMATS.get(suffixes[-1] if suffixes else "", "csv")


def _source(data: Path, folder: Path) -> str:
    """The data's path as the task file names it: relative where it lies near."""
    whole = str(data.absolute())
    if re.search(r"[*?\[{]", whole):
        raise InputError(
            "The path holds one of * ? [ {, which stand for other things in a task file",
            where=whole,
            fix="rename the file or folder",
        )
    near = os.path.relpath(data.resolve(), folder.resolve())
    return near if near.count("..") <= 3 else str(data.resolve())


def _check(texts: Sequence[str], paths: Sequence[Path]) -> None:
    """Nothing is written that a run would refuse."""
    task = Task.from_json(texts[0], where=str(paths[0]), error=TaskError)
    schema = Schema.from_json(texts[1], where=str(paths[1]), error=TaskError)
    check_columns(task, schema)


def _say(proposal: Proposal, rows: int, paths: Sequence[Path]) -> None:
    problem = proposal.problem.replace("_", " ")
    click.echo(f"{rows} rows: {problem} of {proposal.label}" + (f" = {proposal.positive}" if proposal.positive else ""))
    click.echo(f"  time      {proposal.time or 'none: the parts are drawn at random'}")
    click.echo(f"  key       {', '.join(proposal.key) or 'none: the position in the file'}")
    used = [feature.name for feature in proposal.features if feature.available == "before"]
    click.echo(f"  features  {', '.join(used)}")
    for feature in proposal.features:
        if feature.available != "before":
            click.secho(f"  check     {feature.name} is left out: {feature.note}", fg="yellow")
    for column, reason in proposal.left_out.items():
        click.echo(f"  left out  {column}: {reason}")
    for field in ("population", "psi", "malformed"):
        if field in proposal.notes:
            click.echo(f"  {field:<9} {proposal.notes[field]}")
    click.echo(f"\nWritten: {paths[0]}, {paths[1]}. Read them, correct what is not so, then run")
    as_of = f" --set as_of={proposal.as_of}" if proposal.as_of else ""
    # As it was called just now: the command line stands in a virtual environment that need not be active.
    command = sys.argv[0] if Path(sys.argv[0]).name == "saiki" else "saiki"
    click.echo(f"  {command} run training --set task={shlex.quote(str(paths[0]))}{as_of}")
