"""A folder where a real study runs with a real MLflow store, and what happened there when."""

import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from kdsearch.results import EpochMetrics, TeacherBankRecord, TrialRecord
from kdsearch.study.listener import StageName


@contextmanager
def study_folder(kept: Path | None = None) -> Iterator[Path]:
    """A current folder with its own `kdsearch.db` and `mlflow.db`; teachers' cache as ever.

    MLflow is given its default place: an SQLite file in the folder.

    Args:
        kept: Where it lies, with what an earlier run left there; by default empty, and deleted.
    """
    before, uri = Path.cwd(), os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory(prefix="kdsearch-benchmark-") as name:
        folder = kept or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        try:
            yield folder
        finally:
            os.chdir(before)
            if uri is not None:
                os.environ["MLFLOW_TRACKING_URI"] = uri


class Moment(NamedTuple):
    """Clocks of this process at one time."""

    wall: float
    cpu: float
    """Seconds of all threads of this process, workers not counted."""

    @classmethod
    def now(cls) -> "Moment":
        """Read the clocks."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, earlier: "Moment") -> "Moment":
        """Wall and CPU seconds between two moments."""
        return Moment(self.wall - earlier.wall, self.cpu - earlier.cpu)


class Watch:
    """A `Listener` that keeps the times of stages and trials."""

    def __init__(self) -> None:
        self.begun = Moment.now()
        self.stages: list[tuple[StageName, Moment]] = []
        self.trials: list[tuple[TrialRecord, Moment]] = []
        self.notes: list[str] = []

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """See `Listener.resumed`."""

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """Keep when it began; a stage begins once a round."""
        del total, done
        self.stages.append((name, Moment.now()))

    def epoch(self, row: str, metrics: EpochMetrics) -> None:
        """See `Listener.epoch`."""

    def teacher(self, bank: TeacherBankRecord) -> None:
        """See `Listener.teacher`."""

    def trial(self, record: TrialRecord) -> None:
        """Keep when it was stored."""
        self.trials.append((record, Moment.now()))

    def note(self, text: str) -> None:
        """Keep it for the output."""
        self.notes.append(text)

    def warn(self, text: str) -> None:
        """A benchmark must not measure a study that goes wrong."""
        raise RuntimeError(text)

    def first(self, name: StageName) -> Moment:
        """When a stage first began."""
        return next(moment for stage, moment in self.stages if stage == name)


def children_cpu_seconds() -> float:
    """CPU time of all worker processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
