"""The report page: what goes into the template. Every text is escaped there."""

from collections.abc import Mapping, Sequence

import yaml

from kdsearch.analysis.answers.gain import GAIN
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.report_figure import Drawn, ReportFigure
from kdsearch.analysis.finding import FindingInfo
from kdsearch.analysis.luck import luck_words
from kdsearch.analysis.page.beside import caveats, headline_tiles
from kdsearch.analysis.page.credentials import without_credentials
from kdsearch.analysis.page.inline_svg import FigureSheet
from kdsearch.analysis.page.making import making_rows
from kdsearch.analysis.page.rendering import Links, Picture, picture_of, render
from kdsearch.analysis.page.students import students_shown, students_table
from kdsearch.analysis.page.tables import (
    fidelity_table,
    scores_table,
    settings_table,
    teachers_table,
)
from kdsearch.results import Results, TrialRecord


def render_page(
    context: Context,
    finding: FindingInfo,
    figures: Sequence[ReportFigure],
    drawn: Mapping[str, Drawn],
    links: Links,
    *,
    refresh: int | None = None,
) -> str:
    """The whole page as HTML text, with nothing left to load.

    Args:
        context: The numbers.
        finding: What they say.
        figures: The figures in their order; the first answers the question.
        drawn: Those that were drawn, by name.
        links: Where runs are shown.
        refresh: Seconds after which a browser reads the page again.
    """
    sheet = FigureSheet(links.run)
    pictures = [picture_of(figure, drawn, sheet) for figure in figures]
    shown, noun = students_shown(context), context.strata.noun
    tables = [row for row in _folded(context) if row[2].rows]
    return render(
        "report.html",
        sheet,
        refresh=refresh,
        name=context.results.config.name,
        finding=finding,
        first=pictures[0] if pictures else None,
        rest=pictures[1:],
        contents=_contents(finding, pictures, tables, shown),
        tiles=headline_tiles(context, finding),
        notes=caveats(context),
        scores=scores_table(context).without_empty(),
        metric=context.strata.headline.words,
        place=noun.one,
        places=noun.many,
        luck=bool(luck_words(context.strata)),
        all_paired=context.of(GAIN.compute).all_paired,
        tables=tables,
        students=students_table(context, shown),
        student_links=[links.run(t.mlflow_run_id) for t in shown],
        linked=links.tracking,
        made=making_rows(context),
        level=context.level,
        missed=f"{100 * (1 - context.strata.confidence):.2g}",
        snippet=_snippet(context, finding),
        study_file=_study_file(context.results),
        files=list(drawn),
    )


def _folded(context: Context) -> list[tuple[str, str, Table, str]]:
    """(id, title, table, caption) of the tables that every report has below its figures."""
    noun = context.strata.noun
    return [
        ("settings", "Chosen settings", settings_table(context).without_empty(),
         "What the search chose by validation. Its score is the best of n and biased upward: not "
         "a result."),
        ("teachers", "Teachers", teachers_table(context).without_empty(),
         "Members of the bank, trained once on hard labels, and the ensembles of its first k "
         "members."),
        ("fidelity", "Fidelity and calibration", fidelity_table(context).without_empty(),
         f"On the test set, mean over replicates of each {noun.one}. Agreement: same class as the "
         "full ensemble. ECE: 15 bins."),
    ]  # fmt: skip


def _contents(
    finding: FindingInfo,
    pictures: Sequence[Picture],
    tables: Sequence[tuple[str, str, Table, str]],
    shown: Sequence[TrialRecord],
) -> list[tuple[str, str]]:
    """(id, title) of the sections below."""
    return [
        ("confirmed", "Results"),
        *([("more", "What else was found")] if finding.details else []),
        *((p.figure.name, p.figure.title) for p in pictures[1:]),
        *((id_, title) for id_, title, _, _ in tables),
        *([("students", "All students")] if shown else []),
        ("made", "How it was made"),
    ]


def _study_file(results: Results) -> str:
    """The study as it ran, with every default spelled out."""
    tree = without_credentials(results.config.model_dump(mode="json", exclude_none=True))
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)


def _snippet(context: Context, finding: FindingInfo) -> str:
    """Python that loads the registered student; empty where none is."""
    config = context.results.config
    if config.tracking.models == "none" or finding.champion is None:
        return ""
    return (
        "import mlflow\n\n"
        f'model = mlflow.pytorch.load_model("models:/{config.name}@champion")\n'
        "classes = model(samples).argmax(1)  # samples as they are in the data: it normalises them"
    )
