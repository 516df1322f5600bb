"""One stratum of a study: what was chosen and confirmed in each arm, and all strata together."""

from typing import NamedTuple

from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.statistics.search_luck import SearchLuck
from kdsearch.results import State, TrialRecord
from kdsearch.results.record import Scalar


class Choice(NamedTuple):
    """The settings that the search chose in one stratum and arm, and what became of them."""

    trial: TrialRecord
    """Their search trial; where that is not at hand, their first confirmed replicate."""
    search_value: float | None
    """First objective, on validation: the best of many, so biased upward. Never a result."""
    replicates: tuple[TrialRecord, ...]
    """COMPLETE confirm records with a test evaluation, by replicate."""
    test_accuracy: Estimate | None
    """Over the replicates, whose standard error it has; its interval also covers the luck of the
    search. None before the confirm stage."""
    val_accuracy: float | None
    """Mean validation accuracy of the replicates: what a student is chosen by."""
    val_score: float | None
    """Mean of the first objective over the replicates."""
    newer_choice: bool
    """Whether the search has found better settings since these were confirmed."""
    rivals: tuple[tuple[TrialRecord, ...], ...] = ()
    """Tested replicates of the other candidates, which validation did not choose."""


class Stratum(NamedTuple):
    """One point of the scientific axis; in a Pareto study, one point of its front."""

    key: dict[str, Scalar]
    label: str
    distilled: Choice | None
    """None while no trial of the stratum is complete."""
    baseline: Choice | None
    trial_states: dict[str, dict[State, int]]
    """Arm to state to number of search trials."""

    @property
    def num_params(self) -> int | None:
        """Parameters of the stratum's student, from whichever arm knows them."""
        known = (c.trial.num_params for c in (self.distilled, self.baseline) if c is not None)
        return next((n for n in known if n is not None), None)


class StrataInfo(NamedTuple):
    """The strata of a study in the order of its file."""

    scientific: tuple[str, ...]
    """Names of the scientific parameters."""
    strata: tuple[Stratum, ...]
    confidence: float
    """Of every interval, as the study asks."""
    tolerance: float
    """The difference in accuracy that the study calls negligible, a fraction."""
    baseline_asked: bool
    """Whether the study has an arm of students on hard labels only."""
    distilled_luck: SearchLuck
    baseline_luck: SearchLuck
    includes_hard_labels: bool = False
    """Whether the distilled arm's search could choose alpha 1, which is hard labels."""

    @property
    def confirmed(self) -> tuple[Stratum, ...]:
        """The strata whose distilled student has been tested."""
        return tuple(s for s in self.strata if s.distilled and s.distilled.test_accuracy)
