"""The one student that a study registers: chosen by validation, never by test."""

import statistics
from collections.abc import Sequence

from kdsearch.config import Objective
from kdsearch.results.record import TrialRecord
from kdsearch.results.score import signed_value


def champion_of(
    chosen: Sequence[TrialRecord], runs: Sequence[TrialRecord], objective: Objective
) -> TrialRecord | None:
    """Of the settings with the best mean score over their confirm runs the run with the best.

    Before any is confirmed it is the best search trial; None if nothing is complete. Of equals it
    is the earliest of `chosen`, and of its runs the one of the lowest number. Students on hard
    labels do not count.

    Args:
        chosen: The search trials whose settings count, in the order of the strata.
        runs: Confirm runs, also of other settings.
        objective: The study's first one.
    """
    distilled = [r for r in chosen if r.arm == "distilled"]
    scored = [[(s, run) for run in runs if (s := _score(run, trial, objective)) is not None]
              for trial in distilled]  # fmt: skip
    confirmed = [own for own in scored if own]
    if confirmed:
        best = max(confirmed, key=lambda own: statistics.fmean(score for score, _ in own))
        return max(best, key=lambda item: (item[0], -item[1].replicate))[1]
    searched = [(s, r) for r in distilled if (s := signed_value(r, objective)) is not None]
    return max(searched, key=lambda item: item[0])[1] if searched else None


def _score(run: TrialRecord, trial: TrialRecord, objective: Objective) -> float | None:
    """Of a complete run of the settings of `trial`; None for any other run."""
    is_own = (run.arm, run.trial, run.stratum) == (trial.arm, trial.trial, trial.stratum)
    return signed_value(run, objective) if is_own and run.state == "COMPLETE" else None
