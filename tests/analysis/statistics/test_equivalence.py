"""Second opinions that assume no curve, by hand."""

import numpy as np
import pytest

from kdsearch.analysis import fit_capacity_curve
from kdsearch.analysis.statistics.equivalence import second_opinions

SIZES = np.array([1.0, 2, 4, 8, 16])
MEANS = np.array([0.50, 0.70, 0.7975, 0.799, 0.80])
VARIANCES = np.full(5, 1e-6)


def opinions(means=MEANS, *, tolerance=0.005, dof=20.0, variances=VARIANCES, confidence=0.9):
    return second_opinions(
        SIZES, means, variances, dof, tolerance=tolerance, confidence=confidence
    )


def test_equivalence_by_hand():
    # t(20, 95 %) = 1.724718, times sqrt(2e-6) = 0.0024391; 0.0025 + 0.0024391 < 0.005
    assert opinions().equivalent_size == 4
    assert opinions(tolerance=0.00493).equivalent_size == 8
    # 0.001 + 0.0024391
    assert opinions(tolerance=0.0034392).equivalent_size == 8
    assert opinions(tolerance=0.0034390).equivalent_size is None


def test_fewer_degrees_of_freedom_show_less():
    # t(4, 95 %) = 2.131847, times sqrt(2e-6) = 0.0030149
    assert opinions(dof=4).equivalent_size == 8
    assert opinions(dof=4, tolerance=0.00552).equivalent_size == 4
    # t(20, 99.5 %) = 2.845340, times sqrt(2e-6) = 0.0040239; and 0.001
    assert opinions(confidence=0.99).equivalent_size is None
    assert opinions(confidence=0.99, tolerance=0.00503).equivalent_size == 8


def test_every_larger_size_must_be_equivalent_too():
    means = np.array([0.50, 0.80, 0.80, 0.79, 0.80])
    assert opinions(means).equivalent_size is None
    dip = np.array([0.80, 0.80, 0.79, 0.80, 0.80])
    assert opinions(dip).equivalent_size == 8, "4 is worse, so 1 and 2 do not count"
    better = np.array([0.50, 0.70, 0.81, 0.80, 0.80])
    assert opinions(better).equivalent_size == 8, "better by more is not equivalent"


def test_one_standard_error_counts_from_the_best():
    assert opinions().one_se_size == 8  # 0.8 - 0.001; 0.7975 is below it
    assert opinions(variances=np.full(5, 7e-6)).one_se_size == 4  # 0.8 - 0.00265
    best_inside = np.array([0.50, 0.70, 0.81, 0.799, 0.80])
    assert opinions(best_inside).one_se_size == 4


def test_without_replicates_there_is_no_opinion():
    assert opinions(dof=0) == (None, None)


def test_sizes_are_not_paired():
    rng = np.random.default_rng(1)
    means = np.array([0.70, 0.75, 0.78, 0.80, 0.801, 0.801])
    data = means[:, None] + rng.normal(0, 0.001, (6, 5))
    sizes = 2.0 ** np.arange(6)
    whole = fit_capacity_curve(sizes, data).opinions
    assert whole.equivalent_size == 8
    shuffled = [rng.permutation(row) for row in data]
    assert fit_capacity_curve(sizes, shuffled).opinions == whole
    fewer = [row[1:] if index == 3 else row for index, row in enumerate(data)]
    assert fit_capacity_curve(sizes, fewer).opinions.equivalent_size == 8
    # Noise that all sizes share would cancel in pairs; here it counts.
    shared = means[:, None] + rng.normal(0, 0.008, 5)[None, :]
    assert fit_capacity_curve(sizes, shared).opinions.equivalent_size is None


def test_opinions_of_a_fit_use_the_moderated_variances():
    data = np.repeat(MEANS[:, None], 3, axis=1) + np.array([-0.001, 0.0, 0.001])
    fit = fit_capacity_curve(SIZES, data)
    error = fit.replicate_sd / np.sqrt(3)
    expected = opinions(dof=fit.dof, variances=np.full(5, error**2))
    assert fit.opinions == expected
    assert expected.equivalent_size == pytest.approx(4)
