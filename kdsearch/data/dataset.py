"""A data set: loaded, checked, split, measured and fingerprinted."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from torch import Tensor

from kdsearch.cache.folder import cache_folder
from kdsearch.cache.mapped import Mapped
from kdsearch.cache.prepared import prepared_tensors
from kdsearch.config import (
    DataConfig,
    DigitsData,
    FashionMnistData,
    IdxData,
    ImportData,
    Mnist1dData,
    MnistData,
    NpzData,
)
from kdsearch.data.augmentation import Augmentation
from kdsearch.data.fingerprint import fingerprint_splits
from kdsearch.data.normalization import measure_normalization
from kdsearch.data.source import arrays_digest, source_digest
from kdsearch.data.sources.digits import load_digits
from kdsearch.data.sources.fashion_mnist import load_fashion_mnist
from kdsearch.data.sources.idx import load_idx
from kdsearch.data.sources.imported import load_imported
from kdsearch.data.sources.mnist import load_mnist
from kdsearch.data.sources.mnist1d import load_mnist1d
from kdsearch.data.sources.npz import load_npz
from kdsearch.data.sources.raw import RawData
from kdsearch.data.split import SealedSplit, Split
from kdsearch.data.stratify import choose_rows
from kdsearch.errors import DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train, validation and sealed test samples, and what is known about them."""

    name: str
    """The kind, or for the user's own data the path or target."""
    num_classes: int
    """Labels are 0..num_classes-1."""
    input_shape: tuple[int, ...]
    """Shape of one sample: [D], [C, L] or [C, H, W]."""
    train: Split
    val: Split
    test: SealedSplit
    mean: Tensor
    """Mean of `train.x`, float32: [], or [C, 1, ...] for samples of more than one channel; 0 for
    whole numbers, which are not normalised."""
    std: Tensor
    """Standard deviation of `train.x`, like `mean`; never 0; 1 for whole numbers."""
    fingerprint: str
    """SHA-256 of all three splits, as 64 hex digits: same fingerprint, same data and split."""
    augmentation: Augmentation | None = None
    """The views of `train` that are trained on in place of it; None where there are none."""

    @property
    def input_dtype(self) -> torch.dtype:
        """Of samples: float32, or int64 for whole numbers such as token ids."""
        return self.train.x.dtype


AUGMENT = frozenset({"augment"})
"""What splits do not depend on."""


def load_dataset(
    config: DataConfig,
    *,
    cache: Path | None = None,
    with_val: bool = False,
    augment_key: str = "data.augment",
) -> Dataset:
    """Load, check and split the data set that `config` describes.

    Splits follow from the labels, the fractions and `config.seed` alone. `train_fraction` and
    `transfer` thin out the training samples only (and so move `mean` and `std`); a smaller
    training set is part of a larger one. All tensors lie in a file of the cache, whose pages
    processes share.

    Args:
        config: the `data:` section of a study file.
        cache: the cache folder; `cache_folder()` by default.
        with_val: adds the validation samples (none of classes that are left out) to the training
            samples; `mean`, `std` and `val` stay as they are.
        augment_key: where the study file says the views, for messages.

    Raises:
        DataError: the source is missing, malformed or too small, or cannot be augmented; one
            sentence says what to do.
        StaleCacheError: a file in the cache is damaged.
        UserInputError: the cache folder cannot be written.
    """
    cache = cache_folder() if cache is None else cache
    dataset = _dataset_of(config, cache, with_val=with_val)
    if config.augment is None:
        return dataset
    whole = dataset.train
    if config.is_part:
        whole = _dataset_of(config.whole(), cache, with_val=with_val).train
    augmentation = Augmentation(
        config.augment, seed=config.seed, train=dataset.train, whole=whole, key=augment_key
    )
    return dataclasses.replace(dataset, augmentation=augmentation)


def _dataset_of(config: DataConfig, cache: Path, *, with_val: bool) -> Dataset:
    dataset = _splits_of(config, cache)
    if not with_val:
        return dataset
    address = ["train and validation", config.identity(exclude=AUGMENT), dataset.fingerprint]
    stored = prepared_tensors(cache, address, lambda: _join(dataset, config))
    train = Split(**stored.tensors, known_digest=stored.notes["train"])
    return dataclasses.replace(dataset, train=train, fingerprint=stored.notes["fingerprint"])


def _join(dataset: Dataset, config: DataConfig) -> Mapped:
    """The training and validation samples as one split, in the order of their ids."""
    train, val = dataset.train, dataset.val
    rows = ~torch.isin(val.y, _omitted(config))
    ids = torch.cat([train.ids, val.ids[rows]])
    order = ids.argsort()
    joined = Split(
        x=torch.cat([train.x, val.x[rows]])[order],
        y=torch.cat([train.y, val.y[rows]])[order],
        ids=ids[order],
    )
    # With the validation samples, because they decide `mean` and `std`, and other splits of the
    # same samples join to the same.
    fingerprint = fingerprint_splits([("train", joined), ("val", val)])
    notes = {"train": joined.digest, "fingerprint": fingerprint}
    return Mapped({"x": joined.x, "y": joined.y, "ids": joined.ids}, notes)


