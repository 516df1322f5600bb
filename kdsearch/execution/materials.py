"""Data sets, teachers and cached logits as one process holds them: loaded once, then shared."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch

from kdsearch.cache import Mapped, prepared_tensors
from kdsearch.config import DataConfig, TeacherConfig
from kdsearch.data import Dataset, Samples, load_dataset
from kdsearch.distill import TeacherBank, ensemble_logits
from kdsearch.training import EpochViews, TrainingData


def load_data(config: DataConfig, cache: Path, *, with_val: bool = False) -> Dataset:
    """The data set of one section, loaded once per process; see `load_dataset`."""
    return _loaded(config, cache, with_val)


@lru_cache(maxsize=8)
def _loaded(config: DataConfig, cache: Path, with_val: bool) -> Dataset:
    return load_dataset(config, cache=cache, with_val=with_val)


@lru_cache(maxsize=8)
def open_bank(teacher: TeacherConfig, data: DataConfig, cache: Path) -> TeacherBank:
    """The bank of one teacher section, opened once per process.

    Args:
        teacher: The section.
        data: The study's.
        cache: The cache folder.
    """
    return TeacherBank(teacher, load_data(teacher.data_of(data), cache), cache)


def forget_materials() -> None:
    """Load everything again: files may have changed since, where one process runs many studies."""
    for loader in (_loaded, open_bank, plain_data, taught_data, resident_data):
        loader.cache_clear()


@lru_cache(maxsize=4)
def plain_data(config: DataConfig, cache: Path, *, with_val: bool = False) -> TrainingData:
    """What a model sees that nobody teaches; its tensors lie in files that processes share."""
    dataset = load_data(config, cache, with_val=with_val)
    stored = prepared_tensors(
        cache, ["normalized", dataset.fingerprint], lambda: _normalized(dataset)
    )
    views = None
    if dataset.augmentation is not None:
        views = EpochViews(dataset, None, torch.device("cpu"))
    return TrainingData(
        train_x=stored.tensors["train"],
        train_y=dataset.train.y,
        val_x=stored.tensors["val"],
        val_y=dataset.val.y,
        teacher_train=None,
        teacher_val=None,
        views=views,
    )


def _normalized(dataset: Dataset) -> Mapped:
    """As `Normalization` does, with no more than one array of the samples' size at once."""
    splits = {"train": dataset.train, "val": dataset.val}
    if not dataset.input_dtype.is_floating_point:
        return Mapped({k: s.x for k, s in splits.items()}, {})
    return Mapped({k: (s.x - dataset.mean).div_(dataset.std) for k, s in splits.items()}, {})


def taught_samples(full: Dataset) -> Iterator[Samples]:
    """All that students are taught about and measured on, of a data set at `train_fraction` 1."""
    if full.augmentation is None:
        yield full.train
    else:
        yield from map(full.augmentation.view, range(full.augmentation.num_views))
    yield full.val


@lru_cache(maxsize=4)
def taught_data(
    data: DataConfig,
    teacher: TeacherConfig,
    teacher_data: DataConfig,
    cache: Path,
    *,
    with_val: bool = False,
) -> TrainingData:
    """What a student sees: its own share of the data, and every member's logits for it.

    Args:
        data: The student's section.
        teacher: Who teaches.
        teacher_data: The study's section.
        cache: The cache folder.
        with_val: Whether the validation samples are trained on, too.
    """
    dataset = load_data(data, cache, with_val=with_val)
    full = load_data(teacher_data.whole(), cache, with_val=with_val)
    bank = open_bank(teacher, teacher_data, cache)
    val = bank.member_logits(full.val, dataset.val.ids)
    plain = plain_data(data, cache, with_val=with_val)._replace(
        teacher_val=ensemble_logits(val, size=len(val), mode=teacher.ensemble_mode)
    )
    if full.augmentation is None:
        return plain._replace(teacher_train=bank.member_logits(full.train, dataset.train.ids))
    views, ids = full.augmentation, dataset.train.ids

    def teach(number: int) -> torch.Tensor:
        return bank.member_logits(views.view(number), ids)

    return plain._replace(views=EpochViews(dataset, teach, torch.device("cpu")))


@lru_cache(maxsize=4)
def resident_data(
    data: DataConfig,
    teacher: TeacherConfig,
    teacher_data: DataConfig,
    cache: Path,
    *,
    device: torch.device,
    with_val: bool = False,
) -> TrainingData:
    """`taught_data` on a device, in one copy that all students of a process share."""
    return taught_data(data, teacher, teacher_data, cache, with_val=with_val).to(device)


def ensemble_test_logits(
    teacher: TeacherConfig, teacher_data: DataConfig, cache: Path, *, opened_by: str
) -> torch.Tensor:
    """Logits [K, N, C] of all members on the test set. Opens the seal: confirm stage only."""
    test = load_data(teacher_data, cache).test.open(by=opened_by)
    bank = open_bank(teacher, teacher_data, cache)
    return bank.member_logits(test, test.ids)
