"""What is known of accuracy over size: families of curves averaged by their evidence.

    means = c0 + c1 phi(size; shape) + u + e,   u ~ N(0, sigma_u(size)^2),   e ~ N(0, variance / n)

c0 and c1 > 0 are integrated out exactly (REML, flat priors); shape and sigma_u, the size effect
(a search that came out better at one size than at the next; it may fall with size), on cells that
are refined where the mass is. Legend for shapes: S sizes, C cells, U values of sigma_u, K kept
components, J quantiles of c1 in each, Q query points.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from kdsearch.analysis.statistics.curve_family import Family, families
from kdsearch.analysis.statistics.search_luck import GradedEffects, SearchSpread, graded

Array = NDArray[np.float64]

ROUNDS = 4
REFINED = 60
LEAST_MASS = 1e-3
"""Cells of at least the mass of the 60th, and of this, are halved along each parameter."""
KEPT = 2000
"""Draws of a cell and a sigma_u; equal ones are one component."""
QUANTILES = 24
THINNED = 2000
"""Equally likely curves that a band is read off."""


class Means(NamedTuple):
    """What was measured at each size."""

    octaves: Array
    """[S], log2 of size above the smallest, ascending from 0."""
    values: Array
    """[S], mean accuracies."""
    covariance: Array
    """[S, S], of the means, size effect left out."""
    dof: float
    """Degrees of freedom of the variances."""
    smallest: float = 1.0
    """Size that octaves are counted from."""

    @property
    def span(self) -> float:
        """Octaves tested."""
        return float(self.octaves[-1])


class CurvePosterior(NamedTuple):
    """Weighted curves: K components of one shape and sigma_u, each with J values of c1."""

    span: float
    weights: Array
    """[K], they sum to 1."""
    rises: Array
    """[K, J], c1: by how much accuracy rises over the range tested."""
    floors: Array
    """[K, J], c0: accuracy at the smallest size."""
    shapes: tuple[tuple[Family, Array, NDArray[np.intp]], ...]
    """For each family: shapes [k, P] and their rows among the components."""
    effects: Array
    """[K], sigma_u at the largest size."""
    growths: Array
    """[K], how many times that it is at the smallest."""
    family_weights: dict[str, float]

    def curves(self, octaves: Array) -> Array:
        """Heights phi of every component at places, [K, Q]."""
        found = np.empty((len(self.weights), len(octaves)))
        for family, shapes, rows in self.shapes:
            found[rows] = family.curves(shapes, octaves, self.span)
        return found

    def gains(self, start: Array, end: Array) -> Array:
        """Accuracy that is won from one place to another, [K, J, Q], for octaves [Q] each."""
        risen = self.curves(end) - self.curves(start)
        return self.rises[:, :, None] * risen[:, None, :]

    def share_below(self, values: Array, limit: float) -> Array:
        """Probability that values [K, J, Q] are at most `limit`, [Q]."""
        return np.asarray(self.weights @ (values <= limit).mean(axis=1))

    def quantiles(self, values: Array, levels: Array) -> Array:
        """Weighted quantiles [L] of values [K, J]."""
        flat = values.ravel()
        weights = np.repeat(self.weights / values.shape[1], values.shape[1])
        order = np.argsort(flat, kind="stable")
        reached = np.cumsum(weights[order]) - weights[order] / 2
        return np.asarray(np.interp(levels, reached, flat[order]))

    def accuracies(self, octaves: Array, *, luck: bool = False) -> Array:
        """Equally likely accuracies at places, [T, Q]: a thinned sample of the components.

        Args:
            octaves: The places, [Q].
            luck: Whether to add a size effect.
        """
        each = self.rises.shape[1]
        reached = np.cumsum(np.repeat(self.weights / each, each))
        picks = np.searchsorted(reached, (np.arange(THINNED) + 0.5) / THINNED * reached[-1])
        curves = self.curves(octaves)[picks // each]
        drawn = self.floors.ravel()[picks, None] + self.rises.ravel()[picks, None] * curves
        if luck:
            levels = (np.arange(THINNED) * 0.6180339887498949 + 0.5) % 1.0  # even in any subset
            effects = self.effects_at(octaves)[picks // each]
            drawn = drawn + effects * stats.norm.ppf(levels)[:, None]
        return drawn

    def effects_at(self, octaves: Array) -> Array:
        """sigma_u at places, [K, Q]."""
        return graded(self.effects, self.growths, octaves / self.span)

    @property
    def size_effect(self) -> float:
        """Posterior median of sigma_u at the largest size; its mean is in its tail."""
        values, places = np.unique(self.effects, return_inverse=True)
        mass = np.bincount(places, self.weights)
        return float(np.exp(np.interp(0.5, np.cumsum(mass) - mass / 2, np.log(values))))


def fit_curves(
    means: Means, *, tolerance: float, spread: SearchSpread | None = None
) -> CurvePosterior:
    """Average the families over what was measured.

    Args:
        means: Of at least three sizes.
        tolerance: Sets the scale that size effects are looked for on.
        spread: What candidates that were confirmed side by side tell of size effects.
    """
    effects = GradedEffects.of(tolerance)
    known = effects.evidence(spread, means.smallest, means.span)
    parts = _Parts.of(means, effects.at(means.octaves / means.span), effects.log_prior + known)
    found = [_Cells.first(family, means, parts) for family in families(means.span)]
    for _ in range(ROUNDS):
        total = special.logsumexp(np.concatenate([cells.mass for cells in found]))
        masses = np.sort(np.concatenate([cells.mass for cells in found]))[::-1]
        least = max(masses[min(REFINED, len(masses)) - 1], total + np.log(LEAST_MASS))
        found = [cells.refined(least, means, parts) for cells in found]
    return _posterior(found, means, effects)


class _Parts(NamedTuple):
    """What the evidence needs for each sigma_u."""

    precision: Array
    """[U, S, S], W."""
    rows: Array
    """[U, S], 1'W."""
    total: Array
    """[U], s0 = 1'W1."""
    rest: Array
    """[U, S], W m~."""
    fixed: Array
    """[U], terms that no shape changes."""

    @classmethod
    def of(cls, means: Means, effects: Array, log_prior: Array) -> "_Parts":
        """From sigma_u [U, S] at each size and its log prior [U]."""
        size = len(means.values)
        covariance = means.covariance + effects[:, :, None] ** 2 * np.eye(size)
        precision = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
        rows = precision.sum(axis=1)
        total = rows.sum(axis=1)
        centred = means.values - (rows @ means.values / total)[:, None]
        rest = np.einsum("uij,uj->ui", precision, centred)
        fixed = -0.5 * np.linalg.slogdet(covariance)[1] + log_prior
        fixed = fixed - 0.5 * np.einsum("ui,ui->u", centred, rest)
        return cls(precision, rows, total, rest, fixed)

    def solve(self, curves: Array) -> tuple[Array, Array, Array, Array]:
        """Log mass, c1, its standard error and s1 / s0 for curves [C, S], each [C, U]."""
        s1 = curves @ self.rows.T
        s2 = np.einsum("ci,uij,cj->cu", curves, self.precision, curves, optimize=True)
        y1 = curves @ self.rest.T
        determinant = np.maximum(self.total * s2 - s1**2, 1e-300)
        rise = self.total * y1 / determinant
        error = np.sqrt(self.total / determinant)
        mass = self.fixed - 0.5 * np.log(determinant) + 0.5 * (rise / error) ** 2
        mass = mass + special.log_ndtr(rise / error)
        return mass, rise, error, s1 / self.total


