"""What a person sees behind the printed link, in a real browser on real pages of MLflow."""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

from kdsearch.analysis.page.rendering import Links
from kdsearch.results import TrialRecord
from kdsearch.study.run import StudyResult
from kdsearch.tracking.mlflow.labels import trial_name
from kdsearch.tracking.mlflow.pages.links import run_link
from tests.ui.chromium import open_browser
from tests.ui.conftest import WIDTHS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

WAIT_MS = 60_000
SIZE = {"width": 1400, "height": 900}
TALL = {"width": 1400, "height": 2400}  # MLflow draws only what is in view
HARMLESS = (
    "404",  # MLflow asks for the user of a server that has none
    "ResizeObserver",
    "> attribute ",  # MLflow's parallel coordinates, where the window grows while they are drawn
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


class Visit:
    """A page, and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.set_default_timeout(WAIT_MS)

    def _note(self, message: object) -> None:
        text = str(getattr(message, "text", ""))
        is_error = getattr(message, "type", "") == "error"
        if is_error and not any(word in text for word in HARMLESS):
            self.errors.append(text)


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
    visit = Visit(context.new_page())
    yield visit
    context.close()
    assert visit.errors == []


def view(link: str, kind: str) -> str:
    """The link to another view of the same study."""
    return link.replace("kdsearch-shown&", f"kdsearch-shown.{kind}&")


def table(link: str) -> str:
    """The link to the table instead of the charts."""
    return link.replace("=CHART", "=TABLE")


def plots(page: Page) -> dict[str, list[dict[str, Any]]]:
    """What each chart draws, by its axes: the traces, their kind and their points."""
    found = page.evaluate(
        """() => [...document.querySelectorAll(".js-plotly-plot")].map(plot => [
            [plot._fullLayout?.xaxis?.title?.text, plot._fullLayout?.yaxis?.title?.text],
            (plot.data ?? []).map(trace => ({
                type: trace.type, mode: trace.mode ?? "", name: trace.name ?? "",
                x: [...(trace.x ?? [])].map(Number), y: [...(trace.y ?? [])].map(Number),
            })),
        ])"""
    )
    return {f"{x} | {y}": traces for (x, y), traces in found}


def drawn(page: Page, axes: str) -> list[dict[str, Any]]:
    """The traces of one chart, once it has any points."""
    page.set_viewport_size(TALL)  # type: ignore[arg-type]
    end = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < end:
        traces = plots(page).get(axes, [])
        if any(trace["x"] for trace in traces):
            return traces
        page.wait_for_timeout(250)
    raise AssertionError(f"no points in {axes}; there are {sorted(plots(page))}")


def students(ran: StudyResult, stage: str, arm: str | None = None) -> list[TrialRecord]:
    """The complete ones."""
    return [
        r
        for r in ran.results.trials
        if r.stage == stage and r.arm in (arm, r.arm if arm is None else arm)
        if r.state == "COMPLETE"
    ]


def sizes(records: Sequence[TrialRecord]) -> list[float]:
    """As the axis has them: at three digits."""
    return sorted(float(f"{math.log10(r.num_params or 1):.3g}") for r in records)


def test_the_printed_link_opens_charts_of_every_width(
    served: str, visit: Visit, ran: StudyResult
) -> None:
    complete = students(ran, "search", "distilled")
    assert {r.width for r in complete} == set(WIDTHS)
    page = visit.page
    page.goto(served)
    page.get_by_text("Settings: each line is a student").wait_for()
    # Wide, also beside the panel that MLflow opens on a first visit.
    page.wait_for_function("document.querySelector('.parcoords')?.clientWidth > 600")
    (size,) = drawn(page, "log10_num_params | objective")
    assert sorted(size["x"]) == sizes(complete)
    objectives = [round(r.val.accuracy, 6) for r in complete if r.val is not None]
    assert sorted(size["y"]) == sorted(objectives)
    contour, points = drawn(page, "log10_temperature | alpha")
    assert (contour["type"], points["mode"]) == ("contour", "markers")
    assert len(points["x"]) == len(complete)
    assert all(any(t["x"] for t in traces) for traces in plots(page).values())


def test_hard_labels_have_their_own_view(served: str, visit: Visit, ran: StudyResult) -> None:
    visit.page.goto(view(served, "labels"))
    (size,) = drawn(visit.page, "log10_num_params | objective")
    assert sorted(size["x"]) == sizes(students(ran, "search", "baseline"))
    assert not any(axes.endswith("| alpha") for axes in plots(visit.page))


def test_the_capacity_curve_has_a_point_for_every_width_and_arm(
    served: str, visit: Visit, ran: StudyResult
) -> None:
    confirmed = students(ran, "confirm")
    groups: dict[tuple[str, int], list[TrialRecord]] = {}
    for record in confirmed:
        groups.setdefault((record.arm, record.width), []).append(record)
    assert len(groups) == 2 * len(WIDTHS)
    visit.page.goto(view(served, "confirmed"))
    (means,) = drawn(visit.page, "log10_num_params | test/accuracy")
    assert sorted(means["x"]) == sizes([runs[0] for runs in groups.values()])
    expected = [
        statistics.fmean(r.test.accuracy for r in runs if r.test is not None)
        for runs in groups.values()
    ]
    assert sorted(means["y"]) == pytest.approx(sorted(expected), abs=1e-5)


def test_learning_curves_have_a_line_for_every_width_and_arm(
    served: str, visit: Visit, ran: StudyResult
) -> None:
    visit.page.goto(view(served, "curves"))
    traces = drawn(visit.page, "Step | Click to enter Y axis title")
    lines = [trace for trace in traces if trace["mode"] == "lines+markers"]
    assert len(lines) == 2 * len(WIDTHS)
    epochs = {len(r.history) for r in students(ran, "confirm")}
    assert {len(line["x"]) for line in lines} == epochs


def test_the_table_shows_the_trials_and_a_row_leads_to_its_run(
    served: str, visit: Visit, ran: StudyResult
) -> None:
    page = visit.page
    page.goto(table(served))
    complete = students(ran, "search", "distilled")
    rows = page.locator(".ag-center-cols-container a[href*='/runs/'], a[href*='/runs/']")
    rows.first.wait_for()
    shown = {text for text in rows.all_inner_texts() if re.match(r"t\d{3} ", text)}
    assert shown == {trial_name(record) for record in complete}
    headers = page.locator(".ag-header-cell").all_inner_texts()
    assert headers.count("objective") == 1
    assert {"alpha", "temperature", "learning_rate"} <= set(headers)
    assert "best_epoch" not in headers
    best = max(complete, key=lambda r: r.val.accuracy if r.val is not None else 0.0)
    name = rows.first.inner_text()
    assert name == trial_name(best)
    rows.first.click()
    page.wait_for_url(f"**/runs/{best.mlflow_run_id}**")
    page.get_by_role("heading", name=name).wait_for()


def test_a_point_leads_to_its_run(served: str, visit: Visit, ran: StudyResult) -> None:
    page = visit.page
    page.goto(served)
    drawn(page, "log10_num_params | objective")
    chart = page.locator(".js-plotly-plot").nth(1)
    box = chart.locator(".point").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 40, y - 40)
    page.mouse.move(x, y, steps=8)
    page.mouse.click(x, y)  # the box with the run's name stays
    link = page.get_by_test_id("tooltip-container").get_by_role("link")
    with page.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}"))
    run_id = re.findall(r"/runs/([0-9a-f]{32})", opened.value.url)[0]
    assert run_id in {r.mlflow_run_id for r in students(ran, "search", "distilled")}


def test_the_studys_run_links_to_its_views(served: str, visit: Visit, ran: StudyResult) -> None:
    client = MlflowClient(f"sqlite:///{ran.report.html.parents[2] / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("shown")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.kdsearch.kind = 'study'")
    base = served.partition("/#/")[0]
    page = visit.page
    page.goto(run_link(base, experiment.experiment_id, run.info.run_id))
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="2 Confirmed").click()
    drawn(opened.value, "log10_num_params | test/accuracy")


def test_a_point_of_the_report_leads_to_its_run(
    served: str, visit: Visit, ran: StudyResult
) -> None:
    page, record = visit.page, students(ran, "confirm", "distilled")[0]
    page.goto(Links(served.partition("/#/")[0]).run(record.mlflow_run_id))
    page.get_by_role("heading", name=trial_name(record)).wait_for()
    page.get_by_role("link", name="Runs", exact=True).first.wait_for()  # not those for chats


def test_the_registered_model_says_how_to_load_it(served: str, visit: Visit) -> None:
    page = visit.page
    page.goto(served.partition("#")[0] + "#/models/shown?workflowType=machine_learning")
    page.get_by_text('load_model("models:/shown@champion")').wait_for()
    page.get_by_text("Version 1").first.wait_for()
