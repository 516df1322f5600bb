"""Which settings of a stratum and arm count: the best of the candidates confirmed last."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from kdsearch.config import Objective
from kdsearch.results.record import TrialRecord
from kdsearch.results.score import signed_value


class Confirmed(NamedTuple):
    """The settings that the confirm stage took last."""

    candidates: tuple[int, ...]
    """Numbers of their search trials, the most promising first."""
    trial: int
    """The one of them whose runs have the best mean score on validation."""
    is_current: bool
    """Whether no trial has been searched since."""


def confirmed_choice(records: Sequence[TrialRecord], objective: Objective) -> Confirmed | None:
    """What was chosen among the records of one stratum and arm; None before the confirm stage.

    A choice stands until the stratum's search goes on: what larger students teach about smaller
    ones comes too late for it.
    """
    runs = [r for r in records if r.stage == "confirm" and r.searched is not None]
    if not runs:
        return None
    last = max(runs, key=lambda r: (r.searched or 0, len(r.candidates)))
    candidates = last.candidates or (last.trial,)
    searched = sum(r.stage == "search" for r in records)
    best = best_candidate(candidates, runs, objective)
    return Confirmed(candidates, best, is_current=last.searched == searched)


def best_candidate(
    candidates: Sequence[int], runs: Sequence[TrialRecord], objective: Objective
) -> int:
    """The candidate whose confirm runs have the best mean score on validation.

    Of several with the same number of complete runs: one that was confirmed less often has no
    say. Ties go to the one that the search had put first.
    """

    def merit(trial: int) -> tuple[int, float]:
        own = [r for r in runs if r.trial == trial and r.state == "COMPLETE"]
        scores = [s for r in own if (s := signed_value(r, objective)) is not None]
        return len(scores), statistics.fmean(scores) if scores else 0.0

    return max(candidates, key=merit)
