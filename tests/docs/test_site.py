"""The site of docs/ is built without a warning, and fetches nothing when it is read."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs-material is in the group docs"),
]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
SAYING = ("canonical", "prev", "next", "alternate", "author")
"""Kinds of links that name another page and load nothing."""


class Loads(HTMLParser):
    """What a page loads, what it leads to, and where one can land in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.places: set[str] = set()
        self.classes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.places |= {found.get("id", ""), found.get("name", "")}
        self.classes |= set(found.get("class", "").split())
        if tag == "a" and "href" in found:
            self.leads.append(found["href"])
        elif tag in LOADING and LOADING[tag] in found and found.get("rel") not in SAYING:
            self.loads.append(found[LOADING[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def pages_of(site: Path) -> dict[Path, Loads]:
    """Pages of the theme; reports have tests of their own."""
    files = (f for f in sorted(site.rglob("*.html")) if "reports" not in f.parts)
    return {file: Loads(file.read_text()) for file in files}


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = pages_of(site)
    assert len(pages) > 25
    for page, found in pages.items():
        outside = [url for url in found.loads if re.match(r"(https?:)?//", url)]
        assert not outside, page
        assert found.loads, page
        assert "mermaid" not in found.classes, page  # the theme would fetch its library
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text()), sheet


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    pages = pages_of(site)
    broken = []
    for page, found in pages.items():
        for link in [*found.leads, *found.loads]:
            path, _, place = unquote(link).partition("#")
            if re.match("[a-z]+:", path) or page.name == "404.html":
                continue
            target = (page.parent / path).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].places if target in pages else {place}
            if not target.is_file() or (place and place not in known and place != "__skip"):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken


def test_what_pages_link_to_beside_docs_is_in_the_site(site: Path) -> None:
    beside = site / "repository"
    assert "saturates" in (beside / "reports" / "capacity" / "report.html").read_text()
    assert (beside / "reports" / "capacity" / "results.csv").is_file()
    assert "trials" in (beside / "studies" / "temp_alpha.yaml.html").read_text()
    assert (beside / "benchmarks" / "README.html").is_file() or (
        beside / "benchmarks" / "index.html"
    ).is_file()


def test_the_pages_can_be_searched(site: Path) -> None:
    assert "Fashion-MNIST" in (site / "search" / "search_index.json").read_text()
