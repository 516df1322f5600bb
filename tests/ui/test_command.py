"""`kdsearch ui` starts one lean server, says where, and leaves nothing behind."""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kdsearch.study.run import StudyResult
from kdsearch.study.storage import dashboard
from tests.cli.conftest import Command, command  # noqa: F401 - a fixture
from tests.ui.conftest import free_port
from tests.ui.process import Ui, living

pytestmark = pytest.mark.slow


def status(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_taken_port_is_said_and_ctrl_c_leaves_no_process(study_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = taken.getsockname()[1]
        with Ui(study_folder, "shown", "--port", str(first)) as ui:
            link = ui.link()
            base = link.partition("/#/")[0]
            port = int(base.rpartition(":")[2])
            assert port > first
            assert f"port {first} is taken, so this is on {port}" in ui.lines
            assert "/runs?viewStateShareKey=kdsearch-shown&" in link
            servers = ui.servers()
            assert len(servers) == 1 + dashboard.is_installed()
            assert len(living(servers[:1])) <= 3  # of MLflow's own 15
            assert len(living(servers)) <= 4

            assert status(base) == 200
            assert status(f"http://localhost:{port}") == 200
            for host in ("192.168.evil.com", f"10.evil.com:{port}", "evil.com", "localhost"):
                assert status(base, Host=host) == 403
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((own_address(), port), timeout=5)

            os.kill(ui.process.pid, signal.SIGINT)
            assert ui.ends() == 0
            assert ui.lines[-1] == "ended"
            assert living(servers) == []
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)


def own_address() -> str:
    """This machine from outside, or another loopback address where it has no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.2"


def test_sigterm_while_it_starts_leaves_no_process(study_folder: Path) -> None:
    with Ui(study_folder, "--port", str(free_port())) as ui:
        end = time.monotonic() + 120
        while not (any("starting" in line for line in ui.lines) and ui.servers()):
            assert time.monotonic() < end
            time.sleep(0.05)
        servers = ui.servers()
        os.kill(ui.process.pid, signal.SIGTERM)
        assert ui.ends() == 0
        assert living(servers) == []


def test_a_server_that_dies_is_told_of_and_takes_all_with_it(study_folder: Path) -> None:
    with Ui(study_folder, "--port", str(free_port())) as ui:
        link = ui.link()
        assert link.endswith("/#/experiments?workflowType=machine_learning")
        servers = ui.servers()
        assert len(living(servers)) > len(servers)
        os.kill(servers[0], signal.SIGKILL)
        assert ui.ends() == 1
        assert ui.lines[-1].startswith("MLflow's server has ended by itself")
        assert living(servers) == []


@pytest.mark.skipif(not dashboard.is_installed(), reason="optuna-dashboard is not installed")
def test_optuna_dashboard_shows_the_studies_to_this_machine_alone(study_folder: Path) -> None:
    with Ui(study_folder, "--port", str(free_port())) as ui:
        ui.link()
        address = next(x for x in ui.lines if "optuna-dashboard" in x).partition(": ")[2]
        base = address.removesuffix("/dashboard")
        with urllib.request.urlopen(f"{base}/api/studies", timeout=60) as answer:
            names = {study["study_name"] for study in json.load(answer)["study_summaries"]}
        assert names == {"shown", "shown/baseline", "shown/confirm"}
        assert status(address, Host="10.evil.com") == 403


def test_a_server_that_is_there_already_is_linked_to(
    served: str,
    study_folder: Path,
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = served.partition("/#/")[0]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", base)
    answer = command("ui", "shown")
    assert answer.code == 0
    assert answer.out == f"MLflow is at {base} already: {served}\n"
    assert command("ui").out.endswith(f"{base}/#/experiments?workflowType=machine_learning\n")


def test_who_cannot_be_shown_is_told_why(
    study_folder: Path,
    tmp_path: Path,
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = command("ui", "show")
    assert answer == (
        2, "", "no study is called show; did you mean 'shown'? there is shown\n"
    )  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    answer = command("ui", "shown")
    assert answer.code == 2
    assert "there is nothing to show yet: " in answer.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    answer = command("ui", "shown")
    assert answer.code == 1
    assert "does not answer" in answer.err
    monkeypatch.chdir(tmp_path)
    answer = command("ui", "shown")
    assert answer.code == 2
    assert answer.err.startswith("there is no study here yet")


def test_the_run_names_report_charts_and_model(ran: StudyResult) -> None:
    assert ran.charts == "kdsearch ui shown"
    assert ran.model == "models:/shown@champion"
    client = MlflowClient(f"sqlite:///{ran.report.html.parents[2] / 'mlflow.db'}")
    model = client.get_registered_model("shown")
    assert 'load_model("models:/shown@champion")' in model.description
    version = client.get_model_version_by_alias("shown", "champion")
    assert "2 replicates" in version.description
    experiment = client.get_experiment_by_name("shown")
    assert experiment is not None
    assert " test accuracy at width " in experiment.tags["kdsearch.result"]
    logged = client.get_logged_model(version.tags["kdsearch.model_id"])
    assert '"name": "shown"' in logged.tags["mlflow.modelVersions"]
