"""The report page: what goes into the template. Every text is escaped there."""

import base64
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import (
    Estimate,
    ExampleInterval,
    bootstrap_examples,
    unpack_correct,
)
from kdsearch.analysis.luck import luck_words
from kdsearch.analysis.page import style
from kdsearch.analysis.page.data_table import Table
from kdsearch.analysis.page.document import learning_rate_policy, seeds, versions
from kdsearch.analysis.page.report_figure import ReportFigure
from kdsearch.analysis.searching.rungs import rung_words
from kdsearch.analysis.stratum import Choice
from kdsearch.analysis.summary import Summary
from kdsearch.results.record import Evaluation, TrialRecord


class Picture(NamedTuple):
    """A figure as the page shows it."""

    figure: ReportFigure
    data_uri: str
    """SVG, base64; empty where there is none."""


def render_page(summary: Summary, figures: list[ReportFigure], svgs: dict[str, bytes]) -> str:
    """The whole page as HTML text, with nothing left to load.

    Args:
        summary: The numbers.
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
    results = summary.results
    all_paired = not any(g.unpaired for g in summary.gain.gains)
    uris = {name: base64.b64encode(svg).decode() for name, svg in svgs.items()}
    return environment.get_template("report.html").render(
        name=results.config.name,
        finding=summary.finding,
        tiles=_tiles(summary),
        notes=_notes(summary),
        pictures=[
            Picture(f, f"data:image/svg+xml;base64,{uris[f.name]}" if f.name in uris else "")
            for f in figures
        ],
        accuracy=accuracy_table(summary),
        gain=gain_table(summary),
        luck=bool(luck_words(summary.strata)),
        gain_caption="Mean paired difference." if all_paired else "Mean difference.",
        all_paired=all_paired,
        settings=settings_table(summary),
        teachers=teachers_table(summary),
        fidelity=fidelity_table(summary),
        made=_made(summary),
        level=wording.level(summary.strata.confidence),
        missed=f"{100 * (1 - summary.strata.confidence):.2g}",
    )


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """(label, value, detail) of the numbers at the top."""
    tiles = []
    chosen = summary.finding.recommended
    if chosen is not None and chosen.distilled is not None:
        e = chosen.distilled.test_accuracy
        n = f"n = {e.n}" if e else ""
        title = "Recommended student" if summary.finding.keeps_up else "Picked by validation"
        tiles.append((title, wording.estimate(e), f"{chosen.label} · {n}".strip(" ·")))
    bank = summary.teachers.banks[0] if len(summary.teachers.banks) == 1 else None
    full = bank.full_ensemble if bank else None
    if bank is not None and full is not None and full.size > 1:
        known = "test" if full.test is not None else "validation"
        value = full.test if full.test is not None else full.val
        tiles.append((f"Ensemble of {full.size}", wording.percent(value), f"{known} accuracy"))
    if bank is not None and bank.mean_member_test is not None:
        detail = f"mean of {bank.members}" if bank.members > 1 else bank.model
        tiles.append(("One teacher", wording.percent(bank.mean_member_test), detail))
    if chosen is not None:
        gain = next((g for g in summary.gain.gains if g.label == chosen.label), None)
        if gain is not None and gain.estimate is not None:
            ends = wording.shift_interval(gain.estimate)
            value = f"{wording.shift(gain.estimate)} points"
            level = wording.level(summary.strata.confidence)
            tiles.append(("Gain from distillation", value, f"{level} interval {ends}"))
    return tiles


def _notes(summary: Summary) -> list[str]:
    """What a reader must know before believing the numbers."""
    notes, budget = [], summary.budget
    if summary.strata.strata and not summary.strata.confirmed:
        notes.append(
            "Nothing is confirmed yet: what follows are search values on validation. The best of "
            "many is biased upward, so they are not results."
        )
    # A Pareto study has no strata to be empty: an entry without a distilled student is a baseline.
    several = len(summary.results.config.objective) > 1
    strata = () if several else summary.strata.strata
    empty = [s.label for s in strata if s.distilled is None and s.label]
    if empty:
        notes.append(f"No complete trial yet at {wording.listing(empty)}.")
    newer = [s.label for s in summary.strata.strata if s.distilled and s.distilled.newer_choice]
    if newer:
        notes.append(
            f"The search has found better settings at {wording.listing(newer)} since these were "
            "confirmed; run the study again to confirm them."
        )
    if not budget.equal and summary.strata.scientific:
        notes.append("Strata and arms have not had the same number of trials: see the last box.")
    if "fixed rate" in learning_rate_policy(summary.results) and len(summary.strata.strata) > 1:
        notes.append(f"Learning rate: {learning_rate_policy(summary.results)}.")
    failed = sum(t.state == "FAIL" for t in summary.results.trials)
    if failed:
        notes.append(f"{wording.plural(failed, 'trial')} failed: {'; '.join(budget.failures)}.")
    return notes


def accuracy_table(summary: Summary) -> Table:
    """Confirmed test accuracy of every stratum in both arms, beside teachers and ensembles."""
    sampling, level = _sampling_intervals(summary), wording.level(summary.strata.confidence)
    header: tuple[str, ...] = (
        "Stratum", "Parameters", "Distilled (%)", f"{level} interval", "n",
        "Hard labels (%)", f"{level} interval", "n",
    )  # fmt: skip
    if sampling:
        header += ("Distilled, other test sets",)
    rows: list[tuple[str, ...]] = []
    for s in summary.strata.strata:
        row: tuple[str, ...] = (
            s.label or "best settings",
            wording.count(s.num_params),
            *_estimate_cells(s.distilled),
            *_estimate_cells(s.baseline),
        )
        if sampling:
            ends = sampling.get(s.label)
            row += (wording.interval(ends.low, ends.high) if ends else wording.DASH,)
        rows.append(row)
    for name, params, accuracy, n in _teacher_lines(summary):
        value = wording.percent(accuracy, 2).removesuffix(" %")
        cells = (name, wording.count(params), value, wording.DASH, n)
        rows.append(cells + (wording.DASH,) * (len(header) - len(cells)))
    return Table(header, tuple(rows), highlight=_highlight(summary))


def _teacher_lines(summary: Summary) -> list[tuple[str, int, float, str]]:
    """(name, parameters, test accuracy, number of teachers) of each bank, as far as tested."""
    lines = []
    for bank in summary.teachers.banks:
        of = f" ({bank.label})" if bank.label else ""
        if bank.mean_member_test is not None:
            mean = f", mean of {bank.members}" if bank.members > 1 else ""
            member = (f"one teacher{of}{mean}", bank.num_params, bank.mean_member_test)
            lines.append((*member, str(bank.members)))
        full = bank.full_ensemble
        if full is not None and full.size > 1 and full.test is not None:
            size = full.size * bank.num_params
            lines.append((f"ensemble of {full.size}{of}", size, full.test, "1"))
    return lines


def gain_table(summary: Summary) -> Table:
    """The paired difference of the arms at every stratum that both have confirmed."""
    rows = tuple(
        (
            g.label or "best settings",
            wording.shift(g.estimate, 2),
            _error(g.estimate),
            str(g.estimate.n),
            wording.shift_interval(g.estimate, 2),
            wording.points_interval(g.examples.low, g.examples.high, 2)
            if g.examples
            else wording.DASH,
            g.verdict,
        )
        for g in summary.gain.gains
        if g.estimate is not None
    )
    level = wording.level(summary.gain.confidence)
    header = (
        "Stratum", "Gain (points)", "SE", "n", f"{level} interval",
        f"{level} interval, other test sets", "Verdict",
    )  # fmt: skip
    return Table(header, rows)


def _error(e: Estimate) -> str:
    return wording.DASH if e.se is None else f"{100 * e.se:.{wording.places_of(e, least=2)}f}"


def _estimate_cells(choice: Choice | None) -> tuple[str, str, str]:
    e = choice.test_accuracy if choice else None
    if e is None:
        return wording.DASH, wording.DASH, "0"
    return wording.estimate(e, 2).removesuffix(" %"), wording.estimate_interval(e, 2), str(e.n)


def _sampling_intervals(summary: Summary) -> dict[str, ExampleInterval]:
    scores = {}
    for s in summary.strata.confirmed:
        assert s.distilled is not None
        kept = [
            unpack_correct(t.test_correct, t.test.num_samples)
            for t in s.distilled.replicates
            if t.test_correct and t.test
        ]
        if kept and len(kept) == len(s.distilled.replicates):
            scores[s.label] = np.mean(kept, axis=0)
    if len({v.size for v in scores.values()}) != 1:
        return {}
    return bootstrap_examples(scores, confidence=summary.strata.confidence)


def _highlight(summary: Summary) -> int | None:
    chosen = summary.finding.recommended
    labels = [s.label for s in summary.strata.strata]
    return labels.index(chosen.label) if chosen is not None else None


def settings_table(summary: Summary) -> Table:
    """The settings that the search chose; search values are labelled as what they are."""
    searched = [n for n, p in summary.results.config.search.items() if p.role == "nuisance"]
    header = (
        "Stratum", "Arm", "Trial", *map(wording.words, searched),
        f"Search {wording.metric(summary.results.config.objective[0].metric)} (best of n)", "n",
    )  # fmt: skip
    rows = []
    for s in summary.strata.strata:
        for arm, choice in (("distilled", s.distilled), ("hard labels", s.baseline)):
            if choice is None:
                continue
            states = s.trial_states.get("distilled" if arm == "distilled" else "baseline", {})
            cells = (wording.scalar(choice.trial.settings.get(name)) for name in searched)
            value = wording.DASH if choice.search_value is None else f"{choice.search_value:.4g}"
            trials = str(sum(states.values())) if states else wording.DASH
            name = s.label or "best settings"
            rows.append((name, arm, str(choice.trial.trial), *cells, value, trials))
    return Table(header, tuple(rows), text_columns=2)


def teachers_table(summary: Summary) -> Table:
    """Members and ensembles of every bank."""
    several = len(summary.results.banks) > 1
    rows = []
    for bank in summary.results.banks:
        prefix = ", ".join(f"{n} {v}" for n, v in bank.settings.items()) if several else ""
        for m in bank.members:
            name = f"teacher {m.member}" + (f" ({prefix})" if prefix else "")
            rows.append((
                name, m.model, wording.count(m.num_params), str(m.epochs),
                *_evaluation_cells(m.val, m.test),
            ))  # fmt: skip
        for e in bank.ensembles:
            if e.size > 1:
                name = f"ensemble of {e.size}" + (f" ({prefix})" if prefix else "")
                total = sum(m.num_params for m in bank.members[: e.size])
                rows.append((
                    name, "average of members", wording.count(total), wording.DASH,
                    *_evaluation_cells(e.val, e.test),
                ))  # fmt: skip
    header = ("Name", "Model", "Parameters", "Epochs", "Val accuracy", "Test accuracy", "Test ECE")
    return Table(header, tuple(rows), text_columns=2)


def _evaluation_cells(val: Evaluation, test: Evaluation | None) -> tuple[str, str, str]:
    return (
        wording.percent(val.accuracy, 2),
        wording.percent(test.accuracy if test else None, 2),
        f"{test.ece:.3f}" if test else wording.DASH,
    )


def fidelity_table(summary: Summary) -> Table:
    """How well students imitate the ensemble and how well they are calibrated, on test."""
    rows = []
    for s in summary.strata.confirmed:
        rows += [
            (s.label or "best settings", arm, *_fidelity_cells(choice.replicates))
            for arm, choice in (("distilled", s.distilled), ("hard labels", s.baseline))
            if choice is not None and choice.replicates
        ]
    header = (
        "Stratum",
        "Arm",
        "Agreement",
        "KL to ensemble (nats)",
        "NLL (nats)",
        "ECE",
        "Brier",
        "n",
    )
    return Table(header, tuple(rows), text_columns=2)


def _fidelity_cells(replicates: tuple[TrialRecord, ...]) -> tuple[str, ...]:
    tests = [t.test for t in replicates if t.test is not None]

    def mean(field: str) -> float:
        return float(np.mean([getattr(t, field) for t in tests]))

    return (
        wording.percent(mean("agreement"), 2),
        *(f"{mean(field):.4f}" for field in ("teacher_kl", "loss", "ece", "brier")),
        str(len(tests)),
    )


def _made(summary: Summary) -> list[tuple[str, str]]:
    """The rows of the box that says how the report was made."""
    results, budget = summary.results, summary.budget
    known = seeds(results)
    states = ", ".join(f"{n} {state}" for state, n in sorted(budget.states.items()))
    replicates = known["replicates"]
    return [
        ("Command", results.command or "not recorded"),
        ("Seeds", f"study {known['study']}, data {known['data']}, teacher {known['teacher']}; "
         f"{wording.plural(len(replicates), 'replicate')} with fresh training seeds"),
        ("Search trials", states or "none yet"),
        ("Equal budget per stratum and arm", _budget_words(summary)),
        *((("Rungs", rung_words(summary.rungs)),) if summary.rungs else ()),
        ("Test set", "sealed during the search; opened in the confirm stage, once for each of "
         f"{wording.plural(budget.test_openings, 'confirmed student')}"),
        ("Learning rate", learning_rate_policy(results)),
        ("Versions", ", ".join(f"{n} {v}" for n, v in versions().items())),
    ]  # fmt: skip


def _budget_words(summary: Summary) -> str:
    budget, trials = summary.budget, summary.results.config.budget.trials
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
