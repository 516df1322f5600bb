import dataclasses

import numpy as np
import pytest
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.answers.data_share import _rising, compute_data_share, data_share_sentence
from kdsearch.analysis.strata import compute_strata

FRACTIONS = (0.05, 0.1, 0.2, 0.5, 1.0)
SEARCH = {
    "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
    "data.train_fraction": {"role": "scientific", "values": list(FRACTIONS)},
}


def accuracy(fraction, arm):
    """Doubling the data adds 0.02; distillation is worth 0.04, that is two doublings."""
    return 0.8 + 0.02 * np.log2(fraction) + (0.04 if arm == "distilled" else 0.0)


def share_study(*, replicates=5, sd=0.002, seed=0, shape=accuracy, search=SEARCH):
    base = make_results(widths=(16,), trials=4, replicates=replicates)
    rng, trials = np.random.default_rng(seed), []
    for fraction in FRACTIONS:
        for t in base.trials:
            key = {"data.train_fraction": fraction}
            update = {"stratum": key, "settings": t.settings | key}
            if t.stage == "confirm":
                value = shape(fraction, t.arm) + rng.normal(0, sd)
                update |= {"test": evaluation(float(value)), "test_correct": None}
            trials.append(t.model_copy(update=update))
    return dataclasses.replace(base, config=study_config(search=search), trials=tuple(trials))


def test_isotonic_regression_by_hand():
    rows = np.array([[1.0, 3.0, 2.0, 4.0], [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    expected = [[1.0, 2.5, 2.5, 4.0], [2.5] * 4, [1.0, 2.0, 3.0, 4.0]]
    assert _rising(rows) == pytest.approx(np.array(expected))


def test_a_known_saving_is_found():
    info = compute_data_share(compute_strata(share_study(seed=1)))
    assert info is not None
    (curve,) = info.curves
    assert curve.need is not None
    assert curve.need.fraction == pytest.approx(0.25, rel=0.15)
    assert curve.need.low < 0.25 < curve.need.high
    sentence = data_share_sentence(info)
    assert sentence.startswith("To match the hard-labels student with all training data, the ")
    assert "of the data (90 % interval" in sentence
    assert "n = 5" in sentence


def test_the_interval_covers_the_truth_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        info = compute_data_share(compute_strata(share_study(replicates=3, sd=0.006, seed=seed)))
        need = info.curves[0].need
        covered += (need.low or 0) <= 0.25 <= (need.high or 9)
    assert covered >= 48  # 90 % of 60 is 54, with a standard error of 2.3


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (-0.03, "does not suffice with any share tested"),
        (0.2, "needs at most 5 %, the least tested"),
        (0.003, "that it needs no less data is not excluded"),
    ],
)
def test_the_ends_of_the_range_are_said(gain, words):
    def shape(fraction, arm):
        return 0.7 + 0.01 * np.log2(fraction) + (gain if arm == "distilled" else 0.0)

    info = compute_data_share(compute_strata(share_study(shape=shape)))
    assert words in data_share_sentence(info)


def test_other_studies_are_not_asked(results):
    assert compute_data_share(compute_strata(results)) is None
    assert data_share_sentence(None) == ""
