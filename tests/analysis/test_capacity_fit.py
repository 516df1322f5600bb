import inspect
import json
import math

import numpy as np
import pytest
from scipy import optimize, stats

from kdsearch.analysis import fit_capacity_curve
from kdsearch.analysis.capacity_curve import CapacityCurveInfo, Series, SizedEstimate
from kdsearch.analysis.estimate import estimate_mean
from kdsearch.analysis.saturation import (
    compute_saturation,
    compute_saturations,
    saturation_document,
)

SIZES = 8 * 2.0 ** np.arange(8)
TRUE_SIZE = (1.2 / 0.005) ** (1 / 0.9)  # 441


def power_law(n):
    return 0.05 + 1.2 * n**-0.9


def replicates(error, *, n=5, sd=0.002, seed=0, sizes=SIZES):
    noise = np.random.default_rng(seed).normal(0, sd, (len(sizes), n))
    return np.clip(1 - error(sizes)[:, None] + noise, 0, 1)


def test_golden_curve_without_noise():
    fit = fit_capacity_curve(SIZES, np.repeat(1 - power_law(SIZES)[:, None], 3, axis=1))
    assert fit.asymptote == pytest.approx(0.95, abs=1e-8)
    assert fit.scale == pytest.approx(1.2, rel=1e-6)
    assert fit.exponent == pytest.approx(0.9, rel=1e-6)
    assert fit.saturation_size == pytest.approx(TRUE_SIZE, rel=1e-6)
    low, high = fit.saturation_interval
    assert 0.999 * TRUE_SIZE < low <= TRUE_SIZE * (1 + 1e-6)
    assert TRUE_SIZE * (1 - 1e-6) <= high < 1.001 * TRUE_SIZE
    assert fit.verdict == "saturated"


def test_published_constants_are_recovered():
    # Chinchilla refit (Besiroglu et al. 2024): L = 1.8172 + 482.01 / N^0.3478, here as L / 10.
    sizes = np.geomspace(4.4e7, 1.6e10, 10)
    loss = 1.8172 + 482.01 * sizes**-0.3478
    fit = fit_capacity_curve(sizes, np.repeat(1 - loss[:, None] / 10, 2, axis=1))
    assert 10 * (1 - fit.asymptote) == pytest.approx(1.8172, rel=1e-4)
    assert 10 * fit.scale == pytest.approx(482.01, rel=1e-3)
    assert fit.exponent == pytest.approx(0.3478, rel=1e-4)
    assert fit.saturation_size == pytest.approx((482.01 / 0.05) ** (1 / 0.3478), rel=1e-3)
    assert fit.verdict == "not_saturated"


def test_interval_is_where_the_profile_crosses_the_f_quantile():
    data = replicates(power_law, n=3)
    fit = fit_capacity_curve(SIZES, data)
    mean, variance = 1 - data.mean(axis=1), data.var(axis=1, ddof=1).mean()

    def rss(size):
        def inner(theta):
            return math.sqrt(3) * (mean - theta[0] - 0.005 * (SIZES / size) ** -theta[1])

        return 2 * optimize.least_squares(inner, [0.05, 0.9], xtol=1e-12).cost

    limit = rss(fit.saturation_size) + variance * stats.f.ppf(0.9, 1, 16)
    for end in fit.saturation_interval:
        assert rss(end) == pytest.approx(limit, rel=2e-3)
    assert fit.noise == pytest.approx(math.sqrt(variance))


def test_saturated_inside_the_range_with_the_truth_in_the_interval():
    fit = fit_capacity_curve(SIZES, replicates(power_law))
    assert fit.verdict == "saturated"
    low, high = fit.saturation_interval
    assert low < TRUE_SIZE < high < SIZES[-1]
    assert low < fit.saturation_size < high


