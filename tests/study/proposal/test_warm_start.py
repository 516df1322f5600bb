"""A stratum first tries what was best beside it, within its budget, and resumes to the same."""

from typing import Any

import optuna
import pytest

import kdsearch
from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.study.proposal.generation import next_generation
from kdsearch.study.proposal.lane import Lane, Proposal, lanes_of, new_record, nuisances
from kdsearch.study.proposal.sampler import LaneSampler
from kdsearch.study.proposal.space import distributions
from kdsearch.study.proposal.warm_start import neighbours, warm_starts
from kdsearch.study.storage.database import connect_existing
from kdsearch.study.storage.ledger import Ledger
from kdsearch.testing.small_study import small_study
from tests.conftest import SMALL_STUDY, WriteStudy
from tests.study.records import evaluation
from tests.study.test_methods import interrupted
from tests.study.test_run import essence

pytestmark = pytest.mark.slow

WIDTHS = {"role": "scientific", "values": [16, 4, 8]}
ENSEMBLE = {"role": "scientific", "values": [1, 2]}


def config_of(**changes: Any) -> StudyConfig:
    return small_study(search__width=WIDTHS, **changes)


def lanes(config: StudyConfig) -> tuple[Lane, ...]:
    return lanes_of(config, config.strata())


def complete(config: StudyConfig, lane: Lane, trial: int, rate: float, val: float) -> TrialRecord:
    tuned: dict[str, Scalar] = dict.fromkeys(nuisances(config, lane.arm), 1)
    proposal = Proposal(tuned | {"learning_rate": rate})
    record = new_record(config, lane, proposal, trial=trial)
    return record.model_copy(update={"state": "COMPLETE", "val": evaluation(val)})


def test_neighbours_are_next_to_each_other_along_every_axis() -> None:
    config = config_of(search__ensemble_size=ENSEMBLE)
    all_lanes = lanes(config)
    records = [complete(config, lane, i, 0.01, 0.5) for i, lane in enumerate(all_lanes)]

    def keys(arm: str, **stratum: int) -> list[str]:
        [own] = [x for x in all_lanes if x.arm == arm and dict(x.stratum) == stratum]
        return [lane.key for lane in neighbours(own, all_lanes, records)]

    assert keys("distilled", ensemble_size=1, width=8) == [
        "distilled-ensemble_size=2-width=8",
        "distilled-ensemble_size=1-width=4",
        "distilled-ensemble_size=1-width=16",
    ]
    assert keys("distilled", ensemble_size=2, width=4) == [
        "distilled-ensemble_size=1-width=4",
        "distilled-ensemble_size=2-width=8",
    ]
    assert keys("baseline", width=16) == ["baseline-width=8"]
    some = [r for r in records if r.width != 8]
    [own] = [x for x in all_lanes if x.arm == "baseline" and dict(x.stratum) == {"width": 16}]
    found = [lane.key for lane in neighbours(own, all_lanes, some)]
    assert found == ["baseline-width=4"], "a stratum with nothing to copy is stepped over"


def test_the_best_settings_beside_a_lane_are_copied_once() -> None:
    config = config_of()
    wide, narrow, middle, *_ = lanes(config)
    records = [
        complete(config, narrow, 0, 0.02, 0.6),
        complete(config, narrow, 1, 0.03, 0.7),
        complete(config, narrow, 2, 0.04, 0.7),
        complete(config, wide, 3, 0.05, 0.9),
        complete(config, middle, 4, 0.06, 0.5),
    ]

    def rates(records: list[TrialRecord], most: int = 9, lane: Lane = middle) -> list[Scalar]:
        copied = warm_starts(config, lane, lanes(config), earlier=records, most=most)
        assert all(set(settings) == set(nuisances(config, lane.arm)) for settings in copied)
        return [settings["learning_rate"] for settings in copied]

    assert rates(records) == [0.03, 0.05], "smaller first, ties to the earlier trial"
    assert rates(records, most=1) == [0.03]
    assert rates([*records, complete(config, middle, 5, 0.03, 0.1)]) == [0.05], "tried already"
    assert rates([*records, complete(config, wide, 6, 0.03, 0.95)]) == [0.03]
    running = records[1].model_copy(update={"state": "RUNNING"})
    assert rates([records[0], running]) == [0.02], "what has not ended is no setting to copy"
    assert rates([]) == []
    baseline = lanes(config)[-1]
    assert rates(records, lane=baseline) == [], "the other arm's settings are its own"


def first_size(config: StudyConfig) -> int:
    """Trials that a lane asks at once in the beginning."""
    generation = next_generation(config, lanes(config)[0], lanes(config), asked=0)
    assert generation is not None
    return generation.size


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": {"kind": "tpe", "warm_start": False}},
        {"sampler": {"kind": "qmc"}},
        {
            "objective": [
                {"metric": "val_accuracy", "direction": "maximize"},
                {"metric": "num_params", "direction": "minimize"},
            ]
        },
    ],
)
def test_pure_designs_and_pareto_studies_copy_nothing(changes: dict[str, Any]) -> None:
    config = config_of(**changes)
    wide, narrow, middle, *_ = lanes(config)
    records = [complete(config, lane, i, 0.02, 0.6) for i, lane in enumerate((wide, narrow))]
    assert warm_starts(config, middle, lanes(config), earlier=records, most=9) == ()
    assert first_size(config) == 4, "as the study file says"