class _Cells(NamedTuple):
    """Boxes of one family's shapes, each judged at its centre."""

    family: Family
    centres: Array
    """[C, P]"""
    halves: Array
    """[C, P]: half the length of each edge."""
    log_prior: Array
    """[C]"""
    log_mass: Array
    """[C, U]"""

    @property
    def mass(self) -> Array:
        """[C], over all sigma_u."""
        return np.asarray(special.logsumexp(self.log_mass, axis=1))

    @classmethod
    def first(cls, family: Family, means: Means, parts: _Parts) -> "_Cells":
        axes, halves = [], []
        for (low, high), count in zip(family.box, family.cells, strict=True):
            half = (high - low) / (2 * count)
            axes.append(low + half * (2 * np.arange(count) + 1))
            halves.append(half)
        centres = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], axis=1)
        log_prior = np.full(len(centres), -np.log(len(centres)))
        return cls.judged(
            family, centres, np.tile(halves, (len(centres), 1)), log_prior, means, parts
        )

    @classmethod
    def judged(
        cls, family: Family, centres: Array, halves: Array, log_prior: Array,
        means: Means, parts: _Parts,
    ) -> "_Cells":  # fmt: skip
        curves = family.curves(centres, means.octaves, means.span)
        flat = ~np.isfinite(curves).all(axis=1, keepdims=True)
        mass = parts.solve(np.where(flat, 0.0, curves))[0]
        mass = np.where(flat, -np.inf, mass) + log_prior[:, None]
        return cls(family, centres, halves, log_prior, mass)

    def refined(self, least: float, means: Means, parts: _Parts) -> "_Cells":
        """With the cells of at least a log mass halved along each parameter."""
        heavy = self.mass >= least
        if not heavy.any():
            return self
        corners = 2 ** self.centres.shape[1]
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=self.centres.shape[1])))
        halves = np.repeat(self.halves[heavy] / 2, corners, axis=0)
        centres = np.repeat(self.centres[heavy], corners, axis=0)
        centres = centres + halves * np.tile(signs, (int(heavy.sum()), 1))
        log_prior = np.repeat(self.log_prior[heavy], corners) - np.log(corners)
        children = _Cells.judged(self.family, centres, halves, log_prior, means, parts)
        kept = (part[~heavy] for part in self[1:])
        joined = (np.concatenate(pair) for pair in zip(kept, children[1:], strict=True))
        return _Cells(self.family, *joined)


