"""What a point of a figure says when someone points at it, and the run that it leads to."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Mark(NamedTuple):
    """A point of a drawn figure."""

    left: float
    """From the figure's left edge, as a share of its width."""
    top: float
    """From its upper edge, as a share of its height."""
    text: str
    run_id: str | None
    """Of MLflow."""


class _Note(Artist):
    """Rides on the axes without being drawn, so that its place is known once they have theirs."""

    def __init__(self, x: Any, y: float, text: str, run_id: str | None) -> None:
        super().__init__()
        self.x, self.y, self.text, self.run_id = x, y, text, run_id
        self.set_in_layout(False)

    def draw(self, renderer: Any) -> None:
        """Nothing: the figure's points are drawn already."""
        del renderer


def mark_point(ax: Axes, x: float, y: float, text: str, *, run_id: str | None = None) -> None:
    """Say what a point of the data is; pages show it, printed figures do not.

    Args:
        ax: Where it is drawn.
        x: In the data's units.
        y: The same.
        text: One line.
        run_id: MLflow's run that it leads to.
    """
    ax.add_artist(_Note(x, y, text, run_id))


def marks_of(figure: Figure) -> Iterator[Mark]:
    """The marks of a figure that has been saved, in the order they were made."""
    for note in figure.findobj(_Note):
        assert isinstance(note, _Note)
        ax = note.axes
        if ax is None or not ax.get_visible():
            continue
        pixels = ax.transData.transform((note.x, note.y))
        left, bottom = figure.transFigure.inverted().transform(pixels)
        if 0 <= left <= 1 and 0 <= bottom <= 1:
            yield Mark(float(left), 1 - float(bottom), note.text, note.run_id)
