"""Storages that cannot work are refused in one sentence, before anything is written."""

import sys
from pathlib import Path

import pytest

import kdsearch
from kdsearch.errors import UserInputError
from kdsearch.study.storage.database import check_storage, connect, sqlite_file
from kdsearch.study.storage.ledger import Ledger
from tests.conftest import WriteStudy

SECRET = "hun/ter2"


def test_a_missing_folder_is_named_and_nothing_is_written(
    write_study: WriteStudy, folder: Path
) -> None:
    path = write_study(storage=f"sqlite:///{folder}/nodir/k.db")
    with pytest.raises(UserInputError, match=f"there is no folder {folder}/nodir; make it"):
        kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert [file.name for file in folder.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("url", "module", "package"),
    [
        ("postgresql+psycopg2://me:pw@host/db", "psycopg2", "psycopg2-binary'"),
        ("postgresql+psycopg://me:pw@host/db", "psycopg", "psycopg[binary]'"),
        ("mysql+pymysql://me:pw@host/db", "pymysql", "pymysql'"),
        ("mysql://me:pw@host/db", "MySQLdb", "pymysql'` and begin the URL with mysql+pymysql:"),
    ],
)
def test_a_missing_driver_names_its_package(
    url: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # what Python does where it is not installed
    with pytest.raises(UserInputError) as refused:
        check_storage(url)
    assert f"`pip install '{package}" in str(refused.value)
    assert "pw" not in str(refused.value)


def test_a_tracking_uri_of_no_known_scheme_leaves_nothing_behind(
    write_study: WriteStudy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://x")
    path = write_study()
    with pytest.raises(UserInputError, match=r"foo://x .* not one of sqlite, postgresql, mysql"):
        kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert [file.name for file in folder.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///kdsearch.db", Path("kdsearch.db")),
        ("sqlite:////a/b.db?timeout=3", Path("/a/b.db")),
        ("sqlite+pysqlite:///b.db", Path("b.db")),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql://host/db", None),
        ("nonsense", None),
    ],
)
def test_the_file_of_a_url(url: str, file: Path | None) -> None:
    assert sqlite_file(url) == file


@pytest.mark.slow
def test_a_password_on_the_command_line_is_stored_nowhere(
    write_study: WriteStudy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An SQLite URL takes no password; this is the argument that a server's would come in.
    other = f"storage=postgresql://me:{SECRET}@host/db"
    monkeypatch.setattr(sys, "argv", ["/bin/kdsearch", "study", "run", "--set", other])
    path = write_study(
        search={
            "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
            "width": {"role": "fixed", "value": 4},
        },
        budget={"trials": 1},
        confirm={"replicates": 0},
        training__epochs=1,
    )
    result = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert result.results.command.startswith("kdsearch study run --set ")
    assert "postgresql://me:***@host/db" in result.results.command
    ledger = Ledger(connect("sqlite:///kdsearch.db"), "small")
    assert ledger.command == result.results.command
    written = [folder / "kdsearch.db", *folder.glob("reports/small/*.*")]
    assert len(written) > 2
    for file in written:
        assert SECRET.encode() not in file.read_bytes(), file
