"""What a rung tells, on ends that are known."""

import numpy as np
import pytest

from kdsearch.analysis.response.forecast import _RIDGE, MIN_TRIALS, _features, fit_forecast
from kdsearch.analysis.response.surface import Places


def places(rng, count, *, hard=0.0):
    listening = np.where(rng.uniform(size=count) < hard, 0.0, rng.uniform(size=count))
    return Places(
        np.repeat([[0.5]], count, axis=0),
        rng.uniform(size=(count, 2)),
        rng.uniform(size=(count, 2)),
        listening,
    )


def elsewhere(at, **changes):
    """The same places with some coordinates replaced."""
    return Places(**(at._asdict() | changes))


def fast_starters(rng, count):
    """The first own setting is a rate: small ones end best, large ones are ahead at the rung."""
    at = places(rng, count)
    rate = at.own[:, 0]
    end = 0.8 - 0.2 * rate + 0.01 * rng.standard_normal(count)
    rung = end - 0.4 * (1 - rate) + 0.01 * rng.standard_normal(count)
    return at, rung, end


def test_fast_starters_are_seen_through():
    rng = np.random.default_rng(0)
    at, rung, end = fast_starters(rng, 40)
    forecast = fit_forecast(at, rung, end, ["one"] * 40)
    assert forecast is not None
    assert forecast.raw_correlation is not None
    assert forecast.raw_correlation < -0.5, "the score at the rung alone misleads"
    assert forecast.correlation is not None
    assert forecast.correlation > 0.9
    assert forecast.num_trials == 40
    assert forecast.tells(0.9)
    assert not forecast.tells(1.0)
    others, rungs, ends = fast_starters(rng, 200)
    errors = forecast.predict(others, rungs) - ends
    assert float(np.sqrt((errors**2).mean())) < 0.03
    assert forecast.residual_sd == pytest.approx(float(errors.std()), rel=0.5)


def test_the_residuals_are_those_of_leaving_each_trial_out():
    rng = np.random.default_rng(1)
    at, rung, end = fast_starters(rng, 30)
    groups = ["a"] * 15 + ["b"] * 15
    forecast = fit_forecast(at, rung, end, groups)
    assert forecast is not None
    x = _features(at, (rung - forecast.centre) / forecast.unit)
    y = (end - rung) / forecast.unit
    penalty = np.diag([1e-9] + [_RIDGE * 30] * (x.shape[1] - 1))
    left_out = []
    for row in range(30):
        rest = np.arange(30) != row
        fitted = np.linalg.solve(x[rest].T @ x[rest] + penalty, x[rest].T @ y[rest])
        left_out.append(forecast.unit * float(y[row] - x[row] @ fitted))
    expected = float(np.sqrt(np.mean(np.square(left_out))))
    assert forecast.residual_sd == pytest.approx(expected, rel=1e-6)


def test_too_few_trials_forecast_nothing():
    rng = np.random.default_rng(2)
    at, rung, end = fast_starters(rng, MIN_TRIALS)
    few = at.pick(slice(1, None))
    assert fit_forecast(few, rung[1:], end[1:], ["one"] * (MIN_TRIALS - 1)) is None
    assert fit_forecast(at, rung, end, ["one"] * MIN_TRIALS) is not None


def test_ranks_are_compared_within_groups_of_four_or_more():
    rng = np.random.default_rng(3)
    at = places(rng, 20)
    groups = ["large"] * 10 + ["small"] * 10
    end = np.arange(20) / 100
    rung = np.where(np.arange(20) < 10, 0.5 + end, 0.4 - end)
    forecast = fit_forecast(at, rung, end, groups)
    assert forecast is not None
    # Within the groups the ranks agree fully and not at all; across them they would not.
    assert forecast.raw_correlation == pytest.approx(0.0, abs=1e-12)
    weighted = fit_forecast(at, rung, end, ["large"] * 10 + ["small"] * 4 + list(range(6)))
    assert weighted is not None
    assert weighted.raw_correlation == pytest.approx((10 - 4) / 14)
    scattered = fit_forecast(at, rung, end, [n // 3 for n in range(20)])
    assert scattered is not None
    assert scattered.correlation is None, "three ranks say nothing"
    assert not scattered.tells(0.0)


def test_scores_that_are_all_equal_tell_nothing():
    at = places(np.random.default_rng(4), 16)
    same = fit_forecast(at, np.full(16, 0.1), np.full(16, 0.1), ["one"] * 16)
    assert same is not None
    assert same.correlation is None
    assert same.raw_correlation is None
    assert same.residual_sd == pytest.approx(0.0, abs=1e-9)
    assert same.predict(at, np.full(16, 0.1)) == pytest.approx(np.full(16, 0.1))


def test_on_hard_labels_what_a_teacher_would_do_is_no_matter():
    rng = np.random.default_rng(5)
    at, rung, end = fast_starters(rng, 40)
    forecast = fit_forecast(at, rung, end, ["one"] * 40)
    assert forecast is not None
    hard = elsewhere(at, listening=np.zeros(40))
    other = elsewhere(hard, taught=rng.uniform(size=(40, 2)))
    assert np.array_equal(forecast.predict(hard, rung), forecast.predict(other, rung))
    assert not np.array_equal(
        forecast.predict(at, rung), forecast.predict(elsewhere(at, taught=other.taught), rung)
    )


def test_nobody_is_forecast_as_nobody():
    rng = np.random.default_rng(6)
    at, rung, end = fast_starters(rng, 20)
    forecast = fit_forecast(at, rung, end, ["one"] * 20)
    assert forecast is not None
    assert forecast.predict(at.pick(slice(0, 0)), []).shape == (0,)
