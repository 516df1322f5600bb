"""One stratum of a study: what was chosen and confirmed in each arm, and all strata together."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdsearch.analysis.estimate import Estimate, unpack_correct
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.statistics.search_luck import SearchLuck
from kdsearch.analysis.wording import STRATUM, Noun
from kdsearch.results import State, TrialRecord
from kdsearch.results.record import Scalar

Flags = NDArray[np.uint8]


class Choice(NamedTuple):
    """The settings that the search chose in one stratum and arm, and what became of them."""

    trial: TrialRecord
    """Their search trial; where that is not at hand, their first confirmed replicate."""
    search_value: float | None
    """First objective, on validation: the best of many, so biased upward. Never a result."""
    replicates: tuple[TrialRecord, ...]
    """COMPLETE confirm records with a test evaluation, by replicate."""
    test_score: Estimate | None
    """The headline metric over the replicates, turned so that higher is better, with their
    standard error; its interval also covers the luck of the search. None before the confirm
    stage."""
    val_score: float | None
    """Its mean over the replicates on validation: what a student is recommended by."""
    newer_choice: bool
    """Whether the search has found better settings since these were confirmed."""
    rivals: tuple[tuple[TrialRecord, ...], ...] = ()
    """Tested replicates of the other candidates, which validation did not choose."""

    @property
    def run_id(self) -> str | None:
        """MLflow's run of its first replicate, or of its search trial before there is one."""
        return (self.replicates[0] if self.replicates else self.trial).mlflow_run_id

    @property
    def correct(self) -> dict[int, Flags | None]:
        """Whether each test example [E] was right, by replicate; None where it was not kept."""
        return {
            t.replicate: (
                unpack_correct(t.test_correct, t.test.num_samples) if t.test_correct else None
            )
            for t in self.replicates
            if t.test is not None
        }

    @property
    def share_correct(self) -> NDArray[np.float64] | None:
        """Share of the replicates that were right, by test example [E]; None as in `correct`."""
        flags = [known for known in self.correct.values() if known is not None]
        if not flags or len(flags) < len(self.correct) or len({f.size for f in flags}) != 1:
            return None
        return np.asarray(np.stack(flags).mean(axis=0, dtype=np.float64))


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

    @property
    def difference_by_example(self) -> NDArray[np.float64] | None:
        """Distilled less baseline, mean over the replicates that both have, by test example [E].

        None where correctness was not kept for all. Examples are pairs whatever the students.
        """
        if self.distilled is None or self.baseline is None:
            return None
        distilled, baseline = self.distilled.correct, self.baseline.correct
        pairs = [(distilled[r], baseline[r]) for r in sorted(distilled.keys() & baseline.keys())]
        shares = [
            d.astype(float) - b
            for d, b in pairs
            if d is not None and b is not None and d.size == b.size
        ]
        return np.mean(shares, axis=0) if shares and len(shares) == len(pairs) else None


class StrataInfo(NamedTuple):
    """The strata of a study in the order of its file."""

    scientific: tuple[str, ...]
    """Names of the scientific parameters."""
    strata: tuple[Stratum, ...]
    confidence: float
    """Of every interval, as the study asks."""
    tolerance: float
    """The difference in the headline metric that the study calls negligible."""
    baseline_asked: bool
    """Whether the study has an arm of students on hard labels only."""
    distilled_luck: SearchLuck
    baseline_luck: SearchLuck
    headline: Headline = ACCURACY
    """What the report speaks of; the scores of all strata are of it."""
    noun: Noun = STRATUM
    """What a stratum is in this study."""
    includes_hard_labels: bool = False
    """Whether the distilled arm's search could choose alpha 1, which is hard labels."""
    chosen_by: str = ""
    """What the settings of both arms were chosen by, in words, where that is not the headline
    metric; empty where it is."""

    @property
    def confirmed(self) -> tuple[Stratum, ...]:
        """The strata whose distilled student has been tested."""
        return tuple(s for s in self.strata if s.distilled and s.distilled.test_score)
