"""The results as one table, a row for every trained student: what `study export` gives."""

import json
import os
from pathlib import Path
from typing import Any, Literal, assert_never

import pandas as pd

from kdsearch.results import Results, TrialRecord
from kdsearch.results.score import validated_metric

TableFormat = Literal["csv", "json", "parquet"]

COLUMNS = {
    "study": "string",
    "stage": "string",
    "arm": "string",
    "trial": "Int64",
    "replicate": "Int64",
    "state": "string",
    "temperature": "Float64",
    "alpha": "Float64",
    "width": "Int64",
    "ensemble_size": "Int64",
    "learning_rate": "Float64",
    "seed": "Int64",
    "num_params": "Int64",
    "macs": "Int64",
    "size_bytes": "Int64",
    "epochs": "Int64",
    "train_seconds": "Float64",
    "val_accuracy": "Float64",
    "val_loss": "Float64",
    "val_agreement": "Float64",
    "test_accuracy": "Float64",
    "test_loss": "Float64",
    "test_agreement": "Float64",
    "mlflow_run_id": "string",
}
"""Column name to pandas type, in the order of the export; all of them nullable."""


def results_table(results: Results) -> pd.DataFrame:
    """One row per trained student, in the order of the records; RUNNING trials are left out.

    Returns:
        The columns of `COLUMNS`, then any other searched parameter by the name it has in the
        study file, then `val_NAME` and `test_NAME` of any other metric that the study asks for.
        Missing values are `pd.NA`, integers stay integers.
    """
    extra, asked = _other_searched(results), _other_metrics(results)
    rows = [_row(trial, extra, asked) for trial in results.trials if trial.state != "RUNNING"]
    table = pd.DataFrame(rows, columns=[*COLUMNS, *extra, *asked], dtype=object)
    types = {name: _extra_dtype(table[name]) for name in extra} | dict.fromkeys(asked, "Float64")
    return table.astype(COLUMNS | types)


def write_table(table: pd.DataFrame, path: Path, format: TableFormat) -> None:
    """Write `table` to `path` in one step: readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        match format:
            case "csv":
                table.to_csv(draft, index=False, encoding="utf-8", lineterminator="\n")
            case "json":
                rows = [
                    {name: None if pd.isna(value) else value for name, value in row.items()}
                    for row in table.astype(object).to_dict("records")
                ]
                text = json.dumps(rows, indent=1, allow_nan=False, ensure_ascii=False)
                draft.write_text(text + "\n", encoding="utf-8")
            case "parquet":
                table.to_parquet(draft, index=False)
            case _:
                assert_never(format)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _other_searched(results: Results) -> list[str]:
    searched = [name for name, p in results.config.space.items() if p.role != "fixed"]
    return [name for name in searched if name not in COLUMNS]


def _other_metrics(results: Results) -> list[str]:
    """Columns of the metrics that are an objective or the headline and have none yet."""
    config = results.config
    names = [validated_metric(objective) for objective in config.objective]
    asked = dict.fromkeys(name for name in [*names, config.headline.name] if name is not None)
    columns = [f"{split}_{name}" for name in asked for split in ("val", "test")]
    return [column for column in columns if column not in COLUMNS]


def _row(trial: TrialRecord, extra: list[str], asked: list[str]) -> list[Any]:
    def value(column: str) -> object:
        split, _, metric = column.partition("_")
        if split not in ("val", "test"):
            return getattr(trial, column)
        evaluation = trial.val if split == "val" else trial.test
        return evaluation and evaluation.value(metric)

    row = [value(name) for name in COLUMNS] + [trial.settings.get(name) for name in extra]
    return row + [value(name) for name in asked]


def _extra_dtype(column: pd.Series) -> str:
    """The narrowest nullable type that holds what the column holds."""
    kinds = {type(value) for value in column if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64"
    if kinds and kinds <= {int, float}:
        return "Float64"
    return "string"
