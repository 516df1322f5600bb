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
GROWTHS = (1.0, 6.0, 36.0)
"""How many times as large sigma_u may be at the smallest size as at the largest, each as likely:
narrow students are luckier, and what no curve holds at small sizes should not pass for luck at
large ones."""


class SearchSpread(NamedTuple):
    """Differences between candidates, settings that were confirmed side by side."""

    differences: Array
    """[D], between the mean accuracies of two candidates of one stratum."""
    errors: Array
    """[D], their standard errors from replicates alone."""
    sizes: Array | None = None
    """[D], of their students, in the unit of the curve; None where that is not known."""


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


class GradedEffects(NamedTuple):
    """Values of sigma_u that fall with size, or do not."""

    largest: Array
    """[U], at the largest size."""
    growths: Array
    """[U], how many times that it is at the smallest."""
    log_prior: Array
    """[U]"""

    @classmethod
    def of(cls, tolerance: float) -> "GradedEffects":
        """Each of `size_effects` with each of `GROWTHS`."""
        values, masses = size_effects(tolerance)
        count = len(GROWTHS)
        log_prior = np.repeat(np.log(masses / count), count)
        return cls(np.repeat(values, count), np.tile(GROWTHS, len(values)), log_prior)

    def at(self, places: Array) -> Array:
        """Sigma_u [U, Q] at places [Q]: 0 for the smallest size, 1 for the largest."""
        return graded(self.largest, self.growths, places)

    def evidence(self, spread: SearchSpread | None, smallest: float, span: float) -> Array:
        """Log likelihood of each, [U]; candidates of unknown size count as of the middle.

        Args:
            spread: Differences between candidates.
            smallest: Size of place 0.
            span: Octaves from there to place 1.
        """
        if spread is None:
            return np.zeros_like(self.largest)
        if spread.sizes is None:
            return _evidence(spread, self.at(np.array([0.5])))
        return _evidence(spread, self.at(np.log2(spread.sizes / smallest) / span))


def graded(largest: Array, growths: Array, places: Array) -> Array:
    """Sigma_u [U, Q] at places [Q] from 0, the smallest size, to 1; outside as at the ends."""
    return largest[:, None] * growths[:, None] ** (1 - np.clip(places, 0.0, 1.0))


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
    return _evidence(spread, effects[:, None])


def _evidence(spread: SearchSpread, effects: Array) -> Array:
    """Log likelihood [U] of sigma_u [U, D] at each difference; or [U, 1], one for all."""
    variance = 2 * effects**2 + spread.errors[None, :] ** 2
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
