"""What few trials say about a response surface: draws of a Gaussian process's posterior.

Legend for shapes: N trials, D settings, Q query points, B draws, F random features.

With ten or twenty trials the length scales are as uncertain as the surface, and one best guess of
them gives intervals that are far too narrow. So they are drawn from their prior and weighted by
the marginal likelihood of the data (importance resampling). Given length scales, a draw of the
surface is made by Matheron's rule: a draw of the prior (random Fourier features; Rahimi & Recht
2007) corrected by what it gets wrong at the trials (Wilson et al. 2020). A draw is a function,
so its maximum can be looked for.
"""

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.stats import qmc

Array = NDArray[np.float64]
Single = NDArray[np.float32]
"""Draws are evaluated in single precision: trials are known to three digits, cosines cost."""

_Floats = TypeVar("_Floats", Array, Single)

DRAWS = 120
_PRIOR_DRAWS = 300
_FEATURES = 64
_SEARCH_POINTS = 256
_LEVELS = 17
"""Steps of a line search along one setting."""
_REACHES = (1.0, 0.15, 0.03)
"""How far line searches look to either side, round by round."""
_MIN_EFFECTIVE = 8.0


class Surrogate(NamedTuple):
    """`B` draws of the surface over the unit cube [0, 1]^D."""

    scales: Array
    """Inverse length scales, [B, D]."""
    frequencies: Single
    """[B, F, D]"""
    phases: Single
    """[B, F]"""
    weights: Single
    """[B, F]"""
    points: Array
    """Settings of the trials, [N, D]."""
    corrections: Single
    """[B, N]"""
    unit: float
    """Scale of the warp that was undone."""
    best: float

    def at(self, queries: Array) -> Array:
        """The draws at query points, in units of the data (higher is better), shape [B, Q].

        Args:
            queries: Shape [Q, D], or [B, Q, D] for other points in each draw.
        """
        shared = np.broadcast_to(queries, (len(self.scales), *queries.shape[-2:]))
        warped = np.stack([self._one(b, shared[b]) for b in range(len(shared))])
        return _unwarp(warped, self.best, self.unit)

    def _one(self, draw: int, queries: Array) -> Array:
        single = queries.astype(np.float32)
        angles = single @ self.frequencies[draw].T + self.phases[draw]
        prior = np.cos(angles) @ self.weights[draw] * math.sqrt(2 / angles.shape[1])
        scale = self.scales[draw].astype(np.float32)
        kernel = _kernel(single * scale, self.points.astype(np.float32) * scale)
        return np.asarray(prior + kernel @ self.corrections[draw], dtype=np.float64)

    def first(self, draws: int) -> "Surrogate":
        """The first of the draws only."""
        return self._replace(
            scales=self.scales[:draws],
            frequencies=self.frequencies[:draws],
            phases=self.phases[:draws],
            weights=self.weights[:draws],
            corrections=self.corrections[:draws],
        )

    def maxima(self) -> Array:
        """Where each draw is highest, [B, D]: a coarse search, then line searches."""
        num_draws, dims = self.scales.shape
        coarse = qmc.Sobol(dims, seed=1).random(_SEARCH_POINTS)
        coarse = np.concatenate([coarse, self.points])
        found: Array = coarse[self.at(coarse).argmax(axis=1)]
        for reach, axis in [(r, a) for r in _REACHES for a in range(dims)]:
            steps = found[:, axis, None] + reach * np.linspace(-1, 1, _LEVELS)
            lines = np.repeat(found[:, None, :], _LEVELS, axis=1)
            lines[:, :, axis] = np.clip(steps, 0, 1)
            found = lines[np.arange(num_draws), self.at(lines).argmax(axis=1)]
        return found


