"""The small print under the figures."""

from collections import Counter
from collections.abc import Sequence

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.statistics.scale import Unit
from kdsearch.results import Arm


def confirmed_caption(context: Context) -> str:
    """Of a figure that shows every confirmed student."""
    shown = [
        c.test_score
        for stratum in context.strata.strata
        for c in (stratum.distilled, stratum.baseline)
        if c is not None and c.test_score is not None
    ]
    return estimates_caption(context, shown)


def estimates_caption(
    context: Context, estimates: Sequence[Estimate], how: str = "", *, unit: Unit | None = None
) -> str:
    """Counts and standard errors of the very estimates that a figure shows.

    They are of the headline metric unless another unit is given.
    """
    unit = unit or context.strata.headline.unit
    n = f"n = {wording.span([e.n for e in estimates])}"
    errors = [e.se for e in estimates if e.se is not None]
    ends = (
        [f"{unit.factor * e:.{2 + unit.digits}f}" for e in (min(errors), max(errors))]
        if errors
        else []
    )
    se = f", SE {' to '.join(ends)}{unit.of_differences}" if errors else ""
    bars = f"bars: {context.level} t interval{se}"
    return f"mean of {n} replicates, {how}{bars} · {origin(context)}"


def search_caption(context: Context, arm: Arm | None = None) -> str:
    """Of a figure that shows search trials."""
    n = Counter(trial.state for trial in context.results.select(stage="search", arm=arm))
    shown = ", ".join(
        f"{n[state]} {state.lower()}" for state in ("COMPLETE", "PRUNED", "FAIL") if n.get(state)
    )
    whose = "search trials" if arm is None else f"{arm} search trials"
    return f"{whose} on validation, one seed each: {shown} · {origin(context)}"


def origin(context: Context) -> str:
    """Seed and command."""
    command = context.results.command
    short = command if len(command) <= 70 else command[:69] + "…"
    return " · ".join(filter(None, [f"study seed {context.results.config.seed}", short]))
