import numpy as np
import pytest

from kdsearch.analysis.response.region import compute_region, largest_rectangle


def draws_of(mean, sd, count=4000, seed=0):
    rng = np.random.default_rng(seed)
    return mean + sd * rng.standard_normal((count, *mean.shape))


def test_a_surface_that_is_known_has_the_cells_within_the_tolerance():
    mean = np.array([[0.80, 0.796, 0.79], [0.70, 0.802, 0.60]])
    region = compute_region(draws_of(mean, 1e-6), tolerance=0.0065, confidence=0.9)
    assert region.mask.tolist() == [[True, True, False], [False, True, False]]
    assert region.best == (1, 1)
    assert region.is_safe
    assert region.share == pytest.approx(0.5)
    assert region.cost == pytest.approx(0.006, abs=1e-4)
    assert region.cost_of_worst == pytest.approx(0.202, abs=1e-4)
    assert region.cost_of_chance == pytest.approx(np.mean(0.802 - mean), abs=1e-4)


def test_the_best_cell_is_in_it_as_often_as_asked():
    mean = np.array([[0.5, 0.5, 0.5, 0.5, 0.5], [0.4, 0.4, 0.4, 0.4, 0.4]])
    draws = draws_of(mean, 0.01)
    region = compute_region(draws, tolerance=1e-6, confidence=0.7)
    best = draws.reshape(len(draws), -1).argmax(axis=1)
    held = region.mask.ravel()[best].mean()
    assert 0.7 <= held < 0.9  # one cell of five less would be 0.6
    assert not region.mask[1].any()
    assert not region.is_safe


def test_what_may_be_best_comes_before_what_is_never_far_from_it():
    # The first cell costs 0.004 in every draw; the others are the best in half of them each.
    half = np.array([[0.796, 0.8, 0.782], [0.796, 0.782, 0.8]])
    draws = np.repeat(half, 100, axis=0)[:, None]
    region = compute_region(draws, tolerance=0.005, confidence=0.9)
    assert region.expected[0] == pytest.approx([0.004, 0.009, 0.009])
    assert region.mask.tolist() == [[True, True, True]], "the first is within the tolerance"
    sharper = compute_region(draws, tolerance=0.003, confidence=0.9)
    assert sharper.mask.tolist() == [[False, True, True]]


def test_where_most_cells_are_alike_none_stands_out():
    mean = np.full((4, 5), 0.8)
    mean[0, :2], mean[3] = 0.803, 0.6
    region = compute_region(draws_of(mean, 0.005), tolerance=0.005, confidence=0.9)
    assert region.mask.tolist() == (mean > 0.7).tolist()
    assert region.share == pytest.approx(0.75)
    assert not region.is_safe
    few = mean.copy()
    few[1:, 1:] = 0.6  # six are left, of which two are better
    alone = compute_region(draws_of(few, 0.005), tolerance=0.005, confidence=0.9)
    assert alone.share < 0.35


def test_less_is_known_more_is_in_it():
    mean = np.linspace(0.6, 0.7, 40).reshape(8, 5)
    shares = [
        compute_region(draws_of(mean, sd), tolerance=0.002, confidence=0.9).share
        for sd in (0.001, 0.01, 0.05)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 < 0.4 < shares[-1]


def test_the_largest_rectangle_holds_the_cell():
    mask = np.array([[1, 1, 0, 1, 1], [1, 1, 0, 1, 1], [0, 1, 0, 1, 1]], dtype=bool)
    assert largest_rectangle(mask, (0, 0)) == (slice(0, 2), slice(0, 2))
    assert largest_rectangle(mask, (2, 1)) == (slice(0, 3), slice(1, 2))
    assert largest_rectangle(mask, (1, 4)) == (slice(0, 3), slice(3, 5))
