"""Can a study tell settings apart that differ by its tolerance? A rule of thumb beforehand."""

import math
from typing import NamedTuple

from kdsearch.config import StudyConfig
from kdsearch.results.score import ACCURACY_LIKE
from kdsearch.results.tolerance import absolute_tolerance
from kdsearch.study.proposal.lane import Lane, lane_budget, nuisances

LIKELY_ACCURACY = 0.75
"""Where nothing is known yet; the standard error of a share changes little around it."""
SHARED = 0.6
"""Standard error of a difference of two like students on one validation set, as a share of that
of one accuracy: they mostly err on the same samples."""


class Resolution(NamedTuple):
    """What the search of a study can tell apart."""

    difference: float
    """In accuracy, a fraction."""
    samples_needed: int
    """Validation samples with which `difference` would be the tolerance."""
    in_words: str


def resolution(config: StudyConfig, lanes: tuple[Lane, ...], num_val: int) -> Resolution | None:
    """The difference that the search can tell; None where nothing is tuned or judged by accuracy.

    One trial's score is off by the sampling error of the validation set and, about as much, by
    the luck of its seed (measured). A surface through N trials of d tuned parameters averages
    both as if each setting had been tried N / d times; the validation set itself stays.

    Args:
        config: The study.
        lanes: Its strata and arms.
        num_val: Validation samples.
    """
    tuned = [(len(nuisances(config, lane.arm)), lane_budget(config, lane)) for lane in lanes]
    tuned = [(count, trials) for count, trials in tuned if count]
    if not tuned or config.objective[0].metric not in ACCURACY_LIKE:
        return None
    share = max(count / trials for count, trials in tuned)
    one = LIKELY_ACCURACY * (1 - LIKELY_ACCURACY)
    scatter = 2 * share + SHARED**2
    difference = math.sqrt(one / num_val * scatter)
    tolerance = absolute_tolerance(config, (), "val")
    needed = math.ceil(one * scatter / tolerance**2)
    words = f"about {100 * difference:.1f} points between settings"
    if difference > tolerance:
        count, trials = max(tuned, key=lambda pair: pair[0] / pair[1])
        words += (
            f", more than the tolerance of {100 * tolerance:g}: {num_val:,} validation samples "
            f"and {trials} trials of {count} tuned parameters cannot resolve it; about {needed:,} "
            "samples would"
        )
    return Resolution(difference, needed, words)
