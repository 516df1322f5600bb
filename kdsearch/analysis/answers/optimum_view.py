"""How the report shows the best temperature and alpha: sentences, a table, a figure."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.answers.optimum import Optimum, OptimumInfo, Regret, Trend, optimum_in
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import search_caption
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.response.optimum_map import MAX_STRATA, MIN_TRIALS, Target
from kdsearch.analysis.response.region import IDENTIFIED
from kdsearch.analysis.searching.temperature_alpha import TEMPERATURE_ALPHA

_NAMES: dict[Target, str] = {"temperature": "temperature", "alpha": "alpha"}
_SHORT: dict[Target, str] = {"temperature": "T", "alpha": "alpha"}


def optimum_sentences(info: OptimumInfo) -> tuple[str, ...]:
    """Which pairs are good enough, what others cost, and whether that moves with size."""
    if info.missing:
        return ()
    trends = [_trend_sentence(trend, info) for trend in info.trends]
    sentences = (
        _region_sentence(info), _chance_sentence(info), _edge_sentence(info),
        _regret_sentence(info), *trends,
    )  # fmt: skip
    return tuple(filter(None, sentences))


def optimum_lead(info: OptimumInfo) -> str:
    """Whether one temperature and alpha serve all strata, and which; or that none stand out."""
    if info.missing:
        return ""
    known, level = _identified(info), wording.level(info.confidence)
    chance = f"a pair drawn at random from the range costs {_chance_words(info)} on average"
    if not known:
        shares = [100 * o.region.share for o in info.optima]
        span = f"{min(shares):.0f} to {max(shares):.0f}" if len(shares) > 1 else f"{shares[0]:.0f}"
        if all(o.region.cost_of_chance <= info.tolerance for o in info.optima):
            return (
                f"Temperature and alpha hardly matter: what may be best ({level}) spans {span} % "
                f"of the range, and {chance}."
            )
        return (
            f"Which temperature and alpha are best these trials do not tell: it may be anywhere "
            f"({level}) in {span} % of the range; {chance}."
        )
    if info.regret is None:
        only = known[0]
        costs = f"{_score(only.region.cost, info)}{_unit(info)}"
        return (
            f"{wording.capitalized(region_words(only, info))} holds the best ({level}) and costs "
            f"at most {costs}; {chance}."
        )
    pair = wording.listing([f"{_SHORT[t]} = {v:.2g}" for t, v in info.shared.items()])
    cost = f"{_amount(info.regret, info)} on average beside each one's own"
    if info.regret.high <= info.tolerance or info.regret.low <= 0:
        return f"One setting serves all: {pair} costs {cost}; {chance}."
    ends = " and ".join(f"{region_words(o, info)} at {o.label}" for o in _ends(known))
    return f"No one setting serves all: {pair} costs {cost}. Take {ends}; {chance}."


def _ends(known: list[Optimum]) -> list[Optimum]:
    """The first and the last, which may be one."""
    return known[:1] if len(known) == 1 else [known[0], known[-1]]


def _identified(info: OptimumInfo) -> list[Optimum]:
    """The strata whose region is small enough to tell something."""
    return [o for o in info.optima if o.region.share < IDENTIFIED]


def _region_sentence(info: OptimumInfo) -> str:
    """Where the best is, at up to three strata: the first, the middle one and the last."""
    known = _identified(info)
    level = wording.level(info.confidence)
    total = info.noun.numbered(len(info.optima))
    if not known:
        whole = max(info.optima, key=lambda o: o.region.share)
        return (
            f"No temperature and alpha stand out: what is as good as the best ({level}) spans "
            f"most of the range in each of {total}, {100 * whole.region.share:.0f} % at most."
        )
    named = {o.label: o for o in (known[0], known[len(known) // 2], known[-1])}
    places = [
        f"{f'at {label} ' if label else ''}{region_words(o, info)}, which costs at most "
        f"{_score(o.region.cost, info)}{_unit(info)}"
        for label, o in named.items()
    ]
    rest = "" if len(known) == 1 else f" ({len(known)} of {total} have such a region)"
    return (
        f"Temperature and alpha to take, each with {level} confidence that the best is among "
        f"them: {'; '.join(places)}{rest}."
    )


def region_words(o: Optimum, info: OptimumInfo) -> str:
    """The rectangle of a stratum's region, such as `T 2 to 9 with alpha up to 0.5`."""
    parts = []
    for target, (low, high) in o.box.items():
        values = info.axes[target]
        name, at_low, at_high = _SHORT[target], low <= values[0], high >= values[-1]
        a, b = _value(low, target), _value(high, target)
        if at_low and at_high:
            parts.append(f"any {name}")
        elif at_low:
            parts.append(f"{name} up to {b}")
        elif at_high:
            parts.append(f"{name} of {a} or more")
        else:
            parts.append(f"{name} {a} to {b}" if a != b else f"{name} {a}")
    return " with ".join(parts)


