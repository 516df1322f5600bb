"""Where in temperature and alpha the search went, and what it found there."""

from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.answers.optimum import OptimumInfo, optimum_in
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import search_caption, trial_words
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.panels import label_panels, new_panels, panel_rows
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.response.region import Mask
from kdsearch.analysis.response.surface import Array
from kdsearch.config import Objective, SearchParameter
from kdsearch.results import Results, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, best_trial, objective_value

MAX_PANELS = 6
"""Of trials alone; more strata are drawn in one."""
MAX_MAPS = 12
"""Of a surface with its trials; more strata are thinned out evenly."""
WHITE = "#fffffe"
"""Of trials on a map, which stay white where a page in the dark turns paper dark."""
Axis = Literal["temperature", "alpha"]


class Point(NamedTuple):
    """One distilled search trial. A trial without a final value is marked, not coloured."""

    temperature: float
    alpha: float
    value: float | None
    """Objective, minus the best of the trial's stratum; None for PRUNED and FAIL."""
    state: str
    is_best: bool
    words: str = ""
    """What it says when someone points at it."""
    run_id: str | None = None


class Map(NamedTuple):
    """The surface of one stratum."""

    temperatures: Array
    """[A]"""
    alphas: Array
    """[B]"""
    expected_cost: Array
    """[A, B]: beside the stratum's best, in units of the objective."""
    region: Mask
    """[A, B]"""
    setting: tuple[float, float]
    """Temperature and alpha to take."""


class Panel(NamedTuple):
    """The trials of one stratum, or of all."""

    title: str
    points: tuple[Point, ...]
    map: Map | None = None


class TemperatureAlphaInfo(NamedTuple):
    """The map, in one panel for each stratum or in one for all."""

    panels: tuple[Panel, ...]
    searched: tuple[Axis, ...]
    """Which of the two the study searches; with one, it is drawn against the objective."""
    log_axes: tuple[Axis, ...]
    metric: str
    in_points: bool
    """Whether values are differences of fractions."""
    missing: str


def compute_temperature_alpha(results: Results, optimum: OptimumInfo) -> TemperatureAlphaInfo:
    """Temperature, alpha and relative objective of every distilled search trial, and the map."""
    config = results.config
    axes: tuple[Axis, ...] = ("temperature", "alpha")
    asked = {axis: config.search.get(axis) for axis in axes}
    searched = tuple(a for a, p in asked.items() if p is not None and p.role != "fixed")
    objective = config.objective[0]
    groups: dict[str, list[TrialRecord]] = {}
    for trial in results.select(stage="search", arm="distilled"):
        has_both = trial.temperature is not None and trial.alpha is not None
        if has_both and trial.state != "RUNNING":
            groups.setdefault(wording.stratum_label(trial.stratum), []).append(trial)
    panels = [Panel(label, _points(trials, objective)) for label, trials in groups.items()]
    maps = _maps(optimum)
    if maps:
        panels = [p._replace(map=maps[p.title]) for p in panels if p.title in maps]
        kept = np.linspace(0, len(panels) - 1, min(len(panels), MAX_MAPS)).round().astype(int)
        panels = [panels[index] for index in kept]
    elif len(panels) > MAX_PANELS:
        merged = tuple(point for panel in panels for point in panel.points)
        panels = [Panel(f"all {len(panels)} strata", merged)]
    return TemperatureAlphaInfo(
        panels=tuple(panels),
        searched=searched,
        log_axes=tuple(a for a, p in asked.items() if _is_log(p)),
        metric=objective.metric,
        in_points=objective.metric in ACCURACY_LIKE,
        missing=_missing(panels, searched),
    )


def _maps(optimum: OptimumInfo) -> dict[str, Map]:
    """By stratum, where both temperature and alpha are tuned."""
    if optimum.missing or len(optimum.axes) < 2:
        return {}
    axes = (optimum.axes["temperature"], optimum.axes["alpha"])
    return {
        o.label: Map(
            *axes, o.region.expected, o.region.mask, (o.serves["temperature"], o.serves["alpha"])
        )
        for o in optimum.optima
    }


def _points(trials: list[TrialRecord], objective: Objective) -> tuple[Point, ...]:
    best = best_trial(trials, objective)
    top = objective_value(best, objective) if best is not None else None
    points = []
    for t in trials:
        value = objective_value(t, objective) if t.state == "COMPLETE" else None
        relative = value - top if value is not None and top is not None else None
        assert t.temperature is not None
        assert t.alpha is not None
        words = trial_words(t, objective)
        points.append(
            Point(t.temperature, t.alpha, relative, t.state, t is best, words, t.mlflow_run_id)
        )
    return tuple(points)


