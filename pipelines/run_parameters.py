"""Run parameters as a user gives them: from a file and from `--set`, checked against the pipeline's own."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from components._shared.contract import canonical_json, load_yaml, yaml_problem
from components._shared.errors import InputError
from components._shared.storage import check_no_secret
from components._shared.windows import parse_moment
from components.conclude.executor import RESULTS
from pipelines.cluster.compiled import CompiledPipeline
from pipelines.cluster.settings import ClusterSettings

MOST_BYTES = 10_000
"""Of all parameters of a run together, as JSON: what Kubeflow Pipelines takes unless it is set up otherwise."""

_WHERE = "--set or --params"
_WORDS = {"engine": ("vectorised", "tfma"), "deploy": ("none", "tf-serving")}
_URIS = ("task", "data_root", "registry")
_KIND = {float: "a number", int: "a whole number", bool: "true or false", list: "a list, for example [a, b]"}
_KIND |= {dict: "a mapping, for example {epochs: 2}"}


def run_parameter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--params` and `--set`, as `params` and `settings`: what `read_run_parameters` reads."""
    for option in (
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="NAME=VALUE",
            help="A run parameter; parameters.epochs=2 sets one of the trainer's.",
        ),
        click.option("--params", type=click.Path(path_type=Path, dir_okay=False), help="YAML file of run parameters."),
    ):
        command = option(command)
    return command


def read_run_parameters(known: Mapping[str, type], params: Path | None, settings: Sequence[str]) -> dict[str, Any]:
    """What the file says, and then what the settings say.

    Args:
        known: The pipeline's parameters and their types.
        settings: `name=value`; `name.inner=value` sets one value of a mapping.

    Raises:
        InputError: The file cannot be read, a name is not known, or a value is not of its type.
    """
    given = _read_file(params) if params else {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"'{setting}' is not NAME=VALUE", where="--set", fix=f"write --set {setting}=VALUE")
        value, (outer, dot, inner) = _plain(text, where=f"--set {setting}"), name.partition(".")
        if not dot:
            given[name] = value
            continue
        inside = given.get(outer) or {}
        if not isinstance(inside, dict):
            raise InputError(
                f"'{outer}' is set to {inside!r}, so it has no '{inner}'", where="--set", fix="set one of the two"
            )
        given[outer] = {**inside, inner: value}
    return check_run_parameters(known, given, where=_WHERE)


def check_run_parameters(known: Mapping[str, type], given: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The given parameters with values of their types.

    Raises:
        InputError: A name is not known, or a value is not of its type.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                f"'{name}' is not a run parameter" + (f" (did you mean '{near[0]}'?)" if near else ""),
                where=where,
                fix=f"use one of: {', '.join(known)}",
            )
    typed = {name: _typed(name, value, known[name], where) for name, value in given.items()}
    for name in _URIS:
        # Before it is printed, logged, or shown in the user interface.
        check_no_secret(typed.get(name, ""))
    return typed


def cluster_parameters(
    pipeline: CompiledPipeline, given: Mapping[str, Any], settings: ClusterSettings, *, where: str = _WHERE
) -> dict[str, Any]:
    """Parameters of a run on a cluster: the roots from its settings, all in object storage, and not too many bytes.

    Raises:
        InputError: Something is missing, lies on this machine, or is too large.
    """
    roots = {"data_root": settings.data_root, "registry": settings.registry}
    complete = {name: value for name, value in roots.items() if value and name in pipeline.parameters} | dict(given)
    for name, parameter in pipeline.parameters.items():
        if parameter.required and not complete.get(name):
            fix = f"add --set {name}=…"
            if name in roots:
                fix += f", or `{name}` to the settings given as --cluster"
            raise InputError(f"No {name} is given", where=where, fix=fix)
    for name in _URIS:
        value = str(complete.get(name) or "")
        if value and ("://" not in value or value.startswith("file:")):
            raise InputError(
                f"'{value}' lies on this machine, where the cluster cannot read it",
                where=f"{name}, {where}",
                fix="give a place in object storage, gs://… or s3://…",
            )
    if (size := len(canonical_json(complete))) > MOST_BYTES:
        longest = max(complete, key=lambda name: len(canonical_json(complete[name])))
        raise InputError(
            f"The run parameters have {size:,} bytes; Kubeflow Pipelines takes {MOST_BYTES:,}",
            where=f"most of them: {longest}",
            fix="put what is long into a file in object storage, such as the task file",
        )
    return complete


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except FileNotFoundError as cause:
        raise InputError("There is no such file of run parameters", where=str(path), fix="correct the path") from cause
    except OSError as cause:
        raise InputError(
            f"The run parameters cannot be read: {cause.strerror}", where=str(path), fix="correct the path"
        ) from cause
    given = _plain(content, where=str(path)) or {}
    if not isinstance(given, dict):
        raise InputError("Run parameters are names with values", where=str(path), fix="write `name: value` lines")
    return {str(name): value for name, value in given.items()}


def _plain(text: str | bytes, where: str) -> Any:
    try:
        return load_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        problem = yaml_problem(cause) if isinstance(cause, yaml.YAMLError) else "not UTF-8 text"
        raise InputError(f"This is not readable YAML: {problem}", where=where, fix="put quotes around text") from cause


def _typed(name: str, value: Any, wanted: type, where: str) -> Any:
    if name in _WORDS and value not in _WORDS[name]:
        raise InputError(f"There is no {name} '{value}'", where=where, fix=f"give {' or '.join(_WORDS[name])}")
    if name == "as_of" and value:
        parse_moment(str(value), "UTC")
    if name == "fail_on":
        _check_results(str(value or ""), where)
    if wanted is str:
        return "" if value is None else str(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise InputError(f"{value!r} is not a value for '{name}'", where=where, fix=f"give {_KIND[wanted]}")
    return value


def _check_results(text: str, where: str) -> None:
    for result in filter(None, (each.strip() for each in text.split(","))):
        if result not in RESULTS:
            raise InputError(
                f"There is no result '{result}'", where=f"fail_on, {where}", fix=f"use some of: {', '.join(RESULTS)}"
            )
