"""What the pages on extending kdsearch show runs, and keeps the contracts."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kdsearch
from kdsearch.study.planning.pieces import check_pieces
from kdsearch.testing.small_study import small_study
from tests.conftest import WriteStudy
from tests.docs.pages import blocks

EXECUTOR, DATA = "extending/executor.md", "extending/data-and-models.md"
METRIC = "extending/metric.md"
MODULES = (
    "threads", "mysamplers", "mycode", "my_metrics", "threads_test", "mine_test", "metrics_test",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_modules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_the_executor_of_the_page_keeps_the_contract(folder: Path) -> None:
    threads, _, contract = blocks(EXECUTOR, "python")[:3]
    (folder / "threads.py").write_text(threads)
    (folder / "threads_test.py").write_text(contract)
    assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "threads_test.py"]) == 0


@pytest.mark.slow
def test_a_study_runs_in_the_threads_of_the_page(folder: Path, write_study: WriteStudy) -> None:
    threads, script = blocks(EXECUTOR, "python")[:2]
    (folder / "threads.py").write_text(threads)
    path = write_study(training__epochs=1, budget__trials=1, confirm__replicates=1)
    (folder / "studies").mkdir()
    path.rename(folder / "studies" / "temp_alpha.yaml")
    exec(compile(script, "script", "exec"), {"__name__": "__main__"})
    assert (folder / "reports" / "small" / "report.html").exists()


def test_the_sampler_of_the_page_is_taken(folder: Path) -> None:
    (folder / "mysamplers.py").write_text(blocks(EXECUTOR, "python")[3])
    (section,) = blocks(EXECUTOR, "yaml")
    import yaml

    check_pieces(small_study(**yaml.safe_load(section)))


@pytest.mark.slow
def test_the_sampler_of_the_page_is_passed_in(folder: Path, write_study: WriteStudy) -> None:
    (folder / "mysamplers.py").write_text(blocks(EXECUTOR, "python")[3])
    path = write_study(training__epochs=1, budget__trials=1, confirm__replicates=1, sampler={})
    page: dict[str, Any] = {}
    exec(compile(blocks(EXECUTOR, "python")[4], "script", "exec"), page)
    sampler = page["run"](path).results.config.sampler
    assert (sampler.target, sampler.options) == ("mysamplers:patient", {"startup": 20})


@pytest.mark.slow
def test_the_spirals_of_the_page_run_to_their_report(folder: Path) -> None:
    code, transform = blocks(DATA, "python")
    (folder / "mycode.py").write_text(f"{code}\n\n{transform}")
    (folder / "spirals.yaml").write_text(blocks(DATA, "yaml")[0])
    small = ["training.epochs=3", "teacher.training.epochs=3", "budget.trials=2"]
    views = ["data.augment={transform: 'mycode:noise', views: 2}", "confirm.replicates=1"]
    result = kdsearch.run_study(
        kdsearch.load_study(folder / "spirals.yaml", [*small, *views]), workers=0
    )
    assert {t.state for t in result.results.trials} == {"COMPLETE"}


def test_the_model_of_the_page_keeps_the_contract(folder: Path) -> None:
    (folder / "mycode.py").write_text(blocks(DATA, "python")[0])
    (folder / "mine_test.py").write_text(blocks("extending/README.md", "python")[0])
    assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "mine_test.py"]) == 0


def test_the_metric_of_the_page_keeps_the_contract(folder: Path) -> None:
    code, contract = blocks(METRIC, "python")
    (folder / "my_metrics.py").write_text(code)
    (folder / "metrics_test.py").write_text(contract)
    assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "metrics_test.py"]) == 0
