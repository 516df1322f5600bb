import dataclasses

import pytest
from summary import compute_summary
from synthetic import evaluation, make_results, study_config, teacher_bank

from kdsearch.analysis.page.making import making_rows
from kdsearch.analysis.searching.budget import compute_budget
from kdsearch.analysis.strata import compute_strata
from kdsearch.results import Results


def test_choice_is_the_best_complete_search_trial(results):
    for stratum in compute_strata(results).strata:
        trials = [
            t
            for t in results.select(stage="search", arm="distilled", state="COMPLETE")
            if t.stratum == stratum.key
        ]
        best = max(trials, key=lambda t: t.val.accuracy)
        assert stratum.distilled is not None
        assert stratum.distilled.trial == best
        assert stratum.distilled.search_value == best.val.accuracy


def test_confirmed_mean_over_replicates(results):
    first = compute_strata(results).strata[0].distilled
    assert first is not None
    values = [t.test.accuracy for t in first.replicates if t.test]
    assert [t.replicate for t in first.replicates] == [1, 2, 3, 4, 5]
    assert first.test_score is not None
    assert first.test_score.mean == pytest.approx(sum(values) / 5)
    assert first.test_score.n == 5


def test_strata_without_records_are_kept():
    info = compute_strata(make_results(widths=(16,)))
    assert [s.label for s in info.strata] == [f"width {w}" for w in (8, 16, 32, 64, 128, 256)]
    assert [s.label for s in info.confirmed] == ["width 16"]
    assert info.strata[0].distilled is None


def test_better_settings_found_after_confirming_are_noticed(results):
    better = next(
        t for t in results.select(stage="search", arm="distilled", state="COMPLETE")
    ).model_copy(update={"trial": 999, "val": evaluation(0.99)})
    changed = dataclasses.replace(results, trials=(*results.trials, better))
    first = compute_strata(changed).strata[0].distilled
    assert first is not None
    assert first.newer_choice
    assert first.trial.trial != 999
    assert first.test_score is not None


def test_baseline_without_the_scientific_parameter_serves_every_stratum(results):
    search = {
        "ensemble_size": {"role": "scientific", "values": [1, 2]},
        "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-2},
    }
    one = [t for t in results.trials if t.width == 64]
    trials = [
        t.model_copy(update={"stratum": {"ensemble_size": k}})
        for k in (1, 2)
        for t in one
        if t.arm == "distilled"
    ] + [t.model_copy(update={"stratum": {}}) for t in one if t.arm == "baseline"]
    info = compute_strata(Results(study_config(search=search), tuple(trials), ()))
    assert [s.label for s in info.strata] == ["ensemble_size 1", "ensemble_size 2"]
    assert all(s.baseline and len(s.baseline.replicates) == 5 for s in info.strata)


def test_budget_counts_states_and_shares(results):
    budget = compute_budget(results)
    assert budget.states == {"COMPLETE": 192, "PRUNED": 95, "FAIL": 1}
    assert budget.equal
    assert budget.test_openings == 60
    assert budget.failures == ("loss became NaN in epoch 2",)
    assert budget.untuned == ()
    short = dataclasses.replace(results, trials=results.trials[1:])
    assert not compute_budget(short).equal
    assert not compute_budget(Results(study_config(), (), ())).equal


def test_an_arm_with_nothing_to_tune_has_its_whole_budget_in_one_trial():
    search = {"temperature": {"role": "nuisance", "low": 1.0, "high": 9.0}}
    config = study_config(search=search, budget={"trials": 4})
    both = make_results(widths=(8,), trials=4, replicates=0, config=config)
    trials = tuple(
        t.model_copy(update={"stratum": {}})
        for t in both.trials
        if t.arm == "distilled" or t.trial == 0
    )
    results = dataclasses.replace(both, trials=trials)
    budget = compute_budget(results)
    assert budget.equal
    assert budget.untuned == ("baseline",)
    rows = dict(making_rows(compute_summary(results).context))
    words = rows["Equal budget for each arm"]
    assert words == (
        "yes: 4 trials in each, 40 to 129 student-epochs; hard labels only has nothing to tune, "
        "so one trial is all there is"
    )


def test_the_class_count_is_that_of_the_data_or_not_known(results):
    unknown = teacher_bank(1)
    seven = unknown.model_copy(update={"num_classes": 7})
    assert dataclasses.replace(results, banks=(unknown, seven)).num_classes == 7
    assert dataclasses.replace(results, banks=(unknown,)).num_classes is None
