"""One response surface through all trials of a study: every stratum, both arms.

A Gaussian process over (tuned settings, stratum). What a teacher's settings do is scaled by how
much the student listens to it, `1 - alpha`: at alpha 1 temperature and ensemble size change
nothing, and hard labels are the same students whichever arm trained them. So

    k = level(s, s') + own(s, z; s', z') + (1 - alpha)(1 - alpha') taught(s, z, t; s', z', t')

with strata s, settings z that need no teacher (alpha among them), settings t of the teacher; each
term is a Gaussian kernel with a length scale for each coordinate: accuracy is smooth in its
settings, and draws of a rougher kernel have their maxima in their wiggles. Noise has a level in
each stratum (small students scatter three times as much). Scales are found by maximum a
posteriori; their uncertainty is that of a Laplace approximation (`Surface.sampled`).

Legend for shapes: N trials, Q query points, S, A, B coordinates of stratum, student and teacher,
H hyperparameters, D draws, G strata.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from threadpoolctl import threadpool_limits

Array = NDArray[np.float64]

MOST_FITTED = 256
"""Trials that the scales are found from, spread evenly; all trials make the surface."""
_STEPS = 40
_JITTER = 1e-6
_SAME = 1e-9
"""Stratum coordinates that differ by less are one stratum's."""
_CURVATURE_STEP = 0.05


class Places(NamedTuple):
    """Where trials lie. Coordinates are scaled to [0, 1] over the range searched."""

    stratum: Array
    """[N, S]"""
    own: Array
    """[N, A]: what needs no teacher, and alpha."""
    taught: Array
    """[N, B]: what a teacher is needed for."""
    listening: Array
    """[N]: 1 - alpha; 0 for hard labels."""

    def __len__(self) -> int:
        """N."""
        return len(self.listening)

    def pick(self, rows: NDArray[np.intp] | slice) -> "Places":
        """Some of the places."""
        return Places(*(part[rows] for part in self))


def joined(places: Sequence[Places]) -> Places:
    """All places of several."""
    return Places(*(np.concatenate(parts) for parts in zip(*places, strict=True)))


class Warp(NamedTuple):
    """Scores as deficits to their stratum's best, linear near it and logarithmic far below.

    How far a hopeless trial fell says nothing about where the best is.
    """

    unit: float
    """Deficit at which the logarithm takes over."""

    def down(self, deficit: Array) -> Array:
        """Deficits (0 at the reference, positive below it) to warped scores, higher is better."""
        far = np.maximum(deficit / self.unit, 1.0)
        return np.where(deficit > self.unit, -1.0 - np.log(far), -deficit / self.unit)

    def up(self, warped: Array) -> Array:
        """The inverse: warped scores to differences from the reference, negative below it."""
        near = warped * self.unit
        return np.where(warped < -1.0, -self.unit * np.exp(np.minimum(-1.0 - warped, 20.0)), near)


