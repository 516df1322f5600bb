"""How figures look: Okabe-Ito colours, one typeface, quiet axes; no pyplot, no global state.

Everything is drawn inside `figure_style`, which also turns mathtext off: study names, settings
and commands are other people's text, and `$` in them is a dollar sign.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.scale import PERCENT

INK = "#1b2733"
MUTED = "#6b7785"
GRID = "#e3e7ec"
DISTILLED = "#0072B2"  # Okabe-Ito blue
BASELINE = "#E69F00"  # orange
TEACHER = "#009E73"  # bluish green
ENSEMBLE = "#CC79A7"  # reddish purple
WARN = "#D55E00"  # vermillion
CYCLE = (DISTILLED, BASELINE, TEACHER, ENSEMBLE, "#56B4E9", WARN, "#5b5b5b", "#b8ab00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
HEAT = LinearSegmentedColormap.from_list(
    "kdsearch", ["#f1e9c9", "#a5c9a1", "#4a9fae", "#1f5f95", "#14254f"]
)
"""Light to dark with steadily falling lightness, so that it survives grey print."""

ARM_COLORS = {"distilled": DISTILLED, "baseline": BASELINE}
ARM_NAMES = {"distilled": "distilled", "baseline": "hard labels only"}

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#aab3bd",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": "kdsearch",  # the same results give the same file
    "axes.unicode_minus": True,
    "savefig.dpi": 160,
    "figure.dpi": 100,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The house style, for the time of the block: make, draw and save figures inside."""
    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float = 8.2, height: float = 4.6) -> Figure:
    """A figure of `width` x `height` inches that lays itself out; not known to pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_caption(figure: Figure, text: str) -> None:
    """A small grey line under the figure, kept when someone takes it out of the report."""
    figure.supxlabel(text, fontsize=7.2, color=MUTED, x=0.01, ha="left")


def error_bar(color: str, marker: str = "o") -> dict[str, Any]:
    """Keyword arguments of every mean with an interval."""
    return {
        "fmt": marker,
        "color": color,
        "markersize": 6.0,
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
        "elinewidth": 1.5,
        "capsize": 3.0,
        "capthick": 1.5,
    }


def reach(estimate: Estimate) -> tuple[float, float]:
    """Lengths of the bar below and above the mean; no bar without an interval."""
    if estimate.low is None or estimate.high is None:
        return 0.0, 0.0
    return estimate.mean - estimate.low, estimate.high - estimate.mean


def shade(position: float) -> str:
    """A colour of an ordered series, 0 for its first member (light) to 1 for its last (dark)."""
    return to_hex(HEAT(0.3 + 0.65 * position))


def category_ticks(ax: Axes, labels: Sequence[str]) -> None:
    """One x tick for each label, slanted where they would run into each other."""
    ax.set_xlim(-0.6, len(labels) - 0.4)
    crowded = sum(map(len, labels)) > 75
    ax.set_xticks(range(len(labels)), [_shorten(label) for label in labels])
    if crowded:
        for text in ax.get_xticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")


def _shorten(label: str, limit: int = 32) -> str:
    return label if len(label) <= limit else label[: limit - 1] + "…"


def score_axis(axis: Axis, headline: Headline) -> None:
    """Ticks of a metric's own values: in percent for a fraction, else plain."""
    if headline.unit == PERCENT:
        percent_axis(axis)


def percent_axis(axis: Axis) -> None:
    """Ticks of a fraction as percent, with as many digits as the ticks need."""

    def write(value: float, _position: int | None) -> str:
        ticks = [100 * float(tick) for tick in axis.get_majorticklocs()]  # known when drawn
        digits = next(d for d in range(5) if d == 4 or all(_is_round(t, d) for t in ticks))
        return wording.percent(value, digits)

    axis.set_major_formatter(FuncFormatter(write))


def _is_round(number: float, digits: int) -> bool:
    return abs(round(number, digits) - number) < 1e-6


def log_size_axis(ax: Axes, sizes: Sequence[float]) -> None:
    """A log x axis in parameters, with plain ticks such as `5 k`."""
    low, high = min(sizes), max(sizes)
    pad = (high / low) ** 0.06 if high > low else 1.5
    ax.set_xscale("log")
    ax.set_xlim(low / pad, high * pad)
    narrow = high / low < 100
    ax.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if narrow else (1.0, 3.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _round_count(value)))
    ax.xaxis.set_minor_locator(NullLocator())


def value_axis(axis: Axis, *, log: bool) -> None:
    """Ticks of a searched value: plain numbers, also on a log scale."""
    if not log:
        return
    low, high = axis.get_view_interval()
    narrow = high / low < 100
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if narrow else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def top_labels(ax: Axes, positions: Sequence[float], labels: Sequence[str], title: str) -> None:
    """A second x axis above, with one label for each point that has room for it."""
    top = ax.secondary_xaxis("top")
    top.spines["top"].set_visible(False)
    top.xaxis.set_major_locator(FixedLocator(list(positions)))
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xticklabels(list(labels))
    top.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, pad=1)
    top.set_xlabel(title, fontsize=8.5, color=MUTED)


def _round_count(value: float) -> str:
    return wording.count(value).replace(".0 ", " ")
