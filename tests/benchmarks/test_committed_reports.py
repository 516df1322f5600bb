"""Reports whose study is beside them are what today's code makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.committed_reports import DATABASE, REPORTS, write_again

pytestmark = pytest.mark.slow

STORED = sorted(path.parent.name for path in REPORTS.glob(f"*/{DATABASE}"))


def numbers(folder: Path) -> dict[str, Any]:
    """What the report says, without the versions of what wrote it."""
    document = json.loads((folder / "results.json").read_text())
    return {key: value for key, value in document.items() if key != "versions"}


@pytest.mark.parametrize("name", STORED)
def test_a_committed_report_is_todays(name: str, tmp_path: Path) -> None:
    write_again(name, tmp_path / name)
    assert numbers(tmp_path / name) == numbers(REPORTS / name)
    table = "results.csv"
    assert (tmp_path / name / table).read_bytes() == (REPORTS / name / table).read_bytes()
    figures = {path.name for path in (tmp_path / name / "figures").iterdir()}
    assert figures == {path.name for path in (REPORTS / name / "figures").iterdir()}
    assert (REPORTS / name / "report.html").stat().st_size < 1_500_000
