import dataclasses

import numpy as np
import pytest
from scipy import stats
from summary import compute_summary
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.answers.gain import compute_gain, gain_sentence, pairing_words
from kdsearch.analysis.comparison import effect_verdict
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.statistics.variance import shrunk_variances
from kdsearch.analysis.strata import compute_strata


def with_accuracies(distilled, baseline):
    """One stratum whose confirmed test accuracies are given."""
    return with_strata({16: (distilled, baseline)})


def with_strata(accuracies, **changes):
    """Test accuracies of both arms by width, one a replicate."""
    most = max(len(values) for arms in accuracies.values() for values in arms)
    results = make_results(widths=tuple(accuracies), trials=6, replicates=most, **changes)
    trials = []
    for t in results.trials:
        if t.stage == "search":
            trials.append(t)
            continue
        values = accuracies[t.width][t.arm == "baseline"]
        if t.replicate <= len(values):
            test = evaluation(values[t.replicate - 1])
            trials.append(t.model_copy(update={"test": test, "test_correct": None}))
    return compute_gain(compute_strata(dataclasses.replace(results, trials=tuple(trials))))


def gained(mean, deviations=(-0.002, -0.001, 0.0, 0.001, 0.002)):
    """Accuracies of both arms whose differences have this mean and scatter."""
    return [0.8 + mean + d for d in deviations], [0.8] * len(deviations)


def measured(info):
    return [g for g in info.gains if g.estimate is not None]


def test_one_stratum_is_a_paired_t_interval_by_hand():
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


def test_pairing_by_replicate_with_variances_shrunk_over_strata_by_hand():
    scatter = {8: 0.001, 16: 0.002, 32: 0.003, 64: 0.0015}
    deviations = np.array([-1.0, 0.0, 1.0])
    info = with_strata({w: gained(0.02, sd * deviations) for w, sd in scatter.items()})
    variances = np.array(list(scatter.values())) ** 2
    shrunk = shrunk_variances(np.arange(4.0), variances, np.full(4, 2.0))
    for g, own, variance in zip(measured(info), variances, shrunk.values, strict=True):
        assert g.differences == pytest.approx(0.02 + own**0.5 * deviations)
        assert g.estimate.n == 3
        assert g.estimate.mean == pytest.approx(0.02)
        assert g.estimate.se == pytest.approx((variance / 3) ** 0.5)
        reach = stats.t.ppf(0.95, shrunk.dof) * (variance / 3) ** 0.5
        assert g.estimate.low == pytest.approx(0.02 - reach)
        assert g.estimate.high == pytest.approx(0.02 + reach)
        assert g.verdict == "helps"
        assert g.examples is None


def test_strata_borrow_from_each_other():
    wild = gained(0.02, (-0.02, 0.0, 0.02))
    calm = {w: gained(0.02, (-0.002, 0.0, 0.002)) for w in (8, 16, 64, 128, 256)}
    found = {g.label: g.estimate for g in measured(with_strata({**calm, 32: wild}))}
    assert found["width 16"].se < found["width 32"].se < 0.9 * 0.02 / 3**0.5
    assert found["width 16"].se > 0.002 / 3**0.5


def test_all_verdicts_together_hold_the_level():
    # Mean 0.002 and t(4) = 2.6: p = 0.06 alone.
    lone = gained(0.002, np.array([-2.0, -1, 0, 1, 2]) * 0.00172 / 2.5**0.5)
    p = stats.ttest_1samp(np.subtract(*lone), 0).pvalue
    assert p == pytest.approx(0.06, abs=0.001)
    (alone,) = measured(with_strata({16: lone}))
    assert alone.verdict == "helps"
    assert alone.estimate.low > 0
    nulls = {w: gained(0.0, np.subtract(*lone) - 0.002) for w in (8, 32, 64, 128, 256)}
    joint = {g.label: g for g in measured(with_strata({16: lone, **nulls}))}
    assert joint["width 16"].verdict != "helps"
    assert joint["width 16"].estimate.low > 0, "its own interval is still of its own level"
    clear = {w: gained(0.02) for w in (8, 16, 32, 64, 128, 256)}
    assert {g.verdict for g in measured(with_strata(clear))} == {"helps"}


def test_no_difference_anywhere_is_a_joint_claim_too():
    # Half width of the 90 % interval: t(20 or more, 95 %) * 0.0047 / sqrt 5 = 0.0036
    scatter = np.array([-2.0, -1, 0, 1, 2]) * 0.0047 / 2.5**0.5
    (alone,) = measured(with_strata({16: gained(0.0, 0.9 * scatter)}))
    assert alone.verdict == "no difference"
    many = measured(with_strata({w: gained(0.0003, scatter) for w in (8, 16, 32, 64, 128, 256)}))
    assert all(g.estimate.low > -0.005 and g.estimate.high < 0.005 for g in many)
    assert {g.verdict for g in many} == {"unclear"}


def test_only_replicates_of_both_arms_count():
    info = with_accuracies([0.80, 0.82, 0.84, 0.99], [0.79, 0.80])
    assert info.gains[1].differences == pytest.approx((0.01, 0.02))


