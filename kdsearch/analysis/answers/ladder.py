"""The sizes of a ladder in the order they were tried, and what stopping early saved."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import confirmed_caption
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.stratum import StrataInfo
from kdsearch.results import Results, TrialRecord, sizes_tried


class Rung(NamedTuple):
    """One size."""

    order: int
    """1 for the first that was tried."""
    size: int
    trials: int
    """Search trials of both arms."""
    epochs: int
    """Student-epochs trained at this size, search and confirm, both arms."""
    test_score: Estimate | None
    on_grid: bool
    """Whether start * factor^k gives it; False for one put around the saturation point."""


class LadderInfo(NamedTuple):
    """What was climbed, and what the full grid would have cost."""

    parameter: str
    rungs: tuple[Rung, ...]
    not_tried: tuple[int, ...]
    """Sizes of the full grid that were never trained."""
    trials_saved: int
    """Search trials that the full grid would have taken beyond those made; negative where the
    sizes around the saturation point cost more than was saved."""
    epochs_saved: int
    """Student-epochs, with the mean of the sizes tried for each that was not."""
    missing: str
    headline: Headline = ACCURACY
    """What the scores are of."""


def compute_ladder(results: Results, info: StrataInfo) -> LadderInfo | None:
    """The ladder as it was climbed; None for a study without one."""
    ladder = results.config.study.ladder
    if ladder is None:
        return None
    grid = ladder.sizes()
    by_size: dict[int, list[TrialRecord]] = {}
    for trial in results.trials:
        size = trial.stratum.get(ladder.parameter)
        if isinstance(size, int):
            by_size.setdefault(size, []).append(trial)
    tested = {s.key[ladder.parameter]: s.distilled.test_score for s in info.strata if s.distilled}
    rungs = tuple(
        Rung(
            order=order,
            size=size,
            trials=sum(t.stage == "search" for t in by_size.get(size, [])),
            epochs=sum(t.epochs for t in by_size.get(size, [])),
            test_score=tested.get(size),
            on_grid=size in grid,
        )
        for order, size in enumerate(sizes_tried(results.config, results.trials), 1)
    )
    not_tried = tuple(s for s in grid if s not in {r.size for r in rungs})
    balance = len(not_tried) - sum(not r.on_grid for r in rungs)
    return LadderInfo(
        parameter=ladder.parameter,
        rungs=rungs,
        not_tried=not_tried,
        trials_saved=_mean(rungs, "trials", balance),
        epochs_saved=_mean(rungs, "epochs", balance),
        missing="" if rungs else "No size has been tried yet.",
        headline=info.headline,
    )


def _mean(rungs: tuple[Rung, ...], field: str, times: int) -> int:
    return round(times * float(np.mean([getattr(r, field) for r in rungs]))) if rungs else 0


def ladder_sentence(info: LadderInfo | None) -> str:
    """The order of the sizes and the saving; empty without a ladder."""
    if info is None or info.missing:
        return ""
    name = wording.words(info.parameter)
    climbed = [str(r.size) for r in info.rungs if r.on_grid]
    added = [str(r.size) for r in info.rungs if not r.on_grid]
    text = f"The ladder tried {name} {wording.listing(climbed)} in this order"
    if added:
        text += f" and, around the saturation point, {wording.listing(added)}"
    if not info.not_tried:
        return f"{text}: it climbed to its end, so it saved nothing against the full grid."
    grid = wording.plural(len(info.not_tried), "size")
    if info.epochs_saved <= 0:
        return (
            f"{text}: it left out {grid} of the full grid, no more than the sizes it added, so it "
            "saved nothing."
        )
    spent = sum(r.epochs for r in info.rungs)
    share = wording.percent(info.epochs_saved / (info.epochs_saved + spent), 0)
    return (
        f"{text}: against the full grid it left out {grid} "
        f"({wording.listing([str(s) for s in info.not_tried])}), about "
        f"{info.trials_saved:,} trials and {info.epochs_saved:,} student-epochs ({share})."
    )


def ladder_table(info: LadderInfo) -> Table:
    """One row for each size, in the order tried."""
    rows = tuple(
        (
            str(r.order),
            f"{wording.words(info.parameter)} {r.size}",
            "rung" if r.on_grid else "around the saturation point",
            f"{r.trials:,}",
            f"{r.epochs:,}",
            info.headline.estimate(r.test_score),
            str(r.test_score.n) if r.test_score else "0",
        )
        for r in info.rungs
    )
    test = f"Test {info.headline.words}"
    header = ("Tried", "Size", "Why", "Search trials", "Student-epochs", test, "n")
    caption = "Trials and epochs of both arms; epochs of search and confirm runs."
    return Table(header, rows, text_columns=3, caption=caption)


def draw_ladder(info: LadderInfo, ax: Axes) -> None:
    """Size (log) by order, rungs filled, added sizes hollow, untried ones as crosses."""
    x, y = [r.order for r in info.rungs], [r.size for r in info.rungs]
    ax.plot(x, y, color=style.DISTILLED, lw=1.2, alpha=0.5, zorder=2)
    for on_grid, face, label in (
        (True, style.DISTILLED, "rung of the ladder"),
        (False, "white", "around the saturation point"),
    ):
        shown = [r for r in info.rungs if r.on_grid == on_grid]
        if shown:
            at = [r.order for r in shown], [r.size for r in shown]
            ax.scatter(*at, s=52, facecolors=face, edgecolors=style.DISTILLED, linewidths=1.4,
                       zorder=3, label=label)  # fmt: skip
    for r in info.rungs:
        if r.test_score is not None:
            text = info.headline.value(r.test_score.mean)
            ax.annotate(text, (r.order, r.size), fontsize=8, color=style.MUTED,
                        xytext=(6, -11), textcoords="offset points")  # fmt: skip
    if info.not_tried:
        ax.scatter([len(x) + 1] * len(info.not_tried), info.not_tried, marker="x", s=40,
                   color=style.MUTED, label="not needed")  # fmt: skip
    ax.set_yscale("log")
    sizes = sorted({*y, *info.not_tried})
    ax.set_yticks(sizes, [str(s) for s in sizes])
    ax.minorticks_off()
    ax.set_xticks(x)
    ax.set_xlim(0.5, len(x) + 1.5)
    ax.set_xlabel("Order in which sizes were tried")
    ax.set_ylabel(wording.capitalized(wording.words(info.parameter)))
    ax.legend(loc="lower right")


class _Ladder(Answer[LadderInfo]):
    """The sizes in the order tried."""

    name = "ladder"
    keys = ("ladder",)
    finding_rank = 70
    document_rank = 50

    def compute(self, context: Context) -> LadderInfo | None:
        return compute_ladder(context.results, context.strata)

    def sentences(self, info: LadderInfo, context: Context) -> tuple[str, ...]:
        return (ladder_sentence(info),)

    def figures(self, info: LadderInfo, context: Context) -> tuple[ReportFigure, ...]:
        if info.missing:
            return ()
        figure = style.new_figure(8.2, 4.0)
        draw_ladder(info, figure.add_subplot())
        style.add_caption(figure, confirmed_caption(context))
        explanation = ladder_sentence(info) + (
            f" While climbing, saturation is judged by validation {info.headline.words}; "
            f"the test {'accuracies' if info.headline.is_accuracy else 'values'} shown decide "
            "nothing."
        )
        return (ReportFigure("ladder", "The ladder", explanation, figure, "", ladder_table(info)),)

    def document(self, info: LadderInfo, context: Context) -> dict[str, Any]:
        if info.missing:
            return {}
        return {
            "ladder": {
                "parameter": info.parameter,
                "order": [r.size for r in info.rungs],
                "not_tried": list(info.not_tried),
                "search_trials_saved": info.trials_saved,
                "student_epochs_saved": info.epochs_saved,
            }
        }


LADDER = _Ladder()
