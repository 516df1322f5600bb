"""One process per study: who holds it says so, and the next one is told."""

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from kdsearch.errors import StudyLockedError
from kdsearch.study.paths import StudyPaths


@contextmanager
def hold_study(paths: StudyPaths) -> Iterator[None]:
    """Hold the study's lock; the operating system drops it if this process is killed.

    Raises:
        StudyLockedError: Another process holds it.
    """
    paths.folder.mkdir(parents=True, exist_ok=True)
    holder = paths.folder / "holder.json"
    lock = FileLock(paths.lock)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StudyLockedError(
            f"study {paths.name} is being run by {_describe(holder)}; wait for it or stop it"
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
