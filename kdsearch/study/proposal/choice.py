"""Which of a lane's settings are the most promising. Pure functions of the records.

One seed is luck: by the surface, a setting counts as good if those around it, in its stratum and
the next, are good as well.
"""

from collections.abc import Sequence

import numpy as np

from kdsearch.analysis.response.response import Response, fit_response, who_of
from kdsearch.config import StudyConfig
from kdsearch.config.seed import derive_seed
from kdsearch.results import TrialRecord
from kdsearch.results.score import signed_value
from kdsearch.study.proposal.lane import Lane

DRAWS = 512
"""Of the surface, that say what a further candidate adds."""


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
    own = _complete(lane, records)
    originals = [r for r in own if r.repeats is None]
    if not originals:
        return []
    if response is not None:
        scores = response.mean([who_of(r) for r in originals])
    else:
        scores = np.array([_mean_score(config, r, own) for r in originals])
    order = sorted(range(len(originals)), key=lambda i: (-float(scores[i]), originals[i].trial))
    return [originals[i] for i in order]


def find_candidates(
    config: StudyConfig,
    lane: Lane,
    records: Sequence[TrialRecord],
    response: Response | None,
    *,
    first: Sequence[TrialRecord] = (),
) -> list[TrialRecord]:
    """The settings of a lane that are worth confirming, `confirm.candidates` of them.

    The most promising, then those that add most to the expected best of all taken: a twin of the
    first adds nothing, whatever its rank. Without a surface they are taken by rank.

    Args:
        config: The study.
        lane: One of its lanes.
        records: Its records.
        response: The surface, if there is one.
        first: Candidates that are taken already.
    """
    ranked = ranked_trials(config, lane, records, response)
    taken = [*first] or ranked[:1]
    wanted = min(config.confirm.candidates, len(ranked))
    if response is None:
        left = [r for r in ranked if r not in taken]
        return [*taken, *left[: max(wanted - len(taken), 0)]]
    rng = np.random.default_rng(derive_seed("candidates", config.seed, lane.key))
    people = [who_of(r) for r in [*taken, *ranked]]
    draws = response.draws_of([response.surface], people, DRAWS, rng)
    best, heights = draws[:, : len(taken)].max(axis=1), draws[:, len(taken) :]
    while len(taken) < wanted:
        gains = np.maximum(heights - best[:, None], 0.0).mean(axis=0)
        gains[[r in taken for r in ranked]] = -1.0
        index = int(np.argmax(gains))
        taken.append(ranked[index])
        best = np.maximum(best, heights[:, index])
    return taken


def num_settings(lane: Lane, records: Sequence[TrialRecord]) -> int:
    """Settings of a lane that have a complete trial."""
    return sum(r.repeats is None for r in _complete(lane, records))


def _complete(lane: Lane, records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [r for r in lane.of(records) if r.stage == "search" and r.state == "COMPLETE"]


def _mean_score(config: StudyConfig, trial: TrialRecord, own: Sequence[TrialRecord]) -> float:
    same = [r for r in own if trial.trial in (r.trial, r.repeats)]
    scores = [signed_value(r, config.objective[0]) for r in same]
    return float(np.mean([s for s in scores if s is not None]))
