import dataclasses

import pytest
from scipy import stats
from summary import compute_summary
from synthetic import evaluation, make_results, study_config, teacher_bank

from kdsearch.analysis.report import headline_metrics


def with_means(means, *, spread=0.001, val=None):
    """A study whose confirmed distilled students have these means; the baseline 0.02 less."""
    widths = tuple(means)
    results = make_results(widths=widths, trials=4, replicates=3)
    trials = []
    for t in results.trials:
        if t.stage == "confirm":
            value = means[t.width] - 0.02 * (t.arm == "baseline") + spread * (t.replicate - 2)
            validated = evaluation((val or means)[t.width])
            update = {"test": evaluation(value), "test_correct": None, "val": validated}
            trials.append(t.model_copy(update=update))
        else:
            trials.append(t)
    return dataclasses.replace(results, trials=tuple(trials), banks=(teacher_bank(1),))


# From 0.86 at width 16 the shoulder would be the work of one size, whose luck may be larger than
# that of wider ones: 64 would be the first that three replicates show to be enough.
PLATEAU = {8: 0.80, 16: 0.88, 32: 0.897, 64: 0.898, 128: 0.898, 256: 0.898}


def with_tests(results, width, values):
    """The distilled students of a width have these test accuracies, one a replicate."""
    trials = tuple(
        t.model_copy(update={"test": evaluation(values[t.replicate - 1])})
        if t.stage == "confirm" and t.arm == "distilled" and t.width == width
        else t
        for t in results.trials
    )
    return dataclasses.replace(results, trials=trials)


def test_the_smallest_student_that_is_shown_to_be_enough_is_recommended():
    summary = compute_summary(with_means(PLATEAU))
    finding, fit = summary.finding, summary.saturation.fit
    assert finding.recommended is not None
    assert finding.recommended.label == "width 32"
    assert fit is not None
    assert fit.enough_size == finding.recommended.num_params == 2698
    # One teacher with test accuracy 0.9: 0.897 / 0.9 = 99.7 %; 47,000 / 2,698 = 17 times smaller.
    assert finding.recommendation.startswith(
        "Width 32 (2.7 k parameters, 17× smaller than one teacher) keeps 99.7 % of its teacher "
        "(89.70 ± 0.06 %)"
    )
    assert finding.recommendation.endswith(
        " Registered as models:/temp-alpha@champion is width 64, the best by validation accuracy."
    )
    _, low, high = fit.gains[2]
    assert f"({100 * low:.2f} to {100 * high:.2f}, 90 %)" in finding.recommendation


@pytest.mark.parametrize(
    "means",
    [
        {8: 0.75, 16: 0.80, 32: 0.84, 64: 0.87, 128: 0.8733},
        {8: 0.80, 16: 0.897, 32: 0.90},
    ],
    ids=["not shown to be enough", "too few sizes"],
)
def test_where_none_is_shown_to_be_enough_the_best_by_validation_is_recommended(means):
    finding = compute_summary(with_means(means, spread=0.004)).finding
    assert finding.recommended is not None
    assert finding.recommended.label == f"width {max(means)}"
    assert "larger students" not in finding.recommendation


def test_errors_are_compared_with_the_teachers():
    # 0.13 beside 0.1 of the teacher
    finding = compute_summary(with_means({8: 0.80, 256: 0.87})).finding
    assert "with 1.3 times its errors" in finding.recommendation


def test_students_are_chosen_by_validation_and_reported_by_test():
    means = {8: 0.86, 16: 0.87, 32: 0.90}
    results = with_means(means, val={8: 0.80, 16: 0.92, 32: 0.88})
    finding = compute_summary(results).finding
    assert finding.recommended is not None
    assert finding.recommended.label == "width 16"
    assert "(87.00 ± 0.06 %)" in finding.recommendation
    assert finding.champion is finding.recommended
    assert "champion" not in finding.recommendation
    metrics = headline_metrics(compute_summary(results).context)
    assert metrics["best_test_accuracy"] == pytest.approx(0.87)


def test_a_student_that_does_not_keep_up_is_not_sold():
    finding = compute_summary(with_means({8: 0.60, 256: 0.70})).finding
    # 0.70 of 0.9; 41 * 256 + 257 * 256 + 10 * 257 = 78,858 parameters beside 47,000
    assert finding.recommendation.startswith(
        "No tested student keeps up with its teacher (90.0 %); of those tested, validation picks "
        "width 256 (78.9 k parameters, 1.7× larger than one teacher), which reaches "
        "70.00 ± 0.06 %; "
    )
    assert "keeps 77" not in finding.recommendation
    assert not finding.keeps_up


def test_a_student_above_its_teacher_is_better_and_the_teacher_weak():
    better = compute_summary(with_means({8: 0.80, 16: 0.92})).finding.recommendation
    assert "is better than its teacher (92.00 ± 0.06 % beside 90.0 %)" in better
    assert "weak" not in better
    weak = compute_summary(with_means({8: 0.80, 16: 0.96})).finding.recommendation
    assert "that is a weak teacher, so check how it was trained" in weak
    assert "keeps 10" not in weak


@pytest.mark.parametrize(
    ("classes", "is_weak"), [(10, True), (14, False), (100, False), (None, False)]
)
def test_chance_is_one_in_the_number_of_classes(classes, is_weak):
    bank = teacher_bank(1)
    ensemble = bank.ensembles[0].model_copy(update={"test": evaluation(0.15)})
    bank = bank.model_copy(update={"ensembles": (ensemble,), "num_classes": classes})
    poor = dataclasses.replace(with_means({8: 0.12, 16: 0.14}), banks=(bank,))
    assert ("weak teacher" in compute_summary(poor).finding.recommendation) == is_weak


