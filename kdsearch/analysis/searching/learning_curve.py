"""The headline metric by epoch, on validation, of the confirmed best, in both arms."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import origin
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.recommendation import recommendation_in
from kdsearch.analysis.statistics.scale import PERCENT
from kdsearch.analysis.stratum import Choice, Stratum
from kdsearch.results import Arm, TrialRecord


class Curve(NamedTuple):
    """Replicates of one arm."""

    arm: Arm
    replicates: tuple[tuple[float, ...], ...]
    """The metric on validation by epoch, with its own sign, from epoch 1; lengths differ with
    early stopping."""
    mean: tuple[float, ...]
    """Mean over replicates, up to the epoch that all of them reached."""
    confirmed: bool
    """False: the one run of the search, for want of confirmed ones."""


class LearningCurveInfo(NamedTuple):
    """The curves of one stratum."""

    label: str
    curves: tuple[Curve, ...]
    missing: str
    headline: Headline = ACCURACY
    """What the curves are of: accuracy where epochs were not measured by the study's own."""


def compute_learning_curve(stratum: Stratum | None, headline: Headline) -> LearningCurveInfo:
    """Learning curves of a stratum's chosen settings."""
    if stratum is None:
        return LearningCurveInfo("", (), "No trial is complete yet.")
    arms: tuple[tuple[Arm, Choice | None], ...] = (
        ("distilled", stratum.distilled),
        ("baseline", stratum.baseline),
    )
    shown = headline.by_epoch(run for _, choice in arms for run in _runs(choice))
    curves = tuple(c for arm, choice in arms if (c := _curve(arm, choice, shown)) is not None)
    missing = "" if curves else "No epoch was recorded."
    return LearningCurveInfo(stratum.label, curves, missing, shown)


def _runs(choice: Choice | None) -> list[TrialRecord]:
    if choice is None:
        return []
    return [t for t in (choice.replicates or (choice.trial,)) if t.history]


def _curve(arm: Arm, choice: Choice | None, headline: Headline) -> Curve | None:
    runs = _runs(choice)
    if choice is None or not runs:
        return None
    name = headline.metric.name
    values = tuple(tuple(v for e in t.history if (v := e.value(name)) is not None) for t in runs)
    shared = min(map(len, values))
    mean = np.mean([a[:shared] for a in values], axis=0)
    return Curve(
        arm=arm,
        replicates=values,
        mean=tuple(float(m) for m in mean),
        confirmed=bool(choice.replicates),
    )


def draw_learning_curve(info: LearningCurveInfo, ax: Axes) -> None:
    """Thin lines for replicates, a thick one for their mean."""
    for curve in info.curves:
        color = style.ARM_COLORS[curve.arm]
        if len(curve.replicates) > 1:
            for values in curve.replicates:
                ax.plot(range(1, len(values) + 1), values, color=color, lw=0.8, alpha=0.35)
        what = f"mean of {len(curve.replicates)}" if len(curve.replicates) > 1 else "one run"
        where = what if curve.confirmed else f"{what}, search"
        epochs = range(1, len(curve.mean) + 1)
        ax.plot(epochs, curve.mean, color=color, lw=2.2,
                label=f"{style.ARM_NAMES[curve.arm]} ({where})")  # fmt: skip
    # What the first epochs are away from the rest would press the rest flat.
    settled = [v for c in info.curves for v in c.mean[len(c.mean) // 5 :]]
    every = [v for c in info.curves for run in c.replicates for v in run]
    low, high = min(settled), max(every)
    if info.headline.is_minimised:
        low, high = min(every), max(settled)
    pad = 0.08 * max(high - low, 0.005)
    ax.set_ylim(low - pad, high + pad)
    ax.set_xlim(1, max(2, *(len(run) for c in info.curves for run in c.replicates)))
    ax.set_xlabel("Epoch")
    ax.set_ylabel(info.headline.label("validation"))
    ax.set_title(info.label)
    ax.legend(loc="upper right" if info.headline.is_minimised else "lower right")
    if info.headline.unit == PERCENT:
        style.percent_axis(ax.yaxis)


class _LearningCurves(Answer[LearningCurveInfo]):
    """Of the recommended student; before one is known, of the first stratum that has trials."""

    name = "learning_curves"

    def compute(self, context: Context) -> LearningCurveInfo:
        first = (s for s in context.strata.strata if s.distilled is not None)
        return compute_learning_curve(
            context.of(recommendation_in).recommended or next(first, None),
            context.strata.headline,
        )

    def figures(self, info: LearningCurveInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        recommended = context.of(recommendation_in).recommended
        whose = "the recommended student" if recommended else "the best search trial so far"
        if not info.missing:
            figure = style.new_figure(8.2, 4.2)
            draw_learning_curve(info, figure.add_subplot())
            caption = f"validation set · thin lines: replicates · {origin(context)}"
            style.add_caption(figure, caption)
        explanation = (
            f"Validation {info.headline.words} by epoch of {whose}, with each arm's own tuned "
            f"settings.{context.strata.headline.instead(info.headline)}"
        )
        title = "Learning curves"
        return (ReportFigure("learning_curves", title, explanation, figure, info.missing),)


LEARNING_CURVES = _LearningCurves()
