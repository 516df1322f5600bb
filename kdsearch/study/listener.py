"""Who watches a study while it runs: the command line's display, a notebook, nobody."""

from collections.abc import Sequence
from typing import Literal

from kdsearch.results import EpochMetrics, TeacherBankRecord, TrialRecord

StageName = Literal["teachers", "search", "confirm", "report"]


class Listener:
    """Hears nothing: derive from it and override what you want to hear.

    Called in the coordinator's thread; must return quickly.
    """

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """The run begins with these trials, which earlier runs of the study stored; often none."""

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """A stage begins: `total` units of work, of which `done` are there already."""

    def epoch(self, key: str, metrics: EpochMetrics) -> None:
        """A student or teacher, named by its key, has finished an epoch."""

    def teacher(self, bank: TeacherBankRecord) -> None:
        """A bank is complete and measured."""

    def trial(self, record: TrialRecord) -> None:
        """A trial has ended and is stored."""

    def time_left(self, seconds: float) -> None:
        """About how long all students that are still to come will take; told now and then."""

    def note(self, text: str) -> None:
        """Something worth knowing about how the study runs."""

    def warn(self, text: str) -> None:
        """Something went wrong that does not stop the study."""
