"""Values of a scientific parameter other than size, all beside the best."""

import dataclasses

import pytest
from summary import compute_summary
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.answers.levels import compute_levels, levels_sentence
from kdsearch.analysis.strata import compute_strata
from kdsearch.results import Results

NOISE = (-0.004, -0.002, 0.0, 0.002, 0.004)
OWN = (0.0005, -0.0005, 0.0, -0.0005, 0.0005)


def study(means, *, replicates=5):
    """Test accuracies of temperatures; replicates share most of their luck."""
    search = {
        "temperature": {"role": "scientific", "values": list(means)},
        "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-2},
    }
    one = make_results(widths=(64,), trials=4, replicates=replicates, arms=("distilled",)).trials
    trials = []
    for index, (value, mean) in enumerate(means.items()):
        for t in one:
            update = {
                "trial": t.trial + 10 * index,
                "stratum": {"temperature": value},
                "settings": t.settings | {"temperature": value},
                "temperature": value,
            }
            if t.stage == "confirm":
                k = t.replicate - 1
                own = OWN[(k + index) % 5] if index else 0.0
                update |= {"test": evaluation(mean + NOISE[k] + own), "val": evaluation(mean)}
            trials.append(t.model_copy(update=update | {"test_correct": None}))
    return Results(study_config(search=search), tuple(trials), ())


def test_the_middle_of_a_range_is_found_although_its_ends_agree():
    info = compute_levels(compute_strata(study({1.0: 0.80, 4.0: 0.83, 16.0: 0.80})))
    assert info is not None
    assert info.best.label == "temperature 4.0" or info.best.label == "temperature 4"
    assert [level.is_worse for level in info.levels] == [True, True]
    assert [level.estimate.mean for level in info.levels] == pytest.approx([-0.03, -0.03])
    sentence = levels_sentence(info)
    assert "are worse (all at once with 90 % confidence, n = 5 replicates)." in sentence
    assert sentence.count("(−3.00 points)") == 2


def test_what_is_as_good_is_said_to_be_no_worse_and_stands_in_the_finding():
    results = study({1.0: 0.80, 4.0: 0.83, 16.0: 0.8299})
    summary = compute_summary(results)
    (sentence,) = [s for s in summary.finding.finding if s.startswith("Validation picks")]
    assert "temperature 1" in sentence.split(" is worse")[0]
    assert "is not shown to be worse" in sentence


def test_replicates_are_paired_by_their_number():
    # Luck that all temperatures share is eight times that of each alone.
    info = compute_levels(compute_strata(study({1.0: 0.828, 4.0: 0.83})))
    assert info is not None
    (level,) = info.levels
    assert level.is_worse
    assert level.estimate.se == pytest.approx(0.0005 / 5**0.5, rel=0.3)


def test_students_of_two_architectures_are_not_paired():
    results = study({1.0: 0.828, 4.0: 0.83})
    wider = tuple(
        t.model_copy(update={"width": 65, "settings": t.settings | {"width": 65}})
        if t.stratum == {"temperature": 1.0}
        else t
        for t in results.trials
    )
    info = compute_levels(compute_strata(dataclasses.replace(results, trials=wider)))
    assert info is not None
    (level,) = info.levels
    assert level.estimate.se > 0.0015, "luck that they share no longer drops out"
    assert not level.is_worse


def test_one_replicate_and_other_questions_have_no_levels():
    assert compute_levels(compute_strata(study({1.0: 0.8, 4.0: 0.9}, replicates=1))) is None
    sizes = compute_levels(compute_strata(make_results(widths=(8, 16), replicates=3)))
    assert sizes is None
    assert levels_sentence(sizes) == ""
