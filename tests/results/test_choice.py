from kdsearch.config import Objective
from kdsearch.results import best_candidate, confirmed_choice
from kdsearch.results.record import Evaluation, TrialRecord

ACCURACY = Objective(metric="val_accuracy", direction="maximize")


def search(trial):
    return TrialRecord(
        study="s", stage="search", arm="distilled", trial=trial, replicate=0, state="COMPLETE",
        settings={}, stratum={}, alpha=0.5, width=8, learning_rate=0.1, seed=1,
    )  # fmt: skip


def confirm(trial, replicate, searched):
    update = {"stage": "confirm", "replicate": replicate, "searched": searched}
    return search(trial).model_copy(update=update)


SEARCHED = [search(trial) for trial in range(4)]


def test_nothing_is_chosen_before_the_confirm_stage():
    assert confirmed_choice([], ACCURACY) is None
    assert confirmed_choice(SEARCHED, ACCURACY) is None


def test_runs_of_a_version_that_did_not_say_what_they_were_chosen_from_do_not_count():
    assert confirmed_choice([*SEARCHED, confirm(2, 1, None)], ACCURACY) is None


def test_a_choice_stands_until_the_search_goes_on():
    runs = [confirm(2, 1, 4), confirm(2, 2, 4)]
    assert confirmed_choice([*SEARCHED, *runs], ACCURACY) == ((2,), 2, True)
    running = search(4).model_copy(update={"state": "RUNNING"})
    assert confirmed_choice([*SEARCHED, running, *runs], ACCURACY) == ((2,), 2, False)


def test_the_last_choice_counts_although_older_runs_are_kept():
    searched = [*SEARCHED, search(4), search(5)]
    old, new = [confirm(3, 1, 4), confirm(3, 2, 4)], [confirm(1, 1, 6)]
    for records in ([*searched, *old, *new], [*new, *old, *searched]):
        assert confirmed_choice(records, ACCURACY) == ((1,), 1, True)


def scored(trial, replicate, val, candidates=(2, 3)):
    evaluation = Evaluation(
        accuracy=val, loss=0.5, agreement=val, teacher_kl=0.1, ece=0.1, brier=0.1, num_samples=10
    )
    update = {"val": evaluation, "candidates": candidates}
    return confirm(trial, replicate, 4).model_copy(update=update)


def test_the_replicates_choose_among_candidates() -> None:
    runs = [scored(2, 1, 0.8), scored(3, 1, 0.7), scored(2, 2, 0.6), scored(3, 2, 0.9)]
    assert confirmed_choice([*SEARCHED, *runs], ACCURACY) == ((2, 3), 3, True)
    smaller = ACCURACY.model_copy(update={"direction": "minimize"})
    assert confirmed_choice([*SEARCHED, *runs], smaller) == ((2, 3), 2, True)


def test_ties_go_to_the_candidate_that_the_search_put_first() -> None:
    runs = [scored(3, 1, 0.7), scored(2, 1, 0.7)]
    assert best_candidate((2, 3), runs, ACCURACY) == 2
    assert best_candidate((3, 2), runs, ACCURACY) == 3
    assert best_candidate((3, 2), [], ACCURACY) == 3


def test_a_candidate_that_was_confirmed_less_often_has_no_say() -> None:
    runs = [scored(2, 1, 0.7), scored(2, 2, 0.7), scored(3, 1, 0.9)]
    assert best_candidate((2, 3), runs, ACCURACY) == 2
    failed = scored(3, 2, 0.9).model_copy(update={"state": "FAIL", "val": None})
    assert best_candidate((2, 3), [*runs, failed], ACCURACY) == 2


def test_a_candidate_that_joined_later_is_one_of_them() -> None:
    runs = [scored(2, 1, 0.7, candidates=()), scored(3, 1, 0.8)]
    assert confirmed_choice([*SEARCHED, *runs], ACCURACY) == ((2, 3), 3, True)


def test_candidates_confirmed_before_count_beside_new_ones() -> None:
    old = [confirm(3, 1, 4), scored(3, 2, 0.9).model_copy(update={"searched": 4})]
    new = [scored(5, r, 0.8, candidates=(5, 3)).model_copy(update={"searched": 6}) for r in (1,)]
    searched = [*SEARCHED, search(4), search(5)]
    assert confirmed_choice([*searched, *old, *new], ACCURACY) == ((5, 3), 3, True)