def choice_words(o: Optimum, info: OptimumInfo) -> str:
    """What else would do beside a stratum's chosen settings, and what a choice by chance costs."""
    if o.region.share < IDENTIFIED:
        return f"{region_words(o, info)} is as good"
    cost = f"{_score(o.region.cost_of_chance, info)}{_unit(info)}"
    if o.region.cost_of_chance > info.tolerance:
        return f"{region_words(o, info)} may be as good, these trials do not tell"
    return f"flat: {region_words(o, info)} will do, a pair at random costs {cost} on average"


def _chance_sentence(info: OptimumInfo) -> str:
    """What it costs not to choose."""
    return (
        f"A pair drawn at random from the range costs {_chance_words(info)} on average, the worst "
        f"{_score(max(o.region.cost_of_worst for o in info.optima), info)}."
    )


def _chance_words(info: OptimumInfo) -> str:
    """What a random pair costs, over the strata: `0.8 to 2.4 points`."""
    costs = [o.region.cost_of_chance for o in info.optima]
    low, high = _score(min(costs), info), _score(max(costs), info)
    return f"{low if low == high else f'{low} to {high}'}{_unit(info)}"


def _edge_sentence(info: OptimumInfo) -> str:
    """Ranges that end where the best is."""
    found: dict[tuple[str, str, float], list[str]] = {}
    for o in info.optima:
        for edge in o.edges:
            found.setdefault(edge, []).append(o.label)
    if not found:
        return ""
    clauses = []
    for (name, end, value), labels in found.items():
        side = "upper" if end == "high" else "lower"
        where = wording.listing(labels) if all(labels) and len(labels) <= 3 else ""
        if not where and len(info.optima) > 1:
            where = f"{len(labels)} of {info.noun.numbered(len(info.optima))}"
        clauses.append(
            f"the best {wording.words(name)} lies at the {side} end of its range "
            f"({wording.scalar(value)}){f' at {where}' if where else ''}"
        )
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}: what lies beyond is not known."


def _unit(info: OptimumInfo) -> str:
    return " points" if info.in_points else ""


def _trend_sentence(trend: Trend, info: OptimumInfo) -> str:
    name, level = _NAMES[trend.target], wording.level(info.confidence)
    ends = f"{_change(trend, trend.low)} to {_change(trend, trend.high)}"
    known = [o for o in info.optima if o.located[trend.target].identified]
    trials = sum(o.num_trials for o in info.optima)
    basis = f"{level} interval {ends}; {trend.num_sizes} sizes, {trials:,} trials"
    each = f"for each doubling of the {info.size_name}"
    amount = f"{_change(trend, trend.change)} {each} ({basis})"
    hinton = trend.target == "temperature"
    if trend.verdict == "grows":
        shape = ", the shape that Hinton et al. (2015) saw" if hinton else ""
        return f"The best {name} grows with the {info.size_name}: {amount}{shape}."
    if trend.verdict == "falls":
        shape = ", the reverse of what Hinton et al. (2015) saw" if hinton else ""
        return f"The best {name} falls with the {info.size_name}: {amount}{shape}."
    flat = f"; it is pinned down at {len(known)} of {info.noun.numbered(len(info.optima))}"
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
        f"One setting for all {info.noun.many} ({pair}) {verdict} {cost} of validation score on "
        f"average beside each one's own{most}; estimated from the search trials."
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
    """Safe regions by stratum, and what choices cost."""
    targets: list[Target] = list(info.shared)
    level = wording.level(info.confidence)
    header = (
        info.noun.head, "Trials", f"Holds the best ({level})", "Of the range", "Costs at most",
        "Star", "Random pair", "One pair for all",
    )  # fmt: skip
    rows = tuple(_row(o, targets, info) for o in info.optima)
    return Table(header, rows, caption=_caption(info), text_columns=1)


def _row(o: Optimum, targets: list[Target], info: OptimumInfo) -> tuple[str, ...]:
    pair = ", ".join(f"{_SHORT[t]} = {_value(o.serves[t], t)}" for t in targets)
    cost = wording.DASH if o.regret is None else _score(o.regret.value, info)
    if o.regret is not None:
        cost += f" ({_score(o.regret.low, info)} to {_score(o.regret.high, info)})"
    return (
        o.label or "all", str(o.num_trials), region_words(o, info),
        f"{100 * o.region.share:.0f} %", _score(o.region.cost, info), pair,
        _score(o.region.cost_of_chance, info), cost,
    )  # fmt: skip


