"""Where accuracy saturates, with an interval, and what is known beyond the sizes tested.

The saturation size is the smallest from which no larger tested size is better by more than a
tolerance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from kdsearch.analysis.statistics.curve_posterior import CurvePosterior, Means, fit_curves
from kdsearch.analysis.statistics.equivalence import SecondOpinions, second_opinions
from kdsearch.analysis.statistics.gains import Beyond, Gain, Gains, LastDoubling, crossing
from kdsearch.analysis.statistics.measured import Measured
from kdsearch.analysis.statistics.power_law import PowerLaw, SizeMeans, fit_power_law
from kdsearch.analysis.statistics.scale import Scale
from kdsearch.analysis.statistics.search_luck import SearchSpread

Array = NDArray[np.float64]
Verdict = Literal["saturated", "not_saturated", "undetermined"]

MIN_SIZES = 4
SLACK_OCTAVES = 0.02
"""Widths that double do not quite double the parameters."""
MIN_OCTAVES = 2.0
"""A factor of 4 between the smallest and the largest size."""
SEARCHED_OCTAVES = 6.0
"""Doublings beyond the sizes tested in which a student of a given accuracy is looked for."""


class Band(NamedTuple):
    """Accuracy by size, all of shape [sizes]."""

    mean: Array
    """Posterior median."""
    low: Array
    """Pointwise band of the expected accuracy, luck of search and training left out."""
    high: Array


@dataclass(frozen=True)
class CapacityFit:
    """The verdict on saturation, and the curves that it rests on."""

    verdict: Verdict
    reason: str
    """The verdict in one sentence, sizes by their numbers."""
    saturation_size: float
    """S_in, from which no larger tested size is better by more than the tolerance: median."""
    saturation_interval: tuple[float, float]
    """0 where the smallest size may already be enough, inf where the largest may not be."""
    enough_size: float | None
    """Smallest tested size that is shown to be enough, beside the largest itself."""
    gain_from_enough: Gain | None
    """What the largest size gains over it."""
    last_doubling: Gain
    """Gained up to the largest size, from half of it."""
    last_at_hand: Gain
    """By the largest student at hand over the largest of at most half its size, whatever the
    curves say."""
    gains: tuple[Gain, ...]
    """From each tested size to the largest."""
    beyond: Beyond
    sizes: tuple[float, ...]
    """Tested, ascending."""
    tolerance: float
    confidence: float
    scores: Scale
    """What the scores are that the curve is of."""
    replicate_sd: float
    """Root mean of the shrunk variances; NaN without replicates."""
    size_effect_sd: float
    """SD by which sizes scatter beyond their replicates: the luck of each size's search."""
    dof: float
    weights: dict[str, float]
    """Posterior probability of each family of curves."""
    needed_replicates: int | None
    """For each size, to tell the last doubling from the tolerance; None where sizes scatter so
    much beyond replicates that none would do."""
    best_size: float
    """Tested size of the highest mean."""
    declines: bool
    """Whether the largest student at hand is shown to be worse than the best."""
    power_law: PowerLaw
    """Least squares error = E + A N^-a, for show: one of the families, decides nothing alone."""
    opinions: SecondOpinions
    _posterior: CurvePosterior = field(repr=False)

    @property
    def is_rising(self) -> bool:
        """Whether the largest size is shown to be better than half of it."""
        return self._ends.is_rising(self.tolerance)

    @property
    def curve_rises(self) -> bool:
        """Whether the curve alone shows it."""
        return self._ends.curve_rises(self.tolerance)

    @property
    def _ends(self) -> LastDoubling:
        return LastDoubling(self.last_doubling, self.last_at_hand)

    @property
    def asymptote(self) -> float:
        """The power law's limit, 1 - E of an accuracy: a score."""
        return self.scores.perfect - self.power_law.floor

    @property
    def scale(self) -> float:
        """The power law's factor, A."""
        law = self.power_law
        return self.tolerance * math.exp(min(law.exponent * law.log_saturation, 700.0))

    @property
    def exponent(self) -> float:
        """The power law's exponent, a."""
        return self.power_law.exponent

    def forecast(self, size: float, *, level: float) -> float:
        """Accuracy that a size gains over the largest tested, at a quantile of its posterior.

        Args:
            size: At least the largest tested; beyond it the gain is extrapolated.
            level: Quantile, in (0, 1).

        Raises:
            ValueError: The size is smaller.
        """
        if not size >= self.sizes[-1]:
            raise ValueError(f"size must be at least {self.sizes[-1]:g}, the largest tested")
        ends = np.log2(np.array([[self.sizes[-1]], [size]]) / self.sizes[0])
        gains = self._posterior.gains(*ends)[:, :, 0]
        return float(self._posterior.quantiles(gains, np.array([level]))[0])

    def predict(self, sizes: ArrayLike, *, luck: bool = False) -> Band:
        """Expected accuracy at `sizes` (positive, any shape [n]) and its confidence band.

        Outside the range tested it is extrapolated.

        Args:
            sizes: Where.
            luck: Whether the band shall hold what a search at that size finds, and not only what
                searches find on average.

        Raises:
            ValueError: A size is not positive and finite.
        """
        wanted = np.asarray(sizes, dtype=float)
        if not np.all(np.isfinite(wanted) & (wanted > 0)):
            raise ValueError("sizes must be positive and finite")
        drawn = self._posterior.accuracies(np.log2(wanted.ravel() / self.sizes[0]), luck=luck)
        tail = (1 - self.confidence) / 2
        quantiles = np.quantile(np.clip(drawn, *self.scores.bounds), [0.5, tail, 1 - tail], axis=0)
        return Band(*(part.reshape(wanted.shape) for part in quantiles))

    def needed_size(self, accuracy: float) -> tuple[float, float, float]:
        """How large a student must be for an expected score: median, and the interval's ends.

        0 where even smaller students than `SEARCHED_OCTAVES` below the smallest tested may do,
        inf where it may be out of reach of `SEARCHED_OCTAVES` doublings. Outside the range tested
        it is extrapolated.

        Args:
            accuracy: The score: of an accuracy a fraction in (0, 1).

        Raises:
            ValueError: It is not inside the bounds of the metric.
        """
        low, high = self.scores.bounds
        if not low < accuracy < high:
            raise ValueError(
                f"accuracy must be a fraction between {low:g} and {high:g}, not {accuracy:g}"
            )
        span = math.log2(self.sizes[-1] / self.sizes[0])
        octaves = np.arange(-SEARCHED_OCTAVES, span + SEARCHED_OCTAVES, 1 / 16)
        reached = np.maximum.accumulate(
            (self._posterior.accuracies(octaves) >= accuracy).mean(axis=0)
        )
        tail = (1 - self.confidence) / 2
        median, low, high = (crossing(octaves, reached, level) for level in (0.5, tail, 1 - tail))
        return tuple(self.sizes[0] * 2.0**end for end in (median, low, high))


