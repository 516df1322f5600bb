"""Which of a lane's settings are the most promising. Pure functions of the records.

One seed is luck: by the surface, a setting counts as good if those around it, in its stratum and
the next, are good as well.
"""

from collections.abc import Sequence

import numpy as np

from kdsearch.analysis.response import Response, fit_response, who_of
from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.results.score import signed_value
from kdsearch.study.lane import Lane


def study_response(config: StudyConfig, records: Sequence[TrialRecord]) -> Response | None:
    """The surface that a study chooses by; None with too few trials, or if it chooses by score."""
    wanted = config.sampler_kind == "surface" or config.confirm.choose_by == "surface"
    if len(config.objective) > 1 or not wanted:
        return None
    return fit_response(config, records)


def ranked_trials(
    config: StudyConfig, lane: Lane, records: Sequence[TrialRecord], response: Response | None
) -> list[TrialRecord]:
    """A lane's complete trials with settings of their own, the most promising first.

    By the surface, or without one by the mean score over the trials that share the settings;
    ties go to the earlier trial.
    """
    own = [r for r in lane.of(records) if r.stage == "search" and r.state == "COMPLETE"]
    originals = [r for r in own if r.repeats is None]
    if not originals:
        return []
    if response is not None:
        scores = response.mean([who_of(r) for r in originals])
    else:
        scores = np.array([_mean_score(config, r, own) for r in originals])
    order = sorted(range(len(originals)), key=lambda i: (-float(scores[i]), originals[i].trial))
    return [originals[i] for i in order]


def _mean_score(config: StudyConfig, trial: TrialRecord, own: Sequence[TrialRecord]) -> float:
    same = [r for r in own if trial.trial in (r.trial, r.repeats)]
    scores = [signed_value(r, config.objective[0]) for r in same]
    return float(np.mean([s for s in scores if s is not None]))
