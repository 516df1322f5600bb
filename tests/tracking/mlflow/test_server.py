"""A study against a real tracking server that dies while it is written to."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import mlflow.pytorch
import pytest
import torch
from mlflow import MlflowClient

from kdsearch.results import TrialRecord
from kdsearch.tracking import LoggableModel, TrackingUnavailableError
from kdsearch.tracking.mlflow.sink import MlflowSink

pytestmark = pytest.mark.slow

START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`mlflow server`, as lean as it gets."""

    def __init__(self, folder: Path, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self._folder / "files")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with (
                contextlib.suppress(urllib.error.URLError, ConnectionError),
                urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer,
            ):
                assert answer.status == 200
                return
            time.sleep(0.2)
        pytest.fail((self._folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder, free_port())
    yield server
    server.kill()


def test_killed_server_is_caught_up_with(
    server: Server,
    open_sink: Callable[..., MlflowSink],
    make_record: Callable[..., TrialRecord],
    mlp: LoggableModel,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    started = time.monotonic()
    with pytest.raises(TrackingUnavailableError, match="does not answer"):
        open_sink(server.uri)
    assert time.monotonic() - started < 20

    server.start()
    sink = open_sink(server.uri)
    first = sink.log_trial(make_record(trial=1), model=None)

    log_batch = MlflowClient.log_batch

    def die_first(*args: object, **kwargs: object) -> object:
        server.kill()
        return log_batch(*args, **kwargs)  # pyrefly: ignore

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", die_first)
        with pytest.raises(TrackingUnavailableError):
            sink.log_trial(make_record(trial=2), model=mlp)
    calls: list[Callable[[], object]] = [
        lambda: sink.log_trial(make_record(trial=3), model=mlp),
        lambda: sink.log_best(step=1, value=0.5),
        lambda: sink.close_study(state="finished"),
    ]
    for call in calls:
        started = time.monotonic()
        with pytest.raises(TrackingUnavailableError):
            call()
        assert time.monotonic() - started < 20

    server.start()
    client = MlflowClient(server.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'temp-alpha'")
    half = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'")
    (half_id,) = [r.info.run_id for r in half if r.data.tags["kdsearch.kind"] == "trial"]
    ids = [sink.log_trial(make_record(trial=trial), model=mlp) for trial in (1, 2, 3)]
    assert ids[:2] == [first, half_id]
    trials = client.search_runs([experiment.experiment_id], "tags.`kdsearch.kind` = 'trial'")
    assert {run.info.run_id for run in trials} == set(ids)
    assert {run.info.status for run in trials} == {"FINISHED"}
    assert all(len(run.outputs.model_outputs) == 1 for run in trials)

    assert sink.register_champion(make_record(trial=2), tags={}) == "1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    loaded = mlflow.pytorch.load_model("models:/temp-alpha@champion")
    inputs = torch.randn(7, 4)
    assert torch.equal(loaded(inputs), mlp.module.eval()(inputs))
    sink.close_study(state="finished")
    assert sink.study_url().startswith(f"{server.uri}/#/experiments/{experiment.experiment_id}/")
    assert capfd.readouterr() == ("", "")


def test_other_databases_fail_at_once(open_sink: Callable[..., MlflowSink], folder: Path) -> None:
    blocked = folder / "a-file"
    blocked.write_text("")
    with pytest.raises(TrackingUnavailableError):
        open_sink(f"sqlite:///{blocked / 'mlflow.db'}")
