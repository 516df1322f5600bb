"""What a figure of the report is, and the small print under it."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.page.data_table import Table
from kdsearch.analysis.summary import Summary
from kdsearch.results import Arm


class ReportFigure(NamedTuple):
    """One figure of the report, or the reason why it cannot be drawn."""

    name: str
    """File name without its ending."""
    title: str
    explanation: str
    """How to read it, in one or two sentences."""
    figure: Figure | None
    missing: str
    table: Table | None = None
    """The figure's numbers."""


def confirmed_caption(s: Summary) -> str:
    """Of a figure that shows every confirmed student."""
    shown = [
        c.test_accuracy
        for stratum in s.strata.strata
        for c in (stratum.distilled, stratum.baseline)
        if c is not None and c.test_accuracy is not None
    ]
    return estimates_caption(s, shown)


def estimates_caption(
    s: Summary, estimates: Sequence[Estimate], how: str = "", *, unit: str = "points"
) -> str:
    """Counts and standard errors of the very estimates that a figure shows."""
    n = f"n = {wording.span([e.n for e in estimates])}"
    errors = [e.se for e in estimates if e.se is not None]
    factor = 100 if unit == "points" else 1
    ends = f"{factor * min(errors):.2f} to {factor * max(errors):.2f}" if errors else ""
    se = f", SE {ends} {unit}" if errors else ""
    return f"mean of {n} replicates, {how}bars: {level(s)} t interval{se} · {origin(s)}"


def search_caption(s: Summary, arm: Arm | None = None) -> str:
    """Of a figure that shows search trials."""
    n = Counter(trial.state for trial in s.results.select(stage="search", arm=arm))
    shown = ", ".join(
        f"{n[state]} {state.lower()}" for state in ("COMPLETE", "PRUNED", "FAIL") if n.get(state)
    )
    whose = "search trials" if arm is None else f"{arm} search trials"
    return f"{whose} on validation, one seed each: {shown} · {origin(s)}"


def level(s: Summary) -> str:
    """Coverage of the study's intervals: `90 %`."""
    return wording.level(s.strata.confidence)


def origin(s: Summary) -> str:
    """Seed and command."""
    command = s.results.command
    short = command if len(command) <= 70 else command[:69] + "…"
    return " · ".join(filter(None, [f"study seed {s.results.config.seed}", short]))
