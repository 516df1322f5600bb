"""The figure of the project: confirmed test accuracy against the size of the student."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import style, wording
from kdsearch.analysis.capacity import CapacityFit
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.goodness_of_fit import MISFIT_LEVEL
from kdsearch.analysis.strata import Choice, StrataInfo, Stratum
from kdsearch.analysis.teachers import TeachersInfo
from kdsearch.results import Arm, Results


class SizedEstimate(NamedTuple):
    """One confirmed student."""

    label: str
    width: int
    num_params: int
    accuracies: tuple[float, ...]
    """Test accuracy of each replicate."""
    estimate: Estimate


class Series(NamedTuple):
    """Confirmed students that differ in size only, smallest first."""

    name: str
    arm: Arm
    points: tuple[SizedEstimate, ...]


class ReferenceLine(NamedTuple):
    """The accuracy of a teacher or an ensemble."""

    name: str
    accuracy: float
    is_ensemble: bool


class CapacityCurveInfo(NamedTuple):
    """Both arms by size, beside their teachers."""

    series: tuple[Series, ...]
    references: tuple[ReferenceLine, ...]
    missing: str

    @property
    def distilled(self) -> Series | None:
        """The one distilled series, where the study's only axis is the size."""
        distilled = [s for s in self.series if s.arm == "distilled"]
        return distilled[0] if len(distilled) == 1 else None


def compute_capacity_curve(
    results: Results, info: StrataInfo, teachers: TeachersInfo
) -> CapacityCurveInfo:
    """Confirmed accuracy by number of parameters, one series for each further scientific value."""
    groups: dict[tuple[str, Arm], dict[int, SizedEstimate]] = {}
    for stratum in info.strata:
        rest = {n: v for n, v in stratum.key.items() if not _sets_size(n)}
        name = wording.stratum_label(rest)
        for arm, series, choice in (
            ("distilled", name, stratum.distilled),
            ("baseline", "", stratum.baseline),
        ):
            point = _point(stratum, choice)
            if point is not None:
                groups.setdefault((series, arm), {}).setdefault(point.num_params, point)
    series = tuple(
        Series(name, arm, tuple(points[size] for size in sorted(points)))
        for (name, arm), points in groups.items()
    )
    sizes = {p.num_params for s in series for p in s.points}
    return CapacityCurveInfo(
        series=series,
        references=_references(teachers),
        missing=_missing(results, info, sizes),
    )


def _sets_size(name: str) -> bool:
    return name == "width" or name.startswith("student.")


def _point(stratum: Stratum, choice: Choice | None) -> SizedEstimate | None:
    if choice is None or choice.test_accuracy is None:
        return None
    size = choice.replicates[0].num_params or choice.trial.num_params
    if size is None:
        return None
    accuracies = tuple(t.test.accuracy for t in choice.replicates if t.test is not None)
    label = stratum.label
    return SizedEstimate(label, choice.trial.width, size, accuracies, choice.test_accuracy)


def _references(teachers: TeachersInfo) -> tuple[ReferenceLine, ...]:
    """Lines for the one bank of the study; several banks are compared in a table instead."""
    if len(teachers.banks) != 1:
        return ()
    bank, lines = teachers.banks[0], []
    full = bank.full_ensemble
    if full is not None and full.size > 1 and full.test is not None:
        lines.append(ReferenceLine(f"ensemble of {full.size}", full.test, is_ensemble=True))
    if bank.mean_member_test is not None:
        name = "one teacher" if bank.members == 1 else f"one teacher (mean of {bank.members})"
        lines.append(ReferenceLine(name, bank.mean_member_test, is_ensemble=False))
    return tuple(lines)


def _missing(results: Results, info: StrataInfo, sizes: set[int]) -> str:
    if not info.confirmed:
        if results.config.confirm.replicates == 0:
            return "confirm.replicates is 0: the test set stays sealed, so nothing is confirmed."
        return "Nothing is confirmed yet: run the study to its end."
    if len(sizes) < 2:
        return "All confirmed students have the same size: there is no capacity curve."
    return ""


