"""The teachers and the ensembles they make."""

from collections.abc import Mapping
from typing import NamedTuple

from kdsearch.analysis.headline import Headline
from kdsearch.results import Results, TeacherBankRecord
from kdsearch.results.record import Scalar


class EnsembleScore(NamedTuple):
    """Members 1..size of a bank, averaged, by the headline metric: higher is better."""

    size: int
    val: float | None
    """None where it was not measured."""
    test: float | None


class Bank(NamedTuple):
    """One bank of teachers, by its scores."""

    label: str
    """The searched teacher settings; empty where the study has one bank."""
    members: int
    model: str
    num_params: int
    """Of one member."""
    mean_member_test: float | None
    ensembles: tuple[EnsembleScore, ...]

    @property
    def full_ensemble(self) -> EnsembleScore | None:
        """The ensemble of all members, if it has been evaluated."""
        return max(self.ensembles, key=lambda e: e.size, default=None)


class TeachersInfo(NamedTuple):
    """Every bank of the study."""

    banks: tuple[Bank, ...]

    def bank_for(self, settings: Mapping[str, Scalar], results: Results) -> Bank | None:
        """The bank that a trial with `settings` learned from."""
        for bank, record in zip(self.banks, results.banks, strict=True):
            if record.settings.items() <= settings.items():
                return bank
        return self.banks[0] if len(self.banks) == 1 else None


def compute_teachers(results: Results) -> TeachersInfo:
    """Scores of members and ensembles, bank by bank."""
    headline = Headline(results.config.headline)
    return TeachersInfo(tuple(_bank(record, headline) for record in results.banks))


def _bank(record: TeacherBankRecord, headline: Headline) -> Bank:
    tested = [s for m in record.members if (s := headline.of(m.test)) is not None]
    return Bank(
        label=", ".join(f"{name} {value}" for name, value in record.settings.items()),
        members=len(record.members),
        model=record.members[0].model if record.members else "",
        num_params=record.members[0].num_params if record.members else 0,
        mean_member_test=sum(tested) / len(tested) if tested else None,
        ensembles=tuple(
            EnsembleScore(e.size, headline.of(e.val), headline.of(e.test))
            for e in sorted(record.ensembles, key=lambda e: e.size)
        ),
    )
