"""The surface against finite differences, known functions and its own promises."""

import math

import numpy as np
import pytest

from kdsearch.analysis.response.surface import (
    Evidence,
    Places,
    Surface,
    Warp,
    _prior,
    fit_surface,
    joined,
    normal_draws,
)


def places(rng, count, *, strata=1, own=2, taught=2):
    """Anywhere, in both arms: every third place is one of hard labels."""
    listening = rng.uniform(size=count)
    listening[::3] = 0.0
    return Places(
        rng.integers(0, 3, size=(count, strata)) / 2,
        rng.uniform(size=(count, own)),
        rng.uniform(size=(count, taught)),
        listening,
    )


def elsewhere(at, **changes):
    """The same places with some coordinates replaced."""
    return Places(**(at._asdict() | changes))


def truth(at):
    """Best at own 0.3; of the teacher's settings, 0.7, as far as it is listened to."""
    value = -2.0 * ((at.own - 0.3) ** 2).sum(1)
    value -= 2.0 * at.listening * ((at.taught - 0.7) ** 2).sum(1)
    return value - 0.3 * at.stratum.sum(1)


@pytest.mark.parametrize(
    "sizes",
    [
        {"strata": 1, "own": 2, "taught": 2},
        {"strata": 2, "own": 1, "taught": 3},
        {"strata": 0, "own": 3, "taught": 0},
    ],
)
def test_the_gradient_is_that_of_the_value(sizes):
    rng = np.random.default_rng(0)
    at = places(rng, 15, **sizes)
    extra = 0.1 * rng.uniform(size=15)
    known = np.unique(at.stratum, axis=0)
    centre, spread = _prior(at, len(known))
    evidence = Evidence(at, truth(at), extra, known, centre, spread)
    for _ in range(3):
        theta = centre + spread * rng.standard_normal(len(centre))
        gradient = evidence(theta)[1]
        step = 1e-5
        slopes = [
            (evidence(theta + step * e)[0] - evidence(theta - step * e)[0]) / (2 * step)
            for e in np.eye(len(theta))
        ]
        assert gradient == pytest.approx(np.array(slopes), rel=1e-5, abs=1e-6)


def test_it_predicts_a_known_function_where_nobody_was():
    rng = np.random.default_rng(1)
    seen, unseen = places(rng, 90), places(rng, 200)
    noise = 0.05
    surface = fit_surface(seen, truth(seen) + noise * rng.standard_normal(90))
    errors = surface.mean(unseen) - truth(unseen)
    assert float(truth(unseen).std()) > 0.25
    assert float(np.sqrt((errors**2).mean())) < 0.06
    assert float(surface.noise(unseen).mean()) == pytest.approx(noise, rel=0.4)
    mean, covariance = surface.moments(unseen)
    assert mean == pytest.approx(surface.mean(unseen), abs=1e-9)
    inside = np.abs(errors) < 1.96 * np.sqrt(np.diag(covariance))
    assert inside.mean() > 0.85, "it knows what it does not know"


def test_every_stratum_has_its_own_noise():
    rng = np.random.default_rng(2)
    at = places(rng, 180)
    levels = np.array([0.03, 0.3, 0.1])
    sd = levels[(2 * at.stratum[:, 0]).astype(int)]
    surface = fit_surface(at, truth(at) + sd * rng.standard_normal(180))
    strata = elsewhere(places(rng, 4), stratum=np.array([[0.0], [0.5], [1.0], [0.25]]))
    found = surface.noise(strata)
    assert found[:3] == pytest.approx(levels, rel=0.5)
    assert found[0] < found[3] < found[1], "of a stratum never tried, something in between"


def test_on_hard_labels_the_teacher_changes_nothing_at_all():
    rng = np.random.default_rng(3)
    seen, asked = places(rng, 60), places(rng, 30)
    surface = fit_surface(seen, truth(seen))
    hard = elsewhere(asked, listening=np.zeros(30))
    other = elsewhere(hard, taught=rng.uniform(size=(30, 2)))
    assert np.array_equal(surface.mean(hard), surface.mean(other))
    taught = elsewhere(asked, listening=np.ones(30))
    moved = elsewhere(taught, taught=other.taught)
    assert np.abs(surface.mean(taught) - surface.mean(moved)).max() > 0.1


