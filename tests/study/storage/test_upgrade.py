"""Stored dicts go through the steps that lie between their schema and today's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest
from pydantic import BaseModel

import kdsearch
from kdsearch.config import StudyConfig
from kdsearch.errors import UserInputError
from kdsearch.results import TeacherBankRecord, TrialRecord
from kdsearch.study.storage.database import connect
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.outcome import load_results
from kdsearch.study.storage.upgrade import (
    STEPS,
    NewerSchemaError,
    Step,
    Stored,
    numbered,
    renamed_parameters,
    upgraded,
)
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, make_record

URL = "sqlite:///kdsearch.db"
FIELDS = Path(__file__).parent / "fixtures" / "fields.json"


def colour_is_hue(saved: Stored) -> Stored:
    return {("hue" if key == "colour" else key): value for key, value in saved.items()}


def hue_is_tone(saved: Stored) -> Stored:
    return {("tone" if key == "hue" else key): value for key, value in saved.items()}


TWO = (Step(record=colour_is_hue), Step(record=hue_is_tone))


def test_steps_are_applied_in_order_from_the_schema_that_was_stored() -> None:
    saved = {"colour": "blue"}
    assert upgraded("record", saved, TWO) == {"tone": "blue"}
    assert upgraded("record", saved | {"schema": 1}, TWO) == {"colour": "blue"}
    assert upgraded("record", {"hue": "blue", "schema": 1}, TWO) == {"tone": "blue"}
    assert upgraded("record", {"tone": "blue", "schema": 2}, TWO) == {"tone": "blue"}
    assert upgraded("config", saved, TWO) == saved, "a step of records is none of configurations"
    assert saved == {"colour": "blue"}, "steps are pure"


def test_what_is_stored_carries_todays_number_and_reads_back() -> None:
    saved = numbered({"tone": "blue"}, TWO)
    assert saved == {"schema": 2, "written_by": kdsearch.__version__, "tone": "blue"}
    assert upgraded("record", saved, TWO) == {"tone": "blue"}


def test_a_newer_number_is_refused() -> None:
    with pytest.raises(NewerSchemaError):
        upgraded("record", {"schema": 3}, TWO)


def test_a_parameter_has_its_name_of_today_wherever_it_is_a_key() -> None:
    steps = (Step(parameters={"lr": "rate"}), Step(parameters={"rate": "learning_rate"}))
    space = {"lr": {"low": 1}, "width": {}}
    today = {"learning_rate": {"low": 1}, "width": {}}
    assert upgraded("config", {"search": space}, steps) == {"search": today}
    settings = {"settings": {"lr": 1, "width": 2}, "stratum": {"lr": 1}}
    told = {"settings": {"learning_rate": 1, "width": 2}, "stratum": {"learning_rate": 1}}
    assert upgraded("record", settings, steps) == told
    assert upgraded("bank", {"settings": {"lr": 1}}, steps) == {"settings": {"learning_rate": 1}}
    assert renamed_parameters({}, steps) == {"lr": "learning_rate", "rate": "learning_rate"}
    assert renamed_parameters({"schema": 1}, steps) == {"rate": "learning_rate"}
    assert renamed_parameters({"schema": 2}, steps) == {}


def parts() -> Iterator[tuple[str, optuna.storages.BaseStorage, int]]:
    storage = connect(URL)
    for study in storage.get_all_studies():
        yield study.study_name, storage, study._study_id


def test_everything_that_a_study_stores_is_numbered(folder: Path) -> None:
    config = small_study()
    ledger = Ledger.create(config, command="")
    ledger.update(config, command="")
    ledger.finish(ledger.add(make_record(config, 0, val=0.5).model_copy(update=RUNNING), {}))
    ledger.save_bank(BANK)
    numbers = []
    for name, storage, study_id in parts():
        attributes = storage.get_study_user_attrs(study_id)
        numbers += [attributes["kdsearch:config"]["schema"]]
        numbers += [v["schema"] for k, v in attributes.items() if k.startswith("kdsearch:bank:")]
        trials = storage.get_all_trials(study_id)
        numbers += [trial.user_attrs["record"]["schema"] for trial in trials]
        assert len(trials) == (name == "small")
    assert numbers == [len(STEPS)] * 5
    assert Ledger(connect(URL), "small").banks() == (BANK,)


RUNNING = {"state": "RUNNING"}
BANK = TeacherBankRecord(key="abc", members=(), ensembles=())


@pytest.mark.parametrize("part", ["config", "record", "bank"])
def test_a_study_of_a_newer_version_says_what_where_and_which(folder: Path, part: str) -> None:
    config = small_study()
    ledger = Ledger.create(config, command="")
    ledger.save_bank(BANK)
    newer = {"schema": len(STEPS) + 1, "written_by": "7.8.9"}
    _, storage, study_id = next(parts())
    if part == "record":
        record = make_record(config, 0).model_dump(mode="json") | newer
        attrs = {"record": record, "generation": 0}
        running = optuna.trial.TrialState.RUNNING
        storage.create_new_trial(
            study_id, optuna.trial.create_trial(state=running, user_attrs=attrs)
        )
    else:
        key = "kdsearch:config" if part == "config" else "kdsearch:bank:abc"
        saved = storage.get_study_user_attrs(study_id)[key]
        storage.set_study_user_attr(study_id, key, saved | newer)
    with pytest.raises(UserInputError) as refused:
        load_results("small")
    what = {"config": "study", "record": "a record of study", "bank": "a teacher of study"}[part]
    assert str(refused.value) == (
        f"{what} small in {URL} was stored by another version of kdsearch, in schema "
        f"{len(STEPS) + 1}, and this one ({kdsearch.__version__}, up to schema {len(STEPS)}) "
        "cannot read it; install kdsearch 7.8.9, or give the study file another name"
    )


def models(kind: Any) -> Iterator[type[BaseModel]]:
    """A model, and all that its fields are made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for part in get_args(kind):
        yield from models(part)


def stored_fields() -> dict[str, list[str]]:
    found = [m for top in (StudyConfig, TrialRecord, TeacherBankRecord) for m in models(top)]
    return {model.__name__: sorted(model.model_fields) for model in found}


def test_no_stored_field_goes_without_a_step() -> None:
    """Of whoever renames or drops a field; new ones may come."""
    pinned = json.loads(FIELDS.read_text())
    today = stored_fields()
    gone = [
        f"{model}.{name}"
        for model, names in pinned["fields"].items()
        for name in names
        if name not in today.get(model, ())
    ]
    assert not gone or len(STEPS) > pinned["schema"], (
        f"{gone} stored by schema {pinned['schema']} would no longer be read: append a step to "
        f"kdsearch.study.storage.upgrade.STEPS, and write {FIELDS.name} anew"
    )
    assert len(STEPS) == pinned["schema"], f"a step has come: write {FIELDS.name} anew"


def test_old_records_get_the_defaults_of_later_fields(folder: Path) -> None:
    ledger = Ledger.create(small_study(), command="")
    record = make_record(ledger.config, 0, val=0.5).model_copy(update=RUNNING)
    added = ledger.add(record, {})
    _, storage, study_id = next(parts())
    trial = storage.get_all_trials(study_id)[0]
    saved = dict(trial.user_attrs["record"])
    for later in ("repeats", "searched", "candidates", "schema", "written_by"):
        del saved[later]
    storage.set_trial_user_attr(trial._trial_id, "record", saved)
    assert Ledger(connect(URL), "small").records() == (added,)
    assert added.val == evaluation(0.5)