def test_arms_are_paired_by_number_and_not_by_position():
    shared = {1: 0.70, 2: 0.80, 3: 0.90, 4: 0.75}
    base = make_results(widths=(16,), trials=6, replicates=4)
    trials = [
        t.model_copy(
            update={
                "test": evaluation(shared[t.replicate] + 0.02 * (t.arm == "distilled")),
                "test_correct": None,
            }
        )
        if t.stage == "confirm"
        else t
        for t in base.trials
        if (t.stage, t.arm, t.replicate) not in {
            ("confirm", "baseline", 1), ("confirm", "distilled", 3),
        }
    ]  # fmt: skip
    (gain,) = measured(
        compute_gain(compute_strata(dataclasses.replace(base, trials=tuple(trials))))
    )
    assert gain.differences == pytest.approx((0.02, 0.02)), "replicates 2 and 4"
    assert gain.estimate.n == 2
    assert gain.estimate.se < 1e-4
    assert gain.verdict == "helps"


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
    worse = {16: gained(-0.02)}
    alpha = {"role": "nuisance", "low": 0.0, "high": 0.9}
    search = study_config().search
    for changed, includes in (({}, True), ({"alpha": alpha}, False)):
        tree = {n: p.model_dump(exclude_none=True) for n, p in search.items()} | changed
        config = study_config(search=tree)
        results = make_results(widths=(8,), trials=2, config=config)
        assert compute_strata(results).includes_hard_labels is includes
        (gain,) = measured(with_strata(worse, config=config))
        assert gain.verdict == ("fell short" if includes else "hurts")


def test_a_search_that_looked_at_something_else_is_not_said_to_have_missed_it():
    worse = {16: gained(-0.02)}
    by_agreement = study_config(study={"metric": "agreement"})
    info = with_strata(worse, config=by_agreement)
    (gain,) = measured(info)
    assert gain.verdict == "fell short"
    assert info.chosen_by == "validation accuracy"
    sentence = gain_sentence(info)
    assert "alpha 1" not in sentence
    assert sentence.startswith("Distillation is not shown to help: it falls short of hard labels ")
    assert sentence.endswith("; the settings of both arms were chosen by validation accuracy.")
    same = study_config(study={"metric": "agreement"}, objective={"metric": "val_agreement"})
    assert "although alpha 1" in gain_sentence(with_strata(worse, config=same))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.001, 0.03, "helps"),
        (-0.03, -0.001, "hurts"),
        (-0.004, 0.004, "no difference"),
        (-0.004, 0.006, "unclear"),
        (None, None, "not measured"),
    ],
)
def test_one_interval_alone_has_a_verdict(low, high, verdict):
    estimate = Estimate(mean=0.0, n=5, se=0.005, low=low, high=high)
    assert effect_verdict(estimate, 0.005) == verdict
    assert effect_verdict(None, 0.005) == "not measured"


def test_bootstrap_over_examples_contains_the_mean(results):
    for gain in compute_gain(compute_strata(results)).gains:
        assert gain.estimate is not None
        assert gain.examples is not None
        assert gain.examples.low < gain.estimate.mean < gain.examples.high


def test_many_strata_are_joined(results):
    info = compute_gain(compute_strata(results))
    assert gain_sentence(info) == (
        "Distillation helps at width 8 to 64 (+0.9 to +2.7 points) and has no effect that these "
        "replicates can tell from zero at width 128 (+0.5 points) and width 256 (+0.6 points), "
        "all at once with 90 % confidence, n = 5 replicates."
    )
    last = measured(info)[-1].estimate
    assert last.low > 0, "which alone would say that it helps"


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
        "Distillation helps (+12.0 points), with 90 % confidence, n = 3 replicates; the arms "
        "chose different students, so this compares the best distilled with the best hard-labels "
        "student and is not paired."
    )
    assert "unpaired" in pairing_words(info)
    assert "same seed" not in pairing_words(info)
    page = compute_summary(results).page()
    assert "are paired: both arms share seeds" not in page
    assert "else the best student of each arm is compared, unpaired" in page


def test_another_student_that_has_not_been_tested_is_no_gain():
    small = make_results(widths=(16,), trials=6, replicates=3)
    trials = [
        t.model_copy(update={"width": 64, "settings": t.settings | {"width": 64}})
        if t.arm == "distilled"
        else t
        for t in small.trials
        if (t.stage, t.arm) != ("confirm", "baseline")
    ]
    info = compute_gain(compute_strata(dataclasses.replace(small, trials=tuple(trials))))
    assert measured(info) == [], "and not the accuracy of the distilled student"
    assert "not known" in gain_sentence(info)


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
    accuracies = {w: gained(0.001) for w in (64, 128)}
    usual = measured(with_strata(accuracies))
    config = study_config(study={"confidence": 0.99, "tolerance": 0.1})
    strict = with_strata(accuracies, config=config)
    for a, b in zip(usual, measured(strict), strict=True):
        # Two alike strata have 8 degrees of freedom: 3.355 at 99 %, 1.860 at 90 %.
        width = (b.estimate.high - b.estimate.mean) / (a.estimate.high - a.estimate.mean)
        assert width == pytest.approx(3.355 / 1.860, rel=1e-3)
        assert b.verdict == "no difference"
    assert "no difference of 10 points anywhere" in gain_sentence(strict)
    results = make_results(widths=(64, 128), trials=6, replicates=5, config=config)
    page = compute_summary(results).page()
    assert "99 % interval" in page
    assert "90 % interval" not in page
