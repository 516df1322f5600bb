"""The page on several studies."""

from collections.abc import Mapping, Sequence

from kdsearch.analysis.drawing.report_figure import Drawn, ReportFigure
from kdsearch.analysis.page.inline_svg import FigureSheet
from kdsearch.analysis.page.rendering import Links, picture_of, render
from kdsearch.analysis.side_by_side.studies import StudyAnswer, studies_table, study_notes


def render_side_by_side(
    studies: Sequence[StudyAnswer],
    figure: ReportFigure,
    drawn: Mapping[str, Drawn],
    links: Links,
) -> str:
    """The page as HTML text, with nothing left to load.

    Args:
        studies: In their order.
        figure: Their curves.
        drawn: The figure, drawn, by its name.
        links: Where runs are shown.
    """
    sheet = FigureSheet(links.run)
    return render(
        "several.html",
        sheet,
        name=" and ".join(study.name for study in studies),
        studies=studies,
        picture=picture_of(figure, drawn, sheet),
        table=studies_table(studies),
        notes=study_notes(studies),
        files=list(drawn),
    )
