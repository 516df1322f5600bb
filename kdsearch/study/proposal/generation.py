"""What a lane does next with its budget. A pure function of how much of it is spent."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from kdsearch.config import StudyConfig
from kdsearch.study.proposal.lane import Lane, lane_budget
from kdsearch.study.proposal.warm_start import is_warm

SURFACE_GENERATIONS = 4
"""A lane looks at the surface at least so often, less one: more gains nothing (measured)."""


class Generation(NamedTuple):
    """Trials that a lane asks at once."""

    size: int
    spent: float
    """Share of the lane's budget that came before."""


def next_generation(
    config: StudyConfig, lane: Lane, lanes: Sequence[Lane], *, asked: int
) -> Generation | None:
    """What a lane asks next.

    Args:
        config: The study.
        lane: The lane.
        lanes: All lanes that are searched by now.
        asked: Trials that it has asked so far.

    Returns:
        None if the budget is spent.
    """
    budget = lane_budget(config, lane)
    if asked >= budget:
        return None
    size = min(config.budget.generation, budget - asked)
    # Who asks all at once has nothing to learn from.
    if config.sampler_kind == "surface":
        size = min(size, math.ceil(budget / SURFACE_GENERATIONS))
    elif is_warm(config, lanes):
        size = min(size, math.ceil(budget / 2))
    return Generation(size, spent=asked / budget)
