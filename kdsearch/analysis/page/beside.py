"""What stands beside the answer: headline numbers, and what to know before believing them."""

from kdsearch.analysis import wording
from kdsearch.analysis.answers.gain import GAIN
from kdsearch.analysis.context import Context
from kdsearch.analysis.finding import FindingInfo
from kdsearch.analysis.page.document import learning_rate_policy
from kdsearch.analysis.searching.budget import budget_in


def headline_tiles(context: Context, finding: FindingInfo) -> list[tuple[str, str, str]]:
    """(label, value, detail) of the numbers at the top."""
    tiles, headline = [], context.strata.headline
    chosen = finding.recommended
    if chosen is not None and chosen.distilled is not None:
        e = chosen.distilled.test_score
        n = f"n = {e.n}" if e else ""
        title = "Recommended student" if finding.keeps_up else "Picked by validation"
        tiles.append((title, headline.estimate(e), f"{chosen.label} · {n}".strip(" ·")))
    bank = context.teachers.banks[0] if len(context.teachers.banks) == 1 else None
    full = bank.full_ensemble if bank else None
    if bank is not None and full is not None and full.size > 1:
        known = "test" if full.test is not None else "validation"
        value = full.test if full.test is not None else full.val
        tiles.append(
            (f"Ensemble of {full.size}", headline.value(value), f"{known} {headline.words}")
        )
    if bank is not None and bank.mean_member_test is not None:
        detail = f"mean of {bank.members}" if bank.members > 1 else bank.model
        tiles.append(("One teacher", headline.value(bank.mean_member_test), detail))
    if chosen is not None:
        gain = context.of(GAIN.compute).at(chosen)
        if gain is not None and gain.estimate is not None:
            ends = headline.shift_interval(gain.estimate)
            value = headline.shift_words(gain.estimate)
            detail = f"{context.level} interval {ends}"
            what = "Difference" if headline.is_minimised else "Gain"
            tiles.append((f"{what} from distillation", value, detail))
    return tiles


def caveats(context: Context) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes, budget = [], context.of(budget_in)
    if context.strata.strata and not context.strata.confirmed:
        notes.append(
            "Nothing is confirmed yet: what follows are search values on validation. The best of "
            "many is biased upward, so they are not results."
        )
    # A Pareto study has no strata to be empty: an entry without a distilled student is a baseline.
    several = len(context.results.config.objective) > 1
    strata = () if several else context.strata.strata
    if not context.results.banks:
        notes.append("No teacher has been trained yet.")
    empty = [s.label for s in strata if s.distilled is None and s.label]
    if empty:
        notes.append(f"No complete trial yet at {wording.listing(empty)}.")
    newer = [s.label for s in context.strata.strata if s.distilled and s.distilled.newer_choice]
    if newer:
        notes.append(
            f"The search has found better settings at {wording.listing(newer)} since these were "
            "confirmed; run the study again to confirm them."
        )
    if not budget.equal and context.strata.scientific:
        who = wording.capitalized(context.strata.noun.many)
        notes.append(f"{who} and arms have not had the same number of trials: see the last box.")
    if (
        "fixed rate" in learning_rate_policy(context.results.config)
        and len(context.strata.strata) > 1
    ):
        notes.append(f"Learning rate: {learning_rate_policy(context.results.config)}.")
    failed = sum(t.state == "FAIL" for t in context.results.trials)
    if failed:
        notes.append(f"{wording.plural(failed, 'trial')} failed: {'; '.join(budget.failures)}.")
    return notes
