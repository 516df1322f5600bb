"""One process per study, with real processes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import kdsearch
from kdsearch.errors import StudyLockedError
from kdsearch.study.storage.lock import hold_study, is_held
from kdsearch.study.storage.paths import StudyPaths
from tests.conftest import WriteStudy

HOLD = """
import sys, time
from pathlib import Path
from kdsearch.study.storage.lock import hold_study, is_held
from kdsearch.study.storage.paths import StudyPaths
with hold_study(StudyPaths(Path(sys.argv[1]), "small")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_runs_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "small")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(StudyLockedError) as refused, hold_study(paths):
                pass
            assert f"process {other.pid} " in str(refused.value)
            assert f" on {socket.gethostname()} " in str(refused.value)
            assert is_held(paths)
            with hold_study(StudyPaths(tmp_path, "another")):
                pass
        finally:
            os.kill(other.pid, signal.SIGKILL)
    with hold_study(paths):
        pass


def test_the_lock_is_free_again_after_an_error_and_after_a_use(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "small")
    with pytest.raises(ZeroDivisionError), hold_study(paths):
        _ = 1 / 0
    with hold_study(paths):
        with pytest.raises(StudyLockedError, match=f"process {os.getpid()} "), hold_study(paths):
            pass
        (paths.folder / "holder.json").write_text("{")
        with pytest.raises(StudyLockedError, match="another process"), hold_study(paths):
            pass
    assert not (paths.folder / "holder.json").exists()


def test_a_user_without_a_name_can_hold_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    paths = StudyPaths(tmp_path, "small")
    with (
        hold_study(paths),
        pytest.raises(StudyLockedError, match="of user 54321 on"),
        hold_study(paths),
    ):
        pass


def test_two_folders_that_share_a_database_cannot_run_a_study_at_once(tmp_path: Path) -> None:
    database = tmp_path / "shared.db"
    (tmp_path / "link.db").symlink_to(database)
    here, there = StudyPaths(tmp_path / "here", "small"), StudyPaths(tmp_path / "there", "small")
    with hold_study(here, database):
        with (
            pytest.raises(StudyLockedError, match=f"small is being run by process {os.getpid()} "),
            hold_study(there, tmp_path / "link.db"),
        ):
            pass
        assert not there.folder.exists()
        with hold_study(StudyPaths(tmp_path / "there", "another"), database):
            pass
    with hold_study(there, database):
        pass
    left = {file.name for file in tmp_path.iterdir() if file.name.startswith(".shared")}
    assert left == {".shared.db.small.lock", ".shared.db.another.lock"}


def test_a_run_in_another_folder_is_refused_before_it_writes(
    write_study: WriteStudy, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    database = elsewhere / "shared.db"
    path = write_study(storage=f"sqlite:///{database}")
    with (
        hold_study(StudyPaths(elsewhere, "small"), database),
        pytest.raises(StudyLockedError, match="study small is being run by process"),
    ):
        kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert [file.name for file in folder.iterdir()] == [path.name]
    assert not database.exists()
