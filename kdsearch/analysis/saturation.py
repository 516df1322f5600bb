"""At which size more capacity stops paying, if the study can say."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from kdsearch.analysis import wording
from kdsearch.analysis.capacity import CapacityFit, Verdict, fit_capacity_curve
from kdsearch.analysis.capacity_curve import CapacityCurveInfo, Series, SizedEstimate
from kdsearch.analysis.kneedle import Knee, compute_knee


class SaturationInfo(NamedTuple):
    """The verdict on the capacity curve of the distilled students."""

    verdict: Verdict | Literal["not_asked"]
    reason: str
    clause: str
    """The verdict as the end of a sentence; empty where it was not asked."""
    fit: CapacityFit | None
    """Sizes in parameters; None with fewer than three sizes."""
    width: float | None
    """Width of a student with N* parameters, between those tested; None outside them."""
    opinions: str
    """The second opinions in a sentence; empty where there are none."""
    knee: Knee | None
    """Kneedle's, which decides nothing; None without the package `kneed`."""


def compute_saturation(
    info: CapacityCurveInfo, verdicts: dict[str, SaturationInfo]
) -> SaturationInfo:
    """Whether and where the distilled students' accuracy saturates, where that is one question.

    Args:
        info: The confirmed students by size.
        verdicts: On each distilled series, as `compute_saturations` gives them.
    """
    series = info.distilled
    if info.missing or series is None:
        reason = info.missing or (
            "The study crosses the size with another scientific parameter: there is one verdict "
            "for each of its values."
        )
        return SaturationInfo("not_asked", reason, "", None, None, "", None)
    return verdicts[series.name]


def compute_saturations(
    info: CapacityCurveInfo, *, tolerance: float, confidence: float
) -> dict[str, SaturationInfo]:
    """One verdict for each distilled series, by its name: one fit for every other value.

    Fitting one curve to all would pretend that the other parameter changes nothing.

    Args:
        info: The confirmed students by size.
        tolerance: Excess error over the asymptote that counts as saturated.
        confidence: Of the interval of the saturation size.
    """
    if info.missing:
        return {}
    distilled = [s for s in info.series if s.arm == "distilled"]
    return {s.name: _of_series(s, tolerance, confidence) for s in distilled}


def _of_series(series: Series, tolerance: float, confidence: float) -> SaturationInfo:
    points = series.points
    if len(points) < 3:
        reason = f"{len(points)} confirmed sizes are too few for a curve."
        return SaturationInfo("undetermined", reason, "", None, None, "", None)
    fit = fit_capacity_curve(
        [p.num_params for p in points],
        [list(p.accuracies) for p in points],
        tolerance=tolerance,
        confidence=confidence,
    )
    width = _width_at(points, fit.saturation_size)
    clause = _clause(fit, width, points[-1].num_params)
    knee = compute_knee(
        np.array([p.num_params for p in points], dtype=float),
        np.array([p.estimate.mean for p in points]),
    )
    opinions = _opinions(fit, points, knee)
    return SaturationInfo(fit.verdict, fit.reason, clause, fit, width, opinions, knee)


def _width_at(points: tuple[SizedEstimate, ...], size: float) -> float | None:
    """Log-log interpolation between the students tested."""
    params = np.log([p.num_params for p in points])
    widths = np.log([p.width for p in points])
    if not params[0] <= math.log(size) <= params[-1] or np.any(np.diff(widths) <= 0):
        return None
    return float(np.exp(np.interp(math.log(size), params, widths)))


def _clause(fit: CapacityFit, width: float | None, largest: int) -> str:
    low, high = fit.saturation_interval
    level = f"{100 * fit.confidence:g} %"
    match fit.verdict:
        case "saturated":
            near = f", about width {width:.0f}" if width is not None else ""
            return (
                f"accuracy saturates at {wording.count(fit.saturation_size)} parameters{near} "
                f"({level} interval {wording.count(low)} to {wording.count(high)}; larger "
                f"students are within {100 * fit.tolerance:g} points of the asymptote)"
            )
        case "not_saturated":
            if low >= largest:  # where beyond it is a guess of the curve's shape
                bound = f"{wording.count(largest)} parameters, the largest tested"
                return (
                    "accuracy is not saturated in the range tested: the saturation size lies "
                    f"above {bound}"
                )
            return (
                "accuracy is not shown to saturate in the range tested: all that is known of the "
                f"saturation size is that it lies above {wording.count(low)} parameters ({level})"
            )
        case "undetermined":
            return f"where accuracy saturates is undetermined: {fit.reason}"


def _opinions(fit: CapacityFit, points: tuple[SizedEstimate, ...], knee: Knee | None) -> str:
    labels = {float(p.num_params): p.label for p in points}
    equivalent, one_se = fit.opinions.equivalent_size, fit.opinions.one_se_size
    margin = f"{100 * fit.tolerance:g} points"
    first = (
        f"{labels[equivalent]} and larger are equivalent to the largest student within {margin}"
        if equivalent is not None
        else f"no smaller student is shown to be equivalent to the largest within {margin}"
    )
    sentence = f"Second opinions: {first} (paired TOST)"
    if one_se is not None:
        sentence += f"; the one-standard-error rule picks {labels[one_se]}"
    return f"{sentence}{_knee_words(knee, labels)}."


def _knee_words(knee: Knee | None, labels: dict[float, str]) -> str:
    if knee is None or knee.size is None:
        return ""
    other = "no knee"
    if knee.without_largest is not None:
        other = labels[knee.without_largest]
    return (
        f"; Kneedle puts a knee at {labels[knee.size]}, and without the largest size at {other}: "
        "its answer depends on the range tested, so it decides nothing"
    )


def saturation_document(info: SaturationInfo) -> dict[str, Any]:
    """The verdict with its numbers, JSON-ready: open ends of the interval are null."""
    document: dict[str, Any] = {"verdict": info.verdict, "reason": info.reason}
    fit = info.fit
    if fit is None:
        return document
    low, high = fit.saturation_interval
    return document | {
        "saturation_num_params": fit.saturation_size,
        "saturation_interval": [low if low > 0 else None, high if math.isfinite(high) else None],
        "saturation_width": info.width,
        "tolerance": fit.tolerance,
        "confidence": fit.confidence,
        "asymptote": fit.asymptote,
        "scale": fit.scale,
        "exponent": fit.exponent,
        "replicate_sd": None if math.isnan(fit.noise) else fit.noise,
        "misfit_p": fit.misfit_p,
        "equivalent_to_largest_num_params": fit.opinions.equivalent_size,
        "one_standard_error_num_params": fit.opinions.one_se_size,
        "kneedle_num_params": info.knee and info.knee.size,
        "kneedle_without_largest_num_params": info.knee and info.knee.without_largest,
    }
