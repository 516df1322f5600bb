"""The best temperature and alpha of every stratum, how sure that is, and whether it moves.

From the complete search trials of a stratum, by a Gaussian process over all its tuned settings
(`surrogate`). The interval is that of the place where draws of the surface are highest, so it
covers most of the range where the trials do not tell.
"""

import itertools
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from scipy.stats import qmc

from kdsearch.analysis.searched import Setting, numeric_settings, unit_points
from kdsearch.analysis.strata import StrataInfo, Stratum
from kdsearch.analysis.surrogate import Array, Surrogate, fit_surrogate
from kdsearch.config import SHORT_NAMES
from kdsearch.results import Results, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, objective_value, signed_value

MIN_TRIALS = 6
"""Complete trials below which a stratum is left out."""
MAX_TRIALS = 80
"""Trials of a stratum that the surface is fitted to, spread evenly over the search."""
MAX_STRATA = 16
IDENTIFIED = 0.6
"""An interval wider than this share of the range searched says nothing."""
_GRID = 9
_OTHERS = 16
_CHOOSING = 30
"""Draws that choose settings; the rest judge them, so that nothing is judged by its own luck."""
Target = Literal["temperature", "alpha"]
_T = TypeVar("_T")


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
    located: dict[Target, Located]
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
    size_name: str
    confidence: float
    in_points: bool
    settings: tuple[str, ...]
    """Tuned settings that the surface knows."""
    unknown: tuple[str, ...]
    """Tuned settings that are words, whose effect counts as noise."""
    left_out: int
    """Strata that are not shown: too few complete trials, or more strata than are looked at."""
    missing: str


class _Fitted(NamedTuple):
    stratum: Stratum
    num_trials: int
    surface: Surrogate
    maxima: Array
    """Where the draws are highest, [B, D]."""


def compute_optimum(results: Results, info: StrataInfo) -> OptimumInfo:
    """Best temperature and alpha by stratum, their trends over size, the regret of one pair."""
    settings, unknown = numeric_settings(results.config)
    targets = {t: i for i, s in enumerate(settings) if (t := _target(s)) is not None}
    fitted = _fit_strata(results, info, settings) if targets else []
    by_width = all("width" in s.key for s in info.strata)
    optima, shared, regret = _judge(fitted, settings, targets, info, by_width=by_width)
    return OptimumInfo(
        optima=tuple(optima),
        trends=_trends(fitted, optima, settings, targets, info.confidence),
        shared=shared,
        regret=regret,
        size_name="width" if by_width else "number of parameters",
        confidence=info.confidence,
        in_points=results.config.objective[0].metric in ACCURACY_LIKE,
        settings=tuple(s.name for s in settings),
        unknown=unknown,
        left_out=len(info.strata) - len(fitted),
        missing=_missing(results, targets, fitted),
    )


def _target(setting: Setting) -> Target | None:
    match SHORT_NAMES.get(setting.name, setting.name):
        case "distillation.temperature":
            return "temperature"
        case "distillation.alpha":
            return "alpha"
        case _:
            return None


def _missing(results: Results, targets: dict[Target, int], fitted: list[_Fitted]) -> str:
    if len(results.config.objective) > 1:
        return "With several objectives there is no one best temperature."
    if not targets:
        return "The study tunes neither temperature nor alpha."
    if not fitted:
        return (
            f"No stratum has {MIN_TRIALS} complete distilled trials, and pruned ones do not tell "
            "where the best is: raise budget.trials, or prune less."
        )
    return ""


def _fit_strata(results: Results, info: StrataInfo, settings: list[Setting]) -> list[_Fitted]:
    if len(results.config.objective) > 1:
        return []
    by_label: list[tuple[Stratum, list[TrialRecord]]] = []
    complete = results.select(stage="search", arm="distilled", state="COMPLETE")
    for stratum in info.strata:
        own = [t for t in complete if t.stratum == stratum.key]
        own = [t for t in own if objective_value(t, results.config.objective[0]) is not None]
        if len(own) >= MIN_TRIALS:
            by_label.append((stratum, sorted(own, key=lambda t: t.trial)))
    fitted = []
    for index, (stratum, trials) in enumerate(_spread(by_label, MAX_STRATA)):
        kept = _spread(trials, MAX_TRIALS)
        values = [signed_value(t, results.config.objective[0]) for t in kept]
        surface = fit_surrogate(
            unit_points(kept, settings), np.array(values, dtype=float), seed=index
        )
        fitted.append(_Fitted(stratum, len(trials), surface, surface.maxima()))
    return fitted


