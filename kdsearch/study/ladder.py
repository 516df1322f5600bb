"""The ladder: which sizes a study tries next. Pure functions of its records.

It begins with as many sizes as a verdict takes and adds one larger size at a time until the curve
through the confirm runs is saturated and nothing is forecast to be won on the way to the
ladder's end; then it puts two sizes between those tried around the saturation size, and stops.
It judges by the headline metric on validation: the test set decides nothing here,
and the report, which opens it, has the last word. A size that was tried is never dropped, so a
raised `max` or another tolerance only adds sizes.
"""

import itertools
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.capacity import CapacityFit, fit_scores
from kdsearch.config import LadderConfig, Scalar, StudyConfig
from kdsearch.config.saturation import FIRST_SIZES
from kdsearch.results import TrialRecord, sizes_tried
from kdsearch.results.headline import score
from kdsearch.results.tolerance import absolute_tolerance
from kdsearch.study.confirm import chosen_trials, selected_trials
from kdsearch.study.proposal.lane import lane_budget, lanes_of

MIN_FIT_SIZES = 3
"""Fewer have no curve, which happens only if whole sizes failed."""
FINER_SIZES = 2
FORECAST_LEVEL = 0.8
"""Quantile of the gain from the largest size tried to the end of the ladder that must be within
the tolerance: "saturated" among few small sizes alone stops slow curves too early."""


class Climb(NamedTuple):
    """How far a ladder has been climbed."""

    sizes: tuple[int, ...]
    """Ascending; the last ones may be about to be tried."""
    state: Literal["climbing", "refining", "saturated", "at_max"]
    """The last two are ends."""
    fit: CapacityFit | None
    """The curve that the last decision was made by; sizes in parameters."""
    saturation: float | None
    """The ladder's size at which it saturates, once it does."""


def strata_to_run(
    config: StudyConfig, records: Sequence[TrialRecord]
) -> tuple[dict[str, Scalar], ...]:
    """The strata that a study must have searched and confirmed before it is decided how to go on.

    A study without a ladder always has the same; a ladder is over when the next answer is the
    same as the last.
    """
    ladder = config.study.ladder
    if ladder is None:
        return config.strata()
    sizes = {*climb(config, ladder, records).sizes, *sizes_tried(config, records)}
    return tuple({ladder.parameter: size} for size in sorted(sizes))


def strata_ahead(
    config: StudyConfig, records: Sequence[TrialRecord]
) -> tuple[dict[str, Scalar], ...]:
    """Every stratum that may come; with a ladder, those tried and all that climbing can reach.

    Where the ladder will look closer is not known; the dearest case, just below its end, is
    taken.
    """
    ladder = config.study.ladder
    if ladder is None:
        return config.strata()
    so_far = climb(config, ladder, records)
    sizes = {*so_far.sizes, *sizes_tried(config, records)}
    if so_far.state == "climbing":
        sizes |= {*ladder.sizes(), *sizes_around(ladder.sizes(), ladder.max)}
    return tuple({ladder.parameter: size} for size in sorted(sizes))


def climb(config: StudyConfig, ladder: LadderConfig, records: Sequence[TrialRecord]) -> Climb:
    """Climb the ladder again from its foot, as far as the records carry.

    Each step is decided by the sizes below it alone, so a study that was killed takes the same
    ones again.
    """
    steps = ladder.sizes()
    settled = _settled(config, ladder, records)
    scored = _scores(config, ladder, records, chosen_trials(config, records))
    fit: CapacityFit | None = None
    for count in range(FIRST_SIZES, len(steps) + 1):
        sizes = steps[:count]
        if not settled.issuperset(sizes):
            return Climb(sizes, "climbing", fit, None)
        measured = [size for size in sizes if size in scored]
        points = [scored[size] for size in measured]
        fit = _fit(config, points)
        if fit is not None and fit.verdict == "saturated":
            end = max(params_at(measured, points, steps[-1]), fit.sizes[-1])
            if fit.forecast(end, level=FORECAST_LEVEL) > fit.tolerance:
                continue
            saturation = size_at(measured, points, fit.saturation_size)
            sizes = tuple(sorted({*sizes, *sizes_around(sizes, saturation)}))
            done = settled.issuperset(sizes)
            return Climb(sizes, "saturated" if done else "refining", fit, saturation)
    return Climb(steps, "at_max", fit, None)


