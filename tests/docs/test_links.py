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


@pytest.mark.parametrize("page", NAMES)
def test_no_line_of_a_merge_is_left(page: str) -> None:
    assert not re.search(r"^(<{7}|>{7}|={7}$)", (ROOT / page).read_text(), re.MULTILINE)