def test_draws_have_the_moments_that_they_are_drawn_by():
    rng = np.random.default_rng(4)
    seen, asked = places(rng, 20), places(rng, 5)
    surface = fit_surface(seen, truth(seen))
    mean, covariance = surface.moments(asked)
    draws = surface.draws(asked, 40_000, np.random.default_rng(5))
    assert draws.shape == (40_000, 5)
    sd = float(np.sqrt(np.diag(covariance)).max())
    assert draws.mean(0) == pytest.approx(mean, abs=0.03 * sd)
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.03 * sd**2)
    # A place and its twin on hard labels are one point of the surface: the matrix is singular.
    hard = elsewhere(asked, listening=np.zeros(5))
    twins = joined([hard, elsewhere(hard, taught=1 - hard.taught)])
    same = surface.draws(twins, 3, np.random.default_rng(6))
    assert same[:, :5] == pytest.approx(same[:, 5:], abs=1e-6)


def test_draws_of_a_singular_normal_stay_on_its_line():
    draws = normal_draws(np.array([[1.0, 2.0], [2.0, 4.0]]), 1000, np.random.default_rng(0))
    assert draws[:, 1] == pytest.approx(2 * draws[:, 0], abs=1e-6)
    assert float(draws[:, 0].std()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
def test_the_same_trials_make_the_same_surface():
    rng = np.random.default_rng(7)
    seen, asked = places(rng, 300), places(rng, 10)
    values = truth(seen) + 0.1 * rng.standard_normal(300)
    one, other = fit_surface(seen, values), fit_surface(seen, values)
    assert np.array_equal(one.theta, other.theta)
    assert np.array_equal(one.mean(asked), other.mean(asked))
    for draw in (Surface.draws, lambda s, at, n, rng: s.sampled(1, rng)[0].draws(at, n, rng)):
        first, second = (draw(s, asked, 4, np.random.default_rng(8)) for s in (one, other))
        assert np.array_equal(first, second)


def test_a_score_that_is_known_badly_counts_little():
    rng = np.random.default_rng(9)
    seen = places(rng, 40)
    values = truth(seen)
    wrong = values.copy()
    wrong[7] -= 3.0
    doubt = np.zeros(40)
    doubt[7] = 10.0
    at = seen.pick(slice(7, 8))
    right = float(truth(at)[0])
    assert float(fit_surface(seen, wrong, doubt).mean(at)[0]) == pytest.approx(right, abs=0.15)
    assert float(fit_surface(seen, wrong).mean(at)[0]) < right - 0.3


@pytest.mark.slow
def test_scales_are_uncertain_with_few_trials_and_less_so_with_many():
    rng = np.random.default_rng(10)
    spreads = []
    for count in (12, 200):
        seen = places(rng, count)
        values = truth(seen) + 0.1 * rng.standard_normal(count)
        thetas = np.array([s.theta for s in fit_surface(seen, values).sampled(200, rng)])
        assert thetas.shape[0] == 200
        spreads.append(thetas.std(0))
    _, spread = _prior(seen, len(np.unique(seen.stratum, axis=0)))
    assert (spreads[0] < 2.5 * spread).all(), "no more uncertain than without trials, about"
    assert spreads[1].mean() < 0.8 * spreads[0].mean()


def test_warped_scores_by_hand_and_back():
    warp = Warp(0.02)
    deficits = np.array([-0.01, 0.0, 0.01, 0.02, 0.02 * math.e, 0.02 * math.e**3])
    warped = np.array([0.5, 0.0, -0.5, -1.0, -2.0, -4.0])
    assert warp.down(deficits) == pytest.approx(warped)
    assert warp.up(warped) == pytest.approx(-deficits)
    many = np.linspace(-0.05, 0.9, 400)
    assert warp.up(warp.down(many)) == pytest.approx(-many)
    assert (np.diff(warp.down(many)) < 0).all()
