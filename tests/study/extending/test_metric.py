"""A study that is judged by another metric than accuracy: of ours, and of the user's own."""

import json
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

import kdsearch
from kdsearch.errors import StudyChangedError, UserInputError
from kdsearch.results import Results
from kdsearch.study.storage.database import connect_existing
from tests.conftest import WriteStudy
from tests.docs.pages import blocks

pytestmark = pytest.mark.slow

PAGE = "extending/metric.md"
ONE_WIDTH = {"role": "fixed", "value": 4}


def run(path: Path, *overrides: str) -> Results:
    return kdsearch.run_study(kdsearch.load_study(path, overrides), workers=0).results


def test_a_minimised_metric_of_the_table_decides_everything(write_study: WriteStudy) -> None:
    path = write_study(
        name="judged",
        objective={"metric": "val_brier"},
        study={"metric": "f1_macro"},
        pruner={"kind": "halving", "min_epochs": 2, "exempt": 0.0, "min_correlation": 0.0},
        search__width=ONE_WIDTH,
        budget={"trials": 8, "generation": 4},
        training__patience=4,
    )
    results = run(path)
    for trial in results.select(state="COMPLETE"):
        assert trial.val is not None
        values = [epoch.value("brier") for epoch in trial.history]
        assert trial.best_epoch == 1 + min(range(len(values)), key=lambda i: values[i])
        assert trial.val.brier == pytest.approx(values[trial.best_epoch - 1], abs=1e-5)
    assert results.num_classes == 10

    storage = connect_existing(results.config.storage)
    (study,) = [s for s in storage.get_all_studies() if s.study_name == "judged"]
    assert [d.name for d in study.directions] == ["MINIMIZE"]
    told = storage.get_all_trials(study._study_id)
    by_number = {t.trial: t for t in results.select(stage="search", arm="distilled")}
    complete = [t for t in told if t.state.name == "COMPLETE"]
    assert complete
    for trial in complete:
        assert trial.values == [by_number[trial.number].val.brier]
        assert all(value > 0 for value in trial.intermediate_values.values())

    table = pd.read_csv("reports/judged/results.csv")
    assert list(table.columns[-4:]) == ["val_brier", "test_brier", "val_f1_macro", "test_f1_macro"]
    assert table[table.state == "COMPLETE"]["val_f1_macro"].notna().all()

    document = json.loads(Path("reports/judged/results.json").read_text())
    assert document["metric"] == {"name": "f1_macro", "direction": "maximize", "unit": "fraction"}
    reached = document["strata"][0]["distilled"]
    assert reached["test_f1_macro"]["mean"] != reached["test_accuracy"]["mean"]
    assert any("test macro-averaged F1" in sentence for sentence in document["finding"])

    confirmed = results.select(stage="confirm", arm="distilled")[0]
    metrics = mlflow.MlflowClient().get_run(confirmed.mlflow_run_id).data.metrics
    assert metrics["objective"] == metrics["val/best_brier"]
    assert metrics["test/f1_macro"] == pytest.approx(confirmed.test.value("f1_macro"), abs=1e-6)

    again = kdsearch.run_study(kdsearch.load_study(path, ["study.metric=auroc"]), workers=0)
    assert again.new_trials == 0
    assert again.results.trials == results.trials
    with pytest.raises(StudyChangedError, match=r"val_brier"):
        run(path, "objective.metric=val_loss")


def test_the_example_of_the_page_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_metrics", raising=False)
    (code, _), (study,) = blocks(PAGE, "python"), blocks(PAGE, "yaml")
    (folder / "my_metrics.py").write_text(code)
    (folder / "nines.yaml").write_text(study + "tracking: {models: none}\n")
    results = run(folder / "nines.yaml")
    assert results.config.headline.words == "missed nines"
    trials = results.select(state="COMPLETE")
    assert len(trials) == 6
    for trial in trials:
        distances = [epoch.value("distance_to_teachers") for epoch in trial.history]
        assert trial.best_epoch == 1 + min(range(len(distances)), key=lambda i: distances[i])
    (bank,) = results.banks
    assert bank.ensembles[0].val.value("distance_to_teachers") == pytest.approx(0.0, abs=1e-6)
    assert 0.0 <= bank.ensembles[0].test.value("missed_nines") <= 1.0
    table = pd.read_csv("reports/nines/results.csv")
    assert list(table.columns[-4:]) == [
        "val_distance_to_teachers", "test_distance_to_teachers",
        "val_missed_nines", "test_missed_nines",
    ]  # fmt: skip

    (folder / "my_metrics.py").write_text(code.replace("return 0.5 *", "return None and"))
    monkeypatch.delitem(sys.modules, "my_metrics")
    with pytest.raises(UserInputError, match=r"metrics\.distance_to_teachers: .*returned None"):
        run(folder / "nines.yaml", "name=other")