def fit_capacity_curve(
    sizes: ArrayLike,
    accuracies: Sequence[ArrayLike] | Array,
    *,
    tolerance: float = 0.005,
    confidence: float = 0.9,
    seed: int = 0,
    covariance: ArrayLike | None = None,
    spread: SearchSpread | None = None,
) -> CapacityFit:
    """Judge whether accuracy saturates within the sizes tested.

    The saturation size is the smallest from which no larger tested size is better by more than
    `tolerance`. Nine families of curves are averaged by their evidence, with a size effect for
    the luck of each size's search, so that a misfit widens intervals; and what the curves say
    must be confirmed by the students at hand. What lies beyond the largest size is extrapolated.

    Args:
        sizes: Capacity of each student, shape [sizes], distinct and positive; in any order.
        accuracies: Fractions in [0, 1], shape [sizes, replicates], or one array for each size.
        tolerance: Difference in accuracy that counts as none, absolute, in (0, 1).
        confidence: Of the intervals and the band, in (0, 1).
        seed: Of nothing: the fit is deterministic. Calls that name one still work.
        covariance: Of the sizes' means from the test set that they share, shape [sizes, sizes],
            in the order of `sizes`; none if it is None.
        spread: What is known of the luck of the search from settings confirmed side by side.

    Raises:
        ValueError: Shapes do not agree, fewer than three sizes, or a value is out of its range.
    """
    del seed
    return fit_scores(
        sizes, accuracies, Scale(), tolerance=tolerance, confidence=confidence,
        covariance=covariance, spread=spread,
    )  # fmt: skip


