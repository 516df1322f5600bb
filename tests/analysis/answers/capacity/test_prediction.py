"""What a student of another size would reach, asked of a synthetic study."""

import pytest
from summary import compute_summary
from synthetic import make_results

from kdsearch.analysis import fit_capacity_curve
from kdsearch.analysis.answers.capacity.capacity_curve import compute_capacity_curve
from kdsearch.analysis.answers.capacity.prediction import Query, predict_students, prediction_line
from kdsearch.analysis.headline import ACCURACY
from kdsearch.analysis.strata import compute_strata
from kdsearch.analysis.teachers import compute_teachers
from kdsearch.errors import UserInputError


@pytest.fixture
def points(results):
    info = compute_strata(results)
    series = compute_capacity_curve(results, info, compute_teachers(results)).distilled
    assert series is not None
    return series.points


def test_a_size_between_those_tested_lies_between_their_accuracies(results, points):
    low, high = points[1], points[2]
    middle = (low.num_params * high.num_params) ** 0.5
    (sentence,) = predict_students(results, Query(num_params=middle))
    assert sentence.startswith("A student of ")
    reached = float(sentence.split("would reach ")[1].split(" %")[0]) / 100
    assert low.estimate.mean - 0.01 < reached < high.estimate.mean + 0.01
    assert "90 % interval" in sentence
    assert "extrapolated" not in sentence


def test_sizes_beyond_those_tested_are_marked(results, points):
    (above,) = predict_students(results, Query(num_params=4.0 * points[-1].num_params))
    assert "extrapolated beyond the largest tested" in above
    (below,) = predict_students(results, Query(num_params=points[0].num_params / 4))
    assert "extrapolated below the smallest tested" in below


def test_bytes_are_asked_as_parameters(results, points):
    asked = points[2]
    (by_bytes,) = predict_students(results, Query(size_bytes=asked.size_bytes))
    (by_params,) = predict_students(results, Query(num_params=asked.num_params))
    assert by_bytes.split("would reach")[1] == by_params.split("would reach")[1]


def test_an_accuracy_is_answered_by_a_size(results, points):
    low, high = points[1], points[2]
    wanted = (low.estimate.mean + high.estimate.mean) / 2
    (sentence,) = predict_students(results, Query(accuracy=wanted))
    assert "parameters (90 % interval" in sentence
    (never,) = predict_students(results, Query(accuracy=0.9999))
    assert "is not reached" in never


def test_the_needed_size_is_where_the_prediction_is_the_accuracy():
    sizes = [100 * 2**k for k in range(8)]
    fit = fit_capacity_curve(
        sizes, [[0.5 + 0.04 * k + d for d in (-0.001, 0.0, 0.001)] for k in range(8)]
    )
    median, low, high = fit.needed_size(0.66)
    assert median == pytest.approx(1600, rel=0.03)
    assert low < median < high
    assert float(fit.predict(median).mean) == pytest.approx(0.66, abs=1e-3)
    searched, expected = fit.predict(1600, luck=True), fit.predict(1600)
    assert searched.high - searched.low > expected.high - expected.low
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit.needed_size(66.0)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (Query(num_params=0.0), "--params"),
        (Query(num_params=float("nan")), "--params"),
        (Query(size_bytes=-4.0), "--size-bytes"),
        (Query(accuracy=90.0), "--accuracy"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(results, query, words):
    with pytest.raises(UserInputError, match=words):
        predict_students(results, query)


def test_a_study_without_a_curve_says_so():
    with pytest.raises(UserInputError, match="no curve to predict from"):
        predict_students(make_results(widths=(16,)), Query(num_params=1000.0))


@pytest.mark.slow
def test_the_report_predicts_round_sizes(results):
    fit = compute_summary(results).saturation.fit
    assert fit is not None
    line = prediction_line(fit, ACCURACY)
    assert "with 1.0 k parameters" in line
    assert line.count("%") >= 3
