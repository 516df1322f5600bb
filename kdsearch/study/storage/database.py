"""Opening Optuna storages, and finding the studies in them."""

from pathlib import Path

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.storages import BaseStorage, RDBStorage

from kdsearch.errors import UnknownStudyError, UserInputError
from kdsearch.redaction import without_userinfo
from kdsearch.tracking.mlflow.drivers import missing_driver

DEFAULT_STORAGE = "sqlite:///kdsearch.db"
SQLITE_TIMEOUT_SECONDS = 60


def check_storage(url: str) -> None:
    """Make sure that a storage can be opened, as far as one knows without touching it.

    Raises:
        UserInputError: The folder of an SQLite file or the database's driver is missing.
    """
    path = sqlite_file(url)
    if path is not None and not path.absolute().parent.is_dir():
        raise UserInputError(
            f"storage {without_password(url)} cannot be opened: there is no folder "
            f"{path.absolute().parent}; make it or set another `storage`"
        )
    try:
        missing = missing_driver(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        raise _unusable(url, str(error)) from error
    if missing is not None:
        raise _unusable(url, missing)


def connect(url: str) -> BaseStorage:
    """A storage that caches finished trials.

    Raises:
        UserInputError: The database cannot be opened; says which, without its password.
    """
    check_storage(url)
    options = {}
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": SQLITE_TIMEOUT_SECONDS}}
    try:
        return optuna.storages.get_storage(RDBStorage(url, engine_kwargs=options))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError) as error:
        raise _unusable(url, str(error)) from error


def connect_existing(url: str) -> BaseStorage:
    """Like `connect`, for commands that only read: no database is created.

    Raises:
        UnknownStudyError: There is no database.
        UserInputError: It cannot be opened.
    """
    path = sqlite_file(url)
    if path is not None and not path.exists():
        raise UnknownStudyError(
            f"there is no study here yet: {path} does not exist; run `kdsearch study run FILE`, "
            "or name the database with --storage"
        )
    return connect(url)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for other databases and those in memory."""
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return None
    in_memory = parsed.database in (None, "", ":memory:")
    if parsed.get_backend_name() != "sqlite" or in_memory:
        return None
    name = str(parsed.database)
    return None if name.startswith("file:") else Path(name)


def without_password(text: str) -> str:
    """`text` with the credentials of any URL in it removed."""
    return without_userinfo(text)


def place_of(storage: BaseStorage) -> str:
    """The URL of a storage that `connect` opened, without its password."""
    backend = getattr(storage, "_backend", storage)  # behind Optuna's cache
    return without_password(str(getattr(backend, "url", "memory")))


def study_names(storage: BaseStorage) -> list[str]:
    """Kdsearch's studies in a storage, oldest first."""
    names = {study.study_name for study in storage.get_all_studies()}
    found = [s for s in storage.get_all_studies() if f"{s.study_name}/confirm" in names]
    return [s.study_name for s in sorted(found, key=lambda s: s._study_id)]


def _unusable(url: str, reason: str) -> UserInputError:
    first = without_password(reason.splitlines()[0])
    return UserInputError(f"storage {without_password(url)} cannot be opened: {first}")
