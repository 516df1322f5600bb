"""The `kdsearch` command. Imports nothing heavy: `kdsearch --help` answers at once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kdsearch.cli import report, study, teacher, ui
from kdsearch.errors import KdsearchError, UserInputError

INTERRUPTED = 130
# By way of a public name: typer has its own copy of click since 0.26.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """Commands whose misuse is one sentence, as every other mistake is."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the command line."""
        with one_sentence():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that it names."""
        with one_sentence():
            return super().invoke(ctx)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what typer would print below a block of usage into an error of ours."""
    try:
        yield
    except USAGE_ERROR as error:
        if type(error).show is not USAGE_ERROR.show:  # a group without a command prints its help
            raise
        path = error.ctx.command_path if error.ctx is not None else "kdsearch"
        message = error.format_message().rstrip(".").replace("Value error, ", "")
        end = "" if message.endswith("?") else ";"
        raise UserInputError(f"{message}{end} `{path} --help` shows what is allowed") from error


app = typer.Typer(
    name="kdsearch",
    cls=Commands,
    help="How small can a distilled student be before it stops keeping up with its teacher?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(study.app, name="study")
app.add_typer(teacher.app, name="teacher")
app.command("report")(report.report)
app.command("ui")(ui.ui)


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kdsearch {version('kdsearch')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version."),
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Run the command line; the one place that turns errors into exit codes."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    is_debugging = len(arguments) < len(sys.argv) - 1
    try:
        # In its standalone mode, because typer has changed which exceptions a wrong command line
        # raises otherwise (its own copy of click's since 0.26).
        app(arguments, prog_name="kdsearch")
    except KdsearchError as error:
        if is_debugging:
            raise
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:
            typer.echo("interrupted; run the same command again to go on", err=True)
        raise
    except Exception as error:  # a traceback only with --debug
        if is_debugging:
            raise
        reason = " ".join(str(error).split())[:500]
        typer.echo(
            f"kdsearch failed unexpectedly: {type(error).__name__}: {reason}; "
            "the same command with --debug shows where",
            err=True,
        )
        sys.exit(1)
