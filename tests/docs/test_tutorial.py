"""The tutorial from its study file to its predictions, and the pages that go on from there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import kdsearch
import kdsearch.data
from kdsearch.cli.tables import print_plan
from kdsearch.study.planning.plan import plan_study
from kdsearch.testing.small_study import SMALL_STUDY
from tests.docs.pages import DOCS, NAMES, blocks

TUTORIAL, DEPLOYING = "tutorial.md", "deploying.md"
RUN_BY = {
    "README.md": "tests/docs/test_tutorial.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
    "docs/deploying.md": "tests/docs/test_tutorial.py",
    "docs/extending/README.md": "tests/docs/test_extending.py",
    "docs/extending/data-and-models.md": "tests/docs/test_extending.py",
    "docs/extending/executor.md": "tests/docs/test_extending.py",
    "docs/extending/metric.md": "tests/docs/test_extending.py",
    "docs/extending/loss.md": "tests/study/extending/test_loss.py",
    "docs/extending/answer.md": "tests/analysis/test_answer.py",
}
"""Pages with Python, and the tests that run it."""


def run_block(code: str, *, page: str, names: dict[str, Any]) -> None:
    exec(compile(code, page, "exec"), names)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the tutorial's study has run; it stays the current folder."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "first.yaml").write_text(blocks(TUTORIAL, "yaml")[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        kdsearch.run_study(kdsearch.load_study("first.yaml"), workers=0)
        yield folder


@pytest.mark.slow
def test_the_tutorial_goes_from_a_study_to_predictions(
    first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (first / "reports" / "first" / "report.html").is_file()
    names: dict[str, Any] = {}
    for code in blocks(TUTORIAL, "python"):
        run_block(code, page=TUTORIAL, names=names)
    assert len(names["confirmed"]) == 24
    tags = names["mlflow"].MlflowClient().get_model_version_by_alias("first", "champion").tags
    assert names["accuracy"] == pytest.approx(float(tags["test_accuracy"]), abs=1e-6)
    assert "digits that neither" in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_tutorial_says_was_found_is_found(first: Path) -> None:
    """Its figures roughly: rounding differs from processor to processor."""
    said = " ".join(blocks(TUTORIAL, "text")[1].split())
    answers = json.loads((first / "reports" / "first" / "results.json").read_text())
    found = " ".join([*answers["finding"], answers["recommendation"]])
    number = r"\d+(?:\.\d+)?"
    assert re.sub(number, "#", said) == re.sub(number, "#", found)
    figures = [[float(n) for n in re.findall(number, text)] for text in (said, found)]
    assert figures[0] == pytest.approx(figures[1], abs=1, rel=0.05)


@pytest.mark.slow
def test_the_champion_is_taken_elsewhere(first: Path) -> None:
    names: dict[str, Any] = {}
    for code in blocks(DEPLOYING, "python"):
        run_block(code, page=DEPLOYING, names=names)
    assert names["probabilities"].shape == (3, 10)
    assert names["probabilities"].sum(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    own, chosen = names["champion"], names["small"]
    test = kdsearch.data.load_dataset(kdsearch.load_study("first.yaml").data).test.open(by="test")
    right = (names["model"](test.x).argmax(dim=1) == test.y).float().mean().item()
    assert right == pytest.approx(chosen.test.accuracy, abs=1e-6)
    assert own(test.x).shape == (len(test.y), 10)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(first: Path) -> None:
    (first / "studies").mkdir(exist_ok=True)
    small = {**SMALL_STUDY, "name": "temp-alpha", "tracking": {"models": "confirmed"}}
    small |= {"budget": {"trials": 1}, "confirm": {"replicates": 1, "candidates": 1}}
    Path("studies/temp_alpha.yaml").write_text(yaml.safe_dump(small))
    kdsearch.run_study(kdsearch.load_study("studies/temp_alpha.yaml"), workers=0)
    names: dict[str, Any] = {}
    for code in blocks("../README.md", "python"):
        run_block(code, page="README.md", names=names)
    assert names["result"].results == names["results"]
    assert 0 < names["accuracy"] <= 1


def test_the_plan_of_the_tutorial_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSEARCH_CACHE", str(folder / "cache"))
    monkeypatch.setenv("COLUMNS", "400")
    (folder / "first.yaml").write_text(blocks(TUTORIAL, "yaml")[0])
    print_plan(plan_study(kdsearch.load_study("first.yaml")))
    printed = capsys.readouterr().out

    def plain(text: str) -> str:
        return re.sub(r"about \S+ seconds on .*", "", " ".join(text.split()))

    assert plain(blocks(TUTORIAL, "text")[0]) == plain(printed)


def test_the_python_of_every_page_is_run_by_a_test() -> None:
    with_python = {page for page in NAMES if blocks(f"../{page}", "python")}
    assert with_python == set(RUN_BY)
    for page, test in RUN_BY.items():
        assert Path(page).name in (DOCS.parent / test).read_text()
