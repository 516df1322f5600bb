"""`kdsearch ui`."""

import webbrowser
from typing import Annotated

import typer

from kdsearch.cli.completion import complete_study
from kdsearch.cli.study import DEFAULT_STORAGE, Storage


def ui(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="The study to open; all if left out.",
            autocompletion=complete_study,
        ),
    ] = None,
    opens: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port, or the next free one. Default: 5000."),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Show a study's charts: MLflow on this machine, until Ctrl-C.

    Where MLFLOW_TRACKING_URI is a server, only the link to it is printed.
    """
    from kdsearch.study.pages import show_pages

    show_pages(
        name,
        storage=storage,
        port=port,
        say=typer.echo,
        open_link=webbrowser.open if opens else lambda _: None,
    )
