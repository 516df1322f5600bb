"""From records of a study to the surface through them."""

import math

import numpy as np
import pytest

from kdsearch.analysis.response.response import (
    MIN_TRIALS,
    Encoding,
    Who,
    fit_response,
    forecast_at,
    stratum_of,
    who_of,
)
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, history, make_record

CONFIG = small_study()
D4, D8, B4, B8 = range(4)
RATES = np.geomspace(1e-3, 1e-1, 12)


def distilled(**settings):
    usual = {"temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01, "ensemble_size": 1}
    return Who("distilled", usual | {"width": 4} | settings)


def baseline(**settings):
    return Who("baseline", {"alpha": 1.0, "learning_rate": 0.01, "width": 4} | settings)


def score(rate):
    """Best at a rate of 0.01."""
    return 0.9 - 0.2 * math.log10(rate / 0.01) ** 2


def lived(config=CONFIG, lanes=(D4, D8), rates=RATES, **settings):
    """Complete trials of some lanes, one for each learning rate."""
    return [
        make_record(
            config, lane * len(rates) + i, lane=lane, val=score(rate) + 0.02 * (lane % 2),
            settings={"learning_rate": float(rate)} | settings,
        )
        for lane in lanes
        for i, rate in enumerate(rates)
    ]  # fmt: skip


def test_numbers_lie_on_the_scale_that_was_searched_and_words_have_one_axis_each():
    words = {"role": "nuisance", "values": ["adam", "sgd", "adamw"]}
    config = small_study(**{"search__training.optimizer": words})
    encoding = Encoding.of(config)
    assert [axis.name for axis in encoding.stratum] == ["width"]
    assert [axis.name for axis in encoding.own] == ["learning_rate", "training.optimizer"]
    assert [axis.name for axis in encoding.taught] == ["ensemble_size", "temperature"]
    assert encoding.alpha == "alpha"
    at = encoding.places([
        distilled(**{"temperature": math.sqrt(10), "training.optimizer": "adam"}),
        distilled(**{"learning_rate": 0.1, "training.optimizer": "adamw", "width": 8}),
        distilled(ensemble_size=2, alpha=0.25),
    ])  # fmt: skip
    half = math.sqrt(0.5)
    assert at.stratum == pytest.approx(np.array([[0.0], [1.0], [0.0]]))
    assert at.own == pytest.approx(
        np.array([
            [0.5, half, 0, 0, 0.5],
            [1.0, 0, 0, half, 0.5],
            [0.5, 0, 0, 0, 0.25],  # a word that is missing is none of them
        ])
    )  # fmt: skip
    assert at.taught == pytest.approx(
        np.array([[0.0, 0.5], [0.0, math.log10(2)], [1.0, math.log10(2)]])
    )
    assert at.listening == pytest.approx(np.array([0.5, 0.5, 0.75]))
    words_apart = at.own[0, 1:4] - at.own[1, 1:4]
    assert float(words_apart @ words_apart) == pytest.approx(1.0), "one length scale"


def test_what_cannot_differ_is_no_axis():
    config = small_study(
        search__width={"role": "fixed", "value": 4},
        search__alpha={"role": "fixed", "value": 0.25},
        search__ensemble_size={"role": "nuisance", "values": [2]},
    )
    encoding = Encoding.of(config)
    assert encoding.stratum == ()
    assert [axis.name for axis in encoding.taught] == ["temperature"]
    assert encoding.alpha is None
    at = encoding.places([distilled(), baseline()])
    assert at.stratum.shape == (2, 0)
    assert at.own == pytest.approx(np.array([[0.5], [0.5]]))
    assert at.listening == pytest.approx(np.array([0.75, 0.0])), "as the file fixes it"
    assert len(encoding.places([])) == 0


def test_sizes_of_a_ladder_are_one_axis_with_those_between_its_steps():
    search = CONFIG.model_dump(mode="json", exclude_defaults=True)["search"]
    del search["width"]
    config = small_study(search=search, study={"ladder": {"start": 2, "max": 512}})
    encoding = Encoding.of(config)
    assert [axis.name for axis in encoding.stratum] == ["width"]
    at = encoding.places([distilled(width=size) for size in (2, 32, 45, 512)])
    expected = [0.0, 0.5, math.log(45 / 2) / math.log(256), 1.0]
    assert at.stratum[:, 0] == pytest.approx(np.array(expected))


def test_a_stratum_is_what_hard_labels_see_of_it():
    config = small_study(search__ensemble_size={"role": "scientific", "values": [1, 2]})
    encoding = Encoding.of(config)
    assert [axis.name for axis in encoding.stratum] == ["width"]
    assert "ensemble_size" in [axis.name for axis in encoding.taught]
    strata = {stratum_of(encoding, who) for who in (distilled(ensemble_size=2), baseline())}
    assert strata == {(4,)}


def test_hard_labels_are_one_place_whichever_arm_trained_on_them():
    response = fit_response(CONFIG, lived(lanes=(D4, D8, B4, B8)))
    assert response is not None
    rates = (0.002, 0.01, 0.05)
    by_baseline = [baseline(learning_rate=rate) for rate in rates]
    by_distilled = [distilled(alpha=1.0, temperature=7.0, learning_rate=rate) for rate in rates]
    hard, twin = (response.encoding.places(who) for who in (by_baseline, by_distilled))
    assert np.array_equal(hard.stratum, twin.stratum)
    assert np.array_equal(hard.own, twin.own)
    assert np.array_equal(hard.listening, np.zeros(3))
    assert np.array_equal(twin.listening, np.zeros(3))
    assert np.array_equal(response.mean(by_baseline), response.mean(by_distilled))
    taught = [distilled(alpha=0.0, temperature=t) for t in (1.0, 7.0)]
    assert not np.array_equal(*response.encoding.places(taught).taught)


def test_it_takes_sixteen_complete_trials_whatever_lane_they_are_of():
    records = lived()[: MIN_TRIALS - 1]
    pruned = make_record(CONFIG, 90, state="PRUNED", history=history(0.5))
    confirm = lived()[-1].model_copy(update={"stage": "confirm", "replicate": 1})
    assert fit_response(CONFIG, [*records, pruned, confirm]) is None
    assert fit_response(CONFIG, [*records, pruned, lived()[-1]]) is not None
    assert fit_response(CONFIG, records, least=8) is not None


def test_scores_come_back_in_their_own_units_for_every_stratum():
    response = fit_response(CONFIG, lived())
    assert response is not None
    people = [distilled(learning_rate=0.01), distilled(learning_rate=0.03, width=8)]
    expected = [score(0.01), score(0.03) + 0.02]
    assert response.mean(people) == pytest.approx(np.array(expected), abs=0.02)
    draws = response.draws_of([response.surface], people, 2000, np.random.default_rng(0))
    assert draws.shape == (2000, 2)
    assert draws.mean(0) == pytest.approx(response.mean(people), abs=0.01)
    assert (response.noise(people) < 0.03).all()


def test_draws_take_turns_with_the_scales():
    response = fit_response(CONFIG, lived())
    assert response is not None
    people = [distilled(learning_rate=rate) for rate in (0.001, 0.01)]
    two = response.surface.sampled(2, np.random.default_rng(0))
    both = response.draws_of(two, people, 3, np.random.default_rng(1))
    first = response.draws_of(two[:1], people, 3, np.random.default_rng(1))
    assert both.shape == (6, 2)
    assert np.array_equal(both[::2], first)
    assert not np.isin(both[1::2], first).any()


def test_a_loss_is_turned_so_that_higher_is_better():
    config = small_study(objective={"metric": "val_loss", "direction": "minimize"})
    records = [
        r.model_copy(update={"val": evaluation(0.5, loss=2.0 - score(float(rate)))})
        for r, rate in zip(lived(config), [*RATES, *RATES], strict=True)
    ]
    response = fit_response(config, records)
    assert response is not None
    good, bad = response.mean([distilled(learning_rate=rate) for rate in (0.01, 0.1)])
    assert good == pytest.approx(score(0.01) - 2.0, abs=0.03)
    assert bad < good - 0.1


@pytest.mark.parametrize("last", [(), history(0.5), history(0.99)])
def test_failed_trials_count_as_the_worst(last):
    # No complete trial was hot: nothing but the failures tells of it.
    records = lived(temperature=1.5)
    failed = [
        make_record(
            CONFIG, 50 + i, lane=i % 2, state="FAIL", history=last,
            settings={"learning_rate": float(rate), "temperature": 9.0, "alpha": 0.1},
        )
        for i, rate in enumerate(RATES)
    ]  # fmt: skip
    hot = [distilled(temperature=9.0, alpha=0.1), distilled(temperature=8.0, alpha=0.1, width=8)]
    before, after = fit_response(CONFIG, records), fit_response(CONFIG, [*records, *failed])
    assert before is not None
    assert after is not None
    assert (before.mean(hot) > 0.85).all()
    worst = min(r.val.accuracy for r in records if r.val)
    assert after.mean(hot) == pytest.approx(np.full(2, worst), abs=0.05)
    assert after.mean([distilled(temperature=1.5)])[0] == pytest.approx(score(0.01), abs=0.03)


TO_COME = 0.2
"""What every student gains after the third epoch."""


def with_rung(record, end):
    rung = end - TO_COME
    curve = history(rung - 0.1, rung - 0.05, rung, end - 0.01, end)
    return record.model_copy(update={"history": curve, "epochs": 5})


def test_pruned_trials_count_as_what_their_rung_forecasts():
    records = [with_rung(r, r.val.accuracy) for r in lived()]
    encoding = Encoding.of(CONFIG)
    forecast = forecast_at(CONFIG, encoding, 3, records)
    assert forecast is not None
    # With two teachers students end 0.3 lower, but none of them was trained to its end.
    ends = [score(float(rate)) - 0.3 for rate in RATES]
    pruned = [
        make_record(
            CONFIG, 60 + i, state="PRUNED", epochs=3, val=end - TO_COME,
            history=history(0.1, 0.1, end - TO_COME),
            settings={"learning_rate": float(rate), "ensemble_size": 2},
        )
        for i, (rate, end) in enumerate(zip(RATES, ends, strict=True))
    ]  # fmt: skip
    at = encoding.places([who_of(r) for r in pruned])
    forecasts = forecast.predict(at, [r.history[-1].val_accuracy for r in pruned])
    assert forecasts == pytest.approx(np.array(ends), abs=0.03)
    before, after = fit_response(CONFIG, records), fit_response(CONFIG, [*records, *pruned])
    assert before is not None
    assert after is not None
    assert len(after.surface.places) == len(records) + len(pruned)
    two = [distilled(ensemble_size=2)]
    assert before.mean(two)[0] > 0.85
    assert after.mean(two)[0] == pytest.approx(score(0.01) - 0.3, abs=0.05), "not 0.5 lower"


def test_rungs_that_nobody_outlived_forecast_nothing_and_their_trials_are_left_out():
    records = [with_rung(r, r.val.accuracy) for r in lived()]
    encoding = Encoding.of(CONFIG)
    assert forecast_at(CONFIG, encoding, 5, records) is None, "the last epoch forecasts itself"
    assert forecast_at(CONFIG, encoding, 3, records[:11]) is None
    pruned = make_record(CONFIG, 60, state="PRUNED", val=0.1, history=history(*[0.1] * 5))
    response = fit_response(CONFIG, [*records, pruned])
    assert response is not None
    assert len(response.surface.places) == len(records)


def test_a_stratum_without_a_complete_trial_waits():
    records = lived(lanes=(D4, B4))
    alone = make_record(CONFIG, 60, lane=D8, state="FAIL")
    response = fit_response(CONFIG, [*records, alone])
    assert response is not None
    assert len(response.surface.places) == len(records)
    assert np.isfinite(response.mean([distilled(width=8)])).all()
