import dataclasses

import numpy as np
import pytest
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.figures import build_figures
from kdsearch.analysis.optimum import IDENTIFIED, compute_optimum
from kdsearch.analysis.optimum_view import optimum_sentences, optimum_table
from kdsearch.analysis.searched import Setting, numeric_settings
from kdsearch.analysis.strata import compute_strata
from kdsearch.analysis.style import figure_style
from kdsearch.analysis.summary import compute_summary
from kdsearch.analysis.surrogate import fit_surrogate

WIDTHS = (8, 16, 32, 64, 128, 256)


def surface(points, best):
    """A smooth top at `best` in the first two settings and at 0.5 in the third."""
    goal = np.array([*best, 0.5])
    return 0.9 - np.array([0.3, 0.3, 0.4])[: len(goal)] @ ((points - goal) ** 2).T


def test_draws_pass_near_the_trials():
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(40, 3))
    values = surface(points, (0.3, 0.6))
    draws = fit_surrogate(points, values).at(points)
    assert draws.shape[1] == 40
    assert np.abs(np.median(draws, axis=0) - values).max() < 0.02


def test_the_interval_of_the_maximum_covers_it_as_often_as_it_says():
    rng, covered, widths = np.random.default_rng(1), 0, []
    for seed in range(30):
        best = rng.uniform(0.15, 0.85, 2)
        points = rng.uniform(size=(24, 3))
        values = surface(points, best) + rng.normal(0, 0.005, 24)
        maxima = fit_surrogate(points, values, seed=seed).maxima()
        low, high = np.quantile(maxima[:, :2], [0.05, 0.95], axis=0)
        covered += int(((low <= best) & (best <= high)).sum())
        widths.append(float((high - low).mean()))
    assert covered >= 48  # 90 % of 60 is 54, with a standard error of 2.3
    assert np.mean(widths) < 0.6


def test_noise_alone_pins_nothing_down():
    rng = np.random.default_rng(2)
    spans = []
    for seed in range(8):
        values = 0.8 + rng.normal(0, 0.01, 20)
        maxima = fit_surrogate(rng.uniform(size=(20, 2)), values, seed=seed).maxima()
        spans.append(float(np.ptp(np.quantile(maxima[:, 0], [0.05, 0.95]))))
    assert np.median(spans) > IDENTIFIED


def test_settings_are_scaled_as_they_are_searched():
    setting = Setting("temperature", 1.0, 100.0, log=True)
    assert float(setting.unit(10.0)) == pytest.approx(0.5)
    assert float(setting.value(0.5)) == pytest.approx(10.0)
    search = {
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        "ensemble_size": {"role": "nuisance", "values": [1, 2, 4]},
        "training.optimizer": {"role": "nuisance", "values": ["adam", "sgd"]},
        "width": {"role": "scientific", "values": [8, 16]},
    }
    settings, words = numeric_settings(study_config(search=search))
    assert [(s.name, s.log) for s in settings] == [("alpha", False), ("ensemble_size", True)]
    assert words == ("training.optimizer",)


def study(growth, *, trials=40, seed=0, sd=0.003):
    """A search in which the best log T grows by `growth` for each doubling of the width."""
    base = make_results(widths=WIDTHS, trials=trials, replicates=0, arms=("distilled",))
    rng, moved = np.random.default_rng(seed), []
    for t in base.trials:
        centre = np.log(4) + growth * (np.log2(t.width) - 5.5)
        loss = 0.05 * (np.log(t.temperature) - centre) ** 2 + 0.1 * (t.alpha - 0.4) ** 2
        loss += 0.03 * np.log(t.learning_rate / 4e-3) ** 2
        value = 0.85 - float(loss) + float(rng.normal(0, sd))
        moved.append(t.model_copy(update={"val": evaluation(value), "state": "COMPLETE"}))
    return dataclasses.replace(base, trials=tuple(moved))


def optimum_of(results):
    return compute_optimum(results, compute_strata(results))


def test_a_best_temperature_that_grows_is_seen():
    info = optimum_of(study(0.35))
    trend = next(t for t in info.trends if t.target == "temperature")
    assert trend.verdict == "grows"
    assert trend.low < np.exp(0.35) < trend.high
    assert optimum_sentences(info)[0].startswith("The best temperature grows with the width: ×1.")
    # One temperature for all is wrong by up to 0.9 in log T at the ends: 0.05 * 0.9^2 = 0.04
    assert info.regret is not None
    assert info.regret.low > 0
    assert 0.005 < info.regret.value < 0.04
    for optimum in info.optima:
        truth = np.exp(np.log(4) + 0.35 * (np.log2(optimum.size) - 5.5))
        assert 0.7 * optimum.located["temperature"].low < truth
        assert truth < 1.4 * optimum.located["temperature"].high


def test_one_that_does_not_is_not_seen():
    info = optimum_of(study(0.0))
    trend = next(t for t in info.trends if t.target == "temperature")
    assert trend.verdict == "not seen"
    assert "is not seen here" in optimum_sentences(info)[0]
    assert info.shared["temperature"] == pytest.approx(4, rel=0.5)
    assert info.regret is not None
    assert info.regret.value < 0.004
    table = optimum_table(info)
    assert len(table.rows) == 6
    assert all(row[1] == "40" for row in table.rows)
    assert info.left_out == 0


def test_what_cannot_be_said_is_said():
    few = make_results(widths=(8, 16), trials=4, replicates=0)
    assert "6 complete distilled trials" in optimum_of(few).missing
    assert optimum_sentences(optimum_of(few)) == ()
    with figure_style():
        figures = {f.name: f for f in build_figures(compute_summary(few))}
    assert "prune less" in figures["optimum"].missing
    rate = {"learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True}}
    fixed = dataclasses.replace(few, config=study_config(search=rate))
    assert "neither temperature nor alpha" in optimum_of(fixed).missing