def sizes_around(tried: Collection[int], saturation: float) -> tuple[int, ...]:
    """The two sizes nearest to `saturation` that halve a gap between tried ones, geometrically.

    Fewer where the gaps hold no further whole number.
    """
    ordered = sorted(tried)
    middles = {round(math.sqrt(low * high)) for low, high in itertools.pairwise(ordered)}
    fresh = middles.difference(ordered)
    nearest = sorted(fresh, key=lambda size: (abs(math.log(size / saturation)), size))
    return tuple(sorted(nearest[:FINER_SIZES]))


class Point(NamedTuple):
    """The confirm runs of one size's distilled student."""

    num_params: int
    scores: tuple[float, ...]
    """The headline metric on validation by replicate, turned so that higher is better."""


def size_at(sizes: Sequence[int], points: Sequence[Point], num_params: float) -> float:
    """The size whose student has `num_params` parameters, between tried ones (log-log)."""
    params = np.log([point.num_params for point in points])
    return float(np.exp(np.interp(math.log(num_params), params, np.log(sizes))))


def params_at(sizes: Sequence[int], points: Sequence[Point], size: int) -> float:
    """Parameters of a student at least as large as those tried, by the slope of the last two.

    Their logarithm is close to a line in that of the size.
    """
    before, last = np.log(sizes[-2:])
    low, high = np.log([point.num_params for point in points[-2:]])
    slope = (high - low) / (last - before)
    return float(np.exp(high + slope * max(math.log(size) - last, 0.0)))


def _fit(config: StudyConfig, points: Sequence[Point]) -> CapacityFit | None:
    if len({point.num_params for point in points}) < max(MIN_FIT_SIZES, len(points)):
        return None  # sizes that are the same student, as an imported one may have them
    return fit_scores(
        [point.num_params for point in points],
        [point.scores for point in points],
        Headline(config.headline).scale,
        tolerance=absolute_tolerance(config, (), "val"),
        confidence=config.study.confidence,
    )


def _scores(
    config: StudyConfig,
    ladder: LadderConfig,
    records: Iterable[TrialRecord],
    chosen: Iterable[TrialRecord],
) -> dict[int, Point]:
    """The sizes that have confirm runs of their best settings."""
    current = {record.trial for record in chosen if record.arm == "distilled"}
    runs: dict[int, list[tuple[TrialRecord, float]]] = {}
    for record in records:
        is_run = record.stage == "confirm" and record.arm == "distilled"
        reached = score(record.val, config.headline)
        if not is_run or record.state != "COMPLETE" or reached is None:
            continue
        if record.trial in current:
            size = int(record.stratum[ladder.parameter])
            runs.setdefault(size, []).append((record, reached))
    return {
        size: Point(
            mine[0][0].num_params or size,
            tuple(reached for _, reached in sorted(mine, key=lambda run: run[0].replicate)),
        )
        for size, mine in runs.items()
    }


def _settled(
    config: StudyConfig, ladder: LadderConfig, records: Sequence[TrialRecord]
) -> frozenset[int]:
    """The sizes whose every lane has spent its budget and has been confirmed."""
    ended = {
        (r.arm, r.trial, r.replicate)
        for r in records
        if r.stage == "confirm" and r.state != "RUNNING"
    }
    wanted = range(1, config.confirm.replicates + 1)
    unconfirmed = [
        trial
        for trial in selected_trials(config, records)
        if any((trial.arm, trial.trial, replicate) not in ended for replicate in wanted)
    ]
    searched = [r for r in records if r.stage == "search" and r.state != "RUNNING"]
    settled: set[int] = set()
    for size in sizes_tried(config, records):
        lanes = lanes_of(config, [{ladder.parameter: size}])
        is_searched = all(
            len(lane.of(searched)) >= lane_budget(config, lane)
            and not any(map(lane.holds, unconfirmed))
            for lane in lanes
        )
        if is_searched:
            settled.add(size)
    return frozenset(settled)
