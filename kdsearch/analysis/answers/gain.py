"""Does distillation help? The paired difference to the same student on hard labels only."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.comparison import Verdict, compare, joint_verdicts
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import estimates_caption
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.estimate import (
    Estimate,
    ExampleInterval,
    bootstrap_examples,
)
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.luck import luck_words
from kdsearch.analysis.stratum import StrataInfo, Stratum
from kdsearch.analysis.wording import STRATUM, Noun
from kdsearch.results.pairing import are_alike, paired_differences

NO_BASELINE = "No baseline replicates to compare with."
NOT_ASKED = "The study asks for no baseline (confirm.baseline is false)."


class Gain(NamedTuple):
    """Distilled minus baseline test score at one stratum: above 0 is better."""

    label: str
    num_params: int | None
    differences: tuple[float, ...]
    """One for each replicate that both arms have; none where the arms chose other students."""
    estimate: Estimate | None
    """Its error is of the replicates, shrunk over strata, and of the luck of both searches."""
    examples: ExampleInterval | None
    """What another test set would change; None without per-example correctness, and for another
    metric than accuracy."""
    verdict: Verdict
    unpaired: bool
    """Whether the arms chose different students: best against best, with nothing to pair."""


class GainInfo(NamedTuple):
    """Gains of the strata, in their order."""

    gains: tuple[Gain, ...]
    missing: str
    """Why there is nothing to show; empty if there is."""
    tolerance: float
    """A difference inside it is called none."""
    confidence: float
    """Of each interval alone, and of all verdicts together."""
    headline: Headline = ACCURACY
    """What the scores are of."""
    chosen_by: str = ""
    """What both arms' settings were chosen by, where that is something else."""
    noun: Noun = STRATUM
    """What a stratum is in this study."""

    @property
    def all_paired(self) -> bool:
        """Whether the arms chose the same student wherever they can be compared."""
        return not any(g.unpaired for g in self.gains)

    def at(self, stratum: Stratum) -> Gain | None:
        """The gain of a stratum."""
        return next((g for g in self.gains if g.label == stratum.label), None)


def compute_gain(info: StrataInfo) -> GainInfo:
    """Gain of every stratum that both arms have confirmed."""
    shown = [s for s in info.strata if s.distilled is not None or s.baseline is None]
    flags = {s.label: s.difference_by_example for s in shown if info.headline.is_accuracy}
    scores = {label: score for label, score in flags.items() if score is not None}
    sizes = {s.size for s in scores.values()}
    examples = bootstrap_examples(scores, confidence=info.confidence) if len(sizes) == 1 else {}
    estimates = _estimates(shown, info)
    verdicts = joint_verdicts(
        estimates,
        tolerance=info.tolerance,
        confidence=info.confidence,
        includes_hard_labels=info.includes_hard_labels,
    )
    gains = tuple(
        Gain(
            label=s.label,
            num_params=s.num_params,
            differences=_differences(s, info.headline),
            estimate=estimate,
            examples=examples.get(s.label),
            verdict=verdict,
            unpaired=_chose_others(s),
        )
        for s, (estimate, _), verdict in zip(shown, estimates, verdicts, strict=True)
    )
    missing = "" if any(g.estimate for g in gains) else _nothing_to_compare(info)
    return GainInfo(
        gains, missing, info.tolerance, info.confidence, info.headline, info.chosen_by, info.noun
    )


def _nothing_to_compare(info: StrataInfo) -> str:
    if not any(s.baseline and s.baseline.test_score for s in info.strata):
        return NO_BASELINE if info.baseline_asked else NOT_ASKED
    if not info.confirmed:
        return "No distilled student is confirmed to compare the hard-labels students with."
    return (
        "No distilled student has the size of a confirmed hard-labels one, so there is nothing "
        "to compare at equal size."
    )


