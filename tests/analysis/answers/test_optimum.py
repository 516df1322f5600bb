import dataclasses

import numpy as np
import pytest
from summary import compute_summary
from synthetic import evaluation, make_results, study_config, with_curve

from kdsearch.analysis.answers.optimum import _regrets, compute_optimum
from kdsearch.analysis.answers.optimum_view import optimum_sentences, optimum_table, region_words
from kdsearch.analysis.response.optimum_map import StratumMap
from kdsearch.analysis.response.searched import Setting, parameter_setting
from kdsearch.analysis.strata import compute_strata

pytestmark = pytest.mark.slow

WIDTHS = (8, 16, 32, 64, 128, 256)


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
    space = study_config(search=search).space
    settings = [parameter_setting(name, parameter) for name, parameter in space.items()]
    assert [s and (s.name, s.log) for s in settings] == [
        ("alpha", False), ("ensemble_size", True), None, ("width", False),
    ]  # fmt: skip


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
    said = [s for s in optimum_sentences(info) if s.startswith("The best temperature")]
    assert said[0].startswith("The best temperature grows with the width: ×1.")
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
    assert any("is not seen here" in sentence for sentence in optimum_sentences(info))
    assert info.shared["temperature"] == pytest.approx(4, rel=0.5)
    assert info.regret is not None
    assert info.regret.value < 0.004
    table = optimum_table(info)
    assert len(table.rows) == 6
    assert all(row[1] == "40" for row in table.rows)
    assert info.left_out == 0


def test_what_one_pair_costs_is_judged_by_draws_that_did_not_choose_it():
    """Where no pair is better than another, regret is nothing but luck, and must be zero."""
    costs = []
    for seed in range(300):
        noise = np.random.default_rng(seed).normal(size=(2, 20, 5, 5))
        maps = [StratumMap(None, 9, draws, ()) for draws in noise]
        cell, found = _regrets(maps)
        chosen = sum(
            m.draws[::2].mean(axis=0)[cell] - m.draws[::2].mean(axis=0).max() for m in maps
        )
        assert chosen <= 0, "by the draws that chose, another cell is better in each"
        assert all(len(cost) == 10 for cost in found)
        costs.append(np.mean(found))
    error = np.std(costs) / len(costs) ** 0.5
    assert error < 0.03
    assert abs(np.mean(costs)) < 3 * error, "half a standard deviation if the same draws judge"


def test_the_region_holds_the_best_pair_and_its_costs_are_told():
    info = optimum_of(study(0.0))
    for o in info.optima:
        temperatures, alphas = info.axes["temperature"], info.axes["alpha"]
        row = int(np.abs(np.log(temperatures / 4)).argmin())
        column = int(np.abs(alphas - 0.4).argmin())
        assert o.region.mask[row, column]
        assert o.region.share < 0.25
        assert o.region.cost < 0.01 < o.region.cost_of_chance < o.region.cost_of_worst
        low, high = o.box["temperature"]
        assert low <= o.best["temperature"] <= high
        assert o.edges == ()
    first = optimum_sentences(info)[0]
    assert "at width 8 T " in first
    assert region_words(info.optima[0], info) in first
    assert "which costs at most 0." in first


def test_the_setting_to_take_serves_the_neighbours_too():
    info = optimum_of(study(0.4, trials=24))
    temperatures, alphas = info.axes["temperature"], info.axes["alpha"]

    def cost(strata, pair):
        row = int(np.abs(temperatures - pair["temperature"]).argmin())
        column = int(np.abs(alphas - pair["alpha"]).argmin())
        return float(np.mean([o.region.expected[row, column] for o in strata]))

    for i, o in enumerate(info.optima):
        near = info.optima[max(i - 1, 0) : i + 2]
        assert cost([o], o.best) <= cost([o], o.serves)
        assert cost(near, o.serves) <= cost(near, o.best)
        row = int(np.abs(temperatures - o.serves["temperature"]).argmin())
        assert o.region.mask[row, int(np.abs(alphas - o.serves["alpha"]).argmin())]
    assert any(o.serves != o.best for o in info.optima)


def test_pruned_trials_inform_the_region():
    """Their ends are forecast from the rung; without them less is known."""
    whole = study(0.0, trials=48)
    trials = tuple(
        with_curve(t, t.val.accuracy - 0.2, t.val.accuracy, stopped=i % 3 > 0)
        for i, t in enumerate(t for t in whole.trials if t.width in (8, 16))
    )
    both = optimum_of(dataclasses.replace(whole, trials=trials))
    ended = tuple(t for t in trials if t.state == "COMPLETE")
    alone = optimum_of(dataclasses.replace(whole, trials=ended))
    assert [o.num_trials for o in both.optima] == [48, 48]
    assert [o.num_trials for o in alone.optima] == [16, 16]
    for more, less in zip(both.optima, alone.optima, strict=True):
        assert more.region.share < less.region.share
        assert more.region.cost < less.region.cost


def test_a_best_value_at_the_end_of_its_range_is_named():
    base = study(0.0)
    rising = tuple(
        t.model_copy(update={"val": evaluation(0.6 + 0.05 * np.log(t.learning_rate / 3e-4))})
        for t in base.trials
    )
    info = optimum_of(dataclasses.replace(base, trials=rising))
    assert all(("learning_rate", "high") in {e[:2] for e in o.edges} for o in info.optima)
    words = "The best learning rate lies at the upper end of its range (0.03) at 6 of 6 widths"
    assert any(sentence.startswith(words) for sentence in optimum_sentences(info))


def test_where_teachers_change_nothing_no_pair_stands_out():
    rng, base = np.random.default_rng(3), study(0.0)
    noise = tuple(
        t.model_copy(update={"val": evaluation(0.8 + float(rng.normal(0, 0.01)))})
        for t in base.trials
    )
    info = optimum_of(dataclasses.replace(base, trials=noise))
    assert np.median([o.region.share for o in info.optima]) > 0.6


def test_hard_labels_tell_about_alpha_one():
    """Both arms lie on one surface: where hard labels are best, the region reaches alpha 1."""
    base = make_results(widths=(8, 16), trials=24, replicates=0)
    moved = tuple(
        t.model_copy(update={"state": "COMPLETE", "val": evaluation(0.7 + 0.1 * t.alpha)})
        for t in base.trials
    )
    info = optimum_of(dataclasses.replace(base, trials=moved))
    for o in info.optima:
        assert o.box["alpha"][1] == 1.0
        assert o.best["alpha"] > 0.9
    assert info.num_trials == 96


def test_what_cannot_be_said_is_said():
    few = make_results(widths=(8, 16), trials=4, replicates=0)
    assert "it takes 16 in all" in optimum_of(few).missing
    assert optimum_sentences(optimum_of(few)) == ()
    figures = compute_summary(few).figures()
    assert "prune less" in figures["optimum"].missing
    rate = {"learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True}}
    fixed = dataclasses.replace(few, config=study_config(search=rate))
    assert "neither temperature nor alpha" in optimum_of(fixed).missing
