"""The champion: one rule for what a study registers and what its report names."""

import pytest

from kdsearch.analysis.recommendation import _champion
from kdsearch.analysis.strata import compute_strata
from kdsearch.config import Objective
from kdsearch.results import Results, champion_of
from kdsearch.study.run import registered
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, make_record

CONFIG = small_study()
ACCURACY = CONFIG.objective[0]
SEARCH = [make_record(CONFIG, lane, lane=lane, val=0.9) for lane in (0, 1)]


def run(lane, replicate, val, **changes):
    changes = {"test": 0.5} | changes
    made = make_record(
        CONFIG, lane, lane=lane, val=val, stage="confirm", replicate=replicate, **changes
    )
    return made.model_copy(update={"searched": 1})


def key(record):
    return None if record is None else (record.stage, record.trial, record.replicate)


def test_the_best_mean_and_of_its_runs_the_best_by_validation_alone():
    runs = [run(0, 1, 0.60), run(0, 2, 0.80), run(1, 1, 0.75, test=0.1), run(1, 2, 0.74, test=0.1)]
    assert key(champion_of(SEARCH, runs, ACCURACY)) == ("confirm", 1, 1)
    smaller = Objective(metric="val_accuracy", direction="minimize")
    assert key(champion_of(SEARCH, runs, smaller)) == ("confirm", 0, 1)


def test_ties_go_to_the_first_stratum_and_the_lowest_replicate():
    runs = [run(1, 1, 0.7), run(1, 2, 0.7), run(0, 2, 0.7), run(0, 1, 0.7)]
    assert key(champion_of(SEARCH, runs, ACCURACY)) == ("confirm", 0, 1)
    assert key(champion_of(SEARCH[::-1], runs, ACCURACY)) == ("confirm", 1, 1)


def test_runs_of_other_settings_failures_and_hard_labels_do_not_count():
    other = run(1, 1, 0.99).model_copy(update={"trial": 7})
    runs = [run(0, 1, 0.6), run(1, 1, 0.5), run(1, 2, 0.9, state="FAIL"), other]
    assert key(champion_of(SEARCH, runs, ACCURACY)) == ("confirm", 0, 1)
    hard = [r.model_copy(update={"arm": "baseline"}) for r in SEARCH]
    assert champion_of(hard, [], ACCURACY) is None


def test_before_the_confirm_stage_it_is_the_best_search_trial():
    second = SEARCH[1].model_copy(update={"val": evaluation(0.95)})
    assert key(champion_of([SEARCH[0], second], [], ACCURACY)) == ("search", 1, 0)
    assert champion_of([], [], ACCURACY) is None


@pytest.mark.parametrize("rival_replicates", [1, 2])
def test_the_report_names_the_stratum_whose_student_is_registered(rival_replicates):
    """A rival that was confirmed once, and was lucky, is no choice and so no champion."""
    config = small_study(confirm__candidates=2)
    rival = make_record(config, 5, lane=0, val=0.8)
    records = [*SEARCH, rival]
    for lane, trial, vals in (
        (0, 0, (0.6, 0.62)),
        (0, 5, (0.98, 0.97)[:rival_replicates]),
        (1, 1, (0.7, 0.72)),
    ):
        for replicate, val in enumerate(vals, 1):
            made = run(lane, replicate, val).model_copy(update={"trial": trial})
            candidates = {"candidates": (0, 5), "searched": 2} if lane == 0 else {}
            records.append(made.model_copy(update=candidates))
    champion = registered(config, records)
    named = _champion(compute_strata(Results(config, tuple(records), ())), config)
    assert champion is not None
    assert named is not None
    assert champion.trial == (5 if rival_replicates == 2 else 1)
    assert named.key == champion.stratum
