"""Variances of replicates, each shrunk towards what the other sizes say."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Array = NDArray[np.float64]

MIN_VARIANCE = 1e-10
"""Floor: accuracies are multiples of 1 / test samples, so equal replicates are no certainty."""
MIN_FOR_TREND = 5
"""Sizes from which a trend of the variance with size is fitted."""
PRIOR_DOF = (0.5, 1000.0)


class Variances(NamedTuple):
    """Variance of one replicate at each of S sizes."""

    values: Array
    """[S], moderated."""
    dof: float
    """Degrees of freedom of a t interval that uses them; 0 without replicates."""


def shrunk_variances(positions: Array, variances: Array, freedoms: Array) -> Variances:
    """Empirical Bayes moderation with a linear trend in log variance.

    Few replicates make few-digit variances: with three, one in ten is five times too small. The
    sizes of a study scatter alike, up to a trend, so each borrows from the others as far as they
    agree (Smyth 2004, "Linear models and empirical Bayes methods for assessing differential
    expression", doi:10.2202/1544-6115.1027). One without freedom gets the trend's.

    Args:
        positions: Where the trend is taken along, the logarithm of size, [S].
        variances: Sample variances, [S]; those without freedom are not looked at.
        freedoms: Their degrees of freedom, replicates - 1, [S].
    """
    known = freedoms > 0
    if not known.any():
        return Variances(np.full(len(positions), MIN_VARIANCE), 0.0)
    s2 = np.maximum(variances, MIN_VARIANCE)
    d = freedoms[known]
    if len(d) == 1:
        return Variances(np.full(len(positions), s2[known][0]), float(d[0]))
    z = np.log(s2[known]) - special.digamma(d / 2) + np.log(d / 2)
    is_sloped = len(d) >= MIN_FOR_TREND and np.ptp(positions[known]) > 0
    centre = float(positions[known].mean())
    line = np.polynomial.polynomial.polyfit(positions[known] - centre, z, int(is_sloped))
    trend = np.polynomial.polynomial.polyval(positions - centre, line)
    scatter = float(((z - trend[known]) ** 2).sum() / (len(d) - 1 - is_sloped))
    prior = _prior_dof(scatter - float(special.polygamma(1, d / 2).mean()))
    level = np.exp(trend + special.digamma(prior / 2) - np.log(prior / 2))
    shrunk = (prior * level + freedoms * s2) / (prior + freedoms)
    dof = min(prior + float(d.min()), float(d.sum()))
    return Variances(np.where(known, shrunk, np.exp(trend)), dof)


def size_positions(sizes: Sequence[float | None]) -> Array:
    """Where variances lie along a trend: logarithms of sizes, or one place if any is unknown."""
    known = [size for size in sizes if size]
    if len(known) < len(sizes):
        return np.zeros(len(sizes))
    return np.log2(np.array(known, dtype=float))


def _prior_dof(excess: float) -> float:
    """Twice the inverse of the trigamma function, within bounds."""
    low, high = PRIOR_DOF
    if excess <= special.polygamma(1, high / 2):
        return high
    if excess >= special.polygamma(1, low / 2):
        return low

    def gap(half: float) -> float:
        return float(special.polygamma(1, half)) - excess

    return 2 * float(optimize.root_scalar(gap, bracket=(low / 2, high / 2)).root)
