"""What is confirmed and who becomes champion: validation decides, test never."""

from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.study.confirm import chosen_trials, confirmed_records, selected_trials
from kdsearch.study.run import registered
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, make_record

CONFIG = small_study()
D4, D8, B4, B8 = range(4)


def test_every_lane_confirms_its_best_by_validation_and_ties_go_to_the_earlier() -> None:
    records = [
        make_record(CONFIG, 0, lane=D4, val=0.7),
        make_record(CONFIG, 1, lane=D4, val=0.8, test=0.1),
        make_record(CONFIG, 2, lane=D4, val=0.8, test=0.9),
        make_record(CONFIG, 3, lane=D4, val=0.9, state="PRUNED"),
        make_record(CONFIG, 4, lane=D8, val=0.3),
        make_record(CONFIG, 5, lane=D8, state="FAIL"),
        make_record(CONFIG, 0, lane=B4, val=0.6),
    ]
    chosen = [(r.arm, r.width, r.trial) for r in selected_trials(CONFIG, records)]
    assert chosen == [("distilled", 4, 1), ("distilled", 8, 4), ("baseline", 4, 0)]


def lane_of_twenty(**changes: object) -> tuple[StudyConfig, list[TrialRecord]]:
    """Rates from bad to good to bad, and one bad one with a lucky seed."""
    config = small_study(**changes)
    records = []
    for trial in range(20):
        rate = 10 ** (-3 + trial / 10)
        score = 0.9 - 0.2 * (trial / 10 - 1) ** 2
        val = 0.93 if trial == 1 else score
        records.append(make_record(config, trial, settings={"learning_rate": rate}, val=val))
    return config, records


def test_one_lucky_seed_is_chosen_by_score_and_not_by_the_surface() -> None:
    config, records = lane_of_twenty(confirm__choose_by="score")
    assert [r.trial for r in selected_trials(config, records)] == [1]
    config, records = lane_of_twenty()
    (chosen,) = selected_trials(config, records)
    assert 8 <= chosen.trial <= 12
    few = [r for r in records if r.trial < 15]
    assert [r.trial for r in selected_trials(config, few)] == [1], "too few for a surface"


def test_settings_on_several_seeds_are_judged_by_their_mean() -> None:
    def repeated(trial: int, of: int, val: float) -> TrialRecord:
        return make_record(CONFIG, trial, val=val, repeats=of, replicate=1)

    records = [
        make_record(CONFIG, 0, val=0.90),
        make_record(CONFIG, 1, val=0.86, settings={"alpha": 0.1}),
        repeated(2, 0, 0.70),
        repeated(3, 1, 0.88),
    ]
    assert [r.trial for r in selected_trials(CONFIG, records)] == [1]
    failed = repeated(4, 1, 0.0).model_copy(update={"state": "FAIL"})
    assert [r.trial for r in selected_trials(CONFIG, [*records, failed])] == [1]
    assert [r.trial for r in selected_trials(CONFIG, records[:2])] == [0]


def test_a_choice_stands_until_its_own_search_goes_on() -> None:
    config, records = lane_of_twenty()
    (chosen,) = selected_trials(config, records)
    # Of the runs of a worse trial, because a choice is not made again.
    runs = [
        make_record(config, 3, val=0.5, stage="confirm", replicate=replicate, searched=20)
        for replicate in (1, 2)
    ]
    assert [r.trial for r in selected_trials(config, [*records, *runs])] == [3]
    assert confirmed_records(config, [*records, *runs]) == tuple(runs)
    beside = make_record(config, 20, lane=D8, val=0.99)
    stands = selected_trials(config, [*records, *runs, beside])
    assert [(r.width, r.trial) for r in stands] == [(4, 3), (8, 20)]
    own = make_record(config, 21, state="RUNNING")
    again = selected_trials(config, [*records, *runs, own])
    assert [r.trial for r in again] == [chosen.trial]
    assert confirmed_records(config, [*records, *runs, own]) == ()


def test_the_second_candidate_by_score_is_the_second_best() -> None:
    config, records = lane_of_twenty(confirm__choose_by="score", confirm__candidates=2)
    scores = {r.trial: r.val.accuracy for r in records if r.val}
    chosen = [r.trial for r in selected_trials(config, records)]
    assert chosen == sorted(scores, key=lambda t: (-scores[t], t))[:2]
    config = small_study(confirm__candidates=50)
    assert len(selected_trials(config, records)) == 20