def _estimates(strata: Sequence[Stratum], info: StrataInfo) -> list[tuple[Estimate | None, float]]:
    """The gain of each stratum, and the degrees of freedom of its error."""
    arms = [(s.distilled, s.baseline) if s.distilled and s.baseline else None for s in strata]
    lucks = (info.distilled_luck, info.baseline_luck)
    found: list[tuple[Estimate | None, float]] = []
    for own in compare(arms, [s.num_params for s in strata], info.headline.metric):
        if own is None:
            found.append((None, math.nan))
        elif own.n < 2:
            found.append((Estimate(own.mean, own.n, None, None, None), math.nan))
        else:
            found.append(own.estimate(lucks, info.confidence))
    return found


def _differences(stratum: Stratum, headline: Headline) -> tuple[float, ...]:
    mine, its = stratum.distilled, stratum.baseline
    if mine is None or its is None:
        return ()
    return tuple(paired_differences(mine.replicates, its.replicates, headline.metric))


def _chose_others(stratum: Stratum) -> bool:
    """Whether the arms' students differ in architecture, so that a seed gives other weights."""
    a, b = stratum.distilled, stratum.baseline
    return a is not None and b is not None and not are_alike(a.trial, b.trial)


def gain_sentence(info: GainInfo) -> str:
    """Where distillation helps, does nothing or hurts, in one sentence."""
    if info.missing == NOT_ASKED:
        return "Whether distillation helps was not asked: confirm.baseline is false."
    if info.missing:
        why = "the baseline arm has not been confirmed."
        if info.missing != NO_BASELINE:
            why = f"{info.missing[0].lower()}{info.missing[1:]}"
        return f"Whether distillation helps is not known: {why}"
    where = {verdict: [g for g in info.gains if g.verdict == verdict] for verdict in _PHRASES}
    if not any(where.values()):
        return (
            "Whether distillation helps cannot be said from one replicate: it has no standard "
            "error; set confirm.replicates to 3 or more."
        )
    if not any(where[v] for v in ("helps", "hurts", "fell short", "unclear")):
        return (
            "Distillation does not help: it makes no difference of "
            f"{_tolerance(info)} anywhere"
            f"{_basis_words(info)}{_unpaired_words(info)}{_chosen_words(info)}."
        )
    phrases = _PHRASES | (_ELSEWHERE if info.chosen_by else {})
    clauses = [phrases[v] + _places(gains, info) for v, gains in where.items() if gains]
    lead = "Distillation " if where["helps"] else "Distillation is not shown to help: it "
    words = f"{wording.listing(clauses)}{_basis_words(info)}{_unpaired_words(info)}"
    return f"{lead}{words}{_chosen_words(info)}."


def _tolerance(info: GainInfo) -> str:
    return f"{info.headline.unit.factor * info.tolerance:g}{info.headline.points}"


def _basis_words(info: GainInfo) -> str:
    """On how many replicates the verdicts stand."""
    n = wording.span([g.estimate.n for g in info.gains if g.estimate is not None])
    several = sum(g.estimate is not None for g in info.gains) > 1
    together = "all at once " if several else ""
    return f", {together}with {wording.level(info.confidence)} confidence, n = {n} replicates"


def _unpaired_words(info: GainInfo) -> str:
    shown = [g for g in info.gains if g.estimate is not None]
    labels = [g.label for g in shown if g.unpaired]
    if not labels:
        return ""
    where = "" if len(labels) == len(shown) else f"at {wording.listing(labels)} "
    return (
        f"; {where}the arms chose different students, so this compares the best distilled with "
        "the best hard-labels student and is not paired"
    )


def _chosen_words(info: GainInfo) -> str:
    """That the search looked at something else than what is compared here."""
    if not info.chosen_by:
        return ""
    return f"; the settings of both arms were chosen by {info.chosen_by}"


def pairing_words(info: GainInfo) -> str:
    """How the two arms are compared, for a figure's explanation."""
    shown = [g for g in info.gains if g.estimate is not None]
    paired = "paired by replicate (same seed, so the same initial weights; faint dots)"
    labels = [g.label for g in shown if g.unpaired]
    if not labels:
        return paired
    best = "best student against best student, unpaired, because the arms chose different students"
    if len(labels) == len(shown):
        return best
    return f"{paired}; at {wording.listing(labels)} {best}"


