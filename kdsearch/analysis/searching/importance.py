"""Which nuisance parameters mattered within strata."""

from typing import NamedTuple

from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import origin
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.results import Results


class ImportanceInfo(NamedTuple):
    """Parameters by falling share of the objective's variance."""

    names: tuple[str, ...]
    shares: tuple[float, ...]
    """Fractions that sum to 1."""
    num_trials: int
    """Complete distilled search trials."""
    missing: str


def compute_importance(results: Results) -> ImportanceInfo:
    """The coordinator's parameter importance, sorted."""
    ranked = sorted(results.importance.items(), key=lambda item: -item[1])
    return ImportanceInfo(
        names=tuple(name for name, _ in ranked),
        shares=tuple(share for _, share in ranked),
        num_trials=len(results.select(stage="search", arm="distilled", state="COMPLETE")),
        missing="" if ranked else "Too few complete trials to estimate importance.",
    )


def importance_sentence(info: ImportanceInfo, context: Context) -> str:
    """What the search says about the tuned parameters; empty where it cannot say."""
    if info.missing:
        return ""
    config = context.results.config
    shares = [f"{_share(share)} %" for share in info.shares]
    named = [wording.words(name) for name in info.names]
    first = f"the {named[0]} explains {shares[0]} of the differences in "
    first += wording.metric(config.objective[0].metric)
    rest = [f"{name} {share}" for name, share in zip(named[1:], shares[1:], strict=True)]
    is_split = bool(config.parameters("scientific"))
    where = f"Within each {context.strata.noun.one} " if is_split else "In the search "
    others = f", {wording.listing(rest)}" if rest else ""
    return (
        f"{where}{first}{others} (n = {info.num_trials} complete distilled trials, pruned ones "
        "left out)."
    )


def _share(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def draw_importance(info: ImportanceInfo, ax: Axes) -> None:
    """Horizontal bars, the most important on top."""
    rows = range(len(info.names))
    ax.barh(rows, [100 * s for s in info.shares], color=style.DISTILLED, height=0.6)
    for row, share in zip(rows, info.shares, strict=True):
        ax.text(100 * share + 1.2, row, f"{100 * share:.0f} %", va="center", fontsize=9)
    ax.set_yticks(rows, [wording.words(name) for name in info.names])
    ax.invert_yaxis()
    ax.set_xlim(0, max(100 * max(info.shares) * 1.15, 10))
    ax.set_xlabel("Share of the objective's variance (%)")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


class _Importance(Answer[ImportanceInfo]):
    """Which tuned parameters mattered. results.json has the shares anyway."""

    name = "importance"
    finding_rank = 90

    def compute(self, context: Context) -> ImportanceInfo:
        return compute_importance(context.results)

    def sentences(self, info: ImportanceInfo, context: Context) -> tuple[str, ...]:
        return (importance_sentence(info, context),)

    def figures(self, info: ImportanceInfo, context: Context) -> tuple[ReportFigure, ...]:
        figure = None
        if not info.missing:
            figure = style.new_figure(8.2, 1.4 + 0.42 * len(info.names))
            draw_importance(info, figure.add_subplot())
            n = f"n = {info.num_trials} complete distilled search trials (pruned ones left out)"
            style.add_caption(figure, f"{n} · {origin(context)}")
        explanation = (
            "Share of the search objective's variance that each nuisance parameter explains "
            f"at one {context.strata.noun.one}, from complete distilled trials only, over the "
            "ranges searched: a narrow range makes a parameter look unimportant."
        )
        title = "What mattered"
        return (ReportFigure("importance", title, explanation, figure, info.missing),)


IMPORTANCE = _Importance()
