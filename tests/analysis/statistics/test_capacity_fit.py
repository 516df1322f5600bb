"""The saturation verdict on curves whose truth is known."""

import inspect
import math

import numpy as np
import pytest
from curves import (
    SIZES,
    TOLERANCE,
    alike,
    broken,
    cut,
    exponential,
    fitted,
    flat,
    late,
    line,
    plateau,
    power_law,
    replicates,
    saturating_elsewhere,
    slow_law,
    staircase,
    true_size,
)
from scipy import stats

from kdsearch.analysis import fit_capacity_curve
from kdsearch.analysis.statistics.measured import Measured
from kdsearch.analysis.statistics.search_luck import SearchSpread

# What saturates


@pytest.mark.parametrize("error", [plateau, cut, broken])
@pytest.mark.parametrize(("sd", "seed"), [(0.001, 0), (0.001, 1), (0.0015, 2), (0.002, 3)])
def test_curves_that_no_power_law_fits_are_saturated_with_the_truth_in_the_interval(
    error, sd, seed
):
    fit = fitted(error, sd=sd, seed=seed)
    assert fit.verdict == "saturated"
    low, high = fit.saturation_interval
    assert 8 < low < true_size(error) < high < 512
    assert low < fit.saturation_size < high
    assert fit.enough_size is not None
    assert true_size(error) <= fit.enough_size <= 512
    assert fit.gain_from_enough is not None
    assert fit.gain_from_enough.high < TOLERANCE
    assert f"at most {100 * fit.gain_from_enough.high:.2f} points" in fit.reason


@pytest.mark.parametrize("error", [power_law, plateau, cut, exponential, saturating_elsewhere])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_better_data_never_answer_less(error, seed):
    noisy, clean, exact = (fitted(error, sd=sd, seed=seed) for sd in (0.002, 0.0005, 0.0))
    enough = [fit.enough_size for fit in (noisy, clean, exact) if fit.enough_size is not None]
    assert [fit.verdict for fit in (noisy, clean, exact)] == ["saturated"] * 3
    assert true_size(error) <= min(enough)
    assert enough == sorted(enough, reverse=True)
    assert np.ptp(clean.saturation_interval) <= 1.05 * np.ptp(noisy.saturation_interval)


