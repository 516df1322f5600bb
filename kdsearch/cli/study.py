"""`kdsearch study ...`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Run studies and look at them.", no_args_is_help=True)

StudyFile = Annotated[Path, typer.Argument(metavar="FILE", help="The study file (YAML).")]
Overrides = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value: --set budget.trials=48."),
]
StudyName = Annotated[str, typer.Argument(metavar="NAME", help="The study's name.")]
Storage = Annotated[
    str, typer.Option("--storage", metavar="URL", help="Optuna storage that holds the study.")
]
DEFAULT_STORAGE = "sqlite:///kdsearch.db"


class Format(StrEnum):
    """Table formats."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


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
    from kdsearch.study.run import run_study

    with show_run(config) as display:
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
def status(name: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Print how far a study has come."""
    from kdsearch.cli.tables import print_status
    from kdsearch.study.storage.outcome import load_results

    print_status(load_results(name, storage=storage, derived=False))


@app.command("list")
def list_studies(storage: Storage = DEFAULT_STORAGE) -> None:
    """Print the studies of a storage."""
    from kdsearch.cli.tables import print_studies
    from kdsearch.study.storage.outcome import list_results

    print_studies(list_results(storage))


@app.command()
def best(name: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Print the best settings of every stratum and what they were confirmed to reach."""
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
