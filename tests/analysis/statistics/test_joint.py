"""Holm's procedure."""

import math

import numpy as np
import pytest

from kdsearch.analysis.statistics.joint import holm


def test_holm_by_hand():
    # At 5 %: 0.005 <= 0.0125, 0.01 <= 0.0167, but 0.03 > 0.025, which ends it.
    assert holm([0.01, 0.04, 0.03, 0.005], 0.05) == (True, False, False, True)
    # 0.02 <= 0.025 and then 0.05 <= 0.05
    assert holm([0.05, 0.02], 0.05) == (True, True)
    # The smallest fails, so the rest are not looked at, though 0.045 <= 0.05.
    assert holm([0.045, 0.026], 0.05) == (False, False)
    assert holm([], 0.05) == ()


def test_what_was_not_tested_takes_no_share_and_is_not_rejected():
    assert holm([0.04, math.nan], 0.05) == (True, False)
    assert holm([0.04, 0.9], 0.05) == (False, False)
    assert holm([math.nan], 0.05) == (False,)


def test_any_false_rejection_among_six_true_nulls_has_the_level():
    draws = np.random.default_rng(0).uniform(size=(20_000, 6))
    share = np.mean([any(holm(p, 0.1)) for p in draws.tolist()])
    # Independent: 1 - (1 - 0.1 / 6)^6
    assert share == pytest.approx(0.0959, abs=0.006)
