"""Every figure on a page that speaks of measurements is where the page says that it is from."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, words

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
COMMITTED = re.findall(r"^!/reports/([\w-]+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)
"""Reports of the repository; others are of studies that were run here."""
QUESTIONS, SPEED, START = "docs/questions.md", "docs/speed.md", "docs/index.md"


def numbers(text: str) -> set[str]:
    """As they are written: 0.5 and 0.50 are two. Dates, links and code are none."""
    text = re.sub(r"\]\([^)]*\)|\d{4}-\d\d-\d\d|`[^`]*`", " ", text)
    return set(NUMBER.findall(text))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [s for v in value.values() for s in strings(v)]
    return [value] if isinstance(value, str) else [s for v in value or () for s in strings(v)]


def found_by(study: str) -> set[str]:
    """Numbers of a committed report's answers; else of what the study's file expects."""
    name = study.replace("_", "-")
    if name in COMMITTED:
        results = json.loads((ROOT / "reports" / name / "results.json").read_text())
        said = [results.get(key) for key in ("finding", "details", "recommendation")]
        return numbers(" ".join(strings(said)))
    lines = (ROOT / "studies" / f"{study}.yaml").read_text().splitlines()
    expected = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    return numbers(expected.partition("Expect:")[2])


def measured() -> list[Any]:
    """Each line on a study: the name and what is said of it."""
    text = (ROOT / QUESTIONS).read_text()
    items = re.findall(r"^- \[`(\w+)`\]\([^)]*\)(.*?)(?=^- |^$)", text, re.MULTILINE | re.DOTALL)
    return [pytest.param(study, said, id=f"{study}-{i}") for i, (study, said) in enumerate(items)]


@pytest.mark.parametrize(("study", "said"), measured())
def test_what_a_study_measured_is_what_it_says(study: str, said: str) -> None:
    assert numbers(said)
    assert numbers(said) <= found_by(study)


def test_every_study_with_an_answer_is_asked() -> None:
    asked = {case.values[0] for case in measured()}
    assert asked >= {"capacity", "fashion_capacity", "fashion_cnn", "temp_alpha", "convergence"}
    assert COMMITTED
    for report in COMMITTED:
        assert report.replace("-", "_") in asked


def paragraph(page: str, *, begins: str) -> str:
    text = (ROOT / page).read_text()
    return text[text.index(begins) :].partition("\n\n")[0]


def test_the_missing_digit_is_in_the_log() -> None:
    said = paragraph(QUESTIONS, begins="That soft targets carry more")
    logged = paragraph("docs/log.md", begins="**Hinton's missing digit")
    assert {"93.2", "80"} <= numbers(said)
    assert numbers(said) <= numbers(logged)


def test_the_start_page_says_what_the_readme_says() -> None:
    """Whose numbers are those of the committed results: tests/benchmarks."""
    studies = words(START).partition("## One study")[2].partition("## Where")[0]
    assert len(numbers(studies)) > 10
    assert numbers(studies) <= numbers(words("README.md"))


def test_speeds_are_those_of_the_benchmarks() -> None:
    sources = ("benchmarks/README.md", "docs/log.md", "docs/architecture.md")
    known = set().union(*(numbers(words(source)) for source in sources))
    said = numbers(words(SPEED).partition("## What it gives")[2])
    assert len(said) > 25
    assert said <= known


def test_shipped_studies_expect_what_their_reports_say() -> None:
    for report in sorted((ROOT / "reports").glob("*/results.json")):
        study = report.parent.name.replace("-", "_")
        lines = Path(ROOT / "studies" / f"{study}.yaml").read_text()
        saturation = json.loads(report.read_text())["saturation"]
        assert ("aturated" in lines) == (saturation["verdict"] == "saturated")
