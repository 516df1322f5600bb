"""How the report shows the best temperature and alpha: sentences, a table, a figure."""

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import style, wording
from kdsearch.analysis.data_table import Table
from kdsearch.analysis.optimum import (
    MAX_STRATA,
    MIN_TRIALS,
    Located,
    Optimum,
    OptimumInfo,
    Regret,
    Target,
    Trend,
)

_NAMES: dict[Target, str] = {"temperature": "temperature", "alpha": "alpha"}
_SHORT: dict[Target, str] = {"temperature": "T", "alpha": "alpha"}


def optimum_sentences(info: OptimumInfo) -> tuple[str, ...]:
    """Whether the optima move with size, and what one pair for all costs; may be empty."""
    if info.missing:
        return ()
    trends = [_trend_sentence(trend, info) for trend in info.trends]
    return tuple(filter(None, [*trends, _regret_sentence(info)]))


def _trend_sentence(trend: Trend, info: OptimumInfo) -> str:
    name, level = _NAMES[trend.target], wording.level(info.confidence)
    ends = f"{_change(trend, trend.low)} to {_change(trend, trend.high)}"
    known = [o for o in info.optima if o.located[trend.target].identified]
    trials = sum(o.num_trials for o in info.optima)
    basis = f"{level} interval {ends}; {trend.num_sizes} sizes, {trials:,} complete trials"
    each = f"for each doubling of the {info.size_name}"
    amount = f"{_change(trend, trend.change)} {each} ({basis})"
    hinton = trend.target == "temperature"
    if trend.verdict == "grows":
        shape = ", the shape that Hinton et al. (2015) saw" if hinton else ""
        return f"The best {name} grows with the {info.size_name}: {amount}{shape}."
    if trend.verdict == "falls":
        shape = ", the reverse of what Hinton et al. (2015) saw" if hinton else ""
        return f"The best {name} falls with the {info.size_name}: {amount}{shape}."
    flat = f"; it is pinned down at {len(known)} of {wording.plural(len(info.optima), 'stratum')}"
    flat = flat.replace("stratums", "strata")
    shape = "That small students want a lower temperature is not seen here"
    lead = shape if hinton else f"That the best {name} moves with size is not seen here"
    return f"{lead}: the best {name} changes by {amount}{flat}."


def _change(trend: Trend, value: float) -> str:
    if trend.target == "temperature":
        return f"×{value:.2f}"
    return f"{value:+.2f}".replace("-", "−")


def _regret_sentence(info: OptimumInfo) -> str:
    if info.regret is None or not info.shared:
        return ""
    pair = wording.listing([f"{_SHORT[t]} = {v:.2g}" for t, v in info.shared.items()])
    cost = _amount(info.regret, info)
    worst = max(info.optima, key=lambda o: o.regret.value if o.regret else -np.inf)
    most = f", most at {worst.label} ({_amount(worst.regret, info)})" if worst.regret else ""
    verdict = "costs" if info.regret.low > 0 else "is not shown to cost anything: it costs"
    return (
        f"One setting for all strata ({pair}) {verdict} {cost} of validation score on average "
        f"beside each stratum's own{most}; estimated from the search trials."
    )


def _amount(regret: Regret, info: OptimumInfo) -> str:
    low, high = _score(regret.low, info), _score(regret.high, info)
    unit = " points" if info.in_points else ""
    level = wording.level(info.confidence)
    return f"{_score(regret.value, info)}{unit} ({level} interval {low} to {high})"


def _score(value: float, info: OptimumInfo) -> str:
    text = f"{100 * value + 0.0:.1f}" if info.in_points else f"{value + 0.0:.2g}"
    return text.replace("-0.0", "0.0").replace("-", "−")


def optimum_table(info: OptimumInfo) -> Table:
    """Best values by stratum with their intervals."""
    targets: list[Target] = list(info.shared)
    level = wording.level(info.confidence)
    header: tuple[str, ...] = ("Stratum", "Complete trials")
    for target in targets:
        header += (f"Best {_NAMES[target]}", f"{level} interval")
    unit = "points" if info.in_points else "score"
    header += ("What the trials tell", f"Cost of the one setting ({unit})", f"{level} interval")
    rows = tuple(_row(o, targets, info) for o in info.optima)
    return Table(header, rows, caption=_caption(info))


def _row(o: Optimum, targets: list[Target], info: OptimumInfo) -> tuple[str, ...]:
    cells: tuple[str, ...] = (o.label or "all", str(o.num_trials))
    for target in targets:
        at = o.located[target]
        cells += (_value(at.value, target), f"{_value(at.low, target)} to "
                  f"{_value(at.high, target)}")  # fmt: skip
    cells += (_told(o.located, targets),)
    if o.regret is None:
        return (*cells, wording.DASH, wording.DASH)
    if o.regret.low == o.regret.high:
        return (*cells, "0.0", "the same setting")
    ends = f"{_score(o.regret.low, info)} to {_score(o.regret.high, info)}"
    return (*cells, _score(o.regret.value, info), ends)


def _value(value: float, target: Target) -> str:
    return f"{value:.1f}" if target == "temperature" else f"{value:.2f}"


def _told(located: dict[Target, Located], targets: list[Target]) -> str:
    known = [_NAMES[t] for t in targets if located[t].identified]
    if len(known) == len(targets):
        return "a clear best"
    return f"{known[0]} only" if known else "flat: no clear best"


def _caption(info: OptimumInfo) -> str:
    words = [wording.words(name) for name in info.settings]
    text = (
        "Where a Gaussian process through the complete distilled search trials "
        f"({wording.listing(words)}) is highest: median and interval of its draws. "
        "Validation, one seed for each trial."
    )
    if info.unknown:
        unknown = wording.listing([wording.words(name) for name in info.unknown])
        text += f" The effect of {unknown} counts as noise."
    if info.left_out:
        text += (
            f" Left out: {info.left_out} of {info.left_out + len(info.optima)} strata, which have "
            f"fewer than {MIN_TRIALS} complete trials or are beyond the {MAX_STRATA} looked at."
        )
    return text


def draw_optimum(info: OptimumInfo, target: Target, ax: Axes) -> None:
    """Best value by stratum with its interval; hollow where the trials do not tell."""
    sized = all(o.size for o in info.optima) and len({o.size for o in info.optima}) == len(
        info.optima
    )
    x = [o.size or 0.0 for o in info.optima] if sized else list(range(len(info.optima)))
    for at, o in zip(x, info.optima, strict=True):
        spot = o.located[target]
        reach = [[spot.value - spot.low], [spot.high - spot.value]]
        bar = style.error_bar(style.DISTILLED if spot.identified else style.MUTED)
        if not spot.identified:
            bar |= {"markerfacecolor": "white", "markeredgecolor": style.MUTED, "alpha": 0.75}
        ax.errorbar(at, spot.value, yerr=reach, **bar, zorder=3)
    if target in info.shared:
        ax.axhline(info.shared[target], color=style.WARN, lw=1.2, ls="--", zorder=1)
    if sized:
        ax.set_xscale("log")
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.minorticks_off()
        ax.set_xlabel(wording.capitalized(info.size_name))
    else:
        style.category_ticks(ax, [o.label or "all" for o in info.optima])
    if target == "temperature":
        ax.set_yscale("log")
        style.value_axis(ax.yaxis, log=True)
        ax.set_ylabel("Best temperature")
    else:
        ax.set_ylim(-0.03, 1.03)
        ax.set_ylabel("Best alpha (weight of the hard loss)")