def test_the_second_candidate_by_the_surface_is_no_twin_of_the_first() -> None:
    config, records = lane_of_twenty(confirm__candidates=2)
    # Two hills, the higher one crowded.
    second = {14: 0.80, 15: 0.885, 16: 0.80}
    records = [
        r.model_copy(update={"val": evaluation(second.get(r.trial, r.val.accuracy))})
        for r in records
        if r.val
    ]
    twins = [
        make_record(
            config, 20 + i, val=0.9, settings={"learning_rate": 1e-2 * (1 + i / 1e4)}
        )
        for i in range(6)
    ]  # fmt: skip
    first, other = selected_trials(config, [*records, *twins])
    rates = [float(r.settings["learning_rate"]) for r in (first, other)]
    assert 0.005 < rates[0] < 0.02
    assert abs(rates[1] / rates[0] - 1) > 0.05
    assert selected_trials(config, [*records, *twins]) == (first, other)


def test_validation_of_the_replicates_chooses_among_candidates() -> None:
    config = small_study(confirm__candidates=2)
    search = [make_record(config, i, val=0.9 - i / 100) for i in range(3)]
    runs = [
        make_record(
            config, trial, val=val, test=1 - val, stage="confirm", replicate=replicate,
            searched=3, candidates=(0, 1),
        )
        for trial, vals in ((0, (0.7, 0.8)), (1, (0.8, 0.81)))
        for replicate, val in enumerate(vals, 1)
    ]  # fmt: skip
    assert [r.trial for r in chosen_trials(config, search)] == [0], "none is confirmed"
    records = [*search, *runs]
    assert [r.trial for r in selected_trials(config, records)] == [0, 1]
    assert [r.trial for r in chosen_trials(config, records)] == [1]
    assert len(confirmed_records(config, records)) == 4
    champion = registered(config, records)
    assert champion is not None
    assert (champion.trial, champion.replicate) == (1, 2)


def test_a_loss_is_minimised() -> None:
    config = small_study(objective={"metric": "val_loss", "direction": "minimize"})
    records = [
        make_record(config, 0, val=0.9).model_copy(update={"val": evaluation(0.9, loss=0.6)}),
        make_record(config, 1, val=0.5).model_copy(update={"val": evaluation(0.5, loss=0.4)}),
    ]
    assert [r.trial for r in selected_trials(config, records)] == [1]


def test_the_whole_pareto_front_is_confirmed() -> None:
    config = small_study(
        search__width={"role": "nuisance", "values": [4, 8]},
        objective=[
            {"metric": "val_accuracy", "direction": "maximize"},
            {"metric": "num_params", "direction": "minimize"},
        ],
        sampler={"kind": "nsga2"},
    )
    settings = {"width": 4}
    records = [
        make_record(config, i, val=0.1 + i / 100, num_params=10 + i, settings=settings)
        for i in range(15)
    ]
    chosen = [r.trial for r in selected_trials(config, records)]
    assert chosen == list(range(14, -1, -1))  # the best accuracy first
    beaten = make_record(config, 15, val=0.1, num_params=30, settings=settings)
    assert [r.trial for r in selected_trials(config, [*records, beaten])] == chosen


def test_confirmations_of_settings_that_were_overtaken_are_no_results() -> None:
    old = make_record(CONFIG, 0, val=0.7)
    new = make_record(CONFIG, 1, val=0.8)
    runs = [
        make_record(CONFIG, trial, val=0.5, test=0.5, stage="confirm", replicate=replicate)
        for trial in (0, 1)
        for replicate in (1, 2)
    ]
    running = make_record(CONFIG, 1, stage="confirm", replicate=3)
    before = confirmed_records(CONFIG, [old, *runs])
    assert {(r.trial, r.replicate) for r in before} == {(0, 1), (0, 2)}
    after = confirmed_records(CONFIG, [old, new, *runs, running])
    assert {(r.trial, r.replicate) for r in after} == {(1, 1), (1, 2)}


def test_the_champion_is_chosen_by_validation_although_test_says_otherwise() -> None:
    search = [
        make_record(CONFIG, 0, lane=D4, val=0.9),
        make_record(CONFIG, 1, lane=D8, val=0.8),
        make_record(CONFIG, 0, lane=B4, val=0.99),
    ]

    def confirm(trial: int, lane: int, replicate: int, val: float, test: float) -> TrialRecord:
        return make_record(
            CONFIG, trial, lane=lane, val=val, test=test, stage="confirm", replicate=replicate
        )

    runs = [
        confirm(0, D4, 1, 0.60, 0.99),  # best on test, and best single search value
        confirm(0, D4, 2, 0.80, 0.99),
        confirm(1, D8, 1, 0.74, 0.60),
        confirm(1, D8, 2, 0.75, 0.50),  # the better mean on validation
        confirm(0, B4, 1, 0.99, 0.99),  # a baseline is never champion
    ]
    champion = registered(CONFIG, [*search, *runs])
    assert champion is not None
    assert (champion.trial, champion.replicate) == (1, 2)
    without = registered(CONFIG, search)
    assert without is not None
    assert (without.arm, without.trial) == ("distilled", 0)
    assert registered(CONFIG, []) is None
