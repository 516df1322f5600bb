"""Do more teachers help: the ensemble itself, and the students it teaches?"""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import search_caption
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.teachers import Bank, compute_teachers
from kdsearch.results import Results, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, best_trial, objective_value


class SizeGroup(NamedTuple):
    """Complete distilled search trials with one ensemble size."""

    size: int
    values: tuple[float, ...]
    """First objective minus the best of the trial's own stratum."""


class EnsembleSizeInfo(NamedTuple):
    """Values of ensembles by size, and search values of students by ensemble size."""

    banks: tuple[Bank, ...]
    groups: tuple[SizeGroup, ...]
    """Empty unless the study searches the ensemble size."""
    headline: Headline
    """What the ensembles are judged by."""
    metric: str
    """The objective, which students were searched by."""
    in_points: bool
    missing: str


def compute_ensemble_size(results: Results) -> EnsembleSizeInfo:
    """Ensemble values for k = 1..K of every bank; search values grouped by ensemble size."""
    objective = results.config.objective[0]
    by_stratum: dict[str, list[TrialRecord]] = {}
    for t in results.select(stage="search", arm="distilled", state="COMPLETE"):
        # Relative to what the same student reaches with any ensemble size.
        rest = {n: v for n, v in t.stratum.items() if wording.leaf(n) != "ensemble_size"}
        by_stratum.setdefault(wording.stratum_label(rest), []).append(t)
    values: dict[int, list[float]] = {}
    for trials in by_stratum.values():
        best = best_trial(trials, objective)
        top = objective_value(best, objective) if best is not None else None
        for t in trials:
            value = objective_value(t, objective)
            if value is not None and top is not None and t.ensemble_size is not None:
                values.setdefault(t.ensemble_size, []).append(value - top)
    groups = tuple(SizeGroup(k, tuple(values[k])) for k in sorted(values))
    banks = tuple(b for b in compute_teachers(results).banks if len(b.ensembles) > 1)
    missing = "" if banks or len(groups) > 1 else "The study has one teacher: no ensemble."
    return EnsembleSizeInfo(
        banks=banks,
        groups=groups if len(groups) > 1 else (),
        headline=Headline(results.config.headline),
        metric=objective.metric,
        in_points=objective.metric in ACCURACY_LIKE,
        missing=missing,
    )


def draw_ensembles(info: EnsembleSizeInfo, ax: Axes) -> None:
    """Values of the teachers' ensembles against their size, on test where it is known."""
    for index, bank in enumerate(info.banks[: len(style.CYCLE)]):
        sizes = [e.size for e in bank.ensembles]
        one, own = len(info.banks) == 1, info.headline.own
        test = [own(e.test) for e in bank.ensembles if e.test is not None]
        val = [math.nan if e.val is None else own(e.val) for e in bank.ensembles]
        name = "" if one else f"{bank.label}, "
        if not one or len(test) < len(sizes):
            test = []
        color = style.ENSEMBLE if one else style.CYCLE[index]
        ax.plot(sizes, val, "o-", color=color,
                alpha=0.45 if test else 1.0, label=f"{name}validation")  # fmt: skip
        if test:
            ax.plot(sizes, test, "D-", color=color, label=f"{name}test")
    ax.set_title("The ensemble itself")
    ax.set_xlabel("Teachers in the ensemble")
    ax.set_ylabel(info.headline.label())
    ax.set_xticks(sorted({e.size for bank in info.banks for e in bank.ensembles}))
    ax.margins(y=0.2)
    ax.legend(loc="best")
    style.score_axis(ax.yaxis, info.headline)


def draw_students(info: EnsembleSizeInfo, ax: Axes) -> None:
    """Search values of students against the size of the ensemble that taught them."""
    factor = 100.0 if info.in_points else 1.0
    rng = np.random.default_rng(0)  # jitter only
    floor = min(v for g in info.groups for v in g.values) * factor
    for x, group in enumerate(info.groups):
        values = factor * np.array(group.values)
        ax.scatter(x + rng.uniform(-0.18, 0.18, values.size), values, s=18,
                   color=style.DISTILLED, alpha=0.5, linewidths=0)  # fmt: skip
        ax.hlines(np.median(values), x - 0.3, x + 0.3, color=style.INK, lw=2, zorder=4)
    labels = [f"{g.size}\nn = {len(g.values)}" for g in info.groups]
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.set_ylim(floor * 1.08 if floor < 0 else None, None)
    ax.set_title("Students, by search trial")
    ax.set_xlabel("Teachers in the ensemble")
    unit = "points; " if info.in_points else ""
    metric = wording.capitalized(wording.metric(info.metric))
    ax.set_ylabel(f"{metric} below\nthe best alike student's ({unit}line: median)")
    ax.grid(axis="x", visible=False)


class _EnsembleSize(Answer[EnsembleSizeInfo]):
    """How many teachers."""

    name = "ensemble_size"

    def compute(self, context: Context) -> EnsembleSizeInfo:
        return compute_ensemble_size(context.results)

    def figures(self, info: EnsembleSizeInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        if not info.missing:
            both = ((draw_ensembles, info.banks), (draw_students, info.groups))
            parts = [draw for draw, has in both if has]
            figure = style.new_figure(8.2, 3.9)
            axes = figure.subplots(1, len(parts), squeeze=False)[0]
            for ax, draw in zip(axes, parts, strict=True):
                draw(info, ax)
            style.add_caption(figure, search_caption(context, "distilled"))
        explanation = f"How {info.headline.words} depends on the number of averaged teachers."
        if info.groups and info.banks:
            explanation = (
                "Left: the averaged teachers by themselves. Right: search values of the students "
                "they taught; the sampler chose how often to try each size, so compare shapes, "
                "not counts."
            )
        title = "Ensemble size"
        return (ReportFigure("ensemble_size", title, explanation, figure, info.missing),)


ENSEMBLE_SIZE = _EnsembleSize()