def draw_capacity_curve(info: CapacityCurveInfo, ax: Axes, fit: CapacityFit | None = None) -> None:
    """Means with intervals by size (log x), horizontal lines for the teachers, and the fit.

    The curve is drawn where it fits; the saturation size only where it is claimed.
    """
    sizes = [p.num_params for s in info.series for p in s.points]
    style.log_size_axis(ax, sizes)
    fits = fit is not None and fit.misfit_p is not None and fit.misfit_p >= MISFIT_LEVEL
    many = sum(s.arm == "distilled" for s in info.series) > 1
    for index, series in enumerate(info.series):
        color = style.ARM_COLORS[series.arm]
        if many and series.arm == "distilled":
            color = [c for c in style.CYCLE if c != style.BASELINE][index % (len(style.CYCLE) - 1)]
        _draw_series(series, color, style.MARKERS[index % len(style.MARKERS)], ax)
        if not fits or series.arm == "baseline":
            _join(series, color, ax)
    _draw_references(info, ax)
    if fit is not None and fits:
        _draw_fit(fit, sizes, ax)
    ax.set_xlabel("Parameters of the student (log scale)")
    ax.set_ylabel("Test accuracy")
    widths = {p.num_params: p.width for s in info.series for p in s.points}
    if len(set(widths.values())) == len(widths):
        style.top_labels(ax, *_spaced(widths), title="Width")
    style.percent_axis(ax.yaxis)
    ax.legend(
        loc="lower right", frameon=True, facecolor="white", framealpha=0.85, edgecolor="none"
    )


def _draw_series(series: Series, color: str, marker: str, ax: Axes) -> None:
    x = np.array([p.num_params for p in series.points], dtype=float)
    mean = np.array([p.estimate.mean for p in series.points])
    reach = np.array([_reach(p.estimate) for p in series.points]).T
    label = " · ".join(filter(None, [style.ARM_NAMES[series.arm], series.name]))
    ax.errorbar(x, mean, yerr=reach, label=label, **style.error_bar(color, marker), zorder=4)


def _reach(e: Estimate) -> tuple[float, float]:
    """Lengths of the bar below and above the mean; no bar without an interval."""
    if e.low is None or e.high is None:
        return 0.0, 0.0
    return e.mean - e.low, e.high - e.mean


def _join(series: Series, color: str, ax: Axes) -> None:
    x = [p.num_params for p in series.points]
    ax.plot(x, [p.estimate.mean for p in series.points], color=color, lw=1.0, alpha=0.45)


def _draw_fit(fit: CapacityFit, sizes: list[int], ax: Axes) -> None:
    grid = np.geomspace(min(sizes), max(sizes), 200)
    band = fit.predict(grid)
    ax.fill_between(grid, band.low, band.high, color=style.DISTILLED, alpha=0.14, lw=0, zorder=1)
    name = f"error = E + A / N^a, with {wording.level(fit.confidence)} band"
    ax.plot(grid, band.mean, color=style.DISTILLED, lw=1.8, zorder=2, label=name)
    if fit.verdict != "saturated":
        return
    low, high = fit.saturation_interval
    ax.axvspan(low, high, color=style.WARN, alpha=0.12, lw=0, zorder=0)
    ax.axvline(fit.saturation_size, color=style.WARN, lw=1.5, zorder=1,
               label=f"saturation: {wording.count(fit.saturation_size)} "
               f"({wording.count(low)} to {wording.count(high)})")  # fmt: skip


def _draw_references(info: CapacityCurveInfo, ax: Axes) -> None:
    for line in info.references:
        color = style.ENSEMBLE if line.is_ensemble else style.TEACHER
        ax.axhline(line.accuracy, color=color, lw=1.4, ls="--" if line.is_ensemble else ":",
                   label=f"{line.name}: {wording.percent(line.accuracy)}", zorder=1)  # fmt: skip


def _spaced(widths: dict[int, int]) -> tuple[list[float], list[str]]:
    """Positions and labels far enough apart on a log axis to be read."""
    sizes = sorted(widths)
    span = np.log(sizes[-1] / sizes[0])
    kept: list[float] = []
    for size in sizes:
        if not kept or np.log(size / kept[-1]) > 0.045 * span:
            kept.append(float(size))
    return kept, [str(widths[int(size)]) for size in kept]


def draw_strata(info: StrataInfo, ax: Axes) -> None:
    """Confirmed accuracy by stratum, for scientific axes other than the student's size."""
    shown = [s for s in info.strata if s.distilled and s.distilled.test_accuracy]
    for arm, offset in (("distilled", -0.08), ("baseline", 0.08)):
        color = style.ARM_COLORS[arm]
        label = style.ARM_NAMES[arm]
        for x, stratum in enumerate(shown):
            choice: Choice | None = getattr(stratum, arm)
            if choice is None or choice.test_accuracy is None:
                continue
            e = choice.test_accuracy
            marker = "o" if arm == "distilled" else "s"
            reach = np.array([_reach(e)]).T
            ax.errorbar(x + offset, e.mean, yerr=reach, label=label,
                        **style.error_bar(color, marker))  # fmt: skip
            label = "_nolegend_"
    style.category_ticks(ax, [s.label or "best settings" for s in shown])
    ax.set_ylabel("Test accuracy")
    ax.margins(y=0.2)
    ax.grid(axis="x", visible=False)
    style.percent_axis(ax.yaxis)
    ax.legend(loc="best")
