"""What Tab offers in a shell, and that it comes at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdsearch.cli.templates import template_names
from kdsearch.study.storage.ledger import Ledger
from kdsearch.testing.small_study import small_study

COMPLETE = """
import sys
from kdsearch.cli.main import main
try:
    main()
finally:
    heavy = {"torch", "optuna", "mlflow", "pandas", "numpy", "scipy", "sqlalchemy"}
    print("heavy:", sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def offered(line: str, **variables: str) -> list[str]:
    """What bash is offered for the last word of a command line."""
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env=os.environ
        | {"_KDSEARCH_COMPLETE": "complete_bash", "COMP_WORDS": line, **variables}
        | {"COMP_CWORD": str(len(words) - 1)},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr.splitlines() == ["heavy: []"]
    return done.stdout.split()


@pytest.fixture
def stored(folder: Path) -> Path:
    for name in ("first", "second", "farther"):
        Ledger.create(small_study(name=name), command="")
    elsewhere = small_study(name="fifth", storage="sqlite:///other.db")
    Ledger.create(elsewhere, command="")
    return folder


def test_names_of_studies_are_offered(stored: Path) -> None:
    assert offered("kdsearch study status ") == ["first", "second", "farther"]
    for command in ("study delete", "study best", "report", "study export"):
        assert offered(f"kdsearch {command} f") == ["first", "farther"]
    assert offered("kdsearch report first s") == ["second"]
    assert offered("kdsearch study status --storage sqlite:///other.db f") == ["fifth"]


def test_nothing_is_offered_and_nothing_said_where_there_is_no_storage(folder: Path) -> None:
    assert offered("kdsearch study status ") == []
    (folder / "kdsearch.db").write_text("no database")
    assert offered("kdsearch study status ") == []
    assert offered("kdsearch study status --storage postgresql://host/db ") == []


def test_templates_and_commands_are_offered(folder: Path) -> None:
    assert offered("kdsearch study new mine.yaml --from ") == template_names()
    assert offered("kdsearch study new mine.yaml --from temp") == ["temp_alpha"]
    assert {"new", "run", "list", "delete"} <= set(offered("kdsearch study "))
