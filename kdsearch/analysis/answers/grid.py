"""Two scientific parameters: values over their grid, and where the second one matters.

Effects are differences between columns of one row, paired where the students are of one
architecture.
"""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.comparison import Verdict, difference, effect_verdict
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import confirmed_caption, student_words
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.mark import mark_point
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.estimate import Estimate, estimate_mean
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.config import changes_student
from kdsearch.results.pairing import are_alike, replicate_pairs
from kdsearch.results.record import Scalar

MAX_CURVES = 8


class Cell(NamedTuple):
    """One confirmed point of the grid."""

    estimate: Estimate
    choice: Choice


class Effect(NamedTuple):
    """The last value of the second parameter against its first, in one row."""

    row: Scalar
    estimate: Estimate
    verdict: Verdict
    paired: bool


class GridInfo(NamedTuple):
    """Rows are the student's size where the study has one, columns the other parameter."""

    rows: str
    """Name of the rows' parameter."""
    columns: str
    row_values: tuple[Scalar, ...]
    column_values: tuple[Scalar, ...]
    cells: dict[tuple[Scalar, Scalar], Cell]
    effects: tuple[Effect, ...]
    interaction: Estimate | None
    """Effect in the first row minus effect in the last."""
    paired: bool
    confidence: float
    tolerance: float
    missing: str
    headline: Headline = ACCURACY
    """What the scores are of."""


def compute_grid(info: StrataInfo) -> GridInfo | None:
    """Values over two scientific parameters; None for studies with another number of them."""
    if len(info.scientific) != 2:
        return None
    rows, columns = sorted(info.scientific, key=lambda n: not changes_student(n))
    cells = {
        (s.key[rows], s.key[columns]): cell
        for s in info.strata
        if rows in s.key and columns in s.key and (cell := _cell(s)) is not None
    }
    row_values = tuple(dict.fromkeys(s.key[rows] for s in info.strata if rows in s.key))
    column_values = tuple(dict.fromkeys(s.key[columns] for s in info.strata if columns in s.key))
    effects = _effects(cells, row_values, column_values, info)
    paired = all(effect.paired for effect in effects)
    return GridInfo(
        rows=rows,
        columns=columns,
        row_values=row_values,
        column_values=column_values,
        cells=cells,
        effects=effects,
        interaction=_interaction(cells, row_values, column_values, info) if paired else None,
        paired=paired,
        confidence=info.confidence,
        tolerance=info.tolerance,
        missing="" if cells else "Nothing is confirmed yet.",
        headline=info.headline,
    )


def _cell(stratum: Stratum) -> Cell | None:
    choice = stratum.distilled
    if choice is None or choice.test_score is None:
        return None
    return Cell(choice.test_score, choice)


def _ends(
    cells: dict[tuple[Scalar, Scalar], Cell], row: Scalar, columns: tuple[Scalar, ...]
) -> tuple[Cell, Cell] | None:
    shown = [cells[row, c] for c in columns if (row, c) in cells]
    return (shown[0], shown[-1]) if len(shown) > 1 else None


def _effects(
    cells: dict[tuple[Scalar, Scalar], Cell],
    rows: tuple[Scalar, ...],
    columns: tuple[Scalar, ...],
    info: StrataInfo,
) -> tuple[Effect, ...]:
    effects = []
    for row in rows:
        ends = _ends(cells, row, columns)
        if ends is None:
            continue
        first, last = (cell.choice for cell in ends)
        estimate = difference(last, first, metric=info.headline.metric, confidence=info.confidence)
        if estimate is not None:
            verdict = effect_verdict(estimate, info.tolerance)
            effects.append(Effect(row, estimate, verdict, are_alike(first.trial, last.trial)))
    return tuple(effects)


def _interaction(
    cells: dict[tuple[Scalar, Scalar], Cell],
    rows: tuple[Scalar, ...],
    columns: tuple[Scalar, ...],
    info: StrataInfo,
) -> Estimate | None:
    small, large = _ends(cells, rows[0], columns), _ends(cells, rows[-1], columns)
    if len(rows) < 2 or small is None or large is None:
        return None
    a, b = (_by_replicate(*ends, info.headline) for ends in (small, large))
    values = [a[r] - b[r] for r in sorted(a.keys() & b.keys())]
    return estimate_mean(values, confidence=info.confidence)


def _by_replicate(first: Cell, last: Cell, headline: Headline) -> dict[int, float]:
    pairs = replicate_pairs(last.choice.replicates, first.choice.replicates)
    scores = ((a.replicate, headline.of(a.test), headline.of(b.test)) for a, b in pairs)
    return {n: a - b for n, a, b in scores if a is not None and b is not None}


