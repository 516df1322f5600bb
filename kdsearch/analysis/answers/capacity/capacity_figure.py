"""The figure of the project: the confirmed headline metric against the student's size."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answers.capacity.capacity_curve import (
    CapacityCurveInfo,
    Series,
    SizedEstimate,
)
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import student_words
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.capacity import CapacityFit
from kdsearch.analysis.stratum import Choice, StrataInfo

Measure = Literal["macs", "size_bytes"]


def draw_capacity_curve(
    info: CapacityCurveInfo, ax: Axes, fits: Mapping[str, CapacityFit] | None = None
) -> None:
    """Means with intervals by size (log x), horizontal lines for the teachers, and the fit.

    The saturation size is drawn only where it is claimed.

    Args:
        info: The students.
        ax: Where to draw.
        fits: Fits of the distilled series, by their names.
    """
    sizes = [p.num_params for s in info.series for p in s.points]
    style.log_size_axis(ax, sizes)
    many = sum(s.arm == "distilled" for s in info.series) > 1
    for index, series in enumerate(info.series):
        color = _color(series, info)
        _draw_series(series, info.headline, color, style.MARKERS[index % len(style.MARKERS)], ax)
        fit = (fits or {}).get(series.name) if series.arm == "distilled" else None
        if fit is not None:
            _draw_fit(
                fit,
                info.headline,
                [p.num_params for p in series.points],
                color,
                ax,
                alone=not many,
            )
        else:
            _join(series, info.headline, color, ax)
    _draw_references(info, ax)
    ax.set_xlabel("Parameters of the student (log scale)")
    ax.set_ylabel(info.headline.label("test"))
    widths = {p.num_params: p.width for s in info.series for p in s.points}
    if len(set(widths.values())) == len(widths):
        style.top_labels(ax, *_spaced(widths), title="Width")
    style.score_axis(ax.yaxis, info.headline)
    # Beside the curve, and off the teachers, whose lines run along the better end.
    corner, place = "lower right", None
    if info.headline.is_minimised:
        corner, place = "lower left", (0.0, 0.1)
    ax.legend(
        loc=corner, bbox_to_anchor=place,
        frameon=True, facecolor="white", framealpha=0.85, edgecolor="none",
    )  # fmt: skip


def _color(series: Series, info: CapacityCurveInfo) -> str:
    alike = [s for s in info.series if s.arm == series.arm]
    if len(alike) == 1 or series.arm == "baseline":
        return style.ARM_COLORS[series.arm]
    return style.shade(alike.index(series) / (len(alike) - 1))


def _draw_series(series: Series, headline: Headline, color: str, marker: str, ax: Axes) -> None:
    x = np.array([p.num_params for p in series.points], dtype=float)
    own = [headline.own_estimate(p.estimate) for p in series.points]
    mean = np.array([e.mean for e in own])
    reach = np.array([style.reach(e) for e in own]).T
    label = " · ".join(filter(None, [style.ARM_NAMES[series.arm], series.name]))
    ax.errorbar(x, mean, yerr=reach, label=label, **style.error_bar(color, marker), zorder=4)
    for point, at, value in zip(series.points, x, mean, strict=True):
        _mark(series, point, headline, ax, float(at), float(value))


def _mark(
    series: Series, point: SizedEstimate, headline: Headline, ax: Axes, x: float, y: float
) -> None:
    size = f"{wording.count(point.num_params)} parameters"
    who = f"{style.ARM_NAMES[series.arm]}, {point.label} ({size})"
    mark_point(ax, x, y, student_words(who, point.estimate, headline), run_id=point.run_id)


def _join(series: Series, headline: Headline, color: str, ax: Axes) -> None:
    x = [p.num_params for p in series.points]
    means = [headline.own(p.estimate.mean) for p in series.points]
    ax.plot(x, means, color=color, lw=1.0, alpha=0.45)


def _draw_fit(
    fit: CapacityFit, headline: Headline, sizes: list[int], color: str, ax: Axes, *, alone: bool
) -> None:
    grid = np.geomspace(min(sizes), max(sizes), 200)
    band, sign = fit.predict(grid), headline.own(1.0)
    ax.fill_between(
        grid,
        sign * band.low,
        sign * band.high,
        color=color,
        alpha=0.14 if alone else 0.08,
        lw=0,
        zorder=1,
    )
    name = f"average of curve families, {wording.level(fit.confidence)} band"
    ax.plot(grid, sign * band.mean, color=color, lw=1.8, zorder=2, label=name if alone else None)
    if fit.verdict != "saturated" or not alone:
        return
    low, high = fit.saturation_interval
    ax.axvspan(max(low, min(sizes)), high, color=style.WARN, alpha=0.12, lw=0, zorder=0)
    ax.axvline(fit.saturation_size, color=style.WARN, lw=1.5, zorder=1,
               label=f"saturation: {wording.count(fit.saturation_size)} "
               f"({wording.count(low)} to {wording.count(high)})")  # fmt: skip


def _draw_references(info: CapacityCurveInfo, ax: Axes) -> None:
    for line in info.references:
        color = style.ENSEMBLE if line.is_ensemble else style.TEACHER
        at, name = info.headline.own(line.score), f"{line.name}: {info.headline.value(line.score)}"
        ax.axhline(at, color=color, lw=1.4, ls="--" if line.is_ensemble else ":",
                   label=name, zorder=1)  # fmt: skip


def _spaced(widths: dict[int, int]) -> tuple[list[float], list[str]]:
    """Positions and labels far enough apart on a log axis to be read."""
    sizes = sorted(widths)
    span = np.log(sizes[-1] / sizes[0])
    kept: list[float] = []
    for size in sizes:
        if not kept or np.log(size / kept[-1]) > 0.045 * span:
            kept.append(float(size))
    return kept, [str(widths[int(size)]) for size in kept]


def draw_capacity_cost(info: CapacityCurveInfo, measure: Measure, ax: Axes) -> None:
    """The same students against what they cost: multiply-accumulates or bytes (log x)."""
    for index, series in enumerate(info.series):
        costs = [(x, p) for p in series.points if (x := getattr(p, measure))]
        shown = [(x, info.headline.own_estimate(p.estimate)) for x, p in costs]
        for (x, p), (_, own) in zip(costs, shown, strict=True):
            _mark(series, p, info.headline, ax, x, own.mean)
        color, marker = _color(series, info), style.MARKERS[index % len(style.MARKERS)]
        label = " · ".join(filter(None, [style.ARM_NAMES[series.arm], series.name]))
        means = [e.mean for _, e in shown]
        reach = np.array([style.reach(e) for _, e in shown]).T
        xs = [cost for cost, _ in shown]
        ax.errorbar(xs, means, yerr=reach, label=label, **style.error_bar(color, marker), zorder=4)
        ax.plot(xs, means, color=color, lw=1.0, alpha=0.45)
    style.log_size_axis(
        ax, [x for s in info.series for p in s.points if (x := getattr(p, measure))]
    )
    _draw_references(info, ax)
    ax.set_xlabel({"macs": "Multiply-accumulates a sample", "size_bytes": "Bytes"}[measure])
    style.score_axis(ax.yaxis, info.headline)


def draw_strata(info: StrataInfo, ax: Axes) -> None:
    """Confirmed values by stratum, for scientific axes other than the student's size."""
    shown = [s for s in info.strata if s.distilled and s.distilled.test_score]
    for arm, offset in (("distilled", -0.08), ("baseline", 0.08)):
        color = style.ARM_COLORS[arm]
        label = style.ARM_NAMES[arm]
        for x, stratum in enumerate(shown):
            choice: Choice | None = getattr(stratum, arm)
            if choice is None or choice.test_score is None:
                continue
            e = info.headline.own_estimate(choice.test_score)
            marker = "o" if arm == "distilled" else "s"
            reach = np.array([style.reach(e)]).T
            ax.errorbar(x + offset, e.mean, yerr=reach, label=label,
                        **style.error_bar(color, marker))  # fmt: skip
            words = student_words(f"{style.ARM_NAMES[arm]}, {stratum.label or 'best settings'}",
                                  choice.test_score, info.headline)  # fmt: skip
            mark_point(ax, x + offset, e.mean, words, run_id=choice.run_id)
            label = "_nolegend_"
    style.category_ticks(ax, [s.label or "best settings" for s in shown])
    ax.set_ylabel(info.headline.label("test"))
    ax.margins(y=0.2)
    ax.grid(axis="x", visible=False)
    style.score_axis(ax.yaxis, info.headline)
    ax.legend(loc="best")
