"""A round: students that are trained together, and what has come of them so far."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from kdsearch.results import TrialRecord

Group = TypeVar("Group", bound=Hashable)


class Round(Generic[Group]):
    """Trials by what they are compared with, each as it was stored last."""

    def __init__(self, name: str, groups: Mapping[Group, Sequence[TrialRecord]]) -> None:
        """Nothing has come of anybody beyond what the records say.

        Args:
            name: For files; one round of a name is open at a time.
            groups: Trials that are compared with each other.
        """
        self.name = name
        self._groups = {group: [r.key for r in records] for group, records in groups.items()}
        self._records = {r.key: r for records in groups.values() for r in records}

    def __contains__(self, key: str) -> bool:
        """Whether a student takes part."""
        return key in self._records

    def __getitem__(self, key: str) -> TrialRecord:
        """A student's record."""
        return self._records[key]

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Of everybody."""
        return tuple(self._records.values())

    def store(self, record: TrialRecord) -> None:
        """What has come of a student."""
        assert record.key in self._records
        self._records[record.key] = record

    def to_train(self) -> dict[Group, list[TrialRecord]]:
        """Who is compared at rungs, by group: also those that have ended, as far as they began."""
        return {
            group: [self._records[key] for key in keys if not never_began(self._records[key])]
            for group, keys in self._groups.items()
        }


def never_began(record: TrialRecord) -> bool:
    """Whether a trial failed before its first epoch, so that nobody was compared with it."""
    return record.state == "FAIL" and record.epochs == 0
