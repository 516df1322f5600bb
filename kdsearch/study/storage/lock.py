"""One process per study: who holds it says so, and the next one is told.

A study is its name in its storage, so an SQLite file has a lock beside it, and two folders that
share the file cannot run the study at once. The folder has one too: its checkpoints and its
report are the study's. Limit: a database on a server is not locked; who runs one study from two
folders on such a storage is not stopped.
"""

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from kdsearch.errors import StudyLockedError
from kdsearch.study.storage.paths import StudyPaths


@contextmanager
def hold_study(paths: StudyPaths, database: Path | None = None) -> Iterator[None]:
    """Hold the study's lock; the operating system drops it if this process is killed.

    Args:
        paths: The study and its folder.
        database: The SQLite file that stores it, whose folder exists; None for a server.

    Raises:
        StudyLockedError: Another process holds it.
    """
    with ExitStack() as held:
        if database is not None:
            # The lock stays: a removed one would let in whoever makes it anew.
            beside = _beside(database, paths.name)
            held.enter_context(_hold(beside, beside.with_suffix(".holder"), paths.name))
        paths.folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(_hold(paths.lock, paths.folder / "holder.json", paths.name))
        yield


def remove_locks(paths: StudyPaths, database: Path | None = None) -> None:
    """Delete the lock files of a study that this process holds and that is no more."""
    paths.lock.unlink(missing_ok=True)
    if database is not None:
        _beside(database, paths.name).unlink(missing_ok=True)


def is_held(paths: StudyPaths, database: Path | None = None) -> bool:
    """Whether a process runs the study at this moment, from its folder or on its database."""
    locks = [paths.lock] if database is None else [paths.lock, _beside(database, paths.name)]
    return any(_is_locked(lock) for lock in locks)


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        with lock.acquire(blocking=False):
            return False
    except Timeout:
        return True


def _beside(database: Path, study: str) -> Path:
    """The lock beside an SQLite file: the file itself, whatever links lead to it."""
    file = database.resolve()
    return file.with_name(f".{file.name}.{study}.lock")


@contextmanager
def _hold(path: Path, holder: Path, study: str) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StudyLockedError(
            f"study {study} is being run by {_describe(holder)}; wait for it or stop it"
        ) from None
    with lock:
        lock.release()  # `with` has acquired it once more
        try:
            holder.write_text(json.dumps(_identity()))
            yield
        finally:
            holder.unlink(missing_ok=True)


def _identity() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "user": _user(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"user {os.getuid()}"


def _describe(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text())
        return f"process {who['pid']} of {who['user']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
