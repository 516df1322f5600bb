"""Who watches a study while it runs: the command line's display, a notebook, nobody."""

from collections.abc import Sequence
from typing import Literal, Protocol

from kdsearch.results import EpochMetrics, TeacherBankRecord, TrialRecord

StageName = Literal["teachers", "search", "confirm", "report"]


class Listener(Protocol):
    """Called in the coordinator's thread; must return quickly."""

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """The run begins with these trials, which earlier runs of the study stored; often none."""
        ...

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """A stage begins: `total` units of work, of which `done` are there already."""
        ...

    def epoch(self, key: str, metrics: EpochMetrics) -> None:
        """A student or teacher, named by its key, has finished an epoch."""
        ...

    def teacher(self, bank: TeacherBankRecord) -> None:
        """A bank is complete and measured."""
        ...

    def trial(self, record: TrialRecord) -> None:
        """A trial has ended and is stored."""
        ...

    def time_left(self, seconds: float) -> None:
        """About how long all students that are still to come will take; told now and then."""
        ...

    def note(self, text: str) -> None:
        """Something worth knowing about how the study runs."""
        ...

    def warn(self, text: str) -> None:
        """Something went wrong that does not stop the study."""
        ...


class SilentListener:
    """Watches nothing."""

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """See `Listener.resumed`."""

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """See `Listener.stage`."""

    def epoch(self, key: str, metrics: EpochMetrics) -> None:
        """See `Listener.epoch`."""

    def teacher(self, bank: TeacherBankRecord) -> None:
        """See `Listener.teacher`."""

    def trial(self, record: TrialRecord) -> None:
        """See `Listener.trial`."""

    def time_left(self, seconds: float) -> None:
        """See `Listener.time_left`."""

    def note(self, text: str) -> None:
        """See `Listener.note`."""

    def warn(self, text: str) -> None:
        """See `Listener.warn`."""
