"""Who goes on at a rung. Pure functions of scores, so that timing decides nothing.

Successive halving (Jamieson & Talwalkar 2016; Li et al. 2018 for hyperband) ranks a whole
generation at once, together with the lane's earlier trials that reached the same rung. Scores
are forecasts of the end (`analysis.forecast`): what is best at the rung is a fast starter.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import assert_never

from kdsearch.config import PrunerConfig

MEDIAN_STARTUP = 4
"""`median` stops nobody before this many trials have reached a rung."""


def rung_epochs(pruner: PrunerConfig, epochs: int) -> tuple[int, ...]:
    """The epochs after which students are compared, the last no later than epochs / factor.

    A later one would stop students that have almost finished, and with them what their full
    training would have told, to save next to nothing.
    """
    if pruner.kind == "none":
        return ()
    factor = pruner.reduction_factor
    before_end = factor**2 if pruner.kind == "hyperband" else factor
    rung = pruner.min_epochs or max(epochs // before_end, 1)
    rungs: list[int] = []
    while rung * factor <= epochs:
        rungs.append(rung)
        rung *= factor
    return tuple(rungs)


def is_exempt(pruner: PrunerConfig, index: int) -> bool:
    """Whether no rung stops a lane's trial `index`: an even share of them, the first included."""
    return math.floor((index + 1) * pruner.exempt) > math.floor(index * pruner.exempt) or (
        pruner.exempt > 0 and index == 0
    )


def survivors(
    pruner: PrunerConfig,
    *,
    rung: int,
    rungs: Sequence[int],
    scores: Mapping[int, float],
    earlier: Mapping[int, float],
) -> frozenset[int]:
    """Which live students train on after a rung.

    Args:
        pruner: The rule.
        rung: Index of the rung, 0 for the first.
        rungs: All rungs, as `rung_epochs` gives them.
        scores: Score of each live student at the rung, higher is better, by its index in the
            lane.
        earlier: The same for trials of the lane's earlier generations that reached the rung.
    """
    match pruner.kind:
        case "none":
            return frozenset(scores)
        case "median":
            return _above_median(scores, earlier)
        case "halving":
            return _top_share(scores, earlier, pruner.reduction_factor)
        case "hyperband":
            return _top_of_brackets(pruner, rung, len(rungs) + 1, scores, earlier)
        case _:
            assert_never(pruner.kind)


def _above_median(scores: Mapping[int, float], earlier: Mapping[int, float]) -> frozenset[int]:
    reached = [*scores.values(), *earlier.values()]
    if len(reached) < MEDIAN_STARTUP:
        return frozenset(scores)
    median = statistics.median(reached)
    return frozenset(index for index, score in scores.items() if score >= median)


def _top_share(
    scores: Mapping[int, float], earlier: Mapping[int, float], factor: int
) -> frozenset[int]:
    ranked = sorted([*scores.values(), *earlier.values()], reverse=True)
    last_in = ranked[-(-len(ranked) // factor) - 1]
    return frozenset(index for index, score in scores.items() if score >= last_in)


def _top_of_brackets(
    pruner: PrunerConfig,
    rung: int,
    brackets: int,
    scores: Mapping[int, float],
    earlier: Mapping[int, float],
) -> frozenset[int]:
    kept: set[int] = set()
    for bracket in range(brackets):
        mine = {i: score for i, score in scores.items() if i % brackets == bracket}
        others = {i: score for i, score in earlier.items() if i % brackets == bracket}
        if rung < bracket:
            kept |= set(mine)  # bracket b is compared from rung b on
        elif mine:
            kept |= _top_share(mine, others, pruner.reduction_factor)
    return frozenset(kept)
