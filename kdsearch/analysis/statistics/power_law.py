"""error(N) = E + tolerance * (N / N*)^-a: least squares, and the profile likelihood of N*.

Legend for shapes: S sizes, G grid points of log N*, H grid points of the exponent.
The saturation size N* is a parameter of the curve itself (E + A N^-a with
A = tolerance * N*^a), so its interval is read off the profile likelihood. The delta method and
percentile bootstraps of few replicates both under-cover here.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Array = NDArray[np.float64]

EXPONENTS = np.geomspace(0.02, 8.0, 90)
"""Grid and bounds of the exponent: flatter is a straight line, steeper a step."""
MARGIN_BELOW, MARGIN_ABOVE = 3.0, 8.0
"""How far beyond the sizes log N* is searched; an interval that goes on is open."""
_ZOOMS = 5


class SizeMeans(NamedTuple):
    """Replicates of every size, boiled down to what the fit needs."""

    log_sizes: Array
    """[S], ascending."""
    errors: Array
    """[S], mean error (1 - accuracy); of another metric its distance to the perfect score."""
    counts: Array
    """[S], replicates."""
    variance: float
    """Pooled over sizes, of one replicate; NaN if no size has two."""
    dof: int
    """Degrees of freedom of `variance`."""
    floors: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest limit of the errors that there can be."""


class PowerLaw(NamedTuple):
    """The least-squares curve and the profile interval of log N*."""

    floor: float
    """E, the error of an infinite student."""
    log_saturation: float
    exponent: float
    rss: float
    """Weighted residual sum of squares of the size means."""
    log_low: float
    """-inf where the interval is open."""
    log_high: float

    def predict(self, log_sizes: Array, tolerance: float) -> Array:
        """Error at each size, shape [S]."""
        return self.floor + excess(log_sizes, self.log_saturation, self.exponent, tolerance)

    def jacobian(self, log_sizes: Array, tolerance: float) -> Array:
        """Derivatives of the error by E, log N* and a, shape [S, 3]; E left out at its bound."""
        above = excess(log_sizes, self.log_saturation, self.exponent, tolerance)
        distance = log_sizes - self.log_saturation
        free_floor = np.full_like(above, float(self.floor > 0.0))
        return np.stack([free_floor, above * self.exponent, -above * distance], axis=1)


def excess(log_sizes: Array, log_saturation: Array | float, exponent: Array | float,
           tolerance: float) -> Array:  # fmt: skip
    """Error above the floor: tolerance * (N / N*)^-a."""
    return tolerance * np.exp(np.clip(-exponent * (log_sizes - log_saturation), -60.0, 60.0))


def fit_power_law(means: SizeMeans, *, tolerance: float, confidence: float) -> PowerLaw:
    """Least squares over (E, N*, a) and the F-calibrated profile interval of N*.

    Args:
        means: At least three sizes.
        tolerance: Excess at N*, an absolute fraction.
        confidence: Of the interval: {N*: RSS(N*) - RSS_min <= s^2 F(1, dof)}.
    """
    low, high = means.log_sizes[0] - MARGIN_BELOW, means.log_sizes[-1] + MARGIN_ABOVE
    grid = np.linspace(low, high, 120)
    rss, exponents = _profile(means, grid, tolerance)
    reach = means.variance * float(stats.f.ppf(confidence, 1, means.dof))
    for _ in range(_ZOOMS):
        inside = np.flatnonzero(rss <= rss.min() + reach)
        centres = {int(rss.argmin()), int(inside[0]), int(inside[-1])}
        finer = [
            np.linspace(grid[max(c - 1, 0)], grid[min(c + 1, grid.size - 1)], 13) for c in centres
        ]
        new = np.setdiff1d(np.concatenate(finer), grid)
        new_rss, new_exponents = _profile(means, new, tolerance)
        order = np.argsort(np.concatenate([grid, new]))
        grid = np.concatenate([grid, new])[order]
        rss = np.concatenate([rss, new_rss])[order]
        exponents = np.concatenate([exponents, new_exponents])[order]
    best = int(rss.argmin())
    start = (float(grid[best]), float(exponents[best]))
    floor, log_saturation, exponent, smallest = _polish(means, start, float(rss[best]), tolerance)
    at = int(np.searchsorted(grid, log_saturation))
    grid, rss = np.insert(grid, at, log_saturation), np.insert(rss, at, smallest)
    ends = _ends(grid, rss, smallest + reach)
    return PowerLaw(floor, log_saturation, exponent, smallest, *ends)