def fit_scores(
    sizes: ArrayLike,
    scores: Sequence[ArrayLike] | Array,
    scale: Scale,
    *,
    tolerance: float,
    confidence: float,
    covariance: ArrayLike | None = None,
    spread: SearchSpread | None = None,
) -> CapacityFit:
    """`fit_capacity_curve` of any metric, turned so that higher is better.

    Args:
        sizes: As there.
        scores: As its accuracies, within the bounds of the metric.
        scale: What the scores are: their bounds, and the words of the reason.
        tolerance: Difference that counts as none; below 1 if the metric is a fraction.
        confidence: As there.
        covariance: As there.
        spread: As there.

    Raises:
        ValueError: Shapes do not agree, fewer than three sizes, or a value is out of its range.
    """
    least, most = scale.bounds
    for name, value, end in (
        ("tolerance", tolerance, most - least),
        ("confidence", confidence, 1),
    ):
        if not isinstance(value, int | float | np.floating) or not 0 < value < end:
            raise ValueError(f"{name} must be a number between 0 and {end:g}, not {value}")
    data = Measured.of(sizes, scores, covariance, scale.bounds)
    means = Means(
        data.octaves, data.means, np.diag(data.errors) + data.shared,
        data.dof or len(data.means) - 2.0, float(data.sizes[0]),
    )  # fmt: skip
    posterior = fit_curves(means, tolerance=tolerance, spread=spread)
    found = Gains(posterior, data.octaves, tolerance, confidence)
    quantile = float(stats.t.ppf(found.level, max(data.dof, 1.0)))
    confirmed = data.none_better(tolerance, quantile)
    last = len(data.means) - 1
    first = last
    while first > 0 and found.surely_enough(data.octaves[first - 1]) and confirmed[first - 1]:
        first -= 1
    half = max(int(np.searchsorted(data.octaves, data.octaves[-1] - 1 + SLACK_OCTAVES)) - 1, 0)
    ends = LastDoubling(
        found.gain(data.octaves[-1] - 1.0, data.octaves[-1]), found.at_hand(means, half, last)
    )
    too_little = _too_little(data)
    verdict: Verdict = "undetermined" if ends.is_unsure(tolerance) else "not_saturated"
    if first <= half:
        verdict = "saturated"
    if too_little:
        verdict = "undetermined"
    interval = found.interval(first if verdict == "saturated" else None)
    is_enough = first < last and not too_little
    gains = found.gains_to_largest()
    best = int(data.means.argmax())
    effect = posterior.size_effect
    worse = data.means[best] - data.means[-1]
    error = math.sqrt(data.errors[best] + data.errors[-1])
    fit = CapacityFit(
        verdict=verdict,
        reason="",
        saturation_size=float(data.sizes[0] * 2.0 ** max(found.saturation(0.5), 0.0)),
        saturation_interval=(
            float(data.sizes[0] * 2.0 ** interval[0]), float(data.sizes[0] * 2.0 ** interval[1]),
        ),
        enough_size=float(data.sizes[first]) if is_enough else None,
        gain_from_enough=gains[first] if is_enough else None,
        last_doubling=ends.curve,
        last_at_hand=ends.students,
        gains=gains,
        beyond=found.beyond(most - float(data.means[-1])),
        sizes=tuple(data.sizes.tolist()),
        tolerance=tolerance,
        confidence=confidence,
        scores=scale,
        replicate_sd=math.sqrt(float(data.variances.mean())) if data.dof else math.nan,
        size_effect_sd=effect,
        dof=data.dof,
        weights=posterior.family_weights,
        needed_replicates=_needed_replicates(data, effect, quantile, tolerance),
        best_size=float(data.sizes[best]),
        declines=bool(worse > _joint_quantile(data, found.level) * error),
        power_law=_power_law(data, scale, tolerance, confidence),
        opinions=second_opinions(
            data.sizes, data.means, data.errors, data.dof,
            tolerance=tolerance, confidence=confidence,
        ),
        _posterior=posterior,
    )  # fmt: skip
    return replace(fit, reason=too_little or _reason(fit))


