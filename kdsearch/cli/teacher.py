"""`kdsearch teacher ...`."""

import typer

from kdsearch.cli.study import Overrides, StudyFile

app = typer.Typer(
    help="Train teachers ahead of a study, and list those cached.", no_args_is_help=True
)


@app.command()
def train(file: StudyFile, overrides: Overrides = []) -> None:  # noqa: B006
    """Train the teachers that a study file needs and the cache does not hold."""
    from kdsearch.config import load_study

    config = load_study(file, overrides)
    from kdsearch.cli.display import show_run
    from kdsearch.cli.tables import print_bank

    with show_run(config) as display:
        from kdsearch.study.teachers import train_teachers  # takes seconds, with the display on

        bank = train_teachers(config, listener=display)
    print_bank(bank)


@app.command("list")
def list_teachers() -> None:
    """Print the teachers in the cache."""
    from kdsearch.cache import cache_folder
    from kdsearch.cli.tables import print_teachers
    from kdsearch.distill import cached_teachers

    print_teachers(cached_teachers(cache_folder()), cache_folder())
