"""The luck of a search: by how much its choice would differ if it were run again.

Replicates of one setting do not show that another search would have chosen another setting. Two
candidates of the same stratum do: each is what a search might have ended with, so their true
accuracies differ by two draws of the size effect sigma_u (Gelman 2006 on half-Cauchy priors for
such variances, doi:10.1214/06-BA117A).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]

SIZE_EFFECTS = (0.06, 8.0, 12)
"""Lowest and highest sigma_u in tolerances, and how many geometric points between them."""
BEST_OF_TWO = 0.826
"""Standard deviation of the better of two draws from a normal, in its own: validation chooses."""
EFFECT_SCALE = 0.25
"""Scale of its half-Cauchy prior, in tolerances."""


class SearchSpread(NamedTuple):
    """Differences between candidates, settings that were confirmed side by side."""

    differences: Array
    """[D], between the mean accuracies of two candidates of one stratum."""
    errors: Array
    """[D], their standard errors from replicates alone."""


class SearchLuck(NamedTuple):
    """What is known of the luck of the search in one arm."""

    spread: SearchSpread | None
    """None where no stratum has two tested candidates."""
    sd: float
    """Standard deviation of a stratum's true accuracy over searches, a fraction; 0 where nothing
    tells."""
    num_pairs: int
    """Pairs of candidates that it is known from."""

    @classmethod
    def of(cls, spread: SearchSpread | None, tolerance: float) -> "SearchLuck":
        """From the pairs of an arm."""
        pairs = 0 if spread is None else len(spread.differences)
        return cls(spread, search_luck(spread, tolerance), pairs)


def size_effects(tolerance: float) -> tuple[Array, Array]:
    """Values of sigma_u [U] and their prior masses [U]; the ends take what lies beyond them."""
    low, high, count = SIZE_EFFECTS
    values = tolerance * np.geomspace(low, high, count)
    edges = np.sqrt(values[1:] * values[:-1])
    below = stats.halfcauchy.cdf(edges, scale=EFFECT_SCALE * tolerance)
    return values, np.diff(np.concatenate([[0.0], below, [1.0]]))


def effect_evidence(spread: SearchSpread | None, tolerance: float) -> Array:
    """Log likelihood of each value of `size_effects`, [U]."""
    effects, _ = size_effects(tolerance)
    if spread is None:
        return np.zeros_like(effects)
    variance = 2 * effects[:, None] ** 2 + spread.errors[None, :] ** 2
    densities = stats.norm.logpdf(spread.differences, scale=np.sqrt(variance + 1e-12))
    return np.asarray(densities.sum(axis=1))


def search_luck(spread: SearchSpread | None, tolerance: float) -> float:
    """Standard deviation over searches of the accuracy of what is chosen, a fraction.

    The posterior mean of sigma_u, less for choosing the better of two candidates. (The root of
    the mean square is mostly the tail of the prior: with it, intervals of one study held the mean
    over study seeds in 97 % of cases instead of 90, `benchmarks/results/search_luck.txt`.)

    Args:
        spread: Of all strata of one arm; with none it is 0, for nothing is known of it.
        tolerance: Sets the scale of the prior.
    """
    if spread is None or not len(spread.differences):
        return 0.0
    effects, prior = size_effects(tolerance)
    mass = np.log(prior) + effect_evidence(spread, tolerance)
    share = np.exp(mass - special.logsumexp(mass))
    return BEST_OF_TWO * float(share @ effects)
