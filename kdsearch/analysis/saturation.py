"""At which size more capacity stops paying, if the study can say."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from kdsearch.analysis import wording
from kdsearch.analysis.capacity import CapacityFit, Verdict, fit_capacity_curve
from kdsearch.analysis.capacity_curve import CapacityCurveInfo, SizedEstimate


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


def compute_saturation(
    info: CapacityCurveInfo, *, tolerance: float = 0.005, confidence: float = 0.9
) -> SaturationInfo:
    """Whether and where the distilled students' accuracy saturates.

    Args:
        info: The confirmed students by size.
        tolerance: Excess error over the asymptote that counts as saturated.
        confidence: Of the interval of the saturation size.
    """
    series = info.distilled
    if info.missing or series is None:
        reason = info.missing or "The study crosses the size with another scientific parameter."
        return SaturationInfo("not_asked", reason, "", None, None, "")
    points = series.points
    if len(points) < 3:
        reason = f"{len(points)} confirmed sizes are too few for a curve."
        return SaturationInfo("undetermined", reason, "", None, None, "")
    fit = fit_capacity_curve(
        [p.num_params for p in points],
        [list(p.accuracies) for p in points],
        tolerance=tolerance,
        confidence=confidence,
    )
    width = _width_at(points, fit.saturation_size)
    clause = _clause(fit, width, points[-1].num_params)
    return SaturationInfo(fit.verdict, fit.reason, clause, fit, width, _opinions(fit, points))


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


def _opinions(fit: CapacityFit, points: tuple[SizedEstimate, ...]) -> str:
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
    return sentence + "."


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
    }
