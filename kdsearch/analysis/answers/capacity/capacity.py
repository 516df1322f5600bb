"""How good students of each size are, beside their teachers, and where size saturates."""

from typing import Any, NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.answers.capacity.capacity_curve import (
    CapacityCurveInfo,
    SizedEstimate,
    compute_capacity_curve,
)
from kdsearch.analysis.answers.capacity.capacity_figure import (
    Measure,
    draw_capacity_cost,
    draw_capacity_curve,
    draw_strata,
)
from kdsearch.analysis.answers.capacity.prediction import prediction_line
from kdsearch.analysis.answers.capacity.saturation import (
    SaturationInfo,
    compute_saturation,
    compute_saturations,
    gains_little,
    saturation_document,
)
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.captions import confirmed_caption
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.report_figure import ReportFigure


class CapacityInfo(NamedTuple):
    """The students by size, and what follows."""

    curve: CapacityCurveInfo
    saturation: SaturationInfo
    saturations: dict[str, SaturationInfo]
    """By the name of each distilled series; one, unless the study crosses the size with another
    parameter."""


def compute_capacity(context: Context) -> CapacityInfo:
    """One curve for each value of a second parameter, and one verdict where there is one curve."""
    strata = context.strata
    curve = compute_capacity_curve(context.results, strata, context.teachers)
    saturations = compute_saturations(
        curve, strata.distilled_luck, tolerance=strata.tolerance, confidence=strata.confidence
    )
    return CapacityInfo(curve, compute_saturation(curve, saturations), saturations)


class _Capacity(Answer[CapacityInfo]):
    """The headline metric by size, in parameters and in what students cost to run."""

    name = "capacity"
    asked = ("size", "cost")
    keys = ("saturation", "saturation_by_series")
    finding_rank = 10
    document_rank = 0

    def compute(self, context: Context) -> CapacityInfo:
        return compute_capacity(context)

    def lead(self, info: CapacityInfo, context: Context) -> str:
        """The verdict; of a study of cost with what the smallest student that is enough costs."""
        clause = info.saturation.clause
        if not clause:
            return ""
        cost = _cost_words(info) if context.results.config.asks == "cost" else ""
        return f"{wording.capitalized(clause)}{cost}."

    def sentences(self, info: CapacityInfo, context: Context) -> tuple[str, ...]:
        """What lies beyond the sizes tested."""
        return (info.saturation.beyond,)

    def figures(self, info: CapacityInfo, context: Context) -> tuple[ReportFigure, ...]:
        if info.curve.missing and len(context.strata.confirmed) > 1:
            return (_strata_figure(context),)
        return _curve_figure(info, context), *_cost_figures(info, context)

    def document(self, info: CapacityInfo, context: Context) -> dict[str, Any]:
        headline = info.curve.headline
        document: dict[str, Any] = {"saturation": saturation_document(info.saturation, headline)}
        if len(info.saturations) > 1:
            each = {
                name: saturation_document(own, headline) for name, own in info.saturations.items()
            }
            document["saturation_by_series"] = each
        return document


CAPACITY = _Capacity()


def _cost_words(info: CapacityInfo) -> str:
    """What the smallest student that is shown to be enough costs, beside the largest tested."""
    series, fit = info.curve.distilled, info.saturation.fit
    if series is None or fit is None or fit.enough_size is None:
        return ""
    point = next(p for p in series.points if p.num_params == fit.enough_size)
    largest = series.points[-1]
    if not point.macs or not largest.macs:
        return ""
    amount = f"{wording.count(point.macs)} {wording.metric('macs')}"
    times = largest.macs / point.macs
    return f"; it takes {amount}, {times:.1f} times fewer than the largest tested"


def _strata_figure(context: Context) -> ReportFigure:
    """Values by stratum, where the study asks about something else than size."""
    words = context.strata.headline.words
    figure = style.new_figure(8.2, 4.4)
    draw_strata(context.strata, figure.add_subplot())
    style.add_caption(figure, confirmed_caption(context))
    names = wording.listing([wording.words(n) for n in context.strata.scientific])
    explanation = (
        f"Confirmed test {words} of the best settings of each {context.strata.noun.one}, on fresh "
        "seeds; bars are "
        f"{context.level} intervals over replicates."
    )
    title = f"{wording.capitalized(words)} by {names}"
    return ReportFigure("accuracy", title, explanation, figure, "")


def _curve_figure(info: CapacityInfo, context: Context) -> ReportFigure:
    figure = None
    if not info.curve.missing:
        figure = style.new_figure(8.2, 5.0)
        ax = figure.add_subplot()
        fits = {name: own.fit for name, own in info.saturations.items() if own.fit is not None}
        draw_capacity_curve(info.curve, ax, fits)
        ax.set_title(_verdict(info, context.level))
        style.add_caption(figure, confirmed_caption(context))
    words = context.strata.headline.words
    explanation = (
        f"Confirmed test {words} against the student's size, on fresh seeds, for both arms; bars "
        f"are {context.level} intervals over replicates and, where two candidates were "
        "confirmed, the luck of the search (a single replicate has none). "
    )
    if info.saturation.opinions:
        explanation += _saturation_words(info.saturation, context)
    return ReportFigure(
        "capacity", f"Capacity and {words}", explanation, figure, info.curve.missing,
        _saturation_table(info, context.level),
    )  # fmt: skip


