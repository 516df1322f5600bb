"""Less data: the headline metric by share of the data, and what share one can do without.

Where the share of the training data is a scientific parameter, the question is how little of it a
distilled student needs to match the same student on hard labels with the most data tested. The
answer is read off the distilled curve, made monotone and interpolated over log(share); its
interval comes from a parametric bootstrap of the means with the pooled replicate variance,
because resampling three or five replicates gives intervals that are too narrow.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import confirmed_caption
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.panels import WIDEST, new_panels, panel_rows
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.results.pairing import replicate_scores

Array = NDArray[np.float64]
NAME = "data.train_fraction"
_DRAWS = 4000
MAX_PANELS = 6


class Share(NamedTuple):
    """One share of the training data."""

    fraction: float
    distilled: Estimate | None
    baseline: Estimate | None
    scores: dict[str, tuple[float, ...]]
    """Of the replicates, by arm."""


class Need(NamedTuple):
    """The share at which the distilled student matches the baseline with the most data."""

    fraction: float | None
    """None where the mean curve does not get there."""
    low: float | None
    """None where the interval goes on below the smallest share tested."""
    high: float | None
    """None where it goes on above the largest."""
    reached: float
    """Share of the bootstrap draws that get there."""


class ShareCurve(NamedTuple):
    """Students that differ in their data only."""

    label: str
    """The other scientific values; empty if there are none."""
    shares: tuple[Share, ...]
    """By rising share."""
    target: Estimate | None
    """The baseline with the most data."""
    need: Need | None


class DataShareInfo(NamedTuple):
    """Every curve of the study."""

    curves: tuple[ShareCurve, ...]
    confidence: float
    missing: str
    headline: Headline = ACCURACY
    """What the scores are of."""


def compute_data_share(info: StrataInfo) -> DataShareInfo | None:
    """Values by share of the data; None for a study that does not ask about it."""
    if NAME not in info.scientific:
        return None
    groups: dict[str, list[Stratum]] = {}
    for stratum in info.strata:
        rest = {n: v for n, v in stratum.key.items() if n != NAME}
        groups.setdefault(wording.stratum_label(rest), []).append(stratum)
    curves = tuple(_curve(label, strata, info) for label, strata in groups.items())
    shown = any(s.distilled or s.baseline for c in curves for s in c.shares)
    missing = "" if shown else "Nothing is confirmed yet."
    return DataShareInfo(curves, info.confidence, missing, info.headline)


def _curve(label: str, strata: list[Stratum], info: StrataInfo) -> ShareCurve:
    made = [_share(s, info.headline) for s in strata]
    shares = sorted((s for s in made if s.distilled or s.baseline), key=lambda s: s.fraction)
    target = shares[-1].baseline if shares else None
    return ShareCurve(label, tuple(shares), target, _need(shares, info.confidence))


def _share(stratum: Stratum, headline: Headline) -> Share:
    arms = {"distilled": stratum.distilled, "baseline": stratum.baseline}
    return Share(
        fraction=float(stratum.key[NAME]),
        distilled=_estimate(stratum.distilled),
        baseline=_estimate(stratum.baseline),
        scores={arm: _scores(choice, headline) for arm, choice in arms.items()},
    )


def _estimate(choice: Choice | None) -> Estimate | None:
    return choice.test_score if choice else None


def _scores(choice: Choice | None, headline: Headline) -> tuple[float, ...]:
    if choice is None:
        return ()
    return tuple(replicate_scores(choice.replicates, headline.metric).values())


def _need(shares: list[Share], confidence: float) -> Need | None:
    """None without a baseline at the largest share, replicates, or two distilled shares."""
    distilled = [s for s in shares if s.distilled is not None]
    if len(distilled) < 2 or shares[-1].baseline is None:
        return None
    rows = [np.array(s.scores["distilled"]) for s in distilled]
    rows.append(np.array(shares[-1].scores["baseline"]))
    dof = sum(row.size - 1 for row in rows)
    if dof < 1:
        return None
    variance = sum(float(((row - row.mean()) ** 2).sum()) for row in rows) / dof
    means = np.array([row.mean() for row in rows])
    errors = np.sqrt(variance / np.array([row.size for row in rows]))
    logs = np.log([s.fraction for s in distilled])
    rng = np.random.default_rng(0)
    scale = np.sqrt(
        dof / rng.chisquare(dof, (_DRAWS, 1))
    )  # Student's t: the variance is estimated
    drawn = means + errors * scale * rng.standard_normal((_DRAWS, means.size))
    curves = _rising(np.concatenate([means[None, :-1], drawn[:, :-1]]))
    crossed = np.array([
        _crossing(logs, curve, goal)
        for curve, goal in zip(curves, [means[-1], *drawn[:, -1]], strict=True)
    ])  # fmt: skip
    middle, needs = float(crossed[0]), crossed[1:]
    tail = (1 - confidence) / 2
    low, high = (float(np.quantile(needs, q, method="nearest")) for q in (tail, 1 - tail))
    return Need(
        fraction=float(np.exp(middle)) if np.isfinite(middle) else None,
        low=float(np.exp(low)) if low > logs[0] and np.isfinite(low) else None,
        high=float(np.exp(high)) if np.isfinite(high) else None,
        reached=float(np.isfinite(needs).mean()),
    )


def _rising(means: Array) -> Array:
    """Isotonic regression of each row, [B, S]: the largest over starts, smallest over ends."""
    rows, sizes = means.shape
    sums = np.concatenate([np.zeros((rows, 1)), np.cumsum(means, axis=1)], axis=1)
    result = np.empty_like(means)
    for i in range(sizes):
        starts, ends = np.arange(i + 1), np.arange(i + 1, sizes + 1)
        spans = sums[:, None, ends] - sums[:, starts, None]
        averages = spans / (ends[None] - starts[:, None])
        result[:, i] = averages.min(axis=2).max(axis=1)
    return result


def _crossing(logs: Array, rising: Array, target: float) -> float:
    """Log share where the curve reaches `target`; its first if it starts there, inf if never."""
    if rising[-1] < target:
        return np.inf
    at = int(np.argmax(rising >= target))
    if at == 0:
        return float(logs[0])
    step = (target - rising[at - 1]) / (rising[at] - rising[at - 1])
    return float(logs[at - 1] + step * (logs[at] - logs[at - 1]))


def data_share_sentence(info: DataShareInfo | None) -> str:
    """How much less data distilled students need, or that they do not; may be empty."""
    if info is None or info.missing:
        return ""
    clauses = [text for curve in info.curves if (text := _clause(curve, info))]
    if not clauses:
        return ""
    most = info.curves[0].shares[-1].fraction
    data = "all training data" if most >= 1 else f"{wording.percent(most, 0)} of the training data"
    return f"To match the hard-labels student with {data}, {'; '.join(clauses)}."


def _clause(curve: ShareCurve, info: DataShareInfo) -> str:
    need = curve.need
    if need is None:
        return ""
    who = f"the distilled student{f' at {curve.label}' if curve.label else ''}"
    most, level = curve.shares[-1].fraction, wording.level(info.confidence)
    n = curve.target.n if curve.target else 0
    smallest = min(s.fraction for s in curve.shares if s.distilled)
    if need.fraction is None:
        open_end = "" if need.low is None else f"; from {_share_words(need.low)} on it might"
        return f"{who} does not suffice with any share tested (n = {n}{open_end})"
    low = _share_words(need.low) if need.low else f"below {_share_words(smallest)}"
    if need.high is None:
        high = f"more than {_share_words(most)}"
        return (
            f"{who} needs {_share_words(need.fraction)} on average, but that it needs no less "
            f"data is not excluded ({level} interval {low} to {high}, n = {n})"
        )
    if need.fraction < 1.001 * smallest:
        return (
            f"{who} needs at most {_share_words(smallest)}, the least tested (upper end of the "
            f"{level} interval {_share_words(need.high)}, n = {n})"
        )
    return (
        f"{who} needs {_share_words(need.fraction)} of the data ({level} interval {low} to "
        f"{_share_words(need.high)}, n = {n})"
    )


def _share_words(fraction: float) -> str:
    return f"{100 * fraction:.2g} %" if fraction < 0.995 else f"{100 * fraction:.0f} %"


def data_share_table(info: DataShareInfo) -> Table:
    """Both arms by share of the data."""
    level = wording.level(info.confidence)
    several = any(c.label for c in info.curves)
    header: tuple[str, ...] = (
        "Share of the data", f"Distilled{info.headline.in_unit}", f"{level} interval", "n",
        f"Hard labels{info.headline.in_unit}", f"{level} interval", "n",
    )  # fmt: skip
    rows = []
    for curve in info.curves:
        for s in curve.shares:
            arms = (_cells(e, info.headline) for e in (s.distilled, s.baseline))
            cells = (_share_words(s.fraction), *itertools.chain(*arms))
            rows.append((curve.label, *cells) if several else cells)
    if several:
        header = ("Student", *header)
    return Table(header, tuple(rows), text_columns=1)


def _cells(e: Estimate | None, headline: Headline) -> tuple[str, str, str]:
    if e is None:
        return wording.DASH, wording.DASH, "0"
    return headline.bare_estimate(e, 2), headline.interval(e, 2), str(e.n)


def draw_data_share(curve: ShareCurve, headline: Headline, ax: Axes) -> None:
    """Values against the share (log), both arms, and the share that matches the baseline."""
    for arm, marker in (("distilled", "o"), ("baseline", "s")):
        shown = [
            (s.fraction, headline.own_estimate(e))
            for s in curve.shares
            if (e := getattr(s, arm)) is not None
        ]
        if not shown:
            continue
        color, means = style.ARM_COLORS[arm], [e.mean for _, e in shown]
        reach = np.array([style.reach(e) for _, e in shown]).T
        x = [fraction for fraction, _ in shown]
        ax.errorbar(x, means, yerr=reach, label=style.ARM_NAMES[arm],
                    **style.error_bar(color, marker), zorder=4)  # fmt: skip
        ax.plot(x, means, color=color, lw=1.0, alpha=0.5)
        for fraction, e in shown:
            value = wording.estimate(e, unit=headline.unit)
            who = f"{style.ARM_NAMES[arm]}, {_share_words(fraction)} of the data"
            mark_point(ax, fraction, e.mean, f"{who}: {value}, n = {e.n}")
    if curve.target is not None:
        ax.axhline(headline.own(curve.target.mean), color=style.BASELINE, lw=1.0, ls=":", zorder=1)
    need, fractions = curve.need, [s.fraction for s in curve.shares]
    if need is not None and need.fraction is not None:
        low, high = need.low or min(fractions), need.high or max(fractions)
        ax.axvspan(low, high, color=style.DISTILLED, alpha=0.10, lw=0, zorder=0)
        ax.axvline(need.fraction, color=style.DISTILLED, lw=1.2, ls="--", zorder=1,
                   label=f"matches at {_share_words(need.fraction)}")  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks(fractions, [_share_words(f) for f in fractions])
    ax.minorticks_off()
    ax.set_title(curve.label)
    style.score_axis(ax.yaxis, headline)
    ax.legend(loc="upper left", fontsize=8)


class _DataShare(Answer[DataShareInfo]):
    """The headline metric by share of the training data."""

    name = "data_share"
    asked = ("data_share",)
    keys = ("data_share",)
    finding_rank = 60
    document_rank = 30

    def compute(self, context: Context) -> DataShareInfo | None:
        return compute_data_share(context.strata)

    def lead(self, info: DataShareInfo, context: Context) -> str:
        return data_share_sentence(info)

    def sentences(self, info: DataShareInfo, context: Context) -> tuple[str, ...]:
        return (data_share_sentence(info),)

    def figures(self, info: DataShareInfo, context: Context) -> tuple[ReportFigure, ...]:
        if info.missing:
            return ()
        curves = [c for c in info.curves if c.shares][:MAX_PANELS]
        figure = style.new_figure(8.2, 0.8 + 3.2 * panel_rows(len(curves)))
        axes = new_panels(figure, len(curves))
        for curve, ax in zip(curves, axes, strict=True):
            draw_data_share(curve, info.headline, ax)
        for ax in axes[-WIDEST:]:
            ax.set_xlabel("Share of the training data (log)", fontsize=9)
        style.add_caption(figure, confirmed_caption(context))
        axes[0].set_ylabel(info.headline.label("test"))
        left_out = len(info.curves) - len(curves)
        more = f" {left_out} further curves are in the table." if left_out else ""
        explanation = (
            f"Both arms by share of the training data; bars are {context.level} intervals over "
            "replicates. Dotted: hard labels with the most data; dashed with its interval: where "
            "the distilled student matches it. The teachers saw all of the data."
            f"{more} {data_share_sentence(info)}"
        )
        table = data_share_table(info)
        return (ReportFigure("data_share", "Less data", explanation, figure, "", table),)

    def document(self, info: DataShareInfo, context: Context) -> dict[str, Any]:
        return (
            {}
            if info.missing
            else {"data_share": [_curve_document(c, info.headline) for c in info.curves]}
        )


def _curve_document(curve: ShareCurve, headline: Headline) -> dict[str, Any]:
    shares = [
        {
            "fraction": s.fraction,
            "distilled": headline.document(s.distilled),
            "baseline": headline.document(s.baseline),
        }
        for s in curve.shares
    ]
    need = curve.need and curve.need._asdict()
    return {"label": curve.label, "shares": shares, "share_that_matches_baseline": need}


DATA_SHARE = _DataShare()
