"""The average over families, against brute force."""

import numpy as np
import pytest
from scipy import special, stats

from kdsearch.analysis.statistics.curve_family import families
from kdsearch.analysis.statistics.curve_posterior import Means, _Parts, fit_curves
from kdsearch.analysis.statistics.search_luck import (
    GradedEffects,
    SearchSpread,
    effect_evidence,
)

TOLERANCE = 0.005
OCTAVES = np.arange(8.0)
SHARED = 1e-6 * np.exp(-0.3 * np.abs(np.subtract.outer(OCTAVES, OCTAVES)))


def family_of(name, span=7.0):
    return next(f for f in families(span) if f.name == name)


def noisy(accuracies, sd=0.002, seed=0, dof=32.0):
    values = accuracies + np.random.default_rng(seed).normal(0, sd, len(accuracies))
    octaves = np.arange(float(len(accuracies)))
    return Means(octaves, values, np.diag(np.full(len(octaves), sd**2)), dof)


def integral(means, curve, effect):
    """Log of the normal density of the means, summed up over all c0 and positive c1."""
    covariance = means.covariance + effect**2 * np.eye(len(means.values))
    precision = np.linalg.inv(covariance)
    design = np.stack([np.ones_like(curve), curve], axis=1)
    spread = np.linalg.inv(design.T @ precision @ design)
    best, reach = (spread @ design.T @ precision @ means.values)[1], 9 * np.sqrt(spread[1, 1])
    assert best + reach > 0
    rises = np.linspace(max(best - reach, 0.0), best + reach, 801)
    ones = precision.sum(axis=0)
    middle = (means.values - rises[:, None] * curve) @ ones / ones.sum()
    offsets = np.linspace(-9, 9, 401) / np.sqrt(ones.sum())
    rest = means.values - (middle[:, None] + offsets)[..., None] - rises[:, None, None] * curve
    exponent = -0.5 * ((rest @ precision) * rest).sum(axis=-1)
    top = exponent.max()
    volume = np.trapezoid(np.trapezoid(np.exp(exponent - top), offsets, axis=1), rises)
    return top + np.log(volume) - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]


@pytest.mark.parametrize(
    "accuracies",
    [
        0.9 - 0.2 * 2.0 ** (-0.7 * OCTAVES),
        0.8 + 0.003 * np.sin(OCTAVES),
        0.8 - 0.001 * OCTAVES,
    ],
    ids=["rising", "flat", "falling"],
)
def test_evidence_is_the_integral_over_floor_and_rise(accuracies):
    means = noisy(accuracies)._replace(covariance=np.diag(np.linspace(2, 6, 8) * 1e-6) + SHARED)
    effects = np.array([0.0005, 0.002, 0.008])
    curves = np.concatenate([
        family_of("power law").curves(np.array([[np.log(0.4)], [np.log(1.5)]]), OCTAVES, 7.0),
        family_of("logistic").curves(np.array([[3.0, 0.0]]), OCTAVES, 7.0),
        family_of("knee").curves(np.array([[4.0, 0.1]]), OCTAVES, 7.0),
    ])  # fmt: skip
    found = _Parts.of(means, effects[:, None], np.zeros(3)).solve(curves)[0]
    expected = np.array([[integral(means, curve, e) for e in effects] for curve in curves])
    assert found - found[0, 0] == pytest.approx(expected - expected[0, 0], abs=2e-3)


def test_rise_and_its_error_are_generalized_least_squares():
    means = noisy(0.9 - 0.2 * 2.0**-OCTAVES)._replace(covariance=1e-6 * np.eye(8) + SHARED)
    curve = family_of("power law").curves(np.array([[0.1]]), OCTAVES, 7.0)
    _, rise, error, _ = _Parts.of(means, np.array([[0.001]]), np.zeros(1)).solve(curve)
    design = np.stack([np.ones(8), curve[0]], axis=1)
    root = np.linalg.cholesky(np.linalg.inv(means.covariance + 1e-6 * np.eye(8))).T
    expected = np.linalg.lstsq(root @ design, root @ means.values, rcond=None)[0][1]
    assert rise.item() == pytest.approx(expected)
    variance = np.linalg.inv(design.T @ root.T @ root @ design)[1, 1]
    assert error.item() == pytest.approx(np.sqrt(variance))


def plain_monte_carlo(means, gain_from, *, draws=10_000):
    """P(gain to the largest <= tolerance) from each place, by shapes drawn from the prior."""
    rng = np.random.default_rng(5)
    effects = GradedEffects.of(TOLERANCE)
    parts = _Parts.of(means, effects.at(means.octaves / means.span), effects.log_prior)
    masses, below = [], []
    for family in families(means.span):
        low, high = np.array(family.box).T
        shapes = rng.uniform(low, high, (draws, len(low)))
        curves = family.curves(shapes, np.concatenate([means.octaves, gain_from]), means.span)
        curves = curves[np.isfinite(curves).all(axis=1)]
        size = len(means.octaves)
        mass, rise, error, _ = parts.solve(curves[:, :size])
        left = np.maximum(1 - curves[:, size:], 1e-12)[:, None, :]
        limit = ((TOLERANCE / left) - rise[..., None]) / error[..., None]
        lowest = stats.t.cdf(-rise / error, means.dof)[..., None]
        below.append((stats.t.cdf(limit, means.dof) - lowest) / (1 - lowest))
        masses.append(mass)
    mass = np.concatenate(masses)
    weights = np.exp(mass - special.logsumexp(mass))
    assert 1 / (weights**2).sum() > 300, "too few draws count"
    return np.einsum("cu,cuq->q", weights, np.concatenate(below))


