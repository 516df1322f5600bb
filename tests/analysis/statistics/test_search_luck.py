"""The size effect, from differences between candidates."""

import numpy as np
import pytest
from scipy import stats

from kdsearch.analysis.statistics.search_luck import (
    GROWTHS,
    GradedEffects,
    SearchSpread,
    effect_evidence,
    search_luck,
    size_effects,
)

TOLERANCE = 0.005


def spread(differences, errors):
    return SearchSpread(np.asarray(differences, float), np.asarray(errors, float))


def test_the_prior_is_a_half_cauchy_cut_into_cells():
    values, masses = size_effects(TOLERANCE)
    assert len(values) == 12
    assert values[[0, -1]] == pytest.approx([0.06 * TOLERANCE, 8 * TOLERANCE])
    assert np.ptp(np.diff(np.log(values))) < 1e-12
    assert masses.sum() == pytest.approx(1.0)
    # Half of it lies below the scale, a quarter of the tolerance.
    below = masses[values < 0.25 * TOLERANCE].sum()
    assert below == pytest.approx(0.5, abs=0.1)
    edge = np.sqrt(values[0] * values[1]) / (0.25 * TOLERANCE)
    assert masses[0] == pytest.approx(2 / np.pi * np.arctan(edge))


def test_evidence_by_hand():
    values, _ = size_effects(TOLERANCE)
    found = effect_evidence(spread([0.004, -0.001], [0.001, 0.0005]), TOLERANCE)
    for effect, log_mass in zip(values, found, strict=True):
        first = 2 * effect**2 + 0.001**2
        second = 2 * effect**2 + 0.0005**2
        expected = -(0.004**2) / (2 * first) - 0.001**2 / (2 * second)
        expected -= 0.5 * np.log(2 * np.pi * first) + 0.5 * np.log(2 * np.pi * second)
        assert log_mass == pytest.approx(expected, rel=1e-3)
    assert effect_evidence(None, TOLERANCE).tolist() == [0.0] * 12
    assert np.ptp(effect_evidence(spread([], []), TOLERANCE)) == 0


def test_graded_effects_fall_from_the_smallest_size_to_the_largest():
    effects = GradedEffects.of(TOLERANCE)
    assert np.exp(effects.log_prior).sum() == pytest.approx(1.0)
    values, masses = size_effects(TOLERANCE)
    at = effects.at(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    assert np.unique(at[:, 3]) == pytest.approx(values)
    for value, mass in zip(values, masses, strict=True):
        same = np.isclose(effects.largest, value)
        assert np.exp(effects.log_prior[same]).sum() == pytest.approx(mass)
        assert np.sort(at[same, 1] / value) == pytest.approx(GROWTHS)
        assert np.sort(at[same, 2] / value) == pytest.approx(np.sqrt(GROWTHS))
    assert at[:, [0, 4]] == pytest.approx(at[:, [1, 3]]), "outside as at the ends"


def test_graded_evidence_by_hand():
    effects = GradedEffects.of(TOLERANCE)
    known = spread([0.004, -0.001], [0.001, 0.0005])._replace(sizes=np.array([80.0, 320.0]))
    found = effects.evidence(known, 20.0, 4.0)
    for largest, growth, log_mass in zip(effects.largest, effects.growths, found, strict=True):
        # Sizes from 20 to 320: 80 is half way, 320 the largest.
        first = 2 * largest**2 * growth + 0.001**2
        second = 2 * largest**2 + 0.0005**2
        expected = -(0.004**2) / (2 * first) - 0.001**2 / (2 * second)
        expected -= 0.5 * np.log(2 * np.pi * first) + 0.5 * np.log(2 * np.pi * second)
        assert log_mass == pytest.approx(expected, rel=1e-3)
    middle = effects.evidence(known._replace(sizes=np.array([80.0, 80.0])), 20.0, 4.0)
    assert effects.evidence(known._replace(sizes=None), 20.0, 4.0) == pytest.approx(middle)
    assert not effects.evidence(None, 20.0, 4.0).any()


def test_it_is_the_posterior_of_a_continuous_half_cauchy():
    rng = np.random.default_rng(3)
    for true in (0.001, 0.003, 0.01):
        errors = np.full(8, 0.001)
        differences = rng.normal(0, np.sqrt(2 * true**2 + errors**2))
        grid = np.linspace(1e-6, 0.04, 40_001)
        scale = np.sqrt(2 * grid[:, None] ** 2 + errors**2)
        mass = stats.halfcauchy.logpdf(grid, scale=0.25 * TOLERANCE)
        mass = mass + stats.norm.logpdf(differences, scale=scale).sum(axis=1)
        share = np.exp(mass - mass.max())
        # The better of two draws of a normal has sqrt(1 - 1 / pi) of its standard deviation.
        expected = np.sqrt(1 - 1 / np.pi) * (share * grid).sum() / share.sum()
        found = search_luck(spread(differences, errors), TOLERANCE)
        assert found == pytest.approx(expected, rel=0.1)


def test_many_pairs_find_the_size_effect():
    rng = np.random.default_rng(0)
    for true in (0.002, 0.008):
        differences = rng.normal(0, np.sqrt(2) * true, 300) + rng.normal(0, 0.0005, 300)
        assert search_luck(spread(differences, np.full(300, 0.0005)), TOLERANCE) == (
            pytest.approx(np.sqrt(1 - 1 / np.pi) * true, rel=0.2)
        )


def test_larger_differences_mean_more_luck_and_their_sign_does_not_matter():
    errors = np.full(4, 0.0005)
    found = [search_luck(spread(np.full(4, d), errors), TOLERANCE) for d in (0, 0.003, 0.01)]
    assert found[0] < 0.0005 < found[1] < found[2]
    turned = search_luck(spread([0.003, -0.003, 0.003, -0.003], errors), TOLERANCE)
    assert turned == pytest.approx(found[1])


def test_differences_that_replicates_explain_are_not_luck():
    differences = [0.004, -0.003, 0.002, -0.004]
    sure, unsure = (search_luck(spread(differences, np.full(4, e)), TOLERANCE)
                    for e in (0.0003, 0.004))  # fmt: skip
    assert unsure < 0.6 * sure


def test_nothing_is_claimed_where_nothing_is_known():
    assert search_luck(None, TOLERANCE) == 0.0
    assert search_luck(spread([], []), TOLERANCE) == 0.0
