from kdsearch.results import confirmed_choice
from kdsearch.results.record import TrialRecord


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
    assert confirmed_choice([]) is None
    assert confirmed_choice(SEARCHED) is None


def test_runs_of_a_version_that_did_not_say_what_they_were_chosen_from_do_not_count():
    assert confirmed_choice([*SEARCHED, confirm(2, 1, None)]) is None


def test_a_choice_stands_until_the_search_goes_on():
    runs = [confirm(2, 1, 4), confirm(2, 2, 4)]
    assert confirmed_choice([*SEARCHED, *runs]) == (2, True)
    running = search(4).model_copy(update={"state": "RUNNING"})
    assert confirmed_choice([*SEARCHED, running, *runs]) == (2, False)


def test_the_last_choice_counts_although_older_runs_are_kept():
    searched = [*SEARCHED, search(4), search(5)]
    old, new = [confirm(3, 1, 4), confirm(3, 2, 4)], [confirm(1, 1, 6)]
    for records in ([*searched, *old, *new], [*new, *old, *searched]):
        assert confirmed_choice(records) == (1, True)