def _is_log(parameter: SearchParameter | None) -> bool:
    return parameter is not None and parameter.log


def _missing(panels: list[Panel], searched: tuple[Axis, ...]) -> str:
    if not searched:
        return "The study searches neither temperature nor alpha."
    if not any(p.value is not None for panel in panels for p in panel.points):
        return "No distilled search trial is complete yet."
    return ""


def draw_temperature_alpha(
    info: TemperatureAlphaInfo, panel: Panel, ax: Axes
) -> ScalarMappable | None:
    """One panel; returns what is coloured, for a colour bar, if both axes were searched."""
    done = [p for p in panel.points if p.value is not None]
    rest = [p for p in panel.points if p.value is None]
    ax.set_title(panel.title)
    if len(info.searched) < 2:
        _draw_one_axis(info, done, ax)
        return None
    for p in panel.points:
        mark_point(ax, p.temperature, p.alpha, p.words, run_id=p.run_id)
    if panel.map is not None:
        return _draw_map(info, panel, panel.map, ax)
    low, high = _color_range(info)
    ax.scatter(
        [p.temperature for p in rest], [p.alpha for p in rest], marker="x", s=22, lw=1.0,
        color="#a9b2bc", zorder=2,
    )  # fmt: skip
    dots = ax.scatter(
        [p.temperature for p in done], [p.alpha for p in done], c=[p.value or 0.0 for p in done],
        cmap=style.HEAT if info.metric != "val_loss" else style.HEAT.reversed(),
        vmin=low, vmax=high, s=46, edgecolors=style.INK, linewidths=0.5, zorder=3,
    )  # fmt: skip
    for p in done:
        if p.is_best:
            ax.scatter(p.temperature, p.alpha, s=150, facecolors="none", lw=1.8,
                       edgecolors=style.WARN, zorder=4, clip_on=False)  # fmt: skip
    _scale(info, ax)
    ax.set_ylim(*_padded([p.alpha for q in info.panels for p in q.points], log=False))
    return dots


def _draw_map(info: TemperatureAlphaInfo, panel: Panel, m: Map, ax: Axes) -> ScalarMappable:
    """The surface, its region, the trials and the setting to take."""
    most = max(
        float(np.quantile(p.map.expected_cost, 0.85)) for p in info.panels if p.map is not None
    )
    steps = MaxNLocator(nbins=8, steps=[1, 2, 5, 10]).tick_values(0.0, max(most, 1e-6))
    levels = -np.asarray(steps)[::-1]
    area = ax.contourf(
        m.temperatures, m.alphas, -m.expected_cost.T, levels=levels, cmap=style.HEAT,
        extend="min", zorder=1,
    )  # fmt: skip
    if not m.region.all():
        ax.contour(
            m.temperatures, m.alphas, m.region.T.astype(float), levels=[0.5], colors=style.WARN,
            linewidths=1.6, zorder=3,
        )  # fmt: skip
    for marker, points in (
        (".", [p for p in panel.points if p.value is not None]),
        ("x", [p for p in panel.points if p.value is None]),
    ):
        ax.scatter(
            [p.temperature for p in points], [p.alpha for p in points], marker=marker, s=14,
            lw=0.8 if marker == "x" else 0.4, color=WHITE,
            edgecolors=None if marker == "x" else style.INK, zorder=4,
        )  # fmt: skip
    ax.scatter(
        *m.setting, marker="*", s=120, color=style.WARN, edgecolors="white", linewidths=0.8,
        zorder=5, clip_on=False,
    )  # fmt: skip
    if "temperature" in info.log_axes:
        ax.set_xscale("log")
    style.value_axis(ax.xaxis, log="temperature" in info.log_axes)
    ax.set_xlim(m.temperatures[0], m.temperatures[-1])
    ax.set_ylim(m.alphas[0], m.alphas[-1])
    ax.grid(visible=False)
    return area


def _scale(info: TemperatureAlphaInfo, ax: Axes) -> None:
    log = "temperature" in info.log_axes
    values = [p.temperature for panel in info.panels for p in panel.points]
    if log:
        ax.set_xscale("log")
    ax.set_xlim(*_padded(values, log=log))
    style.value_axis(ax.xaxis, log=log)