class Surface:
    """A posterior over surfaces: means and joint draws at any places."""

    def __init__(
        self,
        places: Places,
        warped: Array,
        extra_noise: Array,
        theta: Array,
        evidence: "Evidence",
    ) -> None:
        """Condition on trials under given scales.

        Args:
            places: Of the trials.
            warped: Their scores, [N].
            extra_noise: Standard deviation that a score has beyond its stratum's, [N].
            theta: Hyperparameters, [H], as `_Scales` reads them.
            evidence: What theta was found by.
        """
        self.places = places
        self.theta = theta
        self._warped = warped
        self._extra = extra_noise
        self._evidence = evidence
        scales = _Scales.of(theta, places, evidence.strata)
        self._scales = scales
        covariance = scales.kernel(places, places)
        covariance[np.diag_indices(len(places))] += scales.noise(places) ** 2 + extra_noise**2
        covariance[np.diag_indices(len(places))] += _JITTER
        self._factor = np.linalg.cholesky(covariance)
        self._weights = linalg.cho_solve((self._factor, True), warped)

    def mean(self, at: Places) -> Array:
        """Posterior mean at places, warped, [Q]."""
        return np.asarray(self._scales.kernel(at, self.places) @ self._weights)

    def moments(self, at: Places) -> tuple[Array, Array]:
        """Posterior mean [Q] and covariance [Q, Q] at places, warped, noise left out."""
        cross = self._scales.kernel(at, self.places)
        half: Array = np.asarray(linalg.solve_triangular(self._factor, cross.T, lower=True))
        return cross @ self._weights, self._scales.kernel(at, at) - half.T @ half

    def noise(self, at: Places) -> Array:
        """Standard deviation of one trial's score at places, warped, [Q]."""
        return self._scales.noise(at)

    def draws(self, at: Places, count: int, rng: np.random.Generator) -> Array:
        """Joint draws of the surface at places, warped, [D, Q]."""
        with threadpool_limits(1):  # as in `fit_surface`
            mean, covariance = self.moments(at)
            return mean + normal_draws(covariance, count, rng)

    def sampled(self, count: int, rng: np.random.Generator) -> list["Surface"]:
        """Surfaces under scales drawn from their Laplace approximation."""
        values, vectors = np.linalg.eigh(self._precision)
        spread = vectors / np.sqrt(np.maximum(values, 0.5))
        thetas = self.theta + rng.standard_normal((count, len(self.theta))) @ spread.T
        same = (self.places, self._warped, self._extra)
        return [Surface(*same, theta, self._evidence) for theta in thetas]

    @cached_property
    def _precision(self) -> Array:
        """Second derivatives of the negative log posterior, [H, H], by central differences."""
        step = _CURVATURE_STEP
        rows = [
            self._evidence(self.theta + step * e)[1] - self._evidence(self.theta - step * e)[1]
            for e in np.eye(len(self.theta))
        ]
        found = np.stack(rows) / (2 * step)
        return np.asarray((found + found.T) / 2)


def normal_draws(covariance: Array, count: int, rng: np.random.Generator) -> Array:
    """Draws [D, Q] of a centred normal whose covariance [Q, Q] may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return rng.standard_normal((count, len(values))) @ root.T


class _Scales(NamedTuple):
    """Hyperparameters by name."""

    level: float
    own: float
    taught: float
    """Standard deviations of the three terms."""
    level_lengths: Array
    """[S]"""
    stratum_lengths: Array
    """[S]"""
    own_lengths: Array
    """[A]"""
    taught_lengths: Array
    """[B]"""
    noise_log: float
    """Of a stratum of which nothing is known."""
    noise_offsets: Array
    """[G]: of the strata that have trials."""
    strata: Array
    """[G, S]"""

    @classmethod
    def of(cls, theta: Array, places: Places, strata: Array) -> "_Scales":
        s, a, b = (part.shape[1] for part in places[:3])
        e = np.exp(theta)
        cuts = np.cumsum([3, s, s, a, b])
        return cls(
            float(e[0]), float(e[1]), float(e[2]),
            e[cuts[0]:cuts[1]], e[cuts[1]:cuts[2]], e[cuts[2]:cuts[3]], e[cuts[3]:cuts[4]],
            float(theta[cuts[4]]), theta[cuts[4] + 1 :], strata,
        )  # fmt: skip

    def noise(self, places: Places) -> Array:
        """Standard deviations [N] of one trial's score."""
        return np.asarray(np.exp(self.noise_log + self.members(places) @ self.noise_offsets))

    def members(self, places: Places) -> Array:
        """1 where a place [N] lies in a known stratum [G], else 0."""
        same = np.abs(places.stratum[:, None] - self.strata[None]) < _SAME
        return same.all(axis=2).astype(float)

    def kernel(self, a: Places, b: Places) -> Array:
        own, taught = self._distances(a, b)
        listening = np.outer(a.listening, b.listening)
        result: Array = self.own**2 * _gaussian(own)
        result += self.taught**2 * listening * _gaussian(taught)
        result += self.level**2 * _gaussian(_squares(a.stratum, b.stratum, self.level_lengths))
        return result

    def _distances(self, a: Places, b: Places) -> tuple[Array, Array]:
        own = _squares(a.stratum, b.stratum, self.stratum_lengths)
        own += _squares(a.own, b.own, self.own_lengths)
        return own, own + _squares(a.taught, b.taught, self.taught_lengths)


def _squares(a: Array, b: Array, lengths: Array) -> Array:
    """Squared distances [N, M] of scaled coordinates."""
    a, b = a / lengths, b / lengths
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))


def _gaussian(squares: Array) -> Array:
    """The kernel of squared distances; its derivative by one of them is minus half of itself."""
    return np.asarray(np.exp(-0.5 * squares))