def _saturation_table(info: CapacityInfo, level: str) -> Table | None:
    """One fit for each value of the other parameter, where there are several."""
    if len(info.saturations) < 2:
        return None
    rows = []
    for name, own in info.saturations.items():
        fit, size, ends = own.fit, wording.DASH, wording.DASH
        if fit is not None and own.verdict == "saturated":
            low, high = fit.saturation_interval
            size, ends = wording.count(fit.saturation_size), _size_interval(low, high)
        points = _points(info.curve, name)
        counts = wording.span([len(p.scores) for p in points])
        verdict = own.verdict.replace("_", " ")
        rows.append((name, verdict, own.reason, size, ends, str(len(points)), counts))
    header = ("Students", "Verdict", "Why", "Saturation size", f"{level} interval", "Sizes", "n")
    caption = (
        "One curve fitted for each value of the other parameter, in parameters of the student."
    )
    return Table(header, tuple(rows), text_columns=3, caption=caption)


def _points(curve: CapacityCurveInfo, name: str) -> tuple[SizedEstimate, ...]:
    return next(s.points for s in curve.series if s.arm == "distilled" and s.name == name)


def _size_interval(low: float, high: float) -> str:
    return f"{wording.count(low) if low > 0 else 'the smallest'} to {wording.count(high)}"


def _cost_figures(info: CapacityInfo, context: Context) -> tuple[ReportFigure, ...]:
    """The curve again, in what the students cost to run and to store."""
    points = [p for series in info.curve.series for p in series.points]
    measures: tuple[Measure, ...] = ("macs", "size_bytes")
    shown = [m for m in measures if len({getattr(p, m) for p in points} - {None, 0}) > 1]
    if info.curve.missing or not shown:
        return ()
    figure = style.new_figure(8.2, 3.6)
    axes = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0].tolist()
    for measure, ax in zip(shown, axes, strict=True):
        draw_capacity_cost(info.curve, measure, ax)
    axes[0].set_ylabel(info.curve.headline.label("test"))
    axes[-1].legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    style.add_caption(figure, confirmed_caption(context))
    explanation = (
        "The same students by multiply-accumulates of one forward pass and by bytes of weights. "
        "Saturation is judged in parameters; students of other kinds can be compared here."
    )
    title = f"{wording.capitalized(info.curve.headline.words)} and cost"
    return (ReportFigure("capacity_cost", title, explanation, figure, ""),)


_VERDICTS = {
    "saturated": "Saturated within the range tested",
    "not_saturated": "Not shown to saturate in the range tested",
    "not_asked": "",
}


def _verdict(info: CapacityInfo, level: str) -> str:
    own, fit, headline = info.saturation, info.saturation.fit, info.curve.headline
    if len(info.saturations) > 1:
        saturated = sum(x.verdict == "saturated" for x in info.saturations.values())
        return f"Saturated within the range tested: {saturated} of {len(info.saturations)} curves"
    if own.verdict == "not_saturated" and fit is not None:
        still = f"Still {headline.scale.moving} at the largest size tested"
        if gains_little(fit):
            still += ", by less than the tolerance"
        return still if fit.is_rising else _VERDICTS[own.verdict]
    if own.verdict == "saturated" and fit is not None:
        width = f", about width {own.width:.0f}" if own.width else ""
        ends = _size_interval(*fit.saturation_interval)
        size = f"{wording.count(fit.saturation_size)} parameters{width}"
        return f"Saturated at {size} ({level} interval {ends})"
    if own.verdict == "undetermined":
        return f"Where {headline.words} saturates cannot be told from these students"
    return _VERDICTS[own.verdict]


def _saturation_words(info: SaturationInfo, context: Context) -> str:
    predicted = prediction_line(info.fit, context.strata.headline) if info.fit is not None else ""
    parts = (_tolerance_words(context), predicted, info.opinions)
    return " ".join(filter(None, parts))


def _tolerance_words(context: Context) -> str:
    """What the tolerance means in errors; empty where the teachers' are not known."""
    if not context.strata.headline.is_accuracy:
        return ""
    banks, tolerance = context.teachers.banks, context.strata.tolerance
    full = banks[0].full_ensemble if len(banks) == 1 else None
    if full is None or full.test is None or full.test == 1:
        return ""
    share = tolerance / (1 - full.test)
    whose = f"the {full.size} teachers together make" if full.size > 1 else "the teacher makes"
    return (
        f"The tolerance, {context.strata.headline.amount(tolerance)}, is {100 * share:.0f} % of "
        f"the errors that {whose}."
    )
