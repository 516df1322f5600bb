"""How the search went: values by trial, and the running best."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import search_caption, trial_words
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.panels import label_panels, new_panels, panel_rows
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.config import Objective
from kdsearch.results import Arm, Results, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, objective_value

MAX_PANELS = 12


class History(NamedTuple):
    """One arm of one stratum, in the order its trials were asked. Lists share that order."""

    arm: Arm
    values: tuple[float | None, ...]
    """First objective; for a PRUNED trial what it had when it was stopped."""
    states: tuple[str, ...]
    running_best: tuple[float | None, ...]
    """Best of the COMPLETE trials so far."""
    words: tuple[str, ...]
    """What each says when someone points at it."""
    run_ids: tuple[str | None, ...]
    """MLflow's."""


class HistoryPanel(NamedTuple):
    """One stratum."""

    title: str
    arms: tuple[History, ...]


class OptimizationHistoryInfo(NamedTuple):
    """The panels, in the order of the strata."""

    panels: tuple[HistoryPanel, ...]
    metric: str
    left_out: int
    """Strata beyond the panels that are drawn."""
    missing: str


def compute_optimization_history(results: Results) -> OptimizationHistoryInfo:
    """Objective and running best of every stratum and arm."""
    objective = results.config.objective[0]
    grouped: dict[str, dict[Arm, list[TrialRecord]]] = {}
    for t in results.select(stage="search"):
        if t.state != "RUNNING":
            label = wording.stratum_label(t.stratum)
            grouped.setdefault(label, {}).setdefault(t.arm, []).append(t)
    panels = tuple(
        HistoryPanel(
            label, tuple(_history(arm, arms[arm], objective) for arm in sorted(arms)[::-1])
        )
        for label, arms in grouped.items()
    )
    done = any(b is not None for p in panels for h in p.arms for b in h.running_best)
    return OptimizationHistoryInfo(
        panels=panels[:MAX_PANELS],
        metric=objective.metric,
        left_out=max(0, len(panels) - MAX_PANELS),
        missing="" if done else "No search trial is complete yet.",
    )


def _history(arm: Arm, trials: list[TrialRecord], objective: Objective) -> History:
    trials = sorted(trials, key=lambda t: t.trial)
    pick = max if objective.direction == "maximize" else min
    best: float | None = None
    running: list[float | None] = []
    for t in trials:
        value = objective_value(t, objective)
        if t.state == "COMPLETE" and value is not None:
            best = value if best is None else pick(best, value)
        running.append(best)
    return History(
        arm=arm,
        values=tuple(objective_value(t, objective) for t in trials),
        states=tuple(t.state for t in trials),
        running_best=tuple(running),
        words=tuple(trial_words(t, objective) for t in trials),
        run_ids=tuple(t.mlflow_run_id for t in trials),
    )


def draw_optimization_history(
    info: OptimizationHistoryInfo, panel: HistoryPanel, ax: Axes
) -> None:
    """Points for complete trials, crosses for pruned ones, a step line for the running best."""
    for history in panel.arms:
        color = style.ARM_COLORS[history.arm]
        numbered = list(zip(history.values, history.states, strict=True))
        for state, marker, alpha in (("COMPLETE", "o", 0.75), ("PRUNED", "x", 0.55)):
            xy = [(i, v) for i, (v, s) in enumerate(numbered, 1) if s == state and v is not None]
            ax.scatter([x for x, _ in xy], [y for _, y in xy], marker=marker, s=15, lw=0.9,
                       color=color, alpha=alpha, zorder=3)  # fmt: skip
        told = zip(history.values, history.words, history.run_ids, strict=True)
        for i, (value, words, run_id) in enumerate(told, 1):
            if value is not None:
                mark_point(ax, i, value, words, run_id=run_id)
        best = [(i, b) for i, b in enumerate(history.running_best, 1) if b is not None]
        ax.step([x for x, _ in best], [y for _, y in best], where="post", color=color, lw=1.6)
    ax.set_title(panel.title, fontsize=9.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if info.metric in ACCURACY_LIKE:
        style.percent_axis(ax.yaxis)


class _History(Answer[OptimizationHistoryInfo]):
    """How the search went."""

    name = "history"

    def compute(self, context: Context) -> OptimizationHistoryInfo:
        return compute_optimization_history(context.results)

    def figures(self, info: OptimizationHistoryInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        if not info.missing:
            rows = panel_rows(len(info.panels))
            figure = style.new_figure(8.2, 1.0 + (3.4 if rows == 1 else 2.0) * rows)
            axes = new_panels(figure, len(info.panels), sharex=True)
            for panel, ax in zip(info.panels, axes, strict=True):
                draw_optimization_history(info, panel, ax)
            y_label = wording.capitalized(wording.metric(info.metric))
            label_panels(figure, axes, f"Trial of the {context.strata.noun.one}", y_label)
            _draw_legend(info, figure)
            style.add_caption(figure, search_caption(context))
        more = (
            f" {info.left_out} further panels are left out; their trials are in results.csv."
            if info.left_out
            else ""
        )
        explanation = (
            "Search objective of every trial, and the best so far (line). A line still climbing "
            f"at its end asks for a larger budget.{more}"
        )
        return (ReportFigure("history", "The search", explanation, figure, info.missing),)


def _draw_legend(info: OptimizationHistoryInfo, figure: Figure) -> None:
    arms = dict.fromkeys(h.arm for p in info.panels for h in p.arms)
    handles = [Line2D([], [], color=style.ARM_COLORS[a], label=style.ARM_NAMES[a]) for a in arms]
    for marker, label in (("o", "complete"), ("x", "pruned (value when stopped)")):
        mark = Line2D([], [], marker=marker, label=label, color=style.MUTED, linestyle="none")
        mark.set_markersize(4.5)
        handles.append(mark)
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))


HISTORY = _History()
