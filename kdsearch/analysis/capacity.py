"""The size at which a student's accuracy saturates, with an interval, or an honest refusal."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from kdsearch.analysis.equivalence import SecondOpinions, second_opinions
from kdsearch.analysis.goodness_of_fit import MISFIT_LEVEL, misfit_p_value
from kdsearch.analysis.power_law import (
    EXPONENTS,
    MIN_NOISE,
    Array,
    PowerLaw,
    SizeMeans,
    fit_power_law,
)

Verdict = Literal["saturated", "not_saturated", "undetermined"]
MIN_SIZES = 5
"""Three parameters, and two sizes more to see whether the curve fits."""


class Band(NamedTuple):
    """Accuracy by size, all of shape [sizes]."""

    mean: Array
    low: Array
    """Pointwise confidence band of the mean curve."""
    high: Array


@dataclass(frozen=True)
class CapacityFit:
    """accuracy(N) = asymptote - scale * N^-exponent, and what follows for saturation."""

    asymptote: float
    """Accuracy of an infinitely large student: 1 - E."""
    scale: float
    exponent: float
    saturation_size: float
    """N*, where the excess error over the asymptote falls to the tolerance."""
    saturation_interval: tuple[float, float]
    """Profile-likelihood interval of N*; 0 or inf where the data leave an end open."""
    verdict: Verdict
    reason: str
    """The verdict in one sentence."""
    tolerance: float
    confidence: float
    noise: float
    """Pooled standard deviation of a replicate; NaN without replicates."""
    misfit_p: float | None
    """Goodness of fit; None where it cannot be tested."""
    opinions: SecondOpinions
    _law: PowerLaw = field(repr=False)
    _covariance: Array = field(repr=False)
    _quantile: float = field(repr=False)

    def predict(self, sizes: ArrayLike) -> Band:
        """The fitted accuracy at `sizes` (positive, any shape [n]) and its confidence band.

        Raises:
            ValueError: A size is not positive and finite.
        """
        wanted = np.asarray(sizes, dtype=float)
        if not np.all(np.isfinite(wanted) & (wanted > 0)):
            raise ValueError("sizes must be positive and finite")
        logs = np.log(wanted).ravel()
        mean = 1 - self._law.predict(logs, self.tolerance).reshape(wanted.shape)
        slopes = self._law.jacobian(logs, self.tolerance)
        variance = np.einsum("si,ij,sj->s", slopes, self._covariance, slopes)
        reach = self._quantile * np.sqrt(np.maximum(variance, 0.0)).reshape(wanted.shape)
        return Band(mean, np.clip(mean - reach, 0, 1), np.clip(mean + reach, 0, 1))


def fit_capacity_curve(
    sizes: ArrayLike,
    accuracies: Sequence[ArrayLike] | Array,
    *,
    tolerance: float = 0.005,
    confidence: float = 0.9,
    seed: int = 0,
) -> CapacityFit:
    """Fit error(N) = E + A N^-a and judge whether accuracy saturates in the range tested.

    The interval of the saturation size is a profile-likelihood interval with the pooled
    replicate variance. "saturated" is claimed only if the curve passes a goodness-of-fit test,
    the replicates can resolve `tolerance`, and the interval lies inside the range tested.

    Args:
        sizes: Capacity of each student, shape [sizes], distinct and positive; in any order.
        accuracies: Fractions in [0, 1], shape [sizes, replicates], or one array for each size.
            Replicates at the same position are taken to share their seed.
        tolerance: Excess error over the asymptote that counts as saturated, absolute, in (0, 1).
        confidence: Of the interval and the band, in (0, 1).
        seed: Of the simulation that calibrates the goodness-of-fit test.

    Raises:
        ValueError: Shapes do not agree, fewer than three sizes, or a value is out of its range.
    """
    ordered, replicates = _validate(sizes, accuracies, tolerance, confidence)
    means, noise = _size_means(ordered, replicates)
    law = fit_power_law(means, tolerance=tolerance, confidence=confidence)
    if math.isnan(noise) and len(ordered) > 3:  # no replicates: the scatter around the curve
        means = means._replace(variance=max(law.rss / (len(ordered) - 3), MIN_NOISE**2))
        law = fit_power_law(means, tolerance=tolerance, confidence=confidence)
    misfit = None
    if not math.isnan(noise):
        misfit = misfit_p_value(means, law, tolerance=tolerance, seed=seed)
    verdict, reason = _judge(ordered, means, law, noise, misfit, tolerance, confidence)
    slopes = law.jacobian(means.log_sizes, tolerance) * np.sqrt(means.counts)[:, None]
    return CapacityFit(
        asymptote=1 - law.floor,
        scale=tolerance * math.exp(min(law.exponent * law.log_saturation, 700.0)),
        exponent=law.exponent,
        saturation_size=math.exp(law.log_saturation),
        saturation_interval=(math.exp(law.log_low), math.exp(law.log_high)),
        verdict=verdict,
        reason=reason,
        tolerance=tolerance,
        confidence=confidence,
        noise=noise,
        misfit_p=misfit,
        opinions=second_opinions(ordered, replicates, tolerance=tolerance, confidence=confidence),
        _law=law,
        _covariance=_covariance(slopes, means.variance),
        _quantile=float(stats.t.ppf(0.5 + confidence / 2, means.dof)),
    )


def _covariance(slopes: Array, variance: float) -> Array:
    """Of (E, log N*, a), from weighted slopes [S, 3]; what is not identified drops out."""
    inverse: Array = np.linalg.pinv(slopes.T @ slopes, rcond=1e-12).astype(np.float64)
    return variance * inverse


def _validate(
    sizes: ArrayLike, accuracies: Sequence[ArrayLike] | Array, tolerance: float, confidence: float
) -> tuple[Array, list[Array]]:
    """Sizes in ascending order with their replicates."""
    flat, rows = _numbers(sizes, accuracies)
    if flat.ndim != 1:
        raise ValueError(f"sizes must be a list of numbers, not an array of shape {flat.shape}")
    if len(rows) != flat.size:
        raise ValueError(f"there are {flat.size} sizes, but accuracies for {len(rows)}")
    if any(row.ndim != 1 for row in rows):
        raise ValueError("accuracies must be one list of replicates for each size")
    if flat.size < 3:
        raise ValueError(f"a curve needs at least 3 sizes, not {flat.size}")
    if not np.all(np.isfinite(flat) & (flat > 0)) or np.unique(flat).size < flat.size:
        raise ValueError("sizes must be distinct, positive and finite")
    if any(row.size == 0 or not np.all((row >= 0) & (row <= 1)) for row in rows):
        raise ValueError(
            "accuracies must be fractions from 0 to 1 (0.873, not 87.3), one or more for each size"
        )
    for name, value in (("tolerance", tolerance), ("confidence", confidence)):
        if not isinstance(value, int | float | np.floating) or not 0 < value < 1:
            raise ValueError(f"{name} must be a number between 0 and 1, not {value}")
    order = np.argsort(flat)
    return flat[order], [rows[i] for i in order]


def _numbers(
    sizes: ArrayLike, accuracies: Sequence[ArrayLike] | Array
) -> tuple[Array, list[Array]]:
    """Both as arrays of floats."""
    try:
        flat = np.asarray(sizes, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError("sizes must be a list of numbers") from error
    try:
        rows = [np.atleast_1d(np.asarray(row, dtype=float)) for row in accuracies]
    except (TypeError, ValueError) as error:
        raise ValueError("accuracies must be one list of numbers for each size") from error
    return flat, rows


def _size_means(sizes: Array, replicates: list[Array]) -> tuple[SizeMeans, float]:
    """The means with the pooled variance, and its root; NaN without replicates."""
    counts = np.array([row.size for row in replicates], dtype=float)
    dof = int(counts.sum()) - counts.size
    spread = sum(float(((row - row.mean()) ** 2).sum()) for row in replicates)
    noise = math.sqrt(spread / dof) if dof > 0 else math.nan
    means = SizeMeans(
        log_sizes=np.log(sizes),
        errors=np.array([1 - row.mean() for row in replicates]),
        counts=counts,
        variance=MIN_NOISE**2 if math.isnan(noise) else max(noise, MIN_NOISE) ** 2,
        dof=dof if dof > 0 else max(counts.size - 3, 1),
    )
    return means, noise


def _judge(
    sizes: Array,
    means: SizeMeans,
    law: PowerLaw,
    noise: float,
    misfit: float | None,
    tolerance: float,
    confidence: float,
) -> tuple[Verdict, str]:
    points = f"{100 * tolerance:g} points"
    if sizes.size < MIN_SIZES:
        return "undetermined", f"{sizes.size} sizes are too few to check a curve: test {MIN_SIZES}"
    if misfit is None:
        return "undetermined", "without replicates the curve cannot be checked against noise"
    if np.ptp(means.errors) <= tolerance:
        return "undetermined", f"all sizes tested are within {points}: test smaller students"
    if misfit < MISFIT_LEVEL:
        return (
            "undetermined",
            f"accuracy does not follow a power law in size (goodness of fit p = {misfit:.2g})",
        )
    smallest, largest = sizes[0], sizes[-1]
    low, high = math.exp(law.log_low), math.exp(law.log_high)
    if law.exponent <= EXPONENTS[0] * 1.001 and law.floor > 0:
        return "undetermined", "accuracy does not rise towards an asymptote"
    if low <= smallest:
        return (
            "undetermined",
            "the replicates do not even exclude saturation at the smallest size tested",
        )
    if high >= largest:
        return "not_saturated", f"accuracy is not shown to come within {points} of its asymptote"
    needed = _needed_replicates(means, tolerance, confidence)
    if needed > means.counts.min():
        return (
            "undetermined",
            f"replicates are too noisy to resolve {points} between two sizes: "
            f"about {needed} for each size would",
        )
    return "saturated", f"accuracy comes within {points} of its asymptote"


def _needed_replicates(means: SizeMeans, tolerance: float, confidence: float) -> int:
    """Replicates for which two sizes that differ by the tolerance can be told apart."""
    quantile = float(stats.t.ppf(0.5 + confidence / 2, means.dof))
    return math.ceil(2 * means.variance * (quantile / tolerance) ** 2)