def _spread(items: list[_T], limit: int) -> list[_T]:
    """At most `limit` of the items, evenly spread."""
    if len(items) <= limit:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def _judge(
    fitted: list[_Fitted],
    settings: list[Setting],
    targets: dict[Target, int],
    info: StrataInfo,
    *,
    by_width: bool,
) -> tuple[list[Optimum], dict[Target, float], Regret | None]:
    if not fitted:
        return [], {}, None
    shared, costs = _regrets([f.surface for f in fitted], sorted(targets.values()), len(settings))
    optima = []
    for f, cost in zip(fitted, costs, strict=True):
        located = {t: _locate(f.maxima[:, i], settings[i], info) for t, i in targets.items()}
        size = f.stratum.key["width"] if by_width else f.stratum.num_params
        regret = _regret(cost, info) if len(fitted) > 1 else None
        number = float(size) if isinstance(size, int | float) else None
        optima.append(Optimum(f.stratum.label, number, f.num_trials, located, regret))
    pair = {t: float(settings[i].value(shared[i])) for t, i in targets.items()}
    overall = _regret(np.mean(costs, axis=0), info) if len(fitted) > 1 else None
    return optima, pair, overall


def _locate(units: Array, setting: Setting, info: StrataInfo) -> Located:
    tail = (1 - info.confidence) / 2
    low, median, high = np.quantile(units, [tail, 0.5, 1 - tail])
    values = [float(setting.value(u)) for u in (median, low, high)]
    return Located(*values, identified=bool(high - low < IDENTIFIED))


def _regret(draws: Array, info: StrataInfo) -> Regret:
    tail = (1 - info.confidence) / 2
    low, median, high = np.quantile(draws, [tail, 0.5, 1 - tail])
    return Regret(float(median), float(low), float(high))


def _regrets(surfaces: list[Surrogate], axes: list[int], dims: int) -> tuple[Array, list[Array]]:
    """The shared values [D] (NaN elsewhere), and the draws of every stratum's regret.

    Other settings are tuned in each stratum either way. Both choices are the best on average
    over some of the draws; the rest say what the difference between them is.
    """
    levels = np.linspace(0, 1, _GRID)
    pairs = np.array(list(itertools.product(levels, repeat=len(axes))))
    rest = [a for a in range(dims) if a not in axes]
    others = qmc.Sobol(len(rest), seed=2).random(_OTHERS) if rest else np.zeros((1, 0))
    points = np.empty((len(pairs), len(others), dims))
    points[..., axes] = pairs[:, None, :]
    points[..., rest] = others[None]
    flat = points.reshape(-1, dims)
    means = [s.first(_CHOOSING).at(flat).mean(axis=0).reshape(points.shape[:2]) for s in surfaces]
    together = int(np.mean([m.max(axis=1) for m in means], axis=0).argmax())
    costs = []
    for surface, mean in zip(surfaces, means, strict=True):
        own = flat[int(mean.argmax())]
        common = points[together, int(mean[together].argmax())]
        drawn = surface.at(np.stack([own, common]))[_CHOOSING:]
        costs.append(drawn[:, 0] - drawn[:, 1])
    shared = np.full(dims, np.nan)
    shared[axes] = pairs[together]
    return shared, costs


def _trends(
    fitted: list[_Fitted],
    optima: list[Optimum],
    settings: list[Setting],
    targets: dict[Target, int],
    confidence: float,
) -> tuple[Trend, ...]:
    """Slopes over the logarithm of the size, within groups that differ in the size only."""
    groups = _groups(fitted, optima)
    sizes = {o.size for o in optima if o.size}
    if len(sizes) < 3 or not groups:
        return ()
    tail = (1 - confidence) / 2
    trends = []
    for target, axis in targets.items():
        values = np.stack([settings[axis].value(f.maxima[:, axis]) for f in fitted])
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


def _groups(fitted: list[_Fitted], optima: list[Optimum]) -> list[list[int]]:
    """Indices of strata that share every scientific value but the size."""
    found: dict[tuple[object, ...], list[int]] = {}
    for i, (f, o) in enumerate(zip(fitted, optima, strict=True)):
        rest = tuple(
            (n, v)
            for n, v in f.stratum.key.items()
            if n != "width" and not n.startswith("student.")
        )
        if o.size:
            found.setdefault(rest, []).append(i)
    return [g for g in found.values() if len({optima[i].size for i in g}) > 1]
