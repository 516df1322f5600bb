"""Which MLflow to write to, and a database that is ready before anyone else opens it."""

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import unquote

import mlflow
import sqlalchemy
import sqlalchemy.exc
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

from kdsearch.errors import UserInputError
from kdsearch.redaction import redact
from kdsearch.tracking.mlflow.drivers import missing_driver

_SQLITE = "sqlite:///"
_SERVERS = ("http://", "https://", "databricks")
_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")
_CONNECT_SECONDS = 10
_INIT_SECONDS = 120


def resolve_tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, else what the program set in MLflow, else `mlflow.db` in this folder.

    The last is what a bare `mlflow ui` opens in the folder. MLflow itself would silently go back
    to its abandoned file store there if a folder `mlruns` of an older version lay around.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    if mlflow.is_tracking_uri_set():
        return mlflow.get_tracking_uri()
    return f"{_SQLITE}{Path.cwd() / 'mlflow.db'}"


def sqlite_path(tracking_uri: str) -> Path | None:
    """Absolute path of the database file, or None if the URI is no SQLite file."""
    if not tracking_uri.startswith(_SQLITE):
        return None
    return Path(unquote(tracking_uri.removeprefix(_SQLITE))).absolute()


def is_web_server(tracking_uri: str) -> bool:
    """Whether a URI is also where MLflow's pages are."""
    return tracking_uri.startswith(("http://", "https://"))


def check_uri(tracking_uri: str) -> None:
    """Make sure that a URI can work, as far as one knows without connecting to it.

    Raises:
        UserInputError: It cannot, whoever answers.
    """
    if "?" in tracking_uri and tracking_uri.startswith(_SQLITE):
        raise UserInputError(
            f"MLflow cannot keep a database in a path with a question mark: {tracking_uri}"
        )
    scheme, separator, _ = tracking_uri.partition(":")
    kind = scheme.partition("+")[0]
    if not separator or kind == "file":
        if tracking_uri == "databricks":
            return
        raise UserInputError(
            f"MLflow no longer keeps runs in plain folders ({tracking_uri}); "
            "set MLFLOW_TRACKING_URI to sqlite:////absolute/path/mlflow.db or to a server"
        )
    if kind not in _SCHEMES:
        raise UserInputError(
            f"MLFLOW_TRACKING_URI {redact(tracking_uri)} cannot be opened: its scheme is not one "
            f"of {', '.join(_SCHEMES)}"
        )
    if sqlite_path(tracking_uri) is None and not tracking_uri.startswith(_SERVERS):
        _check_driver(tracking_uri)


def _check_driver(tracking_uri: str) -> None:
    try:
        reason = missing_driver(tracking_uri)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        reason = str(error)
    if reason is not None:
        raise UserInputError(
            f"MLFLOW_TRACKING_URI {redact(tracking_uri)} cannot be opened: {redact(reason)}"
        )


def connect(tracking_uri: str) -> MlflowClient:
    """A client whose store exists and answers.

    Raises:
        UserInputError: The URI cannot work, whoever answers.
        OSError, sqlalchemy.exc.DBAPIError, mlflow.exceptions.MlflowException: Nobody answers.
    """
    check_uri(tracking_uri)
    if path := sqlite_path(tracking_uri):
        _prepare_sqlite(path)
    elif not tracking_uri.startswith(_SERVERS):
        _probe(tracking_uri)
    client = MlflowClient(tracking_uri=tracking_uri)
    _open_store(client, tracking_uri)
    return client


def _open_store(client: MlflowClient, tracking_uri: str) -> None:
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        if "out-of-date database schema" in str(error):
            raise UserInputError(
                f"the MLflow database is of another MLflow version; run "
                f"`mlflow db upgrade {redact(tracking_uri)}`"
            ) from error
        raise


def _probe(tracking_uri: str) -> None:
    # MLflow retries a failed first connection for 100 s, and logs each try; we ask once.
    timeout = {"connect_timeout": _CONNECT_SECONDS}
    known = tracking_uri.startswith(("postgres", "mysql"))
    engine = sqlalchemy.create_engine(tracking_uri, connect_args=timeout if known else {})
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _prepare_sqlite(path: Path) -> None:
    """Make the database if it is not there: once, whole, under a lock, in WAL mode.

    Processes that open a database which does not exist yet all run MLflow's 68 migrations at
    once and break it for good, and so does a kill half-way; hence the lock and the rename. WAL
    lets `mlflow ui` read while a study writes.
    """
    if path.exists() and path.stat().st_size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock, timeout=_INIT_SECONDS):
        if not (path.exists() and path.stat().st_size):
            _make_sqlite(path)
        # Nobody asks for the lock of a database that is there, so it need not stay in the folder.
        lock.unlink(missing_ok=True)


def _make_sqlite(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    engine = create_sqlalchemy_engine(f"{_SQLITE}{fresh}")
    _initialize_tables(engine)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(fresh)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    fresh.replace(path)


def checkpoint(tracking_uri: str) -> None:
    """Fold the write-ahead log into the SQLite file, so that copying the file copies the runs."""
    path = sqlite_path(tracking_uri)
    if path is not None and path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=1)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
