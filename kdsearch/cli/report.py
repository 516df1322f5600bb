"""`kdsearch report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdsearch.cli.completion import DEFAULT_STORAGE, complete_study
from kdsearch.cli.study import Storage

if TYPE_CHECKING:
    from kdsearch.results import Results


def report(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="One study or more.", autocompletion=complete_study
        ),
    ],
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Write it again while the study runs."),
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write reports/NAME from what the storage holds; several names give one page on them all."""
    from kdsearch.errors import UserInputError

    if watch and len(names) > 1:
        raise UserInputError("--watch follows one study; give one name")
    if len(names) > 1:
        _side_by_side(list(dict.fromkeys(names)), storage)
    elif watch:
        _watch(names[0], storage)
    else:
        _write(_load(names[0], storage))


def _load(name: str, storage: str) -> "Results":
    from kdsearch.study.storage.outcome import load_results

    return load_results(name, storage=storage)


def _write(results: "Results", *, refresh: int | None = None) -> None:
    from kdsearch.analysis import write_report
    from kdsearch.study.pages import report_links
    from kdsearch.study.storage.paths import StudyPaths

    name = results.config.name
    folder = StudyPaths(Path.cwd(), name).report
    written = write_report(results, folder, links=report_links(), refresh=refresh)
    for sentence in (*written.finding, written.recommendation):
        typer.echo(sentence)
    typer.echo(f"\nReport: {written.html}")


def _watch(name: str, storage: str) -> None:
    """Until nobody runs the study any more."""
    from kdsearch.study.storage.watching import LOOK_SECONDS, looks_at

    for look in looks_at(name, storage=storage, root=Path.cwd(), derived=True):
        _write(look.results, refresh=round(LOOK_SECONDS) if look.is_running else None)


def _side_by_side(names: list[str], storage: str) -> None:
    from kdsearch.analysis.side_by_side.report import write_side_by_side
    from kdsearch.study.pages import report_links
    from kdsearch.study.storage.paths import StudyPaths

    several = [_load(name, storage) for name in names]
    folder = StudyPaths(Path.cwd(), "+".join(names)).report
    html = write_side_by_side(several, folder, links=report_links())
    typer.echo(f"Report: {html}")
