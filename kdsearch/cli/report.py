"""`kdsearch report`."""

from pathlib import Path

import typer

from kdsearch.cli.study import DEFAULT_STORAGE, Storage, StudyName


def report(name: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Write reports/NAME from what the storage holds."""
    from kdsearch.analysis import write_report
    from kdsearch.study.storage.outcome import load_results
    from kdsearch.study.storage.paths import StudyPaths

    results = load_results(name, storage=storage)
    written = write_report(results, StudyPaths(Path.cwd(), name).report)
    for sentence in (*written.finding, written.recommendation):
        typer.echo(sentence)
    typer.echo(f"\nReport: {written.html}")
