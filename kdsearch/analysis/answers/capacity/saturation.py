"""At which size more capacity stops paying, if the study can say."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from kdsearch.analysis import wording
from kdsearch.analysis.answers.capacity.capacity_curve import (
    CapacityCurveInfo,
    Series,
    SizedEstimate,
)
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.capacity import (
    MIN_SIZES,
    CapacityFit,
    Verdict,
    fit_scores,
)
from kdsearch.analysis.statistics.kneedle import Knee, compute_knee
from kdsearch.analysis.statistics.search_luck import SearchLuck
from kdsearch.analysis.statistics.shared_test import Array, accuracy_covariance


class SaturationInfo(NamedTuple):
    """The verdict on the capacity curve of the distilled students."""

    verdict: Verdict | Literal["not_asked"]
    reason: str
    clause: str
    """The verdict as the end of a sentence; empty where it was not asked."""
    beyond: str
    """What larger students than those tested would gain, in a sentence; empty without a fit."""
    fit: CapacityFit | None
    """Sizes in parameters; None with fewer than three sizes."""
    width: float | None
    """Width of a student of the saturation size, between those tested; None outside them."""
    enough: str
    """The smallest tested student that is shown to be enough, by its label; empty if none is."""
    opinions: str
    """The second opinions in a sentence; empty where there are none."""
    knee: Knee | None
    """Kneedle's, which decides nothing; None without the package `kneed`."""

    @classmethod
    def unfitted(cls, verdict: Verdict | Literal["not_asked"], reason: str) -> "SaturationInfo":
        """Where there is no curve."""
        return cls(verdict, reason, "", "", None, None, "", "", None)


def compute_saturation(
    info: CapacityCurveInfo, verdicts: dict[str, SaturationInfo]
) -> SaturationInfo:
    """Whether and where the distilled students' scores saturate, where that is one question.

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
        return SaturationInfo.unfitted("not_asked", reason)
    return verdicts[series.name]


def compute_saturations(
    info: CapacityCurveInfo, luck: SearchLuck, *, tolerance: float, confidence: float
) -> dict[str, SaturationInfo]:
    """One verdict for each distilled series, by its name: one fit for every other value.

    Fitting one curve to all would pretend that the other parameter changes nothing.

    Args:
        info: The confirmed students by size.
        luck: By how much another search of distilled students would have chosen differently.
        tolerance: Difference that counts as none.
        confidence: Of the interval of the saturation size.
    """
    if info.missing:
        return {}
    distilled = [s for s in info.series if s.arm == "distilled"]
    return {s.name: _of_series(s, luck, info.headline, tolerance, confidence) for s in distilled}


def _of_series(
    series: Series, luck: SearchLuck, headline: Headline, tolerance: float, confidence: float
) -> SaturationInfo:
    points = series.points
    if len(points) < 3:
        reason = f"{len(points)} confirmed sizes are too few for a curve."
        return SaturationInfo.unfitted("undetermined", reason)
    fit = fit_scores(
        [p.num_params for p in points],
        [list(p.scores) for p in points],
        headline.scale,
        tolerance=tolerance,
        confidence=confidence,
        covariance=_test_covariance(points),
        spread=luck.spread,
    )
    knee = compute_knee(
        np.array([p.num_params for p in points], dtype=float),
        np.array([p.estimate.mean for p in points]),
    )
    labels = {float(p.num_params): p.label for p in points}
    width = _width_at(points, fit.saturation_size)
    return SaturationInfo(
        verdict=fit.verdict,
        reason=_reason(fit),
        # So few sizes were not meant to tell; the section on the curve says why it does not.
        clause=_clause(fit, headline, width, labels) if len(points) >= MIN_SIZES else "",
        beyond=_beyond(fit, headline),
        fit=fit,
        width=width,
        enough=labels[fit.enough_size] if fit.enough_size is not None else "",
        opinions=_opinions(fit, headline, points, knee),
        knee=knee,
    )


def _test_covariance(points: tuple[SizedEstimate, ...]) -> Array | None:
    """Of the sizes' means over draws of test examples; None without per-example correctness."""
    shares = [p.correct_share for p in points if p.correct_share is not None]
    counts = [len(p.scores) for p in points]
    if len(shares) < len(points) or min(counts) < 2 or len({s.size for s in shares}) > 1:
        return None
    return accuracy_covariance(shares, counts)


def _width_at(points: tuple[SizedEstimate, ...], size: float) -> float | None:
    """Log-log interpolation between the students tested."""
    params = np.log([p.num_params for p in points])
    widths = np.log([p.width for p in points])
    if not params[0] <= math.log(size) <= params[-1] or np.any(np.diff(widths) <= 0):
        return None
    return float(np.exp(np.interp(math.log(size), params, widths)))


