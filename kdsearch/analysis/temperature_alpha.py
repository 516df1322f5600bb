"""Where in temperature and alpha the search went, and what it found there."""

from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

from kdsearch.analysis import style, wording
from kdsearch.config import Objective, SearchParameter
from kdsearch.results import Results, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, best_trial, objective_value

MAX_PANELS = 6
Axis = Literal["temperature", "alpha"]


class Point(NamedTuple):
    """One distilled search trial. A trial without a final value is marked, not coloured."""

    temperature: float
    alpha: float
    value: float | None
    """Objective, minus the best of the trial's stratum; None for PRUNED and FAIL."""
    state: str
    is_best: bool


class Panel(NamedTuple):
    """The trials of one stratum, or of all."""

    title: str
    points: tuple[Point, ...]


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


def compute_temperature_alpha(results: Results) -> TemperatureAlphaInfo:
    """Temperature, alpha and relative objective of every distilled search trial."""
    config = results.config
    axes: tuple[Axis, ...] = ("temperature", "alpha")
    names = {"temperature": "distillation.temperature", "alpha": "distillation.alpha"}
    asked = {a: config.search.get(a) or config.search.get(names[a]) for a in axes}
    searched = tuple(a for a, p in asked.items() if p is not None and p.role != "fixed")
    objective = config.objective[0]
    groups: dict[str, list[TrialRecord]] = {}
    for trial in results.select(stage="search", arm="distilled"):
        if trial.temperature is not None and trial.state != "RUNNING":
            groups.setdefault(wording.stratum_label(trial.stratum), []).append(trial)
    panels = [Panel(label, _points(trials, objective)) for label, trials in groups.items()]
    if len(panels) > MAX_PANELS:
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


def _points(trials: list[TrialRecord], objective: Objective) -> tuple[Point, ...]:
    best = best_trial(trials, objective)
    top = objective_value(best, objective) if best is not None else None
    points = []
    for t in trials:
        value = objective_value(t, objective) if t.state == "COMPLETE" else None
        relative = value - top if value is not None and top is not None else None
        assert t.temperature is not None
        points.append(Point(t.temperature, t.alpha, relative, t.state, t is best))
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
) -> PathCollection | None:
    """One panel; returns the coloured points, for a colour bar, if both axes were searched."""
    done = [p for p in panel.points if p.value is not None]
    rest = [p for p in panel.points if p.value is None]
    ax.set_title(panel.title)
    if len(info.searched) < 2:
        _draw_one_axis(info, done, ax)
        return None
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
    relative = f"{metric}, relative to the stratum's best{unit}"
    names = {"temperature": "Temperature", "alpha": "Alpha (weight of the hard loss)"}
    if len(info.searched) == 1:
        return names[info.searched[0]], relative, ""
    return names["temperature"], names["alpha"], relative
