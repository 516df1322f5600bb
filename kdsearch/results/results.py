"""Everything a study has found so far, as analysis reads it."""

from dataclasses import dataclass, field

from kdsearch.config import StudyConfig
from kdsearch.results.record import Arm, Stage, TeacherBankRecord, TrialRecord


@dataclass(frozen=True)
class Results:
    """A study's configuration and records, rebuilt from its storage."""

    config: StudyConfig
    trials: tuple[TrialRecord, ...]
    """Every trained student: both stages, both arms, every state; in a fixed order."""
    banks: tuple[TeacherBankRecord, ...]
    importance: dict[str, float] = field(default_factory=dict)
    """Share of each nuisance parameter in the objective's variance within strata; sums to 1."""
    pareto: tuple[int, ...] = ()
    """Pareto studies: search trial numbers on the front, in the order of the first objective."""
    chosen: tuple[tuple[Arm, int], ...] = ()
    """Arm and search trial number of the settings chosen at each stratum; empty if not known."""
    command: str = ""
    """The command that made these results."""

    @property
    def num_classes(self) -> int | None:
        """Of the data; None before teachers are measured, or where an older version did it."""
        known = (bank.num_classes for bank in self.banks)
        return next((number for number in known if number is not None), None)

    def select(
        self, *, stage: Stage | None = None, arm: Arm | None = None, state: str | None = None
    ) -> tuple[TrialRecord, ...]:
        """The records of one stage, arm and state; None takes all."""
        return tuple(
            t
            for t in self.trials
            if (stage is None or t.stage == stage)
            and (arm is None or t.arm == arm)
            and (state is None or t.state == state)
        )
