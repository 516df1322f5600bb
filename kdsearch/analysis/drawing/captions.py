"""The small print under the figures."""

from collections import Counter
from collections.abc import Sequence

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.scale import PERCENT, PLAIN, Unit
from kdsearch.config import Objective
from kdsearch.results import Arm, TrialRecord
from kdsearch.results.score import ACCURACY_LIKE, objective_value


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


def student_words(label: str, estimate: Estimate, headline: Headline) -> str:
    """What a confirmed student's point says: `width 31: 96.44 ± 0.08 %, n = 5`."""
    return f"{label}: {headline.estimate(estimate)}, n = {estimate.n}"


def trial_words(trial: TrialRecord, objective: Objective) -> str:
    """What a search trial's point says: its number, its settings and what came of it."""
    settings = {n: v for n, v in trial.settings.items() if n not in trial.stratum}
    named = ", ".join(f"{_SHORT.get(n, wording.words(n))} {wording.scalar(v)}"
                      for n, v in settings.items())  # fmt: skip
    value, metric = objective_value(trial, objective), objective.metric
    unit = PERCENT if metric in ACCURACY_LIKE else PLAIN
    known = f": {wording.metric(metric)} {wording.number(value, 1, unit)}" if value else ""
    state = "" if trial.state == "COMPLETE" else f" ({trial.state.lower()})"
    return f"trial {trial.trial}{state}, {named}{known}"


_SHORT = {"temperature": "T", "ensemble_size": "teachers", "learning_rate": "rate"}


def origin(context: Context) -> str:
    """Seed and command."""
    command = context.results.command
    short = command if len(command) <= 70 else command[:69] + "…"
    return " · ".join(filter(None, [f"study seed {context.results.config.seed}", short]))
