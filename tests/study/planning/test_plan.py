"""A plan says what would run, counts right, and writes nothing."""

from pathlib import Path

import pytest

import kdsearch
from kdsearch.data import load_dataset
from kdsearch.study.planning.cost import train_seconds
from kdsearch.study.planning.duration import in_words
from kdsearch.study.planning.plan import estimate_seconds, plan_study
from kdsearch.study.proposal.lane import lanes_of
from kdsearch.testing.small_study import small_study
from tests.conftest import WriteStudy


def listing(folder: Path) -> dict[str, bytes]:
    return {str(f): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.slow
def test_a_plan_writes_nothing_and_counts_what_is_missing_and_done(
    write_study: WriteStudy, folder: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
    path = write_study(name="planned", teacher__seed=7, training__epochs=3)
    before = listing(folder)
    plan = plan_study(kdsearch.load_study(path))
    assert listing(folder) == before
    assert [f.name for f in folder.iterdir()] == ["planned.yaml"]
    assert plan.strata == "2"
    assert plan.search_trials.startswith("24: 6 a width and arm (distilled and baseline); 0")
    assert plan.confirm_runs == "8: 2 fresh seeds each; 0 done"
    assert plan.teachers == "2 x mlp width 32 depth 1, 0 cached, 2 to train"
    assert plan.data == "digits: 1150 train, 288 validation, 359 test (sealed until confirm)"
    assert "288 validation samples and 6 trials of 4 tuned parameters cannot" in plan.resolution
    kdsearch.run_study(kdsearch.load_study(path, ["budget.trials=2"]), workers=0)
    before = listing(folder)
    after = plan_study(kdsearch.load_study(path))
    assert listing(folder) == before
    assert after.search_trials.endswith("; 8 done")
    assert after.confirm_runs == "8: 2 fresh seeds each; 8 done"
    assert after.teachers.endswith("2 cached, 0 to train")


def test_a_grid_smaller_than_the_budget_and_no_baseline(folder: Path) -> None:
    config = small_study(
        search={
            "temperature": {"role": "nuisance", "values": [1.0, 2.0]},
            "alpha": {"role": "nuisance", "values": [0.0, 0.5]},
            "width": {"role": "scientific", "values": [4, 8, 16]},
        },
        sampler={"kind": "grid"},
        pruner={"kind": "halving", "min_epochs": 1},
        budget__trials=4,
        confirm={"replicates": 0},
    )
    plan = plan_study(config)
    assert plan.strata == "3"
    assert plan.search_trials.startswith("12: 4 a width and arm (distilled); 0 done")
    assert plan.confirm_runs.startswith("0: ")
    assert plan.method == "grid, halving at epochs 1, 3"
    assert list(folder.iterdir()) == []


def test_every_teacher_of_a_scientific_axis_counts(folder: Path) -> None:
    search = {
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        "teacher.model.width": {"role": "scientific", "values": [3, 5]},
    }
    plan = plan_study(small_study(search=search))
    teachers = "4 x mlp width 3 depth 1 or mlp width 5 depth 1, 0 cached, 4 to train"
    assert plan.teachers == teachers


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 seconds"), (89, "89 seconds"), (120, "2 minutes"), (7200, "2.0 hours")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_ladder_says_what_may_come(folder: Path) -> None:
    search = dict(small_study().model_dump(mode="json", exclude_defaults=True)["search"])
    del search["width"]
    ladder = {"start": 2, "factor": 4, "max": 512}
    plan = plan_study(small_study(search=search, study={"ladder": ladder}))
    assert plan.strata.startswith("a ladder of width 2, 8, 32, 128, 512, the first 5 together; ")
    assert plan.strata.endswith("; 0 tried")
    assert plan.search_trials.startswith("at most 84: 6 a width and arm"), "7 sizes, 2 arms"
    assert plan.confirm_runs.startswith("at most 28: 2 fresh seeds each")


def test_an_arm_with_fewer_settings_to_try_says_why(folder: Path) -> None:
    search = {
        "temperature": {"role": "nuisance", "values": [1.0, 2.0]},
        "learning_rate": {"role": "nuisance", "values": [0.01, 0.02, 0.03]},
        "width": {"role": "scientific", "values": [4, 8]},
    }
    plan = plan_study(small_study(search=search, sampler={"kind": "grid"}, budget__trials=6))
    assert plan.search_trials.startswith("18: 6 distilled and 3 baseline a width; the baseline")


def test_a_refit_is_a_second_training_of_each_confirmed_student() -> None:
    def seconds(search_share: float, confirm_share: float, **changes: object) -> float:
        config = small_study(**changes)
        lanes = lanes_of(config, config.strata())
        dataset = load_dataset(config.data)
        return estimate_seconds(
            config,
            dataset,
            lanes,
            missing=0,
            search_share=search_share,
            confirm_share=confirm_share,
        )

    once, twice = (seconds(0.0, 1.0, confirm__refit=refit) for refit in (False, True))
    assert twice > once  # by how much, `test_workload` says
    assert seconds(1.0, 0.0, confirm__refit=True) == seconds(1.0, 0.0)


@pytest.mark.parametrize("setting", [{"dropout": 0.5}, {"input_dropout": 0.2}, {"max_norm": 1.0}])
def test_regularized_students_are_expected_to_train_one_by_one(setting: dict[str, float]) -> None:
    config = small_study()
    trial, dataset = config.trial_config({}), load_dataset(config.data)
    alone = trial.training.model_copy(update={"engine": "reference"})
    loop = train_seconds(trial.model_copy(update={"training": alone}), dataset)
    student = trial.student.model_copy(update=setting)
    assert train_seconds(trial, dataset) < loop
    assert train_seconds(trial.model_copy(update={"student": student}), dataset) == loop
