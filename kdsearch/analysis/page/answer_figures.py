"""The figures that answer the study's question: what was confirmed, and what that means."""

import math

from kdsearch.analysis import wording
from kdsearch.analysis.answers.convergence import (
    convergence_sentence,
    convergence_table,
    draw_convergence,
)
from kdsearch.analysis.answers.data_share import (
    data_share_sentence,
    data_share_table,
    draw_data_share,
)
from kdsearch.analysis.answers.gain import draw_gain, pairing_words
from kdsearch.analysis.answers.grid import draw_effects, draw_grid, grid_sentence, grid_table
from kdsearch.analysis.answers.ladder import draw_ladder, ladder_sentence, ladder_table
from kdsearch.analysis.answers.optimum_view import draw_optimum, optimum_sentences, optimum_table
from kdsearch.analysis.answers.prediction import prediction_line
from kdsearch.analysis.capacity_curve import SizedEstimate
from kdsearch.analysis.luck import luck_words
from kdsearch.analysis.page import style
from kdsearch.analysis.page.capacity_figure import (
    Measure,
    draw_capacity_cost,
    draw_capacity_curve,
    draw_strata,
)
from kdsearch.analysis.page.data_table import Table
from kdsearch.analysis.page.report_figure import (
    ReportFigure,
    confirmed_caption,
    estimates_caption,
    level,
    search_caption,
)
from kdsearch.analysis.statistics.capacity import RISING
from kdsearch.analysis.summary import Summary


def capacity_figure(s: Summary) -> ReportFigure:
    """Accuracy by size; by stratum where the study asks about something else."""
    sized = not s.capacity.missing
    if not sized and len(s.strata.confirmed) > 1:
        figure = style.new_figure(8.2, 4.4)
        draw_strata(s.strata, figure.add_subplot())
        style.add_caption(figure, confirmed_caption(s))
        return ReportFigure(
            "accuracy",
            "Accuracy by " + wording.listing([wording.words(n) for n in s.strata.scientific]),
            "Confirmed test accuracy of each stratum's best settings on fresh seeds; bars are "
            f"{level(s)} intervals over replicates.",
            figure,
            "",
        )
    figure = None
    if sized:
        figure = style.new_figure(8.2, 5.0)
        ax = figure.add_subplot()
        fits = {name: info.fit for name, info in s.saturations.items() if info.fit is not None}
        draw_capacity_curve(s.capacity, ax, fits)
        ax.set_title(_verdict(s))
        style.add_caption(figure, confirmed_caption(s))
    return ReportFigure(
        "capacity",
        "Capacity and accuracy",
        "Confirmed test accuracy against the student's size, on fresh seeds, for both arms; bars "
        f"are {level(s)} intervals over replicates and, where two candidates were confirmed, the "
        "luck of the search (a single replicate has none). "
        + (s.saturation.opinions and _saturation_words(s)),
        figure,
        s.capacity.missing,
        _saturation_table(s),
    )


def _saturation_table(s: Summary) -> Table | None:
    """One fit for each value of the other parameter, where there are several."""
    if len(s.saturations) < 2:
        return None
    rows = []
    for name, info in s.saturations.items():
        fit, size, ends = info.fit, wording.DASH, wording.DASH
        if fit is not None and info.verdict == "saturated":
            low, high = fit.saturation_interval
            size, ends = wording.count(fit.saturation_size), _size_interval(low, high)
        counts = wording.span([len(p.accuracies) for p in _points(s, name)])
        verdict = info.verdict.replace("_", " ")
        rows.append((name, verdict, info.reason, size, ends, str(len(_points(s, name))), counts))
    header = (
        "Students", "Verdict", "Why", "Saturation size", f"{level(s)} interval", "Sizes", "n",
    )  # fmt: skip
    caption = (
        "One curve fitted for each value of the other parameter, in parameters of the student."
    )
    return Table(header, tuple(rows), text_columns=3, caption=caption)


def _points(s: Summary, name: str) -> tuple[SizedEstimate, ...]:
    series = [x for x in s.capacity.series if x.arm == "distilled" and x.name == name]
    return series[0].points


def _size_interval(low: float, high: float) -> str:
    return f"{wording.count(low) if low > 0 else 'the smallest'} to {wording.count(high)}"


