"""Data sets, teachers and cached logits as one process holds them: loaded once, then shared."""

from functools import lru_cache
from pathlib import Path

import torch

from kdsearch.config import DataConfig, TeacherConfig
from kdsearch.data import Dataset, load_dataset
from kdsearch.distill import TeacherBank, ensemble_logits
from kdsearch.models import Normalization
from kdsearch.training import TrainingData


@lru_cache(maxsize=8)
def load_data(config: DataConfig, cache: Path) -> Dataset:
    """The data set of one section, loaded once per process."""
    return load_dataset(config, cache=cache)


@lru_cache(maxsize=8)
def open_bank(teacher: TeacherConfig, data: DataConfig, cache: Path) -> TeacherBank:
    """The bank of one teacher section, opened once per process."""
    return TeacherBank(teacher, load_data(data, cache), cache)


def forget_materials() -> None:
    """Load everything again: files may have changed since, where one process runs many studies."""
    for loader in (load_data, open_bank, taught_data, resident_data):
        loader.cache_clear()


def whole(data: DataConfig) -> DataConfig:
    """The same data with the whole training set, which cached logits cover."""
    return data.model_copy(update={"train_fraction": 1.0})


def plain_data(dataset: Dataset) -> TrainingData:
    """What a model sees that nobody teaches."""
    normalize = Normalization(dataset.mean, dataset.std)
    return TrainingData(
        train_x=normalize(dataset.train.x),
        train_y=dataset.train.y,
        val_x=normalize(dataset.val.x),
        val_y=dataset.val.y,
        teacher_train=None,
        teacher_val=None,
    )


@lru_cache(maxsize=4)
def taught_data(
    data: DataConfig, teacher: TeacherConfig, teacher_data: DataConfig, cache: Path
) -> TrainingData:
    """What a student sees: its own share of the data, and every member's logits for it."""
    dataset = load_data(data, cache)
    full = load_data(whole(teacher_data), cache)
    bank = open_bank(teacher, teacher_data, cache)
    val = bank.member_logits(full.val, dataset.val.ids)
    return plain_data(dataset)._replace(
        teacher_train=bank.member_logits(full.train, dataset.train.ids),
        teacher_val=ensemble_logits(val, size=len(val), mode=teacher.ensemble_mode),
    )


@lru_cache(maxsize=4)
def resident_data(
    data: DataConfig,
    teacher: TeacherConfig,
    teacher_data: DataConfig,
    cache: Path,
    *,
    device: torch.device,
) -> TrainingData:
    """`taught_data` on a device, in one copy that all students of a process share."""
    return taught_data(data, teacher, teacher_data, cache).to(device)


def ensemble_test_logits(
    teacher: TeacherConfig, teacher_data: DataConfig, cache: Path, *, opened_by: str
) -> torch.Tensor:
    """Logits [K, N, C] of all members on the test set. Opens the seal: confirm stage only."""
    test = load_data(teacher_data, cache).test.open(by=opened_by)
    bank = open_bank(teacher, teacher_data, cache)
    return bank.member_logits(test, test.ids)
