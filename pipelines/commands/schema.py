"""`saiki schema`: what a run proposes to change in the pinned schema, and writing it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from components._shared import storage
from components._shared.contract import load_yaml
from components._shared.errors import InputError, TaskError
from components._shared.evidence import DataEvidence
from components._shared.registry import Registry
from components._shared.task import Column, Schema, Task
from components.validate.proposal import CHANGED, column_text, key_text, to_yaml

_TASK = click.option("--task", default="task.yaml", show_default=True, help="The task file: path or URI.")
_PROPOSAL = click.option(
    "--proposal", help="A proposal that `validate` wrote: path or URI. Left out: that of the latest run."
)
_REGISTRY = click.option("--registry", default=".saiki/registry", show_default=True, help="Where runs are recorded.")
_COLUMN = click.option("--column", "columns", multiple=True, metavar="NAME", help="Only this column (repeatable).")


@click.group(name="schema", short_help="Show and accept changes of the pinned schema.")
def schema() -> None:
    """Shows and accepts changes of the pinned schema that a run proposes.

    \b
    Example:
      saiki schema diff --task mine/task.yaml
    """


@schema.command()
@_TASK
@_PROPOSAL
@_REGISTRY
@_COLUMN
def diff(task: str, proposal: str | None, registry: str, columns: tuple[str, ...]) -> None:
    """Shows what a proposal would change, and writes nothing.

    \b
    Example:
      saiki schema diff --task examples/flights/task.yaml
    """
    _Change.of(task, proposal, registry, columns).show()


@schema.command()
@_TASK
@_PROPOSAL
@_REGISTRY
@_COLUMN
def accept(task: str, proposal: str | None, registry: str, columns: tuple[str, ...]) -> None:
    """Writes what a proposal changes into the pinned schema, comments kept.

    \b
    Examples:
      saiki schema accept --task examples/flights/task.yaml
      saiki schema accept --proposal proposal.yaml --column carrier
    """
    change = _Change.of(task, proposal, registry, columns)
    change.show()
    change.write()


class _Change:
    """The pinned schema, and what would become of it."""

    def __init__(self, uri: str, generation: str, before: str, after: str, source: str) -> None:
        self._uri = uri
        self._generation = generation
        self._before = before
        self._after = after
        self._source = source

    @classmethod
    def of(cls, task_uri: str, proposal_uri: str | None, registry: str, only: tuple[str, ...]) -> _Change:
        """Reads the task, its schema, and the proposal."""
        task = Task.from_json(storage.read(task_uri), where=task_uri, error=TaskError)
        uri = _beside(task_uri, task.schema_file)
        content, generation = storage.read_versioned(uri)
        before = content.decode()
        pinned = Schema.from_json(before, where=uri, error=TaskError)
        source, text = _proposal(proposal_uri, registry, task.name)
        proposed = _proposed(text, source) if text else {}
        unknown = [name for name in only if name not in proposed]
        if unknown:
            raise InputError(
                f"The proposal changes no column {unknown[0]!r}",
                where=source,
                fix=f"name one of: {', '.join(proposed)}" if proposed else "there is nothing to accept",
            )
        wanted = {name: column for name, column in proposed.items() if not only or name in only}
        return cls(uri, generation, before, with_columns(before, pinned, wanted), source)

    def show(self) -> None:
        """The difference, or that there is none."""
        if self._before == self._after:
            click.echo(f"Nothing to accept: {self._uri} allows all that was seen ({self._source}).")
            return
        click.echo(f"Proposed by {self._source}:")
        lines = difflib.unified_diff(
            self._before.splitlines(), self._after.splitlines(), self._uri, f"{self._uri} (proposed)", lineterm="", n=1
        )
        colours = {"+": "green", "-": "red"}
        for line in lines:
            click.secho(line, fg=colours.get(line[:1]))

    def write(self) -> None:
        """Replaces the schema file, unless somebody else did since it was read."""
        if self._before != self._after:
            storage.replace(self._uri, self._after.encode(), generation=self._generation)
            click.echo(f"Written: {self._uri}. The next run uses it.")


def with_columns(text: str, pinned: Schema, wanted: Mapping[str, Column]) -> str:
    """The text of a schema file with some columns changed or added, and the rest of it as it stands.

    A file that cannot be changed in place, such as JSON of unusual shape, is written anew without its comments.
    """
    changed = {name: column for name, column in wanted.items() if pinned.columns.get(name) != column}
    if not changed:
        return text
    result = Schema(columns={**pinned.columns, **changed})
    edited = _edited(text, pinned, changed)
    try:
        if Schema.from_json(edited) == result:
            return edited
    except InputError:
        pass
    return to_yaml(result, {}, heading=())


def _edited(text: str, pinned: Schema, changed: Mapping[str, Column]) -> str:
    columns = _field(yaml.compose(text, Loader=yaml.SafeLoader), "columns")
    new = [f"{key_text(name)}: {column_text(column)}" for name, column in changed.items() if name not in pinned.columns]
    edits = [_addition(columns, new)] if new else []
    for name in changed.keys() & pinned.columns.keys():
        edits += _column_edits(_field(columns, name), pinned.columns[name], changed[name])
    # From the last to the first, so that earlier positions stay right.
    for start, stop, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[stop:]
    return text


def _column_edits(node: Any, before: Column, after: Column) -> list[tuple[int, int, str]]:
    old, new = _plain(before), _plain(after)
    if not set(old) <= set(new):
        return [(node.start_mark.index, _end(node), column_text(after))]
    added = [f"{field}: {_flow(value)}" for field, value in new.items() if field not in old]
    edits = [_addition(node, added)] if added else []
    for field, value in old.items():
        if new[field] == value:
            continue
        found = _field(node, field)
        if isinstance(value, list) and value and new[field][: len(value)] == value:
            edits.append(_addition(found, [_flow(item) for item in new[field][len(value) :]]))
        else:
            edits.append((found.start_mark.index, _end(found), _flow(new[field])))
    return edits


def _plain(column: Column) -> dict[str, Any]:
    read: dict[str, Any] = load_yaml(column_text(column))
    return read


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def _addition(node: Any, members: list[str]) -> tuple[int, int, str]:
    """An insertion after the last member of a mapping or list."""
    is_list = isinstance(node, yaml.SequenceNode)
    end = _end(node.value[-1] if is_list else node.value[-1][1])
    before_each = ", " if node.flow_style else f"\n{' ' * node.start_mark.column}{'- ' if is_list else ''}"
    return end, end, "".join(f"{before_each}{member}" for member in members)


def _field(node: Any, name: str) -> Any:
    return next(value for key, value in node.value if key.value == name)


def _end(node: Any) -> int:
    """Where a node's text ends; a block's own end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _beside(task_uri: str, name: str) -> str:
    if "://" in name or Path(name).is_absolute():
        return name
    if "://" in task_uri:
        return storage.join(task_uri.rsplit("/", 1)[0], name)
    return str(Path(task_uri).parent / name)


def _proposal(uri: str | None, registry: str, task: str) -> tuple[str, str]:
    """Where the proposal comes from, and its text; empty if that run proposed nothing."""
    if uri is not None:
        return uri, storage.read(uri).decode()
    records = Registry(registry, task)
    attempts = list(records.tries().values())
    if not attempts:
        raise InputError(
            f"No run of '{task}' is recorded",
            where=registry,
            fix="run the pipeline first, or give --registry or --proposal",
        )
    latest = records.file_of(attempts[-1], "evidence.json")
    # Of the run's facts only those about the data are needed.
    evidence = DataEvidence.from_value(load_yaml(storage.read(latest))["data"], where=latest)
    return f"the run recorded in {latest}", evidence.proposal


def _proposed(text: str, where: str) -> dict[str, Column]:
    """The columns that a proposal changes: those that it names, or all."""
    proposed = Schema.from_json(text, where=where)
    for line in text.splitlines():
        if line.startswith(CHANGED):
            return {name: proposed.columns[name] for name in json.loads(line.removeprefix(CHANGED))}
    return proposed.columns
