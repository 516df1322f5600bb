"""Several panels in one figure."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDEST = 3
"""Panels side by side."""


def panel_rows(count: int) -> int:
    """Rows that so many panels take."""
    return math.ceil(count / WIDEST)


def new_panels(
    figure: Figure, count: int, *, sharex: bool = False, sharey: bool = False
) -> list[Axes]:
    """So many axes, at most `WIDEST` side by side; their scales shared as is asked."""
    rows, columns = panel_rows(count), min(count, WIDEST)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    axes = grid.ravel().tolist()
    for ax in axes[count:]:
        ax.set_visible(False)
    return axes[:count]


def label_panels(figure: Figure, axes: Sequence[Axes], x_label: str, y_label: str) -> None:
    """One y label for all; x labels under the lowest panel of each column."""
    if len(axes) == 1:
        axes[0].set_ylabel(y_label)
    else:
        figure.supylabel(y_label, fontsize=9)
    for ax in axes[-WIDEST:]:
        ax.set_xlabel(x_label, fontsize=9)
        ax.tick_params(labelbottom=True)
