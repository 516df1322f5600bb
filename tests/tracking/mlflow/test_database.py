import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from kdsearch.errors import UserInputError
from kdsearch.tracking.mlflow import database
from kdsearch.tracking.mlflow.sink import MlflowSink


@pytest.mark.slow
def test_default_is_the_folders_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mlruns" / "0").mkdir(parents=True)
    (folder / "mlruns" / "0" / "meta.yaml").write_text("")  # MLflow's own default would change.
    assert database.resolve_tracking_uri() == f"sqlite:///{folder / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5")
    assert database.resolve_tracking_uri() == "http://127.0.0.1:5"


def test_default_is_mlflows_default(folder: Path) -> None:
    assert not mlflow.is_tracking_uri_set()
    assert database.resolve_tracking_uri() == mlflow.get_tracking_uri()


@pytest.mark.slow
def test_database_is_made_once_by_many(tmp_path: Path) -> None:
    """MLflow alone breaks the database for good when two processes make it at once."""
    code = (
        "import sys; from kdsearch.tracking.mlflow import database; "
        "database.connect(sys.argv[1]).create_experiment(sys.argv[2], sys.argv[3])"
    )
    uri = f"sqlite:///{tmp_path / 'new folder' / 'mlflow.db'}"
    command = [sys.executable, "-W", "ignore", "-c", code, uri]
    made = [subprocess.Popen([*command, name, str(tmp_path / name)]) for name in ("a", "b", "c")]
    assert [process.wait() for process in made] == [0, 0, 0]
    names = {experiment.name for experiment in MlflowClient(uri).search_experiments()}
    assert names >= {"a", "b", "c"}
    connection = sqlite3.connect(tmp_path / "new folder" / "mlflow.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert not [file for file in (tmp_path / "new folder").iterdir() if file.name[0] == "."]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sqlite:////tmp/what?/mlflow.db", "question mark"),
        ("file:///tmp/mlruns", "plain folders"),
        ("./mlruns", "plain folders"),
        ("foo://x", "not one of sqlite, postgresql, mysql"),
        ("postgresql+nodriver://u:hunter2@127.0.0.1/x", "cannot be opened"),
    ],
)
def test_impossible_uris(open_sink: Callable[..., MlflowSink], uri: str, message: str) -> None:
    with pytest.raises(UserInputError, match=message) as caught:
        open_sink(uri)
    assert "hunter2" not in str(caught.value)


def test_deleted_experiment_says_how_to_restore_it(
    sink: MlflowSink, client: MlflowClient, open_sink: Callable[..., MlflowSink]
) -> None:
    experiment = client.get_experiment_by_name("temp-alpha")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(UserInputError, match="mlflow experiments restore"):
        open_sink()


def test_experiment_of_a_server_is_refused(
    client: MlflowClient, open_sink: Callable[..., MlflowSink]
) -> None:
    client.create_experiment("temp-alpha", "mlflow-artifacts:/1")
    with pytest.raises(UserInputError, match="made by a server"):
        open_sink()


def test_import_leaves_mlflow_and_torch_alone() -> None:
    code = (
        "import sys, os, kdsearch.tracking; "
        "assert not {'mlflow', 'torch'} & set(sys.modules); "
        "assert os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true'"
    )
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert time.monotonic() - started < 10
