"""What the report says of a study, for tests that look at several of its parts."""

from dataclasses import dataclass

from kdsearch.analysis import ANSWERS, Context, ReportFigure
from kdsearch.analysis.answer import answer_figures
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.answers.gain import GAIN, GainInfo
from kdsearch.analysis.answers.grid import GRID, GridInfo
from kdsearch.analysis.drawing.style import figure_style
from kdsearch.analysis.finding import FindingInfo, compute_finding
from kdsearch.analysis.page.page import render_page
from kdsearch.analysis.page.rendering import Links
from kdsearch.results import Results


@dataclass
class Summary:
    context: Context
    finding: FindingInfo

    def __post_init__(self):
        self.strata = self.context.strata
        self.capacity, self.saturation, self.saturations = self.context.of(CAPACITY.compute)

    @property
    def gain(self) -> GainInfo:
        return self.context.of(GAIN.compute)

    @property
    def grid(self) -> GridInfo | None:
        return self.context.of(GRID.compute)

    def figures(self) -> dict[str, ReportFigure]:
        with figure_style():
            return {f.name: f for f in answer_figures(self.context, ANSWERS)}

    def page(self) -> str:
        """Its figures with their tables, without pictures."""
        return render_page(self.context, self.finding, list(self.figures().values()), {}, Links())


def compute_summary(results: Results) -> Summary:
    context = Context(results)
    return Summary(context, compute_finding(context, ANSWERS))
