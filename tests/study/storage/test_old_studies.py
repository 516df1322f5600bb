"""Studies that earlier versions stored open, say what they said, and go on.

`fixtures/README.md` says how each was made.
"""

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

import kdsearch
from kdsearch.analysis import results_table
from kdsearch.errors import UserInputError
from kdsearch.results import Results
from kdsearch.study.storage.database import connect
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.listing import list_studies
from kdsearch.study.storage.outcome import load_results
from kdsearch.study.storage.upgrade import STEPS, Step, Stored
from tests.conftest import WriteStudy

FIXTURES = Path(__file__).parent / "fixtures"
URL = "sqlite:///kdsearch.db"
NAMES = {"0.1": "two-widths", "0.2": "two-widths", "0.2-pareto": "front"}
"""Folder to the study in it."""


def unpack(version: str, folder: Path) -> pd.DataFrame:
    """Put a study into a folder; what its version exported, read as text."""
    for file in ("kdsearch.db", "study.yaml"):
        shutil.copy(FIXTURES / version / file, folder)
    return pd.read_csv(FIXTURES / version / "results.csv", dtype=str, keep_default_na=False)


def exported(results: Results, folder: Path) -> pd.DataFrame:
    results_table(results).to_csv(folder / "now.csv", index=False)
    return pd.read_csv(folder / "now.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize(("version", "name"), NAMES.items())
def test_it_opens_and_says_what_it_said_and_nothing_is_written(
    version: str, name: str, folder: Path
) -> None:
    then = unpack(version, folder)
    before = (folder / "kdsearch.db").read_bytes()
    now = exported(load_results(name), folder)
    assert now[list(then.columns)].equals(then), "columns may come, values stay"
    assert [listed.name for listed in list_studies(root=folder)] == [name]
    assert (folder / "kdsearch.db").read_bytes() == before


def stored(key: str, part: str) -> dict[int, Any]:
    """An attribute of the trials of a part, by number; of the study itself at -1."""
    study = optuna.load_study(study_name=part, storage=URL)
    own = {-1: study.user_attrs[key]} if key in study.user_attrs else {}
    return own | {t.number: t.user_attrs[key] for t in study.trials if key in t.user_attrs}


@pytest.mark.slow
@pytest.mark.parametrize(("version", "name"), NAMES.items())
def test_a_raised_budget_runs_the_difference_and_is_stored_as_today(
    version: str, name: str, folder: Path
) -> None:
    unpack(version, folder)
    before = load_results(name)
    old = stored("record", name)
    config = kdsearch.load_study(Path("study.yaml"), ["budget.trials=8"])
    result = kdsearch.run_study(config, workers=0)
    trials = {t.key: t for t in result.results.trials}
    for trial in before.trials:
        assert trials[trial.key].model_dump() == trial.model_dump() | {
            "mlflow_run_id": trials[trial.key].mlflow_run_id
        }
    lanes = len(config.strata()) * 2
    assert sum(t.stage == "search" for t in result.results.trials) == 8 * lanes
    assert all(t.state in ("COMPLETE", "PRUNED") for t in result.results.trials)
    assert result.report.html.exists()
    assert stored("kdsearch:config", name)[-1]["schema"] == len(STEPS)
    records = stored("record", name)
    assert {n: r.get("schema") for n, r in records.items()} == {
        n: None if n in old else len(STEPS) for n in records
    }
    assert kdsearch.run_study(config, workers=0).new_trials == 0


def test_what_the_first_version_was_understood_to_mean_still_holds(folder: Path) -> None:
    unpack("0.1", folder)
    config = load_results("two-widths").config
    assert (config.sampler.kind, config.pruner.kind) == ("tpe", "halving")
    assert (config.pruner.min_epochs, config.confirm.choose_by) == (1, "score")
    assert config.confirm.candidates == 1


def renaming_step() -> Step:
    """Of a version in which three things, one of them searched, have got the names of today."""

    def config(saved: Stored) -> Stored:
        teacher = saved["teacher"] | {"training": batch_size(saved["teacher"]["training"])}
        return saved | {"training": batch_size(saved["training"]), "teacher": teacher}

    def batch_size(training: Stored) -> Stored:
        rest = {key: value for key, value in training.items() if key != "minibatch"}
        return rest | {"batch_size": training["minibatch"]}

    def record(saved: Stored) -> Stored:
        rest = {key: value for key, value in saved.items() if key != "passes"}
        return rest | {"epochs": saved["passes"]}

    def bank(saved: Stored) -> Stored:
        return {("ensembles" if k == "together" else k): value for k, value in saved.items()}

    parameters = {"training.minibatch": "training.batch_size"}
    return Step(config=config, record=record, bank=bank, parameters=parameters)


def store_as_before_the_step() -> None:
    """Give what is stored the names that the renaming step knows."""
    renames = {
        ("study", "kdsearch:config"): ("batch_size", "minibatch"),
        ("study", "kdsearch:bank:%"): ("ensembles", "together"),
        ("trial", "record"): ("epochs", "passes"),
    }
    with contextlib.closing(sqlite3.connect("kdsearch.db")) as database, database:
        for (table, key), (today, then) in renames.items():
            for old, new in ((f'"{today}"', f'"{then}"'), ("training.batch_size", SEARCHED)):
                changed = database.execute(
                    f"update {table}_user_attributes set value_json = replace(value_json, ?, ?) "
                    "where key like ?",
                    (old, new, key),
                )
                assert changed.rowcount > 0
        changed = database.execute(
            "update trial_params set param_name = ? where param_name = 'training.batch_size'",
            (SEARCHED,),
        )
        assert changed.rowcount > 0


SEARCHED = "training.minibatch"
STUDY = {
    "search": {
        "training.batch_size": {"role": "nuisance", "values": [32, 64, 128]},
        "learning_rate": {"role": "nuisance", "low": 1e-3, "high": 1e-1, "log": True},
        "width": {"role": "fixed", "value": 4},
    },
    "sampler": {"kind": "tpe", "startup_trials": 2},
    "confirm": {"replicates": 1, "candidates": 1, "baseline": False},
    "training__epochs": 2,
}


@pytest.mark.slow
def test_a_rename_orphans_no_study(
    write_study: WriteStudy,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its step an old study proposes and trains what it would have without the rename."""

    def run(trials: int) -> list[dict[str, Any]]:
        path = write_study(name="renamed", **STUDY)
        config = kdsearch.load_study(path, [f"budget.trials={trials}"])
        results = kdsearch.run_study(config, workers=0).results
        return [r.model_dump(exclude={"mlflow_run_id", "train_seconds"}) for r in results.trials]

    run(5)
    told = run(9)
    monkeypatch.chdir(tmp_path_factory.mktemp("renamed"))
    run(5)
    store_as_before_the_step()
    with pytest.raises(UserInputError, match=r"study renamed in .* cannot read it"):
        load_results("renamed")
    for opened in (Ledger.__init__, Ledger.create.__func__):
        monkeypatch.setitem(opened.__kwdefaults__, "steps", (*STEPS, renaming_step()))
    assert run(9) == told
    numbers = {record["schema"] for record in stored("record", "renamed").values()}
    assert numbers == {len(STEPS), len(STEPS) + 1}
    names = {
        name for t in Ledger(connect(URL), "renamed").trials("distilled") for name in t.params
    }
    assert names == {"training.batch_size", "learning_rate"}
