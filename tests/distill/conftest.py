"""A bank over real digits whose members are really trained, in a few epochs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdsearch.config import DigitsData, MlpModel, TeacherConfig, TrainingConfig
from kdsearch.data import Dataset, load_dataset
from kdsearch.distill import TeacherBank
from kdsearch.execution import TeacherTask
from kdsearch.execution.teacher import fit_member
from kdsearch.results import TeacherRecord

DATA = DigitsData(kind="digits")
TEACHER = TeacherConfig(
    model=MlpModel(kind="mlp", width=16, depth=1),
    members=2,
    training=TrainingConfig(epochs=2, learning_rate=3e-3, batch_size=64, device="cpu"),
)

OpenBank = Callable[..., TeacherBank]


class Fit:
    """The project's own way to train a member, counting how often it is asked to."""

    def __init__(self, teacher: TeacherConfig, member: int, cache: Path) -> None:
        self.calls = 0
        self._task = TeacherTask(
            key="teacher", teacher=teacher, data=DATA, member=member, cache=cache
        )

    def __call__(self, model: nn.Module, folder: Path) -> TeacherRecord:
        self.calls += 1
        return fit_member(
            model, folder, task=self._task, notify=lambda _: None, should_stop=lambda: False
        )


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(DATA, cache=tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def trained_cache(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with both members of TEACHER trained; tests that damage it take a copy."""
    cache = tmp_path_factory.mktemp("trained")
    bank = TeacherBank(TEACHER, digits, cache)
    for member in bank.members:
        bank.ensure(member, Fit(TEACHER, member, cache))
    return cache


@pytest.fixture
def open_bank(digits: Dataset, tmp_path: Path) -> OpenBank:
    """A bank like TEACHER's with some fields changed, in a cache of its own by default."""

    def open_with(cache: Path | None = None, **changes: Any) -> TeacherBank:
        config = TEACHER.model_copy(update=changes)
        return TeacherBank(config, digits, tmp_path / "cache" if cache is None else cache)

    return open_with


def never_fit(model: nn.Module, folder: Path) -> TeacherRecord:
    raise AssertionError("a trained member was trained again")


class NoisyTeacher(nn.Module):
    """Everything that a teacher left in train mode would change: dropout and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 12), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)
