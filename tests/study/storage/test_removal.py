"""`study delete` on real studies, in a real Optuna storage and a real MLflow."""

import io
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

import kdsearch
from kdsearch.cache import cache_folder
from kdsearch.errors import StudyLockedError, UnknownStudyError
from kdsearch.study.storage.removal import doomed_study
from kdsearch.testing.small_study import small_study
from kdsearch.tracking import TrackingUnavailableError
from tests.cli.conftest import Command, command  # noqa: F401 - a fixture
from tests.study.storage.test_lock import HOLD

STORAGE = "sqlite:///kdsearch.db"
TINY = {"budget__trials": 2, "confirm__replicates": 1}


def run(name: str, experiment: str, *, models: str = "none") -> None:
    changes = {"name": name, "tracking": {"experiment": experiment, "models": models}}
    kdsearch.run_study(small_study(**TINY, **changes), workers=0)


def names(client: MlflowClient, experiment: str) -> set[str]:
    found = client.get_experiment_by_name(experiment)
    if found is None or found.lifecycle_stage != "active":
        return set()
    runs = client.search_runs([found.experiment_id])
    return {run.data.tags["kdsearch.study"] for run in runs}


def optuna_names() -> list[str]:
    return sorted(optuna.get_all_study_names(STORAGE))


@pytest.mark.slow
def test_a_study_leaves_nothing_and_its_neighbours_stay(folder: Path, command: Command) -> None:  # noqa: F811
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    run("doomed", "shared", models="confirmed")
    run("neighbour", "shared")
    run("alone", "alone")
    assert names(client, "shared") == {"doomed", "neighbour"}
    assert client.get_model_version_by_alias("doomed", "champion")
    teachers = sorted(path.name for path in (cache_folder() / "teachers").rglob("*"))
    report = folder / "reports" / "doomed"
    assert report.is_dir()

    answer = command("study", "delete", "doomed", "--yes")
    assert answer.code == 0, answer.err
    assert "study doomed is removed: 12 students, 15 runs in MLflow, 1 version of" in answer.out
    assert "teachers and logits stay" in answer.out
    assert names(client, "shared") == {"neighbour"}
    shared = client.get_experiment_by_name("shared")
    left = client.search_logged_models([shared.experiment_id])
    assert not [model for model in left if model.name.startswith("doomed")]
    assert not client.search_registered_models("name = 'doomed'")
    assert optuna_names() == [
        f"{name}{part}"
        for name in ("alone", "neighbour")
        for part in ("", "/baseline", "/confirm")
    ]
    assert not report.exists()
    assert not [path for path in folder.rglob("*") if "doomed" in path.name]
    assert sorted(path.name for path in (cache_folder() / "teachers").rglob("*")) == teachers

    alone = command("study", "delete", "alone", "--yes")
    assert "and the experiment alone" in alone.out
    assert names(client, "alone") == set()
    run("alone", "alone")  # its name, and that of its experiment, can be had again
    assert names(client, "alone") == {"alone"}
    again = command("study", "delete", "doomed", "--yes")
    assert (again.code, again.out) == (2, "")
    assert again.err == "no study is called doomed; there are neighbour and alone\n"


@pytest.mark.slow
def test_a_study_that_runs_or_whose_tracker_is_away_stays(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,  # noqa: F811
) -> None:
    run("kept", "kept")
    with pytest.raises(UnknownStudyError, match="did you mean 'kept'"):
        doomed_study("ketp", storage=STORAGE, root=folder).__enter__()
    hold = HOLD.replace('"small"', '"kept"')
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            refused = command("study", "delete", "kept", "--yes")
            assert refused.code == StudyLockedError.exit_code
            assert refused.err.startswith(f"study kept is being run by process {other.pid} ")
        finally:
            other.kill()
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        stays = command("study", "delete", "kept", "--yes")
        assert stays.code == TrackingUnavailableError.exit_code == 1
        assert stays.err.startswith(
            "MLflow at http://127.0.0.1:9 does not answer; the study stays"
        )
        assert len(stays.err.splitlines()) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    nobody = command("study", "delete", "kept")
    assert nobody.code == 2
    assert nobody.err == "nothing was removed, because nobody answered; say --yes\n"
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    no = command("study", "delete", "kept")
    assert no.code == 1
    assert no.out.splitlines()[0] == "study kept: 12 students"
    assert no.out.endswith("nothing was removed\n")
    assert kdsearch.load_results("kept").trials
    assert (folder / "reports" / "kept" / "report.html").exists()
    assert command("study", "delete", "kept", "--yes").code == 0


@pytest.mark.slow
def test_without_a_tracking_database_none_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("lonely", "lonely")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/nothing.db")
    with doomed_study("lonely", storage=STORAGE, root=folder) as study:
        study.remove()
    assert not (folder / "nothing.db").exists()
    assert optuna_names() == []