def _posterior(found: list[_Cells], means: Means, effects: GradedEffects) -> CurvePosterior:
    """Pairs of a cell and a sigma_u by their mass, with quantiles of c1 and a c0 for each."""
    log_mass = np.concatenate([cells.log_mass for cells in found])
    owner = np.concatenate([np.full(len(c.centres), i) for i, c in enumerate(found)])
    within = np.concatenate([np.arange(len(c.centres)) for c in found])
    share = np.exp(log_mass - special.logsumexp(log_mass))
    names = [cells.family.name for cells in found]
    family_weights = {n: float(share[owner == i].sum()) for i, n in enumerate(names)}
    # Systematic resampling: taking the heaviest would favour families of few parameters.
    reached = np.cumsum(share)
    picks = np.searchsorted(reached, (np.arange(KEPT) + 0.5) / KEPT * reached[-1])
    kept, counts = np.unique(picks, return_counts=True)
    rows, columns = np.unravel_index(kept, share.shape)
    weights = counts / KEPT
    shapes: list[tuple[Family, Array, NDArray[np.intp]]] = []
    curves = np.empty((len(kept), len(means.values)))
    for index, cells in enumerate(found):
        mine = np.flatnonzero(owner[rows] == index)
        own = cells.centres[within[rows[mine]]]
        shapes.append((cells.family, own, mine))
        curves[mine] = cells.family.curves(own, means.octaves, means.span)
    each = effects.at(means.octaves / means.span)
    parts = _Parts.of(means, each, np.zeros(len(each)))
    _, rise, error, slope = (part[np.arange(len(kept)), columns] for part in parts.solve(curves))
    total, row = parts.total[columns], parts.rows[columns]
    levels = (np.arange(QUANTILES) + 0.5) / QUANTILES
    positive = stats.t.sf(-rise / error, means.dof)[:, None]
    steps = stats.t.isf(positive * (1 - levels), means.dof)
    rises = np.maximum(rise[:, None] + error[:, None] * steps, 0.0)
    # Each c1 goes with one quantile of c0 given c1, in an order that leaves them uncorrelated.
    mixed = stats.norm.ppf(levels[_SPREAD])
    floors = (row @ means.values / total)[:, None] - rises * slope[:, None]
    floors = floors + mixed / np.sqrt(total)[:, None]
    return CurvePosterior(
        means.span, weights, rises, floors, tuple(shapes), effects.largest[columns],
        effects.growths[columns], family_weights,
    )  # fmt: skip


_SPREAD = (np.arange(QUANTILES) * 7 + 3) % QUANTILES
"""7 and 24 have no common factor, so this is a permutation."""
