import dataclasses

import pytest
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.gain import compute_gain, gain_sentence, gain_verdict, pairing_words
from kdsearch.analysis.page import render_page
from kdsearch.analysis.strata import compute_strata
from kdsearch.analysis.summary import compute_summary


def with_accuracies(distilled, baseline):
    """One stratum whose confirmed test accuracies are given."""
    results = make_results(widths=(16,), trials=6, replicates=max(len(distilled), len(baseline)))
    trials = []
    for t in results.trials:
        if t.stage == "search":
            trials.append(t)
            continue
        values = distilled if t.arm == "distilled" else baseline
        if t.replicate <= len(values):
            test = evaluation(values[t.replicate - 1])
            trials.append(t.model_copy(update={"test": test, "test_correct": None}))
    return compute_gain(compute_strata(dataclasses.replace(results, trials=tuple(trials))))


def test_pairing_by_replicate_by_hand():
    info = with_accuracies([0.80, 0.82, 0.84], [0.79, 0.80, 0.81])
    gain = info.gains[1]
    assert gain.differences == pytest.approx((0.01, 0.02, 0.03))
    assert gain.estimate is not None
    assert gain.estimate.mean == pytest.approx(0.02)
    assert gain.estimate.se == pytest.approx(0.01 / 3**0.5)
    # t(2, 95 %) = 2.919986
    assert gain.estimate.low == pytest.approx(0.02 - 2.919986 * 0.01 / 3**0.5, abs=1e-6)
    assert gain.verdict == "helps"
    assert gain.examples is None


def test_only_replicates_of_both_arms_count():
    info = with_accuracies([0.80, 0.82, 0.84, 0.99], [0.79, 0.80])
    assert info.gains[1].differences == pytest.approx((0.01, 0.02))


@pytest.mark.parametrize(
    ("baseline", "verdict", "words"),
    [
        ([0.799, 0.801, 0.800], "no difference", "does not help"),
        ([0.85, 0.86, 0.84], "fell short", "not found to help, although alpha 1"),
        ([0.75, 0.87, 0.80], "unclear", "not shown to help"),
        ([0.80], "not measured", "one replicate"),
        ([], "not measured", "not known"),
    ],
)
def test_verdicts_in_words(baseline, verdict, words):
    info = with_accuracies([0.80, 0.80, 0.80], baseline)
    assert info.gains[1].verdict == verdict
    assert words in gain_sentence(info)


def test_distillation_hurts_only_where_hard_labels_were_not_to_be_chosen():
    interval = Estimate(mean=-0.02, n=5, se=0.005, low=-0.03, high=-0.01)
    assert gain_verdict(interval, 0.005) == "hurts"
    assert gain_verdict(interval, 0.005, includes_hard_labels=True) == "fell short"
    alpha = {"role": "nuisance", "low": 0.0, "high": 0.9}
    search = study_config().search
    for changed, includes in (({}, True), ({"alpha": alpha}, False)):
        tree = {n: p.model_dump(exclude_none=True) for n, p in search.items()} | changed
        results = make_results(widths=(8,), trials=2, config=study_config(search=tree))
        assert compute_strata(results).includes_hard_labels is includes


def test_bootstrap_over_examples_contains_the_mean(results):
    for gain in compute_gain(compute_strata(results)).gains:
        assert gain.estimate is not None
        assert gain.examples is not None
        assert gain.examples.low < gain.estimate.mean < gain.examples.high


def test_many_strata_are_joined(results):
    sentence = gain_sentence(compute_gain(compute_strata(results)))
    assert sentence == (
        "Distillation helps at width 8 to 64 and 256 (+0.6 to +2.7 points) and has no effect "
        "that these replicates can tell from zero at width 128 (+0.5 points), by 90 % intervals "
        "over n = 5 replicates."
    )


def test_different_students_are_compared_without_pairing():
    small = make_results(widths=(16,), trials=6, replicates=3)
    search = {"width": {"role": "nuisance", "values": [16, 64]}}
    trials = []
    for t in small.trials:
        update = {"stratum": {}}
        if t.arm == "distilled":
            update |= {"width": 64, "settings": t.settings | {"width": 64}}
        if t.stage == "confirm":
            value = {"distilled": (0.80, 0.82, 0.84), "baseline": (0.70, 0.70, 0.70)}[t.arm]
            update |= {"test": evaluation(value[t.replicate - 1]), "test_correct": None}
        trials.append(t.model_copy(update=update))
    results = dataclasses.replace(small, config=study_config(search=search), trials=tuple(trials))
    info = compute_gain(compute_strata(results))
    (gain,) = info.gains
    assert gain.unpaired
    assert gain.differences == ()
    assert gain.estimate is not None
    assert gain.estimate.mean == pytest.approx(0.12)
    assert gain_sentence(info) == (
        "Distillation helps (+12.0 points), by 90 % intervals over n = 3 replicates; the arms "
        "chose different students, so this compares the best distilled with the best hard-labels "
        "student and is not paired."
    )
    assert "unpaired" in pairing_words(info)
    assert "same seed" not in pairing_words(info)
    page = render_page(compute_summary(results), [], {})
    assert "are paired: both arms share seeds" not in page
    assert "else the best student of each arm is compared, unpaired" in page


def test_same_student_is_paired_whatever_its_learning_rate(results):
    info = compute_gain(compute_strata(results))
    assert not any(g.unpaired for g in info.gains)
    assert "same seed, so the same initial weights" in pairing_words(info)


def test_a_baseline_that_was_not_asked_for_is_not_called_unconfirmed():
    results = make_results(widths=(8,), trials=4, replicates=2, arms=("distilled",))
    config = study_config(confirm={"baseline": False, "replicates": 2})
    info = compute_gain(compute_strata(dataclasses.replace(results, config=config)))
    assert gain_sentence(info) == (
        "Whether distillation helps was not asked: confirm.baseline is false."
    )
    assert "not known" in gain_sentence(compute_gain(compute_strata(results)))


def test_the_study_decides_confidence_and_tolerance():
    results = make_results(widths=(64, 128), trials=6, replicates=5)
    usual = compute_gain(compute_strata(results))
    config = study_config(study={"confidence": 0.99, "tolerance": 0.1})
    asked = dataclasses.replace(results, config=config)
    strict = compute_gain(compute_strata(asked))
    for a, b in zip(usual.gains[3:5], strict.gains[3:5], strict=True):
        assert a.estimate is not None
        assert b.estimate is not None
        # t(4): 4.604 at 99 %, 2.132 at 90 %
        width = (b.estimate.high - b.estimate.mean) / (a.estimate.high - a.estimate.mean)
        assert width == pytest.approx(4.604 / 2.132, rel=1e-3)
    assert "no difference of 10 points anywhere" in gain_sentence(strict)
    page = render_page(compute_summary(asked), [], {})
    assert "99 % interval" in page
    assert "90 % interval" not in page