_PHRASES: dict[Verdict, str] = {
    "helps": "helps ",
    "no difference": "makes no difference ",
    "unclear": "has no effect that these replicates can tell from zero ",
    "hurts": "hurts ",
    "fell short": "was not found to help, although alpha 1, hard labels, was among its settings, ",
}
_ELSEWHERE: dict[Verdict, str] = {"fell short": "falls short of hard labels "}
"""Where the search looked at another metric, so that it could not have found this one's best."""


def _places(gains: list[Gain], info: GainInfo) -> str:
    """Where a verdict holds, with the gains: each stratum by name, or many of them as ranges."""
    everywhere, headline = info.gains, info.headline
    if len(gains) == 1 and not gains[0].label:
        return f"({headline.shift_words(gains[0].estimate)})"
    if len(gains) <= 2:
        return "at " + wording.listing(
            [f"{g.label} ({headline.shift_words(g.estimate)})" for g in gains]
        )
    known = sorted((g.estimate for g in gains if g.estimate is not None), key=lambda e: e.mean)
    span = f"({headline.shift(known[0])} to {headline.shift_words(known[-1])})"
    heads = {g.label.rpartition(" ")[0] for g in everywhere}
    if len(heads) > 1:
        return f"in {len(gains)} of {info.noun.numbered(len(everywhere))} {span}"
    return f"at {heads.pop()} {_runs([g in gains for g in everywhere], everywhere)} {span}"


def _runs(held: list[bool], everywhere: tuple[Gain, ...]) -> str:
    """Values of the axis where the verdict holds, neighbours joined: `8 to 64 and 256`."""
    values = [g.label.rpartition(" ")[2] for g in everywhere]
    runs: list[list[str]] = []
    for index, (value, holds) in enumerate(zip(values, held, strict=True)):
        if holds and index and held[index - 1]:
            runs[-1].append(value)
        elif holds:
            runs.append([value])
    items = [[f"{r[0]} to {r[-1]}"] if len(r) > 2 else r for r in runs]
    return wording.listing([item for run in items for item in run])


def draw_gain(info: GainInfo, ax: Axes) -> None:
    """Gain for each stratum, with its interval and the replicates themselves."""
    shown = [g for g in info.gains if g.estimate is not None]
    headline, factor = info.headline, info.headline.unit.factor
    ax.axhspan(
        -factor * info.tolerance, factor * info.tolerance, color=style.GRID, alpha=0.6, lw=0
    )
    ax.axhline(0, color=style.INK, lw=1)
    sign = headline.own(1.0)
    for x, g in enumerate(shown):
        assert g.estimate is not None
        color = {"helps": style.DISTILLED, "hurts": style.WARN, "fell short": style.WARN}.get(
            g.verdict, style.MUTED
        )
        spread = np.linspace(-0.16, 0.16, len(g.differences)) if g.differences else []
        ax.scatter(
            x + np.asarray(spread), sign * factor * np.array(g.differences), s=14,
            color=color, alpha=0.35, linewidths=0, zorder=3,
        )  # fmt: skip
        mean, reach = sign * factor * g.estimate.mean, 0.0
        if g.estimate.high is not None:
            reach = factor * g.estimate.high - factor * g.estimate.mean
        ax.errorbar(x, mean, yerr=reach or None, **style.error_bar(color), zorder=4)
        words = f"{headline.shift_words(g.estimate)} {headline.shift_interval(g.estimate)}"
        who = g.label or "best settings"
        mark_point(ax, x, mean, f"{who}: {words}, n = {g.estimate.n}, {g.verdict}")
    style.category_ticks(ax, [g.label or "best settings" for g in shown])
    ax.set_ylabel(_difference_label(headline))
    ax.margins(y=0.15)
    ax.grid(axis="x", visible=False)


