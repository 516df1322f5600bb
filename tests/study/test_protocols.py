"""A study that says all of its protocol, from its file to the exported champion."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch

import kdsearch
from kdsearch.data import load_dataset
from kdsearch.results import TrialRecord
from tests.conftest import WriteStudy
from tests.study.test_run import ONE_WIDTH, run

pytestmark = pytest.mark.slow

PROTOCOL: dict[str, Any] = {
    "data": {
        "kind": "digits",
        "augment": {"shift": 1, "views": 2},
        "transfer": {"omit_classes": [3]},
    },
    "teacher__augment": "none",
    "student": {"kind": "mlp", "depth": 1, "max_norm": 4.0},
    "search__width": ONE_WIDTH | {"value": 16},
    "search__student.dropout": {"role": "nuisance", "values": [0.1, 0.3]},
    "budget": {"trials": 3, "generation": 3},
    "confirm": {"replicates": 2, "candidates": 1, "baseline": True, "refit": True},
    "tracking": {"models": "confirmed"},
}
IGNORED = {"train_seconds", "mlflow_run_id", "test", "test_correct"}


def without_test(record: TrialRecord) -> dict[str, object]:
    return record.model_dump(exclude=IGNORED)


def test_a_refit_changes_what_is_tested_and_exported_and_nothing_else(
    write_study: WriteStudy,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name="protocol", **PROTOCOL)
    result = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    results, champion = result.results, result.champion
    assert {t.state for t in results.trials} == {"COMPLETE"}
    assert champion is not None
    assert champion.test is not None
    model = mlflow.pytorch.load_model("models:/protocol@champion")
    test = load_dataset(results.config.data).test.open(by="a test of kdsearch")
    with torch.no_grad():
        correct = int((model(test.x).argmax(1) == test.y).sum())
    assert correct / len(test) == champion.test.accuracy
    assert kdsearch.load_results("protocol").config == results.config

    monkeypatch.chdir(tmp_path_factory.mktemp("once"))
    once = run(path, "confirm.refit=false", "tracking.models=none")
    assert [without_test(t) for t in once.trials] == [without_test(t) for t in results.trials]
    pairs = list(zip(once.trials, results.trials, strict=True))
    for before, after in pairs:
        assert (after.test is None) is (after.stage == "search")
        assert (before.test == after.test) is (after.stage == "search")
    confirmed = [(b, a) for b, a in pairs if a.stage == "confirm"]
    assert len(confirmed) == 4
    with pytest.raises(kdsearch.errors.StudyChangedError, match=r"confirm\.refit: False -> True"):
        run(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"data__transfer": {"omit_classes": [10]}},
            "data.transfer.omit_classes: digits has no class 10; allowed are 0 to 9",
        ),
        (
            {"data__transfer": {"omit_classes": list(range(10))}},
            "data.transfer.omit_classes leaves students no sample of digits; leave at least one "
            "class in",
        ),
    ],
)
def test_a_protocol_that_cannot_be_kept_is_refused_before_anything_is_written(
    changes: dict[str, Any], sentence: str, write_study: WriteStudy, folder: Path
) -> None:
    path = write_study(name="refused", **changes)
    with pytest.raises(kdsearch.errors.DataError) as refused:
        run(path)
    assert str(refused.value) == sentence
    assert [file.name for file in folder.iterdir()] == ["refused.yaml"]
