"""The report's figures: which there are, what each says, and how its panels are laid out."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kdsearch.analysis import wording
from kdsearch.analysis.answers.ensemble_size import draw_ensembles, draw_students
from kdsearch.analysis.answers.pareto import draw_pareto
from kdsearch.analysis.page import style
from kdsearch.analysis.page.answer_figures import (
    capacity_figure,
    convergence_figure,
    cost_figure,
    data_share_figure,
    gain_figure,
    grid_figure,
    ladder_figure,
    optimum_figure,
)
from kdsearch.analysis.page.report_figure import ReportFigure, level, origin, search_caption
from kdsearch.analysis.searching.importance import draw_importance
from kdsearch.analysis.searching.learning_curve import draw_learning_curve
from kdsearch.analysis.searching.optimization_history import (
    OptimizationHistoryInfo,
    draw_optimization_history,
)
from kdsearch.analysis.searching.temperature_alpha import axis_labels, draw_temperature_alpha
from kdsearch.analysis.summary import Summary


class _Labels(NamedTuple):
    x: str
    y: str


def build_figures(summary: Summary) -> list[ReportFigure]:
    """Every figure of the report, in its order. Call inside `style.figure_style`."""
    builders: list[Callable[[Summary], ReportFigure | None]] = [
        capacity_figure,
        cost_figure,
        grid_figure,
        data_share_figure,
        ladder_figure,
        gain_figure,
        convergence_figure,
        _pareto,
        _temperature_alpha,
        optimum_figure,
        _ensemble_size,
        _importance,
        _history,
        _learning_curve,
    ]
    return [figure for build in builders if (figure := build(summary)) is not None]


def _pareto(s: Summary) -> ReportFigure | None:
    if s.pareto is None:
        return None
    figure = None
    if not s.pareto.missing:
        figure = style.new_figure(8.2, 4.4)
        draw_pareto(s.pareto, figure.add_subplot())
        style.add_caption(figure, search_caption(s))
    more = ""
    if s.pareto.num_objectives > 2:
        more = f" The first two of {s.pareto.num_objectives} objectives are shown."
    return ReportFigure(
        "pareto",
        "Pareto front",
        "Search values on validation. No trial beats one on the front in every objective." + more,
        figure,
        s.pareto.missing,
    )


def _temperature_alpha(s: Summary) -> ReportFigure:
    info, figure = s.temperature_alpha, None
    if not info.missing:
        x_label, y_label, color_label = axis_labels(info)
        rows, columns = _grid(len(info.panels), widest=3)
        figure = style.new_figure(8.2, 1.0 + (3.6 if rows == 1 else 2.5) * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        axes = grid.ravel().tolist()
        dots = None
        for panel, ax in zip(info.panels, axes, strict=False):
            dots = draw_temperature_alpha(info, panel, ax)
        for ax in axes[len(info.panels) :]:
            ax.set_visible(False)
        _label_grid(figure, axes[: len(info.panels)], columns, _Labels(x_label, y_label))
        if dots is not None:
            unit = 100.0 if info.in_points else 1.0
            extend = "max" if info.metric == "val_loss" else "min"
            bar = figure.colorbar(
                dots, ax=axes, extend=extend, aspect=30, pad=0.015,
                format=lambda value, _: f"{unit * value + 0.0:.3g}".replace("-", "−"),
            )  # fmt: skip
            bar.set_label(color_label, fontsize=8.5)
            bar.outline.set_visible(False)  # type: ignore[operator]  # Spine, not Colorbar's own
        style.add_caption(figure, search_caption(s, "distilled"))
    return ReportFigure(
        "temperature_alpha",
        "Temperature and alpha",
        _temperature_alpha_words(s),
        figure,
        info.missing,
    )


def _temperature_alpha_words(s: Summary) -> str:
    if any(panel.map is not None for panel in s.temperature_alpha.panels):
        return (
            "What a pair is expected to cost, with every other tuned setting at its best for the "
            "pair, by the surface through all search trials. Outlined: the region that holds the "
            f"best pair ({level(s)}). Star: the pair of it that serves this stratum and its "
            "neighbours. White: the trials; crosses were pruned or failed. Alpha weights the hard "
            "loss."
        )
    return (
        "Every distilled search trial, coloured by its validation score relative to the best of "
        "its stratum (ringed); crosses were pruned or failed. Other settings vary too, so a pale "
        "dot may owe its score to a poor learning rate. Alpha weights the hard loss."
    )


def _ensemble_size(s: Summary) -> ReportFigure:
    info, figure = s.ensemble_size, None
    if not info.missing:
        parts = [
            draw
            for draw, has in ((draw_ensembles, info.banks), (draw_students, info.groups))
            if has
        ]
        figure = style.new_figure(8.2, 3.9)
        for ax, draw in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
            draw(info, ax)
        style.add_caption(figure, search_caption(s, "distilled"))
    return ReportFigure(
        "ensemble_size",
        "Ensemble size",
        "Left: the averaged teachers by themselves. Right: search values of the students they "
        "taught; the sampler chose how often to try each size, so compare shapes, not counts."
        if info.groups and info.banks
        else "How accuracy depends on the number of averaged teachers.",
        figure,
        info.missing,
    )


def _importance(s: Summary) -> ReportFigure:
    info, figure = s.importance, None
    if not info.missing:
        figure = style.new_figure(8.2, 1.4 + 0.42 * len(info.names))
        draw_importance(info, figure.add_subplot())
        counted = f"n = {info.num_trials} complete distilled search trials (pruned ones left out)"
        style.add_caption(figure, f"{counted} · {origin(s)}")
    return ReportFigure(
        "importance",
        "What mattered",
        "Share of the search objective's variance that each nuisance parameter explains within "
        "strata, from complete distilled trials only, over the ranges searched: a narrow range "
        "makes a parameter look unimportant.",
        figure,
        info.missing,
    )


def _history(s: Summary) -> ReportFigure:
    info, figure = s.history, None
    if not info.missing:
        rows, columns = _grid(len(info.panels), widest=3)
        figure = style.new_figure(8.2, 1.0 + (3.4 if rows == 1 else 2.0) * rows)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel().tolist()
        for panel, ax in zip(info.panels, axes, strict=False):
            draw_optimization_history(info, panel, ax)
        for ax in axes[len(info.panels) :]:
            ax.set_visible(False)
        labels = _Labels("Trial of the stratum", wording.capitalized(wording.metric(info.metric)))
        _label_grid(figure, axes[: len(info.panels)], columns, labels)
        _history_legend(info, figure)
        style.add_caption(figure, search_caption(s))
    more = f" {info.left_out} further strata are in results.csv." if info.left_out else ""
    return ReportFigure(
        "history",
        "The search",
        "Search objective of every trial, and the best so far (line). A line still climbing at "
        "its end asks for a larger budget." + more,
        figure,
        info.missing,
    )


def _history_legend(info: OptimizationHistoryInfo, figure: Figure) -> None:
    arms = dict.fromkeys(h.arm for p in info.panels for h in p.arms)
    handles = [Line2D([], [], color=style.ARM_COLORS[a], label=style.ARM_NAMES[a]) for a in arms]
    for marker, label in (("o", "complete"), ("x", "pruned (value when stopped)")):
        mark = Line2D([], [], marker=marker, label=label, color=style.MUTED, linestyle="none")
        mark.set_markersize(4.5)
        handles.append(mark)
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))


def _learning_curve(s: Summary) -> ReportFigure:
    info, figure = s.learning_curve, None
    whose = "the recommended student" if s.finding.recommended else "the best search trial so far"
    if not info.missing:
        figure = style.new_figure(8.2, 4.2)
        draw_learning_curve(info, figure.add_subplot())
        style.add_caption(figure, f"validation set · thin lines: replicates · {origin(s)}")
    return ReportFigure(
        "learning_curves",
        "Learning curves",
        f"Validation accuracy by epoch of {whose}, with each arm's own tuned settings.",
        figure,
        info.missing,
    )


def _grid(panels: int, widest: int) -> tuple[int, int]:
    columns = min(panels, widest)
    return math.ceil(panels / columns), columns


def _label_grid(figure: Figure, axes: Sequence[Axes], columns: int, labels: _Labels) -> None:
    """One y label for the whole grid; x labels under the lowest panel of each column."""
    if len(axes) == 1:
        axes[0].set_ylabel(labels.y)
    else:
        figure.supylabel(labels.y, fontsize=9)
    for index, ax in enumerate(axes):
        if index + columns >= len(axes):
            ax.set_xlabel(labels.x, fontsize=9)
            ax.tick_params(labelbottom=True)
