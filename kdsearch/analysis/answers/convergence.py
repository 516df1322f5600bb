"""Do distilled students need fewer epochs? Epochs to within 5 % of the final value, by arm.

The value is the headline metric's on validation, where epochs were measured by it, or accuracy.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import estimates_caption
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.estimate import (
    Estimate,
    estimate_difference,
    estimate_document,
    estimate_mean,
)
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.statistics.scale import Unit
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.analysis.wording import STRATUM, Noun
from kdsearch.results import TrialRecord
from kdsearch.results.pairing import are_alike

EPOCHS = Unit(1.0, 0, " epochs", " epochs")
SHARE = 0.95
"""Of the final accuracy: what counts as arrived; a loss arrives at `2 - SHARE` of its final."""
EARLY = 2.0
"""Epochs before which an arrival is not measured: validation once an epoch sees no difference
between students that arrive within the first, and little within the second."""
SAME = math.log(1.05)
"""Log ratios within five per cent are called equally fast."""
MOST_DIGITS = 6
"""Decimals of a ratio."""


class Speed(NamedTuple):
    """One stratum: epochs to near each arm's own final value on validation."""

    label: str
    distilled: Estimate
    baseline: Estimate
    log_ratio: Estimate | None
    """Logarithm of baseline / distilled epochs: above 0, the distilled student is faster."""
    by_replicate: dict[int, float]
    """The logarithm for each replicate of both arms; empty where they are not paired."""
    same_target: Estimate | None
    """The same, where both must come as near to the baseline's final value."""

    @property
    def is_early(self) -> bool:
        """Whether an arm arrives too early to be measured; then nothing is claimed from it."""
        return min(self.distilled.mean, self.baseline.mean) < EARLY


class ConvergenceInfo(NamedTuple):
    """Strata that both arms have confirmed."""

    speeds: tuple[Speed, ...]
    overall: Estimate | None
    """Mean of the log ratio over the strata that do not arrive too early, by replicate; None
    where nothing is paired."""
    same_target: Estimate | None
    confidence: float
    missing: str
    headline: Headline = ACCURACY
    """Whose final value it is."""
    noun: Noun = STRATUM
    """What a stratum is in this study."""

    @property
    def nearly(self) -> str:
        """Before a final value: `95 % of`, `within 5 % of`."""
        if self.headline.is_minimised:
            return f"within {100 * (1 - SHARE):.3g} % of"
        return f"{100 * SHARE:g} % of"


def compute_convergence(info: StrataInfo) -> ConvergenceInfo:
    """Epochs to near the final value in the confirm runs, paired by replicate."""
    arms = [choice for s in info.strata for choice in (s.distilled, s.baseline) if choice]
    headline = info.headline.by_epoch(run for choice in arms for run in choice.replicates)
    made = [own for s in info.strata if (own := _speed(s, headline, info.confidence)) is not None]
    speeds, targets = [speed for speed, _ in made], [target for _, target in made]
    return ConvergenceInfo(
        speeds=tuple(speeds),
        overall=_overall([s.by_replicate for s in speeds if not s.is_early], info.confidence),
        same_target=_overall(
            [t for s, t in zip(speeds, targets, strict=True) if not s.is_early], info.confidence
        ),
        confidence=info.confidence,
        missing="" if speeds else _why(info),
        noun=info.noun,
        headline=headline,
    )


def _why(info: StrataInfo) -> str:
    if not info.baseline_asked:
        return "The study has no baseline arm to compare the speed of learning with."
    return f"No {info.noun.one} has confirmed students of both arms with recorded epochs."


class _Run(NamedTuple):
    """One confirm run."""

    trial: TrialRecord
    scores: tuple[float, ...]
    """The metric on validation by epoch, turned so that higher is better."""

    @property
    def final(self) -> float:
        """Of the weights that were kept."""
        return self.scores[min(self.trial.best_epoch or len(self.scores), len(self.scores)) - 1]

    @property
    def near(self) -> float:
        """What counts as arrived: scores of a loss are below zero."""
        return self.final * (SHARE if self.final > 0 else 2 - SHARE)

    def epochs_to(self, level: float) -> float:
        """When it first reaches `level`, between epochs by interpolation.

        At least 1, the first that is measured; a run that never arrives counts as one epoch
        longer than it lasted.
        """
        values = self.scores
        at = next((i for i, v in enumerate(values) if v >= level), None)
        if at is None:
            return len(values) + 1.0
        if at == 0:
            return 1.0
        return at + (level - values[at - 1]) / (values[at] - values[at - 1])


