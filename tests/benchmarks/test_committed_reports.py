"""Reports whose study is beside them are what today's code makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.committed_reports import DATABASE, REPORTS, write_again

pytestmark = pytest.mark.slow

STORED = sorted(path.parent.name for path in REPORTS.glob(f"*/{DATABASE}"))
FITTED = ("optimum", "versions", "details", "recommendation")
"""Rests on a surface whose fit ends elsewhere on a machine that rounds otherwise."""


def numbers(folder: Path) -> dict[str, Any]:
    """What the report says, without what another machine may say a little otherwise."""
    document = json.loads((folder / "results.json").read_text())
    return {key: value for key, value in document.items() if key not in FITTED}


def same(one: Any, other: Any) -> bool:
    """Equal, numbers to a thousandth."""
    match one:
        case dict():
            return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
        case list():
            return len(one) == len(other) and all(map(same, one, other))
        case float():
            return bool(one == pytest.approx(other, rel=1e-3, abs=1e-6))
        case _:
            return bool(one == other)


@pytest.mark.parametrize("name", STORED)
def test_a_committed_report_is_todays(name: str, tmp_path: Path) -> None:
    write_again(name, tmp_path / name)
    now, committed = numbers(tmp_path / name), numbers(REPORTS / name)
    assert now.keys() == committed.keys()
    assert [key for key in now if not same(now[key], committed[key])] == []
    table = "results.csv"
    assert (tmp_path / name / table).read_bytes() == (REPORTS / name / table).read_bytes()
    figures = {path.name for path in (tmp_path / name / "figures").iterdir()}
    assert figures == {path.name for path in (REPORTS / name / "figures").iterdir()}
    assert (REPORTS / name / "report.html").stat().st_size < 1_500_000