def _joint_quantile(data: Measured, level: float) -> float:
    """Of Student's t where the best of all smaller sizes was picked (Bonferroni)."""
    return float(stats.t.ppf(1 - (1 - level) / (len(data.means) - 1), max(data.dof, 1.0)))


def _needed_replicates(
    data: Measured, effect: float, quantile: float, tolerance: float
) -> int | None:
    room = tolerance**2 - 2 * (quantile * effect) ** 2
    variance = float(data.variances[-2:].mean())
    return math.ceil(2 * quantile**2 * variance / room) if room > 0 else None


def _too_little(data: Measured) -> str:
    if len(data.sizes) < MIN_SIZES:
        return f"{len(data.sizes)} sizes are too few for a verdict: test {MIN_SIZES}"
    if data.octaves[-1] < MIN_OCTAVES:
        return "the sizes tested span less than a factor of 4"
    if data.dof == 0:
        return "without replicates the curve cannot be checked against noise"
    return ""


def _reason(fit: CapacityFit) -> str:
    scale, unit, last = fit.scores, fit.scores.unit, fit.last_doubling
    points, tolerance = unit.of_differences, unit.amount(fit.tolerance)
    median, low, high = (unit.fixed(part) for part in last)
    won = f"the last doubling of size {scale.gained_words} {median}{points} ({low} to {high})"
    match fit.verdict:
        case "saturated":
            gain = fit.gain_from_enough
            most = unit.fixed(gain.high if gain is not None else 0.0, 2)
            return (
                f"larger students up to the largest tested {scale.gain_words} at most "
                f"{most}{points}"
            )
        case "not_saturated":
            if fit.is_rising:
                shown = won if fit.curve_rises else _at_hand_words(fit)
                return f"still {scale.moving}: {shown}"
            if last.high <= fit.tolerance:
                return (
                    f"the curve flattens ({won}), but these replicates do not show that no "
                    f"larger student at hand is better by more than {tolerance}"
                )
            return f"not shown to be saturated: {won}"
        case "undetermined":
            if fit.needed_replicates is None:
                scatter = f"{unit.fixed(fit.size_effect_sd, 2)}{points}"
                return (
                    f"sizes scatter by {scatter} beyond their replicates, too much to resolve "
                    f"{tolerance}: more trials for each size would tell, replicates would not"
                )
            return (
                f"{won}, which may be more or less than {tolerance}: about "
                f"{fit.needed_replicates} replicates for each size would tell"
            )


def _at_hand_words(fit: CapacityFit) -> str:
    unit = fit.scores.unit
    median, low, high = (unit.fixed(part) for part in fit.last_at_hand)
    return (
        f"the largest student at hand {fit.scores.gained_words} {median}{unit.of_differences} "
        f"({low} to {high}) over one of half its size"
    )


def _power_law(data: Measured, scale: Scale, tolerance: float, confidence: float) -> PowerLaw:
    """The least-squares curve with one pooled variance."""
    pooled = SizeMeans(
        log_sizes=np.log(data.sizes),
        errors=scale.perfect - data.means,
        counts=data.counts,
        variance=float((data.variances * data.counts).sum() / data.counts.sum()),
        dof=max(int(data.dof), 1),
        floors=(scale.perfect - scale.bounds[1], scale.perfect - scale.bounds[0]),
    )
    return fit_power_law(pooled, tolerance=tolerance, confidence=confidence)
