"""Whole-number inputs, such as token ids, stay whole; bytes and real numbers are as they were."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kdsearch.config import MlpModel, NpzData
from kdsearch.config.data import AugmentConfig
from kdsearch.data import Dataset, load_dataset
from kdsearch.errors import DataError, UserInputError
from kdsearch.execution.materials import plain_data
from kdsearch.models import Classifier, Normalization, build_model, count_model
from kdsearch.training import TrainingData

BIG = 2**24 + 1  # the first whole number that float32 does not hold


def tokens(dtype: object = np.int64, *, num_samples: int = 60) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(num_samples) % 3
    x = np.random.default_rng(0).integers(0, 100, (num_samples, 5)).astype(dtype)
    return x, y


def load(tmp_path: Path, **arrays: np.ndarray) -> tuple[Dataset, TrainingData]:
    np.savez(tmp_path / "mine.npz", **arrays)
    config = NpzData(kind="npz", path=str(tmp_path / "mine.npz"))
    cache = tmp_path / "cache"
    return load_dataset(config, cache=cache), plain_data(config, cache)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16, np.uint16, np.uint32])
def test_they_are_kept_to_the_last_digit_and_not_normalised(tmp_path: Path, dtype: object) -> None:
    x, y = tokens(dtype)
    if np.iinfo(dtype).max > BIG:
        x[:, 0] = BIG
    dataset, data = load(tmp_path, x=x, y=y)
    assert dataset.input_dtype == data.train_x.dtype == data.val_x.dtype == torch.int64
    assert torch.equal(dataset.train.x, torch.from_numpy(x[dataset.train.ids].astype(np.int64)))
    assert torch.equal(data.train_x, dataset.train.x)
    assert torch.equal(data.val_x, dataset.val.x)
    assert dataset.test.open(by="a test").x.dtype == torch.int64
    assert (float(dataset.mean), float(dataset.std)) == (0.0, 1.0)
    body = torch.nn.Identity()
    raw = Classifier(Normalization(dataset.mean, dataset.std), body)(dataset.val.x)
    assert torch.equal(raw, dataset.val.x)


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.float16, np.float64])
def test_pixels_and_real_numbers_are_as_they_were(tmp_path: Path, dtype: object) -> None:
    x, y = tokens(dtype)
    dataset, data = load(tmp_path, x=x, y=y)
    seen = torch.from_numpy(x[dataset.train.ids].astype(np.float32))
    assert torch.equal(dataset.train.x, seen)
    assert torch.equal(data.train_x, (seen - dataset.mean) / dataset.std)
    assert float(dataset.std) > 0.1
    assert abs(float(data.train_x.mean())) < 1e-5


def test_training_and_test_samples_are_of_one_sort(tmp_path: Path) -> None:
    x, y = tokens()
    with pytest.raises(DataError, match="x is int64 and x_test is float64; both must hold"):
        load(tmp_path, x=x, y=y, x_test=x.astype(float), y_test=y)
    dataset, _ = load(tmp_path, x=x, y=y, x_test=x.astype(np.int32), y_test=y)
    assert dataset.test.open(by="a test").x.dtype == torch.int64
    with pytest.raises(DataError, match="x holds 18446744073709551615; allowed is up to"):
        load(tmp_path, x=np.full_like(x, 2**64 - 1, dtype=np.uint64), y=y)


def test_what_an_older_version_prepared_as_real_numbers_is_not_taken(tmp_path: Path) -> None:
    x, y = tokens()
    real, _ = load(tmp_path, x=x.astype(float), y=y)
    whole, _ = load(tmp_path, x=x, y=y)
    assert real.fingerprint != whole.fingerprint


def test_views_of_them_are_whole_too(tmp_path: Path) -> None:
    x, y = tokens()
    np.savez(tmp_path / "mine.npz", x=x[:, None], y=y)
    augment = AugmentConfig(shift=1, views=2)
    config = NpzData(kind="npz", path=str(tmp_path / "mine.npz"), augment=augment)
    dataset = load_dataset(config, cache=tmp_path / "cache")
    assert dataset.augmentation is not None
    view = dataset.augmentation.view(1)
    assert view.x.dtype == torch.int64
    seen = plain_data(config, tmp_path / "cache").at_epoch(2)
    assert torch.equal(seen.train_x, view.x)


def test_a_built_in_model_says_that_it_reads_real_numbers() -> None:
    config = MlpModel(kind="mlp", width=4, depth=1)
    with pytest.raises(UserInputError, match="mlp reads real numbers, but the samples are whole"):
        build_model(config, input_shape=(5,), num_classes=3, seed=0, input_dtype=torch.int64)
    with pytest.raises(UserInputError, match="give x as float32"):
        count_model(config, input_shape=(5,), num_classes=3, input_dtype=torch.int64)
