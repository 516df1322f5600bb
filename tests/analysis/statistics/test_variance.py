"""Moderated variances, against Smyth's formulas worked out again here."""

import numpy as np
import pytest
from scipy import special, stats

from kdsearch.analysis.statistics.variance import MIN_VARIANCE, shrunk_variances


def trigamma_inverse(x):
    """Newton's iteration of Smyth 2004, appendix."""
    y = 0.5 + 1 / x
    for _ in range(50):
        value = special.polygamma(1, y)
        y += value * (1 - value / x) / special.polygamma(2, y)
    return y


def smyth(positions, variances, freedoms, *, trend):
    """Values and prior degrees of freedom."""
    half = freedoms / 2
    e = np.log(variances) - special.digamma(half) + np.log(half)
    design = np.stack([np.ones_like(positions), positions], axis=1)[:, : 1 + trend]
    centre = design @ np.linalg.lstsq(design, e, rcond=None)[0]
    scatter = ((e - centre) ** 2).sum() / (len(e) - 1 - trend)
    prior = 2 * trigamma_inverse(scatter - special.polygamma(1, half).mean())
    level = np.exp(centre + special.digamma(prior / 2) - np.log(prior / 2))
    return (prior * level + freedoms * variances) / (prior + freedoms), prior


@pytest.mark.parametrize("trend", [False, True])
def test_values_are_those_of_smyth_2004(trend):
    rng = np.random.default_rng(2)
    size = 9 if trend else 4
    positions = np.linspace(3.0, 14.0, size)
    freedoms = rng.integers(2, 7, size).astype(float)
    scale = np.exp(rng.normal(0, 1.5, size) - 0.4 * trend * positions)
    variances = 1e-5 * scale * rng.chisquare(freedoms) / freedoms
    expected, prior = smyth(positions, variances, freedoms, trend=trend)
    assert 0.5 < prior < 20, "or nothing is compared"
    shrunk = shrunk_variances(positions, variances, freedoms)
    assert shrunk.values == pytest.approx(expected, rel=1e-8)
    assert shrunk.dof == pytest.approx(min(prior + freedoms.min(), freedoms.sum()))


def test_equal_variances_pool_their_degrees_of_freedom():
    shrunk = shrunk_variances(np.arange(8.0), np.full(8, 4e-6), np.full(8, 4.0))
    assert shrunk.dof == 32
    assert np.ptp(shrunk.values) < 1e-12
    # The geometric mean of chi-square variances is biased down, by exp(psi(2) - ln 2) here.
    assert shrunk.values[0] == pytest.approx(4e-6 / np.exp(special.digamma(2) - np.log(2)), 0.01)


def test_one_wild_variance_is_pulled_in_and_order_is_kept():
    variances = np.array([1.0, 1.3, 0.8, 40.0, 1.1, 0.9, 0.01, 1.2]) * 1e-6
    shrunk = shrunk_variances(np.arange(8.0), variances, np.full(8, 2.0))
    assert 2e-6 < shrunk.values[3] < 30e-6
    assert 0.02e-6 < shrunk.values[6] < 0.8e-6
    assert 2 < shrunk.dof < 16
    four = shrunk_variances(np.arange(4.0), variances[:4], np.full(4, 2.0)).values
    assert np.argsort(four).tolist() == np.argsort(variances[:4]).tolist()


def test_a_size_without_freedom_borrows_and_its_own_number_is_ignored():
    variances, freedoms = np.full(6, 2e-6), np.array([4.0, 4, 4, 4, 4, 0])
    variances[-1] = 99.0
    shrunk = shrunk_variances(np.arange(6.0), variances, freedoms)
    assert shrunk.values[-1] == pytest.approx(shrunk.values[0], rel=0.01)
    assert shrunk.dof == 20


def test_a_trend_is_extended_to_a_size_without_freedom():
    positions = np.arange(6.0)
    freedoms = np.array([4.0, 4, 4, 4, 4, 0])
    shrunk = shrunk_variances(positions, 1e-4 * np.exp(-positions), freedoms)
    assert np.diff(np.log(shrunk.values)) == pytest.approx(-np.ones(5), rel=0.01)


def test_without_replicates_there_is_the_floor_and_no_freedom():
    shrunk = shrunk_variances(np.arange(4.0), np.zeros(4), np.zeros(4))
    assert shrunk.dof == 0
    assert shrunk.values.tolist() == [MIN_VARIANCE] * 4


def test_equal_replicates_are_no_certainty():
    shrunk = shrunk_variances(np.arange(4.0), np.zeros(4), np.full(4, 2.0))
    assert np.all(shrunk.values >= MIN_VARIANCE)


@pytest.mark.parametrize("spread", [0.0, 0.5], ids=["equal", "unequal"])
def test_intervals_cover_as_promised_and_are_shorter_than_without_borrowing(spread):
    rng = np.random.default_rng(0)
    covered, longer = [], []
    for _ in range(300):
        sds = np.exp(rng.normal(0, spread, 8))
        samples = rng.normal(0, sds[:, None], (8, 3))
        own = samples.var(axis=1, ddof=1)
        shrunk = shrunk_variances(np.arange(8.0), own, np.full(8, 2.0))
        reach = stats.t.ppf(0.95, shrunk.dof) * np.sqrt(shrunk.values / 3)
        covered.append(np.abs(samples.mean(axis=1)) < reach)
        longer.append(stats.t.ppf(0.95, 2) * np.sqrt(own / 3) / reach)
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)
    assert np.mean(longer) > 1.2
