"""What a lane does next with its budget. Pure functions of how much of it is spent.

First it explores, generation by generation; then it races: its most promising settings are
trained again on other seeds, half of the race each of many, the other half each of half as many
and more often (sequential halving over seeds; Karnin et al. 2013).
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from kdsearch.config import StudyConfig
from kdsearch.study.lane import Lane, lane_budget
from kdsearch.study.warm_start import is_warm

LEAST_RACED = 12
"""Trials of a lane below which nothing is raced: luck would be replaced by ignorance."""
MOST_RACED = 8
"""Settings in a race."""
SURFACE_GENERATIONS = 4
"""A lane looks at the surface at least so often, less one: more gains nothing (measured)."""


class Generation(NamedTuple):
    """Trials that a lane asks at once."""

    kind: Literal["explore", "race"]
    size: int
    settings: int = 0
    """A race's different settings."""
    spent: float = 0.0
    """Share of the lane's exploration that came before."""


def race_size(config: StudyConfig, lane: Lane) -> int:
    """Trials of a lane that repeat settings on other seeds."""
    budget = lane_budget(config, lane)
    if budget < LEAST_RACED or config.sampler_kind == "grid" or len(config.objective) > 1:
        return 0
    return int(config.budget.race * budget)


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
    budget, race = lane_budget(config, lane), race_size(config, lane)
    to_explore, left = budget - race - asked, budget - asked
    if left <= 0:
        return None
    if to_explore > 0:
        size = min(config.budget.generation, to_explore)
        # Who asks all at once has nothing to learn from.
        if config.sampler_kind == "surface":
            size = min(size, math.ceil((budget - race) / SURFACE_GENERATIONS))
        elif is_warm(config, lanes):
            size = min(size, math.ceil((budget - race) / 2))
        return Generation("explore", size, spent=asked / (budget - race))
    first = math.ceil(race / 2)
    if left > race - first:
        size = left - (race - first)
        return Generation("race", size, settings=min(MOST_RACED, size))
    return Generation("race", left, settings=max(min(MOST_RACED, first) // 2, 1))
