"""The report's figures: which there are, what each says, and how its panels are laid out."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kdsearch.analysis import style, wording
from kdsearch.analysis.capacity_curve import draw_capacity_curve, draw_strata
from kdsearch.analysis.ensemble_size import draw_ensembles, draw_students
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.gain import draw_gain, pairing_words
from kdsearch.analysis.importance import draw_importance
from kdsearch.analysis.learning_curve import draw_learning_curve
from kdsearch.analysis.optimization_history import (
    OptimizationHistoryInfo,
    draw_optimization_history,
)
from kdsearch.analysis.pareto import draw_pareto
from kdsearch.analysis.summary import Summary
from kdsearch.analysis.temperature_alpha import axis_labels, draw_temperature_alpha
from kdsearch.results import Arm


class ReportFigure(NamedTuple):
    """One figure of the report, or the reason why it cannot be drawn."""

    name: str
    """File name without its ending."""
    title: str
    explanation: str
    """How to read it, in one or two sentences."""
    figure: Figure | None
    missing: str


class _Labels(NamedTuple):
    x: str
    y: str


def build_figures(summary: Summary) -> list[ReportFigure]:
    """Every figure of the report, in its order. Call inside `style.figure_style`."""
    builders: list[Callable[[Summary], ReportFigure | None]] = [
        _capacity,
        _gain,
        _pareto,
        _temperature_alpha,
        _ensemble_size,
        _importance,
        _history,
        _learning_curve,
    ]
    return [figure for build in builders if (figure := build(summary)) is not None]


def _capacity(s: Summary) -> ReportFigure:
    sized = not s.capacity.missing
    if not sized and len(s.strata.confirmed) > 1:
        figure = style.new_figure(8.2, 4.4)
        draw_strata(s.strata, figure.add_subplot())
        style.add_caption(figure, _confirmed_caption(s))
        return ReportFigure(
            "accuracy",
            "Accuracy by " + wording.listing([wording.words(n) for n in s.strata.scientific]),
            "Confirmed test accuracy of each stratum's best settings on fresh seeds; bars are "
            f"{_level(s)} intervals over replicates.",
            figure,
            "",
        )
    figure = None
    if sized:
        figure = style.new_figure(8.2, 5.0)
        ax = figure.add_subplot()
        draw_capacity_curve(s.capacity, ax, s.saturation.fit)
        ax.set_title(_verdict(s))
        style.add_caption(figure, _confirmed_caption(s))
    return ReportFigure(
        "capacity",
        "Capacity and accuracy",
        "Confirmed test accuracy against the student's size, on fresh seeds, for both arms; bars "
        f"are {_level(s)} intervals over replicates (a single replicate has none). "
        + (s.saturation.opinions and _saturation_words(s)),
        figure,
        s.capacity.missing,
    )


_VERDICTS = {
    "saturated": "Saturated within the range tested",
    "not_saturated": "Not shown to saturate in the range tested",
    "undetermined": "Saturation undetermined",
    "not_asked": "",
}


def _verdict(s: Summary) -> str:
    fit, series = s.saturation.fit, s.capacity.distilled
    if s.saturation.verdict == "not_saturated" and fit is not None and series is not None:
        beyond = fit.saturation_interval[0] >= series.points[-1].num_params
        return "Not saturated in the range tested" if beyond else _VERDICTS["not_saturated"]
    return _VERDICTS[s.saturation.verdict]


def _saturation_words(s: Summary) -> str:
    verdict = f"{s.saturation.clause[:1].upper()}{s.saturation.clause[1:]}."
    return f"{verdict} {s.saturation.opinions}"


def _gain(s: Summary) -> ReportFigure:
    figure = None
    if not s.gain.missing:
        figure = style.new_figure(8.2, 3.8)
        draw_gain(s.gain, figure.add_subplot())
        style.add_caption(figure, _gain_caption(s))
    return ReportFigure(
        "gain",
        "What distillation adds",
        f"Distilled minus hard-labels-only test accuracy, {pairing_words(s.gain)}. The bar is a "
        f"{_level(s)} interval of the mean, the grey band is {100 * s.gain.tolerance:g} points "
        "either way. Blue: helps; "
        "vermillion: hurts; grey: cannot be told from zero.",
        figure,
        s.gain.missing,
    )


def _gain_caption(s: Summary) -> str:
    shown = [g for g in s.gain.gains if g.estimate is not None]
    paired = "" if any(g.unpaired for g in shown) else "paired by seed; "
    return _estimates_caption(s, [g.estimate for g in shown if g.estimate is not None], paired)


def _pareto(s: Summary) -> ReportFigure | None:
    if s.pareto is None:
        return None
    figure = None
    if not s.pareto.missing:
        figure = style.new_figure(8.2, 4.4)
        draw_pareto(s.pareto, figure.add_subplot())
        style.add_caption(figure, _search_caption(s))
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
                format=lambda value, _: f"{unit * value:.3g}".replace("-", "−"),
            )  # fmt: skip
            bar.set_label(color_label, fontsize=8.5)
            bar.outline.set_visible(False)  # type: ignore[operator]  # Spine, not Colorbar's own
        style.add_caption(figure, _search_caption(s, "distilled"))
    return ReportFigure(
        "temperature_alpha",
        "Temperature and alpha",
        "Every distilled search trial, coloured by its validation score relative to the best of "
        "its stratum (ringed); crosses were pruned or failed. Other settings vary too, so a pale "
        "dot may owe its score to a poor learning rate. Alpha weights the hard loss.",
        figure,
        info.missing,
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
        style.add_caption(figure, _search_caption(s, "distilled"))
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
        style.add_caption(figure, f"{counted} · {_origin(s)}")
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
        style.add_caption(figure, _search_caption(s))
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
        style.add_caption(figure, f"validation set · thin lines: replicates · {_origin(s)}")
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


def _confirmed_caption(s: Summary) -> str:
    shown = [
        c.test_accuracy
        for stratum in s.strata.strata
        for c in (stratum.distilled, stratum.baseline)
        if c is not None and c.test_accuracy is not None
    ]
    return _estimates_caption(s, shown)


def _estimates_caption(s: Summary, estimates: Sequence[Estimate], how: str = "") -> str:
    """Counts and standard errors of the very estimates that a figure shows."""
    counts = sorted({e.n for e in estimates})
    n = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    errors = [e.se for e in estimates if e.se is not None]
    se = f", SE {100 * min(errors):.2f} to {100 * max(errors):.2f} points" if errors else ""
    return f"mean of {n} replicates, {how}bars: {_level(s)} t interval{se} · {_origin(s)}"


def _search_caption(s: Summary, arm: Arm | None = None) -> str:
    n = Counter(trial.state for trial in s.results.select(stage="search", arm=arm))
    shown = ", ".join(
        f"{n[state]} {state.lower()}" for state in ("COMPLETE", "PRUNED", "FAIL") if n.get(state)
    )
    whose = "search trials" if arm is None else f"{arm} search trials"
    return f"{whose} on validation, one seed each: {shown} · {_origin(s)}"


def _level(s: Summary) -> str:
    return wording.level(s.strata.confidence)


def _origin(s: Summary) -> str:
    command = s.results.command
    short = command if len(command) <= 70 else command[:69] + "…"
    return " · ".join(filter(None, [f"study seed {s.results.config.seed}", short]))