def test_every_tuned_setting_is_named():
    search = {
        "width": {"role": "scientific", "values": [8, 16]},
        "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0},
        "training.weight_decay": {"role": "nuisance", "low": 0.0, "high": 0.5},
        "training.optimizer": {"role": "fixed", "value": "adam"},
    }
    results = with_means({8: 0.80, 16: 0.90})
    trials = tuple(
        t.model_copy(update={"settings": t.settings | {"training.weight_decay": 0.125}})
        for t in results.trials
    )
    results = dataclasses.replace(results, config=study_config(search=search), trials=trials)
    sentence = compute_summary(results).finding.recommendation
    assert ", weight decay 0.125" in sentence
    assert "optimizer" not in sentence
    hard = tuple(
        t.model_copy(update={"alpha": 1.0}) if t.arm == "distilled" else t for t in trials
    )
    sentence = compute_summary(dataclasses.replace(results, trials=hard)).finding.recommendation
    assert "; hard labels only (alpha = 1), learning rate" in sentence
    assert "T = " not in sentence


@pytest.mark.slow
def test_importance_is_part_of_the_finding(results):
    said = compute_summary(results).finding.said
    assert said[-1] == (
        "Within each width the learning rate explains 58 % of the differences in validation "
        "accuracy, alpha 20 %, temperature 17 % and ensemble size 5 % (n = 96 complete distilled "
        "trials, pruned ones left out)."
    )
    unknown = dataclasses.replace(results, importance={})
    assert compute_summary(unknown).finding.said == said[:-1]


def test_errors_are_explained_once_and_never_zero():
    finding = compute_summary(with_means({8: 0.80, 16: 0.90}, spread=0.0001)).finding
    assert finding.finding[0].count("± is one standard error") == 1
    # 0.0001 / sqrt 3 = 0.006 points
    assert "80.000 ± 0.006 % at width 8" in finding.finding[0]


def test_two_sizes_are_compared_by_their_students_and_not_paired():
    larger = [0.903, 0.900, 0.897]
    finding = compute_summary(with_tests(with_means({16: 0.897, 32: 0.90}), 32, larger)).finding
    assert finding.recommended is not None
    assert finding.recommended.label == "width 16"
    by_hand = stats.ttest_ind(larger, [0.896, 0.897, 0.898], equal_var=False)
    low, high = by_hand.confidence_interval(0.9)
    assert "larger students gain 0.30 points" in finding.recommendation
    ends = f"({100 * low:.2f} to {100 * high:.2f}, 90 %)".replace("-", "−")
    assert ends in finding.recommendation


def test_one_replicate_leaves_open_what_larger_students_gain():
    results = with_means({16: 0.897, 32: 0.90})
    one = tuple(t for t in results.trials if t.replicate < 2)
    finding = compute_summary(dataclasses.replace(results, trials=one)).finding
    assert "one replicate has no standard error" in finding.recommendation


@pytest.mark.parametrize("stage", ["search", "confirm"])
def test_a_study_of_failures_says_so(stage):
    results = make_results(widths=(8,), trials=4, replicates=3)
    trials = [
        t.model_copy(update={"state": "FAIL", "val": None, "test": None, "failure": "no memory."})
        if t.stage == stage
        else t
        for t in results.trials
        if stage == "confirm" or t.stage == stage
    ]
    trials[0] = trials[0].model_copy(update={"failure": trials[0].failure and "a fuse blew"})
    what = {"search": "all 4 distilled trials failed, in 3 of 4 cases with: no memory",
            "confirm": "all 3 distilled confirm runs failed, always with: no memory"}  # fmt: skip
    finding = compute_summary(dataclasses.replace(results, trials=tuple(trials))).finding
    assert finding.finding[0] == f"Nothing can be said about test accuracy: {what[stage]}."
    assert finding.recommendation == f"Mend what failed and run temp-alpha again: {what[stage]}."


def test_no_champion_is_named_where_none_is_registered():
    results = with_means(PLATEAU)
    config = study_config(tracking={"models": "none"})
    finding = compute_summary(dataclasses.replace(results, config=config)).finding
    assert finding.champion is not finding.recommended
    assert "champion" not in finding.recommendation


def test_hard_labels_are_recommended_where_distillation_hurts():
    results = with_means({8: 0.80, 16: 0.90})
    worse = tuple(
        t.model_copy(update={"test": evaluation(0.93 + 0.001 * t.replicate)})
        if t.stage == "confirm" and t.arm == "baseline" and t.width == 16
        else t
        for t in results.trials
    )
    finding = compute_summary(dataclasses.replace(results, trials=worse)).finding
    assert "train it on hard labels" in finding.recommendation
    assert "not found to help, although alpha 1" in finding.finding[1]
    assert "the distilled settings that were found differ from it by" in finding.recommendation


def test_question_is_derived_or_taken():
    results = make_results(widths=(8,), trials=2, replicates=0)
    assert compute_summary(results).finding.question == (
        "Which temperature, alpha, learning rate and ensemble size suit mlp students of width 8, "
        "16, ..., 256?"
    )
    asked = dataclasses.replace(results, config=study_config(question="Why?"))
    assert compute_summary(asked).finding.question == "Why?"


def test_search_values_are_never_called_accuracy_results():
    results = make_results(widths=(8, 16), trials=6, replicates=0)
    finding = compute_summary(results).finding
    assert "%" not in " ".join([*finding.finding[:2], finding.recommendation])


@pytest.mark.parametrize("replicates", [1, 2])
def test_few_replicates_still_give_sentences(replicates):
    finding = compute_summary(
        make_results(widths=(8, 16, 32), trials=4, replicates=replicates)
    ).finding
    assert all(s.endswith(".") for s in (*finding.finding, finding.recommendation))
