"""The command line: `saiki`, also `python -m pipelines`."""

from __future__ import annotations

import importlib
import signal
import sys
import traceback

import click

from components._shared.errors import SaikiError
from pipelines.local.run import StepError

_COMMANDS: dict[str, str] = {
    "run": "pipelines.commands.run:run",
    "init": "pipelines.commands.init:init",
    "schema": "pipelines.commands.schema:schema",
    "image": "pipelines.commands.image:image",
    "compile": "pipelines.commands.compile:compile_pipelines",
    "upload": "pipelines.commands.upload:upload",
    "submit": "pipelines.commands.submit:submit",
    "watch": "pipelines.commands.watch:watch",
    "schedule": "pipelines.commands.schedule:schedule",
    "models": "pipelines.commands.registry:models",
    "ledger": "pipelines.commands.ledger:ledger",
    "promote": "pipelines.commands.registry:promote",
    "rollback": "pipelines.commands.registry:rollback",
    "release": "pipelines.commands.registry:release",
    "diff": "pipelines.commands.diff:diff",
    "report": "pipelines.commands.registry:report",
    "gc": "pipelines.commands.registry:gc",
}


class _LazyGroup(click.Group):
    """Imports a command when it is used: `saiki --help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="saiki")
@click.pass_context
def saiki(context: click.Context, debug: bool) -> None:
    """Keeps a model fresh and trustworthy: trains, judges with written evidence, promotes.

    \b
    Examples:
      saiki init orders.csv                         propose a task file for your data
      saiki run training --set task=orders/task.yaml
      saiki models                                  what there is now
      saiki submit training --cluster settings.yaml --set task=gs://bucket/orders/task.yaml --wait
      saiki COMMAND --help                          more examples

    Exit codes: 0 done, 1 a verdict said no, 2 the input is wrong or a step failed.
    """
    context.obj = {"debug": debug}


def main() -> None:
    """Runs a command; an error says what is wrong, where, and what to do."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        code = saiki(prog_name="saiki", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nInterrupted. Run it again: what is finished is not repeated.", err=True)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        _show(error, debug="--debug" in sys.argv)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _show(error: Exception, *, debug: bool) -> None:
    expected = isinstance(error, SaikiError) and not (isinstance(error, StepError) and error.unexpected)
    if debug:
        # Of a step, its own traceback: ours only goes through kfp.
        if isinstance(error, StepError) and error.details:
            click.echo(error.details, err=True)
        else:
            traceback.print_exception(error)
    text = str(error) if isinstance(error, SaikiError) else f"{type(error).__name__}: {error}"
    click.secho(f"error: {text}", fg="red", err=True)
    if not expected and not debug:
        click.echo("  (this is not one of the errors that Saiki expects: --debug shows where it comes from)", err=True)


if __name__ == "__main__":
    main()