def _speed(
    stratum: Stratum, headline: Headline, confidence: float
) -> tuple[Speed, dict[int, float]] | None:
    distilled, baseline = _runs(stratum.distilled, headline), _runs(stratum.baseline, headline)
    own = {r: run.epochs_to(run.near) for r, run in distilled.items()}
    hard = {r: run.epochs_to(run.near) for r, run in baseline.items()}
    first = estimate_mean(list(own.values()), confidence=confidence)
    second = estimate_mean(list(hard.values()), confidence=confidence)
    if first is None or second is None:
        return None
    paired = are_alike(*(next(iter(runs.values())).trial for runs in (distilled, baseline)))
    shared = sorted(own.keys() & hard.keys()) if paired else []
    ratios = {r: math.log(hard[r] / own[r]) for r in shared}
    targets = {r: math.log(hard[r] / distilled[r].epochs_to(baseline[r].near)) for r in shared}
    if paired:
        ratio = estimate_mean(list(ratios.values()), confidence=confidence)
    else:
        logs = [[math.log(v) for v in values] for values in (hard.values(), own.values())]
        ratio = estimate_difference(*logs, confidence=confidence)
    same = estimate_mean(list(targets.values()), confidence=confidence)
    return Speed(stratum.label, first, second, ratio, ratios, same), targets


def _runs(choice: Choice | None, headline: Headline) -> dict[int, _Run]:
    """By replicate; without those of whose final value no share can be taken."""
    runs = {} if choice is None else {t.replicate: _run(t, headline) for t in choice.replicates}
    return {r: run for r, run in runs.items() if run.scores and headline.own(run.final) > 0}


def _run(trial: TrialRecord, headline: Headline) -> _Run:
    scores = (headline.of_epoch(epoch) for epoch in trial.history)
    return _Run(trial, tuple(score for score in scores if score is not None))


def _overall(strata: list[dict[int, float]], confidence: float) -> Estimate | None:
    """Over replicates that every stratum has: seeds are shared, so strata are not independent."""
    strata = [s for s in strata if s]
    if not strata:
        return None
    shared = set.intersection(*(set(s) for s in strata))
    means = [float(np.mean([s[r] for s in strata])) for r in sorted(shared)]
    return estimate_mean(means, confidence=confidence)


def convergence_sentence(info: ConvergenceInfo) -> str:
    """By how much faster distilled students converge, or that they do not; may be empty.

    Both measures are said: a better student is often later at its own final accuracy, and sooner
    at the other one's.
    """
    if info.missing:
        return ""
    late = [s for s in info.speeds if not s.is_early]
    if not late:
        return (
            f"How fast students converge is not measured: they {_come(info)} their final "
            f"validation {info.headline.words} within {EARLY:g} epochs, and validation is once an "
            "epoch."
        )
    distilled = float(np.mean([s.distilled.mean for s in late]))
    baseline = float(np.mean([s.baseline.mean for s in late]))
    arrival = (
        f"{_come(info)} their final validation {info.headline.words} after {distilled:.1f} "
        f"epochs, those on hard labels after {baseline:.1f}"
    )
    e = info.overall
    if e is None or e.low is None or e.high is None:
        return f"Distilled students {arrival}; without paired replicates no more is known."
    basis = f"{_factor(e, info)}, {_basis(e, info)}"
    if e.low > -SAME and e.high < SAME:
        lead = f"Distilled students converge as fast as the others: they {arrival}"
    elif e.low > 0:
        lead = f"Distilled students converge faster: they {arrival}"
    elif e.high < 0:
        lead = f"Distilled students converge more slowly: they {arrival}"
    else:
        lead = f"Distilled students are not shown to converge faster: they {arrival}"
    return f"{lead} ({basis}).{_same_target_words(info)}"


def _come(info: ConvergenceInfo) -> str:
    return f"{'come' if info.headline.is_minimised else 'reach'} {info.nearly}"


def _same_target_words(info: ConvergenceInfo) -> str:
    e = info.same_target
    if e is None or e.low is None or e.high is None:
        return ""
    verdict = "not shown to be faster"
    if e.low > 0:
        verdict = "faster"
    elif e.high < 0:
        verdict = "slower"
    to = "To come" if info.headline.is_minimised else "To"
    return (
        f" {to} {info.nearly} the final {info.headline.words} on hard labels they are "
        f"{verdict} ({_factor(e, info)})."
    )


def _factor(e: Estimate, info: ConvergenceInfo) -> str:
    mean, ends = _times(e)
    return f"{mean} times as fast, {wording.level(info.confidence)} interval {ends}"


def _times(e: Estimate) -> tuple[str, str]:
    """A ratio and its interval; with more decimals where an end would be rounded to 1.

    Whether 1 lies inside is what the interval is looked at for.
    """
    digits = 2
    ends = [] if e.low is None or e.high is None else [math.exp(e.low), math.exp(e.high)]
    while digits < MOST_DIGITS and any(end != 1 == round(end, digits) for end in ends):
        digits += 1
    return f"{math.exp(e.mean):.{digits}f}", " to ".join(f"{end:.{digits}f}" for end in ends)


def _basis(e: Estimate, info: ConvergenceInfo) -> str:
    late = sum(not s.is_early for s in info.speeds)
    several = f", mean of {info.noun.numbered(late)}" if late > 1 else ""
    if late < len(info.speeds):
        several += f", {len(info.speeds) - late} that arrive within {EARLY:g} epochs left out"
    return f"n = {e.n} replicates paired by seed{several}"