def cost_figure(s: Summary) -> ReportFigure | None:
    """The capacity curve again, in what the students cost to run and to store."""
    points = [p for x in s.capacity.series for p in x.points]
    measures: tuple[Measure, ...] = ("macs", "size_bytes")
    shown = [m for m in measures if len({getattr(p, m) for p in points} - {None, 0}) > 1]
    if s.capacity.missing or not shown:
        return None
    figure = style.new_figure(8.2, 3.6)
    axes = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0].tolist()
    for measure, ax in zip(shown, axes, strict=True):
        draw_capacity_cost(s.capacity, measure, ax)
    axes[0].set_ylabel("Test accuracy")
    axes[-1].legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    style.add_caption(figure, confirmed_caption(s))
    return ReportFigure(
        "capacity_cost",
        "Accuracy and cost",
        "The same students by multiply-accumulates of one forward pass and by bytes of weights. "
        "Saturation is judged in parameters; students of other kinds can be compared here.",
        figure,
        "",
    )


_VERDICTS = {
    "saturated": "Saturated within the range tested",
    "not_saturated": "Not shown to saturate in the range tested",
    "not_asked": "",
}


def _verdict(s: Summary) -> str:
    fit = s.saturation.fit
    if len(s.saturations) > 1:
        saturated = sum(x.verdict == "saturated" for x in s.saturations.values())
        return f"Saturated within the range tested: {saturated} of {len(s.saturations)} curves"
    if s.saturation.verdict == "not_saturated" and fit is not None:
        rising = fit.last_doubling.low > RISING * fit.tolerance
        return "Still rising at the largest size tested" if rising else _VERDICTS["not_saturated"]
    if s.saturation.verdict == "saturated" and fit is not None:
        width = f", about width {s.saturation.width:.0f}" if s.saturation.width else ""
        ends = _size_interval(*fit.saturation_interval)
        size = f"{wording.count(fit.saturation_size)} parameters{width}"
        return f"Saturated at {size} ({level(s)} interval {ends})"
    if s.saturation.verdict == "undetermined":
        return "Where accuracy saturates cannot be told from these students"
    return _VERDICTS[s.saturation.verdict]


def _saturation_words(s: Summary) -> str:
    verdict = f"{s.saturation.clause[:1].upper()}{s.saturation.clause[1:]}."
    predicted = prediction_line(s.saturation.fit) if s.saturation.fit is not None else ""
    parts = (
        verdict, s.saturation.beyond, _tolerance_words(s), predicted, s.saturation.opinions
    )  # fmt: skip
    return " ".join(filter(None, parts))


def _tolerance_words(s: Summary) -> str:
    """What the tolerance means in errors; empty where the teachers' are not known."""
    full = s.teachers.banks[0].full_ensemble if len(s.teachers.banks) == 1 else None
    if full is None or full.test is None or full.test == 1:
        return ""
    share = s.strata.tolerance / (1 - full.test)
    whose = f"the {full.size} teachers together make" if full.size > 1 else "the teacher makes"
    return (
        f"The tolerance, {wording.amount(s.strata.tolerance)}, is {100 * share:.0f} % of "
        f"the errors that {whose}."
    )


def gain_figure(s: Summary) -> ReportFigure:
    """Distilled minus hard labels, stratum by stratum."""
    figure = None
    if not s.gain.missing:
        figure = style.new_figure(8.2, 3.8)
        draw_gain(s.gain, figure.add_subplot())
        style.add_caption(figure, _gain_caption(s))
    return ReportFigure(
        "gain",
        "What distillation adds",
        f"Distilled minus hard-labels-only test accuracy, {pairing_words(s.gain)}. The bar is a "
        f"{level(s)} interval of the mean, the grey band is {100 * s.gain.tolerance:g} points "
        "either way. Blue: helps; vermillion: hurts; grey: cannot be told from zero, all strata "
        f"judged together. {luck_words(s.strata)}".rstrip(),
        figure,
        s.gain.missing,
    )


def _gain_caption(s: Summary) -> str:
    shown = [g for g in s.gain.gains if g.estimate is not None]
    paired = "" if any(g.unpaired for g in shown) else "paired by seed; "
    return estimates_caption(s, [g.estimate for g in shown if g.estimate is not None], paired)


