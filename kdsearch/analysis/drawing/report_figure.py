"""What a section of the report's page shows."""

from typing import NamedTuple

from matplotlib.figure import Figure

from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import Mark


class Drawn(NamedTuple):
    """A figure that was saved."""

    svg: bytes
    marks: tuple[Mark, ...]
    """Its points that say what they are."""


class ReportFigure(NamedTuple):
    """A figure, a table or both; or the reason why there is none."""

    name: str
    """File name without its ending."""
    title: str
    explanation: str
    """How to read it, in one or two sentences."""
    figure: Figure | None
    missing: str
    table: Table | None = None
    """The figure's numbers."""