def _value(value: float, target: Target) -> str:
    return f"{value:.1f}" if target == "temperature" else f"{value:.2f}"


def _caption(info: OptimumInfo) -> str:
    unit = "points" if info.in_points else "units of the score"
    text = (
        f"From one Gaussian process through {info.num_trials:,} search trials of both arms "
        "(validation, one seed each; hard labels are alpha 1; pruned trials count as far as their "
        "rung forecasts). Other settings are the best for each pair. The region on the map may "
        f"be larger than the rectangle named here. Costs are in {unit} of validation."
    )
    if info.left_out:
        all_of_them = info.noun.numbered(info.left_out + len(info.optima))
        text += (
            f" Left out: {info.left_out} of {all_of_them}, which have "
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
        ends = f"{_value(spot.low, target)} to {_value(spot.high, target)}"
        words = f"{o.label or 'all'}: {_SHORT[target]} {_value(spot.value, target)} ({ends})"
        mark_point(ax, at, spot.value, words)
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


class _BestSettings(Answer[OptimumInfo]):
    """Best temperature and alpha by stratum."""

    name = "optimum"
    asked = ("temperature_alpha",)
    keys = ("optimum",)
    finding_rank = 40
    document_rank = 20

    def compute(self, context: Context) -> OptimumInfo:
        return context.of(optimum_in)

    def lead(self, info: OptimumInfo, context: Context) -> str:
        return optimum_lead(info)

    def sentences(self, info: OptimumInfo, context: Context) -> tuple[str, ...]:
        """Where the best is, and ranges that end there; the rest is said below the figure."""
        if info.missing:
            return ()
        is_said = context.results.config.asks in self.asked and not _identified(info)
        return ("" if is_said else _region_sentence(info), _edge_sentence(info))

    def figures(self, info: OptimumInfo, context: Context) -> tuple[ReportFigure, ...]:
        if info.missing:
            title = "Best temperature and alpha"
            missing = ReportFigure("optimum", title, "", None, info.missing)
            asked = not context.of(TEMPERATURE_ALPHA.compute).missing
            several = len(context.results.config.objective) > 1
            return (missing,) if asked and not several else ()
        targets = list(info.shared)
        stacked = len(info.optima) > 8  # the labels of many strata need the whole width
        rows, columns = (len(targets), 1) if stacked else (1, len(targets))
        figure = style.new_figure(8.2, 3.4 * rows + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
        for target, ax in zip(targets, axes, strict=True):
            draw_optimum(info, target, ax)
        style.add_caption(figure, search_caption(context, "distilled"))
        explanation = (
            "Where the surface through all search trials puts the best value of each "
            f"{info.noun.one}, with its {context.level} interval; hollow and grey where the "
            "interval spans most of the range, so nothing is known. Dashed: the best for all. "
            f"{' '.join(optimum_sentences(info))}"
        )
        title = f"Best {wording.listing(targets)}"
        return (ReportFigure("optimum", title, explanation, figure, "", optimum_table(info)),)

    def document(self, info: OptimumInfo, context: Context) -> dict[str, Any]:
        return {} if info.missing else {"optimum": _document(info)}


def _document(info: OptimumInfo) -> dict[str, Any]:
    return {
        "strata": [_stratum_document(o, info) for o in info.optima],
        "map_axes": {target: values.tolist() for target, values in info.axes.items()},
        "trends": {
            t.target: {
                "per_doubling": t.change, "low": t.low, "high": t.high,
                "num_sizes": t.num_sizes, "verdict": t.verdict,
            }
            for t in info.trends
        },
        "one_setting": info.shared,
        "regret_of_one_setting": info.regret and info.regret._asdict(),
    }  # fmt: skip


def _stratum_document(o: Optimum, info: OptimumInfo) -> dict[str, Any]:
    return {
        "label": o.label,
        "size": o.size,
        "trials": o.num_trials,
        **{target: at._asdict() for target, at in o.located.items()},
        "region": {
            "holds_the_best_with_confidence": info.confidence,
            "share_of_range": o.region.share,
            "rectangle": {t: list(ends) for t, ends in o.box.items()},
            "costs_at_most": o.region.cost,
            "is_within_tolerance": o.region.is_safe,
            "mask": o.region.mask.squeeze().tolist(),
        },
        "best": o.best,
        "serves_neighbours": o.serves,
        "cost_of_random_pair": o.region.cost_of_chance,
        "cost_of_worst_pair": o.region.cost_of_worst,
        "at_edge_of_range": [e._asdict() for e in o.edges],
        "regret": o.regret and o.regret._asdict(),
    }


OPTIMUM = _BestSettings()
