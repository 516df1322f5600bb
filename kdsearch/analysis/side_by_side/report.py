"""The folder of a page on several studies."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from kdsearch.analysis.answer import Answers
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.page.credentials import redact_results
from kdsearch.analysis.page.rendering import Links
from kdsearch.analysis.report import ANSWERS, put_in_place, save_figures
from kdsearch.analysis.side_by_side.page import render_side_by_side
from kdsearch.analysis.side_by_side.studies import compute_studies, studies_figure
from kdsearch.analysis.table import results_table, write_table
from kdsearch.results import Results


def write_side_by_side(
    several: Sequence[Results],
    folder: Path,
    *,
    answers: Answers = ANSWERS,
    links: Links = Links(),  # noqa: B008  # a tuple
) -> Path:
    """Write one page on several studies: report.html, its figure, and results.csv of them all.

    Args:
        several: The studies, in the order in which they are shown.
        folder: Made if it is not there.
        answers: As in `write_report`.
        links: As in `write_report`.

    Raises:
        OSError: The folder cannot be written.
        UserInputError: The studies have no common axis.
    """
    contexts = [Context(redact_results(results)) for results in several]
    studies = compute_studies(contexts, answers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as draft_name:
        draft = Path(draft_name)
        with style.figure_style():
            figure = studies_figure(studies)
            drawn = save_figures([figure], draft / "figures")
        page = render_side_by_side(studies, figure, drawn, links)
        (draft / "report.html").write_text(page, encoding="utf-8")
        tables = [results_table(results) for results in several]
        write_table(pd.concat(tables, ignore_index=True), draft / "results.csv", "csv")
        put_in_place(draft, folder)
    return folder / "report.html"
