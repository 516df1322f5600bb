"""The page on architecture names what is there."""

import importlib
import pkgutil
import re
from pathlib import Path

import kdsearch
from tests.docs.pages import DOCS

PAGE = (DOCS / "architecture.md").read_text()
ROOT = Path(kdsearch.__file__).parent
ROOMS = {name for _, name, is_room in pkgutil.iter_modules([str(ROOT)]) if is_room}


def test_the_tree_is_the_folder_list() -> None:
    tree = re.search(r"```text\nkdsearch/\n(.*?)```", PAGE, re.DOTALL)
    assert tree is not None
    shown, parent = set(), ""
    for line in tree[1].splitlines():
        found = re.match(r"( +)([a-z_]+)/ ", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[2]
        parent = name if depth == 2 else parent
        shown.add(name if depth == 2 else f"{parent}/{name}")
    there = {str(p.parent.relative_to(ROOT)) for p in ROOT.rglob("__init__.py")} - {"."}
    rooms_of_answers = {path for path in there if path.count("/") > 1}
    assert shown == there - rooms_of_answers


def test_every_module_that_is_named_exists() -> None:
    named = {
        name
        for name in re.findall(r"`([a-z_]+(?:\.\w+)+)`", PAGE)
        if (
            not name.endswith((".json", ".csv", ".html"))
            and name.split(".")[0] in ROOMS - {"data", "study", "training", "tracking"}
        )
        or (name.split(".")[0] in ROOMS and name.count(".") > 1)
    }
    assert len(named) > 15
    for name in sorted(named):
        pkgutil.resolve_name(f"kdsearch.{name}")


def test_every_room_says_what_it_is_for() -> None:
    for room in sorted(ROOMS):
        assert importlib.import_module(f"kdsearch.{room}").__doc__
