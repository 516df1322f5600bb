"""`kdsearch study ...`."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kdsearch.cli.completion import DEFAULT_STORAGE, complete_study, complete_template
from kdsearch.cli.templates import DEFAULT_TEMPLATE, write_study_file

app = typer.Typer(help="Run studies and look at them.", no_args_is_help=True)

StudyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The study file (YAML).")]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value: --set budget.trials=48."),
]
StudyName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The study's name.", autocompletion=complete_study),
]
Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="Optuna storage that holds the study.")
]


Template = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="STUDY",
        help="The study file to begin with.",
        autocompletion=complete_template,
    ),
]


class Format(StrEnum):
    """Table formats."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study file to write (YAML).")],
    template: Template = DEFAULT_TEMPLATE,
) -> None:
    """Write a study file to begin with; its name becomes the study's."""
    write_study_file(file, template)
    typer.echo(f"{file} is there, like {template}; change it, then see what it would do:")
    typer.echo(f"  kdsearch study plan {shlex.quote(str(file))}")


@app.command()
def run(
    file: StudyFile,
    overrides: Overrides = [],  # noqa: B006 - typer reads it, nobody changes it
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Worker processes; 0 trains in this one. Default: the cores."),
    ] = None,
) -> None:
    """Run a study, or go on where it stopped."""
    from kdsearch.config import load_study

    config = load_study(file, overrides)
    from kdsearch.cli.display import show_run

    with show_run(config) as display:
        from kdsearch.study.run import run_study  # takes seconds, with the display on

        result = run_study(config, workers=workers, listener=display)
    display.summary(result)


@app.command()
def plan(file: StudyFile, overrides: Overrides = []) -> None:  # noqa: B006
    """Print what `study run` would do, and do nothing."""
    from kdsearch.config import load_study

    config = load_study(file, overrides)
    from kdsearch.cli.tables import print_plan
    from kdsearch.study.planning.plan import plan_study

    print_plan(plan_study(config))


@app.command()
def status(
    name: StudyName,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print it again as it changes, while the study runs.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Print how far a study has come."""
    from kdsearch.cli.tables import print_status
    from kdsearch.study.storage.outcome import load_results

    if not follow:
        print_status(load_results(name, storage=storage, derived=False))
        return
    from kdsearch.study.storage.watching import looks_at

    for look in looks_at(name, storage=storage, root=Path.cwd(), derived=False):
        if look.is_new:
            print_status(look.results)
            typer.echo()
    typer.echo(f"nobody runs {name} now")


@app.command("list")
def list_studies(storage: Storage = DEFAULT_STORAGE) -> None:
    """Print the studies of a storage."""
    from kdsearch.cli.tables import print_studies
    from kdsearch.study.storage.listing import list_studies

    print_studies(list_studies(storage, root=Path.cwd()))


@app.command()
def best(name: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Print the best settings at every size or other point asked about, and what they reach."""
    from kdsearch.cli.tables import print_best
    from kdsearch.study.storage.outcome import load_results

    print_best(load_results(name, storage=storage))


@app.command()
def export(
    name: StudyName,
    table_format: Annotated[Format, typer.Option("--format", help="Table format.")] = Format.CSV,
    out: Annotated[
        Path | None, typer.Option(help="File to write; standard output if left out.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Write one row per trained student."""
    from kdsearch.cli.tables import export_table
    from kdsearch.study.storage.outcome import load_results

    results = load_results(name, storage=storage, derived=False)
    export_table(results, table_format.value, out)


@app.command()
def predict(
    name: StudyName,
    params: Annotated[
        float | None, typer.Option(metavar="N", help="Parameters of a student.")
    ] = None,
    accuracy: Annotated[
        float | None, typer.Option(metavar="FRACTION", help="Test accuracy that is wanted.")
    ] = None,
    size_bytes: Annotated[
        float | None, typer.Option(metavar="N", help="Bytes of a student's weights.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Print what a student of another size would reach, or how large one must be."""
    from kdsearch.errors import UserInputError

    if sum(value is not None for value in (params, accuracy, size_bytes)) != 1:
        raise UserInputError("give one of --params, --accuracy and --size-bytes")
    from kdsearch.analysis.answers.capacity.prediction import Query, predict_students
    from kdsearch.cli.tables import print_sentences
    from kdsearch.study.storage.outcome import load_results

    results = load_results(name, storage=storage, derived=False)
    print_sentences(predict_students(results, Query(params, size_bytes, accuracy)))


@app.command()
def delete(
    name: StudyName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Remove a study from storage, MLflow and this folder; cached teachers stay."""
    from rich.console import Console

    from kdsearch.cli.tables import print_sentences
    from kdsearch.study.storage.removal import doomed_study

    with doomed_study(name, storage=storage, root=Path.cwd()) as study:
        if not yes:
            print_sentences(study.describe())
            if not _agreed("Remove it?"):
                typer.echo("nothing was removed")
                raise typer.Exit(1)
        with Console(stderr=True).status(f"removing study {name}"):
            removed = study.remove()
    print_sentences(removed)


def _agreed(question: str) -> bool:
    """What the user answers; nobody there to answer is a mistake."""
    from kdsearch.errors import UserInputError

    try:
        return typer.confirm(question)
    except typer.Abort:
        typer.echo()
        raise UserInputError("nothing was removed, because nobody answered; say --yes") from None
