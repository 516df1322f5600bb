"""Which nuisance parameters mattered within strata."""

from typing import NamedTuple

from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.page import style
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


def importance_sentence(info: ImportanceInfo, results: Results) -> str:
    """What the search says about the tuned parameters; empty where it cannot say."""
    if info.missing:
        return ""
    shares = [f"{_share(share)} %" for share in info.shares]
    named = [wording.words(name) for name in info.names]
    first = f"the {named[0]} explains {shares[0]} of the differences in "
    first += wording.metric(results.config.objective[0].metric)
    rest = [f"{name} {share}" for name, share in zip(named[1:], shares[1:], strict=True)]
    where = "Within strata " if results.config.parameters("scientific") else "In the search "
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
    ax.set_xlabel("Share of the objective's variance within strata (%)")
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
