"""A report as a person opens it: wide and on a phone, by day and by night, and on paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kdsearch.analysis import write_report
from kdsearch.analysis.page.rendering import Links
from tests.analysis.synthetic import make_results
from tests.ui.chromium import open_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

WIDE, PHONE = 1280, 390
MOST_BYTES = 1_500_000
MOST_SHEETS = 6
VISIBLE = "getComputedStyle(document.getElementById('tip')).visibility === 'visible'"
OVERLAPS = """() => {
  const shown = [...document.querySelectorAll("h1, h2, p, li, summary, td, th, dt, dd, .tile div")]
    .filter(e => e.checkVisibility() && e.textContent.trim());
  const boxes = shown.map(e => [e, e.getBoundingClientRect()]);
  const found = [];
  for (const [a, x] of boxes) for (const [b, y] of boxes) {
    if (a === b || a.contains(b) || b.contains(a)) continue;
    const wide = Math.min(x.right, y.right) - Math.max(x.left, y.left);
    const high = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
    if (wide > 2 && high > 4) found.push([a, b].map(e => e.textContent.slice(0, 40)).join(" | "));
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "temp-alpha"
    return write_report(make_results(), folder, links=Links("http://127.0.0.1:5000")).html


@pytest.fixture(params=[(w, s) for w in (WIDE, PHONE) for s in ("light", "dark")], ids=str)
def page(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    requests: list[str] = []
    page.on("request", lambda r: requests.append(r.url))
    page.goto(report.as_uri())
    yield page
    assert errors == []
    assert requests == [report.as_uri()], "a report loads nothing"
    context.close()


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.wait_for_selector(".dt-search input")


def test_nothing_is_cut_and_no_text_lies_on_another(page: Page) -> None:
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(OVERLAPS) == []
        open_all(page)


def test_the_answer_and_its_figure_come_first(page: Page) -> None:
    verdict, figure = page.locator(".verdict"), page.locator("svg.plot").first
    assert verdict.bounding_box()["y"] < figure.bounding_box()["y"] < 1400
    assert page.locator("details[open]").count() == 0


def test_points_say_what_they_are_and_lead_to_their_run(page: Page) -> None:
    link = page.locator("svg.plot").first.locator(".marks a").first
    link.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # what scrolls hides the words of a point
    page.mouse.move(0, 0)
    link.locator("circle").hover(force=True)
    page.wait_for_function(VISIBLE)
    assert re.search(r"width \d+ .*: \d+\.\d+ ± .* %, n = 5", page.inner_text("#tip"))
    assert link.get_attribute("href").startswith("http://127.0.0.1:5000/#/experiments/0/runs/")


def test_the_contents_open_what_they_name(page: Page) -> None:
    for link in page.locator("nav a").all():
        name = (link.get_attribute("href") or "")[1:]
        link.click()
        target = page.locator(f"[id='{name}']")
        assert target.count() == 1
        assert target.evaluate("e => e.tagName !== 'DETAILS' || e.open")


def test_the_table_of_students_sorts_and_filters(page: Page) -> None:
    page.evaluate("location.hash = 'students'")
    search = page.locator(".dt-search input")
    search.fill("confirm hard 128")
    rows = page.locator("#students tbody tr")
    assert rows.count() == 5
    assert all("hard labels" in text for text in rows.all_inner_texts())
    search.fill("search distilled complete")
    head = page.locator("#students th", has_text="Val accuracy")
    head.scroll_into_view_if_needed()
    head.click()
    head.click()
    column = head.evaluate("e => e.cellIndex")
    shown = [float(row.locator("td").nth(column).inner_text()) for row in rows.all()]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] > shown[-1]


def test_links_lead_to_files_that_are_there(page: Page, report: Path) -> None:
    links = [link.get_attribute("href") or "" for link in page.locator("footer a").all()]
    assert len(links) > 10
    assert all((report.parent / link).is_file() for link in links)


def test_colours_are_those_of_the_scheme(page: Page) -> None:
    def brightness(selector: str, style: str) -> float:
        text = page.locator(selector).first.evaluate(f"e => getComputedStyle(e).{style}")
        return sum(int(part) for part in re.findall(r"\d+", text)[:3]) / 3

    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    back = brightness(".card", "backgroundColor")
    assert (back < 60) == is_dark
    letters = page.locator("svg.plot").first.locator("g[transform*='scale(0.']").first
    ink = letters.evaluate("e => getComputedStyle(e).fill")
    assert (sum(map(int, re.findall(r"\d+", ink)[:3])) / 3 > 150) == is_dark


def test_it_is_small_and_prints_on_a_few_sheets(browser: Browser, report: Path) -> None:
    assert report.stat().st_size < MOST_BYTES
    page = browser.new_page()
    page.goto(report.as_uri())
    sheets = page.pdf(format="A4")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", sheets)) <= MOST_SHEETS
    page.close()


def test_without_scripts_it_is_a_page_all_the_same(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".verdict").inner_text()
    assert page.locator("#students tbody tr").count() > 300
    assert page.locator(".marks title").count() > 100
    context.close()
