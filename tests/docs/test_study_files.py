"""Study files that pages show, whole or in part, are read without a complaint."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsearch import load_study
from kdsearch.testing.small_study import SMALL_STUDY
from tests.docs.pages import NAMES, blocks

CASES = [
    pytest.param(block, id=f"{page}-{i}")
    for page in NAMES
    for i, block in enumerate(blocks(f"../{page}", "yaml"))
]


def merged(into: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """`part` laid over `into`; a section of another kind takes the other's place."""
    result = dict(into)
    for key, value in part.items():
        old = result.get(key)
        same = isinstance(old, dict) and isinstance(value, dict)
        if same and value.get("kind", old.get("kind")) == old.get("kind"):
            value = merged(old, value)
        result[key] = value
    return result


@pytest.mark.parametrize("block", CASES)
def test_a_study_file_of_a_page_is_read(block: str, folder: Path) -> None:
    tree = yaml.safe_load(block)
    if "name" not in tree:
        tree = merged(SMALL_STUDY, tree)
        block = yaml.safe_dump(tree, sort_keys=False)
    path = folder / "page.yaml"
    path.write_text(block)
    assert load_study(path).name == tree["name"]


def test_study_files_are_found_at_all() -> None:
    assert len(CASES) > 8