def grid_figure(s: Summary) -> ReportFigure | None:
    """Two scientific parameters: curves, and the effect of the second along the first."""
    info = s.grid
    if info is None or info.missing:
        return None
    figure = style.new_figure(8.2, 4.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    draw_grid(info, left)
    draw_effects(info, right)
    style.add_caption(figure, confirmed_caption(s))
    rows, columns = wording.words(info.rows), wording.words(info.columns)
    return ReportFigure(
        "grid",
        wording.capitalized(f"{rows} and {columns}"),
        f"Distilled students. Right: what the last {columns} adds to the first, "
        f"{'paired by seed' if info.paired else 'not paired'}; bars are {level(s)} intervals. "
        f"{grid_sentence(info)}",
        figure,
        "",
        grid_table(info),
    )


def data_share_figure(s: Summary) -> ReportFigure | None:
    """Accuracy by share of the training data."""
    info = s.data_share
    if info is None or info.missing:
        return None
    curves = [c for c in info.curves if c.shares][:6]
    rows, columns = math.ceil(len(curves) / 3), min(len(curves), 3)
    figure = style.new_figure(8.2, 0.8 + 3.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for curve, ax in zip(curves, axes, strict=False):
        draw_data_share(curve, ax)
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    for ax in axes[: len(curves)][-columns:]:
        ax.set_xlabel("Share of the training data (log)", fontsize=9)
    style.add_caption(figure, confirmed_caption(s))
    axes[0].set_ylabel("Test accuracy")
    left_out = len(info.curves) - len(curves)
    more = f" {left_out} further curves are in the table." if left_out else ""
    return ReportFigure(
        "data_share",
        "Less data",
        f"Both arms by share of the training data; bars are {level(s)} intervals over replicates. "
        "Dotted: hard labels with the most data; dashed with its interval: where the distilled "
        f"student matches it. The teachers saw all of the data.{more} {data_share_sentence(info)}",
        figure,
        "",
        data_share_table(info),
    )


def convergence_figure(s: Summary) -> ReportFigure | None:
    """Epochs to nearly the final accuracy, by arm."""
    info = s.convergence
    if info.missing:
        return None
    figure = style.new_figure(8.2, 3.6 if len(info.speeds) <= 8 else 4.8)
    draw_convergence(info, figure.add_subplot())
    shown = [e for speed in info.speeds for e in (speed.distilled, speed.baseline)]
    style.add_caption(figure, estimates_caption(s, shown, "", unit="epochs"))
    return ReportFigure(
        "convergence",
        "Fewer epochs",
        f"{convergence_sentence(info)} Each arm has its own tuned settings, the learning rate "
        "among them, which changes the speed as well.",
        figure,
        "",
        convergence_table(info),
    )


def ladder_figure(s: Summary) -> ReportFigure | None:
    """The sizes in the order tried."""
    info = s.ladder
    if info is None or info.missing:
        return None
    figure = style.new_figure(8.2, 4.0)
    draw_ladder(info, figure.add_subplot())
    style.add_caption(figure, confirmed_caption(s))
    return ReportFigure(
        "ladder",
        "The ladder",
        ladder_sentence(info) + " While climbing, saturation is judged by validation accuracy; "
        "the test accuracies shown decide nothing.",
        figure,
        "",
        ladder_table(info),
    )


def optimum_figure(s: Summary) -> ReportFigure | None:
    """Best temperature and alpha by stratum."""
    info = s.optimum
    if info.missing:
        asked = not s.temperature_alpha.missing and s.pareto is None
        title, why = "Best temperature and alpha", info.missing
        return ReportFigure("optimum", title, "", None, why) if asked else None
    targets = list(info.shared)
    stacked = len(info.optima) > 8  # the labels of many strata need the whole width
    rows, columns = (len(targets), 1) if stacked else (1, len(targets))
    figure = style.new_figure(8.2, 3.4 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for target, ax in zip(targets, axes, strict=True):
        draw_optimum(info, target, ax)
    style.add_caption(figure, search_caption(s, "distilled"))
    return ReportFigure(
        "optimum",
        "Best " + wording.listing(targets),
        f"Where the surface through all search trials puts the best value of each stratum, with "
        f"its {level(s)} interval; hollow and grey where the interval spans most of the range, so "
        "that nothing is known. Dashed: the best setting for all. "
        f"{' '.join(optimum_sentences(info))}",
        figure,
        "",
        optimum_table(info),
    )
