"""The box that says how a report was made."""

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.page.document import learning_rate_policy, seeds, versions
from kdsearch.analysis.searching.budget import budget_in
from kdsearch.analysis.searching.rungs import rung_words, rungs_in


def making_rows(context: Context) -> list[tuple[str, str]]:
    """The rows of the box that says how the report was made."""
    results, budget = context.results, context.of(budget_in)
    known, rungs = seeds(results), context.of(rungs_in)
    states = ", ".join(f"{n} {state}" for state, n in sorted(budget.states.items()))
    replicates = known["replicates"]
    return [
        ("Command", results.command or "not recorded"),
        ("Seeds", f"study {known['study']}, data {known['data']}, teacher {known['teacher']}; "
         f"{wording.plural(len(replicates), 'replicate')} with fresh training seeds"),
        ("Search trials", states or "none yet"),
        (_equal_words(context), _budget_words(context)),
        *((("Rungs", rung_words(rungs)),) if rungs else ()),
        ("Test set", "sealed during the search; opened in the confirm stage, once for each of "
         f"{wording.plural(budget.test_openings, 'confirmed student')}"),
        ("Learning rate", learning_rate_policy(results.config)),
        ("Versions", ", ".join(f"{n} {v}" for n, v in versions().items())),
    ]  # fmt: skip


def _equal_words(context: Context) -> str:
    whose = f"{context.strata.noun.one} and arm" if context.strata.scientific else "arm"
    return f"Equal budget for each {whose}"


def _budget_words(context: Context) -> str:
    budget, trials = context.of(budget_in), context.results.config.budget.trials
    if not budget.per_stratum:
        return "no trial yet"
    untuned = wording.listing([style.ARM_NAMES[arm].lower() for arm in budget.untuned])
    why = f"; {untuned} has nothing to tune, so one trial is all there is" if untuned else ""
    if budget.equal:
        low, high = budget.epochs
        epochs = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        return f"yes: {wording.plural(trials, 'trial')} in each, {epochs} student-epochs{why}"
    spent = "; ".join(f"{label or 'study'} {arm} {n}" for label, arm, n in budget.per_stratum)
    return f"no (budget {trials}): {spent}{why}"