def grid_sentence(info: GridInfo | None) -> str:
    """Where the second parameter matters, and whether more so for the first row; may be empty."""
    if info is None or info.missing or not info.effects:
        return ""
    first, last = (wording.scalar(info.column_values[i]) for i in (0, -1))
    name, row = wording.words(info.columns), wording.words(info.rows)
    where: dict[Verdict, list[Effect]] = {}
    for effect in info.effects:
        where.setdefault(effect.verdict, []).append(effect)
    clauses = [
        f"{_PHRASES[verdict]} at {row} {_places(where[verdict], info.headline)}"
        for verdict in _PHRASES
        if verdict in where
    ]
    n = min(e.estimate.n for e in info.effects)
    how = f"{'paired, ' if info.paired else ''}n = {n}, {wording.level(info.confidence)} intervals"
    text = f"{wording.capitalized(name)} {last} instead of {first} {wording.listing(clauses)} "
    return f"{text}({how}){_interaction_words(info)}."


def _places(effects: list[Effect], headline: Headline) -> str:
    return wording.listing([
        f"{wording.scalar(e.row)} ({headline.shift(e.estimate)}"
        f"{_interval(e.estimate, headline)})"
        for e in effects
    ])  # fmt: skip


def _interval(e: Estimate, headline: Headline) -> str:
    ends = headline.shift_interval(e)
    return "" if ends == wording.DASH else f" {ends}"


def _interaction_words(info: GridInfo) -> str:
    e = info.interaction
    if e is None or e.low is None or e.high is None:
        return ""
    row = wording.words(info.rows)
    first, last = (f"{row} {wording.scalar(info.row_values[i])}" for i in (0, -1))
    headline = info.headline
    ends = f"{headline.shift_words(e)}, {headline.shift_interval(e)}"
    if e.low > 0:
        return f"; it adds more at {first} than at {last} ({ends})"
    if e.high < 0:
        return f"; it adds less at {first} than at {last} ({ends})"
    return f"; that it matters more at {first} than at {last} is not shown ({ends})"


_PHRASES: dict[Verdict, str] = {
    "helps": "helps",
    "hurts": "hurts",
    "no difference": "makes no difference",
    "unclear": "has no effect that these replicates can tell from zero",
    "not measured": "is not measured with an interval",
}


def grid_table(info: GridInfo) -> Table:
    """The value in every cell with its standard error and n, and the effect along each row."""
    level, column = wording.level(info.confidence), wording.words(info.columns)
    values = [wording.scalar(v) for v in info.column_values]
    header = (
        wording.capitalized(wording.words(info.rows)),
        *(f"{column} {v}{info.headline.in_unit}" for v in values),
        f"{values[-1]} minus {values[0]}{info.headline.in_points}", f"{level} interval", "n",
    )  # fmt: skip
    effects = {e.row: e for e in info.effects}
    rows = tuple(
        (
            wording.scalar(row),
            *(_cell_text(info.cells.get((row, c)), info.headline) for c in info.column_values),
            *_effect_cells(effects.get(row), info.headline),
        )
        for row in info.row_values
    )
    caption = (
        f"Confirmed test {info.headline.words} of distilled students: mean ± standard error "
        "(n replicates). "
        + ("Differences are paired by seed." if info.paired else "Differences are not paired.")
    )
    return Table(header, rows, caption=caption)


def _cell_text(cell: Cell | None, headline: Headline) -> str:
    if cell is None:
        return wording.DASH
    return f"{headline.bare_estimate(cell.estimate)} ({cell.estimate.n})"


def _effect_cells(effect: Effect | None, headline: Headline) -> tuple[str, str, str]:
    if effect is None:
        return wording.DASH, wording.DASH, "0"
    e = effect.estimate
    return headline.shift(e, 2), headline.shift_interval(e, 2), str(e.n)


