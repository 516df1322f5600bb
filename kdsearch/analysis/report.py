"""The report folder: page, figures, table and numbers, put in place as a whole."""

import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from kdsearch.analysis.answer import Answer, Answers, answer_figures
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.answers.convergence import CONVERGENCE
from kdsearch.analysis.answers.data_share import DATA_SHARE
from kdsearch.analysis.answers.ensemble_size import ENSEMBLE_SIZE
from kdsearch.analysis.answers.gain import GAIN
from kdsearch.analysis.answers.grid import GRID
from kdsearch.analysis.answers.ladder import LADDER
from kdsearch.analysis.answers.levels import LEVELS
from kdsearch.analysis.answers.optimum_view import OPTIMUM
from kdsearch.analysis.answers.pareto import PARETO
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing import style
from kdsearch.analysis.drawing.mark import marks_of
from kdsearch.analysis.drawing.report_figure import Drawn, ReportFigure
from kdsearch.analysis.finding import compute_finding
from kdsearch.analysis.page.credentials import redact_results, without_credentials
from kdsearch.analysis.page.document import json_document
from kdsearch.analysis.page.page import render_page
from kdsearch.analysis.page.rendering import Links
from kdsearch.analysis.recommendation import recommendation_in
from kdsearch.analysis.searching.budget import budget_in
from kdsearch.analysis.searching.importance import IMPORTANCE
from kdsearch.analysis.searching.learning_curve import LEARNING_CURVES
from kdsearch.analysis.searching.optimization_history import HISTORY
from kdsearch.analysis.searching.temperature_alpha import TEMPERATURE_ALPHA
from kdsearch.analysis.table import results_table, write_table
from kdsearch.results import Results


class Report(NamedTuple):
    """What was written, and what it says."""

    html: Path
    finding: tuple[str, ...]
    """The answer to the question, and at most three points beside it."""
    details: tuple[str, ...]
    """What else was found."""
    recommendation: str
    metrics: dict[str, float]
    """Headline numbers by name, in the headline metric's own sign; fractions are fractions, and
    what is unknown is left out."""


ANSWERS: tuple[Answer[Any], ...] = (
    CAPACITY,
    GRID,
    DATA_SHARE,
    LADDER,
    LEVELS,
    GAIN,
    CONVERGENCE,
    PARETO,
    TEMPERATURE_ALPHA,
    OPTIMUM,
    ENSEMBLE_SIZE,
    IMPORTANCE,
    HISTORY,
    LEARNING_CURVES,
)
"""What the report answers, in the order of its page."""


def write_report(
    results: Results,
    folder: Path,
    *,
    answers: Answers = ANSWERS,
    links: Links = Links(),  # noqa: B008  # a tuple
    refresh: int | None = None,
) -> Report:
    """Write report.html, figures/, results.csv and results.json into `folder`.

    Everything is made in a temporary folder beside `folder` first, so an error leaves the old
    report as it was; then each file replaces its predecessor. Figures that no longer apply are
    removed.

    Args:
        results: The study.
        folder: Made if it is not there.
        answers: What the report is about: `(*ANSWERS, mine)` adds an answer.
        links: Where the page finds MLflow's runs.
        refresh: Seconds after which an open page is read again; None for a page that stays.

    Raises:
        OSError: The folder cannot be written.
        UserInputError: Two answers have one name.
    """
    context = Context(redact_results(results))
    finding = compute_finding(context, answers)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as draft_name:
        draft = Path(draft_name)
        with style.figure_style():
            figures = answer_figures(context, answers)
            drawn = save_figures(figures, draft / "figures")
        page = render_page(context, finding, figures, drawn, links, refresh=refresh)
        (draft / "report.html").write_text(page, encoding="utf-8")
        write_table(results_table(results), draft / "results.csv", "csv")
        document = without_credentials(json_document(context, finding, answers))
        text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
        (draft / "results.json").write_text(text + "\n", encoding="utf-8")
        put_in_place(draft, folder)
    return Report(
        html=folder / "report.html",
        finding=finding.finding,
        details=finding.details,
        recommendation=finding.recommendation,
        metrics=headline_metrics(context),
    )


def save_figures(figures: list[ReportFigure], folder: Path) -> dict[str, Drawn]:
    """Write PNG and SVG of every drawn figure; what the page shows of them, by name."""
    folder.mkdir()
    drawn = {}
    for item in figures:
        if item.figure is None:
            continue
        item.figure.savefig(folder / f"{item.name}.png", format="png", facecolor="white")
        buffer = io.BytesIO()
        # No date, so that the same results give the same file.
        metadata = {"Date": None, "Creator": "kdsearch", "Title": item.title}
        item.figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
        drawn[item.name] = Drawn(buffer.getvalue(), tuple(marks_of(item.figure)))
        (folder / f"{item.name}.svg").write_bytes(drawn[item.name].svg)
    return drawn


def put_in_place(draft: Path, folder: Path) -> None:
    """Replace the files of a report by those of a finished draft, and remove figures it lacks."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    files = sorted(p.relative_to(draft) for p in draft.rglob("*") if p.is_file())
    for path in files:
        (draft / path).chmod(0o644)
        (draft / path).replace(folder / path)
    for old in (folder / "figures").iterdir():
        if old.relative_to(folder) not in files and old.suffix in {".png", ".svg"}:
            old.unlink()
    shutil.rmtree(draft / "figures")


def headline_metrics(context: Context) -> dict[str, float]:
    """Headline numbers by name. The best student is the best by validation, never by test."""
    own, name = context.strata.headline.own, f"test_{context.strata.headline.metric.name}"
    openings = context.of(budget_in).test_openings
    found: dict[str, float | None] = {"test_openings": float(openings)}
    advice = context.of(recommendation_in)
    chosen, best = advice.recommended, advice.champion
    if chosen is not None and chosen.distilled is not None:
        test = chosen.distilled.test_score
        found[f"recommended_{name}"] = own(test.mean) if test else None
        found[f"recommended_{name}_se"] = test.se if test else None
        found["recommended_num_params"] = chosen.num_params
        gain = context.of(GAIN.compute).at(chosen)
        found["recommended_distillation_gain"] = (
            own(gain.estimate.mean) if gain and gain.estimate else None
        )
    if best is not None and best.distilled is not None and best.distilled.test_score:
        found[f"best_{name}"] = own(best.distilled.test_score.mean)
    fit = context.of(CAPACITY.compute).saturation.fit
    if fit is not None and fit.verdict == "saturated":
        found["saturation_num_params"] = fit.saturation_size
    if len(context.teachers.banks) == 1:
        bank = context.teachers.banks[0]
        full, own_or_none = bank.full_ensemble, context.strata.headline.own_or_none
        found[f"teacher_{name}"] = own_or_none(bank.mean_member_test)
        found[f"ensemble_{name}"] = own_or_none(full.test if full else None)
    return {name: float(value) for name, value in found.items() if value is not None}
