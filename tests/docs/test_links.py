"""Links between the pages lead somewhere."""

import re

import pytest

from tests.docs.pages import NAMES, ROOT


@pytest.mark.parametrize("page", NAMES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    missing = [
        link
        for link in links
        if not link.startswith("http") and not (ROOT / page).parent.joinpath(link).exists()
    ]
    assert not missing