def fit_surrogate(points: Array, values: Array, *, seed: int = 0) -> Surrogate:
    """Condition the process on trials.

    Args:
        points: Settings scaled to [0, 1], shape [N, D].
        values: What the trials reached, higher is better, shape [N]. They are warped: how far
            below the best a hopeless trial fell says nothing about where the best is.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    best = float(values.max())
    unit = float(max(np.median(best - values), 1e-9))
    warped = -np.log1p((best - values) / unit)
    mean, spread = float(warped.mean()), float(max(warped.std(), 1e-9))
    targets = (warped - mean) / spread
    scales, signal, noise = _prior(rng, points.shape[1])
    factors, weights = _evidence(points, targets, scales, signal, noise)
    picked = rng.choice(len(scales), size=DRAWS, p=weights)
    shape = (DRAWS, _FEATURES, points.shape[1])
    # A Matern 5/2 kernel's spectrum is Student's t with five degrees of freedom.
    mixing = np.sqrt(5 / rng.chisquare(5, shape[:2]))[..., None]
    frequencies = rng.standard_normal(shape) * mixing * scales[picked][:, None, :]
    phases = rng.uniform(0, 2 * math.pi, shape[:2])
    amplitudes = rng.standard_normal(shape[:2]) * signal[picked][:, None] * spread
    draws = Surrogate(
        scales=scales[picked],
        frequencies=frequencies.astype(np.float32),
        phases=phases.astype(np.float32),
        weights=amplitudes.astype(np.float32),
        points=points,
        corrections=np.zeros((DRAWS, len(points)), dtype=np.float32),
        unit=unit,
        best=best,
    )
    corrections = []
    for b, p in enumerate(picked):
        jitter = rng.standard_normal(len(points)) * noise[p] * spread
        residual = warped - mean - draws._one(b, points) - jitter
        corrections.append(signal[p] ** 2 * linalg.cho_solve((factors[p], True), residual))
    # The mean is part of every draw: fold it into the level that the warp is undone from.
    level = _unwarp(np.array(mean), best, unit)
    return draws._replace(
        corrections=np.stack(corrections).astype(np.float32),
        best=float(level),
        unit=unit * math.exp(-mean),
    )


def _unwarp(warped: Array, best: float, unit: float) -> Array:
    """The inverse of `-log1p((best - value) / unit)`, which goes on above the best."""
    result: Array = best - unit * np.expm1(np.clip(-warped, -20.0, 20.0))
    return result


def _prior(rng: np.random.Generator, dims: int) -> tuple[Array, Array, Array]:
    """Inverse length scales [P, D], signal [P] and noise [P], in standard deviations of the data.

    Length scales around 0.7 of the range, within a factor of 4 in 95 % of cases.
    """
    scales = np.exp(-rng.normal(math.log(0.7), 0.7, (_PRIOR_DRAWS, dims)))
    signal = np.exp(rng.normal(0.1, 0.4, _PRIOR_DRAWS))
    noise = np.exp(rng.normal(math.log(0.25), 0.8, _PRIOR_DRAWS))
    return scales, signal, noise


def _evidence(
    points: Array, targets: Array, scales: Array, signal: Array, noise: Array
) -> tuple[list[Array], Array]:
    """Cholesky factors of the data's covariance, and the weight of every set of scales, [P]."""
    factors, logs = [], []
    for scale, s, n in zip(scales, signal, noise, strict=True):
        scaled = points * scale
        covariance = s**2 * _kernel(scaled, scaled) + (n**2 + 1e-6) * np.eye(len(points))
        factor = np.linalg.cholesky(covariance)
        half: Array = np.asarray(linalg.solve_triangular(factor, targets, lower=True))
        factors.append(factor)
        logs.append(-0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum()))
    return factors, _weights(np.array(logs) - max(logs))


def _weights(logs: Array) -> Array:
    """Normalized, and tempered until enough of the prior draws count.

    With many trials one or two of a few hundred draws would take all the weight, and the
    intervals would be as narrow as if the length scales were known.
    """
    while True:
        weights = np.exp(logs)
        weights /= weights.sum()
        if 1 / float((weights**2).sum()) >= _MIN_EFFECTIVE:
            return weights
        logs = 0.8 * logs


def _kernel(a: _Floats, b: _Floats) -> _Floats:
    """Matern 5/2 at unit length scale, [A, B]: rougher than a Gaussian, as training curves are."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    distance = np.sqrt(5 * np.maximum(squares, 0.0))
    result: _Floats = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return result
