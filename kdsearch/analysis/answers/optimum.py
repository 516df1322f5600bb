"""Which temperature and alpha are good enough at every stratum, and what others cost.

One surface through all search trials of both arms (`response`); on its map over temperature and
alpha every other tuned setting is where the surface is highest. A region of the map is called
safe if it holds the best setting and costs little (`region`).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from kdsearch.analysis.context import Context
from kdsearch.analysis.response.optimum_map import (
    MIN_TRIALS,
    TARGETS,
    Edge,
    StratumMap,
    Target,
    compute_maps,
    map_levels,
)
from kdsearch.analysis.response.region import (
    IDENTIFIED,
    Region,
    compute_region,
    largest_rectangle,
)
from kdsearch.analysis.response.response import fit_response
from kdsearch.analysis.response.searched import Setting, parameter_setting
from kdsearch.analysis.response.surface import Array
from kdsearch.analysis.stratum import StrataInfo
from kdsearch.analysis.wording import STRATUM, Noun
from kdsearch.results import Results
from kdsearch.results.score import ACCURACY_LIKE


class Located(NamedTuple):
    """Where a setting is best."""

    value: float
    """Median of the draws."""
    low: float
    high: float
    identified: bool
    """Whether the interval is narrower than `IDENTIFIED` of the range searched."""


class Regret(NamedTuple):
    """What one pair for all strata costs, in units of the objective."""

    value: float
    """Median of the draws; below zero where the one pair did better after all."""
    low: float
    high: float


class Optimum(NamedTuple):
    """One stratum."""

    label: str
    size: float | None
    """What the trend is looked for along: the width where it is scientific, else parameters."""
    num_trials: int
    """Complete and pruned distilled trials of the stratum."""
    located: dict[Target, Located]
    region: Region
    box: dict[Target, tuple[float, float]]
    """The largest rectangle of the region around its best cell, in values."""
    best: dict[Target, float]
    """The setting that costs least here."""
    serves: dict[Target, float]
    """The setting of the region that costs least here and at the neighbouring sizes together."""
    edges: tuple[Edge, ...]
    regret: Regret | None


class Trend(NamedTuple):
    """How the best value moves with size."""

    target: Target
    change: float
    """For each doubling of the size: a factor for the temperature, a difference for alpha."""
    low: float
    high: float
    num_sizes: int

    @property
    def verdict(self) -> Literal["grows", "falls", "not seen"]:
        """Whether the interval leaves out `no change`."""
        still = 1.0 if self.target == "temperature" else 0.0
        if self.low > still:
            return "grows"
        return "falls" if self.high < still else "not seen"


class OptimumInfo(NamedTuple):
    """The optima of the strata in their order."""

    optima: tuple[Optimum, ...]
    trends: tuple[Trend, ...]
    shared: dict[Target, float]
    """The one pair that is best for all strata together."""
    regret: Regret | None
    """Averaged over the strata."""
    axes: dict[Target, Array]
    """Values of the maps' cells along each axis, in the order of the maps' axes."""
    size_name: str
    confidence: float
    tolerance: float
    """In units of the objective."""
    in_points: bool
    num_trials: int
    """Search trials of both arms that the surface stands on."""
    left_out: int
    """Strata that are not shown: too few complete trials, or more strata than are looked at."""
    missing: str
    noun: Noun = STRATUM
    """What a stratum is in this study."""


def compute_optimum(results: Results, info: StrataInfo) -> OptimumInfo:
    """Regions of temperature and alpha by stratum, trends over size, the regret of one pair."""
    nuisances = results.config.parameters("nuisance")
    tuned = [target for target in TARGETS if target in nuisances]
    settings = {t: s for t in tuned if (s := parameter_setting(t, nuisances[t]))}
    response = None
    if settings and len(results.config.objective) == 1:
        response = fit_response(results.config, results.trials)
    by_width = all("width" in s.key for s in info.strata)
    metric = results.config.objective[0].metric
    tolerance = info.tolerance
    if response is not None and metric not in ACCURACY_LIKE:
        tolerance = response.unit / 10
    maps = []
    if response is not None:
        least = tolerance / 5
        maps = compute_maps(results, info, response, settings, least=least)
    levels = map_levels(settings)
    optima, shared, regret = _judge(maps, settings, info, tolerance, by_width=by_width)
    return OptimumInfo(
        optima=tuple(optima),
        trends=_trends(maps, optima, settings, info.confidence),
        shared=shared,
        regret=regret,
        axes={t: s.value(level) for (t, s), level in zip(settings.items(), levels, strict=True)},
        size_name="width" if by_width else "number of parameters",
        confidence=info.confidence,
        tolerance=tolerance,
        in_points=metric in ACCURACY_LIKE,
        num_trials=0 if response is None else len(response.surface.places),
        left_out=len(info.strata) - len(maps),
        missing=_missing(results, settings, maps, info.noun),
        noun=info.noun,
    )


def _missing(
    results: Results, settings: Mapping[Target, Setting], maps: Sequence[StratumMap], noun: Noun
) -> str:
    if len(results.config.objective) > 1:
        return "With several objectives there is no one best temperature."
    if not settings:
        return "The study tunes neither temperature nor alpha."
    if not maps:
        return (
            "Too few trials are complete to fit a surface through them: it takes 16 in all, and "
            f"{MIN_TRIALS} distilled ones of one {noun.one}; raise budget.trials, or prune less."
        )
    return ""


def _judge(
    maps: Sequence[StratumMap],
    settings: Mapping[Target, Setting],
    info: StrataInfo,
    tolerance: float,
    *,
    by_width: bool,
) -> tuple[list[Optimum], dict[Target, float], Regret | None]:
    if not maps:
        return [], {}, None
    regions = [
        compute_region(m.draws, tolerance=tolerance, confidence=info.confidence) for m in maps
    ]
    together, costs = _regrets(maps)
    optima = []
    for i, (m, region, cost) in enumerate(zip(maps, regions, costs, strict=True)):
        size = m.stratum.key["width"] if by_width else m.stratum.num_params
        near = np.mean([regions[j].expected for j in (i - 1, i, i + 1) if 0 <= j < len(maps)], 0)
        serves = np.unravel_index(int(np.where(region.mask, near, np.inf).argmin()), near.shape)
        box = largest_rectangle(region.mask, region.best)
        optima.append(
            Optimum(
                label=m.stratum.label,
                size=float(size) if isinstance(size, int | float) else None,
                num_trials=m.num_trials,
                located=_located(m, settings, info),
                region=region,
                box=_box(box, settings),
                best=_pair(region.best, settings),
                serves=_pair(serves, settings),
                edges=m.edges,
                regret=_regret(cost, info) if len(maps) > 1 else None,
            )
        )
    overall = _regret(np.mean(costs, axis=0), info) if len(maps) > 1 else None
    return optima, _pair(together, settings), overall


def _pair(
    cell: Sequence[np.intp | int], settings: Mapping[Target, Setting]
) -> dict[Target, float]:
    """Values of a cell."""
    places = zip(settings.items(), map_levels(settings), cell, strict=False)
    return {t: float(s.value(level[i])) for (t, s), level, i in places}


def _box(
    box: tuple[slice, slice], settings: Mapping[Target, Setting]
) -> dict[Target, tuple[float, float]]:
    low = _pair([part.start for part in box], settings)
    high = _pair([part.stop - 1 for part in box], settings)
    return {target: (low[target], high[target]) for target in settings}


def _located(
    m: StratumMap, settings: Mapping[Target, Setting], info: StrataInfo
) -> dict[Target, Located]:
    """Medians and intervals of the places where draws are highest."""
    cells = np.unravel_index(m.draws.reshape(len(m.draws), -1).argmax(axis=1), m.draws.shape[1:])
    tail = (1 - info.confidence) / 2
    found: dict[Target, Located] = {}
    for (target, setting), level, cell in zip(
        settings.items(), map_levels(settings), cells, strict=False
    ):
        low, median, high = np.quantile(level[cell], [tail, 0.5, 1 - tail])
        values = [float(setting.value(u)) for u in (median, low, high)]
        found[target] = Located(*values, identified=bool(high - low < IDENTIFIED))
    return found


def _regret(draws: Array, info: StrataInfo) -> Regret:
    tail = (1 - info.confidence) / 2
    low, median, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    return Regret(float(median), float(low), float(high))


def _regrets(maps: Sequence[StratumMap]) -> tuple[tuple[int, int], list[Array]]:
    """The one cell for all strata, and draws of what it costs each beside its own best cell.

    Both are chosen by every second draw and judged by the others, so that nothing is judged by
    its own luck.
    """
    means = [m.draws[::2].mean(axis=0) for m in maps]
    deficits = np.mean([mean.max() - mean for mean in means], axis=0)
    row, column = np.unravel_index(int(deficits.argmin()), deficits.shape)
    costs = []
    for m, mean in zip(maps, means, strict=True):
        own = np.unravel_index(int(mean.argmax()), mean.shape)
        costs.append(m.draws[1::2, own[0], own[1]] - m.draws[1::2, row, column])
    return (int(row), int(column)), costs


def _trends(
    maps: Sequence[StratumMap],
    optima: Sequence[Optimum],
    settings: Mapping[Target, Setting],
    confidence: float,
) -> tuple[Trend, ...]:
    """Slopes over the logarithm of the size, within groups that differ in the size only."""
    groups = _groups(maps, optima)
    sizes = {o.size for o in optima if o.size}
    if len(sizes) < 3 or not groups:
        return ()
    tail = (1 - confidence) / 2
    trends = []
    for axis, (target, setting) in enumerate(settings.items()):
        level = map_levels(settings)[axis]
        places = [
            np.unravel_index(m.draws.reshape(len(m.draws), -1).argmax(axis=1), m.draws.shape[1:])
            for m in maps
        ]
        values = np.stack([setting.value(level[place[axis]]) for place in places])
        heights = np.log(values) if target == "temperature" else values
        above, below = np.zeros(heights.shape[1]), 0.0
        for members in groups:
            x = np.log2([optima[i].size or 1.0 for i in members])
            x = x - x.mean()
            above += x @ heights[members]
            below += float(x @ x)
        slopes = above / below
        if target == "temperature":
            slopes = np.exp(slopes)
        low, middle, high = np.quantile(slopes, [tail, 0.5, 1 - tail])
        trends.append(Trend(target, float(middle), float(low), float(high), len(sizes)))
    return tuple(trends)


def _groups(maps: Sequence[StratumMap], optima: Sequence[Optimum]) -> list[list[int]]:
    """Indices of strata that share every scientific value but the size."""
    found: dict[tuple[object, ...], list[int]] = {}
    for i, (m, o) in enumerate(zip(maps, optima, strict=True)):
        rest = tuple(
            (n, v)
            for n, v in m.stratum.key.items()
            if n != "width" and not n.startswith("student.")
        )
        if o.size:
            found.setdefault(rest, []).append(i)
    return [g for g in found.values() if len({optima[i].size for i in g}) > 1]


def optimum_in(context: Context) -> OptimumInfo:
    """Of the study under analysis."""
    return compute_optimum(context.results, context.strata)