@pytest.mark.slow
def test_cells_agree_with_plain_monte_carlo_over_the_prior():
    means = noisy(0.9 - 0.08 * 2.0 ** (-0.6 * OCTAVES), sd=0.002, seed=1)
    posterior = fit_curves(means, tolerance=TOLERANCE)
    places = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    gains = posterior.gains(places, np.full(6, 7.0))
    found = posterior.share_below(gains, TOLERANCE)
    assert found == pytest.approx(plain_monte_carlo(means, places), abs=0.05)
    assert found[0] < 0.1 < 0.9 < found[-1]


def test_weights_sum_to_one():
    posterior = fit_curves(noisy(0.9 - 0.1 * 2.0**-OCTAVES), tolerance=TOLERANCE)
    assert posterior.weights.sum() == pytest.approx(1.0)
    assert sum(posterior.family_weights.values()) == pytest.approx(1.0)
    assert set(posterior.family_weights) == {f.name for f in families(7.0)}
    assert np.all(posterior.rises >= 0)


PRECISE = {
    "power law": [np.log(0.5)],
    "logistic": [4.0, np.log(0.9)],
    "stretched exponential": [3.0, np.log(0.5)],
    "broken power law": [np.log(0.25), 6.0, np.log(1.5)],
    "knee": [5.0, 0.1],
    "second rise": [np.log(1.2), 7.0, 0.4],
    "power of log N": [-0.5, np.log(1.0)],
    "late rise": [6.0, 0.1],
    "two steps": [1.5, 5.5, 0.4, np.log(0.4)],
}


@pytest.mark.parametrize("name", PRECISE)
def test_the_family_that_made_precise_data_is_found(name):
    octaves = np.arange(11.0)
    curve = family_of(name, 10.0).curves(np.array([PRECISE[name]]), octaves, 10.0)[0]
    means = noisy(0.5 + 0.4 * curve, sd=0.0002)
    weights = fit_curves(means, tolerance=TOLERANCE).family_weights
    assert max(weights, key=weights.__getitem__) == name
    assert weights[name] > 0.5


def test_gains_add_up_and_do_not_fall():
    posterior = fit_curves(noisy(0.9 - 0.1 * 2.0**-OCTAVES), tolerance=TOLERANCE)
    at = np.array([0.0, 2.0, 5.0, 7.0, 9.0])
    steps = posterior.gains(at[:-1], at[1:])
    assert np.all(steps >= 0)
    whole = posterior.gains(at[:1], at[-1:])
    assert steps.sum(axis=2) == pytest.approx(whole[:, :, 0])
    assert posterior.gains(np.zeros(1), np.full(1, 7.0))[:, :, 0] == pytest.approx(posterior.rises)


def test_quantiles_are_weighted():
    posterior = fit_curves(noisy(0.9 - 0.1 * 2.0**-OCTAVES), tolerance=TOLERANCE)
    two = posterior._replace(weights=np.array([0.75, 0.25]))
    values = np.array([np.zeros(24), np.arange(1.0, 25)])
    assert two.quantiles(values, np.array([0.5])) == pytest.approx([0.0])
    # The upper quarter holds 24 values: 0.75 + 0.25 / 2 is half way through them.
    assert two.quantiles(values, np.array([0.875])) == pytest.approx([12.5])
    assert two.share_below(values[:, :, None], 12.0) == pytest.approx([0.875])


def test_accuracies_follow_the_data():
    true = 0.9 - 0.1 * 2.0**-OCTAVES
    posterior = fit_curves(noisy(true, sd=0.001), tolerance=TOLERANCE)
    drawn = posterior.accuracies(OCTAVES)
    low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95], axis=0)
    assert middle == pytest.approx(true, abs=0.002)
    assert np.all((low < middle) & (middle < high))
    assert np.mean((low < true) & (true < high)) > 0.7


def test_scatter_beyond_replicates_is_a_size_effect():
    octaves, rng = np.arange(12.0), np.random.default_rng(4)
    true = 0.9 - 0.1 * 2.0 ** (-0.8 * octaves)
    smooth = Means(octaves, true, 1e-8 * np.eye(12), 40.0)
    scattered = smooth._replace(values=true + rng.normal(0, 0.003, 12))
    assert fit_curves(smooth, tolerance=TOLERANCE).size_effect < 0.0005
    assert fit_curves(scattered, tolerance=TOLERANCE).size_effect == (
        pytest.approx(0.003, rel=0.35)
    )


def test_differences_of_candidates_speak_of_the_size_effect_too():
    means = noisy(0.9 - 0.1 * 2.0**-OCTAVES)
    errors = np.full(6, 0.0005)
    small, none, large = (
        fit_curves(means, tolerance=TOLERANCE, spread=spread).size_effect
        for spread in (
            SearchSpread(np.zeros(6), errors),
            None,
            SearchSpread(np.array([0.01, -0.008, 0.009, 0.01, -0.012, 0.007]), errors),
        )
    )
    assert small < none < large
    assert effect_evidence(SearchSpread(np.zeros(0), np.zeros(0)), TOLERANCE).any() == 0
