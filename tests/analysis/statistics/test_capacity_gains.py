"""What a fit says beside its verdict: gains, forecasts, predictions and the power law."""

import math

import numpy as np
import pytest
from curves import SIZES, fitted, flat, line, plateau, power_law, replicates, true_size

from kdsearch.analysis import fit_capacity_curve


def test_the_last_doubling_at_hand_is_the_difference_of_two_means():
    data = replicates(line, sd=0.002)
    fit = fit_capacity_curve(SIZES, data)
    median, low, high = fit.last_at_hand
    assert median == pytest.approx(data[-1].mean() - data[-2].mean(), abs=1e-4)
    # Replicates alone, and no less than they: luck of both searches is in it.
    least = 2 * 1.68 * fit.replicate_sd * math.sqrt(2 / 5)
    assert least < high - low < 2 * least
    wider = fit_capacity_curve(SIZES, data, covariance=4e-6 * np.eye(8)).last_at_hand
    assert wider.high - wider.low > 1.2 * (high - low)
    shared = fit_capacity_curve(SIZES, data, covariance=np.full((8, 8), 1e-4)).last_at_hand
    assert shared == pytest.approx(fit.last_at_hand, abs=1e-6)


@pytest.mark.parametrize("error", [power_law, line, flat])
def test_gains_are_between_sizes_and_fall(error):
    fit = fitted(error)
    assert fit.sizes == tuple(SIZES)
    gains = np.array(fit.gains)
    assert gains.shape == (8, 3)
    assert gains[-1] == pytest.approx([0, 0, 0])
    assert np.all(np.diff(gains, axis=0) <= 1e-12)
    assert np.all((gains[:, 1] <= gains[:, 0]) & (gains[:, 0] <= gains[:, 2]))
    assert fit.gains[-2] == pytest.approx(fit.last_doubling), "sizes double"
    truth = error(SIZES) - error(SIZES[-1:])
    assert np.mean((gains[:, 1] - 5e-4 <= truth) & (truth <= gains[:, 2] + 5e-4)) == 1


def test_the_forecast_is_the_gain_beyond_the_largest_size():
    fit = fitted(power_law, sd=0.0005)
    assert fit.forecast(1024, level=0.9) == pytest.approx(0.0, abs=1e-12)
    true = float(power_law(1024.0) - power_law(4096.0))
    assert fit.forecast(4096, level=0.5) == pytest.approx(true, rel=0.2)
    assert fit.forecast(4096, level=0.5) == pytest.approx(fit.beyond.quadrupled.median)
    assert fit.forecast(2048, level=0.95) == pytest.approx(fit.beyond.doubled.high)
    levels = [fit.forecast(4096, level=level) for level in (0.1, 0.5, 0.9)]
    assert levels == sorted(levels)
    assert fit.forecast(2048, level=0.8) < fit.forecast(65_536, level=0.8)
    with pytest.raises(ValueError, match="at least 1024, the largest tested"):
        fit.forecast(1023, level=0.5)
    with pytest.raises(ValueError, match="at least"):
        fit.forecast(math.nan, level=0.5)


def test_gains_beyond_end_at_an_accuracy_of_one():
    data = 0.24 + replicates(line)
    fit = fit_capacity_curve(SIZES, data)
    room = 1 - float(data[-1].mean())
    assert fit.beyond.doubled.median == pytest.approx(0.0075, abs=0.003)
    assert fit.beyond.limit.high == pytest.approx(room)
    assert fit.beyond.doubled.median <= fit.beyond.quadrupled.median <= fit.beyond.limit.median


@pytest.mark.slow
def test_a_decline_is_shown_only_where_it_is_one():
    def hump(n):
        return 0.1 * (n > 512)

    fit = fitted(lambda n: plateau(n) + hump(n), sd=0.0005)
    assert fit.best_size in (64, 128, 256, 512)
    assert fit.declines
    for seed in range(5):
        assert not fitted(plateau, seed=seed).declines
        assert not fitted(line, seed=seed).declines


def test_a_steep_fall_gains_nothing():
    fit = fit_capacity_curve(SIZES, replicates(lambda n: 0.1 + 0.1 * np.log2(n / 8), sd=0.0))
    assert fit.declines
    assert fit.best_size == 8
    assert np.all(np.isfinite(fit.gains))


def test_prediction_and_band():
    fit = fitted(power_law)
    sizes = np.geomspace(8, 1024, 50)
    band = fit.predict(sizes)
    assert np.all(np.diff(band.mean) > -1e-6)
    assert np.all((band.low < band.mean) & (band.mean < band.high))
    assert band.mean == pytest.approx(1 - power_law(sizes), abs=0.003)
    assert np.mean((band.low < 1 - power_law(sizes)) & (1 - power_law(sizes) < band.high)) > 0.7
    inside, outside = fit.predict([1024, 65_536]).high - fit.predict([1024, 65_536]).low
    assert outside > inside
    assert fit.predict([[8.0, 16.0]]).mean.shape == (1, 2)
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="positive"):
            fit.predict([wrong])


def test_published_constants_are_recovered():
    # Chinchilla refit (Besiroglu et al. 2024): L = 1.8172 + 482.01 / N^0.3478, here as L / 10.
    sizes = np.geomspace(4.4e7, 1.6e10, 10)
    loss = 1.8172 + 482.01 * sizes**-0.3478
    fit = fit_capacity_curve(sizes, np.repeat(1 - loss[:, None] / 10, 2, axis=1))
    assert 10 * (1 - fit.asymptote) == pytest.approx(1.8172, rel=1e-4)
    assert 10 * fit.scale == pytest.approx(482.01, rel=1e-3)
    assert fit.exponent == pytest.approx(0.3478, rel=1e-4)
    assert max(fit.weights, key=fit.weights.__getitem__) == "power law"
    # Within the range tested: 0.05 above the loss of the largest.
    largest = 482.01 * sizes[-1] ** -0.3478
    true = (482.01 / (largest + 0.05)) ** (1 / 0.3478)
    low, high = fit.saturation_interval
    assert low < true < high
    assert fit.saturation_size == pytest.approx(true, rel=0.1)


def test_the_power_law_is_shown_beside_the_families():
    fit = fit_capacity_curve(SIZES, np.repeat(1 - power_law(SIZES)[:, None], 3, axis=1))
    assert fit.asymptote == pytest.approx(0.95, abs=1e-8)
    assert fit.scale == pytest.approx(1.2, rel=1e-6)
    assert fit.exponent == pytest.approx(0.9, rel=1e-6)
    assert fit.saturation_size == pytest.approx(true_size(power_law), rel=0.03)