def fit_surface(places: Places, warped: Array, extra_noise: Array | None = None) -> Surface:
    """The surface through trials, at the most probable scales.

    Args:
        places: Of the trials; N of at least 3.
        warped: Their scores, about 0 at their stratum's best and of order -1 elsewhere, [N].
        extra_noise: Standard deviation that a score has beyond its stratum's, [N].
    """
    extra = np.zeros(len(places)) if extra_noise is None else extra_noise
    count = min(len(places), MOST_FITTED)
    rows = np.linspace(0, len(places) - 1, count).round().astype(np.intp)
    few, scores, noise = places.pick(rows), warped[rows], extra[rows]
    strata = np.unique(places.stratum, axis=0)
    evidence = Evidence(few, scores, noise, strata, *_prior(places, len(strata)))
    centre, spread = evidence.centre, evidence.spread
    with threadpool_limits(1):  # the order of sums must not depend on who else is running
        found = optimize.minimize(
            evidence, centre, jac=True, method="L-BFGS-B",
            bounds=list(zip(centre - 4 * spread, centre + 4 * spread, strict=True)),
            options={"maxiter": _STEPS},
        )  # fmt: skip
        return Surface(places, warped, extra, found.x, evidence)


def _prior(places: Places, num_strata: int) -> tuple[Array, Array]:
    """Centres and standard deviations of the hyperparameters, logarithms all."""
    s, a, b = (part.shape[1] for part in places[:3])
    lengths = [0.0] * s + [math.log(0.7)] * s + [math.log(0.5)] * (a + b)
    centre = [0.0, -0.3, -0.7, *lengths, math.log(0.3), *[0.0] * num_strata]
    spread = [0.7, 0.5, 0.7, *[0.6] * (2 * s), *[0.4] * (a + b), 0.7, *[0.6] * num_strata]
    return np.array(centre), np.array(spread)


class Evidence(NamedTuple):
    """How probable scales are: marginal likelihood of trials, and a prior."""

    places: Places
    warped: Array
    """[N]"""
    extra: Array
    """[N]"""
    strata: Array
    """[G, S]: coordinates of all strata that have trials."""
    centre: Array
    """[H]"""
    spread: Array
    """[H]"""

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """The negative log posterior of hyperparameters [H], and its gradient [H]."""
        scales = _Scales.of(theta, self.places, self.strata)
        n = len(self.places)
        level_squares = _squares(self.places.stratum, self.places.stratum, scales.level_lengths)
        own_squares, taught_squares = scales._distances(self.places, self.places)
        listening = np.outer(self.places.listening, self.places.listening)
        level = scales.level**2 * _gaussian(level_squares)
        own = scales.own**2 * _gaussian(own_squares)
        taught = scales.taught**2 * listening * _gaussian(taught_squares)
        noise = scales.noise(self.places) ** 2
        covariance = level + own + taught
        covariance[np.diag_indices(n)] += noise + self.extra**2 + _JITTER
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        weights = linalg.cho_solve((factor, True), self.warped)
        value = 0.5 * float(self.warped @ weights) + float(np.log(np.diag(factor)).sum())
        inverse = linalg.cho_solve((factor, True), np.eye(n))
        g = 0.5 * (inverse - np.outer(weights, weights))  # d value / d covariance

        def along(matrix: Array, coordinates: Array, lengths: Array) -> Array:
            """The gradient by log lengths, for symmetric `matrix` = g * kernel."""
            sums = matrix.sum(1)
            moved = (coordinates**2).T @ sums - np.einsum(
                "ni,nm,mi->i", coordinates, matrix, coordinates, optimize=True
            )
            return 2 * moved / lengths**2

        by_level, by_taught = g * level, g * taught
        by_own = g * own + by_taught
        by_noise = 2 * np.diag(g) * noise
        gradient = np.concatenate([
            [2 * float((g * part).sum()) for part in (level, own, taught)],
            along(by_level, self.places.stratum, scales.level_lengths),
            along(by_own, self.places.stratum, scales.stratum_lengths),
            along(by_own, self.places.own, scales.own_lengths),
            along(by_taught, self.places.taught, scales.taught_lengths),
            [float(by_noise.sum())],
            scales.members(self.places).T @ by_noise,
        ])  # fmt: skip
        off = (theta - self.centre) / self.spread
        return value + 0.5 * float(off @ off), gradient + off / self.spread
