"""One web server in a process group of its own, of which nothing is left when it ends."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from kdsearch.errors import KdsearchError
from kdsearch.redaction import redact

READY_SECONDS = 180.0
"""MLflow takes 9 s on an idle machine, and ten times as long on a busy one."""
_END_SECONDS = 15.0
_POLL_SECONDS = 0.1
_ASK_SECONDS = 5.0


class ServiceDiedError(KdsearchError):
    """A web server ended by itself, or never answered."""


class Service:
    """Starts a server on entering, and ends all of its processes on leaving."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        health: str,
        environment: Mapping[str, str],
    ) -> None:
        """Start nothing yet.

        Args:
            name: For sentences.
            command: What to run.
            health: URL that answers once the server does.
            environment: Of the server, beside this process's own.
        """
        self.name = name
        self._command = list(command)
        self._health = health
        self._environment = dict(environment)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed on leaving
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Service":
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # A session of its own: Ctrl-C reaches us alone, and its group is all that it starts.
            start_new_session=True,
            env=os.environ | self._environment,
        )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            _end_group(self._process)
        self._log.close()

    @property
    def pid(self) -> int:
        """Of its first process, and of its group."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def wait_until_ready(
        self, should_stop: Callable[[], bool], *, seconds: float = READY_SECONDS
    ) -> bool:
        """Wait for it to answer.

        Returns:
            False if `should_stop` became true before it did.

        Raises:
            ServiceDiedError: It ended, or did not answer in time.
        """
        end = time.monotonic() + seconds
        while not should_stop():
            answers = _answers(self._health)
            # After the answer, which may be somebody else's if ours has died.
            self.check()
            if answers:
                return True
            if time.monotonic() > end:
                raise ServiceDiedError(f"{self.name} did not answer within {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)
        return False

    def check(self) -> None:
        """Make sure that it lives.

        Raises:
            ServiceDiedError: It does not; with the last line that it wrote.
        """
        if self.is_running:
            return
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        reason = f": {redact(lines[-1].strip())[:300]}" if lines else ""
        raise ServiceDiedError(f"{self.name} has ended by itself{reason}")


def wait_for_end(services: Sequence[Service], should_stop: Callable[[], bool]) -> None:
    """Wait until `should_stop` or the end of any server.

    Raises:
        ServiceDiedError: One has ended.
    """
    while not should_stop():
        for service in services:
            service.check()
        time.sleep(_POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ASK_SECONDS) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything in its group: gently, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end = time.monotonic() + _END_SECONDS
        while time.monotonic() < end:
            process.poll()  # or it would stay in its group as a zombie
            if not _group_lives(process.pid):
                process.wait()
                return
            time.sleep(_POLL_SECONDS)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