def _difference_label(headline: Headline) -> str:
    """Of the axis: a gain where more is better, else a difference whose better side is said."""
    if headline.is_minimised:
        unit = f"{headline.points.strip()}, " if headline.points else ""
        return f"Distilled minus hard labels ({unit}below 0 is better)"
    return f"Gain over hard labels{headline.in_points}"


def gain_table(info: GainInfo) -> Table | None:
    """The difference of the arms at every stratum that both have confirmed; None without any."""
    shown = [(g, g.estimate) for g in info.gains if g.estimate is not None]
    headline = info.headline
    if not shown:
        return None
    rows = tuple(
        (
            g.label or "best settings",
            headline.shift(e, 2),
            headline.error(e, 2),
            str(e.n),
            headline.shift_interval(e, 2),
            *_sampling_cells(g, headline),
            g.verdict,
        )
        for g, e in shown
    )
    level = wording.level(info.confidence)
    gain = "Distilled minus hard labels" if headline.is_minimised else "Gain"
    sampling = (f"{level} interval, other test sets",) if headline.is_accuracy else ()
    header = (
        info.noun.head, f"{gain}{headline.in_points}", "SE", "n", f"{level} interval",
        *sampling, "Verdict",
    )  # fmt: skip
    mean = "Mean paired difference." if info.all_paired else "Mean difference."
    other = "; “other test sets” is a bootstrap over test examples."
    if not headline.is_accuracy:
        other = ", on this one test set: other test sets are tried for accuracy only."
    caption = f"{mean} The interval is over replicates and the luck of the search{other}"
    return Table(header, rows, caption=caption)


def _sampling_cells(gain: Gain, headline: Headline) -> tuple[str, ...]:
    """What other test sets would change: of an accuracy."""
    if not headline.is_accuracy:
        return ()
    ends = gain.examples
    return (wording.points_interval(ends.low, ends.high, 2) if ends else wording.DASH,)


def gain_document(gain: Gain, headline: Headline) -> dict[str, Any] | None:
    """One stratum's gain, JSON-ready, with the metric's own sign; None where it is not known."""
    if gain.estimate is None:
        return None
    return {
        **(headline.document(gain.estimate) or {}),
        "verdict": gain.verdict,
        "paired": not gain.unpaired,
        "differences": [headline.own(value) for value in gain.differences],
        "test_sampling_interval": gain.examples and [gain.examples.low, gain.examples.high],
    }


class _Distillation(Answer[GainInfo]):
    """Distilled minus hard labels. In results.json each stratum has its own (`gain_document`)."""

    name = "gain"
    asked = ("gain",)
    finding_rank = 20

    def compute(self, context: Context) -> GainInfo:
        return compute_gain(context.strata)

    def lead(self, info: GainInfo, context: Context) -> str:
        return gain_sentence(info)

    def sentences(self, info: GainInfo, context: Context) -> tuple[str, ...]:
        return (gain_sentence(info),)

    def figures(self, info: GainInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        if not info.missing:
            figure = style.new_figure(8.2, 3.8)
            draw_gain(info, figure.add_subplot())
            shown = [g.estimate for g in info.gains if g.estimate is not None]
            unpaired = any(g.unpaired for g in info.gains if g.estimate is not None)
            how = "" if unpaired else "paired by seed; "
            style.add_caption(figure, estimates_caption(context, shown, how))
        explanation = (
            f"Distilled minus hard-labels-only test {info.headline.words}, "
            f"{pairing_words(info)}. The bar is a "
            f"{context.level} interval of the mean, the grey band is {_tolerance(info)} "
            "either way. Blue: helps; vermillion: hurts; grey: cannot be told from zero, "
            f"all {info.noun.many} judged together. {luck_words(context.strata)}".rstrip()
        )
        title = "What distillation adds"
        table = gain_table(info)
        return (ReportFigure("gain", title, explanation, figure, info.missing, table),)


GAIN = _Distillation()
