"""The tables that every report has: accuracies, chosen settings, teachers, fidelity."""

import numpy as np

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.estimate import ExampleInterval, bootstrap_examples
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.recommendation import recommendation_in
from kdsearch.analysis.stratum import Choice
from kdsearch.results.record import Evaluation, TrialRecord


def scores_table(context: Context) -> Table:
    """What every stratum reaches on test in both arms, beside teachers and ensembles."""
    sampling, level = _sampling_intervals(context), context.level
    headline = context.strata.headline
    header: tuple[str, ...] = (
        context.strata.noun.head, "Parameters",
        f"Distilled{headline.in_unit}", f"{level} interval", "n",
        f"Hard labels{headline.in_unit}", f"{level} interval", "n",
    )  # fmt: skip
    if sampling:
        header += ("Distilled, other test sets",)
    rows: list[tuple[str, ...]] = []
    for s in context.strata.strata:
        row: tuple[str, ...] = (
            s.label or "best settings",
            wording.count(s.num_params),
            *_estimate_cells(s.distilled, headline),
            *_estimate_cells(s.baseline, headline),
        )
        if sampling:
            ends = sampling.get(s.label)
            row += (wording.interval(ends.low, ends.high) if ends else wording.DASH,)
        rows.append(row)
    for name, params, reached, n in _teacher_lines(context):
        cells = (name, wording.count(params), headline.bare_value(reached, 2), wording.DASH, n)
        rows.append(cells + (wording.DASH,) * (len(header) - len(cells)))
    return Table(header, tuple(rows), highlight=_highlight(context))


def _teacher_lines(context: Context) -> list[tuple[str, int, float, str]]:
    """(name, parameters, test score, number of teachers) of each bank, as far as tested."""
    lines = []
    for bank in context.teachers.banks:
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


def _estimate_cells(choice: Choice | None, headline: Headline) -> tuple[str, str, str]:
    e = choice.test_score if choice else None
    if e is None:
        return wording.DASH, wording.DASH, "0"
    return headline.bare_estimate(e, 2), headline.interval(e, 2), str(e.n)


def _sampling_intervals(context: Context) -> dict[str, ExampleInterval]:
    """What other test sets would change; of accuracies only: which examples were right is kept."""
    if not context.strata.headline.is_accuracy:
        return {}
    shares = {s.label: s.distilled.share_correct for s in context.strata.confirmed if s.distilled}
    scores = {label: share for label, share in shares.items() if share is not None}
    if len({v.size for v in scores.values()}) != 1:
        return {}
    return bootstrap_examples(scores, confidence=context.strata.confidence)


def _highlight(context: Context) -> int | None:
    chosen = context.of(recommendation_in).recommended
    labels = [s.label for s in context.strata.strata]
    return labels.index(chosen.label) if chosen is not None else None


def settings_table(context: Context) -> Table:
    """The settings that the search chose; search values are labelled as what they are."""
    searched = [n for n, p in context.results.config.search.items() if p.role == "nuisance"]
    header = (
        context.strata.noun.head, "Arm", "Trial", *map(wording.words, searched),
        f"Search {wording.metric(context.results.config.objective[0].metric)} (best of n)", "n",
    )  # fmt: skip
    rows = []
    for s in context.strata.strata:
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


def teachers_table(context: Context) -> Table:
    """Members and ensembles of every bank."""
    several, shown = len(context.results.banks) > 1, _shown_of_teachers(context)
    rows = []
    for bank in context.results.banks:
        prefix = ", ".join(f"{n} {v}" for n, v in bank.settings.items()) if several else ""
        for m in bank.members:
            name = f"teacher {m.member}" + (f" ({prefix})" if prefix else "")
            rows.append((
                name, m.model, wording.count(m.num_params), str(m.epochs),
                *_evaluation_cells(m.val, m.test, shown),
            ))  # fmt: skip
        for e in bank.ensembles:
            if e.size > 1:
                name = f"ensemble of {e.size}" + (f" ({prefix})" if prefix else "")
                total = sum(m.num_params for m in bank.members[: e.size])
                rows.append((
                    name, "average of members", wording.count(total), wording.DASH,
                    *_evaluation_cells(e.val, e.test, shown),
                ))  # fmt: skip
    shown = _shown_of_teachers(context)
    columns = [f"{split} {headline.words}" for headline in shown for split in ("Val", "Test")]
    header = ("Name", "Model", "Parameters", "Epochs", *columns, "Test ECE")
    return Table(header, tuple(rows), text_columns=2)


def _shown_of_teachers(context: Context) -> tuple[Headline, ...]:
    """The metrics of the teachers' table: accuracy, and the headline where that is another."""
    headline = context.strata.headline
    return (ACCURACY,) if headline.is_accuracy else (headline, ACCURACY)


def _evaluation_cells(
    val: Evaluation, test: Evaluation | None, shown: tuple[Headline, ...]
) -> tuple[str, ...]:
    return (
        *(headline.value(headline.of(e), 2) for headline in shown for e in (val, test)),
        f"{test.ece:.3f}" if test else wording.DASH,
    )


def fidelity_table(context: Context) -> Table:
    """How well students imitate the ensemble and how well they are calibrated, on test."""
    rows = []
    for s in context.strata.confirmed:
        rows += [
            (s.label or "best settings", arm, *_fidelity_cells(choice.replicates))
            for arm, choice in (("distilled", s.distilled), ("hard labels", s.baseline))
            if choice is not None and choice.replicates
        ]
    header = (
        context.strata.noun.head,
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