def _profile(means: SizeMeans, log_saturations: Array, tolerance: float) -> tuple[Array, Array]:
    """Smallest RSS and its exponent at each log N*, both [G]; E is solved for exactly."""
    rows = np.arange(log_saturations.size)
    step = math.log(EXPONENTS[1] / EXPONENTS[0])
    centre = np.zeros(log_saturations.size)
    candidates = np.broadcast_to(np.log(EXPONENTS), (rows.size, EXPONENTS.size))  # [G, H]
    value = centre
    for _ in range(5):
        rss = _rss(means, log_saturations[:, None], np.exp(candidates), tolerance)
        best = rss.argmin(axis=1)
        centre, value = candidates[rows, best], rss[rows, best]
        candidates = np.clip(
            centre[:, None] + step * np.linspace(-1, 1, 9),
            math.log(EXPONENTS[0]),
            math.log(EXPONENTS[-1]),
        )
        step /= 4
    return value, np.exp(centre)


def _rss(means: SizeMeans, log_saturation: Array, exponent: Array, tolerance: float) -> Array:
    """[G, H] with the best possible floor for each pair."""
    above = excess(means.log_sizes, log_saturation[..., None], exponent[..., None], tolerance)
    rest = means.errors - above  # [G, H, S]
    floor = np.clip((rest * means.counts).sum(-1) / means.counts.sum(), *means.floors)
    return (means.counts * (rest - floor[..., None]) ** 2).sum(-1)


def _polish(
    means: SizeMeans, start: tuple[float, float], start_rss: float, tolerance: float
) -> tuple[float, float, float, float]:
    """The grid's optimum, refined to machine precision: E, log N*, a, RSS."""
    weights = np.sqrt(means.counts)
    log_saturation, exponent = start
    above = excess(means.log_sizes, log_saturation, exponent, tolerance)
    floor = float(np.clip(np.average(means.errors - above, weights=means.counts), *means.floors))

    def residuals(theta: Array) -> Array:
        return weights * (means.errors - theta[0] - excess(
            means.log_sizes, theta[1], float(np.exp(theta[2])), tolerance
        ))  # fmt: skip

    lower = [means.floors[0], means.log_sizes[0] - MARGIN_BELOW, math.log(EXPONENTS[0])]
    upper = [means.floors[1], means.log_sizes[-1] + MARGIN_ABOVE, math.log(EXPONENTS[-1])]
    theta0 = np.clip([floor, log_saturation, math.log(exponent)], lower, upper)
    found = optimize.least_squares(
        residuals, theta0, bounds=(lower, upper), xtol=1e-14, ftol=1e-14, gtol=1e-14, x_scale="jac"
    )
    if 2 * found.cost > start_rss:  # the bounds can only make it worse
        return floor, log_saturation, exponent, start_rss
    theta = found.x
    at_bound = theta[0] < means.floors[0] + 1e-9
    return (
        means.floors[0] if at_bound else float(theta[0]),
        float(theta[1]),
        math.exp(theta[2]),
        float(2 * found.cost),
    )


def _ends(grid: Array, rss: Array, threshold: float) -> tuple[float, float]:
    """Where the profile crosses the threshold, outermost; infinite where it does not."""
    inside = np.flatnonzero(rss <= threshold)

    def cross(inner: int, outer: int) -> float:
        share = (threshold - rss[inner]) / (rss[outer] - rss[inner])
        return float(grid[inner] + share * (grid[outer] - grid[inner]))

    first, last = int(inside[0]), int(inside[-1])
    low = -math.inf if first == 0 else cross(first, first - 1)
    high = math.inf if last == grid.size - 1 else cross(last, last + 1)
    return low, high
