"""What a student of another size would reach, and how large one must be for an accuracy."""

import math
from typing import NamedTuple

import numpy as np

from kdsearch.analysis import wording
from kdsearch.analysis.answers.capacity.capacity_curve import (
    CapacityCurveInfo,
    compute_capacity_curve,
)
from kdsearch.analysis.answers.capacity.saturation import SaturationInfo, compute_saturations
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.capacity import SEARCHED_OCTAVES, Band, CapacityFit
from kdsearch.analysis.strata import compute_strata
from kdsearch.analysis.teachers import compute_teachers
from kdsearch.errors import UserInputError
from kdsearch.results import Results

SHOWN = (0.5, 4.0)
"""The report's line predicts round sizes from so many times the smallest to so many times the
largest."""


class Query(NamedTuple):
    """What is asked: exactly one of the three."""

    num_params: float | None = None
    size_bytes: float | None = None
    """Of the weights."""
    accuracy: float | None = None
    """A fraction."""


def predict_students(results: Results, query: Query) -> tuple[str, ...]:
    """The answer in sentences, one for each curve of the study.

    Raises:
        UserInputError: The study has no curve yet, the query is out of range, or an accuracy is
            asked of a curve of another metric.
    """
    info = compute_strata(results)
    if query.accuracy is not None and not info.headline.is_accuracy:
        raise UserInputError(
            f"--accuracy cannot be asked of {results.config.name}: its curve is of "
            f"{info.headline.words} (study.metric: {info.headline.metric.name}); use --params"
        )
    capacity = compute_capacity_curve(results, info, compute_teachers(results))
    fits = compute_saturations(
        capacity, info.distilled_luck, tolerance=info.tolerance, confidence=info.confidence
    )
    known = {name: found.fit for name, found in fits.items() if found.fit is not None}
    if not known:
        why = capacity.missing or _reasons(fits)
        raise UserInputError(f"{results.config.name} has no curve to predict from: {why}")
    return tuple(_answer(name, fit, query, capacity) for name, fit in known.items())


def _reasons(fits: dict[str, SaturationInfo]) -> str:
    return "; ".join(dict.fromkeys(found.reason for found in fits.values()))


def _answer(name: str, fit: CapacityFit, query: Query, capacity: CapacityCurveInfo) -> str:
    where, headline = f"{name}: " if name else "", capacity.headline
    level = wording.level(fit.confidence)
    if query.accuracy is not None:
        if not 0 < query.accuracy < 1:
            raise UserInputError("--accuracy must be a fraction between 0 and 1, as 0.9")
        median, low, high = fit.needed_size(query.accuracy)
        wanted = wording.percent(query.accuracy)
        if math.isinf(median):
            furthest = wording.count(fit.sizes[-1] * 2.0**SEARCHED_OCTAVES)
            hope = f"; from {wording.count(low)} on it is not excluded ({level})"
            return (
                f"{where}{wanted} is not reached with up to {furthest} parameters, extrapolated"
                f"{hope if math.isfinite(low) else ''}."
            )
        return (
            f"{where}{wanted} needs {_size(median)} parameters ({level} interval {_size(low)} to "
            f"{_size(high)}){_extrapolated(fit, median)}."
        )
    size, named = _size_asked(query, name, capacity)
    middle, low, high = _ends(headline, fit.predict(size, luck=True))
    scatter = f"{headline.unit.fixed(fit.replicate_sd, 2)}{headline.points}"
    return (
        f"{where}A student of {named} would reach {headline.article}{middle} "
        f"({level} interval {low} to {high})"
        f"{_extrapolated(fit, size)}; single trainings scatter around it by {scatter}."
    )


def _ends(headline: Headline, band: Band, at: int | None = None) -> tuple[str, str, str]:
    """The middle of a band with its unit, and its lower and upper end without."""
    middle, *ends = (float(part if at is None else part[at]) for part in band)
    low, high = reversed(ends) if headline.is_minimised else ends
    return headline.value(middle), headline.bare_value(low), headline.bare_value(high)


def _size_asked(query: Query, name: str, capacity: CapacityCurveInfo) -> tuple[float, str]:
    """In parameters, and as it was asked."""
    if query.num_params is not None:
        if not query.num_params >= 1:
            raise UserInputError("--params must be a number of parameters, 1 or more")
        return float(query.num_params), f"{wording.count(query.num_params)} parameters"
    size_bytes = query.size_bytes
    if size_bytes is None or not size_bytes >= 1:
        raise UserInputError("--size-bytes must be a number of bytes, 1 or more")
    series = next(s for s in capacity.series if s.arm == "distilled" and s.name == name)
    points = [p for p in series.points if p.size_bytes]
    if not points:
        raise UserInputError("the bytes of these students are not known; use --params")
    each = np.mean([p.num_params / p.size_bytes for p in points if p.size_bytes])
    params = max(float(each * size_bytes), 1.0)
    return params, f"{size_bytes:,.0f} bytes ({wording.count(params)} parameters)"


def _size(number: float) -> str:
    if number == 0:
        return "fewer than were looked at"
    return wording.count(number) if math.isfinite(number) else "more than could be extrapolated"


def _extrapolated(fit: CapacityFit, size: float) -> str:
    if size > fit.sizes[-1] * 1.001:
        return f", extrapolated beyond the largest tested ({wording.count(fit.sizes[-1])})"
    if size < fit.sizes[0] * 0.999:
        return f", extrapolated below the smallest tested ({wording.count(fit.sizes[0])})"
    return ""


def prediction_line(fit: CapacityFit, headline: Headline) -> str:
    """Values at round sizes in and around the range tested, for the report."""
    low, high = SHOWN[0] * fit.sizes[0], SHOWN[1] * fit.sizes[-1]
    sizes = [10.0**k for k in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    if not sizes:
        return ""
    band = fit.predict(np.array(sizes), luck=True)
    parts = []
    for i, size in enumerate(sizes):
        inside = fit.sizes[0] <= size <= fit.sizes[-1]
        middle, least, most = _ends(headline, band, i)
        parts.append(
            f"{middle} with {wording.count(size)} parameters ({least} to {most}"
            f"{'' if inside else ', extrapolated'})"
        )
    level = wording.level(fit.confidence)
    return f"Predicted for other sizes ({level} intervals): {wording.listing(parts)}."