def test_a_generation_is_at_most_half_of_the_budget() -> None:
    sizes = []
    for trials in (1, 5, 6, 100):
        config = config_of(budget={"trials": trials, "generation": 4})
        sizes.append(first_size(config))
    assert sizes == [1, 3, 3, 4]
    alone = small_study(search__width={"role": "fixed", "value": 8})
    assert first_size(alone) == 4, "nobody is beside it"


def test_a_study_spends_its_budget_once_and_starts_from_its_neighbours(
    write_study: WriteStudy,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name="warm", search__width=WIDTHS, training__epochs=3)
    config = kdsearch.load_study(path)
    whole = kdsearch.run_study(config, workers=0).results
    for lane in lanes(config):
        mine = [t for t in lane.of(whole.trials) if t.stage == "search"]
        assert len(mine) == config.budget.trials, "a warm start is one of the budget's trials"
        first, second = mine[:3], mine[3:]
        earlier = [t for t in whole.select(stage="search") if t.trial < second[0].trial]
        beside = [t for other in lanes(config) for t in other.of(earlier)[:3] if not lane.holds(t)]
        expected = warm_starts(config, lane, lanes(config), earlier=[*first, *beside], most=2)
        assert expected
        tuned = nuisances(config, lane.arm)
        proposed = [{name: t.settings[name] for name in tuned} for t in second]
        assert proposed[: len(expected)] == list(expected)
    stored = optuna.load_study(study_name="warm", storage="sqlite:///kdsearch.db").trials
    copied = [t for t in stored if "fixed_params" in t.system_attrs]
    assert {t.params["width"] for t in copied} == {4, 8, 16}
    assert {t.state for t in copied} <= {
        optuna.trial.TrialState.COMPLETE,
        optuna.trial.TrialState.PRUNED,
    }
    monkeypatch.chdir(tmp_path_factory.mktemp("interrupted"))
    pieces = interrupted(config, every=60)
    assert [essence(t) for t in pieces.trials] == [essence(t) for t in whole.trials]


SAMPLERS = {
    "tpe": {"kind": "tpe", "startup_trials": 2},
    "random": {"kind": "random"},
    "gp": {"kind": "gp", "startup_trials": 2},
    "nsga2": {"kind": "nsga2", "population_size": 4},
}
START: dict[str, Scalar] = {
    "temperature": 2.0,
    "alpha": 0.25,
    "learning_rate": 0.01,
    "ensemble_size": 2,
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_sampler_learns_of_a_warm_start_and_goes_on_the_same_after_a_kill(
    kind: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_study(
        sampler=SAMPLERS[kind], search__width={"role": "fixed", "value": 4}, budget__trials=9
    )
    found = []
    for reopen in (False, True):
        monkeypatch.chdir(tmp_path_factory.mktemp("study"))
        found.append(proposals(config, reopen=reopen, start=START))
    assert found[0] == found[1]
    assert found[0][3] == START
    assert all(settings != START for number, settings in enumerate(found[0]) if number != 3)
    if kind in ("tpe", "gp"):  # the others draw at random, and of few parents
        monkeypatch.chdir(tmp_path_factory.mktemp("cold"))
        cold = proposals(config, reopen=False, start=None)
        assert cold[:3] == found[0][:3]
        assert cold[6:] != found[0][6:], "what the warm start gave is learnt from"


def proposals(
    config: StudyConfig, *, reopen: bool, start: dict[str, Scalar] | None
) -> list[dict[str, Scalar]]:
    """Three generations of three; the second begins with `start`."""
    ledger = Ledger.create(config, command="")
    lane = lanes(config)[0]
    space = distributions(config, nuisances(config, lane.arm))
    sampler = None
    for number in range(9):
        if reopen:
            ledger = Ledger(connect_existing(config.storage), config.name)
        if sampler is None or reopen or number % 3 == 0:
            sampler = LaneSampler(config, lane, ledger.trials("distilled"))
        proposal = sampler.ask(number, start if number == 3 else None)
        record = new_record(config, lane, proposal, trial=number)
        attrs = proposal.remembered
        ledger.add(record, space, generation=number // 3, system_attrs=attrs)
        if number % 3 == 2:
            for done in [r for r in ledger.records() if r.state == "RUNNING"]:
                accuracy = 1 / (1 + abs(float(done.settings["alpha"]) - 0.3))
                update = {"state": "COMPLETE", "val": evaluation(accuracy), "epochs": 1}
                ledger.finish(done.model_copy(update=update))
    return [{name: r.settings[name] for name in space} for r in ledger.records()]


def test_the_small_study_is_what_these_tests_take_it_for() -> None:
    assert SMALL_STUDY["budget"] == {"trials": 6, "generation": 4}
