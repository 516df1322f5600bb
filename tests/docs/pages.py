"""The code of the documentation's pages, as a reader would copy it."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language, in their order."""
    return re.findall(f"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
