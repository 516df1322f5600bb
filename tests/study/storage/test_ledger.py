"""The ledger on a real SQLite storage, closed and opened again as a killed process would."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from kdsearch.config import StudyConfig
from kdsearch.errors import UnknownStudyError, UserInputError
from kdsearch.results import TrialRecord
from kdsearch.study.proposal.lane import nuisances
from kdsearch.study.proposal.space import distributions
from kdsearch.study.storage.database import (
    connect,
    connect_existing,
    study_names,
    without_password,
)
from kdsearch.study.storage.ledger import Ledger, storable
from kdsearch.study.storage.upgrade import from_unnumbered
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, history, make_record, stored_before

URL = "sqlite:///kdsearch.db"


@pytest.fixture
def config(folder: Path) -> StudyConfig:
    return small_study()


@pytest.fixture
def ledger(config: StudyConfig) -> Ledger:
    return Ledger.create(config, command="kdsearch study run small.yaml")


def reopened() -> Ledger:
    return Ledger(connect_existing(URL), "small")


def add(ledger: Ledger, config: StudyConfig, trial: int, **changes: object) -> TrialRecord:
    record = make_record(config, trial, **changes)  # type: ignore[arg-type]
    space = distributions(config, nuisances(config, record.arm))
    return ledger.add(record, space, generation=trial // 4)


def test_a_trial_killed_before_it_ended_is_found_running_with_all_it_was(
    ledger: Ledger, config: StudyConfig
) -> None:
    added = add(ledger, config, 0)
    assert (added.optuna_study, added.optuna_trial) == ("small", 0)
    # One transaction: there is no moment at which the trial has only some of its parameters.
    raw = optuna.load_study(study_name="small", storage=URL).trials[0]
    assert raw.state == TrialState.RUNNING
    assert raw.params == {
        "temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01, "ensemble_size": 1
    }  # fmt: skip
    adopted = reopened().records()[0]
    assert adopted == added
    assert adopted.state == "RUNNING"
    finished = adopted.model_copy(update={"state": "COMPLETE", "val": evaluation(0.5)})
    reopened().finish(finished)
    assert reopened().records() == (finished,)
    assert optuna.load_study(study_name="small", storage=URL).trials[0].values == [0.5]


def test_killed_between_the_record_and_the_state_is_still_running(
    ledger: Ledger, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add(ledger, config, 0)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger._storage, "set_trial_state_values", killed)
        done = added.model_copy(update={"state": "COMPLETE", "val": evaluation(0.5)})
        with pytest.raises(KeyboardInterrupt):
            ledger.finish(done)
    adopted = reopened().records()[0]
    assert adopted.state == "RUNNING"
    assert (adopted.settings, adopted.seed) == (added.settings, added.seed)


def test_the_run_of_a_finished_trial_is_linked_afterwards(
    ledger: Ledger, config: StudyConfig
) -> None:
    record = add(ledger, config, 0)
    record = record.model_copy(update={"state": "PRUNED", "history": history(0.1)})
    finished = ledger.finish(record)
    assert finished.mlflow_run_id is None
    assert ledger.link(finished, "run-7").mlflow_run_id == "run-7"
    assert ledger.records()[0].mlflow_run_id == "run-7"
    assert reopened().records()[0] == ledger.records()[0]


def test_of_two_runs_of_a_trial_the_one_that_was_linked_last_counts(
    ledger: Ledger, config: StudyConfig
) -> None:
    record = add(ledger, config, 0)
    done = {"state": "PRUNED", "history": history(0.1), "mlflow_run_id": "deleted-by-hand"}
    finished = ledger.finish(record.model_copy(update=done))
    assert finished.mlflow_run_id == "deleted-by-hand"
    ledger.link(finished, "made-again")
    assert reopened().records()[0].mlflow_run_id == "made-again"


def test_a_rung_is_reported_once_in_the_objectives_own_direction(folder: Path) -> None:
    config = small_study(objective={"metric": "val_loss", "direction": "minimize"})
    ledger = Ledger.create(config, command="")
    record = add(ledger, config, 0)
    ledger.report(record, epoch=1, score=-0.7)
    ledger.report(record, epoch=1, score=-0.1)
    ledger.report(record, epoch=3, score=-0.4)
    trial = optuna.load_study(study_name="small", storage=URL).trials[0]
    assert trial.intermediate_values == {1: 0.7, 3: 0.4}


def test_records_are_ordered_by_stage_arm_and_number(ledger: Ledger, config: StudyConfig) -> None:
    confirm = make_record(config, 1, stage="confirm", replicate=1)
    ledger.add(confirm, {})
    add(ledger, config, 0, lane=2)
    add(ledger, config, 0)
    add(ledger, config, 1, lane=1)
    keys = ["search/distilled/0/0", "search/distilled/1/0", "search/baseline/0/0"]
    for book in (ledger, reopened()):
        assert [r.key for r in book.records()] == [*keys, "confirm/distilled/1/1"]
        assert book.next_number("search", "distilled") == 2
        assert book.next_number("search", "baseline") == 1
        assert book.generation(book.records()[0]) == 0


def test_banks_and_configuration_survive(ledger: Ledger, config: StudyConfig) -> None:
    assert reopened().config == config
    assert reopened().command == "kdsearch study run small.yaml"
    raised = small_study(budget__trials=8)
    ledger.update(raised, command="again")
    assert reopened().config == raised
    assert reopened().study_id == ledger.study_id
    assert reopened().banks() == ()
    assert study_names(connect(URL)) == ["small"]


def test_a_study_killed_while_being_made_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = connect(URL)
    storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "small")
    with pytest.raises(UnknownStudyError, match="no study is called small"):
        reopened()
    for part in ("small/baseline", "small/confirm"):
        storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], part)
    with pytest.raises(UnknownStudyError, match="no study is called small"):
        reopened()
    ledger = Ledger.create(small_study(), command="")
    assert ledger.records() == ()
    assert reopened().config == small_study()


def test_a_study_of_another_version_is_named_as_such(ledger: Ledger) -> None:
    study = optuna.load_study(study_name="small", storage=URL)
    saved = study.user_attrs["kdsearch:config"]
    study.set_user_attr("kdsearch:config", saved | {"colour": "blue"})
    with pytest.raises(UserInputError, match="stored by another version of kdsearch"):
        reopened()


@pytest.mark.parametrize(
    ("pruner", "epochs", "first"),
    [
        ({"kind": "halving"}, 9, 1),
        ({"kind": "halving"}, 40, 4),
        ({"kind": "median", "reduction_factor": 4}, 64, 4),
        ({"kind": "halving", "min_epochs": 5}, 40, 5),
        ({"kind": "none"}, 40, None),
    ],
)
def test_a_study_of_before_is_read_as_it_was_understood_then(
    folder: Path, pruner: dict[str, Any], epochs: int, first: int | None
) -> None:
    config = small_study(pruner=pruner, training__epochs=epochs)
    Ledger.create(config, command="")
    study = optuna.load_study(study_name="small", storage=URL)
    stored = stored_before(study.user_attrs["kdsearch:config"])
    study.set_user_attr("kdsearch:config", stored)
    found = reopened().config
    assert (found.sampler.kind, found.pruner.kind) == ("tpe", pruner["kind"])
    assert found.pruner.min_epochs == first
    assert found.confirm.choose_by == "score"
    assert from_unnumbered(storable(found)) == storable(found), "once is enough"


def test_a_study_of_today_keeps_what_it_leaves_open(folder: Path) -> None:
    config = small_study(sampler={}, pruner={"kind": "halving"})
    Ledger.create(config, command="")
    found = reopened().config
    assert found == config
    assert (found.sampler.kind, found.pruner.min_epochs) == (None, None)


def test_somebody_elses_study_of_that_name_is_left_alone(folder: Path) -> None:
    study = optuna.create_study(study_name="small", storage=URL)
    study.add_trial(optuna.trial.create_trial(state=TrialState.COMPLETE, value=1.0))
    with pytest.raises(UserInputError, match="study called small that kdsearch did not make"):
        Ledger.create(small_study(), command="")
    assert len(study.trials) == 1


def test_unknown_studies_and_storages(ledger: Ledger, folder: Path) -> None:
    with pytest.raises(UnknownStudyError, match="no study is called other"):
        Ledger(connect_existing(URL), "other")
    with pytest.raises(UnknownStudyError, match=r"elsewhere\.db does not exist"):
        connect_existing("sqlite:///elsewhere.db")
    assert not (folder / "elsewhere.db").exists()
    (folder / "text.db").write_text("not a database, only a text that is long enough to be one")
    with pytest.raises(UserInputError, match=r"storage sqlite:///text\.db cannot be opened"):
        connect_existing("sqlite:///text.db")
    with pytest.raises(UserInputError, match="cannot be opened"):
        connect("nosuchdatabase://host/name")


def test_passwords_are_not_shown() -> None:
    assert without_password("postgresql://me:secret@host/db") == "postgresql://host/db"
    assert without_password("sqlite:///kdsearch.db") == "sqlite:///kdsearch.db"
