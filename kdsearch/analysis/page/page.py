"""The report page: what goes into the template. Every text is escaped there."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from kdsearch.analysis import wording
from kdsearch.analysis.answers.gain import GAIN
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.finding import FindingInfo
from kdsearch.analysis.luck import luck_words
from kdsearch.analysis.page.document import learning_rate_policy, seeds, versions
from kdsearch.analysis.page.tables import (
    fidelity_table,
    scores_table,
    settings_table,
    teachers_table,
)
from kdsearch.analysis.searching.budget import budget_in
from kdsearch.analysis.searching.rungs import rung_words, rungs_in


class Picture(NamedTuple):
    """A figure as the page shows it."""

    figure: ReportFigure
    data_uri: str
    """SVG, base64; empty where there is none."""


def render_page(
    context: Context, finding: FindingInfo, figures: Sequence[ReportFigure], svgs: dict[str, bytes]
) -> str:
    """The whole page as HTML text, with nothing left to load.

    Args:
        context: The numbers.
        finding: What they say.
        figures: The figures in their order.
        svgs: SVG text of every figure that was drawn, by name.
    """
    environment = Environment(
        loader=PackageLoader("kdsearch.analysis.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    uris = {name: base64.b64encode(svg).decode() for name, svg in svgs.items()}
    return environment.get_template("report.html").render(
        name=context.results.config.name,
        finding=finding,
        tiles=_tiles(context, finding),
        notes=_notes(context),
        pictures=[
            Picture(f, f"data:image/svg+xml;base64,{uris[f.name]}" if f.name in uris else "")
            for f in figures
        ],
        scores=scores_table(context),
        metric=context.strata.headline.words,
        luck=bool(luck_words(context.strata)),
        all_paired=context.of(GAIN.compute).all_paired,
        settings=settings_table(context),
        teachers=teachers_table(context),
        fidelity=fidelity_table(context),
        made=_made(context),
        level=context.level,
        missed=f"{100 * (1 - context.strata.confidence):.2g}",
    )


def _tiles(context: Context, finding: FindingInfo) -> list[tuple[str, str, str]]:
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


def _notes(context: Context) -> list[str]:
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
        notes.append("Strata and arms have not had the same number of trials: see the last box.")
    if (
        "fixed rate" in learning_rate_policy(context.results.config)
        and len(context.strata.strata) > 1
    ):
        notes.append(f"Learning rate: {learning_rate_policy(context.results.config)}.")
    failed = sum(t.state == "FAIL" for t in context.results.trials)
    if failed:
        notes.append(f"{wording.plural(failed, 'trial')} failed: {'; '.join(budget.failures)}.")
    return notes


def _made(context: Context) -> list[tuple[str, str]]:
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
        ("Equal budget per stratum and arm", _budget_words(context)),
        *((("Rungs", rung_words(rungs)),) if rungs else ()),
        ("Test set", "sealed during the search; opened in the confirm stage, once for each of "
         f"{wording.plural(budget.test_openings, 'confirmed student')}"),
        ("Learning rate", learning_rate_policy(results.config)),
        ("Versions", ", ".join(f"{n} {v}" for n, v in versions().items())),
    ]  # fmt: skip


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
