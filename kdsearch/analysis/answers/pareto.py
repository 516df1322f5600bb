"""The front of a Pareto study: what no other trial beats in every objective."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import search_caption, trial_words
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.stratum import StrataInfo, Stratum
from kdsearch.config import Objective
from kdsearch.results import Results
from kdsearch.results.score import ACCURACY_LIKE, objective_value

CAPACITY_LIKE = ("num_params", "macs", "size_bytes")


class ParetoPoint(NamedTuple):
    """One complete distilled search trial."""

    trial: int
    x: float
    y: float
    on_front: bool
    words: str = ""
    """What it says when someone points at it."""
    run_id: str | None = None


class ParetoInfo(NamedTuple):
    """Two objectives of every complete trial; a capacity goes to the x axis."""

    points: tuple[ParetoPoint, ...]
    """Those on the front first come by rising x."""
    x_metric: str
    y_metric: str
    num_objectives: int
    missing: str
    confirmed: tuple[Stratum, ...] = ()
    """Students of the front that were tested, by rising size."""
    unbeaten: tuple[str, ...] = ()
    """Labels of those that no other one beats on test, in size and the headline metric."""
    headline: Headline = ACCURACY


def compute_pareto(results: Results, info: StrataInfo) -> ParetoInfo | None:
    """The first two objectives of every complete trial; None for a study with one objective."""
    if len(results.config.objective) < 2:
        return None
    x_objective, y_objective = _axes(results.config.objective)
    front = set(results.pareto)
    points = []
    for t in results.select(stage="search", arm="distilled", state="COMPLETE"):
        x, y = objective_value(t, x_objective), objective_value(t, y_objective)
        if x is not None and y is not None:
            words = trial_words(t, y_objective)
            points.append(ParetoPoint(t.trial, x, y, t.trial in front, words, t.mlflow_run_id))
    return ParetoInfo(
        points=tuple(sorted(points, key=lambda p: (not p.on_front, p.x, p.y))),
        x_metric=x_objective.metric,
        y_metric=y_objective.metric,
        num_objectives=len(results.config.objective),
        missing="" if points else "No search trial is complete yet.",
        confirmed=info.confirmed,
        unbeaten=_unbeaten(info.confirmed),
        headline=info.headline,
    )


def _unbeaten(confirmed: Sequence[Stratum]) -> tuple[str, ...]:
    """Labels of students than which no smaller or equal one is better on test, by rising size."""
    ordered = sorted(confirmed, key=lambda s: (s.num_params or 0, -_score(s)))
    kept: list[Stratum] = []
    for student in ordered:
        if not kept or _score(student) > _score(kept[-1]):
            kept.append(student)
    return tuple(s.label for s in kept)


def _score(student: Stratum) -> float:
    assert student.distilled is not None
    assert student.distilled.test_score is not None
    return student.distilled.test_score.mean


def pareto_lead(info: ParetoInfo) -> str:
    """How many students are unbeaten, from which to which, and how many stay so on test."""
    front = [p for p in info.points if p.on_front]
    if not front:
        return ""
    goals = f"{wording.metric(info.y_metric)} and {wording.metric(info.x_metric)}"
    verb = "is" if len(front) == 1 else "are"
    lead = (
        f"{len(front)} of {wording.plural(len(info.points), 'student')} {verb} unbeaten in {goals}"
    )
    if not info.confirmed:
        return f"{lead}, by search values alone: none is confirmed yet."
    ends = [info.confirmed[0]] + ([info.confirmed[-1]] if len(info.confirmed) > 1 else [])
    span = " to ".join(
        f"{s.label} ({wording.count(s.num_params)} parameters, "
        f"{info.headline.estimate(s.distilled.test_score if s.distilled else None)})"
        for s in ends
    )
    kept = ""
    if len(info.confirmed) > 1 and info.x_metric == "num_params":
        kept = f"; {len(info.unbeaten)} of the {len(info.confirmed)} confirmed stay so on test"
    return f"{lead}: {span}{kept}."


def _axes(objectives: tuple[Objective, ...]) -> tuple[Objective, Objective]:
    first, second = objectives[:2]
    return (second, first) if second.metric in CAPACITY_LIKE else (first, second)


def draw_pareto(info: ParetoInfo, ax: Axes) -> None:
    """Every complete trial, and the front as a line through its points."""
    rest = [p for p in info.points if not p.on_front]
    front = [p for p in info.points if p.on_front]
    ax.scatter([p.x for p in rest], [p.y for p in rest], s=24, color="#a9b2bc", linewidths=0,
               label="other complete trials")  # fmt: skip
    ax.plot([p.x for p in front], [p.y for p in front], "o-", color=style.DISTILLED, lw=1.4,
            markersize=6.5, markeredgecolor="white", label="Pareto front")  # fmt: skip
    for p in info.points:
        mark_point(ax, p.x, p.y, p.words, run_id=p.run_id)
    ax.set_xlabel(_axis_name(info.x_metric))
    ax.set_ylabel(_axis_name(info.y_metric))
    if info.x_metric in CAPACITY_LIKE:
        style.log_size_axis(ax, [p.x for p in info.points])
    for metric, axis in ((info.x_metric, ax.xaxis), (info.y_metric, ax.yaxis)):
        if metric in ACCURACY_LIKE:
            style.percent_axis(axis)
    ax.legend(loc="lower right")


def _axis_name(metric: str) -> str:
    searched = " (search)" if metric.startswith("val_") else ""
    return wording.capitalized(wording.metric(metric)) + searched


class _Pareto(Answer[ParetoInfo]):
    """The front of a study with several objectives; results.json has its trials anyway."""

    name = "pareto"
    asked = ("pareto",)

    def compute(self, context: Context) -> ParetoInfo | None:
        return compute_pareto(context.results, context.strata)

    def lead(self, info: ParetoInfo, context: Context) -> str:
        return pareto_lead(info)

    def figures(self, info: ParetoInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        if not info.missing:
            figure = style.new_figure(8.2, 4.4)
            draw_pareto(info, figure.add_subplot())
            style.add_caption(figure, search_caption(context))
        explanation = (
            "Search values on validation. No trial beats one on the front in every objective."
        )
        if info.num_objectives > 2:
            explanation += f" The first two of {info.num_objectives} objectives are shown."
        return (ReportFigure("pareto", "Pareto front", explanation, figure, info.missing),)


PARETO = _Pareto()