def _padded(values: list[float], *, log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        pad = max((high / low) ** 0.07, 1.05)
        return low / pad, high * pad
    pad = max(0.07 * (high - low), 0.02)
    return low - pad, high + pad


def _color_range(info: TemperatureAlphaInfo) -> tuple[float, float]:
    """Shared by all panels; clipped, so that one bad trial does not bleach the rest."""
    values = [p.value for panel in info.panels for p in panel.points if p.value is not None]
    if info.metric == "val_loss":
        return 0.0, max(float(np.quantile(values, 0.85)), 1e-6)
    return min(float(np.quantile(values, 0.15)), -1e-6), 0.0


def _draw_one_axis(info: TemperatureAlphaInfo, done: list[Point], ax: Axes) -> None:
    name = info.searched[0]
    factor = 100.0 if info.in_points else 1.0
    ax.scatter(
        [getattr(p, name) for p in done], [factor * (p.value or 0.0) for p in done],
        s=40, color=style.DISTILLED, edgecolors="white", linewidths=0.6, zorder=3,
    )  # fmt: skip
    for p in done:
        y = factor * (p.value or 0.0)
        mark_point(ax, getattr(p, name), y, p.words, run_id=p.run_id)
        if p.is_best:
            ax.scatter(getattr(p, name), 0.0, s=150, facecolors="none", lw=1.8,
                       edgecolors=style.WARN, zorder=4, clip_on=False)  # fmt: skip
    if name in info.log_axes:
        ax.set_xscale("log")
        style.value_axis(ax.xaxis, log=True)


def axis_labels(info: TemperatureAlphaInfo) -> tuple[str, str, str]:
    """x, y and colour label."""
    unit = " (points)" if info.in_points else ""
    metric = wording.capitalized(wording.metric(info.metric))
    relative = f"{metric}, relative to the panel's best{unit}"
    if any(panel.map is not None for panel in info.panels):
        relative = f"Expected {metric.lower()} beside the best pair's{unit}"
    names = {"temperature": "Temperature", "alpha": "Alpha (weight of the hard loss)"}
    if len(info.searched) == 1:
        return names[info.searched[0]], relative, ""
    return names["temperature"], names["alpha"], relative


class _TemperatureAlpha(Answer[TemperatureAlphaInfo]):
    """The map of what pairs cost, with the trials on it."""

    name = "temperature_alpha"
    asked = ("temperature_alpha",)

    def compute(self, context: Context) -> TemperatureAlphaInfo:
        return compute_temperature_alpha(context.results, context.of(optimum_in))

    def figures(self, info: TemperatureAlphaInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        if not info.missing:
            rows = panel_rows(len(info.panels))
            figure = style.new_figure(8.2, 1.0 + (3.6 if rows == 1 else 2.5) * rows)
            _draw_panels(info, figure)
            style.add_caption(figure, search_caption(context, "distilled"))
        title, words = "Temperature and alpha", _explanation(info, context.level)
        return (ReportFigure("temperature_alpha", title, words, figure, info.missing),)


def _draw_panels(info: TemperatureAlphaInfo, figure: Figure) -> None:
    x_label, y_label, color_label = axis_labels(info)
    axes = new_panels(figure, len(info.panels), sharex=True, sharey=True)
    dots = None
    for panel, ax in zip(info.panels, axes, strict=True):
        dots = draw_temperature_alpha(info, panel, ax)
    label_panels(figure, axes, x_label, y_label)
    if dots is None:
        return
    unit = 100.0 if info.in_points else 1.0
    bar = figure.colorbar(
        dots, ax=figure.axes, extend="max" if info.metric == "val_loss" else "min", aspect=30,
        pad=0.015, format=lambda value, _: f"{unit * value + 0.0:.3g}".replace("-", "−"),
    )  # fmt: skip
    bar.set_label(color_label, fontsize=8.5)
    bar.outline.set_visible(False)  # type: ignore[operator]  # Spine, not Colorbar's own


def _explanation(info: TemperatureAlphaInfo, level: str) -> str:
    if any(panel.map is not None for panel in info.panels):
        return (
            "What a pair is expected to cost, with every other tuned setting at its best for the "
            "pair, by the surface through all search trials. Outlined: the region that holds the "
            f"best pair ({level}). Star: the pair of it that serves its "
            "neighbours. White: the trials; crosses were pruned or failed. Alpha weights the hard "
            "loss."
        )
    return (
        "Every distilled search trial, coloured by its validation score relative to the best of "
        "its panel (ringed); crosses were pruned or failed. Other settings vary too, so a pale "
        "dot may owe its score to a poor learning rate. Alpha weights the hard loss."
    )


TEMPERATURE_ALPHA = _TemperatureAlpha()
