"""`kdsearch ui` as a user starts it: a process with lines to read and signals to send."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

KDSEARCH = [sys.executable, "-c", "from kdsearch.cli.main import main; main()"]
READY_SECONDS = 240


class Ui:
    """Starts on entering, and is killed on leaving if it still runs."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._out = folder / f"ui-{time.monotonic_ns()}.txt"
        self._folder = folder
        self._arguments = arguments

    def __enter__(self) -> "Ui":
        environment = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
        environment.pop("MLFLOW_TRACKING_URI", None)  # as a user has it
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [*KDSEARCH, "ui", *self._arguments],
                cwd=self._folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=environment,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def lines(self) -> list[str]:
        """What it has printed so far."""
        return self._out.read_text().splitlines()

    def link(self) -> str:
        """The link that it prints, once it has."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if "Ctrl-C ends it" in self.lines:
                return next(line for line in self.lines if "/#/" in line).partition(": ")[2]
            time.sleep(0.1)
        raise AssertionError("\n".join(self.lines))

    def ends(self, seconds: float = 60) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def servers(self) -> list[int]:
        """Process ids of what it has started."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


def living(groups: Sequence[int]) -> list[int]:
    """Processes of the given groups that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        state, group = after_name[0], int(after_name[2])
        if group in groups and state != "Z":
            found.append(int(path.parent.name))
    return found
