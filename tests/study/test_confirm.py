"""What is confirmed and who becomes champion: validation decides, test never."""

from kdsearch.results import TrialRecord
from kdsearch.study.confirm import champion_of, confirmed_records, selected_trials
from tests.study.records import evaluation, make_config, make_record

CONFIG = make_config()
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


def test_a_loss_is_minimised() -> None:
    config = make_config(objective={"metric": "val_loss", "direction": "minimize"})
    records = [
        make_record(config, 0, val=0.9).model_copy(update={"val": evaluation(0.9, loss=0.6)}),
        make_record(config, 1, val=0.5).model_copy(update={"val": evaluation(0.5, loss=0.4)}),
    ]
    assert [r.trial for r in selected_trials(config, records)] == [1]


def test_a_pareto_front_is_thinned_evenly_to_eight_with_both_ends() -> None:
    config = make_config(
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
    assert chosen == [14, 12, 10, 8, 6, 4, 2, 0]  # the best accuracy first
    eight = [r.trial for r in selected_trials(config, records[:8])]
    assert eight == [7, 6, 5, 4, 3, 2, 1, 0]


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
    champion = champion_of(CONFIG, [*search, *runs])
    assert champion is not None
    assert (champion.trial, champion.replicate) == (1, 2)
    without = champion_of(CONFIG, search)
    assert without is not None
    assert (without.arm, without.trial) == ("distilled", 0)
    assert champion_of(CONFIG, []) is None
