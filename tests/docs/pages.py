"""The code of the documentation's pages, as a reader would copy it."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
ROOT = DOCS.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
"""From the repository's root."""


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page (its place from docs/) in one language, in their order."""
    return re.findall(f"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def words(page: str) -> str:
    """The text of a page (its place from the root) on one line."""
    return " ".join((ROOT / page).read_text().split())
