"""Maps of a study's surface over temperature and alpha, stratum by stratum."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from scipy.stats import qmc

from kdsearch.analysis.response.response import Response, Who
from kdsearch.analysis.response.searched import Setting, parameter_setting
from kdsearch.analysis.response.surface import Array
from kdsearch.analysis.stratum import StrataInfo, Stratum
from kdsearch.config import Scalar, SearchParameter
from kdsearch.results import Results

MIN_TRIALS = 4
"""Complete distilled trials below which a stratum is left out."""
MAX_STRATA = 16
CELLS = {1: 33, 2: 13}
"""Of a map along each axis, by the number of its axes."""
EDGE = 0.02
"""An optimum this near to the end of a range, as a share of it, lies at its edge."""
INNER = 0.1
"""Where the range's inside begins: at the edge it must be better than there by a fifth of the
tolerance."""
_OTHERS = 32
_SCALES = 30
_DRAWS_EACH = 20
"""Many scales and few draws of each: where one good guess of the scales is wrong, a region under
ten of them misses the best (`benchmarks.safe_region`)."""
_POINTS = 512
Target = Literal["temperature", "alpha"]
TARGETS: tuple[Target, ...] = ("temperature", "alpha")
_T = TypeVar("_T")


class Edge(NamedTuple):
    """A tuned number whose best value lies at the end of its range."""

    name: str
    end: Literal["low", "high"]
    value: float


class StratumMap(NamedTuple):
    """Draws of one stratum's surface; every other tuned setting is the best one for the cell."""

    stratum: Stratum
    num_trials: int
    """Complete and pruned distilled trials."""
    draws: Array
    """[D, A, B]; B is 1 where one of the two is tuned."""
    edges: tuple[Edge, ...]


def map_levels(settings: Mapping[Target, Setting]) -> list[Array]:
    """Unit coordinates of the maps' cells along each axis."""
    return [np.linspace(0, 1, CELLS[len(settings)]) for _ in settings]


def compute_maps(
    results: Results,
    info: StrataInfo,
    response: Response,
    settings: Mapping[Target, Setting],
    *,
    least: float,
) -> list[StratumMap]:
    """The maps of all strata that have enough trials.

    Args:
        results: The study.
        info: Its strata.
        response: Its surface.
        settings: The tuned targets, in the order of the maps' axes.
        least: What a value at the end of its range must be better by to be called an edge.
    """
    trials = results.select(stage="search", arm="distilled")
    known: list[tuple[Stratum, int]] = []
    for stratum in info.strata:
        own = [t.state for t in trials if t.stratum == stratum.key]
        if own.count("COMPLETE") >= MIN_TRIALS:
            known.append((stratum, own.count("COMPLETE") + own.count("PRUNED")))
    cells = [
        {t: float(s.value(u)) for (t, s), u in zip(settings.items(), units, strict=True)}
        for units in np.stack(np.meshgrid(*map_levels(settings), indexing="ij"), axis=-1).reshape(
            -1, len(settings)
        )
    ]
    shape = tuple(len(level) for level in map_levels(settings))
    others = _other_settings(results)
    rng = np.random.default_rng(0)
    surfaces = response.surface.sampled(_SCALES, rng)
    maps = []
    for stratum, count in _spread(known, MAX_STRATA):
        people = [
            Who("distilled", stratum.key | other | cell) for cell in cells for other in others
        ]
        mean = response.mean(people).reshape(len(cells), len(others))
        tuned = [people[i * len(others) + int(row.argmax())] for i, row in enumerate(mean)]
        draws = response.draws_of(surfaces, tuned, _DRAWS_EACH, rng)
        grid = draws.reshape(len(draws), *shape, *[1] * (2 - len(shape)))
        edges = _edges(results, response, stratum, least)
        maps.append(StratumMap(stratum, count, grid, edges))
    return maps


def _other_settings(results: Results) -> list[dict[str, Scalar]]:
    """Values of what is tuned besides, spread evenly."""
    rest = {n: p for n, p in results.config.parameters("nuisance").items() if n not in TARGETS}
    if not rest:
        return [{}]
    return _spread_settings(rest, _OTHERS)


def _spread_settings(space: Mapping[str, SearchParameter], count: int) -> list[dict[str, Scalar]]:
    units = qmc.Sobol(len(space), seed=2).random(count)
    return [
        {n: _value(n, p, float(u)) for u, (n, p) in zip(row, space.items(), strict=True)}
        for row in units
    ]


def _value(name: str, parameter: SearchParameter, unit: float) -> Scalar:
    """The value of a tuned parameter at `unit` in [0, 1) of its range."""
    points = parameter.values
    if points is not None:
        return points[int(unit * len(points))]
    setting = parameter_setting(name, parameter)
    assert setting is not None, "a range has two ends"
    return float(setting.value(unit))


def _edges(
    results: Results, response: Response, stratum: Stratum, least: float
) -> tuple[Edge, ...]:
    """Tuned numbers whose best value, by the surface's mean, lies at the end of their range."""
    space = results.config.parameters("nuisance")
    ranged = {n: s for n, p in space.items() if p.is_range and (s := parameter_setting(n, p))}
    points = _spread_settings(space, _POINTS)
    best = points[int(response.mean([Who("distilled", stratum.key | p) for p in points]).argmax())]
    line = np.linspace(0, 1, 51)
    found = []
    for name, setting in ranged.items():
        values = setting.value(line)
        people = [Who("distilled", stratum.key | best | {name: float(v)}) for v in values]
        heights = response.mean(people)
        place = float(line[int(heights.argmax())])
        inner = heights[(line >= INNER) & (line <= 1 - INNER)].max()
        if heights.max() - inner < least:
            continue
        if place <= EDGE:
            found.append(Edge(name, "low", setting.low))
        elif place >= 1 - EDGE:
            found.append(Edge(name, "high", setting.high))
    return tuple(found)


def _spread(items: list[_T], limit: int) -> list[_T]:
    """At most `limit` of the items, evenly spread."""
    if len(items) <= limit:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int)]
