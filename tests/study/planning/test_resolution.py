import math

import pytest

from kdsearch.study.planning.resolution import resolution
from kdsearch.study.proposal.lane import lanes_of
from kdsearch.testing.small_study import small_study


def told(num_val, **changes):
    config = small_study(**changes)
    return resolution(config, lanes_of(config, config.strata()), num_val)


def test_few_validation_samples_cannot_resolve_the_tolerance():
    found = told(800, budget={"trials": 24})
    tuned = 4  # temperature, alpha, learning rate, ensemble size
    expected = math.sqrt(0.75 * 0.25 / 800 * (2 * tuned / 24 + 0.6**2))
    assert found.difference == pytest.approx(expected)
    assert "cannot resolve it" in found.in_words
    assert "800 validation samples and 24 trials of 4 tuned parameters" in found.in_words
    enough = told(found.samples_needed, budget={"trials": 24})
    assert enough.difference <= 0.005
    assert "cannot" not in enough.in_words


def test_nothing_tuned_has_no_resolution():
    fixed = {"width": {"role": "scientific", "values": [4, 8]}}
    assert told(800, search=fixed, budget={"trials": 1}) is None
