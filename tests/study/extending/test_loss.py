"""A user's own loss from the study file to the report, as docs/extending/loss.md has it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kdsearch
from kdsearch.errors import UserInputError
from kdsearch.results import Results
from tests.conftest import WriteStudy
from tests.docs.pages import blocks

pytestmark = pytest.mark.slow

PAGE = "extending/loss.md"
SIGNALS = {"kind": "mnist1d", "train_samples": 600, "test_samples": 100}
OPTION = "distillation.options.weight"
SEARCH: dict[str, Any] = {
    "width": {"role": "scientific", "values": [2, 4]},
    "learning_rate": {"role": "fixed", "value": 0.01},
    OPTION: {"role": "nuisance", "low": 0.0, "high": 1.0},
}


@pytest.fixture(autouse=True)
def mylosses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "mylosses.py").write_text(blocks(PAGE, "python")[0])
    yield
    sys.modules.pop("mylosses", None)


def run(path: Path, *overrides: str) -> Results:
    return kdsearch.run_study(kdsearch.load_study(path, overrides), workers=0).results


def test_the_example_of_the_page_runs_to_its_report(folder: Path) -> None:
    (folder / "matched.yaml").write_text(blocks(PAGE, "yaml")[0])
    results = run(folder / "matched.yaml")
    assert len(results.trials) == 2 * 2 * (4 + 2)
    assert {t.state for t in results.trials} == {"COMPLETE"}
    for trial in results.trials:
        is_taught = trial.arm == "distilled"
        assert trial.is_taught is is_taught
        assert (trial.temperature, trial.alpha) == (None, None if is_taught else 1.0)
        assert (OPTION in trial.settings) is is_taught
        assert (trial.ensemble_size is None) is not is_taught
    table = pd.read_csv(folder / "reports" / "matched" / "results.csv")
    own = table[table.arm == "distilled"]
    assert own.temperature.isna().all()
    assert own.alpha.isna().all()
    assert own[OPTION].between(0, 1).all()
    assert set(table[table.arm == "baseline"].alpha) == {1.0}
    assert table[table.arm == "baseline"][OPTION].isna().all()
    page = (folder / "reports" / "matched" / "report.html").read_text()
    assert "hard labels only (alpha = 1)" not in page
    assert run(folder / "matched.yaml").trials == results.trials, "a finished study runs nothing"


def test_both_engines_train_a_second_architecture_to_the_same_losses(
    write_study: WriteStudy,
) -> None:
    def trained(engine: str) -> Results:
        path = write_study(
            name=engine,
            data=SIGNALS,
            student={"kind": "conv1d", "depth": 2},
            training={"epochs": 3, "engine": engine},
            distillation={"kind": "import", "target": "mylosses:MatchedLogits"},
            search=SEARCH,
            sampler={"kind": "random"},
            budget={"trials": 3, "generation": 3},
            confirm={"replicates": 1, "candidates": 1},
        )
        return run(path)

    together, alone = trained("population").trials, trained("reference").trials
    assert len(together) == len(alone) == 2 * (3 + 1 + 1 + 1)
    for mine, its in zip(together, alone, strict=True):
        assert (mine.key, mine.state) == (its.key, its.state) == (mine.key, "COMPLETE")
        for a, b in zip(mine.history, its.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
            assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)


def test_a_loss_that_cannot_work_is_refused_before_anything_is_written(
    write_study: WriteStudy, folder: Path
) -> None:
    (folder / "mylosses.py").write_text("def MatchedLogits(weight): return 3\n")
    path = write_study(
        distillation={"kind": "import", "target": "mylosses:MatchedLogits"}, search=SEARCH
    )
    with pytest.raises(
        UserInputError, match="'mylosses:MatchedLogits' made something of type int"
    ):
        run(path)
    assert not (folder / "kdsearch.db").exists()


def test_a_study_keeps_its_loss(write_study: WriteStudy) -> None:
    path = write_study(
        search={"learning_rate": {"role": "nuisance", "low": 1e-3, "high": 1e-1}},
        budget={"trials": 1},
        confirm={"replicates": 0},
        training={"epochs": 1},
    )
    first = run(path)
    assert run(path, "distillation.kind=kd", "distillation.temperature=4.0").trials == first.trials
    with pytest.raises(UserInputError, match=r"distillation.temperature: 4.0 -> 2.0"):
        run(path, "distillation.temperature=2.0")
