"""Errors by size whose saturation size is known, and students that have them."""

import numpy as np

from kdsearch.analysis import fit_capacity_curve

SIZES = 8 * 2.0 ** np.arange(8)
TOLERANCE = 0.005


def power_law(n):
    return 0.05 + 1.2 * n**-0.9


def plateau(n):
    return 0.08 + 0.03 * np.maximum(0, np.log2(64 / n))


def cut(n):
    return 1.2 * np.minimum(n, 128.0) ** -0.9


def broken(n):
    return 0.05 + 1.2 * np.minimum(n, 64.0) ** -0.9 * np.maximum(n / 64, 1.0) ** -0.25


def exponential(n):
    return 0.1 + 0.5 * np.exp(-n / 60)


def saturating_elsewhere(n):
    """Michaelis-Menten in N, which is none of the families."""
    return 0.08 + 0.3 / (1 + (n / 16) ** 1.3)


def staircase(n):
    """Two steps in log N, each within less than a doubling."""
    octaves = np.log2(n / 8)
    lower, upper = (1 / (1 + np.exp(-(octaves - at) / 0.2)) for at in (0.8, 3.2))
    return 0.3 - 0.1 * lower - 0.08 * upper


def line(n):
    return 0.3 - 0.0075 * np.log2(n / 8)


def slow_law(n):
    """The last doubling gains 1.2 points."""
    return 0.05 + 0.5 * n**-0.35


def flat(n):
    return np.full_like(n, 0.1)


def late(n):
    return np.where(n > 1000, 0.08, 0.1)


def true_size(error):
    """S_in: the smallest size from which 1,024 is no better by more than the tolerance."""
    grid = np.geomspace(8, 1024, 50_001)
    return grid[np.argmax(error(grid) - error(SIZES[-1:]) <= TOLERANCE)]


def replicates(error, *, n=5, sd=0.002, seed=0, effect=0.0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, sd, (len(sizes), n)) + effect * rng.normal(size=(len(sizes), 1))
    return np.clip(1 - error(sizes)[:, None] + noise, 0, 1)


def fitted(error, **options):
    return fit_capacity_curve(SIZES, replicates(error, **options))


def alike(error, sd):
    """Replicates of the same scatter at every size, and means without noise."""
    return 1 - error(SIZES)[:, None] + sd * np.array([-1.0, -1, 0, 1, 1])
