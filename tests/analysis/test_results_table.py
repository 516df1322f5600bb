import json

import pandas as pd
import pytest
from synthetic import study_config

from kdsearch.analysis import results_table, write_table
from kdsearch.results import Results

EXPORT = [
    "study",
    "stage",
    "arm",
    "trial",
    "replicate",
    "state",
    "temperature",
    "alpha",
    "width",
    "ensemble_size",
    "learning_rate",
    "seed",
    "num_params",
    "macs",
    "size_bytes",
    "epochs",
    "train_seconds",
    "val_accuracy",
    "val_loss",
    "val_agreement",
    "test_accuracy",
    "test_loss",
    "test_agreement",
    "mlflow_run_id",
]
INTEGERS = [
    "trial",
    "replicate",
    "width",
    "ensemble_size",
    "seed",
    "num_params",
    "macs",
    "size_bytes",
    "epochs",
]


def test_columns_and_rows_of_the_export(results):
    table = results_table(results)
    assert list(table.columns) == EXPORT
    assert len(table) == 6 * 2 * 24 + 6 * 2 * 5
    assert all(str(table[name].dtype) == "Int64" for name in INTEGERS)
    baseline = table[table["arm"] == "baseline"]
    assert baseline["temperature"].isna().all()
    assert baseline["ensemble_size"].isna().all()
    assert (table["test_accuracy"].notna() == (table["stage"] == "confirm")).all()


def test_other_searched_fields_follow_and_fixed_ones_do_not(results):
    search = {
        "student.width": {"role": "scientific", "values": [8, 16]},
        "student.depth": {"role": "nuisance", "low": 1, "high": 4},
        "training.weight_decay": {"role": "fixed", "value": 0.1},
        "training.optimizer": {"role": "nuisance", "values": ["adam", "sgd"]},
    }
    settings = {"student.depth": 3, "training.optimizer": "adam"}
    trial = results.trials[0].model_copy(update={"settings": settings})
    table = results_table(Results(study_config(search=search), (trial,), ()))
    assert list(table.columns) == [*EXPORT, "student.depth", "training.optimizer"]
    assert table["student.depth"].tolist() == [3]
    assert str(table["student.depth"].dtype) == "Int64"


def test_running_trials_are_left_out_and_an_empty_study_has_all_columns(results):
    running = results.trials[0].model_copy(update={"state": "RUNNING"})
    table = results_table(Results(results.config, (running,), ()))
    assert table.empty
    assert list(table.columns) == EXPORT


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_written_tables_read_back(results, tmp_path, format):
    table = results_table(results)
    path = tmp_path / "new" / f"t.{format}"
    write_table(table, path, format)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if format == "json":
        rows = json.loads(path.read_text())
        assert list(rows[0]) == EXPORT
        back = pd.DataFrame(rows)
    else:
        back = pd.read_csv(path) if format == "csv" else pd.read_parquet(path)
    assert list(back.columns) == EXPORT
    assert back["seed"].tolist() == table["seed"].tolist()
    assert back["val_accuracy"].astype(float).dropna().tolist() == (
        table["val_accuracy"].dropna().tolist()
    )