def test_not_saturated_gives_a_lower_bound():
    fit = fit_capacity_curve(SIZES, replicates(lambda n: 0.05 + 0.5 * n**-0.6))  # N* 2154
    assert fit.verdict == "not_saturated"
    assert SIZES[-1] < fit.saturation_interval[0] < 2154 < fit.saturation_interval[1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(lambda n: 0.08 + 0.03 * np.maximum(0, np.log2(64 / n)), "law", id="plateau"),
        pytest.param(lambda n: 1.2 * np.minimum(n, 128.0) ** -0.9, "law", id="cut"),
        pytest.param(
            lambda n: 0.05 + 1.2 * np.minimum(n, 64.0) ** -0.9 * np.maximum(n / 64, 1.0) ** -0.25,
            "law",
            id="broken",
        ),
        pytest.param(lambda n: 0.3 - 0.03 * np.log2(n / 8), "law", id="line"),
        pytest.param(lambda n: 0.13 + 0.012 * np.abs(np.log2(n / 128)), "law", id="U"),
        pytest.param(lambda n: 0.1 + 0.02 * np.log2(n / 8), "law", id="falling"),
        pytest.param(lambda n: np.full_like(n, 0.1), "smaller students", id="equal"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_other_curves_are_refused(error, words, seed):
    fit = fit_capacity_curve(SIZES, replicates(error, seed=seed))
    assert fit.verdict == "undetermined"
    assert words in fit.reason


def test_noise_that_hides_the_tolerance_is_refused_with_a_number_of_replicates():
    fit = fit_capacity_curve(SIZES, replicates(power_law, sd=0.006, seed=3))
    assert fit.verdict == "undetermined"
    # 2 s^2 (t(32, 95 %) / tolerance)^2 with s = 0.0060 or so
    needed = math.ceil(2 * (fit.noise * stats.t.ppf(0.95, 32) / 0.005) ** 2)
    assert f"about {needed} for each size" in fit.reason


def test_exactly_equal_accuracies_are_refused():
    assert fit_capacity_curve(SIZES, np.full((8, 3), 0.9)).verdict == "undetermined"
    assert fit_capacity_curve(SIZES, np.ones((8, 3))).verdict == "undetermined"


def test_too_little_data_is_refused_but_fitted():
    one = fit_capacity_curve(SIZES, replicates(power_law, n=1))
    assert one.verdict == "undetermined"
    assert "replicates" in one.reason
    assert math.isnan(one.noise)
    assert one.saturation_interval[0] < one.saturation_size < one.saturation_interval[1]
    four = fit_capacity_curve(SIZES[::2], replicates(power_law)[::2])
    assert four.verdict == "undetermined"
    assert "4 sizes" in four.reason
    assert fit_capacity_curve([1, 2, 3], [[0.5], [0.6], [0.7]]).verdict == "undetermined"


def test_order_and_unit_of_sizes_do_not_matter():
    data = replicates(power_law)
    fit = fit_capacity_curve(SIZES, data)
    turned = fit_capacity_curve(1000 * SIZES[::-1], data[::-1])
    assert turned.verdict == fit.verdict
    assert turned.saturation_size == pytest.approx(1000 * fit.saturation_size, rel=1e-4)
    ends = np.array(fit.saturation_interval)
    assert turned.saturation_interval == pytest.approx(1000 * ends, rel=1e-3)


def test_ragged_replicates_weigh_by_their_number():
    data = [list(row) for row in replicates(power_law)]
    data[0], data[3] = data[0][:2], data[3][:1]
    fit = fit_capacity_curve(SIZES, data)
    dof = 4 * 6 + 1 + 0
    spread = sum(float(np.var(row) * len(row)) for row in data)
    assert fit.noise == pytest.approx(math.sqrt(spread / dof))
    assert fit.verdict == "saturated"


def test_prediction_and_band():
    fit = fit_capacity_curve(SIZES, replicates(power_law))
    band = fit.predict(np.geomspace(8, 1024, 50))
    assert np.all(np.diff(band.mean) > 0)
    assert np.all((band.low < band.mean) & (band.mean < band.high))
    assert band.mean == pytest.approx(1 - power_law(np.geomspace(8, 1024, 50)), abs=0.003)
    at = fit.predict(fit.saturation_size)
    assert fit.asymptote - float(at.mean) == pytest.approx(0.005, abs=1e-9)
    with pytest.raises(ValueError, match="positive"):
        fit.predict([0.0])


def test_second_opinions_by_hand():
    sizes = [1, 2, 4, 8, 16]
    data = [
        [0.50, 0.51, 0.49],
        [0.70, 0.71, 0.69],
        [0.796, 0.806, 0.786],  # paired difference exactly 0.004, every time
        [0.799, 0.810, 0.788],  # 0.001, 0.000, 0.002: 0.001 +- 2.92 * 0.001 / sqrt 3
        [0.800, 0.810, 0.790],
    ]
    opinions = fit_capacity_curve(sizes, data).opinions
    assert opinions.equivalent_size == 4
    # Best mean 0.8 with standard error 0.01 / sqrt 3 = 0.0058: 0.796 is within it.
    assert opinions.one_se_size == 4
    strict = fit_capacity_curve(sizes, data, tolerance=0.003).opinions
    assert strict.equivalent_size == 8
    assert fit_capacity_curve(sizes, data, tolerance=0.001).opinions.equivalent_size is None


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


def curve_info(data):
    points = [
        SizedEstimate(
            f"width {int(n)}", int(n), int(100 * n), None, None, tuple(row), estimate_mean(row)
        )
        for n, row in zip(SIZES, data.tolist(), strict=True)
    ]
    return CapacityCurveInfo((Series("", "distilled", tuple(points)),), (), "")


def verdict(data):
    info = curve_info(data)
    return compute_saturation(info, compute_saturations(info, tolerance=0.005, confidence=0.9))


def test_saturation_of_a_study_in_words_and_numbers():
    info = verdict(replicates(power_law))
    assert info.verdict == "saturated"
    assert info.width is not None
    assert info.width == pytest.approx(TRUE_SIZE, rel=0.15)
    assert "accuracy saturates at 4" in info.clause
    assert "90 % interval" in info.clause
    document = saturation_document(info)
    assert document["saturation_num_params"] == pytest.approx(100 * TRUE_SIZE, rel=0.15)
    json.dumps(document, allow_nan=False)


def test_open_ends_are_null():
    info = verdict(replicates(lambda n: np.full_like(n, 0.1)))
    assert saturation_document(info)["saturation_interval"] == [None, None]
    line = verdict(replicates(lambda n: 0.1 - 0.003 * np.log2(n / 8), n=3))
    assert saturation_document(line)["saturation_interval"][1] is None


def test_a_saturation_size_beyond_the_sizes_tested_is_not_extrapolated():
    info = verdict(replicates(lambda n: 0.05 + 0.5 * n**-0.6))
    assert info.fit is not None
    assert info.fit.saturation_interval[0] > 100 * SIZES[-1]
    # 8 * 2^7 * 100 parameters
    assert info.clause == (
        "accuracy is not saturated in the range tested: the saturation size lies above 102 k "
        "parameters, the largest tested"
    )
    low = saturation_document(info)["saturation_interval"][0]
    assert low == pytest.approx(info.fit.saturation_interval[0])
    noisy = verdict(replicates(lambda n: 0.05 + 0.5 * n**-0.7, sd=0.004))
    assert noisy.fit is not None
    assert noisy.verdict == "not_saturated"
    assert noisy.fit.saturation_interval[0] < 100 * SIZES[-1]
    assert "not shown to saturate in the range tested" in noisy.clause


def test_the_public_signature_is_the_one_promised():
    parameters = inspect.signature(fit_capacity_curve).parameters
    assert list(parameters) == ["sizes", "accuracies", "tolerance", "confidence", "seed"]
    assert [p.default for p in list(parameters.values())[2:]] == [0.005, 0.9, 0]
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[2:])
    fit = fit_capacity_curve(SIZES, replicates(power_law))
    assert fit.verdict in {"saturated", "not_saturated", "undetermined"}
    for field in ("asymptote", "scale", "exponent", "saturation_size"):
        assert isinstance(getattr(fit, field), float)
    low, high = fit.saturation_interval
    assert low < high
