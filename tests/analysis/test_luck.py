"""The luck of the search, from candidates that were confirmed side by side."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from summary import compute_summary
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.answers.gain import compute_gain
from kdsearch.analysis.luck import luck_words
from kdsearch.analysis.strata import compute_strata

WIDTHS = (8, 16, 32, 64)
SEARCHED = 4
DEVIATIONS = (-0.001, 0.0, 0.001)


def accuracies(width, arm):
    return [0.8 + 0.01 * np.log2(width) + (arm == "distilled") * 0.02 + d for d in DEVIATIONS]


def study(gaps=None, *, arms=("distilled", "baseline"), replicates=3, **changes):
    """`gaps`: by how much the rival of each width's choice is worse on test, in `arms`."""
    base = make_results(widths=WIDTHS, trials=SEARCHED, replicates=replicates, **changes)
    trials = []
    for t in base.trials:
        if t.stage == "search":
            trials.append(t)
            continue
        value = accuracies(t.width, t.arm)[t.replicate - 1]
        run = t.model_copy(update={"test": evaluation(value), "test_correct": None})
        if gaps is None or t.arm not in arms:
            trials.append(run)
            continue
        rival = t.trial + 1 if t.trial % SEARCHED == 0 else t.trial - 1
        run = run.model_copy(update={"candidates": (t.trial, rival), "searched": SEARCHED})
        other = value - gaps[t.width] + 0.0005 * DEVIATIONS[-t.replicate] / 0.001
        update = {"trial": rival, "test": evaluation(other), "val": evaluation(0.1)}
        trials += [run, run.model_copy(update=update)]
    return dataclasses.replace(base, trials=tuple(trials))


def replicates_of(choice):
    return [t.test.accuracy for t in choice.replicates]


GAPS = {8: 0.004, 16: -0.003, 32: 0.006, 64: -0.005}


def test_pairs_of_candidates_give_differences_by_hand():
    info = compute_strata(study(GAPS, arms=("distilled",)))
    luck = info.distilled_luck
    assert luck.spread is not None
    assert luck.spread.differences == pytest.approx(list(GAPS.values()))
    # Each differs by 0.0005 from replicate to replicate: about 0.0005 / sqrt 3.
    assert luck.spread.errors == pytest.approx(np.full(4, 0.0005 / 3**0.5), rel=0.4)
    assert luck.num_pairs == 4
    # Differences have twice the variance of one search.
    size = np.sqrt(np.mean(np.square(list(GAPS.values()))) / 2)
    assert luck.sd == pytest.approx(size, rel=0.3)
    assert info.baseline_luck == (None, 0.0, 0)
    chosen = [s.distilled for s in info.strata if s.distilled and s.distilled.rivals]
    assert [replicates_of(c) for c in chosen] == [
        pytest.approx(accuracies(width, "distilled")) for width in WIDTHS
    ]


def test_candidates_are_paired_by_replicate():
    results = study(GAPS)
    without = tuple(
        t
        for t in results.trials
        if t.stage == "search" or t.replicate != 2 or (t.val and t.val.accuracy > 0.1)
    )
    luck = compute_strata(dataclasses.replace(results, trials=without)).distilled_luck
    assert luck.spread is not None
    # Left are the replicates 1 and 3, whose differences are the gap -+ 0.0005.
    assert luck.spread.differences == pytest.approx(list(GAPS.values()))
    one = tuple(t for t in without if t.stage == "search" or t.replicate < 3)
    assert compute_strata(dataclasses.replace(results, trials=one)).distilled_luck.num_pairs == 0


def test_without_rivals_nothing_is_known_and_nothing_added():
    info = compute_strata(study())
    assert info.distilled_luck == info.baseline_luck == (None, 0.0, 0)
    assert luck_words(info) == ""


def gains(results):
    found = compute_gain(compute_strata(results)).gains
    return [g.estimate for g in found if g.estimate is not None]


def verdicts(results):
    found = compute_gain(compute_strata(results)).gains
    return {g.verdict for g in found if g.estimate is not None}


def test_luck_of_both_searches_enters_the_interval_of_the_gain():
    alone, one, both = (
        gains(study(gaps, arms=arms))
        for gaps, arms in (
            (None, ()), (GAPS, ("distilled",)), (GAPS, ("distilled", "baseline"))
        )
    )  # fmt: skip
    luck = compute_strata(study(GAPS)).distilled_luck
    for estimates in zip(alone, one, both, strict=True):
        means, errors, lows, highs = np.array([[e.mean, e.se, e.low, e.high] for e in estimates]).T
        assert means == pytest.approx(means[0])
        assert errors[1:] == pytest.approx(np.hypot(errors[:-1], luck.sd))
        widths = list(highs - lows)
        assert widths == sorted(widths)
        assert widths[0] < 0.7 * widths[1]


def test_luck_that_is_larger_than_the_gain_leaves_it_unclear():
    assert verdicts(study()) == {"helps"}
    large = {8: 0.06, 16: -0.05, 32: 0.07, 64: -0.06}
    assert verdicts(study(large)) == {"unclear"}


def test_luck_enters_the_interval_of_a_test_accuracy_and_not_its_standard_error():
    for info in (compute_strata(study()), compute_strata(study(GAPS))):
        choice = info.strata[1].distilled
        assert choice is not None
        estimate = choice.test_score
        assert estimate is not None
        assert estimate.se == pytest.approx(0.001 / 3**0.5)
        assert estimate.high is not None
        reach = estimate.high - estimate.mean
        if info.distilled_luck.num_pairs:
            assert reach > stats.t.ppf(0.95, 8) * info.distilled_luck.sd
        else:
            assert reach < 0.002


def test_luck_widens_the_saturation_interval():
    calm, lucky = (compute_summary(study(gaps)).saturation.fit for gaps in (None, GAPS))
    assert calm is not None
    assert lucky is not None
    assert lucky.size_effect_sd > 2 * calm.size_effect_sd
    assert np.ptp(lucky.last_doubling) > np.ptp(calm.last_doubling)


def test_a_baseline_that_several_strata_share_counts_once():
    search = {
        "ensemble_size": {"role": "scientific", "values": [1, 2]},
        "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-2},
    }
    results = study(GAPS)
    one = [t for t in results.trials if t.width == 64]
    trials = [
        t.model_copy(
            update={
                "stratum": {"ensemble_size": k},
                "trial": t.trial + 100 * k,
                "candidates": tuple(c + 100 * k for c in t.candidates),
            }
        )
        for k in (1, 2)
        for t in one
        if t.arm == "distilled"
    ] + [t.model_copy(update={"stratum": {}}) for t in one if t.arm == "baseline"]
    config = study_config(search=search)
    info = compute_strata(dataclasses.replace(results, config=config, trials=tuple(trials)))
    assert all(s.baseline and s.baseline.rivals for s in info.strata)
    assert info.distilled_luck.num_pairs == 2
    assert info.baseline_luck.num_pairs == 1


def test_the_report_says_what_intervals_cover():
    info = compute_strata(study(GAPS))
    words = luck_words(info)
    assert words.startswith("Another search would have chosen settings whose accuracy differs")
    assert f"{100 * info.distilled_luck.sd:.2f}" in words
    assert "8 pairs of candidates" in words
