"""The covariance of sizes that share a test set, against drawing test sets again."""

import numpy as np
import pytest

from kdsearch.analysis.statistics.shared_test import accuracy_covariance

EXAMPLES = 400


def students(rng, population):
    """Chance of being right on each example, for three sizes that err on the same hard ones."""
    hard = rng.normal(0, 1.5, population)
    own = rng.normal(0, 0.7, (3, population))
    levels = np.array([0.5, 1.2, 1.6])[:, None]
    return 1 / (1 + np.exp(-(levels - hard - own)))


def test_it_is_what_test_sets_drawn_again_would_show():
    rng = np.random.default_rng(0)
    truth = students(rng, 100_000)
    replicates, means, found = (2, 3, 6), [], []
    for _ in range(1500):
        drawn = truth[:, rng.integers(truth.shape[1], size=EXAMPLES)]
        means.append(drawn.mean(axis=1))
        shares = [rng.binomial(n, p) / n for n, p in zip(replicates, drawn, strict=True)]
        found.append(accuracy_covariance(shares, replicates))
    resampled = np.cov(np.array(means).T)
    assert np.mean(found, axis=0) == pytest.approx(resampled, rel=0.1)
    correlation = resampled[1, 2] / np.sqrt(resampled[1, 1] * resampled[2, 2])
    assert correlation > 0.7, "hard examples are shared, or nothing is tested"


def test_replicates_that_all_agree_leave_the_sampling_variance():
    right = np.array([1.0] * 80 + [0.0] * 20)
    covariance = accuracy_covariance([right, right], [3, 3])
    # 0.8 * 0.2 * 100 / 99 / 100, for both sizes and between them
    assert covariance == pytest.approx(np.full((2, 2), 0.16 / 99))


def test_pure_luck_of_replicates_is_not_counted_again():
    rng = np.random.default_rng(1)
    shares = [rng.binomial(4, 0.8, 5000) / 4 for _ in range(3)]
    covariance = accuracy_covariance(shares, [4, 4, 4])
    counted = np.cov(np.stack(shares))[0, 0] / 5000
    assert np.all(np.abs(covariance) < 0.05 * counted)


def test_no_direction_has_a_negative_variance():
    rng = np.random.default_rng(2)
    for _ in range(50):
        shares = [rng.binomial(2, 0.7, 30) / 2 for _ in range(6)]
        covariance = accuracy_covariance(shares, [2] * 6)
        assert np.linalg.eigvalsh(covariance).min() > -1e-12
        assert covariance == pytest.approx(covariance.T)
