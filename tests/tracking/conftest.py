"""A real MLflow on SQLite: the database is made once and copied for each test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from kdsearch.config import StudyConfig
from kdsearch.results import (
    EpochMetrics,
    Evaluation,
    TeacherBankRecord,
    TeacherRecord,
    TrialRecord,
)
from kdsearch.tracking import DatasetSummary, LoggableModel
from kdsearch.tracking.mlflow import database
from kdsearch.tracking.mlflow.sink import MlflowSink


@pytest.fixture(scope="session")
def template_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    uri = f"sqlite:///{path}"
    database.connect(uri)
    database.checkpoint(uri)
    return path


@pytest.fixture
def folder(
    tmp_path: Path, template_database: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder that the study runs in, with an empty `mlflow.db`."""
    shutil.copyfile(template_database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def config() -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "name": "temp-alpha",
            "question": "Which temperature suits small students?",
            "data": {"kind": "mnist1d"},
            "teacher": {"model": {"kind": "conv1d", "width": 64}, "members": 2},
            "student": {"kind": "mlp"},
            "search": {
                "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
                "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
                "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
                "width": {"role": "scientific", "values": [8, 16]},
            },
            "budget": {"trials": 4},
        }
    )


@pytest.fixture
def dataset() -> DatasetSummary:
    return DatasetSummary(
        name="digits",
        fingerprint="f" * 64,
        num_train=1150,
        num_val=287,
        num_test=360,
        num_classes=10,
        input_shape=(4,),
    )


def _evaluation(accuracy: float = 0.9) -> Evaluation:
    return Evaluation(
        accuracy=accuracy,
        loss=0.25,
        agreement=0.95,
        teacher_kl=0.125,
        ece=0.0625,
        brier=0.03125,
        num_samples=287,
    )


@pytest.fixture
def evaluation() -> Callable[[float], Evaluation]:
    return _evaluation


@pytest.fixture
def make_record() -> Callable[..., TrialRecord]:
    def make(**changes: object) -> TrialRecord:
        history = tuple(
            EpochMetrics(
                epoch=epoch,
                train_loss=1.0 / epoch,
                val_accuracy=accuracy,
                val_loss=0.5 / epoch,
                val_agreement=0.5,
                learning_rate=1e-3,
            )
            for epoch, accuracy in ((1, 0.5), (2, 0.9), (3, 0.8))
        )
        values: dict[str, object] = {
            "study": "temp-alpha",
            "stage": "search",
            "arm": "distilled",
            "trial": 12,
            "replicate": 0,
            "state": "COMPLETE",
            "settings": {"temperature": 4.4, "alpha": 0.73, "learning_rate": 1e-3, "width": 16},
            "stratum": {"width": 16},
            "temperature": 4.4,
            "alpha": 0.73,
            "width": 16,
            "ensemble_size": 2,
            "learning_rate": 1e-3,
            "seed": 7,
            "num_params": 1000,
            "macs": 990,
            "size_bytes": 4000,
            "epochs": 3,
            "best_epoch": 2,
            "train_seconds": 1.5,
            "val": _evaluation(),
            "history": history,
            "optuna_study": "temp-alpha/width=16",
            "optuna_trial": 5,
        }
        return TrialRecord.model_validate(values | changes)

    return make


@pytest.fixture
def teacher() -> TeacherRecord:
    return TeacherRecord(
        member=1,
        key="abc",
        model="conv1d width 64 depth 3",
        num_params=50_000,
        macs=400_000,
        size_bytes=200_000,
        epochs=40,
        train_seconds=8.0,
        val=_evaluation(0.95),
    )


@pytest.fixture
def bank(teacher: TeacherRecord) -> TeacherBankRecord:
    return TeacherBankRecord(key="bank1", members=(teacher,), ensembles=())


@pytest.fixture
def make_mlp() -> Callable[[int], LoggableModel]:
    """Small students on raw inputs [B, 4]: normalisation, batch norm, dropout."""

    def make(seed: int) -> LoggableModel:
        torch.manual_seed(seed)
        module = torch.nn.Sequential(
            torch.nn.BatchNorm1d(4),
            torch.nn.Linear(4, 16),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.5),
            torch.nn.Linear(16, 3),
        )
        module(torch.randn(64, 4) * 3 + 1)  # Running statistics that are not 0 and 1.
        return LoggableModel(module, (4,))

    return make


@pytest.fixture
def mlp(make_mlp: Callable[[int], LoggableModel]) -> LoggableModel:
    return make_mlp(0)


@pytest.fixture
def open_sink(
    folder: Path, config: StudyConfig, dataset: DatasetSummary
) -> Callable[..., MlflowSink]:
    """What each new process does."""

    def open_one(uri: str | None = None) -> MlflowSink:
        sink = MlflowSink(uri)
        sink.open_study(
            config,
            study_id="0123abcd",
            command="kdsearch study run studies/temp_alpha.yaml",
            dataset=dataset,
        )
        return sink

    return open_one


@pytest.fixture
def sink(open_sink: Callable[..., MlflowSink]) -> MlflowSink:
    return open_sink()


@pytest.fixture
def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
