import dataclasses

import pytest
from synthetic import evaluation, make_results, study_config, teacher_bank

from kdsearch.analysis.summary import compute_summary


def with_means(means, *, spread=0.001):
    """A study whose confirmed distilled students have these means; the baseline 0.02 less."""
    widths = tuple(means)
    results = make_results(widths=widths, trials=4, replicates=3)
    trials = []
    for t in results.trials:
        if t.stage == "confirm":
            value = means[t.width] - 0.02 * (t.arm == "baseline") + spread * (t.replicate - 2)
            update = {"test": evaluation(value), "test_correct": None}
            trials.append(t.model_copy(update=update))
        else:
            trials.append(t)
    return dataclasses.replace(results, trials=tuple(trials), banks=(teacher_bank(1),))


def test_smallest_student_that_keeps_up_is_recommended():
    finding = compute_summary(with_means({8: 0.80, 16: 0.897, 32: 0.90})).finding
    assert finding.recommended is not None
    assert finding.recommended.label == "width 16"
    # One teacher with test accuracy 0.9: 0.897 / 0.9 = 99.7 %; 47,000 / 1,098 = 43 times smaller.
    assert finding.recommendation.startswith(
        "Width 16 (1.1 k parameters, 43× smaller than one teacher) keeps 99.7 % of its teacher "
        "(89.7 ± 0.1 %); T = "
    )
    assert finding.recommendation.endswith("; larger students gain less than 0.5 points.")


def test_what_replicates_cannot_exclude_is_said():
    results = with_means({8: 0.80, 16: 0.897, 32: 0.90})
    shifted = tuple(
        t.model_copy(update={"test": evaluation(0.90 - 0.004 * (t.replicate - 2))})
        if t.stage == "confirm" and t.arm == "distilled" and t.width == 32
        else t
        for t in results.trials
    )
    finding = compute_summary(dataclasses.replace(results, trials=shifted)).finding
    # Differences 0.003 + (0.005, 0, -0.005): 0.003 + 2.92 * 0.005 / sqrt 3 = 0.0114
    assert "up to +1.1 is not excluded" in finding.recommendation


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
    assert "hurts at width 16" in finding.finding[1]


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
    assert "%" not in " ".join([*finding.finding, finding.recommendation])


@pytest.mark.parametrize("replicates", [1, 2])
def test_few_replicates_still_give_sentences(replicates):
    finding = compute_summary(
        make_results(widths=(8, 16, 32), trials=4, replicates=replicates)
    ).finding
    assert all(s.endswith(".") for s in (*finding.finding, finding.recommendation))
