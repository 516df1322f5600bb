"""Simulated coverage: that truth is told from error, and that large luck is covered."""

import numpy as np
import pytest

from benchmarks.capacity_coverage import EFFECTS, RISING, SATURATING, TOLERANCE, simulate
from benchmarks.luck_simulated import Case, coverage


@pytest.mark.parametrize("curve", RISING, ids=lambda curve: curve.name)
@pytest.mark.parametrize("span", [5.0, 11.0])
def test_curves_that_rise_gain_more_than_the_tolerance_in_their_last_doubling(curve, span):
    heights = curve.accuracy(np.linspace(0.0, span, 400), span)
    ends = curve.accuracy(np.array([span - 1, span]), span)
    assert np.all(np.diff(heights) >= -1e-12)
    assert 0.0 <= heights[0] < heights[-1] <= 1.0
    assert ends[1] - ends[0] >= 1.29 * TOLERANCE


@pytest.mark.parametrize("curve", SATURATING, ids=lambda curve: curve.name)
@pytest.mark.parametrize("span", [5.0, 11.0])
def test_curves_that_saturate_gain_less_than_it(curve, span):
    ends = curve.accuracy(np.array([0.0, span - 1, span]), span)
    assert 0.0 <= ends[0] <= ends[2] <= 1.0
    assert ends[2] - ends[1] < TOLERANCE


def test_a_simulation_is_the_same_again_and_says_what_its_design_was():
    first, again = (simulate(SATURATING[0], False, 3, seed=1) for _ in range(2))
    assert first == again
    assert first.effect in EFFECTS
    assert not first.rising


def test_intervals_cover_a_luck_that_is_large():
    held = coverage(Case((3.0, 3.0, 3.0), (0.4, 0.4, 0.4)), 120, seed=3)
    assert held.min() > 0.85
