"""How the search budget was spent."""

from collections import Counter
from typing import NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.config import applies_to_baseline
from kdsearch.results import Arm, Results, State, strata_of


class BudgetInfo(NamedTuple):
    """How the search budget was spent."""

    states: dict[State, int]
    """State to number of search trials, over both arms."""
    per_stratum: tuple[tuple[str, str, int], ...]
    """(stratum label, arm, trials finished)."""
    epochs: tuple[int, int]
    """Fewest and most student-epochs of a stratum and arm, over those that have spent any."""
    equal: bool
    """Whether every stratum and arm has had exactly `budget.trials`; one trial is all there is
    for an arm that has nothing to tune."""
    untuned: tuple[Arm, ...]
    """Arms that have nothing to tune."""
    test_openings: int
    """Models that saw the test set in the confirm stage, each once."""
    failures: tuple[str, ...]
    """Why trials failed, each reason once, with its number."""


def compute_budget(results: Results) -> BudgetInfo:
    """Trials by state, the share of every stratum and arm, and how often the test set was read."""
    search = results.select(stage="search")
    nuisances = results.config.parameters("nuisance")
    spent: Counter[tuple[str, Arm]] = Counter()
    epochs: Counter[tuple[str, Arm]] = Counter()
    for key in strata_of(results.config, results.trials):
        spent[wording.stratum_label(key), "distilled"] = 0
    for t in search:
        spent[wording.stratum_label(t.stratum), t.arm] += t.state != "RUNNING"
        epochs[wording.stratum_label(t.stratum), t.arm] += t.epochs
    tuned: dict[Arm, bool] = {
        "distilled": bool(nuisances), "baseline": any(map(applies_to_baseline, nuisances)),
    }  # fmt: skip
    budget = {arm: results.config.budget.trials if tuned[arm] else 1 for arm in tuned}
    reasons = Counter(t.failure or "unknown reason" for t in results.trials if t.state == "FAIL")
    return BudgetInfo(
        states=dict(Counter(t.state for t in search)),
        per_stratum=tuple((label, arm, n) for (label, arm), n in spent.items()),
        epochs=(min(epochs.values(), default=0), max(epochs.values(), default=0)),
        equal=bool(spent) and all(n == budget[arm] for (_, arm), n in spent.items()),
        untuned=tuple(arm for arm in tuned if not tuned[arm] and arm in {a for _, a in spent}),
        test_openings=sum(t.test is not None for t in results.trials),
        failures=tuple(f"{reason} ({n})" if n > 1 else reason for reason, n in reasons.items()),
    )


def budget_in(context: Context) -> BudgetInfo:
    """Of the study under analysis."""
    return compute_budget(context.results)
