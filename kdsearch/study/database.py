"""Opening Optuna storages, and finding the studies in them."""

from pathlib import Path

import optuna
import sqlalchemy.exc
from optuna.storages import BaseStorage, RDBStorage

from kdsearch.errors import UnknownStudyError, UserInputError

DEFAULT_STORAGE = "sqlite:///kdsearch.db"
SQLITE_TIMEOUT_SECONDS = 60


def connect(url: str) -> BaseStorage:
    """A storage that caches finished trials.

    Raises:
        UserInputError: The database cannot be opened; says which, without its password.
    """
    options = {}
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": SQLITE_TIMEOUT_SECONDS}}
    try:
        return optuna.storages.get_storage(RDBStorage(url, engine_kwargs=options))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserInputError(
            f"storage {without_password(url)} cannot be opened: {without_password(reason)}"
        ) from error


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
    """The file of an SQLite URL; None for other databases."""
    head, separator, path = url.partition(":///")
    return Path(path) if separator and head.startswith("sqlite") else None


def without_password(text: str) -> str:
    """`text` with the credentials of any URL in it removed."""
    head, separator, tail = text.partition("://")
    if not separator or "@" not in tail:
        return text
    return f"{head}://{tail.rpartition('@')[2]}"


def study_names(storage: BaseStorage) -> list[str]:
    """Kdsearch's studies in a storage, oldest first."""
    names = {study.study_name for study in storage.get_all_studies()}
    found = [s for s in storage.get_all_studies() if f"{s.study_name}/confirm" in names]
    return [s.study_name for s in sorted(found, key=lambda s: s._study_id)]