def draw_grid(info: GridInfo, ax: Axes) -> None:
    """One curve along the rows for each value of the columns."""
    kept = info.column_values
    if len(kept) > MAX_CURVES:
        kept = tuple(
            kept[i] for i in np.linspace(0, len(kept) - 1, MAX_CURVES).round().astype(int)
        )
    for index, column in enumerate(kept):
        shown = [(i, info.cells.get((row, column))) for i, row in enumerate(info.row_values)]
        points = [
            (i, info.headline.own_estimate(cell.estimate)) for i, cell in shown if cell is not None
        ]
        for i, cell in shown:
            if cell is not None:
                at = i + 0.06 * (index - (len(kept) - 1) / 2)
                who = cell.choice.trial.stratum
                words = student_words(wording.stratum_label(who), cell.estimate, info.headline)
                own = info.headline.own_estimate(cell.estimate)
                mark_point(ax, at, own.mean, words, run_id=cell.choice.run_id)
        x = [i + 0.06 * (index - (len(kept) - 1) / 2) for i, _ in points]
        means = [e.mean for _, e in points]
        reach = np.array([style.reach(e) for _, e in points]).T if points else None
        color = style.shade(index / max(len(kept) - 1, 1))
        bar = style.error_bar(color, style.MARKERS[index % len(style.MARKERS)])
        label = f"{wording.words(info.columns)} {wording.scalar(column)}"
        ax.errorbar(x, means, yerr=reach, label=label, **bar, zorder=3)
        ax.plot(x, means, color=color, lw=1.2, alpha=0.7)
    style.category_ticks(ax, [wording.scalar(v) for v in info.row_values])
    ax.set_xlabel(wording.capitalized(wording.words(info.rows)))
    ax.set_ylabel(info.headline.label("test"))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="lower right", fontsize=8.5)
    style.score_axis(ax.yaxis, info.headline)


def draw_effects(info: GridInfo, ax: Axes) -> None:
    """The effect of the last column against the first, row by row."""
    factor = info.headline.unit.factor
    ax.axhspan(
        -factor * info.tolerance, factor * info.tolerance, color=style.GRID, alpha=0.6, lw=0
    )
    ax.axhline(0, color=style.INK, lw=1)
    for x, effect in enumerate(info.effects):
        color = {"helps": style.DISTILLED, "hurts": style.WARN}.get(effect.verdict, style.MUTED)
        e = info.headline.own_estimate(effect.estimate)
        reach = factor * np.array([style.reach(e)]).T
        ax.errorbar(x, factor * e.mean, yerr=reach, **style.error_bar(color), zorder=3)
    style.category_ticks(ax, [wording.scalar(e.row) for e in info.effects])
    ax.set_xlabel(wording.capitalized(wording.words(info.rows)))
    first, last = (wording.scalar(info.column_values[i]) for i in (0, -1))
    better = ", below 0 is better" if info.headline.is_minimised else ""
    ax.set_ylabel(f"{wording.capitalized(wording.words(info.columns))} {last} minus {first}"
                  f"{info.headline.in_points}{better}")  # fmt: skip
    ax.margins(y=0.15)
    ax.grid(axis="x", visible=False)


class _Grid(Answer[GridInfo]):
    """Two scientific parameters."""

    name = "grid"
    asked = ("grid",)
    keys = ("grid",)
    finding_rank = 50
    document_rank = 10

    def compute(self, context: Context) -> GridInfo | None:
        return compute_grid(context.strata)

    def lead(self, info: GridInfo, context: Context) -> str:
        return grid_sentence(info)

    def sentences(self, info: GridInfo, context: Context) -> tuple[str, ...]:
        return (grid_sentence(info),)

    def figures(self, info: GridInfo, context: Context) -> tuple[ReportFigure, ...]:
        if info.missing:
            return ()
        figure = style.new_figure(8.2, 4.0)
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
        draw_grid(info, left)
        draw_effects(info, right)
        style.add_caption(figure, confirmed_caption(context))
        rows, columns = wording.words(info.rows), wording.words(info.columns)
        explanation = (
            f"Distilled students. Right: what the last {columns} adds to the first, "
            f"{'paired by seed' if info.paired else 'not paired'}; bars are {context.level} "
            f"intervals. {grid_sentence(info)}"
        )
        title = wording.capitalized(f"{rows} and {columns}")
        return (ReportFigure("grid", title, explanation, figure, "", grid_table(info)),)

    def document(self, info: GridInfo, context: Context) -> dict[str, Any]:
        if info.missing:
            return {}
        headline = info.headline
        cells = [
            {
                info.rows: row,
                info.columns: column,
                f"test_{headline.metric.name}": headline.document(cell.estimate),
            }
            for (row, column), cell in info.cells.items()
        ]
        effects = [
            {
                info.rows: e.row,
                "last_minus_first": headline.document(e.estimate),
                "verdict": e.verdict,
            }
            for e in info.effects
        ]
        return {
            "grid": {
                "rows": info.rows,
                "columns": info.columns,
                "cells": cells,
                "effects": effects,
                "effect_in_first_row_minus_last": headline.document(info.interaction),
                "paired": info.paired,
            }
        }


GRID = _Grid()