@pytest.mark.parametrize(("sd", "effect"), [(0.001, 0.0), (0.002, 0.001)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_staircase_that_ends_is_saturated(sd, effect, seed):
    fit = fitted(staircase, sd=sd, effect=effect, seed=seed)
    assert fit.verdict == "saturated"
    assert fit.saturation_interval[0] < true_size(staircase) < fit.saturation_interval[1]
    assert fit.enough_size in (128, 256, 512)


@pytest.mark.parametrize("sd", [0.0, 0.001, 0.002])
def test_equal_sizes_are_saturated_from_the_smallest_or_below_it(sd):
    fit = fitted(flat, sd=sd)
    assert fit.verdict == "saturated"
    assert fit.enough_size == fit.saturation_size == 8
    assert fit.saturation_interval == (0.0, 8.0)
    assert fit.last_doubling.high < 0.001
    assert not fit.declines


@pytest.mark.slow
def test_the_interval_covers_the_truth_in_a_simulation():
    covered, claimed_wrongly = 0, 0
    for seed, error in enumerate([power_law, plateau, saturating_elsewhere] * 10):
        fit = fitted(error, seed=seed, effect=0.001)
        low, high = fit.saturation_interval
        covered += low <= true_size(error) <= high
        if fit.verdict == "saturated":
            assert fit.enough_size is not None
            claimed_wrongly += fit.enough_size < true_size(error)
    assert covered >= 24
    assert claimed_wrongly <= 2


# What does not


@pytest.mark.parametrize("error", [line, slow_law])
@pytest.mark.parametrize("sd", [0.0, 0.001, 0.002])
def test_what_rises_to_the_end_is_not_saturated_and_has_no_upper_end(error, sd):
    fit = fitted(error, sd=sd)
    assert fit.verdict == "not_saturated"
    low, high = fit.saturation_interval
    assert high == math.inf
    assert 256 < low < true_size(error)
    assert fit.enough_size is None
    assert fit.gain_from_enough is None
    gained = float(error(SIZES[-2]) - error(SIZES[-1]))
    assert fit.last_doubling.low - 0.0005 < gained < fit.last_doubling.high + 0.0005
    assert fit.reason.startswith("still rising: the last doubling of size gained ")
    assert f"gained {100 * fit.last_doubling.median:.1f} points" in fit.reason


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_rise_at_the_last_size_alone_is_not_saturated(seed):
    fit = fitted(late, seed=seed)
    assert fit.verdict == "not_saturated"
    assert fit.saturation_interval[0] > 256
    assert fit.best_size == 1024


def test_a_rise_that_only_the_students_at_hand_show_is_an_answer():
    fit = fitted(late, sd=0.001, effect=0.003, seed=6)
    assert fit.last_doubling.low < 0.2 * TOLERANCE
    median, low, high = fit.last_at_hand
    assert 0.2 * TOLERANCE < low < 0.02 < high
    assert fit.is_rising
    assert fit.verdict == "not_saturated"
    assert fit.reason == (
        f"still rising: the largest student at hand gained {100 * median:.1f} points "
        f"({100 * low:.1f} to {100 * high:.1f}) over one of half its size"
    )


def test_a_larger_student_at_hand_that_is_better_forbids_enough_below_it():
    data = alike(plateau, 0.0005)
    assert fit_capacity_curve(SIZES, data).enough_size == 64
    data[5] += 0.007
    fit = fit_capacity_curve(SIZES, data)
    assert fit.verdict == "saturated"
    assert fit.enough_size == 256, "64 and 128 are worse than it by more than the tolerance"
    data[5] -= 0.007
    data[7] += 0.007
    assert fit_capacity_curve(SIZES, data).enough_size is None


def test_one_better_student_among_the_larger_ones_is_enough_to_forbid():
    rows = np.array([0.80, 0.80, 0.81, 0.80, 0.80])[:, None] + [-1e-4, 0.0, 1e-4]
    data = Measured.of(SIZES[:5], rows, None)
    # 1 point more at the third size, whatever the fourth and fifth reach
    assert data.none_better(TOLERANCE, 1.7).tolist() == [False, False, True, True, True]
    assert data.none_better(0.011, 1.7).tolist() == [True] * 5


def test_the_upper_end_is_raised_to_what_is_shown_to_be_enough():
    data = alike(flat, 0.003)
    data[3] += 0.004  # 0.4 points more than smaller students, +- 0.3: at 64 it may be 0.7
    fit = fit_capacity_curve(SIZES, data)
    assert fit.enough_size == 64
    assert fit.saturation_interval == (0.0, 64.0)


# What cannot be told


@pytest.mark.parametrize(
    ("sizes", "n", "words"),
    [
        (SIZES[[0, 3, 7]], 5, "3 sizes are too few for a verdict: test 4"),
        (np.array([8.0, 12, 16, 24, 31]), 5, "less than a factor of 4"),
        (SIZES, 1, "without replicates"),
    ],
)
def test_too_little_data_is_undetermined_but_fitted(sizes, n, words):
    fit = fit_capacity_curve(sizes, replicates(plateau, n=n, sizes=sizes))
    assert fit.verdict == "undetermined"
    assert words in fit.reason
    assert fit.enough_size is None
    assert fit.gain_from_enough is None
    assert np.all(np.isfinite(fit.predict(sizes).mean))
    assert math.isnan(fit.replicate_sd) == (n == 1)
    assert (fit.dof == 0) == (n == 1)


@pytest.mark.parametrize("error", [line, power_law])
def test_noise_that_hides_the_tolerance_is_told_with_a_number_of_replicates(error):
    found = [fitted(error, sd=0.04, seed=seed) for seed in range(5)]
    assert {fit.verdict for fit in found} <= {"undetermined", "not_saturated"}
    undetermined = [fit for fit in found if fit.verdict == "undetermined"]
    assert len(undetermined) >= 3
    for fit in undetermined:
        assert fit.needed_replicates is not None
        assert fit.needed_replicates > 50
        assert f"about {fit.needed_replicates} replicates for each size would tell" in fit.reason


def test_needed_replicates_by_the_formula():
    for sd in (0.002, 0.02):
        fit = fit_capacity_curve(SIZES, alike(power_law, sd))
        quantile = stats.t.ppf(0.95, fit.dof)
        room = TOLERANCE**2 - 2 * quantile**2 * fit.size_effect_sd**2
        # Every size has the same variance, the last two as well.
        assert fit.needed_replicates == math.ceil(2 * quantile**2 * fit.replicate_sd**2 / room)


def test_replicates_do_not_help_where_sizes_scatter_for_other_reasons():
    data = alike(line, 0.001) + 0.02 * np.array([1, -1, -1, 1, 1, -1, 1, -1])[:, None]
    fit = fit_capacity_curve(SIZES, data)
    assert fit.verdict != "saturated"
    assert fit.size_effect_sd > 0.01
    assert fit.needed_replicates is None
    if fit.verdict == "undetermined":
        assert "more trials for each size would tell, replicates would not" in fit.reason


# What counts and what does not


def numbers(fit):
    gains = [*fit.gains, fit.last_doubling, *fit.beyond]
    return [
        *fit.saturation_interval, fit.saturation_size, fit.size_effect_sd, fit.replicate_sd,
        *np.ravel(gains), *fit.weights.values(), *fit.predict(SIZES).high,
    ]  # fmt: skip


def test_two_calls_give_the_same_numbers_whatever_the_seed():
    data = replicates(power_law)
    first = fit_capacity_curve(SIZES, data)
    assert numbers(first) == numbers(fit_capacity_curve(SIZES, data, seed=7))
    assert first.reason == fit_capacity_curve(SIZES, data).reason


def test_order_and_unit_of_sizes_do_not_matter():
    data = replicates(power_law)
    shared = 1e-6 * np.exp(-np.abs(np.subtract.outer(np.arange(8), np.arange(8))))
    shared[0, 0] *= 4
    fit = fit_capacity_curve(SIZES, data, covariance=shared)
    turned = fit_capacity_curve(1000 * SIZES[::-1], data[::-1], covariance=shared[::-1, ::-1])
    assert turned.verdict == fit.verdict
    assert turned.sizes == pytest.approx(1000 * SIZES)
    assert turned.saturation_size == pytest.approx(1000 * fit.saturation_size, rel=1e-4)
    ends = np.array(fit.saturation_interval)
    assert turned.saturation_interval == pytest.approx(1000 * ends, rel=1e-3)
    assert np.ravel(turned.gains) == pytest.approx(np.ravel(fit.gains), abs=1e-7)


def test_order_of_replicates_does_not_matter_and_one_may_be_missing():
    data = replicates(plateau)
    fit = fit_capacity_curve(SIZES, data)
    shuffled = [np.random.default_rng(1).permutation(row) for row in data]
    assert numbers(fit_capacity_curve(SIZES, shuffled)) == pytest.approx(numbers(fit), rel=1e-6)
    ragged = [row[: 5 - index % 3] for index, row in enumerate(data)]
    fewer = fit_capacity_curve(SIZES, ragged)
    assert fewer.verdict == "saturated"
    assert fewer.opinions.equivalent_size is not None


def test_what_all_sizes_share_changes_nothing_and_what_they_do_not_widens():
    data = replicates(power_law)
    alone = fit_capacity_curve(SIZES, data)
    shared = fit_capacity_curve(SIZES, data, covariance=np.full((8, 8), 1e-4))
    assert shared.verdict == alone.verdict
    assert shared.saturation_interval == pytest.approx(alone.saturation_interval, rel=1e-6)
    assert np.ravel(shared.gains) == pytest.approx(np.ravel(alone.gains), abs=1e-9)
    own = fit_capacity_curve(SIZES, data, covariance=4e-6 * np.eye(8))
    assert np.ptp(own.saturation_interval) > 1.2 * np.ptp(alone.saturation_interval)
    for wrong in (np.eye(7), np.ones(8), np.full((8, 8), math.nan)):
        with pytest.raises(ValueError, match="covariance"):
            fit_capacity_curve(SIZES, data, covariance=wrong)


def test_candidates_that_differ_raise_the_size_effect_and_equal_ones_lower_it():
    data, errors, sizes = replicates(power_law), np.full(6, 0.0005), SIZES[2:]
    equal, unknown, different = (
        fit_capacity_curve(SIZES, data, spread=spread)
        for spread in (
            SearchSpread(np.zeros(6), errors, sizes), None,
            SearchSpread(np.full(6, 0.01), errors, sizes),
        )
    )  # fmt: skip
    assert equal.size_effect_sd < unknown.size_effect_sd < 0.002 < different.size_effect_sd
    widths = [np.ptp(fit.saturation_interval) for fit in (equal, unknown, different)]
    assert widths == sorted(widths)


def test_candidates_of_narrow_students_say_little_of_wide_ones():
    data, errors = replicates(power_law), np.full(6, 0.0005)
    narrow, wide = (
        fit_capacity_curve(SIZES, data, spread=SearchSpread(np.full(6, 0.02), errors, sizes))
        for sizes in (SIZES[[0, 0, 0, 1, 1, 1]], SIZES[[5, 5, 6, 6, 7, 7]])
    )
    assert narrow.verdict == "saturated"
    assert narrow.size_effect_sd < 0.001
    assert wide.verdict == "undetermined", "four times the tolerance, at the largest sizes"
    assert wide.size_effect_sd > 0.008


# Inputs


@pytest.mark.parametrize(
    ("sizes", "accuracies", "options"),
    [
        ([1, 2], [[0.1], [0.2]], {}),
        ([1, 2, 3], [[0.1], [0.2]], {}),
        ([1, 2, 2], [[0.1], [0.2], [0.3]], {}),
        ([0, 2, 3], [[0.1], [0.2], [0.3]], {}),
        ([1, 2, math.nan], [[0.1], [0.2], [0.3]], {}),
        ([1, 2, 3], [[0.1], [0.2], [math.nan]], {}),
        ([1, 2, 3], [[0.1], [0.2], []], {}),
        ([1, 2, 3], [[10.0], [20.0], [30.0]], {}),
        ([1, 2, 3], [[0.1], [0.2], [0.3]], {"tolerance": 0.0}),
        ([1, 2, 3], [[0.1], [0.2], [0.3]], {"confidence": 90}),
        ([1, 2, 3], [[0.1], [0.2], [0.3]], {"confidence": math.nan}),
        ([1, 2, 3], [[0.1], [0.2], [0.3]], {"tolerance": "half a point"}),
        (["small", 2, 3], [[0.1], [0.2], [0.3]], {}),
        ([[1, 2, 3]], [[0.1], [0.2], [0.3]], {}),
        ([1, 2, 3], [["?"], [0.2], [0.3]], {}),
        ([1, 2, 3], 0.5, {}),
        ([1, 2, 3], np.zeros((3, 2, 2)), {}),
    ],
)
def test_nonsense_is_refused_in_one_sentence(sizes, accuracies, options):
    with pytest.raises(ValueError, match=r"size|accurac|tolerance|confidence"):
        fit_capacity_curve(sizes, accuracies, **options)


def test_the_public_signature_is_the_one_promised():
    parameters = inspect.signature(fit_capacity_curve).parameters
    assert list(parameters) == [
        "sizes", "accuracies", "tolerance", "confidence", "seed", "covariance", "spread",
    ]  # fmt: skip
    options = list(parameters.values())[2:]
    assert [p.default for p in options] == [0.005, 0.9, 0, None, None]
    assert all(p.kind is p.KEYWORD_ONLY for p in options)
    fit = fitted(power_law)
    for name in ("asymptote", "scale", "exponent", "saturation_size", "size_effect_sd"):
        assert isinstance(getattr(fit, name), float)
    low, high = fit.saturation_interval
    assert low < high
    assert sum(fit.weights.values()) == pytest.approx(1.0)
