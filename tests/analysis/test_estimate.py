import numpy as np
import pytest
from synthetic import pack

from kdsearch.analysis.estimate import (
    bootstrap_examples,
    estimate_accuracy,
    estimate_difference,
    estimate_mean,
    unpack_correct,
)


def test_mean_se_and_interval_by_hand():
    e = estimate_mean([0.80, 0.82, 0.84])
    # sd 0.02, se 0.02 / sqrt 3; t(2, 95 %) = 2.919986
    assert e is not None
    assert e.mean == pytest.approx(0.82)
    assert e.se == pytest.approx(0.0115470, abs=1e-6)
    assert e.low == pytest.approx(0.82 - 2.919986 * 0.0115470, abs=1e-6)
    assert e.high == pytest.approx(0.82 + 2.919986 * 0.0115470, abs=1e-6)


def test_one_value_has_no_error_and_none_no_estimate():
    assert estimate_mean([]) is None
    assert estimate_mean([0.5]) == (0.5, 1, None, None, None)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 90])
def test_confidence_is_checked(confidence):
    with pytest.raises(ValueError, match="confidence"):
        estimate_mean([1.0, 2.0], confidence=confidence)


def test_unpack_is_the_inverse_of_packbits():
    correct = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1], dtype=np.uint8)
    assert unpack_correct(pack(correct), 11).tolist() == correct.tolist()
    with pytest.raises(ValueError, match="bits"):
        unpack_correct(pack(correct), 40)


def test_bootstrap_agrees_with_the_normal_interval():
    rng = np.random.default_rng(0)
    scores = (rng.uniform(size=4000) < 0.7).astype(float)
    ends = bootstrap_examples({"a": scores, "constant": np.ones(4000)})
    reach = 1.6449 * scores.std() / np.sqrt(4000)
    assert ends["a"].low == pytest.approx(scores.mean() - reach, abs=0.0015)
    assert ends["a"].high == pytest.approx(scores.mean() + reach, abs=0.0015)
    assert ends["constant"][:2] == (1.0, 1.0)
    assert bootstrap_examples({}) == {}


def test_accuracy_intervals_end_at_zero_and_one():
    estimate = estimate_accuracy([0.9, 1.0])
    assert estimate is not None
    # t(1, 95 %) = 6.31: 0.95 ± 0.32
    assert estimate.high == 1.0
    assert estimate.low == pytest.approx(0.95 - 6.313752 * 0.05, abs=1e-6)
    assert estimate_accuracy([]) is None


def test_welch_interval_by_hand():
    e = estimate_difference([0.80, 0.82, 0.84], [0.70, 0.70, 0.70, 0.70])
    assert e is not None
    # se 0.02 / sqrt 3, and all of the variance is of 2 degrees of freedom: t(2, 95 %) = 2.919986
    assert e.n == 3
    assert e.mean == pytest.approx(0.12)
    assert e.se == pytest.approx(0.0115470, abs=1e-6)
    assert e.low == pytest.approx(0.12 - 2.919986 * 0.0115470, abs=1e-6)
    assert estimate_difference([0.8], [0.7, 0.8]) == (pytest.approx(0.05), 1, None, None, None)
    assert estimate_difference([], [0.7]) is None
