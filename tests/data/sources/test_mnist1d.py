import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mnist1d.data import make_dataset

from kdsearch.data.sources.mnist1d import load_mnist1d


@pytest.mark.slow
def test_seed_0_with_5000_samples_is_the_published_set(tmp_path: Path) -> None:
    raw = load_mnist1d(train_samples=4000, test_samples=1000, seed=0, cache=tmp_path)
    state = random.getstate(), np.random.get_state()  # noqa: NPY002
    published = make_dataset()
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    assert np.array_equal(raw.x[:, 0], published["x"].astype(np.float32))
    assert np.array_equal(raw.y, published["y"])
    assert raw.x_test is not None
    assert raw.y_test is not None
    assert np.array_equal(raw.x_test[:, 0], published["x_test"].astype(np.float32))
    assert np.array_equal(raw.y_test, published["y_test"])


# int(220 * (120 / 220)) is 119: the package's own cut would lose a sample here.
@pytest.mark.parametrize(("train", "test"), [(120, 100), (210, 100), (100, 200)])
def test_counts_are_exact_and_balanced(tmp_path: Path, train: int, test: int) -> None:
    raw = load_mnist1d(train_samples=train, test_samples=test, seed=1, cache=tmp_path)
    assert raw.x.shape == (train, 1, 40)
    assert raw.x_test is not None
    assert raw.y_test is not None
    assert raw.x_test.shape == (test, 1, 40)
    everything = np.bincount(np.concatenate([raw.y, raw.y_test]))
    assert everything.tolist() == [(train + test) // 10] * 10


def test_the_cache_gives_the_same_arrays_without_generating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_mnist1d(train_samples=100, test_samples=100, seed=7, cache=tmp_path)
    files = [path.name for path in (tmp_path / "datasets").glob("*.npz")]
    assert len(files) == 1
    assert "-train100-test100-seed49" in files[0]
    monkeypatch.delattr("mnist1d.data.make_dataset")
    second = load_mnist1d(train_samples=100, test_samples=100, seed=7, cache=tmp_path)
    for name in ("x", "y", "x_test", "y_test"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_each_number_has_its_own_file(tmp_path: Path) -> None:
    for train, test, seed in ((100, 100, 0), (110, 100, 0), (100, 110, 0), (100, 100, 1)):
        load_mnist1d(train_samples=train, test_samples=test, seed=seed, cache=tmp_path)
    assert len(list((tmp_path / "datasets").glob("*.npz"))) == 4


def test_a_seed_beyond_32_bits_works(load) -> None:
    data = load(kind="mnist1d", train_samples=200, test_samples=100, seed=2**40)
    assert len(data.train) == 160


def test_generation_is_quiet_and_restores_random_state(
    load, capsys: pytest.CaptureFixture[str]
) -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    expected = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    load(kind="mnist1d", train_samples=200, test_samples=100)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected  # noqa: NPY002
    assert capsys.readouterr() == ("", "")