def _omitted(config: DataConfig) -> Tensor:
    labels = () if config.transfer is None else config.transfer.omit_classes
    return torch.tensor(labels, dtype=torch.int64)


def _splits_of(config: DataConfig, cache: Path) -> Dataset:
    raw, source = None, source_digest(config, cache)
    if source is None:
        raw = _load_raw(config, cache)
        source = arrays_digest(raw)
    section = config.identity(exclude=AUGMENT)
    address: list[object] = ["dataset", section, source]
    if isinstance(config, NpzData | ImportData):
        address.append("dtype kept")  # older versions turned whole numbers into float32
    stored = prepared_tensors(
        cache,
        address,
        lambda: _prepare(config, _load_raw(config, cache) if raw is None else raw),
    )
    return _restored(stored)


def _prepare(config: DataConfig, raw: RawData) -> Mapped:
    rows = choose_rows(
        raw.y,
        name=raw.name,
        test_fraction=config.test_fraction if raw.x_test is None else None,
        val_fraction=config.val_fraction,
        train_fraction=config.train_fraction,
        seed=config.seed,
    )
    kept = rows.train[~np.isin(raw.y[rows.train], _omitted(config).numpy())]
    _check_omitted(config, raw, len(kept))
    train, val = _pick(raw, kept), _pick(raw, rows.val)
    test = _pick(raw, rows.test) if rows.test is not None else _own_test(raw)
    mean, std = measure_normalization(train.x.numpy())
    splits = [("train", train), ("val", val), ("test", test)]
    tensors = {"mean": mean, "std": std}
    notes = {
        "name": raw.name,
        "num_classes": str(raw.num_classes),
        "fingerprint": fingerprint_splits(splits),
    }
    for name, split in splits:
        tensors |= {f"{name}.{field}": getattr(split, field) for field in ("x", "y", "ids")}
        notes[name] = split.digest
    return Mapped(tensors, notes)


def _check_omitted(config: DataConfig, raw: RawData, num_kept: int) -> None:
    if config.transfer is None:
        return
    strange = [label for label in config.transfer.omit_classes if label >= raw.num_classes]
    if strange:
        raise DataError(
            f"data.transfer.omit_classes: {raw.name} has no class {strange[0]}; allowed are 0 to "
            f"{raw.num_classes - 1}"
        )
    if num_kept == 0:
        raise DataError(
            f"data.transfer.omit_classes leaves students no sample of {raw.name}; leave at least "
            "one class in"
        )


def _restored(stored: Mapped) -> Dataset:
    tensors, notes = stored
    train, val, test = (
        Split(
            x=tensors[f"{name}.x"],
            y=tensors[f"{name}.y"],
            ids=tensors[f"{name}.ids"],
            known_digest=notes[name],
        )
        for name in ("train", "val", "test")
    )
    return Dataset(
        name=notes["name"],
        num_classes=int(notes["num_classes"]),
        input_shape=tuple(train.x.shape[1:]),
        train=train,
        val=val,
        test=SealedSplit(test),
        mean=tensors["mean"],
        std=tensors["std"],
        fingerprint=notes["fingerprint"],
    )


def _load_raw(config: DataConfig, cache: Path) -> RawData:
    raw = _read_source(config, cache)
    raw.check()
    return raw


def _read_source(config: DataConfig, cache: Path) -> RawData:
    match config:
        case DigitsData():
            return load_digits()
        case Mnist1dData():
            return load_mnist1d(
                train_samples=config.train_samples,
                test_samples=config.test_samples,
                seed=config.seed,
                cache=cache,
            )
        case IdxData():
            return load_idx(Path(config.root).expanduser(), name=config.root)
        case MnistData():
            return load_mnist(cache=cache)
        case FashionMnistData():
            return load_fashion_mnist(cache=cache)
        case NpzData():
            return load_npz(Path(config.path).expanduser(), name=config.path)
        case ImportData():
            return load_imported(config.target, config.options)
        case _:
            assert_never(config)


def _pick(raw: RawData, rows: np.ndarray) -> Split:
    dtype = np.int64 if raw.has_whole_numbers else np.float32
    return Split(
        x=torch.from_numpy(np.ascontiguousarray(raw.x[rows], dtype=dtype)),
        y=torch.from_numpy(raw.y[rows].astype(np.int64)),
        ids=torch.from_numpy(rows),
    )


def _own_test(raw: RawData) -> Split:
    assert raw.x_test is not None
    assert raw.y_test is not None
    test = dataclasses.replace(raw, x=raw.x_test, y=raw.y_test)
    return _pick(test, np.arange(len(raw.y_test)))
