"""Warm starts: a stratum first tries what was best beside it. Pure functions of the records.

Neighbouring strata ask for similar settings, so a lane's generation begins with the best ones of
the lanes next to it, if it has not tried them. They are trials like any other: they are counted
in the budget, can be pruned, and the sampler learns from them. The study's first generation has
nothing to copy; a ladder's later sizes have from the start.
"""

import itertools
from collections.abc import Mapping, Sequence

from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.results.objective import complete_score
from kdsearch.study.proposal.lane import Lane, nuisances


def is_warm(config: StudyConfig, lanes: Sequence[Lane]) -> bool:
    """Whether lanes copy from their neighbours.

    Grids and Sobol sequences stay pure designs, a surface has seen its neighbours, and the best
    of a Pareto study is a front and no one point.
    """
    has_neighbours = len({lane.stratum for lane in lanes}) > 1
    is_learning = config.sampler_kind in ("tpe", "gp", "random", "import")
    is_on = config.sampler.warm_start and len(config.objective) == 1
    return is_on and is_learning and has_neighbours


def warm_starts(
    config: StudyConfig,
    lane: Lane,
    lanes: Sequence[Lane],
    *,
    earlier: Sequence[TrialRecord],
    most: int,
) -> tuple[dict[str, Scalar], ...]:
    """The settings that a lane's next generation begins with, nearest smaller neighbour first.

    Args:
        config: The study.
        lane: The lane.
        lanes: All lanes that are searched by now.
        earlier: Search trials that were asked before this generation, of all lanes.
        most: No more than these.
    """
    if not is_warm(config, lanes):
        return ()
    tuned = nuisances(config, lane.arm)
    tried = [{name: record.settings[name] for name in tuned} for record in lane.of(earlier)]
    copied: list[dict[str, Scalar]] = []
    for neighbour in neighbours(lane, lanes, earlier):
        complete = [r for r in neighbour.of(earlier) if r.state == "COMPLETE"]
        best = max(complete, key=lambda r: (complete_score(r, config.objective[0]), -r.trial))
        settings = {name: best.settings[name] for name in tuned}
        if settings and settings not in tried and settings not in copied:
            copied.append(settings)
    return tuple(copied[:most])


def neighbours(
    lane: Lane, lanes: Sequence[Lane], records: Sequence[TrialRecord]
) -> tuple[Lane, ...]:
    """The lanes of the same arm next to a lane along each scientific axis, both ways.

    Of those that have a complete trial among `records`. Numbers are ordered by size, other
    values as they stand in the file.
    """
    found: list[Lane] = []
    own = dict(lane.stratum)
    complete = [record for record in records if record.state == "COMPLETE"]
    known = [other for other in lanes if other == lane or other.of(complete)]
    for axis in own:
        line = [o for o in known if o.arm == lane.arm and _rest(o, axis) == _rest(lane, axis)]
        if all(_is_number(dict(other.stratum)[axis]) for other in line):
            line.sort(key=lambda other: float(dict(other.stratum)[axis]))
        for one, other in itertools.pairwise(line):
            found += [one] if other == lane else [other] if one == lane else []
    return tuple(found)


def _rest(lane: Lane, axis: str) -> Mapping[str, Scalar]:
    return {name: value for name, value in lane.stratum if name != axis}


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
