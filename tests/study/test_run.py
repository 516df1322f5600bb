"""A study end to end, with real training, a real storage and real MLflow runs."""

import dataclasses
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import mlflow
import optuna
import pytest
import torch

import kdsearch
from kdsearch.analysis import results_table
from kdsearch.config import StudyConfig
from kdsearch.data import SealedSplit, load_dataset
from kdsearch.errors import StudyChangedError, TooManyFailuresError
from kdsearch.results import Results, TrialRecord
from kdsearch.study.planning.plan import plan_study
from tests.conftest import WriteStudy
from tests.study.records import stored_before

pytestmark = pytest.mark.slow

TIMING = {"train_seconds", "mlflow_run_id"}
ONE_WIDTH = {"role": "fixed", "value": 4}


def essence(record: TrialRecord) -> dict[str, object]:
    """A record without what may differ between two runs of the same study."""
    return record.model_dump(exclude=TIMING)


def run(path: Path, *overrides: str, workers: int = 0) -> Results:
    return kdsearch.run_study(kdsearch.load_study(path, overrides), workers=workers).results


def test_a_study_spends_equal_budgets_and_confirms_on_fresh_seeds(
    write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real_open = SealedSplit.open

    def spy(self: SealedSplit, by: str) -> object:
        opened.append(by)
        return real_open(self, by)

    monkeypatch.setattr(SealedSplit, "open", spy)
    results = run(write_study(name="equal"))
    for arm in ("distilled", "baseline"):
        for width in (4, 8):
            mine = [t for t in results.select(arm=arm) if t.width == width]
            search = [t for t in mine if t.stage == "search"]
            confirm = [t for t in mine if t.stage == "confirm"]
            assert len(search) == 6
            assert [t.replicate for t in confirm] == [1, 2]
            assert all(t.test is None for t in search)
            assert all(t.test is not None for t in confirm)
            assert len({t.seed for t in (search[0], *confirm)}) == 3
    confirmed = {t.key for t in results.select(stage="confirm")}
    assert {by for by in opened if by.startswith(("search", "confirm"))} == confirmed
    assert all(opened.count(f"{key}") <= 2 for key in confirmed)
    first, second = (
        [t for t in results.select(stage="confirm", arm=arm) if t.replicate == 1]
        for arm in ("distilled", "baseline")
    )
    assert [t.seed for t in first] == [t.seed for t in second], "the arms are paired by seed"


def test_running_twice_adds_nothing_and_a_raised_budget_adds_the_difference(
    write_study: WriteStudy,
) -> None:
    path = write_study(name="twice")
    first = run(path)
    second = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert second.new_trials == 0
    assert second.results.trials == first.trials
    raised = run(path, "budget.trials=10")
    for arm in ("distilled", "baseline"):
        for width in (4, 8):
            search = [t for t in raised.select(stage="search", arm=arm) if t.width == width]
            assert len(search) == 10
    study = optuna.load_study(study_name="twice", storage="sqlite:///kdsearch.db")
    assert len(study.trials) == 20
    assert not [t for t in study.trials if not t.state.is_finished()]


def test_more_replicates_extend_and_never_repeat(write_study: WriteStudy) -> None:
    path = write_study(name="extend", search__width={"role": "fixed", "value": 4})
    before = run(path).select(stage="confirm")
    after = run(path, "confirm.replicates=4").select(stage="confirm")
    assert [t for t in after if t.replicate <= 2] == list(before)
    assert sorted(t.replicate for t in after) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_more_candidates_join_those_that_are_confirmed(write_study: WriteStudy) -> None:
    path = write_study(name="joined", search__width={"role": "fixed", "value": 4})
    before = run(path).select(stage="confirm")
    results = run(path, "confirm.candidates=3")
    after = results.select(stage="confirm")
    assert all(t in after for t in before)
    assert len(after) == 3 * len(before)
    for arm in ("distilled", "baseline"):
        mine = [t for t in after if t.arm == arm]
        numbers = Counter(t.trial for t in mine)
        assert list(numbers.values()) == [2, 2, 2]
        for replicate in (1, 2):
            seeds = [t.seed for t in mine if t.replicate == replicate]
            assert len(set(seeds)) == 1, "candidates are compared on the same seeds"
        means = {n: fmean(t.val.accuracy for t in mine if t.trial == n and t.val) for n in numbers}
        (chosen,) = [number for kind, number in results.chosen if kind == arm]
        assert means[chosen] == max(means.values())
    assert kdsearch.run_study(results.config, workers=0).new_trials == 0


def pruner(kind: str) -> dict[str, object]:
    """One that stops students of the small study, however badly its few trials forecast."""
    return {"kind": kind, "min_epochs": 1, "min_correlation": 0.0}


# Of six trials of each arm, all of the first generation, a rung can be judged.
SIX = {"budget": {"trials": 12, "generation": 6}, "search__width": ONE_WIDTH}
SURFACE = {"sampler": {"kind": "surface"}}
TWO = {"confirm": {"replicates": 2, "candidates": 2, "baseline": True}}
METHODS: dict[str, dict[str, Any]] = {
    "tpe": {},
    "tpe-halving": SIX | {"pruner": pruner("halving")},
    "tpe-median": SIX | {"pruner": pruner("median")},
    "tpe-hyperband": SIX | {"pruner": pruner("hyperband")},
    "surface": SURFACE | TWO,
    "surface-halving": SURFACE | TWO | {"pruner": pruner("halving")},
}


def check_that_it_did_what_it_is_called(results: Results, method: str) -> None:
    """A test of nothing would be passed by everything."""
    parts = method.split("-")
    searched = results.select(stage="search")
    stops = {"halving", "median", "hyperband"} & set(parts)
    assert any(t.state == "PRUNED" for t in searched) == bool(stops)
    if parts == ["surface"]:  # on its first look it tries the best settings of hard labels
        tried = [t for t in searched if t.arm == "distilled" and t.alpha == 1.0]
        assert [t.width for t in tried] == [4, 8]


@pytest.mark.parametrize("method", METHODS)
def test_interruptions_change_nothing(
    write_study: WriteStudy,
    method: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name=f"same-{method}", **METHODS[method])
    whole = run(path)
    check_that_it_did_what_it_is_called(whole, method)
    monkeypatch.chdir(tmp_path_factory.mktemp("interrupted"))
    pieces = interrupted(kdsearch.load_study(path), every=23)
    assert [essence(t) for t in pieces.trials] == [essence(t) for t in whole.trials]


@pytest.mark.parametrize("method", ["tpe", "surface-halving"])
def test_two_worker_processes_give_the_same_numbers(
    write_study: WriteStudy,
    method: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name=f"workers-{method}", **METHODS[method])
    inline = run(path)
    monkeypatch.chdir(tmp_path_factory.mktemp("processes"))
    processes = run(path, workers=2)
    assert [essence(t) for t in processes.trials] == [essence(t) for t in inline.trials]


def interrupted(config: StudyConfig, *, every: int) -> Results:
    """Run a study to its end although it is stopped after every few epochs."""
    import os
    import signal

    from kdsearch.errors import InterruptedStudyError
    from kdsearch.study.listener import Listener

    class Stopper(Listener):
        def __init__(self) -> None:
            self.left = every

        def epoch(self, row: str, metrics: object) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

    for _ in range(100):
        try:
            return kdsearch.run_study(config, workers=0, listener=Stopper()).results
        except InterruptedStudyError:
            continue
    raise AssertionError("the study made no progress")


def test_rungs_stop_nobody_who_is_exempt_or_while_they_tell_nothing(
    write_study: WriteStudy,
) -> None:
    halving = {"kind": "halving", "min_epochs": 1, "exempt": 0.25, "min_correlation": 0.0}
    budget = {"trials": 16, "generation": 4}
    path = write_study(
        name="rungs", pruner=halving, budget=budget, search__width=ONE_WIDTH, **SURFACE
    )
    results = run(path)
    pruned = results.select(state="PRUNED")
    for arm in ("distilled", "baseline"):
        mine = list(results.select(stage="search", arm=arm))
        stopped = [index for index, trial in enumerate(mine) if trial in pruned]
        assert stopped
        # Generations of 4 trials: 16 have ended after the second of both arms.
        assert min(stopped) >= 8, "nothing is known before"
        assert not {0, 3, 7, 11, 15} & set(stopped), "every fourth is exempt"
    assert {t.epochs for t in pruned} <= {1, 3}
    strict = write_study(
        name="strict",
        pruner=halving | {"min_correlation": 1.0},
        budget=budget,
        search__width=ONE_WIDTH,
        **SURFACE,
    )
    assert not run(strict).select(state="PRUNED"), "no rung orders students as their ends do"


def test_settings_that_are_few_are_tried_again_on_other_seeds(write_study: WriteStudy) -> None:
    few = {
        "learning_rate": {"role": "nuisance", "values": [0.003, 0.01]},
        "alpha": {"role": "nuisance", "values": [0.0, 1.0]},
        "width": ONE_WIDTH,
    }
    path = write_study(name="few", search=few, budget={"trials": 12, "generation": 4}, **SURFACE)
    results = run(path)
    for arm, different in (("distilled", 4), ("baseline", 2)):
        mine = results.select(stage="search", arm=arm)
        assert len(mine) == 12
        originals = {t.trial: t for t in mine if t.repeats is None}
        assert len({tuple(t.settings.items()) for t in originals.values()}) == len(originals)
        assert len(originals) <= different
        for trial in mine:
            if trial.repeats is not None:
                assert trial.settings == originals[trial.repeats].settings
                assert trial.repeats < trial.trial
        for number in originals:
            seeds = [t for t in mine if number in (t.trial, t.repeats)]
            assert [t.replicate for t in seeds] == list(range(len(seeds)))
            assert len({t.seed for t in seeds}) == len(seeds)
        confirm = results.select(stage="confirm", arm=arm)
        assert len({t.trial for t in confirm}) == 1
        assert {t.trial for t in confirm} <= set(originals)
        assert not {t.seed for t in confirm} & {t.seed for t in mine}
        assert {t.searched for t in confirm} == {12}


def test_a_study_of_an_older_version_goes_on_as_it_began(
    write_study: WriteStudy,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    explicit = {
        "sampler": {"kind": "tpe", "startup_trials": 3},
        "pruner": {"kind": "halving", "min_epochs": 1},
        "confirm": {"replicates": 1, "candidates": 1, "choose_by": "score"},
    }
    path = write_study(name="older", search__width=ONE_WIDTH, **explicit)
    run(path, "budget.trials=6")
    told = run(path, "budget.trials=12")
    monkeypatch.chdir(tmp_path_factory.mktemp("older"))
    begun = run(path, "budget.trials=6")
    for part in ("older", "older/baseline", "older/confirm"):
        study = optuna.load_study(study_name=part, storage="sqlite:///kdsearch.db")
        stored = stored_before(study.user_attrs["kdsearch:config"])
        study.set_user_attr("kdsearch:config", stored)
    left_open = {"sampler": {"startup_trials": 3}, "confirm": {"replicates": 1}}
    path = write_study(name="older", search__width=ONE_WIDTH, **left_open)
    plan = plan_study(kdsearch.load_study(path, ["budget.trials=12"]))
    assert plan.method == "tpe, halving at epochs 1, 3"
    results = run(path, "budget.trials=12")
    assert (results.config.sampler.kind, results.config.pruner.kind) == ("tpe", "halving")
    assert [essence(t) for t in results.trials] == [essence(t) for t in told.trials]
    assert len(results.trials) > len(begun.trials)
    with pytest.raises(StudyChangedError, match=r"sampler\.kind: tpe -> surface"):
        run(path, "budget.trials=12", "sampler.kind=surface")


def test_the_champion_predicts_what_was_confirmed(write_study: WriteStudy) -> None:
    path = write_study(name="champ", tracking={"models": "confirmed"})
    result = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    champion = result.champion
    assert champion is not None
    assert champion.test is not None
    model = mlflow.pytorch.load_model("models:/champ@champion")
    test = load_dataset(result.results.config.data).test.open(by="a test of kdsearch")
    with torch.no_grad():
        correct = int((model(test.x).argmax(1) == test.y).sum())
    assert correct / len(test) == champion.test.accuracy


def test_optuna_and_mlflow_name_each_other(write_study: WriteStudy) -> None:
    results = run(write_study(name="named"))
    client = mlflow.MlflowClient()
    for record in results.trials:
        assert record.mlflow_run_id is not None
        tags = client.get_run(record.mlflow_run_id).data.tags
        assert tags["kdsearch.optuna_study"] == record.optuna_study
        assert tags["kdsearch.optuna_trial"] == str(record.optuna_trial)


def test_a_changed_search_space_is_refused_with_a_diff(write_study: WriteStudy) -> None:
    path = write_study(name="changed", search__width={"role": "fixed", "value": 4})
    before = run(path, "budget.trials=2").trials
    with pytest.raises(StudyChangedError) as refused:
        run(path, "search.temperature.high=20.0")
    assert "search.temperature.high: 10.0 -> 20.0" in str(refused.value)
    assert kdsearch.load_results("changed").trials == before


def test_diverged_trials_are_recorded_and_stop_the_study_when_too_many(
    write_study: WriteStudy,
) -> None:
    changes = {
        "training__optimizer": "sgd",
        "search__learning_rate": {"role": "nuisance", "low": 1e25, "high": 1e30, "log": True},
        "search__width": {"role": "fixed", "value": 4},
    }
    path = write_study(name="diverged", budget={"trials": 6, "max_failures": 3}, **changes)
    with pytest.raises(TooManyFailuresError, match=r"max_failures is 3.*loss became"):
        run(path)
    failed = kdsearch.load_results("diverged").select(state="FAIL")
    assert len(failed) > 3
    assert all("learning rate" in (t.failure or "") for t in failed)


def test_a_pareto_study_prunes_and_confirms_its_front(write_study: WriteStudy) -> None:
    path = write_study(
        name="pareto",
        search__width={"role": "nuisance", "values": [2, 4, 8]},
        objective=[
            {"metric": "val_accuracy", "direction": "maximize"},
            {"metric": "num_params", "direction": "minimize"},
        ],
        sampler={"kind": "nsga2", "population_size": 4},
        pruner=pruner("halving"),
        budget={"trials": 12, "generation": 6},
    )
    results = run(path)
    front = [t for t in results.trials if t.stage == "search" and t.trial in results.pareto]
    assert results.select(stage="search", state="PRUNED")
    assert front
    assert {t.trial for t in results.select(stage="confirm", arm="distilled")} == set(
        results.pareto
    )
    ordered = sorted((t for t in front if t.arm == "distilled"), key=lambda t: t.num_params or 0)
    accuracies = [t.val.accuracy for t in ordered if t.val]
    assert accuracies == sorted(accuracies)


def test_results_table_has_one_row_per_student(write_study: WriteStudy) -> None:
    results = run(write_study(name="rows"))
    assert len(results_table(results)) == len(results.trials) == 2 * 2 * (6 + 2)
    assert dataclasses.is_dataclass(results)
