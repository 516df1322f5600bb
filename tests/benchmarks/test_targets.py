"""Targets, what counts as reached, and what rivals' trials are charged."""

import math
from pathlib import Path

import optuna
import pytest

from benchmarks import target
from benchmarks.machine import Machine, finite, write_json
from benchmarks.target import Prepared, Size, Trial
from benchmarks.time_to_target import NEVER, charge, first_time, later, quantile

SIZE = Size(width=8, epochs=9, train_fraction=0.1, random_trials=5, seeds=1, trials=4)


def prepared() -> Prepared:
    return Prepared(
        size=SIZE,
        targets={"easy": 0.5, "hard": 0.8},
        random_accuracies=[0.1, 0.9],
        searches={"TPE": [[Trial(9, 0.6), Trial(2, None), Trial(9, 0.8)]]},
        machine={"date": "today"},
    )


def test_targets_come_from_the_random_search() -> None:
    accuracies = [i / 100 for i in range(1, 91)]
    found = target.targets_of(accuracies)
    assert found["hard"] == pytest.approx(0.899)
    assert found["easy"] == pytest.approx(0.67)
    assert found["easy"] < found["median"] < found["hard"]


def test_a_trial_counts_when_it_has_ended() -> None:
    ended = [(1.0, None), (2.0, 0.7), (3.0, 0.9)]
    assert first_time(ended, 0.7) == 2.0
    assert first_time(ended, 0.8) == 3.0
    assert first_time(ended, 0.95) == NEVER


def test_every_epoch_is_charged() -> None:
    run = charge(prepared(), prepared().searches["TPE"][0], 10.0)
    assert run.seconds == {"easy": 90.0, "hard": 200.0}
    assert (run.trials, run.epochs, run.best) == (3, 20, 0.8)
    assert later(run, 5.0).seconds == {"easy": 95.0, "hard": 205.0}


def test_runs_that_never_arrive_are_not_dropped() -> None:
    assert quantile([1.0, 2.0, NEVER, NEVER], 0.5) == 2.0
    assert quantile([1.0, NEVER, NEVER], 0.5) == NEVER
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.25) == 1.0


def test_a_pruner_ends_a_search_s_trial() -> None:
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.ThresholdPruner(lower=0.5)
    )
    pruned = target.tell(study, study.ask(target.SPACE), [0.6, 0.4, 0.9])
    complete = target.tell(study, study.ask(target.SPACE), [0.6, 0.8, 0.7])
    assert (pruned, complete) == (Trial(2, None), Trial(3, 0.8))
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "COMPLETE"]


def test_rivals_can_be_asked() -> None:
    for make in target.rivals(SIZE).values():
        asked = make(0).ask(target.SPACE)
        assert set(asked.params) == {"temperature", "alpha", "learning_rate"}


def test_the_file_comes_back(tmp_path: Path) -> None:
    target.save(prepared(), tmp_path / "targets.json")
    assert target.load(tmp_path / "targets.json") == prepared()


def test_json_has_no_infinity(tmp_path: Path) -> None:
    assert finite({"a": [math.inf, 1.0, (math.nan,)]}) == {"a": [None, 1.0, [None]]}
    machine = Machine("d", "c", 1, 0.0, "p", "t", 1.0, "")
    write_json(tmp_path / "out.json", machine, {"seconds": math.inf})
    assert '"seconds": null' in (tmp_path / "out.json").read_text(encoding="utf-8")
