"""One real study, and one server that shows it."""

import contextlib
import io
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdsearch.study.run import StudyResult, run_study
from kdsearch.testing.small_study import small_study
from tests.ui.process import Ui

STUDY = small_study(
    name="shown",
    search__width__values=[4, 8, 16],
    budget__trials=4,
    tracking__models="confirmed",
)
WIDTHS = (4, 8, 16)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory, shared_state: None) -> StudyResult:
    """A finished study in the current folder, with a tracking database of its own."""
    folder = tmp_path_factory.mktemp("shown")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        with contextlib.redirect_stdout(io.StringIO()):
            result = run_study(STUDY, workers=0, command="kdsearch study run shown.yaml")
    return result


@pytest.fixture
def study_folder(ran: StudyResult, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of that study, current, as a user has it."""
    folder = ran.report.html.parents[2]
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    return folder


@pytest.fixture(scope="session")
def served(ran: StudyResult) -> Iterator[str]:
    """The link that `kdsearch ui` prints, which works until the end."""
    folder = ran.report.html.parents[2]
    with Ui(folder, "shown", "--port", str(free_port())) as ui:
        yield ui.link()