def _clause(
    fit: CapacityFit, headline: Headline, width: float | None, labels: Mapping[float, str]
) -> str:
    low, high = fit.saturation_interval
    level = f"{100 * fit.confidence:g} %"
    match fit.verdict:
        case "saturated":
            near = f", about width {width:.0f}" if width is not None else ""
            least = wording.count(low) if low > 0 else f"{wording.count(fit.sizes[0])} or fewer"
            at = f"{wording.count(fit.saturation_size)} parameters{near}"
            if low == 0 and fit.saturation_size == fit.sizes[0]:
                at = "or below the smallest size tested"
            ends = f"{level} interval {least} to {wording.count(high)}"
            clause = f"{headline.words} saturates at {at} ({ends})"
            if fit.enough_size is None or fit.gain_from_enough is None:
                return clause
            most = f"{headline.gained(fit.gain_from_enough.high)}{headline.points}"
            return (
                f"{clause}: from {labels[fit.enough_size]} on, larger students up to the largest "
                f"tested {headline.gain_words} at most {most}"
            )
        case "not_saturated":
            reason = _reason(fit)
            is_whole = reason.startswith("the curve")
            return reason if is_whole else f"{headline.words} is {reason}"
        case "undetermined":
            return f"where {headline.words} saturates cannot be told: {fit.reason}"


def gains_little(fit: CapacityFit) -> bool:
    """Whether it is not saturated although the last doubling gained less than the tolerance.

    So it is where less than an octave below the largest is shown to be enough, or nothing.
    """
    return fit.verdict == "not_saturated" and 0 < fit.last_doubling.median <= fit.tolerance


def _reason(fit: CapacityFit) -> str:
    """The fit's own, but for a curve that rises by less than counts."""
    last, unit, scale = fit.last_doubling, fit.scores.unit, fit.scores
    if not gains_little(fit) or not fit.curve_rises:
        return fit.reason
    median, low, high = (unit.fixed(part, 2) for part in last)
    return (
        f"still {scale.moving}, but little: the last doubling of size {scale.gained_words} "
        f"{median}{unit.of_differences} ({low} to {high}), less than the tolerance of "
        f"{unit.amount(fit.tolerance)}, and the students at hand do not show that half the "
        "largest size is enough"
    )


def _beyond(fit: CapacityFit, headline: Headline) -> str:
    median, low, high = (headline.gained(part) for part in fit.beyond.doubled)
    return (
        "Beyond the range tested (extrapolated), doubling the size again would "
        f"{headline.gain_words} {median}{headline.points} ({low} to {high}, "
        f"{100 * fit.confidence:g} %)."
    )


def _opinions(
    fit: CapacityFit, headline: Headline, points: tuple[SizedEstimate, ...], knee: Knee | None
) -> str:
    labels = {float(p.num_params): p.label for p in points}
    equivalent, one_se = fit.opinions.equivalent_size, fit.opinions.one_se_size
    margin = headline.amount(fit.tolerance)
    first = (
        f"{labels[equivalent]} and larger are equivalent to the largest student within {margin}"
        if equivalent is not None
        else f"no smaller student is shown to be equivalent to the largest within {margin}"
    )
    sentence = f"Second opinions: {first} (TOST)"
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


def saturation_document(info: SaturationInfo, headline: Headline) -> dict[str, Any]:
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
        "enough_num_params": fit.enough_size,
        "gain_from_enough": fit.gain_from_enough and list(fit.gain_from_enough),
        "last_doubling": list(fit.last_doubling),
        "last_at_hand": list(fit.last_at_hand),
        "gain_to_largest": {
            f"{size:g}": list(gain) for size, gain in zip(fit.sizes, fit.gains, strict=True)
        },
        "beyond": {name: list(gain) for name, gain in fit.beyond._asdict().items()},
        "tolerance": fit.tolerance,
        "confidence": fit.confidence,
        "replicate_sd": None if math.isnan(fit.replicate_sd) else fit.replicate_sd,
        "size_effect_sd": fit.size_effect_sd,
        "needed_replicates": fit.needed_replicates,
        "best_num_params": fit.best_size,
        "declines": fit.declines,
        "families": fit.weights,
        "asymptote": headline.own(fit.asymptote),
        "scale": fit.scale,
        "exponent": fit.exponent,
        "equivalent_to_largest_num_params": fit.opinions.equivalent_size,
        "one_standard_error_num_params": fit.opinions.one_se_size,
        "kneedle_num_params": info.knee and info.knee.size,
        "kneedle_without_largest_num_params": info.knee and info.knee.without_largest,
    }
