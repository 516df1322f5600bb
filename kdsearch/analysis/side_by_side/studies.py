"""Several studies side by side: their curves on one figure, their recommendations in one table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answers
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.answers.capacity.capacity_curve import CapacityCurveInfo
from kdsearch.analysis.answers.gain import GAIN
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import student_words
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.finding import FindingInfo, compute_finding
from kdsearch.analysis.headline import Headline
from kdsearch.errors import UserInputError

MOST = len(style.CYCLE)


class StudyAnswer(NamedTuple):
    """One of the studies."""

    name: str
    context: Context
    finding: FindingInfo

    @property
    def answer(self) -> str:
        """Its first sentence."""
        return self.finding.answer

    @property
    def curve(self) -> CapacityCurveInfo:
        """Its confirmed students by size."""
        return self.context.of(CAPACITY.compute).curve


def compute_studies(contexts: Sequence[Context], answers: Answers) -> tuple[StudyAnswer, ...]:
    """Studies that can stand on one axis.

    Raises:
        UserInputError: They speak of different metrics, or are too many for one figure.
    """
    if len(contexts) > MOST:
        raise UserInputError(f"{len(contexts)} studies on one figure; allowed are at most {MOST}")
    spoken = {c.strata.headline.metric.name: c.results.config.name for c in contexts}
    if len(spoken) > 1:
        said = " and ".join(f"{name} of {metric}" for metric, name in spoken.items())
        raise UserInputError(
            f"the studies have no common axis: {said}; set study.metric alike and run them again, "
            "which trains nothing"
        )
    return tuple(StudyAnswer(c.results.config.name, c, compute_finding(c, answers))
                 for c in contexts)  # fmt: skip


def study_notes(studies: Sequence[StudyAnswer]) -> list[str]:
    """What stands between the studies and a fair comparison."""
    notes = []
    for what, value in (
        ("data", lambda c: c.data.model_dump_json()),
        ("teachers", lambda c: c.teacher.model_dump_json()),
        ("training of students", lambda c: c.training.model_dump_json()),
        ("budget", lambda c: str(c.budget.trials)),
    ):
        if len({value(s.context.results.config) for s in studies}) > 1:
            notes.append(f"The studies differ in their {what}: what separates them may be that.")
    return notes


def draw_studies(studies: Sequence[StudyAnswer], headline: Headline, ax: Axes) -> None:
    """Distilled students of every study by size (log x), each study's teachers as a line."""
    sizes = [p.num_params for s in studies for series in s.curve.series for p in series.points]
    style.log_size_axis(ax, sizes)
    for index, study in enumerate(studies):
        color, marker = style.CYCLE[index], style.MARKERS[index % len(style.MARKERS)]
        label = study.name
        for series in study.curve.series:
            if series.arm != "distilled":
                continue
            own = [headline.own_estimate(p.estimate) for p in series.points]
            x = [float(p.num_params) for p in series.points]
            reach = np.array([style.reach(e) for e in own]).T
            ax.errorbar(x, [e.mean for e in own], yerr=reach, label=label,
                        **style.error_bar(color, marker), zorder=4)  # fmt: skip
            ax.plot(x, [e.mean for e in own], color=color, lw=1.2, alpha=0.6)
            for point, at, e in zip(series.points, x, own, strict=True):
                words = student_words(f"{study.name}, {point.label}", point.estimate, headline)
                mark_point(ax, at, e.mean, words, run_id=point.run_id)
            label = "_nolegend_"
        full = [line for line in study.curve.references if line.is_ensemble]
        for line in full or study.curve.references[:1]:
            ax.axhline(headline.own(line.score), color=color, lw=1.1, ls="--", alpha=0.8, zorder=1)
    ax.set_xlabel("Parameters of the student (log scale)")
    ax.set_ylabel(headline.label("test"))
    style.score_axis(ax.yaxis, headline)
    ax.legend(loc="best", frameon=True, facecolor="white", framealpha=0.85, edgecolor="none")


def studies_figure(studies: Sequence[StudyAnswer]) -> ReportFigure:
    """The one figure. Called inside `style.figure_style`.

    Raises:
        UserInputError: No study has students of several sizes.
    """
    shown = [s for s in studies if not s.curve.missing]
    if not shown:
        raise UserInputError(
            "none of these studies has confirmed students of several sizes to draw a curve through"
        )
    headline = shown[0].context.strata.headline
    figure = style.new_figure(8.2, 5.0)
    draw_studies(shown, headline, figure.add_subplot())
    seeds = wording.listing([f"{s.name} {s.context.results.config.seed}" for s in shown])
    style.add_caption(figure, f"means of replicates with intervals · study seeds: {seeds}")
    left = [s.name for s in studies if s.curve.missing]
    without = f" Not drawn, for want of sizes: {wording.listing(left)}." if left else ""
    explanation = (
        f"Confirmed test {headline.words} of distilled students by size, on fresh seeds; bars are "
        f"each study's intervals. Dashed: its teachers, together.{without}"
    )
    title = f"Capacity and {headline.words}"
    return ReportFigure("capacity", title, explanation, figure, "")


def studies_table(studies: Sequence[StudyAnswer]) -> Table:
    """What each study recommends, and what it reaches."""
    headline = studies[0].context.strata.headline
    header = (
        "Study", "Recommended", "Parameters", f"Test {headline.words}", "n", "Teachers together",
        "Gain from distillation", "Saturation size",
    )  # fmt: skip
    rows = tuple(_row(study, headline) for study in studies)
    return Table(header, rows, text_columns=2, caption="Chosen by validation; mean ± SE on test.")


def _row(study: StudyAnswer, headline: Headline) -> tuple[str, ...]:
    context, chosen = study.context, study.finding.recommended
    choice = chosen.distilled if chosen is not None else None
    score = choice.test_score if choice is not None else None
    banks = context.teachers.banks
    full = banks[0].full_ensemble if len(banks) == 1 else None
    gain = context.of(GAIN.compute).at(chosen) if chosen is not None else None
    fit = context.of(CAPACITY.compute).saturation.fit
    is_saturated = fit is not None and fit.verdict == "saturated"
    return (
        study.name,
        (chosen.label or "best settings") if chosen is not None else wording.DASH,
        wording.count(chosen.num_params if chosen is not None else None),
        headline.estimate(score),
        str(score.n) if score is not None else "0",
        headline.value(full.test if full is not None else None),
        headline.shift_words(gain.estimate) if gain and gain.estimate else wording.DASH,
        wording.count(fit.saturation_size if fit is not None and is_saturated else None),
    )
