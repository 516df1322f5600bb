"""May the curve be called a power law? A test with power against the laws that mimic one.

The omnibus lack-of-fit F test spreads its power over all deviations. Two directed score tests
are added: for curvature of the log excess (plateaus, smooth bends) and for a kink in the middle
of the range (broken power laws: a steep part that a slow one follows, whose slow part a fitted
floor would swallow). The smallest of the three p-values is calibrated by simulation.
"""

import numpy as np
from scipy import stats

from kdsearch.analysis.power_law import Array, PowerLaw, SizeMeans, excess

MISFIT_LEVEL = 0.15
"""Below it no claim is made. High on purpose: a false alarm costs more replicates, a false
claim of saturation costs the user's trust. True power laws are refused this often."""
_SIMULATIONS = 4000


def misfit_p_value(
    means: SizeMeans, fit: PowerLaw, *, tolerance: float, seed: int
) -> float | None:
    """Probability of means this far from the fitted curve if the law is true.

    Args:
        means: The data, with a known variance.
        fit: Their least-squares curve.
        tolerance: The one it was fitted with.
        seed: Of the simulation that calibrates the smallest of the p-values.

    Returns:
        None where it cannot be tested: fewer than two sizes more than parameters, or no
        replicates.
    """
    freedom = means.log_sizes.size - 3
    if freedom < 2 or means.dof < 1:
        return None
    weights = np.sqrt(means.counts)
    tangent = fit.jacobian(means.log_sizes, tolerance) * weights[:, None]
    basis = _orthonormal(tangent)
    directions = _directions(means, fit, tolerance) * weights[:, None]
    directions -= basis @ (basis.T @ directions)
    directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
    residuals = weights * (means.errors - fit.predict(means.log_sizes, tolerance))
    observed = _smallest_p(residuals[None], means.variance, directions, freedom, means.dof)[0]

    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((_SIMULATIONS, means.log_sizes.size))
    noise -= (noise @ basis) @ basis.T
    variances = rng.chisquare(means.dof, _SIMULATIONS) / means.dof
    simulated = _smallest_p(noise, variances, directions, freedom, means.dof)
    return float((1 + np.count_nonzero(simulated <= observed)) / (1 + _SIMULATIONS))


def _directions(means: SizeMeans, fit: PowerLaw, tolerance: float) -> Array:
    """Deviations to look for, [S, 2]: curved log excess, and a kink at the middle size."""
    distance = means.log_sizes - fit.log_saturation
    above = excess(means.log_sizes, fit.log_saturation, fit.exponent, tolerance)
    kink = np.maximum(0.0, means.log_sizes - np.median(means.log_sizes))
    return np.stack([above * distance**2, kink], axis=1)


def _smallest_p(
    residuals: Array, variance: Array | float, directions: Array, freedom: int, dof: int
) -> Array:
    """[rows] for residuals of shape [rows, S]."""
    omnibus = stats.f.sf((residuals**2).sum(axis=1) / freedom / variance, freedom, dof)
    scores = np.abs(residuals @ directions) / np.sqrt(variance)[..., None]
    directed = 2 * stats.t.sf(scores, dof)
    return np.minimum(omnibus, directed.min(axis=1))


def _orthonormal(columns: Array) -> Array:
    """An orthonormal basis of the columns' span, without their dependent part."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, singular > 1e-10 * singular[0]]