def convergence_table(info: ConvergenceInfo) -> Table:
    """Epochs by arm and their ratio at every stratum."""
    level = wording.level(info.confidence)
    header = (
        info.noun.head, "Distilled (epochs)", f"{level} interval", "Hard labels (epochs)",
        f"{level} interval", "n", "Times as fast", f"{level} interval",
        f"Times as fast to the same {info.headline.words}", f"{level} interval",
    )  # fmt: skip
    rows = [
        (
            s.label or "best settings",
            f"{s.distilled.mean:.1f}", _ends(s.distilled),
            f"{s.baseline.mean:.1f}", _ends(s.baseline),
            str(min(s.distilled.n, s.baseline.n)),
            *_ratio_cells(None if s.is_early else s.log_ratio),
            *_ratio_cells(None if s.is_early else s.same_target),
        )
        for s in info.speeds
    ]  # fmt: skip
    return Table(
        header,
        tuple(rows),
        caption=f"Confirm runs, validation: epochs to {info.nearly} each student's own final "
        f"{info.headline.words}, and (last columns) of the hard-labels student's. Above 1: the "
        "distilled student is faster. No ratio where an arm arrives within "
        f"{EARLY:g} epochs: validation once an epoch cannot measure it.",
    )


def _ends(e: Estimate) -> str:
    if e.low is None or e.high is None:
        return wording.DASH
    return f"{max(e.low, 1.0):.1f} to {e.high:.1f}"


def _ratio_cells(e: Estimate | None) -> tuple[str, str]:
    if e is None:
        return wording.DASH, wording.DASH
    mean, ends = _times(e)
    return mean, ends or wording.DASH


def draw_convergence(info: ConvergenceInfo, ax: Axes) -> None:
    """Epochs to arrival of both arms, stratum by stratum, with intervals."""
    for arm, offset, marker in (("distilled", -0.1, "o"), ("baseline", 0.1, "s")):
        label = style.ARM_NAMES[arm]
        for x, speed in enumerate(info.speeds):
            e: Estimate = getattr(speed, arm)
            reach = None
            if e.low is not None and e.high is not None:
                reach = [[e.mean - max(e.low, 1.0)], [e.high - e.mean]]
            bar = style.error_bar(style.ARM_COLORS[arm], marker)
            ax.errorbar(x + offset, e.mean, yerr=reach, label=label, **bar)
            who = f"{style.ARM_NAMES[arm]}, {speed.label or 'best settings'}"
            mark_point(ax, x + offset, e.mean, f"{who}: {e.mean:.1f} epochs, n = {e.n}")
            label = "_nolegend_"
    style.category_ticks(ax, [s.label or "best settings" for s in info.speeds])
    ax.set_xlim(-0.6, len(info.speeds) - 0.4)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"Epochs to {info.nearly} final {info.headline.words}")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="best")


class _Convergence(Answer[ConvergenceInfo]):
    """Epochs to nearly the final value, by arm."""

    name = "convergence"
    asked = ("epochs",)
    keys = ("convergence",)
    finding_rank = 80
    document_rank = 40

    def compute(self, context: Context) -> ConvergenceInfo:
        return compute_convergence(context.strata)

    def lead(self, info: ConvergenceInfo, context: Context) -> str:
        return convergence_sentence(info)

    def sentences(self, info: ConvergenceInfo, context: Context) -> tuple[str, ...]:
        return (convergence_sentence(info),)

    def figures(self, info: ConvergenceInfo, context: Context) -> tuple[ReportFigure, ...]:
        if info.missing:
            return ()
        figure = style.new_figure(8.2, 3.6 if len(info.speeds) <= 8 else 4.8)
        draw_convergence(info, figure.add_subplot())
        shown = [e for speed in info.speeds for e in (speed.distilled, speed.baseline)]
        style.add_caption(figure, estimates_caption(context, shown, "", unit=EPOCHS))
        explanation = (
            f"{convergence_sentence(info)} Each arm has its own tuned settings, the learning rate "
            "among them, which changes the speed as well."
            f"{context.strata.headline.instead(info.headline)}"
        )
        table = convergence_table(info)
        return (ReportFigure("convergence", "Fewer epochs", explanation, figure, "", table),)

    def document(self, info: ConvergenceInfo, context: Context) -> dict[str, Any]:
        if info.missing:
            return {}
        return {
            "convergence": {
                "metric": info.headline.metric.name,
                "share_of_final": 2 - SHARE if info.headline.is_minimised else SHARE,
                "log_speed_ratio": estimate_document(info.overall),
                "log_speed_ratio_to_baseline_final": estimate_document(info.same_target),
                "strata": [_speed_document(s) for s in info.speeds],
            }
        }


def _speed_document(speed: Speed) -> dict[str, Any]:
    return {
        "label": speed.label,
        "distilled_epochs": estimate_document(speed.distilled),
        "baseline_epochs": estimate_document(speed.baseline),
        "log_speed_ratio": estimate_document(speed.log_ratio),
        "log_speed_ratio_to_baseline_final": estimate_document(speed.same_target),
    }


CONVERGENCE = _Convergence()
